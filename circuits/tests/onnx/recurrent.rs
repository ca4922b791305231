//! Recurrent networks with trained weights, on held-out images; `benches/models/train_recurrent.py` makes them.

use crate::{
    proto::{Message, Model, int, integers, tensor, text, texts},
    support::{npz, path},
};
use assay_circuits::{
    Op,
    onnx::{CompileOptions, ImportError, compile, load, load_bytes},
};

fn class(v: &[f32]) -> usize {
    (0..v.len()).max_by(|a, b| v[*a].total_cmp(&v[*b])).unwrap_or(0)
}

/// Accuracy in floats and in integers, and how often both say the same.
fn accuracy(file: &str) -> (f64, f64, f64) {
    let model = load(path(&format!("circuits/tests/recurrent/{file}.onnx"))).expect("the model loads");
    let data = npz("circuits/tests/recurrent/digits_rows.npz");
    let rows = |name: &str| -> Vec<Vec<Vec<f32>>> { data[name].1.chunks(64).map(|r| vec![r.to_vec()]).collect() };
    let m = compile(&model, &CompileOptions::default(), Some(&rows("calibration")), &mut |_, _, _| {})
        .expect("it compiles");
    println!("{file}: {:?}", m.report);
    assert!(m.report.passes(), "{file}: {:?}", m.report.outputs);
    let steps = m.graph.nodes().iter().filter(|n| matches!(&n.op, Op::Delay(d) if d.len == 8)).count();
    assert_eq!(steps, if file.ends_with("lstm") { 2 } else { 1 }, "a cell is in the graph once");
    let (mut float, mut proven, mut same) = (0, 0, 0);
    let labels = &data["y"].1;
    for (x, y) in rows("x").iter().zip(labels) {
        let f = class(&model.run(x).expect("the float model runs")[0]);
        let (q, _) = m.quantize_all(x).expect("finite");
        let got = m.eval(&q).expect("evaluates").outputs(&m.graph);
        let p = class(&m.dequantize(&m.outputs[0], &got[0]).expect("its shape"));
        float += usize::from(f as f32 == *y);
        proven += usize::from(p as f32 == *y);
        same += usize::from(f == p);
    }
    let share = |n: usize| n as f64 / labels.len() as f64;
    println!("{file}: float {:.3}, proven {:.3}, the same {:.3}", share(float), share(proven), share(same));
    (share(float), share(proven), share(same))
}

#[test]
fn digits_row_by_row() {
    for file in ["digits_lstm", "digits_gru"] {
        let (float, proven, same) = accuracy(file);
        assert!(float > 0.94, "the fixture is a model worth proving");
        assert!((float - proven).abs() <= 0.01, "{file}: float {float}, proven {proven}");
        assert!(same >= 0.985, "{file}: the same class for {same}");
    }
}

/// Why a model is refused, with the operator that the error names.
fn refused(file: &[u8]) -> (String, String) {
    let model = load_bytes(file).expect("the file itself is sound");
    match compile(&model, &CompileOptions::default(), None, &mut |_, _, _| {}).expect_err("it is refused") {
        ImportError::Unsupported { op, help, .. } => (op, help),
        other => panic!("{other}"),
    }
}

/// An RNN of three features and two units over four steps.
fn rnn(order: &[&str], attributes: &[Message], inputs: &[(&str, &[i64])], lengths: Option<&[i64]>) -> Vec<u8> {
    let mut m = Model::default();
    m.initializer(&tensor("w", &[1, 2, 3], &[0.5, -0.25, 0.125, 0.3, 0.2, -0.1]));
    m.initializer(&tensor("r", &[1, 2, 2], &[0.4, -0.3, 0.2, 0.1]));
    if let Some(l) = lengths {
        m.initializer(&integers("n", l));
    }
    let y = m.node("RNN", order, attributes);
    m.finish(inputs, &y)
}

#[test]
fn what_is_no_full_recurrence_is_refused_by_name() {
    let x: &[(&str, &[i64])] = &[("x", &[4, 1, 3])];
    let plain = ["x", "w", "r"];
    let says = |file: Vec<u8>, word: &str| {
        let (op, help) = refused(&file);
        assert!(op == "RNN" && help.contains(word), "{op}: {help}");
    };
    assert!(load_bytes(&rnn(&plain, &[], x, None)).is_ok_and(|m| m.run(&[vec![0.5; 12]]).is_ok()));
    assert!(
        load_bytes(&rnn(&["x", "w", "r", "", "n"], &[], x, Some(&[4]))).is_ok_and(|m| m.run(&[vec![0.5; 12]]).is_ok())
    );
    says(rnn(&["x", "w", "r", "", "n"], &[], x, Some(&[3])), "all steps");
    says(rnn(&plain, &[int("hidden_size", 3)], x, None), "units");
    says(rnn(&plain, &[text("direction", "bidirectional")], x, None), "directions");
    says(rnn(&plain, &[text("direction", "sideways")], x, None), "sideways");
    says(rnn(&plain, &[texts("activations", &["Tanh", "Relu"])], x, None), "1 are needed");
    says(rnn(&plain, &[texts("activations", &["Maxout"])], x, None), "Maxout");
    says(rnn(&plain, &[int("layout", 2)], x, None), "layout");
    says(rnn(&["x", "w", "r", "", "", "h"], &[], &[("x", &[4, 1, 3]), ("h", &[1, 1, 3])], None), "shape");
    // Lengths that are data.
    says(rnn(&["x", "w", "r", "", "l"], &[], &[("x", &[4, 1, 3]), ("l", &[1])], None), "all steps");
}

/// A loop whose body adds one to what it carries; its number of trips may be data.
fn counting(trips: Option<i64>, condition: &[u8]) -> Vec<u8> {
    let node = |op: &str, inputs: &[&str], output: &str| {
        let m = inputs.iter().fold(Message::default(), |m, i| m.bytes(1, i.as_bytes()));
        m.bytes(2, output.as_bytes()).bytes(4, op.as_bytes())
    };
    let name = |n: &str| Message::default().bytes(1, n.as_bytes());
    let body = Message::default()
        .bytes(1, &node("Identity", &[std::str::from_utf8(condition).unwrap()], "on").0)
        .bytes(1, &node("Add", &["s", "one"], "t").0)
        .bytes(2, b"body");
    let body = ["i", "c", "s"].iter().fold(body, |b, n| b.bytes(11, &name(n).0));
    let body = ["on", "t"].iter().fold(body, |b, n| b.bytes(12, &name(n).0));
    let attribute = Message::default().bytes(1, b"body").bytes(6, &body.0).int(20, 5);
    let mut m = Model::default();
    m.initializer(&tensor("one", &[1], &[1.0]));
    if let Some(t) = trips {
        m.initializer(&integers("m", &[t]));
    }
    let y = m.node("Loop", &[if trips.is_some() { "m" } else { "z" }, "", "x"], &[attribute]);
    let y = m.node("Mul", &[&y, "x"], &[]);
    let x: (&str, &[i64]) = ("x", &[1, 3]);
    if trips.is_some() { m.finish(&[x], &y) } else { m.finish(&[x, ("z", &[1])], &y) }
}

#[test]
fn loops_are_written_out_within_bounds() {
    let model = load_bytes(&counting(Some(3), b"c")).expect("it loads");
    let got = model.run(&[vec![0.5, 1.0, -2.0]]).expect("it runs");
    assert_eq!(got[0], [3.5 * 0.5, 4.0, -2.0]);
    assert!(compile(&model, &CompileOptions::default(), None, &mut |_, _, _| {}).is_ok());
    // A number of trips that no proof is long enough for, or that is data; a condition that is.
    for (file, word) in [
        (counting(Some(1 << 40), b"c"), "too many"),
        (counting(Some(100_000), b"c"), "too many"),
        (counting(None, b"c"), "constant"),
        (counting(Some(3), b"s"), "condition"),
    ] {
        let (op, help) = refused(&file);
        assert!(op == "Loop" && help.contains(word), "{op}: {help}");
    }
}
