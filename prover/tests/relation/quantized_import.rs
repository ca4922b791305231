//! A network on integers of 16 bits and peaks of a heat map as they are imported from ONNX, end to end: they prove; whoever changes a
//! rounded sum, product or accumulator, a remainder, a clamp or a peak by one is refused.

use crate::{proto, support};

use assay_circuits::{
    Op,
    model::Model,
    onnx::{CompileOptions, compile, load_bytes},
    program::{Content, WITNESS},
};
use assay_prover::SetupOptions;
use proto::{int, ints, raw, tensor};
use support::{
    forge::{Forge, Lie},
    key, round_trip,
};

fn compiled(bytes: &[u8], samples: &[Vec<Vec<f32>>]) -> Model {
    let float = load_bytes(bytes).expect("it is valid");
    compile(&float, &CompileOptions::default(), Some(samples), &mut |_, _, _| {}).expect("it compiles")
}

fn samples(n: usize) -> Vec<Vec<Vec<f32>>> {
    let value = |k: usize, i: usize| ((k * 37 + i * 23 + k * i * 11) % 61) as f32 / 30.0 - 1.0;
    (0..24).map(|k| vec![(0..n).map(|i| value(k, i)).collect()]).collect()
}

/// `q(x) w`, its sum with `q(x)`, and the product of both, each of 16 bits and clipped to a few hundred values, so that tables are small.
fn quantized() -> Model {
    let mut m = proto::Model::default();
    m.initializer(&tensor("x_scale", &[], &[1.0 / 60.0]));
    m.initializer(&raw("x_zero", &[], 2, &[120]));
    for (name, scale, zero, bound) in [("a", 0.01, 30_001u16, 2.5), ("b", 0.011, 40_000, 3.0)] {
        m.initializer(&tensor(&format!("{name}_scale"), &[], &[scale]));
        m.initializer(&raw(&format!("{name}_zero"), &[], 4, &zero.to_le_bytes()));
        m.initializer(&tensor(&format!("{name}_low"), &[], &[-bound]));
        m.initializer(&tensor(&format!("{name}_high"), &[], &[bound]));
    }
    m.initializer(&tensor("w_scale", &[], &[0.01]));
    m.initializer(&raw("w_zero", &[], 3, &[0]));
    m.initializer(&raw("w", &[3, 3], 3, &[100, 200, 7, 30, 128, 127, 90, 3, 251]));
    let through = |m: &mut proto::Model, value: &str, name: &str| {
        let part = |what: &str| format!("{name}_{what}");
        let (scale, zero, low, high) = (part("scale"), part("zero"), part("low"), part("high"));
        let clipped = if name == "x" { value.to_owned() } else { m.node("Clip", &[value, &low, &high], &[]) };
        let q = m.node("QuantizeLinear", &[&clipped, &scale, &zero], &[]);
        m.node("DequantizeLinear", &[&q, &scale, &zero], &[])
    };
    let x = through(&mut m, "x", "x");
    let w = m.node("DequantizeLinear", &["w", "w_scale", "w_zero"], &[]);
    let a = m.node("MatMul", &[&x, &w], &[]);
    let a = through(&mut m, &a, "a");
    let b = m.node("Add", &[&a, &x], &[]);
    let b = through(&mut m, &b, "b");
    let y = m.node("Mul", &[&b, &a], &[]);
    let y = through(&mut m, &y, "b");
    compiled(&m.finish(&[("x", &[1, 3])], &y), &samples(3))
}

/// Where entries are the largest of their window.
fn peaks() -> Model {
    let mut m = proto::Model::default();
    let h = m.node("Sigmoid", &["x"], &[]);
    let top = m.node("MaxPool", &[&h], &[ints("kernel_shape", &[3]), ints("pads", &[1, 1])]);
    let e = m.node("Equal", &[&h, &top], &[]);
    let y = m.node("Cast", &[&e], &[int("to", 1)]);
    compiled(&m.finish(&[("x", &[1, 1, 5])], &y), &samples(5))
}

#[test]
fn integers_of_16_bits_and_peaks_prove() {
    for model in [quantized(), peaks()] {
        round_trip(&model, 1, SetupOptions { row_bits: Some(10), ..Default::default() });
    }
}

#[test]
fn whatever_is_changed_by_one_is_refused() {
    for (what, model, n) in [("integers of 16 bits", quantized(), 3), ("peaks", peaks(), 5)] {
        let key = key(&model, SetupOptions { row_bits: Some(10), ..Default::default() });
        let inputs = vec![model.quantize_all(&samples(n)[5]).expect("finite").0];
        let honest = Forge::inference(&key, &inputs);
        honest.verdict(&key.verifying).unwrap();
        let tensors = &honest.program.tensors;
        let graph = &honest.program.graph;
        let advice = |c: &Content| match c {
            Content::Node(id) => matches!(graph.node(*id).op, Op::Lookup(_)),
            Content::Remainder { .. } | Content::Limb { .. } | Content::High(_) | Content::Side(_) => true,
            _ => false,
        };
        let changed: Vec<usize> =
            (0..tensors.len()).filter(|i| tensors[*i].stack == WITNESS && advice(&tensors[*i].content)).collect();
        assert!(changed.len() >= 4, "{what}: {}", changed.len());
        let mut proven = Vec::new();
        for at in changed {
            let content = &tensors[at].content;
            for (entry, by) in [(0, 1), (honest.contents[at].len() - 1, -1)] {
                let mut forge = honest.clone();
                forge.contents[at][entry] += by;
                forge.rederive(&[at]);
                assert!(forge.relation().is_err(), "{what}: {content:?} of entry {entry} by {by}");
                // Whole proofs of one of each kind.
                let kind = std::mem::discriminant(content);
                if !proven.contains(&kind) {
                    proven.push(kind);
                    for lie in [Lie::Truth, Lie::Leaves] {
                        assert!(forge.with(lie).verdict(&key.verifying).is_err(), "{what}: {content:?}, {lie:?}");
                    }
                }
            }
        }
    }
}
