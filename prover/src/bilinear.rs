//! Proving all contractions in one sumcheck (docs/protocol.md#bilinear).

use crate::{
    device::{AxisMatrix, Device},
    lookup::element,
    sumcheck::{self, Product},
    transcript::ProverTranscript,
};
use ark_ff::One;
use assay_circuits::{
    Ring, Tensor, eval::Values, functional::grid_offsets, ops::contraction::AxisRows, ring::index_bits, tensor::strides,
};
use assay_verifier::{
    Fr,
    protocol::bilinear::{Instance, Operands},
};

/// Entries of an operand, folded as far as they are.
enum Folded<'a, E> {
    Wide(&'a Tensor),
    Small(Vec<i32>),
    Field(E),
}

/// Whether the rows are the identity on the axis.
fn is_identity(axis: &AxisRows<Fr>) -> bool {
    axis.rows.len() == axis.len
        && axis.rows.iter().enumerate().all(|(i, row)| matches!(row.as_slice(), [(p, w)] if *p == i && w.is_one()))
}

/// `A(x) = <operand, w(x)>` over the padded hypercube of the shared indices.
pub fn fold_operand<D: Device>(device: &D, instance: &Instance<Fr>, side: usize, operand: &Tensor) -> D::Elements {
    let rows = &instance.rows[side];
    let mut dims = operand.shape.clone();
    let mut order: Vec<usize> = (0..rows.len()).filter(|a| !is_identity(&rows[*a])).collect();
    // The map that shrinks the tensor most comes first, on integers.
    order.sort_by(|a, b| {
        let ratio = |a: usize| rows[a].rows.len() as f64 / rows[a].len as f64;
        ratio(*a).total_cmp(&ratio(*b))
    });
    let small: Option<Vec<i32>> = operand.data.iter().map(|v| i32::try_from(*v).ok()).collect();
    let mut data = small.map_or(Folded::Wide(operand), Folded::Small);
    for a in order {
        let matrix = AxisMatrix { len: rows[a].len, rows: rows[a].rows.clone() };
        let outer = dims[..a].iter().product();
        let inner = dims[a + 1..].iter().product();
        data = Folded::Field(match data {
            Folded::Small(v) => device.axis_map_i32(&device.integers(&v), outer, inner, &matrix),
            Folded::Wide(t) => device.axis_map_fr(&device.elements(elements(t)), outer, inner, &matrix),
            Folded::Field(v) => device.axis_map_fr(&v, outer, inner, &matrix),
        });
        dims[a] = rows[a].rows.len();
    }
    let data = match data {
        Folded::Field(v) => v,
        Folded::Small(v) => device.elements(v.into_iter().map(element).collect()),
        Folded::Wide(t) => device.elements(elements(t)),
    };
    // Axes hold mixed-radix combinations of shared indices; bring them into the order of the indices, padded.
    let st = strides(&dims);
    let extents = &instance.contraction.extents;
    let variables = instance.contraction.variables();
    let mut from = vec![0usize; extents.len()];
    for (a, axis) in rows.iter().enumerate() {
        let mut stride = st[a];
        for i in axis.variables.iter().rev() {
            from[*i] = stride;
            stride *= extents[*i];
        }
    }
    let mut to = vec![0usize; extents.len()];
    let mut stride = 1usize;
    for i in variables.iter().rev() {
        to[*i] = stride;
        stride <<= index_bits(extents[*i]);
    }
    if dims.iter().product::<usize>() == stride && variables.iter().all(|i| from[*i] == to[*i]) {
        return data;
    }
    let source = grid_offsets(variables.iter().map(|i| (extents[*i], from[*i])));
    let target = grid_offsets(variables.iter().map(|i| (extents[*i], to[*i])));
    device.rearrange(&data, &source, &target, stride)
}

fn elements(t: &Tensor) -> Vec<Fr> {
    t.data.iter().map(|v| Fr::from_i128(i128::from(*v))).collect()
}

/// Proves all instances; returns their sum, and their point and operand values as the verifier will see them.
pub fn prove<D: Device>(
    device: &D,
    instances: &[Instance<Fr>],
    values: &Values<'_>,
    transcript: &mut ProverTranscript,
) -> (Fr, Operands<Fr>) {
    let total = assay_verifier::protocol::bilinear::rounds(instances);
    let mut products: Vec<Product<'_, '_, D>> = instances
        .iter()
        .map(|i| {
            let [a, b] = [0, 1].map(|side| fold_operand(device, i, side, values.of(i.operands[side])));
            let sum = i.coefficient * device.inner_product(&a, &b);
            Product::elements(device, [a, b], i.coefficient, sum, total - i.rounds)
        })
        .collect();
    let sum = products.iter().map(Product::sum).sum();
    transcript.send(sum);
    let point = sumcheck::prove(device, total, &mut products, transcript);
    let values: Vec<[Fr; 2]> = products.iter().map(|p| [p.left(device), p.right(device)]).collect();
    values.iter().flatten().for_each(|v| transcript.send(*v));
    (sum, Operands { point, values })
}
