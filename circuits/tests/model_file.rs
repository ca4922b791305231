//! The model file: exact round trips, and no way to crash or mislead the reader.

use assay_circuits::{
    GraphBuilder, Op, Table, Tensor, canonical,
    model::{Model, ModelError, OutputReport, QuantReport, TensorSpec},
    ops::Contraction,
};

fn model() -> Model {
    let mut b = GraphBuilder::new(8);
    let x = b.input("x", &[1, 4], 8).expect("an input");
    let w = b.weight("w", &[4, 3], 8).expect("a weight");
    let acc = b.push("dense", Op::Contraction(Contraction::matmul(&[], 1, 4, 3)), &[x, w]).expect("a product");
    let y = b.lookup("relu", acc, 7, Table::relu(0, 8, 255)).expect("a lookup");
    let graph = b.finish(vec![x], vec![y]).expect("a graph");
    let w = Tensor::new(vec![4, 3], vec![1, -2, 3, 100, 127, -128, 0, 5, 6, 7, 8, 9]).expect("a tensor");
    let spec = |name: &str, shape: &[usize], scale_bits| TensorSpec::uniform(name, shape, scale_bits);
    Model {
        graph,
        weights: vec![w].into(),
        inputs: vec![spec("x", &[1, 4], 6)],
        outputs: vec![spec("y", &[1, 3], 4)],
        report: QuantReport { notes: vec!["a note".to_owned()], ..QuantReport::default() },
    }
}

/// The same with a report on an output that has steps of its own.
fn stepped(step: Option<f64>) -> Model {
    let mut m = model();
    // No zeros: one of the other sign is another file, and the same model.
    let (name, top1, mean_error, max_error) = ("y".to_owned(), 1.0, 0.005, 0.02);
    let output =
        OutputReport { name, top1, mean_error, max_error, explained: 0.9, range: 3.0, ..OutputReport::default() };
    m.report.outputs = vec![OutputReport { step, ..output }];
    m
}

/// The file with its checksum made right again.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let n = bytes.len() - 32;
    let sum = canonical::digest("assay.model-file", &[&bytes[..n]]);
    bytes[n..].copy_from_slice(&sum);
    bytes
}

#[test]
fn files_round_trip() {
    let m = model();
    let bytes = m.to_bytes().expect("it encodes");
    let (file, mut written) = (m.encode().expect("it encodes"), Vec::new());
    assert_eq!(file.write(&mut written).expect("it is written"), m.model_id().expect("it encodes"));
    assert_eq!((written.len(), &written), (file.size(), &bytes));
    let back = Model::from_bytes(&bytes).expect("it decodes");
    assert_eq!(back, m);
    assert_eq!(back.model_id().expect("an id"), m.model_id().expect("an id"));
    assert_eq!(back.to_bytes().expect("it encodes"), bytes);
}

#[test]
fn only_files_that_say_steps_are_of_the_version_that_does() {
    for (step, version) in [(None, 2), (Some(0.02), 3)] {
        let m = stepped(step);
        let bytes = m.to_bytes().expect("it encodes");
        assert_eq!(bytes[8..10], [0, version]);
        let back = Model::from_bytes(&bytes).expect("it decodes");
        assert_eq!((&back, back.report.is_near()), (&m, step.is_some()));
        assert_eq!(back.to_bytes().expect("it encodes"), bytes);
        // Each version reads its own files alone: no model has two.
        let mut other = bytes.clone();
        other[9] = 5 - version;
        assert!(matches!(Model::from_bytes(&resealed(other)), Err(ModelError::Graph(_))), "{version}");
    }
    // Steps that say nothing, and more or fewer of them than outputs.
    let plain = stepped(None).to_bytes().expect("it encodes");
    for steps in [&[1, 0][..], &[0], &[2, 0, 0]] {
        let mut bytes = plain[..plain.len() - 32].to_vec();
        bytes[9] = 3;
        bytes.extend_from_slice(steps);
        let length = (bytes.len() - 18) as u64;
        bytes[10..18].copy_from_slice(&length.to_be_bytes());
        bytes.extend([0; 32]);
        let e = Model::from_bytes(&resealed(bytes)).expect_err("steps of nothing");
        assert!(e.to_string().contains("steps"), "{e}");
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = stepped(Some(0.02)).to_bytes().expect("it encodes");
    for i in 0..bytes.len() {
        for bit in 0..8 {
            let mut broken = bytes.clone();
            broken[i] ^= 1 << bit;
            assert!(Model::from_bytes(&broken).is_err(), "bit {bit} of byte {i}");
        }
    }
}

#[test]
fn resealed_damage_never_panics() {
    let good = stepped(Some(0.02));
    let bytes = good.to_bytes().expect("it encodes");
    let mut accepted = 0;
    for i in 18..bytes.len() - 32 {
        for bit in 0..8 {
            let mut broken = bytes.clone();
            broken[i] ^= 1 << bit;
            if let Ok(m) = Model::from_bytes(&resealed(broken)) {
                assert_ne!(m, good, "bit {bit} of byte {i} has no effect");
                m.validate().expect("what is accepted is valid");
                accepted += 1;
            }
        }
    }
    assert!(accepted > 0, "weights and names can be changed at will");
}

#[test]
fn truncated_extended_and_swapped_files_are_rejected() {
    let bytes = stepped(Some(0.02)).to_bytes().expect("it encodes");
    for n in 0..bytes.len() {
        assert!(Model::from_bytes(&bytes[..n]).is_err(), "cut to {n}");
    }
    let mut long = bytes.clone();
    long.push(0);
    assert!(Model::from_bytes(&long).is_err());
    let mut version = bytes.clone();
    for got in [1, 4] {
        version[9] = got;
        let got = u16::from(got);
        assert_eq!(Model::from_bytes(&resealed(version.clone())), Err(ModelError::Version { expected: 3, got }));
    }
    let mut length = bytes.clone();
    length[10] = 0xff;
    assert!(matches!(Model::from_bytes(&resealed(length)), Err(ModelError::File(_))));
    assert!(matches!(Model::from_bytes(b"GIF89a"), Err(ModelError::File(_))));
    assert!(Model::from_bytes(&[]).is_err());
}

#[test]
fn hostile_lengths_allocate_nothing() {
    // A payload whose first field announces 2^60 bytes.
    let mut payload = vec![0xff; 8];
    payload.push(0x0f);
    let mut file = b"ASSAYMOD".to_vec();
    file.extend(1u16.to_be_bytes());
    file.extend((payload.len() as u64).to_be_bytes());
    file.extend(&payload);
    file.extend([0; 32]);
    assert!(Model::from_bytes(&resealed(file)).is_err());
}

#[test]
fn weights_out_of_range_are_rejected() {
    let mut m = model();
    m.weights[0].data[0] = 128;
    assert!(m.to_bytes().is_err());
    let mut m = model();
    m.weights = vec![].into();
    assert!(m.validate().is_err() && m.to_bytes().is_err());
    let mut m = model();
    m.outputs[0].shape = vec![3];
    assert!(m.validate().is_err() && m.to_bytes().is_err());
    let mut m = model();
    m.inputs[0].scale_bits = i32::MAX;
    assert!(m.validate().is_err() && m.to_bytes().is_err());
}

#[test]
fn the_identity_covers_graph_and_weights_alone() {
    let m = model();
    let id = m.model_id().expect("an id");
    let mut other = m.clone();
    other.report.notes.clear();
    other.outputs[0].scale_bits = 3;
    assert_eq!(other.model_id().expect("an id"), id);
    let mut other = m.clone();
    other.weights[0].data[5] += 1;
    assert_ne!(other.model_id().expect("an id"), id);
}

#[test]
fn floats_are_checked_and_rounded() {
    let m = model();
    let spec = &m.inputs[0];
    let (t, clipped) = m.quantize(spec, &[1.0, -1.0, 0.0078, 5.0]).expect("finite");
    assert_eq!((t.data, clipped), (vec![64, -64, 0, 127], 1));
    let error = m.quantize(spec, &[0.0, 0.0, f32::NAN, 0.0]).expect_err("NaN");
    assert!(matches!(error, ModelError::NotFinite { position, .. } if position == [0, 2]));
    assert!(m.quantize(spec, &[0.0; 5]).is_err());
    assert!(m.quantize(&m.outputs[0], &[0.0; 3]).is_err());
    let out = Tensor::new(vec![1, 3], vec![16, -8, 1]).expect("a tensor");
    assert_eq!(m.dequantize(&m.outputs[0], &out).expect("its shape"), vec![1.0, -0.5, 0.0625]);
}
