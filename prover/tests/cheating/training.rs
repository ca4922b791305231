//! Training that is not what the specification says: a prover that runs another algorithm, with witness, remainders and
//! multiplicities that fit it, is refused by the naive checker and by the verifier.

use crate::support;

use assay_circuits::{
    NodeId, Op, Tensor,
    graph::Node,
    model::Model,
    ops::{Delay, Window},
    program::Content,
    train::{Activation, Layer, Loss, Network, Spec, reference},
};
use support::{
    Lcg,
    forge::Forge,
    key, round_trip,
    transplant::{edited, factor, find, label, options, refused, transplant},
};

fn dense(inputs: usize, outputs: usize) -> Layer {
    Layer::Dense { inputs, outputs }
}

/// A normalization, a maximum, a smooth function and a residual.
fn image_network() -> Network {
    let conv = Layer::Conv { inputs: 1, outputs: 2, kernel: [3, 3], pads: [1; 4], strides: [1; 2] };
    let body = vec![Layer::Smooth(Activation::Silu), dense(8, 8)];
    let layers = vec![
        conv,
        Layer::Norm { channels: 2, groups: 1, epsilon: 10 },
        Layer::MaxPool { size: 2 },
        Layer::Flatten,
        Layer::Residual { body, shortcut: vec![] },
        dense(8, 2),
    ];
    Network { input: vec![1, 4, 4], layers }
}

fn spec(loss: Loss, momentum_bits: Option<u32>) -> Spec {
    let network = Network { input: vec![3], layers: vec![dense(3, 4), Layer::Relu, dense(4, 2)] };
    Spec { network, loss, steps: 3, batch_bits: 1, rate_bits: 1, momentum_bits, rows: 5, seed: [7; 32] }
}

struct Case {
    spec: Spec,
    model: Model,
    initial: Vec<Tensor>,
    /// Initial weights and walk.
    inputs: Vec<Tensor>,
}

fn case(loss: Loss, momentum: Option<u32>) -> Case {
    case_of(spec(loss, momentum))
}

fn case_of(spec: Spec) -> Case {
    let mut rng = Lcg(11);
    let initial: Vec<Tensor> = spec.network.weights().iter().map(|s| rng.tensor(s, 13)).collect();
    let targets = (0..10).map(|i| if (i / 2 + i) % 2 == 0 { 256 } else { 0 }).collect();
    let width: usize = spec.network.input.iter().product();
    let shape = [&[5], &spec.network.input[..]].concat();
    let mut data = rng.tensor(&shape, 10);
    // A row of zeros: hidden units whose bias is negative do not see it.
    data.data[..width].fill(0);
    let training = spec.training().unwrap();
    let model = training.model(data, Tensor::new(vec![5, 2], targets).unwrap()).unwrap();
    let inputs = training.inputs(&initial);
    Case { spec, model, initial, inputs }
}

#[test]
fn honest_training_is_proven() {
    for (loss, momentum) in [
        (Loss::SquaredError, None),
        (Loss::CrossEntropy, None),
        (Loss::SquaredError, Some(2)),
        (Loss::CrossEntropy, Some(3)),
    ] {
        let Case { spec, model, initial, inputs } = case(loss, momentum);
        round_trip(&model, 1, options());
        let key = key(&model, options());
        let inputs = vec![inputs];
        let f = Forge::inference(&key, &inputs);
        f.relation().unwrap();
        f.verdict(&key.verifying).unwrap();
        // And it is what the plain trainer does.
        let end = reference::train(&spec, initial, &model.weights[0], &model.weights[1]).unwrap();
        let outputs: Vec<Vec<i64>> = end.weights.iter().map(|t| t.data.clone()).chain([end.losses]).collect();
        assert_eq!(&f.public[f.program.graph.inputs().len()..], &outputs);
        // Carrying a witness over changes nothing by itself.
        let same = transplant((&key, &inputs), (&model, &inputs));
        same.verdict(&key.verifying).unwrap();
    }
}

#[test]
fn other_data_is_refused() {
    {
        let Case { spec, model, inputs, .. } = case(Loss::CrossEntropy, None);
        let honest = key(&model, options());
        let inputs = vec![inputs];
        let cheat = |what: &str, other: &Model, others: &[Vec<Tensor>]| {
            refused(what, &honest, &transplant((&honest, &inputs), (other, others)));
        };
        let with = |change: &dyn Fn(&mut Model)| {
            let mut m = model.clone();
            change(&mut m);
            m
        };
        let seen = assay_circuits::train::Sampler::new(&spec.seed, 5).index(0) as usize;
        cheat("a flipped label", &with(&|m| m.weights[1].data[2 * seen..2 * seen + 2].reverse()), &inputs);
        cheat("another value in a row", &with(&|m| m.weights[0].data[3 * seen] += 1), &inputs);
        cheat("data of somebody else", &with(&|m| m.weights[0].data.reverse()), &inputs);
        // The walk is public, and the transplant keeps what is: a run of another one.
        let mut walk = inputs.clone();
        *walk[0].last_mut().unwrap() = assay_circuits::train::Sampler::new(&[8; 32], 5).tensor();
        assert_ne!(walk, inputs);
        cheat("rows of another seed", &model, &walk);
        // The row of another draw, everything after it computed from it.
        for (name, what) in
            [("labels", "the label of one row and the data of another"), ("rows", "data of another row")]
        {
            let mut f = Forge::inference(&honest, &inputs);
            let t = f.named(name);
            let width = f.contents[t].len() / 6;
            let (first, rest) = f.contents[t].split_at_mut(width);
            first.copy_from_slice(rest.chunks(width).find(|other| *other != first).unwrap());
            f.rederive(&[t]);
            refused(what, &honest, &f);
        }
        // One round more through the data: the index is negative, and names the same row to a reader that takes it modulo rows.
        for by in [1, -1] {
            let mut f = Forge::inference(&honest, &inputs);
            let t = f.named("draw.rounds");
            f.contents[t][1] += by;
            f.recount();
            refused("an index outside of the data", &honest, &f);
        }
        let mut start = inputs.clone();
        start[0][0].data[0] += 1;
        cheat("other initial weights", &model, &start);
    }
}

#[test]
fn other_algorithms_are_refused() {
    {
        let Case { model, inputs, .. } = case(Loss::SquaredError, Some(2));
        let honest = key(&model, options());
        let inputs = vec![inputs];
        let cheat = |what: &str, edit: &dyn Fn(&mut Vec<Node>)| {
            let other = Model { graph: edited(&model.graph, edit), ..model.clone() };
            refused(what, &honest, &transplant((&honest, &inputs), (&other, &inputs)));
        };
        // The transplant itself is no reason to refuse.
        let same = Model { graph: edited(&model.graph, &|_| {}), ..model.clone() };
        transplant((&honest, &inputs), (&same, &inputs)).verdict(&honest.verifying).unwrap();

        cheat("the second layer updated before the first layer's gradient", &|nodes| {
            let (back, next) = (
                nodes.iter().position(|n| n.name == "2.Dense.back" && matches!(n.op, Op::Contraction(_))).unwrap(),
                find(nodes, "2.weight.next"),
            );
            nodes[back].inputs[1] = NodeId(next);
        });
        cheat("another learning rate", &|n| factor(n, "0.weight", 1, &|c| 2 * c));
        cheat("gradients with the other sign", &|n| factor(n, "2.weight", 1, &|c| -c));
        cheat("momentum dropped", &|n| factor(n, "2.weight", 0, &|_| 0));
        cheat("a bias that stays", &|n| factor(n, "0.bias", 1, &|_| 0));
        let last = |nodes: &mut Vec<Node>| {
            for n in nodes.iter_mut().filter(|n| n.name.ends_with(".trained")) {
                if let Op::Window(w) = &mut n.op {
                    *w = Window { offset: 1, ..w.clone() };
                }
            }
        };
        cheat("one step too few", &last);
        let constant = |nodes: &mut Vec<Node>| {
            // Gradients at the initial weights in every step.
            let delay = nodes.iter().position(|n| n.name == "0.weight" && matches!(n.op, Op::Delay(_))).unwrap();
            let Op::Delay(Delay { len, .. }) = nodes[delay].op else { unreachable!() };
            let init = nodes[delay].inputs[0];
            let forward = nodes.iter().position(|n| n.name == "0.Dense" && matches!(n.op, Op::Contraction(_))).unwrap();
            nodes.push(Node {
                name: "stale".to_owned(),
                op: Op::Window(Window::broadcast(0, len)),
                inputs: vec![init],
                ..nodes[delay].clone()
            });
            nodes[forward].inputs[1] = NodeId(nodes.len() - 1);
        };
        cheat("stale weights", &constant);
    }
}

/// Gradients of layers that leave a part out, or send it elsewhere.
#[test]
fn other_gradients_are_refused() {
    let Case { spec, model, initial, inputs } =
        case_of(Spec { network: image_network(), steps: 2, ..spec(Loss::CrossEntropy, None) });
    let honest = key(&model, options());
    let inputs = vec![inputs];
    let same = transplant((&honest, &inputs), (&model, &inputs));
    same.verdict(&honest.verifying).unwrap();
    let end = reference::train(&spec, initial, &model.weights[0], &model.weights[1]).unwrap();
    let outputs: Vec<Vec<i64>> = end.weights.iter().map(|t| t.data.clone()).chain([end.losses]).collect();
    assert_eq!(&same.public[same.program.graph.inputs().len()..], &outputs);
    let cheat = |what: &str, edit: &dyn Fn(&mut Vec<Node>)| {
        let other = Model { graph: edited(&model.graph, edit), ..model.clone() };
        refused(what, &honest, &transplant((&honest, &inputs), (&other, &inputs)));
    };
    cheat("the error of a maximum sent to another place", &|nodes| {
        let i = nodes.iter().position(|n| n.name == "2.MaxPool.first" && matches!(n.op, Op::Concat(_))).unwrap();
        nodes[i].inputs.swap(0, 1);
    });
    let three = |nodes: &mut Vec<Node>, term: usize| {
        let parts = |n: &Node| matches!(&n.op, Op::Linear(l) if l.coefficients.len() == 3);
        let i = nodes.iter().position(|n| n.name == "1.Norm.back" && parts(n)).unwrap();
        let Op::Linear(op) = &mut nodes[i].op else { unreachable!() };
        op.coefficients[term] = 0;
    };
    cheat("the mean left in an error", &|nodes| three(nodes, 1));
    cheat("what lies along the normalized values left in an error", &|nodes| three(nodes, 2));
    cheat("another epsilon", &|nodes| {
        let i =
            nodes.iter().position(|n| matches!(&n.op, Op::Linear(l) if n.name == "1.Norm" && l.offset > 0)).unwrap();
        let Op::Linear(op) = &mut nodes[i].op else { unreachable!() };
        op.offset *= 2;
    });
    cheat("the error of a shortcut dropped", &|nodes| factor(nodes, "4.Residual.back", 1, &|_| 0));
    let mut f = Forge::inference(&honest, &inputs);
    let t = f.named("4.body.0.Silu.derivative");
    f.contents[t][0] += 1;
    f.rederive(&[t]);
    refused("another derivative", &honest, &f);
}

/// Single values that are off by one, with everything after them computed from them.
#[test]
fn altered_steps_are_refused() {
    let Case { model, inputs, .. } = case(Loss::SquaredError, Some(2));
    let honest = key(&model, options());
    let inputs = vec![inputs];
    let f = Forge::inference(&honest, &inputs);
    let mut tried = 0;
    for t in 0..f.contents.len() {
        let (node, value) = match &f.program.tensors[t].content {
            Content::Node(id) => (*id, true),
            Content::Remainder { node, .. } => (*node, false),
            _ => continue,
        };
        if !matches!(f.program.graph.node(node).op, Op::Lookup(_)) {
            continue;
        }
        let mut g = f.clone();
        let last = g.contents[t].len() - 1;
        g.contents[t][last / 2] += 1;
        if value {
            g.rederive(&[t]);
        } else {
            g.recount();
        }
        let name = label(&f, t);
        assert!(g.relation().is_err(), "{name}: the naive checker accepts");
        // One in four goes through the whole protocol, the others through the same relation checked plainly.
        if tried % 4 == 0 {
            assert!(g.verdict(&honest.verifying).is_err(), "{name}: the verifier accepts");
        }
        tried += 1;
    }
    assert!(tried >= 12, "{tried}");
    // ReLU with a derivative of one at zero.
    let mut g = f.clone();
    let t = g.named("1.Relu.derivative");
    assert!(g.contents[t].contains(&0), "no unit is at rest");
    g.contents[t].fill(1);
    g.rederive(&[t]);
    refused("a derivative of one at zero", &honest, &g);
    // A remainder at its bound: the update is one less, and a whole unit is left over.
    for name in ["0.weight.next", "2.bias.next"] {
        let mut g = f.clone();
        let t = g.named(name);
        let Content::Node(update) = g.program.tensors[t].content else { panic!("{name} is no node") };
        let limbs = g.program.tensors.iter().enumerate().filter_map(|(k, tensor)| match tensor.content {
            Content::Remainder { node, low, bits } if node == update => Some((low, k, bits)),
            _ => None,
        });
        let (_, top, bits) = limbs.max().unwrap();
        g.contents[top][0] += 1 << bits;
        g.contents[t][0] -= 1;
        g.rederive(&[t, top]);
        refused(&format!("{name}: a remainder at its bound"), &honest, &g);
    }
    // An update that did not happen: the state of a step is that of the step before.
    for name in ["0.weight.next", "2.bias.next"] {
        let mut g = f.clone();
        let t = g.named(name);
        let step = g.contents[t].len() / 3;
        let first: Vec<i64> = g.contents[t][..step].to_vec();
        g.contents[t][step..2 * step].copy_from_slice(&first);
        g.rederive(&[t]);
        refused(&format!("{name}: an update skipped"), &honest, &g);
    }
}
