//! An LSTM as it is imported from ONNX, end to end: it proves, with and without a batch; a prover whose states follow another
//! recurrence, or who claims another result, is refused.

use crate::support;

use assay_circuits::{
    NodeId, Op, Tensor,
    model::Model,
    onnx::{CompileOptions, compile, load},
};
use assay_prover::{ProvingKey, Recorder, SetupOptions, device::Cpu};
use assay_verifier::core::verify;
use std::path::PathBuf;
use support::{
    forge::{Forge, Lie},
    key,
};

/// The digits read row by row, 32 units, eight steps; calibrated on made-up images.
fn lstm() -> Model {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../circuits/tests/recurrent/digits_lstm.onnx");
    let float = load(file).expect("the model loads");
    let options = CompileOptions { weight_bits: Some(8), activation_bits: Some(8), ..CompileOptions::default() };
    compile(&float, &options, Some(&images(8)), &mut |_, _, _| {}).expect("it compiles")
}

fn images(count: usize) -> Vec<Vec<Vec<f32>>> {
    let pixel = |k: usize, i: usize| ((k * 31 + i * 17 + i * i * k) % 17) as f32 / 16.0;
    (0..count).map(|k| vec![(0..64).map(|i| pixel(k, i)).collect()]).collect()
}

fn setup() -> (Model, ProvingKey, Vec<Vec<Tensor>>) {
    let model = lstm();
    let key = key(&model, SetupOptions { row_bits: Some(10), ..Default::default() });
    let inputs = images(2).iter().map(|x| model.quantize_all(x).expect("finite").0).collect();
    (model, key, inputs)
}

#[test]
fn an_imported_lstm_proves() {
    let (model, key, inputs) = setup();
    assert_eq!(model.graph.nodes().iter().filter(|n| matches!(n.op, Op::Delay(_))).count(), 2);
    for batch in [1, 2] {
        let proved = assay_prover::prove(&Cpu::default(), &key, &inputs[..batch], &Recorder::default()).unwrap();
        let verified = verify(&key.verifying, &proved.proof).unwrap();
        for (one, got) in inputs.iter().zip(verified.outputs[0].data.chunks(10)) {
            assert_eq!(model.eval(one).unwrap().outputs(&model.graph)[0].data, got);
        }
    }
}

/// What a cheat takes for the states before each step: `[steps][inference][unit]` from the initial state and the true states.
type Previous = fn(t: usize, init: &[i64], states: &[Vec<i64>]) -> Vec<i64>;

#[test]
fn another_recurrence_is_refused() {
    let (_, key, inputs) = setup();
    let honest = Forge::inference(&key, &inputs);
    honest.verdict(&key.verifying).unwrap();
    let cheats: [(&str, Previous); 5] = [
        ("a step late", |t, init, s| if t < 2 { init.to_vec() } else { s[t - 2].clone() }),
        ("a step early", |t, _, s| s[t].clone()),
        ("never updated", |_, init, _| init.to_vec()),
        (
            "another initial state",
            |t, init, s| if t == 0 { init.iter().map(|v| v + 1).collect() } else { s[t - 1].clone() },
        ),
        ("reset half way", |t, init, s| if t == 0 || t == 4 { init.to_vec() } else { s[t - 1].clone() }),
    ];
    let graph = &honest.program.graph;
    let delays: Vec<usize> =
        (0..graph.nodes().len()).filter(|i| matches!(graph.nodes()[*i].op, Op::Delay(_))).collect();
    assert_eq!(delays.len(), 2);
    for delay in delays {
        let values = honest.values();
        let of = |id: NodeId| values[id.0].clone().expect("every node has a value");
        let node = graph.node(NodeId(delay));
        let (before, state) = (of(NodeId(delay)), of(node.inputs[1]));
        let Op::Delay(op) = &node.op else { unreachable!() };
        // [batch, steps, sequences, units]
        let (outer, steps, inner) = before.around(op.axis);
        for (what, previous) in cheats {
            let mut data = before.data.clone();
            for a in 0..outer {
                let at = |t: usize| (a * steps + t) * inner..(a * steps + t + 1) * inner;
                let init = before.data[at(0)].to_vec();
                let all: Vec<Vec<i64>> = (0..steps).map(|t| state.data[at(t)].to_vec()).collect();
                (0..steps).for_each(|t| data[at(t)].copy_from_slice(&previous(t, &init, &all)));
            }
            assert_ne!(data, before.data, "{what} changes nothing here");
            let mut forge = honest.clone();
            forge.claimed.insert(delay, Tensor::new(before.shape.clone(), data).unwrap());
            forge.rederive(&[]);
            assert_ne!(forge.contents, honest.contents, "{what} changes nothing here");
            assert!(forge.relation().is_err(), "{what} of '{}'", node.name);
            // One whole proof with each lie is enough: tests/recurrence.rs has them all, on a small graph.
            if what == "a step late" {
                for lie in [Lie::Truth, Lie::Leaves, Lie::Opening] {
                    assert!(forge.with(lie).verdict(&key.verifying).is_err(), "{what} of '{}'", node.name);
                }
            }
        }
    }
}

#[test]
fn another_result_is_refused() {
    let (_, key, inputs) = setup();
    let honest = Forge::inference(&key, &inputs);
    let output = honest.public.len() - 1;
    let mut forge = honest.clone();
    forge.public[output].swap(0, 1);
    assert_ne!(forge.public, honest.public);
    assert!(forge.relation().is_err());
    for lie in [Lie::Truth, Lie::Leaves, Lie::Opening] {
        assert!(forge.with(lie).verdict(&key.verifying).is_err());
    }
    // A committed state of the last step, and all that follows from it.
    let mut forge = honest.clone();
    let state = forge.named("cell.state");
    let last = forge.contents[state].len() - 1;
    forge.contents[state][last] += 1;
    forge.rederive(&[state]);
    assert!(forge.relation().is_err());
    for lie in [Lie::Truth, Lie::Leaves, Lie::Opening] {
        assert!(forge.with(lie).verdict(&key.verifying).is_err());
    }
}
