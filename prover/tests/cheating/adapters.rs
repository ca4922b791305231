//! Adapters of a block of a transformer that are not trained as the specification says, or not on the weights that it says: refused by
//! the naive checker and by the verifier.

use crate::support;

use assay_circuits::{
    Op, Tensor,
    graph::Node,
    model::Model,
    train::{Activation, Layer, Loss, Network, Spec, reference},
};
use support::{
    Lcg,
    forge::Forge,
    key, round_trip,
    transplant::{edited, factor, options, refused, transplant},
};

const TOKENS: usize = 3;
const WIDTH: usize = 4;
const RANK: usize = 2;

fn fixed(layer: Layer) -> Layer {
    Layer::Fixed { layer: Box::new(layer) }
}

fn adapted(inputs: usize, outputs: usize, rank: usize) -> Layer {
    Layer::Adapted { inputs, outputs, rank, scale_bits: 1 }
}

/// A block of a decoder: attention and a feed-forward part, adapters on three of its four matrices.
fn spec(rank: usize) -> Spec {
    let norm = || fixed(Layer::TokenNorm { width: WIDTH, epsilon: 10 });
    let dense = |inputs, outputs| fixed(Layer::Dense { inputs, outputs });
    let attention = vec![
        norm(),
        adapted(WIDTH, 3 * WIDTH, rank),
        Layer::Attention { heads: 2, width: WIDTH, causal: true },
        dense(WIDTH, WIDTH),
    ];
    let forward = vec![
        norm(),
        adapted(WIDTH, 2 * WIDTH, rank),
        Layer::Smooth(Activation::GeluTanh),
        adapted(2 * WIDTH, WIDTH, rank),
    ];
    let layers = vec![
        Layer::Residual { body: attention, shortcut: vec![] },
        Layer::Residual { body: forward, shortcut: vec![] },
        Layer::Flatten,
        dense(TOKENS * WIDTH, 2),
    ];
    Spec {
        network: Network { input: vec![TOKENS, WIDTH], layers },
        loss: Loss::CrossEntropy,
        steps: 2,
        batch_bits: 1,
        rate_bits: 4,
        momentum_bits: None,
        rows: 5,
        seed: [7; 32],
    }
}

struct Case {
    spec: Spec,
    model: Model,
    initial: Vec<Tensor>,
    base: Vec<Tensor>,
    inputs: Vec<Vec<Tensor>>,
}

fn case() -> Case {
    let spec = spec(RANK);
    let mut rng = Lcg(11);
    let mut tensors = |shapes: Vec<Vec<usize>>| -> Vec<Tensor> { shapes.iter().map(|s| rng.tensor(s, 13)).collect() };
    let (initial, base) = (tensors(spec.network.weights()), tensors(spec.network.base()));
    let targets = (0..10).map(|i| if (i / 2 + i) % 2 == 0 { 256 } else { 0 }).collect();
    let data = rng.tensor(&[5, TOKENS, WIDTH], 10);
    let training = spec.training().unwrap();
    let model = training.model_over(data, Tensor::new(vec![5, 2], targets).unwrap(), &base).unwrap();
    let inputs = vec![training.inputs(&initial)];
    Case { spec, model, initial, base, inputs }
}

#[test]
fn honest_adapters_are_proven() {
    let Case { spec, model, initial, base, inputs } = case();
    round_trip(&model, 1, options());
    let key = key(&model, options());
    let f = Forge::inference(&key, &inputs);
    f.relation().unwrap();
    f.verdict(&key.verifying).unwrap();
    let end = reference::train_over(&spec, initial.clone(), base, &model.weights[0], &model.weights[1]).unwrap();
    assert!(end.weights.iter().zip(&initial).all(|(a, b)| a != b), "an adapter that nothing moved");
    let outputs: Vec<Vec<i64>> = end.weights.iter().map(|t| t.data.clone()).chain([end.losses]).collect();
    assert_eq!(&f.public[f.program.graph.inputs().len()..], &outputs);
    transplant((&key, &inputs), (&model, &inputs)).verdict(&key.verifying).unwrap();
}

#[test]
fn another_base_is_refused() {
    let Case { model, inputs, base, .. } = case();
    let honest = key(&model, options());
    for k in 0..base.len() {
        let mut other = model.clone();
        // Data and targets come first.
        let changed = &mut other.weights[2 + k].data;
        changed.iter_mut().for_each(|v| *v = (*v + 700).min((1 << 15) - 1));
        let name = &model.graph.node(model.graph.weights().nth(2 + k).unwrap()).name;
        refused(&format!("another {name}"), &honest, &transplant((&honest, &inputs), (&other, &inputs)));
    }
    let mut swapped = model.clone();
    swapped.weights[2..].iter_mut().for_each(|t| t.data.reverse());
    refused("the whole base swapped", &honest, &transplant((&honest, &inputs), (&swapped, &inputs)));
}

#[test]
fn another_rank_is_refused() {
    let Case { spec: good, model, initial, inputs, base } = case();
    // Another rank is another graph, which a verifier who knows the specification does not take.
    assert_ne!(spec(1).training().unwrap().graph, good.training().unwrap().graph);
    // An adapter of rank one in the place of one of rank two: the second column and row stay out of everything.
    let honest = key(&model, options());
    let mut less = initial;
    for pair in less.chunks_mut(2) {
        let outputs = pair[1].shape[1];
        pair[0].data.iter_mut().skip(1).step_by(RANK).for_each(|v| *v = 0);
        pair[1].data[outputs..].fill(0);
    }
    let training = good.training().unwrap();
    let others = vec![training.inputs(&less)];
    refused("an adapter of a lower rank", &honest, &transplant((&honest, &inputs), (&model, &others)));
    // Two norms, three matrices with adapters and two without, of two tensors each.
    assert_eq!(base.len(), 14);
}

#[test]
fn skipped_updates_are_refused() {
    let Case { model, inputs, .. } = case();
    let honest = key(&model, options());
    let f = Forge::inference(&honest, &inputs);
    let names: Vec<String> = f.program.graph.nodes().iter().map(|n| n.name.clone()).collect();
    let mut tried = 0;
    for name in names.iter().filter(|n| n.ends_with(".next")) {
        let mut g = f.clone();
        let t = g.named(name);
        let step = g.contents[t].len() / 2;
        let first: Vec<i64> = g.contents[t][..step].to_vec();
        if g.contents[t][step..] == first {
            continue;
        }
        g.contents[t][step..].copy_from_slice(&first);
        g.rederive(&[t]);
        refused(&format!("{name}: an update skipped"), &honest, &g);
        tried += 1;
    }
    assert!(tried >= 4, "{tried} of {names:?}");
}

#[test]
fn other_gradients_are_refused() {
    let Case { model, inputs, .. } = case();
    let honest = key(&model, options());
    let cheat = |what: &str, edit: &dyn Fn(&mut Vec<Node>)| {
        let other = Model { graph: edited(&model.graph, edit), ..model.clone() };
        refused(what, &honest, &transplant((&honest, &inputs), (&other, &inputs)));
    };
    cheat("tokens that see what comes after them", &|nodes| {
        let mut found = 0;
        for n in nodes.iter_mut().filter(|n| n.name.ends_with("Attention.seen")) {
            if let Op::Remap(r) = &mut n.op {
                r.rows = (0..r.rows.len() as u32).map(|i| vec![(i, 1)]).collect();
                found += 1;
            }
        }
        assert_eq!(found, 2);
    });
    let back = "0.body.2.Attention.back";
    for part in ["query", "key"] {
        cheat(&format!("no error for {part}"), &|nodes| factor(nodes, &format!("{back}.{part}"), 0, &|_| 0));
    }
    cheat("the mean left in the error of a softmax", &|nodes| factor(nodes, &format!("{back}.free"), 1, &|_| 0));
    cheat("an adapter's part left out", &|nodes| factor(nodes, "0.body.1.Adapted", 2, &|_| 0));
    cheat("an adapter's part once instead of twice", &|nodes| factor(nodes, "1.body.1.Adapted", 2, &|c| c / 2));
    cheat("no error through the adapter", &|nodes| factor(nodes, "1.body.3.Adapted.back", 1, &|_| 0));
    cheat("no error through the matrix that stays", &|nodes| factor(nodes, "1.body.3.Adapted.back", 0, &|_| 0));
    cheat("another learning rate", &|nodes| factor(nodes, "0.body.1.up", 1, &|c| 2 * c));
}
