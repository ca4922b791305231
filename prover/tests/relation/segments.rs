//! A model cut into segments (docs/protocol.md#segments): the segments compute the integers of the whole, proofs of them are a proof
//! of the whole, and whoever puts other proofs together is refused.

use crate::{stack_set, support};

use assay_circuits::{
    Graph, GraphBuilder, NodeId, Op, Table, Tensor, Visibility,
    eval::eval,
    model::{Model, QuantReport, TensorSpec},
    onnx::{CompileOptions, compile, load},
    ops::{Contraction, Transpose},
    split::{Segment, Wires, balance, behind, boundary_name, fits, named, positions, split},
    stack::{NamedStack, Role, Schema, SchemaTensor},
};
use assay_prover::{Blinding, ProvingKey, Recorder, SetupOptions, Stack, device::Cpu, prove_linked, setup_linked};
use assay_verifier::{
    CoreProof, VerifyError,
    segments::{SegmentKeys, SegmentProofs, SegmentsError, SegmentsFileError, Shown},
};
use std::{path::PathBuf, sync::OnceLock};
use support::{Lcg, cnn, inputs, mixed, mlp, model, srs};

const ROW_BITS: u8 = 8;

/// The values of the whole's outputs as the segments compute them, one after another.
fn through(whole: &Model, segments: &[Segment], inputs: &[Tensor]) -> Vec<Tensor> {
    let mut boundaries: Vec<Vec<Tensor>> = vec![];
    for (k, s) in segments.iter().enumerate() {
        let weights: Vec<Tensor> = s.weights.iter().map(|w| whole.weights[*w].clone()).collect();
        let read = s.wires.reads.iter().map(|(from, t)| boundaries[*from][*t].clone()).collect();
        let given = if k == 0 { inputs.to_vec() } else { read };
        let values = eval(&s.graph, &weights, &given).unwrap();
        let out = values.outputs(&s.graph);
        for (h, t) in s.wires.boundary.iter().zip(&out) {
            let half = 1i64 << (h.bits - 1);
            assert!(t.data.iter().all(|v| (-half..half).contains(v)), "{} leaves its bits", h.name);
        }
        boundaries.push(out);
    }
    boundaries.pop().unwrap()
}

fn computes_the_whole(whole: &Model, segments: &[Segment], seed: u64) {
    for one in inputs(whole, 3, seed) {
        let expected = eval(&whole.graph, &whole.weights, &one).unwrap().outputs(&whole.graph);
        assert_eq!(through(whole, segments, &one), expected);
    }
}

/// A random network: layers of sums, products with weights, tables, differences and products of earlier tensors, any of which
/// may be read again much later.
fn network(seed: u64) -> Graph {
    let mut rng = Lcg(seed);
    let n = 3 + (rng.next() % 3) as usize;
    let mut g = GraphBuilder::new(5);
    let x = g.input("x", &[n, n], 6).unwrap();
    let y = g.input("y", &[n, n], 4).unwrap();
    let table =
        |k: u64| Table::tabulate("table", -32, 6, move |t| ((t * (k as i64 % 7 + 1)) % 31 - (k % 5) as i64) as i32);
    // All of them are committed, of at most 6 bits.
    let mut known = vec![x, y];
    let layers = 5 + rng.next() % 5;
    for layer in 0..layers {
        let pick = |rng: &mut Lcg| known[(rng.next() as usize) % known.len()];
        let (a, b) = (*known.last().unwrap(), pick(&mut rng));
        let made = match rng.next() % 5 {
            0 => {
                let w = g.weight(&format!("w{layer}"), &[n, n], 5).unwrap();
                g.push("dense", Op::Contraction(Contraction::matmul(&[], n, n, n)), &[a, w]).unwrap()
            }
            1 => g.push("product", Op::Contraction(Contraction::matmul(&[], n, n, n)), &[a, b]).unwrap(),
            2 => g.push("turned", Op::Transpose(Transpose { permutation: vec![1, 0] }), &[a]).unwrap(),
            3 => {
                let w = g.weight(&format!("bias{layer}"), &[n, n], 5).unwrap();
                g.linear("sum", &[(a, 2), (b, -1), (w, 1)], 3).unwrap()
            }
            _ => {
                let d = g.linear("difference", &[(b, 1), (a, -1)], 0).unwrap();
                let d = g.lookup("above", d, 0, Table::relu(-128, 8, 127)).unwrap();
                g.linear("larger", &[(a, 1), (d, 1)], 0).unwrap()
            }
        };
        let shift = (rng.next() % 4) as u32;
        known.push(g.lookup(&format!("layer {layer}"), made, shift, table(rng.next())).unwrap());
    }
    let last = *known.last().unwrap();
    let w = g.weight("scores", &[n, 2], 6).unwrap();
    let out = g.push("scores", Op::Contraction(Contraction::matmul(&[], n, n, 2)), &[last, w]).unwrap();
    let early = known[known.len() / 2];
    g.finish(vec![x, y], vec![out, early]).unwrap()
}

#[test]
fn segments_of_random_networks_compute_the_whole() {
    let mut cut = 0;
    for seed in 0..60 {
        let whole = model(network(seed), seed + 1);
        let places: Vec<usize> = positions(&whole.graph).iter().map(|p| p.at).collect();
        let mut rng = Lcg(seed + 77);
        for _ in 0..6 {
            let mut cuts: Vec<usize> = places.iter().copied().filter(|_| rng.next().is_multiple_of(3)).collect();
            cuts.truncate(9);
            if cuts.is_empty() {
                continue;
            }
            // What positions allow is allowed, unless a range behind a cut is wider than in the whole.
            let Ok(segments) = split(&whole.graph, &cuts) else { continue };
            computes_the_whole(&whole, &segments, seed);
            assert_eq!(segments.last().unwrap().graph.outputs().len(), whole.graph.outputs().len());
            cut += 1;
        }
    }
    assert!(cut > 200, "only {cut} networks were cut");
}

/// Wires are those of the cut, or they do not fit: a list that was edited connects other tensors, of which the model's name would be said.
#[test]
fn wires_that_were_altered_do_not_fit() {
    let mut altered = 0;
    for seed in 0..40 {
        let whole = network(seed);
        let places: Vec<usize> = positions(&whole).iter().map(|p| p.at).collect();
        let mut rng = Lcg(seed + 5);
        let cuts: Vec<usize> = places.iter().copied().filter(|_| rng.next().is_multiple_of(4)).take(4).collect();
        let Ok(segments) = split(&whole, &cuts) else { continue };
        let wires: Vec<Wires> = segments.iter().map(|s| s.wires.clone()).collect();
        let fit = |wires: &[Wires]| segments.iter().enumerate().try_for_each(|(k, s)| fits(wires, k, &s.graph));
        fit(&wires).unwrap();
        for _ in 0..20 {
            let mut other = wires.clone();
            let k = rng.next() as usize % other.len();
            let (reads, held) = (other[k].reads.len().max(1), other[k].boundary.len().max(1));
            let (a, b) = (rng.next() as usize, rng.next() as usize);
            match rng.next() % 8 {
                0 if reads > 1 => other[k].reads.swap(a % reads, b % reads),
                1 if k > 0 => other[k].reads[a % reads].1 += 1,
                2 if k > 0 => other[k].reads[a % reads].0 = b % wires.len(),
                3 if k > 0 => drop(other[k].reads.remove(a % reads)),
                4 if held > 1 => other[k].boundary.swap(a % held, b % held),
                5 if k + 1 < wires.len() => other[k].boundary[a % held].node.0 += 1,
                6 if k + 1 < wires.len() => other[k].boundary[a % held].bits -= 1,
                7 => other.swap(k, a % wires.len()),
                _ => {}
            }
            if other != wires {
                assert!(fit(&other).is_err(), "seed {seed}: {other:?} instead of {wires:?}");
                altered += 1;
            }
        }
    }
    assert!(altered > 150, "only {altered}");
}

/// An imported model with made-up samples.
fn imported(file: &str) -> Model {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../circuits/tests").join(file);
    let options = CompileOptions { weight_bits: Some(8), activation_bits: Some(8), ..CompileOptions::default() };
    compile(&load(path).unwrap(), &options, None, &mut |_, _, _| {}).unwrap()
}

#[test]
fn segments_of_imported_networks_compute_the_whole() {
    let own = [mlp(), cnn(), mixed()].map(|g| model(g, 5)).to_vec();
    let files = ["pytorch/residual.onnx", "training_onnx/transformer_block.onnx", "recurrent/digits_lstm.onnx"];
    for (name, whole) in own.into_iter().map(|m| ("by hand", m)).chain(files.map(|f| (f, imported(f)))) {
        let costs = vec![1.0; whole.graph.nodes().len()];
        for parts in 2..=4 {
            match balance(&whole.graph, parts, &costs, 1e-3) {
                Ok(cuts) => {
                    let segments = split(&whole.graph, &cuts).unwrap();
                    assert_eq!(segments.len(), parts);
                    computes_the_whole(&whole, &segments, 9);
                }
                Err(e) => assert!(parts > 2, "{name} in {parts}: {e}"),
            }
        }
    }
}

#[test]
fn a_balanced_cut_is_the_best_of_all() {
    for seed in 0..8 {
        let graph = network(seed);
        let mut rng = Lcg(seed);
        let costs: Vec<f64> = graph.nodes().iter().map(|_| (rng.next() % 100) as f64).collect();
        let values = |at: usize| positions(&graph).iter().find(|p| p.at == at).unwrap().values as f64;
        let dearest = |cuts: &[usize]| {
            let all: Vec<usize> = [&[0], cuts, &[costs.len()]].concat();
            let edge = |at: usize| if cuts.contains(&at) { values(at) } else { 0.0 };
            all.windows(2).map(|w| costs[w[0]..w[1]].iter().sum::<f64>() + edge(w[0]) + edge(w[1])).fold(0.0, f64::max)
        };
        let places: Vec<usize> = positions(&graph).iter().map(|p| p.at).collect();
        let mut least = f64::INFINITY;
        for (i, a) in places.iter().enumerate() {
            for b in &places[i + 1..] {
                if split(&graph, &[*a, *b]).is_ok() {
                    least = least.min(dearest(&[*a, *b]));
                }
            }
        }
        let cuts = balance(&graph, 3, &costs, 1.0).unwrap();
        assert!((dearest(&cuts) - least).abs() < 1e-9, "{cuts:?}: {} and not {least}", dearest(&cuts));
    }
}

#[test]
fn cuts_that_are_none_are_refused() {
    let graph = mlp();
    let n = graph.nodes().len();
    for cuts in [&[][..], &[0], &[n], &[5, 5], &[6, 5]] {
        assert!(split(&graph, cuts).is_err(), "{cuts:?}");
    }
    // Behind "bias" an accumulator of more than 20 bits crosses; behind "relu" eight bits.
    assert!(behind(&graph, &["nobody".to_owned()]).unwrap_err().to_string().contains("no node"));
    assert_eq!(behind(&graph, &["relu".to_owned()]).unwrap().len(), 1);
    assert!(behind(&graph, &["fc2".to_owned()]).unwrap_err().to_string().contains("nearest"));
    assert!(balance(&graph, 1, &[], 0.0).is_err() && balance(&graph, 9, &vec![1.0; n], 0.0).is_err());
    // A recurrence is not cut apart.
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[4, 2], 5).unwrap();
    let init = g.input("init", &[1, 2], 5).unwrap();
    let d = g.delay("delay", init, 0, 4, (-16, 15)).unwrap();
    let sum = g.linear("sum", &[(d, 3), (x, 2)], 0).unwrap();
    let state = g.lookup("state", sum, 2, Table::tabulate("squash", -16, 5, |t| t.clamp(-16, 15) as i32)).unwrap();
    g.connect(d, state).unwrap();
    let y = g.linear("y", &[(state, 1)], 1).unwrap();
    let y = g.lookup("z", y, 1, Table::tabulate("half", -16, 5, |t| t as i32)).unwrap();
    let graph = g.finish(vec![x, init], vec![y]).unwrap();
    assert!(positions(&graph).iter().all(|p| p.at > state.0));
    assert!(split(&graph, &[sum.0]).unwrap_err().to_string().contains("recurrence"));
}

/// A split model with keys, one batch of inputs, and everything that an honest prover has.
struct World {
    keys: Vec<ProvingKey>,
    outputs: Vec<Tensor>,
    inputs: Vec<Tensor>,
    stacks: Vec<Stack>,
    proofs: Vec<CoreProof>,
}

fn piece(whole: &Model, s: &Segment) -> Model {
    let spec = |ids: &[NodeId]| {
        ids.iter().map(|i| TensorSpec::uniform(&s.graph.node(*i).name, &s.graph.node(*i).shape, 0)).collect::<Vec<_>>()
    };
    let (inputs, outputs) = (spec(s.graph.inputs()), spec(s.graph.outputs()));
    let weights = s.weights.iter().map(|w| whole.weights[*w].clone()).collect();
    Model { graph: s.graph.clone(), weights, inputs, outputs, report: QuantReport::default() }
}

fn set_up(whole: &Model, segments: &[Segment], batch: usize) -> Vec<ProvingKey> {
    set_up_about(whole, segments, batch, None)
}

/// The same with stacks of all inputs and of all outputs.
fn set_up_about(whole: &Model, segments: &[Segment], batch: usize, own: Option<&[NamedStack; 2]>) -> Vec<ProvingKey> {
    let options = SetupOptions { visibility: Visibility { inputs: true, ..Default::default() }, row_bits: None };
    let wires: Vec<_> = segments.iter().map(|s| s.wires.clone()).collect();
    (0..segments.len())
        .map(|k| {
            let mut stacks = named(&wires, k, batch, ROW_BITS).unwrap();
            if let Some([input, output]) = own {
                stacks.extend((k == 0).then(|| input.clone()));
                stacks.extend((k + 1 == segments.len()).then(|| output.clone()));
            }
            let model = piece(whole, &segments[k]);
            setup_linked(&Cpu::default(), &model, &stacks, batch, &srs(), options, &Recorder::default()).unwrap()
        })
        .collect()
}

/// Proves all segments, the boundaries given where they are known.
fn prove_all(keys: &[ProvingKey], inputs: &[Vec<Tensor>]) -> (Vec<CoreProof>, Vec<Stack>, Vec<Tensor>) {
    let (proofs, mut stacks, outputs) = prove_about(keys, inputs, None);
    stacks.truncate(keys.len() - 1);
    (proofs, stacks, outputs)
}

/// The same of a stack that holds all inputs; behind the boundaries comes the stack of the outputs.
fn prove_about(
    keys: &[ProvingKey],
    inputs: &[Vec<Tensor>],
    input: Option<&Stack>,
) -> (Vec<CoreProof>, Vec<Stack>, Vec<Tensor>) {
    let (mut stacks, mut proofs, mut outputs): (Vec<Stack>, Vec<CoreProof>, _) = (vec![], vec![], vec![]);
    for (k, key) in keys.iter().enumerate() {
        let all = &key.verifying.stacks;
        let given = |n: &NamedStack| match (0..keys.len()).find(|b| boundary_name(*b) == n.name) {
            Some(b) => stacks.get(b).cloned(),
            None => input.filter(|_| k == 0).cloned(),
        };
        let given: Vec<_> = all.iter().map(given).collect();
        let open = if k == 0 && input.is_none() { inputs.to_vec() } else { vec![vec![]; inputs.len()] };
        let linked = prove_linked(&Cpu::default(), key, &open, given.clone(), &Recorder::default()).unwrap();
        let made = linked.stacks.into_iter().zip(given).filter(|(_, given)| given.is_none());
        stacks.extend(made.map(|(stack, _)| stack));
        proofs.push(linked.proved.proof);
        outputs = linked.proved.outputs;
    }
    (proofs, stacks, outputs)
}

fn world(graph: Graph, seed: u64, parts: usize, batch: usize) -> World {
    let whole = model(graph, 5);
    let costs = vec![1.0; whole.graph.nodes().len()];
    let segments = split(&whole.graph, &balance(&whole.graph, parts, &costs, 1e-3).unwrap()).unwrap();
    let keys = set_up(&whole, &segments, batch);
    let given = inputs(&whole, batch, seed);
    let (proofs, stacks, outputs) = prove_all(&keys, &given);
    for (k, out) in outputs.iter().enumerate() {
        let n = out.data.len() / batch;
        for (one, chunk) in given.iter().zip(out.data.chunks(n)) {
            assert_eq!(eval(&whole.graph, &whole.weights, one).unwrap().outputs(&whole.graph)[k].data, chunk);
        }
    }
    let joined = |k: usize| {
        let shape = [&[batch], given[0][k].shape.as_slice()].concat();
        Tensor::new(shape, given.iter().flat_map(|one| one[k].data.clone()).collect()).unwrap()
    };
    World { keys, outputs, inputs: (0..given[0].len()).map(joined).collect(), stacks, proofs }
}

fn keys(world: &World) -> SegmentKeys {
    SegmentKeys::Core(world.keys.iter().map(|k| k.verifying.clone()).collect())
}

fn verdict(world: &World, proofs: &[CoreProof]) -> Result<Shown, SegmentsError> {
    keys(world).verify(&SegmentProofs::Core(proofs.to_vec()))
}

/// The convolutional network in three segments; the same again with other inputs.
fn worlds() -> &'static [World; 2] {
    static WORLDS: OnceLock<[World; 2]> = OnceLock::new();
    WORLDS.get_or_init(|| [world(cnn(), 3, 3, 1), world(cnn(), 4, 3, 1)])
}

#[test]
fn proofs_of_all_segments_are_a_proof_of_the_whole() {
    for (w, batch) in [(&worlds()[0], 1), (&world(mixed(), 3, 2, 3), 3)] {
        let all = keys(w);
        all.check_registrations().unwrap();
        let shown = verdict(w, &w.proofs).unwrap();
        let ids: Vec<[u8; 32]> = w.stacks.iter().map(|s| s.id().unwrap()).collect();
        assert_eq!((shown.batch, &shown.boundaries), (batch, &ids));
        assert_eq!((&shown.inputs, &shown.outputs), (&w.inputs, &w.outputs));
        // Through the files.
        let file = all.to_bytes().unwrap();
        let proofs = SegmentProofs::Core(w.proofs.clone());
        let (k, p) = (SegmentKeys::from_bytes(&file).unwrap(), SegmentProofs::from_bytes(&proofs.to_bytes()).unwrap());
        assert_eq!((&k, &p), (&all, &proofs));
        assert_eq!(k.verify(&p).unwrap(), shown);
    }
    let [a, b] = worlds();
    assert_eq!(keys(a).id().unwrap(), keys(b).id().unwrap(), "keys follow from the model");
}

#[test]
fn other_proofs_put_together_are_refused() {
    let [a, b] = worlds();
    let p = &a.proofs;
    let core = |n: usize| move |e: &SegmentsError| matches!(e, SegmentsError::Core { segment, source: VerifyError::OtherKey { .. } } if *segment == n);
    type Named<'a> = (&'a str, Vec<CoreProof>, Box<dyn Fn(&SegmentsError) -> bool>);
    let boundary =
        |n: usize| move |e: &SegmentsError| matches!(e, SegmentsError::Boundary { segment, .. } if *segment == n);
    let count = |e: &SegmentsError| matches!(e, SegmentsError::Count { expected: 3, .. });
    let cheats: Vec<Named<'_>> = vec![
        ("in another order", vec![p[1].clone(), p[0].clone(), p[2].clone()], Box::new(core(1))),
        ("the last two exchanged", vec![p[0].clone(), p[2].clone(), p[1].clone()], Box::new(core(2))),
        ("one segment twice", vec![p[0].clone(), p[1].clone(), p[1].clone()], Box::new(core(3))),
        ("without the last", p[..2].to_vec(), Box::new(count)),
        ("without the first", p[1..].to_vec(), Box::new(count)),
        ("with one more", [p.as_slice(), &p[2..]].concat(), Box::new(count)),
        ("none", vec![], Box::new(count)),
        ("the first of another input", vec![b.proofs[0].clone(), p[1].clone(), p[2].clone()], Box::new(boundary(2))),
        ("the middle of another input", vec![p[0].clone(), b.proofs[1].clone(), p[2].clone()], Box::new(boundary(2))),
        ("the last of another input", vec![p[0].clone(), p[1].clone(), b.proofs[2].clone()], Box::new(boundary(3))),
    ];
    for (what, proofs, reason) in cheats {
        let e = verdict(a, &proofs).expect_err(what);
        assert!(reason(&e), "{what}: {e}");
    }
    assert!(verdict(b, &b.proofs).is_ok());
}

#[test]
fn equal_values_that_were_committed_twice_are_two_boundaries() {
    let [a, _] = worlds();
    let again = world(cnn(), 3, 3, 1);
    assert_eq!(again.outputs, a.outputs);
    let mixed = vec![a.proofs[0].clone(), a.proofs[1].clone(), again.proofs[2].clone()];
    assert!(matches!(verdict(a, &mixed), Err(SegmentsError::Boundary { segment: 3, boundary: 2, .. })));
}

#[test]
fn proofs_under_keys_of_another_model_are_refused() {
    let [a, _] = worlds();
    // The same graph with other weights: the graph is right, the key is not.
    let whole = model(cnn(), 6);
    let costs = vec![1.0; whole.graph.nodes().len()];
    let segments = split(&whole.graph, &balance(&whole.graph, 3, &costs, 1e-3).unwrap()).unwrap();
    let other = set_up(&whole, &segments, 1);
    assert_eq!(other[1].verifying.graph, a.keys[1].verifying.graph);
    // The forger's middle segment reads the honest boundary and writes one of its own, which its last segment reads.
    let given = |k: usize, stacks: Vec<Option<Stack>>| {
        prove_linked(&Cpu::default(), &other[k], &[vec![]], stacks, &Recorder::default()).unwrap()
    };
    let reads = |k: usize| other[k].verifying.stacks.len();
    assert_eq!((reads(1), reads(2)), (2, 1));
    let middle = given(1, vec![Some(a.stacks[0].clone()), None]);
    let last = given(2, vec![Some(middle.stacks[1].clone())]);
    let forged = [a.proofs[0].clone(), middle.proved.proof, last.proved.proof];
    let e = verdict(a, &forged).unwrap_err();
    assert!(matches!(e, SegmentsError::Core { segment: 2, source: VerifyError::OtherKey { .. } }), "{e}");
    // Under the forger's own keys they hang together, and the identity of those is another.
    let theirs: Vec<_> = [&a.keys[0], &other[1], &other[2]].map(|k| k.verifying.clone()).to_vec();
    let theirs = SegmentKeys::Core(theirs);
    assert!(theirs.verify(&SegmentProofs::Core(forged.to_vec())).is_ok());
    assert_ne!(theirs.id().unwrap(), keys(a).id().unwrap());
}

#[test]
fn keys_that_are_not_those_of_one_model_are_refused() {
    let [a, _] = worlds();
    let honest: Vec<_> = a.keys.iter().map(|k| k.verifying.clone()).collect();
    let refused = |what: &str, change: &dyn Fn(&mut Vec<assay_verifier::VerifyingKey>)| {
        let mut keys = honest.clone();
        change(&mut keys);
        let keys = SegmentKeys::Core(keys);
        match keys.wires() {
            Err(SegmentsError::Keys { .. }) => {}
            other => panic!("{what}: {other:?}"),
        }
        assert!(keys.verify(&SegmentProofs::Core(a.proofs.clone())).is_err(), "{what}");
    };
    refused("one alone", &|k| k.truncate(1));
    refused("the last is missing", &|k| k.truncate(2));
    refused("the first is missing", &|k| drop(k.remove(0)));
    refused("another order", &|k| k.swap(1, 2));
    refused("one twice", &|k| k.insert(1, k[1].clone()));
    refused("a boundary with other scales", &|k| k[1].stacks[0].schema.tensors[0].bits += 1);
    refused("a boundary with another name", &|k| k[1].stacks[0].schema.tensors[0].name.push('x'));
    refused("a boundary of a later segment", &|k| k[1].stacks[0].name = boundary_name(2));
    refused("a boundary of its own that it reads", &|k| k[1].stacks[0].name = boundary_name(1));
    refused("a stack that is no boundary", &|k| k[1].stacks[0].name = "input".to_owned());
    refused("an input that comes from nowhere", &|k| k[1].stacks[0].roles[0] = None);
    refused("an input from nowhere in the last", &|k| k[2].stacks.clear());
    refused("an output that goes nowhere", &|k| drop(k[0].stacks.pop()));
    refused("a boundary that is read where it should be written", &|k| k[0].stacks[0].roles[0] = Some(Role::Input(0)));
    refused("other powers of tau", &|k| k[2].srs.srs_hash[0] ^= 1);
}

/// Stacks of all inputs and of all outputs of a network, over a batch. What outputs can be is the last segment's to say: behind a
/// cut ranges may be wider.
fn about(segments: &[Segment], batch: usize) -> [NamedStack; 2] {
    let [first, .., last] = segments else { panic!("one segment") };
    let (first, last) = (&first.graph, &last.graph);
    let tensor = |name: &str, graph: &Graph, (k, id): (usize, NodeId), bits: u32| {
        let shape = [&[batch], graph.node(id).shape.as_slice()].concat();
        SchemaTensor { name: format!("{name} {k}"), shape, bits }
    };
    let inputs = first.inputs().iter().enumerate().map(|(k, id)| match &first.node(*id).op {
        Op::Input(op) => tensor("input", first, (k, *id), op.bits),
        other => panic!("{other:?}"),
    });
    let outputs = last.outputs().iter().enumerate().map(|(k, id)| {
        let fits = |bits: &u32| tensor("output", last, (k, *id), *bits).range().contains(last.node(*id).range);
        tensor("output", last, (k, *id), (1..=20).find(fits).unwrap())
    });
    let stack = |name: &str, tensors: Vec<SchemaTensor>, role: fn(usize) -> Role| {
        let roles: Vec<_> = (0..tensors.len()).map(|k| Some(role(k))).collect();
        stack_set::named(name, &Schema::new(ROW_BITS, tensors).unwrap(), &roles)
    };
    [stack("input", inputs.collect(), Role::Input), stack("output", outputs.collect(), Role::Output)]
}

#[test]
fn segments_are_about_stacks_of_the_wholes_inputs_and_outputs() {
    let batch = 2;
    let parts = |g: &Graph| balance(g, 3, &vec![1.0; g.nodes().len()], 1e-3).and_then(|cuts| split(g, &cuts)).ok();
    let (graph, segments) = (0..20).find_map(|seed| parts(&network(seed)).map(|s| (network(seed), s))).unwrap();
    let whole = model(graph, 5);
    let own = about(&segments, batch);
    let keys = set_up_about(&whole, &segments, batch, Some(&own));
    let all = SegmentKeys::Core(keys.iter().map(|k| k.verifying.clone()).collect());
    assert_eq!(all.named().into_iter().cloned().collect::<Vec<_>>(), own);
    let run = |seed: u64| {
        let given = inputs(&whole, batch, seed);
        let joined = |k: usize, t: &SchemaTensor| {
            Tensor::new(t.shape.clone(), given.iter().flat_map(|one| one[k].data.clone()).collect()).unwrap()
        };
        let values = own[0].schema.tensors.iter().enumerate().map(|(k, t)| joined(k, t)).collect();
        let input = Stack::commit(&Cpu::default(), &own[0].schema, values, &srs(), Blinding::Random).unwrap();
        let (proofs, mut stacks, outputs) = prove_about(&keys, &given, Some(&input));
        let output = stacks.pop().unwrap();
        // What the last stack holds is what the whole computes.
        assert_eq!((stacks.len(), output.values().len()), (2, outputs.len()));
        for (k, t) in output.values().iter().enumerate() {
            let expected: Vec<i64> = given
                .iter()
                .flat_map(|one| eval(&whole.graph, &whole.weights, one).unwrap().outputs(&whole.graph)[k].data.clone())
                .collect();
            assert_eq!(t.data, expected);
        }
        (proofs, [input.id().unwrap(), output.id().unwrap()])
    };
    let ((a, ids), (b, others)) = (run(3), run(4));
    let verdict = |proofs: &[CoreProof]| all.verify(&SegmentProofs::Core(proofs.to_vec()));
    let shown = verdict(&a).unwrap();
    assert_eq!((shown.batch, shown.boundaries.len(), shown.stacks.as_slice()), (batch, 2, ids.as_slice()));
    assert!(shown.inputs.is_empty() && shown.outputs.is_empty());
    // The ids tell proofs of other values apart, and nobody exchanges a segment for one of theirs.
    assert_eq!(verdict(&b).unwrap().stacks, others);
    assert!(ids.iter().all(|id| !others.contains(id)));
    for k in 0..3 {
        let mut cheat = a.clone();
        cheat[k] = b[k].clone();
        assert!(matches!(verdict(&cheat), Err(SegmentsError::Boundary { .. })), "{k}");
    }
    // A proof that is made to name the other stack is none.
    let mut cheat = a.clone();
    let place = keys[0].verifying.stacks.iter().position(|n| n.name == "input").unwrap();
    cheat[0].argument.given.rows[place] = b[0].argument.given.rows[place].clone();
    assert!(matches!(verdict(&cheat), Err(SegmentsError::Core { segment: 1, .. })));
    // Keys whose stacks are in other places, or something else than they say.
    let refused = |what: &str, change: &dyn Fn(&mut Vec<assay_verifier::VerifyingKey>)| {
        let SegmentKeys::Core(mut keys) = all.clone() else { panic!("core keys") };
        change(&mut keys);
        let e = SegmentKeys::Core(keys).wires().expect_err(what);
        assert!(matches!(e, SegmentsError::Keys { .. }), "{what}: {e}");
    };
    refused("before the boundary", &|k| k[0].stacks.rotate_right(1));
    refused("behind the outputs", &|k| k[2].stacks.rotate_left(1));
    refused("inputs in the middle", &|k| k[1].stacks.push(own[0].clone()));
    refused("outputs in the middle", &|k| k[1].stacks.push(own[1].clone()));
    refused("outputs of the first", &|k| k[0].stacks[place].roles[0] = Some(Role::Output(0)));
    refused("inputs of the last", &|k| k[2].stacks.last_mut().unwrap().roles[0] = Some(Role::Input(0)));
    refused("weights", &|k| k[0].stacks[place].roles[0] = Some(Role::Weight(0)));
    refused("nothing", &|k| k[0].stacks[place].roles.fill(None));
    refused("a name like a boundary's", &|k| k[0].stacks[place].name = "boundary 9".to_owned());
}

#[test]
fn files_of_segments_that_are_none_are_refused() {
    let [a, _] = worlds();
    let proofs = SegmentProofs::Core(a.proofs.clone()).to_bytes();
    let keys = keys(a).to_bytes().unwrap();
    assert!(matches!(SegmentProofs::from_bytes(&keys), Err(SegmentsFileError::Magic(_))));
    assert!(matches!(SegmentKeys::from_bytes(&proofs), Err(SegmentsFileError::Magic(_))));
    for file in [&proofs, &keys] {
        let read = |bytes: &[u8]| match file == &proofs {
            true => SegmentProofs::from_bytes(bytes).map(|p| p.to_bytes()),
            false => SegmentKeys::from_bytes(bytes).map(|k| k.to_bytes().unwrap()),
        };
        assert_eq!(read(file).as_ref(), Ok(file));
        // Cut short anywhere, a byte more, and each byte of the head changed.
        for end in (0..file.len()).step_by(211).chain([file.len() - 1]) {
            assert!(read(&file[..end]).is_err(), "{end} bytes");
        }
        assert!(read(&[file.as_slice(), &[0]].concat()).is_err());
        for i in 0..19 {
            let mut bytes = file.clone();
            bytes[i] ^= 0x41;
            assert!(read(&bytes).is_err(), "byte {i}");
        }
    }
    let kinds = SegmentKeys::Settled(vec![]).verify(&SegmentProofs::Core(vec![]));
    assert!(kinds.is_err());
}

/// Every byte of a boundary's id counts: a proof whose stack rows are another's fails by itself.
#[test]
fn a_boundary_put_into_another_proof_is_refused() {
    let [a, b] = worlds();
    let mut proofs = a.proofs.clone();
    // The last proof is made to say that it read the other input's boundary, which the first two wrote.
    proofs[2] = b.proofs[2].clone();
    proofs[2].argument.given.rows[0] = a.stacks[1].rows().to_vec();
    let e = verdict(a, &proofs).unwrap_err();
    assert!(matches!(e, SegmentsError::Core { segment: 3, .. }), "{e}");
}
