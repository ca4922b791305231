//! Embeddings: rows of a constant table by indices that are data.

use crate::proto::{Model, int, tensor};
use assay_circuits::{
    Op, Program, Visibility,
    onnx::{CompileOptions, compile, load_bytes},
};

#[test]
fn embeddings_read_the_row_of_their_token() {
    let (rows, width) = (5usize, 3usize);
    let data: Vec<f32> = (0..rows * width).map(|i| (i as f32 * 0.7).sin()).collect();
    let mut m = Model::default();
    m.initializer(&tensor("table", &[rows as i64, width as i64], &data));
    let ids = m.node("Cast", &["ids"], &[int("to", 7)]);
    let out = m.node("Gather", &["table", &ids], &[int("axis", 0)]);
    let file = m.finish(&[("ids", &[1, 4])], &out);
    let model = load_bytes(&file).unwrap();
    let samples = vec![vec![vec![0.0f32, 4.0, 1.0, 2.0]], vec![vec![-5.0f32, 3.0, -1.0, 4.0]]];
    let m = compile(&model, &CompileOptions::default(), Some(&samples), &mut |_, _, _| {}).unwrap();
    assert!(m.graph.nodes().iter().any(|n| matches!(n.op, Op::Gather(_))));
    Program::inference(&m.graph, 3, Visibility::default()).unwrap();
    for s in &samples {
        let (q, _) = m.quantize_all(s).unwrap();
        let got = m.dequantize(&m.outputs[0], &m.eval(&q).unwrap().outputs(&m.graph)[0]).unwrap();
        for (k, id) in s[0].iter().enumerate() {
            let row = id.rem_euclid(rows as f32) as usize;
            for j in 0..width {
                let (got, want) = (got[k * width + j], data[row * width + j]);
                assert!((got - want).abs() < 0.02, "id {id}, column {j}: {got}, expected {want}");
            }
        }
    }
    // What is outside of the table is an error, at both ends.
    for bad in [5.0f32, -6.0] {
        let refused = m.quantize_all(&[vec![0.0, bad, 1.0, 2.0]]).map(|(q, _)| m.eval(&q).is_err());
        assert!(refused.unwrap_or(true), "{bad} names no row");
    }
}
