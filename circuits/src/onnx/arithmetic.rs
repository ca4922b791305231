//! Sums, differences, products and quotients of float tensors, as the engine computes them and faster.
//!
//! A batch normalization or a bias is a product or a sum with one number for each channel. The engine's broadcasting walks
//! over both tensors index by index; here each number meets the run of entries that it belongs to.

use tract_onnx::{prelude::*, tract_hir::tract_core::ops::binary::TypedBinOp};

/// The least run of entries with one number that is worth it.
const RUN: usize = 4;

/// The value of a node that is such an operator on float32 tensors, the same bits as the engine's; `None` for all others.
pub(crate) fn eval(node: &TypedNode, inputs: &[TValue]) -> Option<Tensor> {
    let op = node.op_as::<TypedBinOp>()?;
    let [a, b] = inputs else { return None };
    let f32s = |t: &TValue| t.datum_type() == DatumType::F32 && t.len() > 0;
    if !f32s(a) || !f32s(b) || a.rank() != b.rank() || op.1.is_some() {
        return None;
    }
    match op.0.name() {
        "Add" => apply(a, b, |x, y| x + y),
        "Sub" => apply(a, b, |x, y| x - y),
        "Mul" => apply(a, b, |x, y| x * y),
        "Div" => apply(a, b, |x, y| x / y),
        _ => None,
    }
}

/// Operands of an operator as the engine compares them: it knows equality of numbers, not of booleans.
pub(crate) fn comparable(op: &str, args: TVec<TValue>) -> TractResult<TVec<TValue>> {
    let booleans = args.iter().all(|t| t.datum_type() == DatumType::Bool);
    if !booleans || !matches!(op, "Eq" | "NE" | "NotEq") {
        return Ok(args);
    }
    args.iter().map(|t| Ok(t.cast_to::<u8>()?.into_owned().into_tvalue())).collect()
}

fn apply(a: &Tensor, b: &Tensor, f: impl Fn(f32, f32) -> f32) -> Option<Tensor> {
    let values = |t: &Tensor| -> Option<Vec<f32>> { Some(t.try_as_plain_ram().ok()?.as_slice::<f32>().ok()?.to_vec()) };
    let (x, y) = (values(a)?, values(b)?);
    let same = |large: &[usize], small: &[usize]| large.iter().zip(small).all(|(l, s)| l == s || *s == 1);
    let data = if a.shape() == b.shape() {
        x.iter().zip(&y).map(|(x, y)| f(*x, *y)).collect()
    } else if same(a.shape(), b.shape()) {
        along(a.shape(), &x, b.shape(), &y, &f)?
    } else if same(b.shape(), a.shape()) {
        along(b.shape(), &y, a.shape(), &x, |y, x| f(x, y))?
    } else {
        return None;
    };
    let shape = if data.len() == x.len() { a.shape() } else { b.shape() };
    Tensor::from_shape(shape, &data).ok()
}

/// `f(large, small)` where the axes that `small` lacks include the last ones.
fn along(
    shape: &[usize],
    large: &[f32],
    small: &[usize],
    numbers: &[f32],
    f: impl Fn(f32, f32) -> f32,
) -> Option<Vec<f32>> {
    let last = small.iter().rposition(|d| *d != 1).map_or(0, |p| p + 1);
    let run: usize = shape[last..].iter().product();
    if run < RUN {
        return None;
    }
    let mut out = Vec::with_capacity(large.len());
    for (k, values) in large.chunks_exact(run).enumerate() {
        // The place of a run in the smaller tensor, from the last axis on that it has.
        let (mut rest, mut place, mut stride) = (k, 0, 1);
        for (n, m) in shape[..last].iter().zip(&small[..last]).rev() {
            if *m != 1 {
                place += rest % n * stride;
                stride *= m;
            }
            rest /= n;
        }
        let number = numbers[place];
        out.extend(values.iter().map(|v| f(*v, number)));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tract_onnx::tract_hir::tract_core::ops::math;

    proptest! {
        #[test]
        fn bits_are_those_of_the_engine(
            dims in prop::collection::vec(1usize..5, 1..5),
            lacks in any::<u8>(),
            swapped in any::<bool>(),
            which in 0usize..4,
            seed in any::<u64>(),
        ) {
            let mut state = seed;
            let mut draw = |n: usize| -> Vec<f32> {
                (0..n).map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    // Any bits at all, but for what is no number.
                    let v = f32::from_bits((state >> 32) as u32);
                    if v.is_nan() { 0.0 } else { v }
                }).collect()
            };
            let small: Vec<usize> =
                dims.iter().enumerate().map(|(i, d)| if lacks >> i & 1 == 1 { 1 } else { *d }).collect();
            let tensor = |shape: &[usize], v: &[f32]| Tensor::from_shape(shape, v).unwrap();
            let (l, s) = (draw(dims.iter().product()), draw(small.iter().product()));
            let (l, s) = (tensor(&dims, &l), tensor(&small, &s));
            let (a, b) = if swapped { (s, l) } else { (l, s) };
            let mut model = TypedModel::default();
            let x = model.add_source("x", f32::fact(a.shape())).unwrap();
            let y = model.add_source("y", f32::fact(b.shape())).unwrap();
            let op = [math::add(), math::sub(), math::mul(), math::div()][which].clone();
            let z = model.wire_node("z", op, &[x, y]).unwrap()[0];
            let node = &model.nodes()[z.node];
            let want = node.op.eval_out_of_plan(tvec!(a.clone().into_tvalue(), b.clone().into_tvalue())).unwrap().unwrap();
            let bits = |t: &Tensor| -> Vec<u32> {
                t.try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().iter().map(|v| v.to_bits()).collect()
            };
            if let Some(got) = eval(node, &[a.into_tvalue(), b.into_tvalue()]) {
                prop_assert_eq!(got.shape(), want[0].shape());
                prop_assert_eq!(bits(&got), bits(&want[0]));
            } else {
                prop_assert!(l_run(&dims, &small) < RUN);
            }
        }
    }

    fn l_run(dims: &[usize], small: &[usize]) -> usize {
        let last = small.iter().rposition(|d| *d != 1).map_or(0, |p| p + 1);
        dims[last..].iter().product()
    }
}
