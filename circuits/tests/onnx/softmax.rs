//! The softmax at the end of a model, left out when asked to; and what `inspect` knows of models that cannot be compiled.

use crate::proto::{Model, int, tensor};
use assay_circuits::{
    model::MAX_ERROR,
    onnx::{CompileOptions, FloatModel, LoadOptions, compile, inspect, load_bytes, load_with},
};
use std::path::Path;

fn quiet(_: &str, _: u64, _: u64) {}

/// A dense layer, followed by operators.
fn dense(last: &[&str]) -> Vec<u8> {
    let mut m = Model::default();
    m.initializer(&tensor("w", &[4, 3], &[0.5, -0.25, 0.125, 1.0, 0.5, -0.5, 0.25, 0.75, -1.0, 0.5, 0.25, 0.125]));
    let mut y = m.node("MatMul", &["x", "w"], &[]);
    for op in last {
        let attributes = match *op {
            "Softmax" | "LogSoftmax" => vec![int("axis", 1)],
            // An attribute that nobody reads: the node is refused.
            "Softplus" => vec![int("beta", 2)],
            _ => vec![],
        };
        y = m.node(op, &[&y], &attributes);
    }
    m.finish(&[("x", &[1, 4])], &y)
}

fn dropped(name: &str, bytes: &[u8]) -> FloatModel {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.onnx", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    let model = load_with(&path, &LoadOptions { drop_softmax: true, ..LoadOptions::default() });
    std::fs::remove_file(&path).unwrap();
    model.unwrap()
}

#[test]
fn what_goes_into_the_last_softmax_is_proven_instead() {
    let plain = compile(&load_bytes(&dense(&[])).unwrap(), &CompileOptions::default(), None, &mut quiet).unwrap();
    for op in ["Softmax", "LogSoftmax"] {
        let bytes = dense(&[op]);
        let whole = compile(&load_bytes(&bytes).unwrap(), &CompileOptions::default(), None, &mut quiet).unwrap();
        assert!(whole.graph.nodes().len() > plain.graph.nodes().len() + 5, "the softmax itself is proven");
        let model = dropped(op, &bytes);
        let note = &model.notes[0];
        assert!(note.contains(op) && note.contains("logits"), "{note}");
        assert!(inspect(&model).supported());
        let m = compile(&model, &CompileOptions::default(), None, &mut quiet).unwrap();
        assert_eq!(m.weights, plain.weights);
        assert_eq!(m.graph.nodes().len(), plain.graph.nodes().len());
        let x = [0.5, -0.25, 1.0, 0.125];
        let run = |m: &assay_circuits::model::Model| {
            let (q, _) = m.quantize_all(&[x.to_vec()]).unwrap();
            m.eval(&q).unwrap().outputs(&m.graph)
        };
        assert_eq!(run(&m), run(&plain));
        assert!(m.report.notes.iter().any(|n| n == note), "the note travels with the model");
    }
}

#[test]
fn a_softmax_that_something_reads_stays() {
    let model = dropped("inner", &dense(&["Softmax", "Relu"]));
    assert!(model.notes.is_empty(), "{:?}", model.notes);
    assert!(compile(&model, &CompileOptions::default(), None, &mut quiet).is_ok());
    // Without any softmax the option changes nothing.
    let model = dropped("none", &dense(&["Relu"]));
    assert!(model.notes.is_empty() && inspect(&model).supported());
}

#[test]
fn shapes_and_counts_survive_a_node_that_cannot_be_proven() {
    let seen = inspect(&load_bytes(&dense(&["Softplus", "Relu"])).unwrap());
    assert!(!seen.supported() && seen.problem.is_none());
    assert_eq!(seen.nodes.iter().filter(|n| !n.supported).count(), 1, "{seen:?}");
    assert_eq!((seen.parameters, seen.multiply_adds), (12, 12));
    for n in &seen.nodes {
        assert_eq!(n.shape.as_deref(), Some(&[1, 3][..]), "{n:?}");
    }
    // An operator that nobody knows: what follows from the inputs is still listed.
    let seen = inspect(&load_bytes(&dense(&["Frobnicate", "Relu"])).unwrap());
    assert!(!seen.supported() && seen.problem.is_none(), "{seen:?}");
    assert_eq!(seen.nodes[0].shape.as_deref(), Some(&[1, 3][..]), "{seen:?}");
    assert_eq!(seen.nodes.iter().filter(|n| !n.supported).map(|n| n.op.as_str()).collect::<Vec<_>>(), ["Frobnicate"]);
}

#[test]
fn inspect_says_yes_to_what_compiles_and_to_nothing_else() {
    // Each operator is known; together the values pass what integers of 61 bits hold.
    let mut m = Model::default();
    m.initializer(&tensor("w", &[2, 2], &[1.0; 4]));
    let mut y = m.node("MatMul", &["x", "w"], &[]);
    for _ in 0..6 {
        y = m.node("Mul", &[&y, &y], &[]);
    }
    for bytes in [m.finish(&[("x", &[1, 2])], &y), dense(&[]), dense(&["Relu"]), dense(&["Softmax"])] {
        let model = load_bytes(&bytes).unwrap();
        let compiles = compile(&model, &CompileOptions::default(), None, &mut quiet);
        let seen = inspect(&model);
        assert_eq!(seen.supported(), compiles.is_ok(), "{seen:?} {:?}", compiles.err());
    }
}

#[test]
fn widths_that_do_for_the_first_samples_only_are_not_the_last_ones_tried() {
    let bytes = dense(&["Softmax"]);
    // Scores of the first samples are so far apart that nothing is left to round.
    let noise = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
    let samples: Vec<Vec<Vec<f32>>> = (0..200)
        .map(|k| match k {
            0..64 => vec![[[20.0, 0.0, 0.0, 20.0], [-20.0, 0.0, 0.0, 20.0], [0.0, 0.0, -20.0, 0.0]][k % 3].to_vec()],
            _ => vec![(0..4).map(|i| 3.0 * noise(4 * k + i)).collect()],
        })
        .collect();
    let model = compile(&load_bytes(&bytes).unwrap(), &CompileOptions::default(), Some(&samples), &mut quiet).unwrap();
    let (first, last) = (&model.report.tried[0], model.report.tried.last().unwrap());
    assert!(first.max_error > MAX_ERROR && first.samples == 200, "the first widths do for 64 samples: {first:?}");
    assert!(last.max_error <= MAX_ERROR && last.samples == 200, "{last:?}");
    assert!(model.report.max_error() <= MAX_ERROR && model.report.samples == 200);
}
