//! Order among entries that lie close together.

use crate::proto::{Model, int, integers, node, tensor};
use assay_circuits::onnx::{CompileOptions, compile, load_bytes};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Entries that get a rank.
const ENTRIES: usize = 24;

/// What TopK of products with nearly equal columns gives for each sample: the output of that name.
fn top(largest: i64, output: &str, weights: &[f32], samples: &[Vec<Vec<f32>>]) -> Vec<Vec<f32>> {
    let mut m = Model::default();
    m.initializer(&tensor("w", &[4, ENTRIES as i64], weights));
    m.initializer(&integers("k", &[ENTRIES as i64]));
    let x = m.node("MatMul", &["x", "w"], &[]);
    m.add(&node("", "TopK", "top", &[&x, "k"], &["values", "places"], &[int("largest", largest)]));
    let model = load_bytes(&m.finish(&[("x", &[1, 4])], output)).expect("it loads");
    let c = compile(&model, &CompileOptions::default(), Some(samples), &mut |_, _, _| ()).expect("it compiles");
    let each = |sample: &Vec<Vec<f32>>| {
        let (q, _) = c.quantize_all(sample).expect("it fits");
        let out = c.eval(&q).expect("it runs").outputs(&c.graph);
        c.dequantize(&c.outputs[0], &out[0]).expect("floats")
    };
    samples.iter().map(each).collect()
}

#[test]
fn every_entry_has_a_rank_of_its_own_however_close_they_are() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut one = || rng.gen_range(-1.0f32..1.0);
    let row: Vec<f32> = (0..4).map(|_| one()).collect();
    let weights: Vec<f32> = (0..4 * ENTRIES).map(|i| row[i / ENTRIES] + 0.004 * one()).collect();
    let samples: Vec<Vec<Vec<f32>>> = (0..20).map(|_| vec![(0..4).map(|_| one()).collect()]).collect();
    for largest in [1, 0] {
        let places = top(largest, "places", &weights, &samples);
        let values = top(largest, "values", &weights, &samples);
        for ((places, values), sample) in places.iter().zip(&values).zip(&samples) {
            let mut sorted: Vec<usize> = places.iter().map(|p| *p as usize).collect();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..ENTRIES).collect::<Vec<_>>(), "{places:?}");
            for (place, value) in places.iter().zip(values) {
                let float: f32 = (0..4).map(|i| sample[0][i] * weights[i * ENTRIES + *place as usize]).sum();
                assert!((float - value).abs() < 0.1, "{float} at {place}, not {value}");
            }
        }
    }
}
