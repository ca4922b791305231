use super::*;
use crate::{
    graph::GraphBuilder,
    model::QuantReport,
    ops::{Contraction, Op},
    program::{Program, Visibility},
    table::Table,
};
use proptest::prelude::*;

/// `relu(x W)` of 3 inputs and 4 outputs; models of another `seed` have other weights.
fn plain(name: &str, seed: i64) -> Model {
    let mut g = GraphBuilder::new(6);
    let x = g.input(name, &[1, 3], 8).unwrap();
    let w = g.weight("w", &[3, 4], 4).unwrap();
    let y = g.push("y", Op::Contraction(Contraction::matmul(&[], 1, 3, 4)), &[x, w]).unwrap();
    let z = g.lookup("z", y, 2, Table::tabulate("relu", -1024, 11, |t| t.max(0) as i32)).unwrap();
    let weights = vec![Tensor::new(vec![3, 4], (0..12).map(|i| (i * 5 + seed) % 15 - 7).collect()).unwrap()];
    let graph = g.finish(vec![x], vec![z]).unwrap();
    let inputs = vec![TensorSpec::uniform(name, &[1, 3], 4)];
    Model {
        graph,
        weights: weights.into(),
        inputs,
        outputs: vec![TensorSpec::uniform("y", &[1, 4], 3)],
        report: QuantReport::default(),
    }
}

fn bits_from(mut state: u64) -> impl FnMut(u32) -> u32 {
    move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    }
}

/// Some jobs' values, and what the plain model gives for each.
fn jobs(model: &Model, c: &Confidential, n: usize, seed: u64) -> (Vec<Vec<Tensor>>, Vec<Vec<Tensor>>) {
    let mut draw = bits_from(seed);
    let mut one = || {
        let x = Tensor::new(vec![1, 3], (0..3).map(|_| i64::from(draw(8) % 256) - 128).collect()).unwrap();
        let y = model.eval(std::slice::from_ref(&x)).unwrap().outputs(&model.graph);
        (c.values(&[x], &mut draw), y)
    };
    (0..n).map(|_| one()).unzip()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    /// Of any number of jobs in one proof, each output is masked by the pad of its own job and no other.
    #[test]
    fn jobs_of_a_proof_are_unmasked_by_their_own_stacks(n in 1usize..=MAX_STACKS, weights in 0i64..15, seed in any::<u64>()) {
        let model = plain("x", weights);
        let c = Confidential::new(&model).unwrap();
        let batch = c.for_jobs(n).unwrap();
        let (values, expected) = jobs(&model, &c, n, seed);
        let wide = |t: &Tensor| Tensor { shape: if n == 1 { t.shape[1..].to_vec() } else { t.shape.clone() }, data: t.data.clone() };
        let inputs: Vec<Tensor> = values.iter().flatten().map(wide).collect();
        let shown = batch.eval(&inputs).unwrap().outputs(&batch.graph).remove(0);
        prop_assert_eq!(shown.data.len(), 4 * n);
        for (i, (values, expected)) in values.iter().zip(&expected).enumerate() {
            let own = Tensor::new(vec![1, 4], shown.data[4 * i..4 * i + 4].to_vec()).unwrap();
            prop_assert_eq!(&c.unmask(&[own], values).unwrap(), expected);
        }
    }
}

#[test]
fn one_stack_serves_keys_of_every_batch() {
    let c = Confidential::new(&plain("x", 0)).unwrap();
    let bits = c.row_bits(0);
    let one = c.stacks(bits, 1).unwrap();
    for n in [1, 2, 5, MAX_STACKS] {
        let stacks = c.stacks(bits, n).unwrap();
        assert!(stacks.len() == n && stacks.iter().all(|s| s.schema == one[0].schema));
        let graph = c.for_jobs(n).unwrap().graph;
        let shown = Visibility { inputs: true, outputs: true, weights: false };
        let program = Program::linked(&graph, 1, shown, &stacks).unwrap();
        assert_eq!(program.public.len(), 1, "nothing but the masked outputs is shown");
    }
    assert!(c.for_jobs(0).is_err() && c.for_jobs(MAX_STACKS + 1).is_err());
}

/// An opening names its model: a pad that masks one model's output masks no other's.
#[test]
fn a_stack_is_for_one_model() {
    let models = [plain("x", 0), plain("x", 1), plain("other", 0)];
    let all: Vec<Confidential> = models.iter().map(|m| Confidential::new(m).unwrap()).collect();
    for (i, a) in all.iter().enumerate() {
        assert_eq!(a, &Confidential::new(&models[i]).unwrap(), "it follows from the model alone");
        assert_ne!(a.model.model_id().unwrap(), models[i].model_id().unwrap());
        for b in &all[..i] {
            assert_ne!(a.schema(8).unwrap().digest().unwrap(), b.schema(8).unwrap().digest().unwrap());
        }
    }
}

#[test]
fn pads_are_drawn_for_each_job() {
    let c = Confidential::new(&plain("x", 0)).unwrap();
    let x = Tensor::new(vec![1, 3], vec![1, 2, 3]).unwrap();
    let mut draw = bits_from(9);
    let (a, b) = (c.values(std::slice::from_ref(&x), &mut draw), c.values(std::slice::from_ref(&x), &mut draw));
    assert_eq!(a[0], b[0]);
    assert_ne!(a[1..], b[1..]);
}

#[test]
fn names_are_cut_and_rows_are_few() {
    let c = Confidential::new(&plain(&"ü".repeat(200), 0)).unwrap();
    assert!(c.schema(8).unwrap().tensors.iter().all(|t| t.name.len() < 256));
    assert_eq!((c.row_bits(0), c.row_bits(8), c.row_bits(9), c.row_bits(13), c.row_bits(20)), (8, 8, 10, 14, 18));
    assert!(c.schema(9).is_err());
}

#[test]
fn values_of_another_job_give_no_output_or_another() {
    let model = plain("x", 3);
    let c = Confidential::new(&model).unwrap();
    let (values, expected) = jobs(&model, &c, 2, 7);
    let inputs = c.inputs(&values[0]).unwrap();
    let shown = c.model.eval(&inputs).unwrap().outputs(&c.model.graph);
    assert_eq!(c.unmask(&shown, &values[0]).unwrap(), expected[0]);
    assert_ne!(c.unmask(&shown, &values[1]).ok().as_ref(), Some(&expected[0]));
    assert!(c.unmask(&shown, &values[0][..1]).is_err() && c.unmask(&[], &values[0]).is_err());
}
