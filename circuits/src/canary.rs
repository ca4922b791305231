//! The reserved impossible claim: a graph whose output is 0 for every input, although nothing short of a proof says so.
//!
//! One private product goes through the same rounded and clamped table twice, and the output is the difference of the
//! results. Interval analysis, which fixes the range that a verifier compares public values with, looks at one operator at
//! a time: for it the output is anything from -2 to 2. So a claim that it is [`IMPOSSIBLE`] passes every check but the proof
//! itself, and no honest prover can make it true. Both halves are committed apart, so a flaw in any mechanism of the protocol
//! (inputs, products, views, rounding, clamps, tables, public values) that lets a prover bend one of them is enough.
//!
//! Whoever shows a proof of the claim that a verifier accepts has shown that the verifier, its circuit or its powers of tau
//! are broken, and need not say how: a contract that holds value can let anybody stop it with such a proof.

use crate::{
    error::GraphError,
    graph::{Graph, GraphBuilder},
    model::{Model, QuantReport, TensorSpec},
    ops::{Contraction, Op, Reshape, Window},
    table::Table,
    weights::Weights,
};

/// The output that no input gives.
pub const IMPOSSIBLE: i64 = 1;

/// The graph: two inputs of four bits, one output.
///
/// # Errors
/// None, for it is fixed.
pub fn graph() -> Result<Graph, GraphError> {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[1, 2], 4)?;
    let product = g.push("square", Op::Contraction(Contraction::elementwise(&[1, 2])), &[x, x])?;
    // A view of another shape, so that the two lookups are not one node written twice.
    let view = g.push("square, again", Op::Reshape(Reshape { shape: vec![1, 2, 1] }), &[product])?;
    let one = g.lookup("one", product, 2, Table::relu(-2, 2, 1))?;
    let other = g.lookup("other", view, 2, Table::relu(-2, 2, 1))?;
    let other = g.push("other, back", Op::Reshape(Reshape { shape: vec![1, 2] }), &[other])?;
    let difference = g.linear("difference", &[(one, 1), (other, -1)], 0)?;
    let zero = g.push("zero", Op::Window(Window::reduce(1, 2)), &[difference])?;
    g.finish(vec![x], vec![zero])
}

/// The graph as a model, without weights.
///
/// # Errors
/// None, for it is fixed.
pub fn model() -> Result<Model, GraphError> {
    let spec = |name: &str, n| TensorSpec::uniform(name, &[1, n], 0);
    Ok(Model {
        graph: graph()?,
        weights: Weights::default(),
        inputs: vec![spec("x", 2)],
        outputs: vec![spec("zero", 1)],
        report: QuantReport::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Program, Tensor, Visibility, eval::eval};

    #[test]
    fn the_output_is_zero_and_its_range_does_not_say_so() {
        let graph = graph().unwrap();
        for x in 0..256 {
            let input = Tensor::new(vec![1, 2], vec![x % 16 - 8, x / 16 - 8]).unwrap();
            let values = eval(&graph, &[], &[input]).unwrap();
            assert_eq!(values.outputs(&graph), [Tensor::new(vec![1, 1], vec![0]).unwrap()]);
        }
        let program = Program::inference(&graph, 1, Visibility::default()).unwrap();
        let [public] = program.public.as_slice() else { panic!("one public tensor") };
        assert_eq!((public.range.lo, public.range.hi), (-2, 2));
        assert!(public.range.lo <= i128::from(IMPOSSIBLE) && i128::from(IMPOSSIBLE) <= public.range.hi);
        assert!(Program::inference(&graph, 1, Visibility { inputs: true, ..Visibility::default() }).is_ok());
        Program::registration(&graph).unwrap();
    }
}
