//! What transformers are made of: masks, softmax, tied embeddings, normalization of rows of unlike size.

use crate::proto::{Message, Model, int, integers, ints, tensor};
use assay_circuits::{
    Op, Program, Visibility,
    model::Model as Compiled,
    onnx::{CompileOptions, compile, load_bytes},
};

fn made(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn compiled(file: &[u8], samples: &[Vec<Vec<f32>>]) -> Compiled {
    let model = load_bytes(file).expect("the writer writes valid files");
    let options = CompileOptions { weight_bits: Some(12), activation_bits: Some(12), ..CompileOptions::default() };
    let m = compile(&model, &options, Some(samples), &mut |_, _, _| {}).unwrap_or_else(|e| panic!("{e}"));
    Program::inference(&m.graph, 2, Visibility::default()).expect("it can be laid out");
    m
}

fn run(m: &Compiled, sample: &[Vec<f32>]) -> Vec<f32> {
    let (q, _) = m.quantize_all(sample).expect("finite");
    let out = m.eval(&q).expect("evaluates").outputs(&m.graph);
    m.dequantize(&m.outputs[0], &out[0]).expect("its shape")
}

fn near(got: &[f32], want: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), want.len());
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance, "{what}, entry {i}: {g}, expected {w}");
    }
}

/// The softmax of the entries that a mask lets through.
fn softmax(x: &[f32], mask: &[f32]) -> Vec<f32> {
    let kept = || x.iter().zip(mask).filter(|(_, m)| **m != 0.0).map(|(x, _)| *x);
    let top = kept().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = kept().map(|v| (v - top).exp()).sum();
    x.iter().zip(mask).map(|(x, m)| if *m != 0.0 { (x - top).exp() / sum } else { 0.0 }).collect()
}

/// A softmax of `x` with a mask of ones and zeros, spelled in a way that exporters know.
fn masked(how: &str, never: f32) -> Vec<u8> {
    let mut m = Model::default();
    m.initializer(&tensor("zero", &[], &[0.0]));
    m.initializer(&tensor("one", &[], &[1.0]));
    m.initializer(&tensor("never", &[], &[never]));
    m.initializer(&integers("wide", &[1, 3, 4]));
    let sum = match how {
        "chosen" => {
            let c = m.node("Cast", &["mask"], &[int("to", 9)]);
            m.node("Where", &[&c, "x", "never"], &[])
        }
        "chosen the other way" => {
            let c = m.node("Cast", &["mask"], &[int("to", 9)]);
            let c = m.node("Not", &[&c], &[]);
            m.node("Where", &[&c, "never", "x"], &[])
        }
        "added" => {
            let c = m.node("Cast", &["mask"], &[int("to", 9)]);
            let c = m.node("Where", &[&c, "zero", "never"], &[]);
            let c = m.node("Expand", &[&c, "wide"], &[]);
            m.node("Add", &["x", &c], &[])
        }
        "inverted" => {
            let c = m.node("Cast", &["mask"], &[int("to", 7)]);
            let c = m.node("Cast", &[&c], &[int("to", 1)]);
            let c = m.node("Sub", &["one", &c], &[]);
            let c = m.node("Mul", &[&c, "never"], &[]);
            m.node("Add", &[&c, "x"], &[])
        }
        _ => {
            // Twice, as causal and padding masks are.
            let c = m.node("Cast", &["mask"], &[int("to", 9)]);
            let y = m.node("Where", &[&c, "x", "never"], &[]);
            let c = m.node("Where", &[&c, "zero", "never"], &[]);
            m.node("Add", &[&y, &c], &[])
        }
    };
    let y = m.node("Softmax", &[&sum], &[int("axis", -1)]);
    m.finish_typed(&[("x", &[1, 3, 4], 1), ("mask", &[1, 1, 4], 7)], &y)
}

const SPELLINGS: [&str; 5] = ["chosen", "chosen the other way", "added", "inverted", "twice"];

#[test]
fn masks_of_the_inputs_mask_in_every_spelling() {
    for how in SPELLINGS {
        for never in [-1e9f32, f32::MIN, f32::NEG_INFINITY] {
            if how == "inverted" && never == f32::NEG_INFINITY {
                continue;
            }
            // Calibrated with padding and without any: the mask is the mask.
            for padded in [true, false] {
                let last = if padded { 0.0 } else { 1.0 };
                let mask = |k: usize| vec![1.0, 1.0, 1.0, if k.is_multiple_of(2) { 1.0 } else { last }];
                let samples: Vec<Vec<Vec<f32>>> =
                    (0..8).map(|k| vec![made(12, k as u64 + 1).iter().map(|v| v * 3.0).collect(), mask(k)]).collect();
                let m = compiled(&masked(how, never), &samples);
                for hidden in [vec![1.0, 1.0, 1.0, 1.0], vec![1.0, 1.0, 0.0, 0.0], vec![0.0, 1.0, 0.0, 1.0]] {
                    let x = &samples[2][0];
                    let want: Vec<f32> = x.chunks(4).flat_map(|row| softmax(row, &hidden)).collect();
                    near(
                        &run(&m, &[x.clone(), hidden.clone()]),
                        &want,
                        0.004,
                        &format!("{how}, {never}, {padded}, {hidden:?}"),
                    );
                }
            }
        }
    }
}

#[test]
fn a_constant_mask_costs_no_lookup() {
    let build = |mask: bool| {
        let mut m = Model::default();
        m.initializer(&tensor("w", &[4, 4], &made(16, 3)));
        m.initializer(&tensor("never", &[], &[f32::NEG_INFINITY]));
        m.initializer(&tensor("ones", &[1, 4, 4], &(0..16).map(|i| f32::from(i % 4 <= i / 4)).collect::<Vec<_>>()));
        let x = m.node("MatMul", &["x", "w"], &[]);
        let c = m.node("Cast", &["ones"], &[int("to", 9)]);
        let y = if mask { m.node("Where", &[&c, &x, "never"], &[]) } else { x };
        let y = m.node("Softmax", &[&y], &[int("axis", -1)]);
        m.finish(&[("x", &[1, 4, 4])], &y)
    };
    let samples: Vec<_> = (0..8).map(|k| vec![made(16, k + 1)]).collect();
    let count = |m: &Compiled| m.graph.nodes().iter().filter(|n| matches!(n.op, Op::Lookup(_))).count();
    let (with, without) = (compiled(&build(true), &samples), compiled(&build(false), &samples));
    assert_eq!(count(&with), count(&without));
    assert!(run(&with, &samples[0])[1] < 1e-3);
}

#[test]
fn softmax_of_rows_that_lie_far_apart() {
    for axis in [1, 2] {
        let mut m = Model::default();
        let y = m.node("Softmax", &["x"], &[int("axis", axis)]);
        let file = m.finish(&[("x", &[1, 5, 7])], &y);
        let samples: Vec<Vec<Vec<f32>>> = (0..8)
            .map(|k| vec![made(35, k + 1).iter().enumerate().map(|(i, v)| 4.0 * v + (i / 7) as f32 * 6.0).collect()])
            .collect();
        let float = load_bytes(&file).expect("valid");
        let m = compiled(&file, &samples);
        for s in &samples {
            near(&run(&m, s), &float.run(s).expect("runs")[0], 0.004, &format!("axis {axis}"));
        }
    }
}

#[test]
fn masked_scores_whose_scale_is_no_power_of_two() {
    // Heads of 18 values: scores are divided by the root of 18; four widths, so that remainders align in some only.
    let (steps, width) = (24usize, 18usize);
    let mut m = Model::default();
    m.initializer(&tensor("w", &[18, 18], &made(width * width, 3)));
    m.initializer(&tensor("scale", &[], &[18f32.sqrt().recip()]));
    m.initializer(&tensor("never", &[], &[f32::NEG_INFINITY]));
    let lower: Vec<f32> = (0..steps * steps).map(|i| f32::from(i % steps <= i / steps)).collect();
    m.initializer(&tensor("ones", &[1, 24, 24], &lower));
    let q = m.node("MatMul", &["x", "w"], &[]);
    let k = m.node("Transpose", &["x"], &[ints("perm", &[0, 2, 1])]);
    let scores = m.node("MatMul", &[&q, &k], &[]);
    let scores = m.node("Mul", &[&scores, "scale"], &[]);
    let c = m.node("Cast", &["ones"], &[int("to", 9)]);
    let scores = m.node("Where", &[&c, &scores, "never"], &[]);
    let shares = m.node("Softmax", &[&scores], &[int("axis", -1)]);
    let y = m.node("MatMul", &[&shares, "x"], &[]);
    let file = m.finish(&[("x", &[1, steps as i64, width as i64])], &y);
    let float = load_bytes(&file).expect("valid");
    let samples: Vec<Vec<Vec<f32>>> =
        (0..4).map(|k| vec![made(steps * width, k + 1).iter().map(|v| v * 2.0).collect()]).collect();
    for limb in [4, 9, 16] {
        for bits in [8, 11, 13] {
            let options = CompileOptions {
                weight_bits: Some(bits),
                activation_bits: Some(bits),
                limb_bits: Some(limb),
                ..CompileOptions::default()
            };
            let m = compile(&float, &options, Some(&samples), &mut |_, _, _| {}).unwrap_or_else(|e| panic!("{e}"));
            // Scores reach far, and a step of theirs is a share of every result.
            let tolerance = 60.0 / f32::from(1u16 << bits);
            for s in &samples {
                near(&run(&m, s), &float.run(s).expect("runs")[0], tolerance, &format!("{bits} bits, limbs of {limb}"));
            }
        }
    }
}

#[test]
fn a_row_of_masked_entries_alone_is_uniform() {
    let samples: Vec<Vec<Vec<f32>>> =
        (0..8).map(|k| vec![made(12, k + 1), vec![1.0, 1.0, (k % 2) as f32, 1.0]]).collect();
    let m = compiled(&masked("added", -1e9), &samples);
    near(&run(&m, &[samples[0][0].clone(), vec![0.0; 4]]), &[0.25; 12], 0.004, "uniform");
}

#[test]
fn maxima_along_axes_of_every_extent() {
    for extent in 1..=19i64 {
        let mut m = Model::default();
        let y = m.node("ReduceMax", &["x"], &[ints("axes", &[1]), int("keepdims", 1)]);
        let file = m.finish(&[("x", &[1, extent, 2])], &y);
        let samples: Vec<_> = (0..6).map(|k| vec![made(2 * extent as usize, k + 9)]).collect();
        let m = compiled(&file, &samples);
        let levels = extent.unsigned_abs().next_power_of_two().trailing_zeros() as usize;
        assert_eq!(m.graph.nodes().iter().filter(|n| matches!(n.op, Op::Lookup(_))).count(), levels);
        for s in &samples {
            let want: Vec<f32> =
                (0..2).map(|c| s[0].iter().skip(c).step_by(2).copied().fold(f32::MIN, f32::max)).collect();
            near(&run(&m, s), &want, 1e-3, &format!("extent {extent}"));
        }
    }
}

#[test]
fn rows_of_unlike_size_are_normalized_alike() {
    for operator in [true, false] {
        let mut m = Model::default();
        m.initializer(&tensor("gain", &[8], &made(8, 5)));
        m.initializer(&tensor("eps", &[], &[1e-6]));
        let at = [ints("axes", &[-1]), int("keepdims", 1)];
        let y = if operator {
            m.node("LayerNormalization", &["x", "gain"], &[int("axis", -1)])
        } else {
            let mean = m.node("ReduceMean", &["x"], &at);
            let d = m.node("Sub", &["x", &mean], &[]);
            let square = m.node("Mul", &[&d, &d], &[]);
            let variance = m.node("ReduceMean", &[&square], &at);
            let v = m.node("Add", &[&variance, "eps"], &[]);
            let root = m.node("Sqrt", &[&v], &[]);
            let n = m.node("Div", &[&d, &root], &[]);
            m.node("Mul", &[&n, "gain"], &[])
        };
        let file = m.finish(&[("x", &[1, 4, 8])], &y);
        // The last row is twenty times as large as the first.
        let samples: Vec<Vec<Vec<f32>>> = (0..16)
            .map(|k| vec![made(32, k + 1).iter().enumerate().map(|(i, v)| v * [1.0, 3.0, 9.0, 20.0][i / 8]).collect()])
            .collect();
        let float = load_bytes(&file).expect("valid");
        let m = compiled(&file, &samples);
        for s in &samples {
            near(&run(&m, s), &float.run(s).expect("runs")[0], 0.02, "normalized");
        }
    }
}

#[test]
fn a_tied_embedding_is_committed_once() {
    let (rows, width) = (80usize, 64usize);
    let table = made(rows * width, 4);
    let build = |tied: bool| {
        let mut m = Model::default();
        m.initializer(&tensor("table", &[80, 64], &table));
        m.initializer(&tensor("other", &[80, 64], &made(rows * width, 5)));
        let ids = m.node("Cast", &["ids"], &[int("to", 7)]);
        let x = m.node("Gather", &["table", &ids], &[int("axis", 0)]);
        let head = m.node("Transpose", &[if tied { "table" } else { "other" }], &[ints("perm", &[1, 0])]);
        let y = m.node("MatMul", &[&x, &head], &[]);
        m.finish(&[("ids", &[1, 5])], &y)
    };
    let samples: Vec<Vec<Vec<f32>>> =
        (0..8).map(|k| vec![(0..5).map(|i| ((k * 31 + i * 17) % 80) as f32).collect()]).collect();
    for tied in [true, false] {
        let file = build(tied);
        let m = compiled(&file, &samples);
        assert_eq!(m.weights.len(), if tied { 1 } else { 2 });
        let float = load_bytes(&file).expect("valid");
        for s in &samples {
            let want = &float.run(s).expect("runs")[0];
            let top = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            near(&run(&m, s), want, 0.01 * top, "logits");
        }
    }
}

#[test]
fn small_equal_weights_stay_apart() {
    // The list of weights is the architecture's, whatever their values are.
    let list = |same: bool| {
        let mut m = Model::default();
        m.initializer(&tensor("a", &[4, 4], &made(16, 1)));
        m.initializer(&tensor("b", &[4, 4], &made(16, if same { 1 } else { 2 })));
        let y = m.node("MatMul", &["x", "a"], &[]);
        let y = m.node("Relu", &[&y], &[]);
        let y = m.node("MatMul", &[&y, "b"], &[]);
        let samples: Vec<_> = (0..8).map(|k| vec![made(8, k + 1)]).collect();
        compiled(&m.finish(&[("x", &[1, 2, 4])], &y), &samples).weights.len()
    };
    assert_eq!(list(true), list(false));
}

#[test]
fn cubes_of_negative_numbers() {
    for n in 2..=9i64 {
        let mut m = Model::default();
        m.initializer(&tensor("n", &[], &[n as f32]));
        let y = m.node("Pow", &["x", "n"], &[] as &[Message]);
        let samples: Vec<_> = (0..8).map(|k| vec![made(12, k + 1)]).collect();
        let c = compiled(&m.finish(&[("x", &[1, 12])], &y), &samples);
        for s in &samples {
            let want: Vec<f32> = s[0].iter().map(|v| v.powi(n as i32)).collect();
            near(&run(&c, s), &want, 0.003, &format!("power {n}"));
        }
    }
}

#[test]
fn reciprocal_roots_and_sums_need_no_table_of_their_own() {
    let mut m = Model::default();
    m.initializer(&tensor("gain", &[16], &made(16, 5)));
    let y = m.node("LayerNormalization", &["x", "gain"], &[int("axis", -1)]);
    let y = m.node("Softmax", &[&y], &[int("axis", -1)]);
    let file = m.finish(&[("x", &[1, 4, 16])], &y);
    let samples: Vec<_> = (0..8).map(|k| vec![made(64, k + 1)]).collect();
    let c = compiled(&file, &samples);
    let count = |pick: fn(&Op) -> bool| c.graph.nodes().iter().filter(|n| pick(&n.op)).count();
    assert_eq!((count(|op| matches!(op, Op::Root(_))), count(|op| matches!(op, Op::Divide(_)))), (1, 2));
    let float = load_bytes(&file).expect("valid");
    for s in &samples {
        near(&run(&c, s), &float.run(s).expect("runs")[0], 0.002, "shares");
    }
}

#[test]
fn a_large_matrix_is_cut_and_computes_the_same() {
    // 768 rows take the place of 1,024 in one piece.
    let (rows, columns) = (768usize, 700usize);
    let mut m = Model::default();
    m.initializer(&tensor("w", &[rows as i64, columns as i64], &made(rows * columns, 3)));
    let y = m.node("MatMul", &["x", "w"], &[]);
    let file = m.finish(&[("x", &[1, 2, rows as i64])], &y);
    let samples: Vec<_> = (0..4).map(|k| vec![made(2 * rows, k + 1)]).collect();
    let c = compiled(&file, &samples);
    assert_eq!(c.weights.len(), 4);
    assert_eq!(c.weights.iter().map(|w| w.data.len()).sum::<usize>(), rows * columns);
    let float = load_bytes(&file).expect("valid");
    for s in &samples {
        let want = &float.run(s).expect("runs")[0];
        let top = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        near(&run(&c, s), want, 0.003 * top, "products");
    }
}
