//! What a file leaves open or keeps elsewhere: symbolic extents, weights beside the file, types, names, unused parts.

use crate::proto::{Message, Model, float, function, int, integers, ints, node, tensor};
use assay_circuits::onnx::{CompileOptions, LoadOptions, compile, load, load_bytes, load_bytes_with, load_with};
use std::path::PathBuf;

fn quiet(_: &str, _: u64, _: u64) {}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(path.join("in/deep")).expect("a folder");
    path
}

/// A dense layer whose six weights are at `location`, `offset` bytes in.
fn external(fields: &[(&str, &str)]) -> Vec<u8> {
    let t = Message::default().int(1, 2).int(1, 3).int(2, 1).bytes(8, b"w").int(14, 1);
    let entry = |k: &str, v: &str| Message::default().bytes(1, k.as_bytes()).bytes(2, v.as_bytes()).0;
    let t = fields.iter().fold(t, |t, (k, v)| t.bytes(13, &entry(k, v)));
    let mut m = Model::default();
    m.initializer(&t);
    let y = m.node("MatMul", &["x", "w"], &[]);
    m.finish(&[("x", &[1, 2])], &y)
}

#[test]
fn weights_beside_the_file_are_read_and_nothing_outside_of_its_folder() {
    let root = folder("external");
    let home = root.join("in");
    let data: Vec<u8> = [9.0f32, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(home.join("m.onnx.data"), &data).expect("written");
    std::fs::write(home.join("deep/w.bin"), &data).expect("written");
    std::fs::write(root.join("secret"), &data).expect("written");
    let model = home.join("m.onnx");
    let attempt = |fields: &[(&str, &str)]| {
        std::fs::write(&model, external(fields)).expect("written");
        load(&model)
    };
    for location in ["m.onnx.data", "./m.onnx.data", "deep/w.bin"] {
        let float = attempt(&[("location", location), ("offset", "4"), ("length", "24")]).expect("it is there");
        assert_eq!(float.run(&[vec![1.0, 10.0]]).expect("it runs")[0], [41.0, 52.0, 63.0]);
    }
    let secret = root.join("secret").display().to_string();
    for location in ["../secret", "deep/../../secret", &secret, "", "missing", "deep", ".."] {
        let error = attempt(&[("location", location), ("length", "24")]).expect_err(location).to_string();
        assert!(error.contains("'w'"), "{location}: {error}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(root.join("secret"), home.join("link")).expect("a link");
        let error = attempt(&[("location", "link"), ("length", "24")]).expect_err("outside").to_string();
        assert!(error.contains("not inside"), "{error}");
    }
    let huge = u64::MAX.to_string();
    for (offset, length) in
        [("8", "24"), ("0", "23"), ("0", "28"), ("x", "24"), ("-4", "24"), (&huge, "24"), ("0", &huge)]
    {
        let fields = [("location", "m.onnx.data"), ("offset", offset), ("length", length)];
        assert!(attempt(&fields).is_err(), "offset {offset}, length {length}");
    }
    let bytes = external(&[("location", "m.onnx.data")]);
    assert!(load_bytes(&bytes).is_err(), "without a folder there is no data");
    std::fs::remove_dir_all(root).expect("removed");
}

/// `relu(x)` with the given extents; a name makes an axis symbolic.
fn symbolic(dims: &[Result<i64, &str>]) -> Vec<u8> {
    let dim = |d: &Result<i64, &str>| match d {
        Ok(v) => Message::default().int(1, *v),
        Err("") => Message::default(),
        Err(name) => Message::default().bytes(2, name.as_bytes()),
    };
    let shape = dims.iter().fold(Message::default(), |m, d| m.bytes(1, &dim(d).0));
    let kind = Message::default().int(1, 1).bytes(2, &shape.0);
    let value = Message::default().bytes(1, b"x").bytes(2, &Message::default().bytes(1, &kind.0).0);
    let node = Message::default().bytes(1, b"x").bytes(2, b"y").bytes(4, b"Relu");
    let graph = Message::default().bytes(1, &node.0).bytes(11, &value.0);
    let graph = graph.bytes(12, &Message::default().bytes(1, b"y").0);
    Message::default().int(1, 8).bytes(8, &Message::default().int(2, 17).0).bytes(7, &graph.0).0
}

#[test]
fn a_leading_axis_is_a_batch_only_where_it_says_so() {
    for name in ["N", "batch", "batch_size", "BATCH", ""] {
        let model = load_bytes(&symbolic(&[Err(name), Ok(4)])).expect(name);
        assert_eq!(model.inputs[0].1, [1, 4]);
        assert!(model.notes.iter().any(|n| n.contains("fixed to 1")), "{:?}", model.notes);
    }
    let seq = symbolic(&[Err("seq"), Ok(4)]);
    let error = load_bytes(&seq).expect_err("a sequence is no batch").to_string();
    assert!(error.contains("--dim seq=") && error.contains("--batch-axis seq"), "{error}");
    let five = LoadOptions { dims: vec![("seq".to_owned(), 5)], ..LoadOptions::default() };
    assert_eq!(load_bytes_with(&seq, &five).expect("given").inputs[0].1, [5, 4]);
    let batch = LoadOptions { batch: vec!["seq".to_owned()], ..LoadOptions::default() };
    assert_eq!(load_bytes_with(&seq, &batch).expect("said").inputs[0].1, [1, 4]);
    let image = symbolic(&[Err("N"), Ok(1), Err("height"), Err("")]);
    let error = load_bytes(&image).expect_err("open").to_string();
    assert!(error.contains("--dim height="), "{error}");
    let dims = vec![("height".to_owned(), 3), ("x:3".to_owned(), 2)];
    let options = LoadOptions { dims, ..LoadOptions::default() };
    assert_eq!(load_bytes_with(&image, &options).expect("given").inputs[0].1, [1, 1, 3, 2]);
    let typo = LoadOptions { dims: vec![("hieght".to_owned(), 3)], ..LoadOptions::default() };
    let error = load_bytes_with(&symbolic(&[Err("N"), Ok(4)]), &typo).expect_err("no such symbol").to_string();
    assert!(error.contains("hieght"), "{error}");
}

#[test]
fn an_input_that_is_set_is_a_constant_of_the_model() {
    let mut m = Model::default();
    let factor = m.node("Cast", &["s"], &[int("to", 1)]);
    let y = m.node("Mul", &["x", &factor], &[]);
    let bytes = m.finish_typed(&[("x", &[1, 3], 1), ("s", &[1], 7)], &y);
    let set = |name: &str, v: f64| LoadOptions { values: vec![(name.to_owned(), v)], ..LoadOptions::default() };
    let model = load_bytes_with(&bytes, &set("s", -3.0)).expect("it is an input");
    assert_eq!(model.inputs, [("x".to_owned(), vec![1, 3])]);
    assert!(model.notes.iter().any(|n| n.contains("'s' is the constant -3")), "{:?}", model.notes);
    assert_eq!(model.run(&[vec![1.0, -2.0, 0.5]]).expect("it runs"), [vec![-3.0, 6.0, -1.5]]);
    for (name, v, says) in
        [("t", 1.0, "an input of the model (x, s)"), ("s", 0.5, "no number of type"), ("s", 1e300, "no number")]
    {
        let error = load_bytes_with(&bytes, &set(name, v)).expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn unused_parts_and_shared_names_do_not_matter() {
    let node = |name: &[u8], op: &[u8], from: &[u8], to: &[u8]| {
        Message::default().bytes(1, from).bytes(2, to).bytes(3, name).bytes(4, op)
    };
    let dim = |v: i64| Message::default().int(1, v).0;
    let shape = Message::default().bytes(1, &dim(1)).bytes(1, &dim(3));
    let kind = Message::default().int(1, 1).bytes(2, &shape.0);
    let value = Message::default().bytes(1, b"x").bytes(2, &Message::default().bytes(1, &kind.0).0);
    let graph = Message::default()
        .bytes(1, &node(b"same", b"Relu", b"x", b"a").0)
        .bytes(1, &node(b"same", b"Sigmoid", b"a", b"y").0)
        .bytes(1, &node(b"x", b"Frobnicate", b"a", b"unused").0)
        .bytes(5, &tensor("never", &[1], &[f32::NAN]).0)
        .bytes(11, &value.0)
        .bytes(12, &Message::default().bytes(1, b"y").0);
    let file = Message::default().int(1, 8).bytes(8, &Message::default().int(2, 17).0).bytes(7, &graph.0).0;
    let model = load_bytes(&file).expect("it loads");
    assert_eq!(model.nodes.len(), 2);
    assert!(compile(&model, &CompileOptions::default(), None, &mut quiet).is_ok());
}

#[test]
fn integers_do_not_saturate() {
    for values in [[98.0f32, -97.0, 3.9], [400.5, -3.2, 0.0]] {
        let mut m = Model::default();
        let i = m.node("Cast", &["x"], &[int("to", 6)]);
        let i = m.node("Add", &[&i, &i], &[]);
        let y = m.node("Cast", &[&i], &[int("to", 1)]);
        let model = load_bytes(&m.finish(&[("x", &[1, 3])], &y)).expect("it loads");
        let samples = vec![vec![values.to_vec()]];
        let options = CompileOptions { weight_bits: Some(12), activation_bits: Some(12), ..CompileOptions::default() };
        let c = compile(&model, &options, Some(&samples), &mut quiet).expect("it compiles");
        let (q, _) = c.quantize_all(&samples[0]).expect("it fits");
        let out = c.eval(&q).expect("it runs").outputs(&c.graph);
        let out = c.dequantize(&c.outputs[0], &out[0]).expect("floats");
        let expected: Vec<f32> = values.iter().map(|v| v.trunc() * 2.0).collect();
        assert_eq!(out, expected);
    }
}

/// Several categories in one table of embeddings, each with its own offset, as tabular networks have them.
#[test]
fn categories_with_offsets_are_indices() {
    let rows: Vec<f32> = (0..24).map(|i| (i * 5 % 13) as f32 / 8.0 - 0.75).collect();
    for (op, offsets) in [("Add", [0i64, 4, 8]), ("Add", [1, 1, 1]), ("Sub", [0, -4, -8]), ("Add", [3, 0, 7])] {
        let mut m = Model::default();
        m.initializer(&tensor("table", &[12, 2], &rows));
        m.initializer(&integers("offsets", &offsets));
        let at = m.node(op, &["c", "offsets"], &[]);
        let y = m.node("Gather", &["table", &at], &[]);
        let samples: Vec<Vec<Vec<f32>>> =
            (0..8).map(|k| vec![(0..3).map(|i| ((k + i) % 4) as f32).collect()]).collect();
        let file = m.finish_typed(&[("c", &[1, 3], 7)], &y);
        for (k, sample) in samples.iter().enumerate() {
            let out = run(&file, &samples, k);
            let place = |i: usize| sample[0][i] as i64 + if op == "Add" { offsets[i] } else { -offsets[i] };
            let expected: Vec<f32> = (0..3)
                .flat_map(|i| (0..2).map(move |d| (i, d)))
                .map(|(i, d)| rows[2 * place(i) as usize + d])
                .collect();
            assert!(
                out.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-3),
                "{op} {offsets:?}: {out:?}, not {expected:?}"
            );
        }
    }
}

#[test]
fn a_mask_leaves_the_rest_as_it_is() {
    for (mask, f) in
        [(-1e9f32, "Sigmoid"), (f32::NEG_INFINITY, "Sigmoid"), (-1e9, "Softmax"), (f32::NEG_INFINITY, "Softmax")]
    {
        let mut m = Model::default();
        m.initializer(&tensor("m", &[1, 4], &[0.0, mask, 0.25, 0.0]));
        let a = m.node("Add", &["x", "m"], &[]);
        let y = m.node(f, &[&a], &[]);
        let model = load_bytes(&m.finish(&[("x", &[1, 4])], &y)).expect("it loads");
        let samples: Vec<Vec<Vec<f32>>> =
            (0..8).map(|k| vec![(0..4).map(|i| ((k * 7 + i * 5) % 11) as f32 / 5.0 - 1.0).collect()]).collect();
        let c = compile(&model, &CompileOptions::default(), Some(&samples), &mut quiet).expect("it compiles");
        assert!(c.report.max_error() < 0.01, "{f} with {mask}: {}", c.report.max_error());
    }
}

#[test]
fn a_path_and_options_agree() {
    let root = folder("plain");
    let path = root.join("m.onnx");
    std::fs::write(&path, symbolic(&[Err("seq"), Ok(4)])).expect("written");
    assert!(load(&path).is_err());
    let five = LoadOptions { dims: vec![("seq".to_owned(), 5)], ..LoadOptions::default() };
    assert_eq!(load_with(&path, &five).expect("given").inputs[0].1, [5, 4]);
    std::fs::remove_dir_all(root).expect("removed");
}

/// Compiles a file with samples and runs one of them.
fn run(file: &[u8], samples: &[Vec<Vec<f32>>], which: usize) -> Vec<f32> {
    let model = load_bytes(file).expect("it loads");
    let options = CompileOptions { weight_bits: Some(14), activation_bits: Some(12), ..CompileOptions::default() };
    let c = compile(&model, &options, Some(samples), &mut quiet).unwrap_or_else(|e| panic!("{e}"));
    let (q, _) = c.quantize_all(&samples[which]).expect("it fits");
    let out = c.eval(&q).expect("it runs").outputs(&c.graph);
    c.dequantize(&c.outputs[0], &out[0]).expect("floats")
}

/// Samples of numbers between `lo` and `hi`, each end among them.
fn spread(count: usize, n: usize, lo: f32, hi: f32) -> Vec<Vec<Vec<f32>>> {
    let value = |i: usize| lo + (hi - lo) * ((i * 37) % 101) as f32 / 100.0;
    (0..count).map(|k| vec![(0..n).map(|i| value(k * n + i)).collect()]).collect()
}

fn near(got: &[f32], want: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() <= tolerance, "{what}: {got:?}, expected {want:?}");
    }
}

#[test]
fn floats_of_other_widths_and_bytes_are_taken() {
    let weights = [0.5f32, -1.0, 0.25, 2.0];
    // The same numbers in half precision: a sign, five bits of exponent, ten of mantissa.
    let half: Vec<u8> = [0x3800u16, 0xbc00, 0x3400, 0x4000].iter().flat_map(|b| b.to_le_bytes()).collect();
    let double: Vec<u8> = weights.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
    let single: Vec<u8> = weights.iter().flat_map(|v| v.to_le_bytes()).collect();
    for (what, kind, raw) in [("float16", 10, half), ("float64", 11, double), ("uint8", 2, single)] {
        let mut m = Model::default();
        let held = if kind == 2 { 1 } else { kind };
        let w = Message::default().int(1, 2).int(1, 2).int(2, held).bytes(8, b"w").bytes(9, &raw);
        m.initializer(&w);
        let x = if kind == 2 { m.node("Cast", &["x"], &[int("to", 1)]) } else { "x".to_owned() };
        let y = m.node("MatMul", &[&x, "w"], &[]);
        let file = m.finish_typed(&[("x", &[1, 2], kind)], &y);
        let samples = match kind {
            2 => vec![vec![vec![200.0, 3.0]], vec![vec![0.0, 255.0]]],
            _ => vec![vec![vec![1.5, -0.75]], vec![vec![-2.0, 2.0]]],
        };
        let x = &samples[0][0];
        let want = [x[0] * 0.5 + x[1] * 0.25, -x[0] + x[1] * 2.0];
        near(&run(&file, &samples, 0), &want, 0.002, what);
    }
}

#[test]
fn a_constant_output_is_left_out_with_a_word() {
    let node = |op: &[u8], from: &[u8], to: &[u8]| Message::default().bytes(1, from).bytes(2, to).bytes(4, op).0;
    let dim = |v: i64| Message::default().int(1, v).0;
    let shape = Message::default().bytes(1, &dim(1)).bytes(1, &dim(3));
    let kind = Message::default().int(1, 1).bytes(2, &shape.0);
    let value = Message::default().bytes(1, b"x").bytes(2, &Message::default().bytes(1, &kind.0).0);
    let graph = Message::default()
        .bytes(1, &node(b"Relu", b"x", b"y"))
        .bytes(1, &node(b"Neg", b"c", b"k"))
        .bytes(5, &tensor("c", &[2], &[1.0, 2.0]).0)
        .bytes(11, &value.0)
        .bytes(12, &Message::default().bytes(1, b"y").0)
        .bytes(12, &Message::default().bytes(1, b"k").0);
    let file = Message::default().int(1, 8).bytes(8, &Message::default().int(2, 17).0).bytes(7, &graph.0).0;
    let model = load_bytes(&file).expect("it loads");
    assert_eq!(model.outputs, ["y"]);
    assert!(model.notes.iter().any(|n| n.contains("'k'")), "{:?}", model.notes);
    near(&run(&file, &spread(4, 3, -1.0, 1.0), 0), &[0.0, 0.0, 0.48], 0.002, "the other output");
}

#[test]
fn bounds_behind_pooling_hold() {
    for (pool, first) in [("MaxPool", 3.0f32), ("AveragePool", 1.5)] {
        let mut m = Model::default();
        m.initializer(&tensor("least", &[], &[0.25]));
        m.initializer(&tensor("most", &[], &[2.0]));
        let y = m.node(pool, &["x"], &[ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])]);
        let y = m.node("Max", &[&y, "least"], &[]);
        let y = m.node("Min", &[&y, "most"], &[]);
        let file = m.finish(&[("x", &[1, 1, 2, 4])], &y);
        let samples = vec![vec![vec![0.0, 3.0, -1.0, -2.0, 1.5, 1.5, -4.0, 0.0]], vec![vec![4.0; 8]]];
        near(&run(&file, &samples, 0), &[first.min(2.0), 0.25], 0.004, pool);
    }
}

#[test]
fn every_calibration_row_counts() {
    let mut m = Model::default();
    m.initializer(&tensor("w", &[2, 1], &[1.0, 1.0]));
    let y = m.node("MatMul", &["x", "w"], &[]);
    let model = load_bytes(&m.finish(&[("x", &[1, 2])], &y)).expect("it loads");
    let mut samples = spread(700, 2, -1.0, 1.0);
    samples[699] = vec![vec![50.0, 49.0]];
    let c = compile(&model, &CompileOptions::default(), Some(&samples), &mut quiet).expect("it compiles");
    assert_eq!(c.report.samples, 700);
    assert_eq!(c.quantize_all(&samples[699]).expect("finite").1, 0, "the last row is clamped");
}

#[test]
fn operators_that_were_once_wrong() {
    let unary = |op: &str, attributes: &[Message], shape: &[i64]| {
        let mut m = Model::default();
        let y = m.node(op, &["x"], attributes);
        m.finish(&[("x", shape)], &y)
    };
    let samples = spread(8, 6, -3.0, 3.0);
    let celu: Vec<f32> = samples[1][0].iter().map(|v| v.max(0.0) + (2.0 * ((v / 2.0).exp() - 1.0)).min(0.0)).collect();
    near(&run(&unary("Celu", &[float("alpha", 2.0)], &[1, 6]), &samples, 1), &celu, 0.004, "Celu");
    let norm = samples[1][0].iter().map(|v| v * v).sum::<f32>().sqrt();
    near(&run(&unary("GlobalLpPool", &[int("p", 2)], &[1, 1, 2, 3]), &samples, 1), &[norm], 0.02, "GlobalLpPool");
    // The sum of the exponentials is far beyond what a table holds.
    let large = spread(8, 6, 20.0, 40.0);
    let top = large[1][0].iter().copied().fold(f32::MIN, f32::max);
    let sum = top + large[1][0].iter().map(|v| (v - top).exp()).sum::<f32>().ln();
    let file = unary("ReduceLogSumExp", &[ints("axes", &[1]), int("keepdims", 1)], &[1, 6]);
    near(&run(&file, &large, 1), &[sum], 0.05, "ReduceLogSumExp");
    // One slope a channel behind a mean: positive entries stay.
    let mut m = Model::default();
    m.initializer(&tensor("slope", &[2, 1, 1], &[0.1, 0.5]));
    let y = m.node("AveragePool", &["x"], &[ints("kernel_shape", &[1, 3])]);
    let y = m.node("PRelu", &[&y, "slope"], &[]);
    let file = m.finish(&[("x", &[1, 2, 1, 3])], &y);
    let x = [0.5f32, 1.0, 1.5, -2.0, -1.0, 0.0];
    let samples = vec![vec![x.to_vec()], samples[0].clone()];
    near(&run(&file, &samples, 0), &[1.0, -0.5], 0.004, "PRelu");
}

#[test]
fn functions_of_a_file_are_written_out() {
    // `twice` gives `leaky_relu(x) + x` and its input; `outer` is their product. Both name their tensors alike.
    let slope = Message::default().bytes(1, b"alpha").int(20, 1).bytes(21, b"slope");
    let body = [
        node("", "LeakyRelu", "", &["x"], &["t"], std::slice::from_ref(&slope)),
        node("", "Add", "", &["t", "x"], &["y"], &[]),
    ];
    let twice = |attributes: &[&str]| function(("own", "Twice"), &["x"], &["y", "x"], attributes, &body);
    let call = |given: &[Message]| node("own", "Twice", "", &["x"], &["t", "y"], given);
    let outer = |given: &[Message]| {
        let nodes = [call(given), node("", "Mul", "", &["t", "y"], &["z"], &[])];
        function(("own", "Outer"), &["x"], &["z"], &[], &nodes)
    };
    let mut m = Model::default();
    let a = m.node_of("own", "Outer", &["x"], &[]);
    let b = m.node_of("own", "Outer", &["x"], &[]);
    let y = m.node("Add", &[&a, &b], &[]);
    let file = m.finish(&[("x", &[1, 4])], &y);
    let samples = spread(8, 4, -2.0, 2.0);
    for (slope, given, attributes) in
        [(0.5f32, vec![float("slope", 0.5)], vec!["slope"]), (0.01, vec![], vec!["slope"])]
    {
        let whole = [file.clone(), twice(&attributes), outer(&given)].concat();
        let leaky = |v: f32| if v < 0.0 { slope * v } else { v };
        let want: Vec<f32> = samples[2][0].iter().map(|v| 2.0 * (leaky(*v) + v) * v).collect();
        near(&run(&whole, &samples, 2), &want, 0.05, "functions");
    }
    // A default that is not known; a function that calls itself, alone and in numbers.
    let whole = [file.clone(), twice(&[]), outer(&[])].concat();
    assert!(load_bytes(&whole).is_err_and(|e| e.to_string().contains("leaves out 'slope'")));
    let again = node("own", "Outer", "", &["x"], &["t"], &[]);
    for n in [1, 2] {
        let nodes = vec![again.clone(); n];
        let whole = [file.clone(), function(("own", "Outer"), &["x"], &["x"], &[], &nodes)].concat();
        assert!(load_bytes(&whole).is_err_and(|e| e.to_string().contains("its functions")));
    }
}
