//! The plain trainer against a second one, written in numpy for whole batches (`benches/training/integer.py`): weights and losses of
//! 88 runs, and losses on a holdout; a third of them with values that clamp everywhere. `python benches/training/oracle.py` writes the vectors.

use assay_circuits::{
    Tensor,
    eval::eval,
    train::{
        Activation, Layer, Loss, Network, Spec,
        reference::{evaluate, train},
    },
};
use serde_json::Value;

const VECTORS: &str = include_str!("training_oracle/vectors.json");

fn number(v: &Value) -> usize {
    v.as_u64().unwrap_or_else(|| panic!("no number: {v}")) as usize
}

fn numbers(v: &Value) -> Vec<i64> {
    v.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect()
}

fn sizes<const N: usize>(v: &Value) -> [usize; N] {
    let all: Vec<usize> = v.as_array().unwrap().iter().map(number).collect();
    all.try_into().unwrap()
}

fn layer(v: &Value) -> Layer {
    match v[0].as_str().unwrap() {
        "dense" => Layer::Dense { inputs: number(&v[1]), outputs: number(&v[2]) },
        "conv" => Layer::Conv {
            inputs: number(&v[1]),
            outputs: number(&v[2]),
            kernel: sizes::<2>(&v[3]),
            pads: sizes::<4>(&v[4]),
            strides: sizes::<2>(&v[5]),
        },
        "smooth" => Layer::Smooth(match v[1].as_str().unwrap() {
            "gelu" => Activation::Gelu,
            "gelu tanh" => Activation::GeluTanh,
            "silu" => Activation::Silu,
            "sigmoid" => Activation::Sigmoid,
            "tanh" => Activation::Tanh,
            other => panic!("activation {other}"),
        }),
        "maximum" => Layer::MaxPool { size: number(&v[1]) },
        "norm" => Layer::Norm { channels: number(&v[1]), groups: number(&v[2]), epsilon: number(&v[3]) as u32 },
        "residual" => {
            let [body, shortcut] = [1, 2].map(|i: usize| v[i].as_array().unwrap().iter().map(layer).collect());
            Layer::Residual { body, shortcut }
        }
        "relu" => Layer::Relu,
        "pool" => Layer::AveragePool { size: number(&v[1]) },
        "flatten" => Layer::Flatten,
        other => panic!("layer {other}"),
    }
}

fn spec(v: &Value) -> Spec {
    let hex = v["seed"].as_str().unwrap();
    let byte = |i: usize| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
    Spec {
        network: Network {
            input: v["input"].as_array().unwrap().iter().map(number).collect(),
            layers: v["layers"].as_array().unwrap().iter().map(layer).collect(),
        },
        loss: match v["loss"].as_str().unwrap() {
            "squared error" => Loss::SquaredError,
            "cross-entropy" => Loss::CrossEntropy,
            other => panic!("loss {other}"),
        },
        steps: number(&v["steps"]),
        batch_bits: number(&v["batch_bits"]) as u32,
        rate_bits: number(&v["rate_bits"]) as u32,
        momentum_bits: v["momentum_bits"].as_u64().map(|m| m as u32),
        rows: number(&v["rows"]),
        seed: std::array::from_fn(byte),
    }
}

#[test]
fn another_trainer_agrees() {
    let cases: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(cases.len(), 88);
    for (i, case) in cases.iter().enumerate() {
        let spec = spec(&case["spec"]);
        let tensors = |v: &Value| -> Vec<Tensor> {
            let data = v.as_array().unwrap().iter().map(numbers);
            spec.network.weights().into_iter().zip(data).map(|(s, d)| Tensor::new(s, d).unwrap()).collect()
        };
        let shape: Vec<usize> = std::iter::once(spec.rows).chain(spec.network.input.iter().copied()).collect();
        let data = Tensor::new(shape, numbers(&case["data"])).unwrap();
        let targets = Tensor::new(vec![spec.rows, spec.outputs().unwrap()], numbers(&case["targets"])).unwrap();
        let start = tensors(&case["weights"]);
        let end = train(&spec, start.clone(), &data, &targets).unwrap();
        assert_eq!(end.losses, numbers(&case["losses"]), "losses of case {i}, {spec:?}");
        assert_eq!(end.weights, tensors(&case["trained"]), "weights of case {i}, {spec:?}");
        assert_ne!(end.weights, start, "case {i} does not train");
        // The same rows as a holdout: losses before and after, by the loops and by the graph.
        let expected = numbers(&case["evaluation"]);
        let loops = [&start, &end.weights].map(|w| evaluate(&spec, w, &data, &targets).unwrap());
        assert_eq!(loops.as_slice(), expected, "evaluation of case {i}, {spec:?}");
        let model = spec.evaluation(spec.rows).unwrap().model(data, targets).unwrap();
        let inputs = [start, end.weights].concat();
        let outputs = eval(&model.graph, &model.weights, &inputs).unwrap().outputs(&model.graph);
        assert_eq!(outputs[0].data, expected, "evaluation graph of case {i}, {spec:?}");
    }
}
