//! Accuracy of the demo models.

use crate::support::{npz, path};
use assay_circuits::{
    Program, Visibility,
    onnx::{CompileOptions, compile, load},
};

fn digits(file: &str) {
    let model = load(path(file)).expect("the model loads");
    let data = npz("cli/assets/digits_test.npz");
    let rows = |name: &str| -> Vec<Vec<Vec<f32>>> { data[name].1.chunks(64).map(|r| vec![r.to_vec()]).collect() };
    let (test, calibration) = (rows("x"), rows("calibration"));
    assert_eq!(test.len(), 360);
    let m = compile(&model, &CompileOptions::default(), Some(&calibration), &mut |_, _, _| {}).expect("it compiles");
    println!("{file}: {:?}", m.report);
    let (mut agree, mut worst, mut lo, mut hi) = (0, 0.0f32, f32::INFINITY, f32::NEG_INFINITY);
    for x in &test {
        let want = model.run(x).expect("the float model runs").remove(0);
        let (q, _) = m.quantize_all(x).expect("finite");
        let got = m.eval(&q).expect("evaluates").outputs(&m.graph);
        let got = m.dequantize(&m.outputs[0], &got[0]).expect("its shape");
        let top = |v: &[f32]| v.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|x| x.0);
        agree += usize::from(top(&want) == top(&got));
        for (g, w) in got.iter().zip(&want) {
            worst = worst.max((g - w).abs());
            lo = lo.min(*w);
            hi = hi.max(*w);
        }
    }
    let (top1, error) = (agree as f32 / 360.0, worst / (hi - lo));
    println!("{file}: top-1 {top1}, error {error}");
    assert!(top1 >= 0.99, "top-1 agreement {top1}");
    assert!(error <= 0.01, "error {error} of the output range");
}

#[test]
fn digits_mlp_is_faithful() {
    digits("cli/assets/digits_mlp.onnx");
}

#[test]
fn digits_cnn_is_faithful() {
    digits("cli/assets/digits_cnn.onnx");
}

/// Pooling does not widen what is proven of its result, so that no lookup behind it has to clamp for its sake.
#[test]
fn pooled_networks_cost_few_lookups() {
    // With intervals that grew from maximum to maximum these were 28,416 and 67,008.
    for (name, most) in [("lenet", 28_416), ("cnn264k", 67_008)] {
        let model = load(path(&format!("benches/models/{name}.onnx"))).expect("the model loads");
        let data = npz(&format!("benches/models/{name}_calibration.npz"));
        let (shape, values) = data.values().next().expect("an array");
        let samples: Vec<Vec<Vec<f32>>> =
            values.chunks(shape[1..].iter().product()).map(|v| vec![v.to_vec()]).collect();
        let m = compile(&model, &CompileOptions::default(), Some(&samples), &mut |_, _, _| {}).expect("it compiles");
        let lookups = Program::inference(&m.graph, 1, Visibility::default()).expect("it can be laid out").lookups();
        println!("{name}: {lookups} lookups, {:?}", (m.report.weight_bits, m.report.activation_bits));
        assert!(lookups <= most, "{name}: {lookups} lookups");
    }
}
