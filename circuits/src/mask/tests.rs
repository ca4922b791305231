use super::*;
use crate::eval::eval;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// `scale * x + offset` of an input of `bits` bits.
fn affine(shape: &[usize], bits: u32, scale: i64, offset: i64) -> Graph {
    affine_of(16, shape, bits, scale, offset)
}

/// The same with limbs of another width.
fn affine_of(limb: u32, shape: &[usize], bits: u32, scale: i64, offset: i64) -> Graph {
    let mut g = GraphBuilder::new(limb);
    let x = g.input("x", shape, bits).unwrap();
    let y = g.linear("y", &[(x, scale)], offset).unwrap();
    g.finish(vec![x], vec![y]).unwrap()
}

fn run(graph: &Graph, x: &Tensor, pad: &[Tensor]) -> Tensor {
    let inputs = [std::slice::from_ref(x), pad].concat();
    eval(graph, &[], &inputs).unwrap().outputs(graph).remove(0)
}

/// A generator of bits that is good enough for tests.
fn bits_from(mut state: u64) -> impl FnMut(u32) -> u32 {
    move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    }
}

/// For every input, the pads and the masked values are one to one: the distribution is the same for all of them.
#[test]
fn every_masked_value_is_as_likely_for_every_output() {
    let cases = [(1, 1, 0), (3, 1, -5), (3, 3, 2), (4, -5, 100), (2, 0, 7)];
    for (limb, (bits, scale, offset)) in cases.into_iter().flat_map(|c| [(16, c), (4, c)]) {
        let graph = affine_of(limb, &[1], bits, scale, offset);
        let (padded, how) = masked(&graph).unwrap();
        let [mask] = how.as_slice() else { panic!("one output") };
        let modulus = 1i64 << mask.bits;
        for x in -(1i64 << (bits - 1))..1 << (bits - 1) {
            let x = Tensor::new(vec![1], vec![x]).unwrap();
            let mut seen = BTreeSet::new();
            for place in 0..modulus {
                let mut used = 0;
                let pad = mask.pad(|width| {
                    used += width;
                    (place >> (used - width)) as u32
                });
                let z = run(&padded, &x, &pad);
                assert_eq!(mask.unmask(&z, &pad).unwrap(), run(&graph, &x, &[]));
                seen.insert(z.data[0]);
            }
            assert!(seen.into_iter().eq(-modulus / 2..modulus / 2), "all residues, each once");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn unmasking_undoes_masking(
        shape in prop::collection::vec(1usize..4, 1..4),
        bits in 1u32..=20,
        scale in -(1i64 << 26)..1 << 26,
        offset in -(1i64 << 40)..1 << 40,
        limb in 4u32..=16,
        seed in any::<u64>(),
    ) {
        let graph = affine_of(limb, &shape, bits, scale, offset);
        let (padded, how) = masked(&graph).unwrap();
        let mask = &how[0];
        let mut draw = bits_from(seed);
        let half = 1i64 << (bits - 1);
        let x = Tensor { shape: shape.clone(), data: (0..shape.iter().product()).map(|_| {
            i64::from(draw(bits)) % (2 * half) - half
        }).collect() };
        let pad = mask.pad(&mut draw);
        let z = run(&padded, &x, &pad);
        prop_assert!(z.data.iter().all(|z| (-mask.half()..mask.half()).contains(z)));
        prop_assert_eq!(mask.unmask(&z, &pad).unwrap(), run(&graph, &x, &[]));
    }
}

#[test]
fn a_pad_of_another_kind_is_refused() {
    let (_, how) = masked(&affine(&[2], 20, 1 << 10, 0)).unwrap();
    let mask = &how[0];
    assert_eq!((mask.bits, mask.widths.as_slice()), (30, &[16, 14][..]));
    let t = |a, b| Tensor::new(vec![2], vec![a, b]).unwrap();
    let good = [t(0, 0), t(0, 0)];
    assert_eq!(mask.unmask(&t(0, 0), &good).unwrap().shape, [2]);
    assert!(matches!(mask.unmask(&t(0, 0), &good[..1]), Err(GraphError::Arity { .. })));
    assert!(matches!(mask.unmask(&t(0, 1 << 29), &good), Err(GraphError::OutOfRange { .. })));
    assert!(matches!(mask.unmask(&t(0, 0), &[t(0, 0), t(1 << 13, 0)]), Err(GraphError::OutOfRange { .. })));
    let other = Tensor::new(vec![1], vec![0]).unwrap();
    assert!(matches!(mask.unmask(&other, &good), Err(GraphError::Shape { .. })));
    let short = Tensor { shape: vec![2], data: vec![0] };
    assert!(matches!(mask.unmask(&short, &good), Err(GraphError::Length { .. })));
    // Values from 0 to 6 in eight residues: the last is nobody's.
    let mask = MaskedOutput::new((0, 6), &[1], 1, 4).unwrap();
    let one = |v| Tensor::new(vec![1], vec![v]).unwrap();
    assert_eq!(mask.unmask(&one(2), &[one(0)]).unwrap().data, [6]);
    assert!(matches!(mask.unmask(&one(3), &[one(0)]), Err(GraphError::OutOfRange { value: 7, .. })));
}

#[test]
fn outputs_that_are_too_wide_are_refused() {
    assert!(masked(&affine(&[1], 20, 1 << 28, 0)).is_ok(), "48 bits");
    assert!(matches!(masked(&affine(&[1], 20, 1 << 29, 0)), Err(GraphError::AtNode { .. })));
}
