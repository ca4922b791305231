//! Recurrent networks with trained weights, on held-out images; `benches/models/train_recurrent.py` makes them.

use crate::support::{npz, path};
use assay_circuits::{
    Op,
    onnx::{CompileOptions, compile, load},
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
