//! Recurrences end to end: honest ones prove, with and without a batch, and the proof's length hardly grows with the steps; a
//! prover whose states follow another recurrence is refused, whatever else it makes up.

use crate::{settle_support, support};

use assay_circuits::{
    Graph, GraphBuilder, Op, Table, Visibility,
    ops::{Concat, Contraction, Reshape, Window},
    program::Content,
    relation::RelationError,
};
use assay_prover::{ProvingKey, Recorder, SetupOptions, device::Cpu, srs::Srs};
use assay_verifier::{
    VerifyError,
    channel::{Check, ProtocolError},
    opening::OpeningError,
};
use settle_support::Lab;
use support::{
    forge::{Forge, Lie},
    inputs, key, model, round_trip,
};

const UNITS: usize = 2;
const SHIFT: u32 = 2;

fn squash(t: i64) -> i32 {
    t.clamp(-16, 15) as i32
}

/// `state[t] = squash(round((3 state[t-1] + 2 x[t]) / 4))` over `[steps, 2]`; states and delayed states are public.
fn filter(steps: usize) -> Graph {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[steps, UNITS], 5).unwrap();
    let init = g.input("init", &[1, UNITS], 5).unwrap();
    let d = g.delay("delay", init, 0, steps, (-16, 15)).unwrap();
    let sum = g.linear("sum", &[(d, 3), (x, 2)], 0).unwrap();
    let state = g.lookup("state", sum, SHIFT, Table::tabulate("squash", -16, 5, squash)).unwrap();
    g.connect(d, state).unwrap();
    g.finish(vec![x, init], vec![state, d]).unwrap()
}

/// A recurrent network: `h = squash(W [x, h])`, `y = V h` at the last step; two weight matrices, one cycle.
fn network(steps: usize) -> Graph {
    let (features, units) = (3, 4);
    let mut g = GraphBuilder::new(6);
    let x = g.input("x", &[steps, features], 6).unwrap();
    let w = g.weight("w", &[features + units, units], 6).unwrap();
    let v = g.weight("v", &[units, 2], 6).unwrap();
    let first = g.push("first", Op::Window(Window::slice(0, 0, 1, 1)), &[x]).unwrap();
    let first = g.push("first unit", Op::Window(Window::slice(1, 0, 1, 1)), &[first]).unwrap();
    let zero = g.linear("zero", &[(first, 0)], 0).unwrap();
    let init = g.push("init", Op::Window(Window::broadcast(1, units)), &[zero]).unwrap();
    let h = g.delay("h", init, 0, steps, (-128, 127)).unwrap();
    let joined = g.push("joined", Op::Concat(Concat { axis: 1 }), &[x, h]).unwrap();
    let pre = Op::Contraction(Contraction::matmul(&[], steps, features + units, units));
    let pre = g.push("dense", pre, &[joined, w]).unwrap();
    let table = Table::tabulate("squash", -256, 9, |t| t.clamp(-128, 127) as i32);
    let next = g.lookup("next", pre, 5, table).unwrap();
    g.connect(h, next).unwrap();
    let last = g.push("last", Op::Window(Window::slice(0, steps as i64 - 1, 1, 1)), &[next]).unwrap();
    let y = g.push("y", Op::Contraction(Contraction::matmul(&[], 1, units, 2)), &[last, v]).unwrap();
    g.finish(vec![x], vec![y]).unwrap()
}

#[test]
fn recurrences_prove() {
    for steps in [1, 2, 5, 8] {
        for batch in [1, 3] {
            round_trip(&model(filter(steps), 1), batch, SetupOptions { row_bits: Some(4), ..Default::default() });
            round_trip(&model(network(steps), 2), batch, SetupOptions { row_bits: Some(5), ..Default::default() });
        }
    }
}

#[test]
fn messages_do_not_grow_with_the_steps() {
    let scalars = |steps: usize| {
        let m = model(network(steps), 2);
        let key = key(&m, SetupOptions { row_bits: Some(8), ..Default::default() });
        let inputs = inputs(&m, 1, 3);
        let proof = assay_prover::prove(&Cpu::default(), &key, &inputs, &Recorder::default()).unwrap();
        proof.proof.argument.messages.len()
    };
    let (few, many) = (scalars(8), scalars(64));
    // Eight times the steps: three more rounds in each sumcheck, three more layers.
    assert!(many * 10 < few * 16, "{few} messages for 8 steps, {many} for 64");
}

fn honest(steps: usize) -> (ProvingKey, Forge) {
    let m = model(filter(steps), 1);
    let key = key(&m, SetupOptions { row_bits: Some(4), ..Default::default() });
    let forge = Forge::inference(&key, &inputs(&m, 2, 5));
    (key, forge)
}

/// What a cheat takes for the state before step `t`: from the initial state and the states so far (`[step][unit]`), and those of
/// the other inference of the batch.
type Previous = fn(t: usize, unit: usize, init: &[i64], own: &[Vec<i64>], other: &[Vec<i64>]) -> i64;

/// States, and remainders that fit the sums they were computed from, of a recurrence in which `previous` stands for the delay.
fn states(f: &Forge, steps: usize, previous: Previous) -> (Vec<i64>, Vec<i64>) {
    let (x, init) = (&f.contents[f.named("x")], &f.contents[f.named("init")]);
    let mut all: Vec<Vec<Vec<i64>>> = vec![];
    let mut rest = vec![];
    for b in 0..2 {
        let mut own: Vec<Vec<i64>> = vec![];
        for t in 0..steps {
            let other = if b == 0 { &[][..] } else { &all[0][..] };
            let step: Vec<i64> = (0..UNITS)
                .map(|u| {
                    let before = previous(t, u, &init[b * UNITS..][..UNITS], &own, other);
                    let sum = 3 * before + 2 * x[(b * steps + t) * UNITS + u] + 2;
                    rest.push(sum & 3);
                    i64::from(squash(sum >> SHIFT))
                })
                .collect();
            own.push(step);
        }
        all.push(own);
    }
    (all.into_iter().flatten().flatten().collect(), rest)
}

fn faithful(t: usize, unit: usize, init: &[i64], own: &[Vec<i64>], _: &[Vec<i64>]) -> i64 {
    if t == 0 { init[unit] } else { own[t - 1][unit] }
}

#[test]
fn another_recurrence_is_refused() {
    let steps = 5;
    let (key, honest) = honest(steps);
    honest.verdict(&key.verifying).unwrap();
    assert_eq!(states(&honest, steps, faithful).0, honest.contents[honest.named("state")]);
    let cheats: [(&str, Previous); 7] = [
        ("a step skipped", |t, u, init, own, _| if t < 2 { init[u] } else { own[t - 2][u] }),
        ("the initial state at every step", |_, u, init, _, _| init[u]),
        ("an initial state of zero", |t, u, _, own, _| if t == 0 { 0 } else { own[t - 1][u] }),
        ("the initial state of the step after", |t, u, init, own, _| if t < 1 { init[1 - u] } else { own[t - 1][u] }),
        ("units swapped", |t, u, init, own, _| if t == 0 { init[u] } else { own[t - 1][1 - u] }),
        (
            "the other inference's state",
            |t, u, init, own, other| {
                if t == 0 { init[u] } else { other.get(t - 1).unwrap_or(&own[t - 1])[u] }
            },
        ),
        (
            "the last update skipped",
            |t, u, init, own, _| {
                if t == 0 { init[u] } else { own[t - 1 - usize::from(t == 4)][u] }
            },
        ),
    ];
    for (what, previous) in cheats {
        refused(what, &key, &honest, states(&honest, steps, previous));
    }
}

/// States, with remainders that fit the sums they were computed from, in the place of the true ones: with those remainders and with
/// the true ones, and with every lie that gets past one more check.
fn refused(what: &str, key: &ProvingKey, honest: &Forge, (forged, rest): (Vec<i64>, Vec<i64>)) {
    let state = honest.named("state");
    let remainder = honest.find(|c| matches!(c, Content::Remainder { .. }));
    assert_ne!(forged, honest.contents[state], "{what} changes nothing here");
    for own_rest in [true, false] {
        let mut forge = honest.clone();
        forge.contents[state].clone_from(&forged);
        let mut kept = vec![state];
        if own_rest {
            forge.contents[remainder].clone_from(&rest);
            kept.push(remainder);
        }
        forge.rederive(&kept);
        assert!(
            matches!(forge.relation(), Err(RelationError::Lookup { ref node, .. }) if node == "state"),
            "{what}: {:?}",
            forge.relation()
        );
        let failed = |check| Err(VerifyError::Protocol(ProtocolError::Check(check)));
        assert_eq!(forge.verdict(&key.verifying), failed(Check::LookupSum), "{what}");
        assert_eq!(forge.with(Lie::Leaves).verdict(&key.verifying), failed(Check::Reduction), "{what}");
        let pairing = Err(VerifyError::Opening(OpeningError::PairingMismatch));
        assert_eq!(forge.with(Lie::Opening).verdict(&key.verifying), pairing, "{what}");
    }
}

/// States that depend on what is not there yet: on themselves, for which this recurrence has a fixed point, or on the step after.
#[test]
fn states_that_are_read_early_are_refused() {
    let steps = 5;
    let (key, honest) = honest(steps);
    let (x, init) = (&honest.contents[honest.named("x")], &honest.contents[honest.named("init")]);
    let next = |before: i64, x: i64| {
        let sum = 3 * before + 2 * x + 2;
        (i64::from(squash(sum >> SHIFT)), sum & 3)
    };
    let blank = vec![0; 2 * steps * UNITS];
    let (mut own, mut own_rest, mut after, mut after_rest) = (blank.clone(), blank.clone(), blank.clone(), blank);
    for (b, u) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let at = |t: usize| (b * steps + t) * UNITS + u;
        let start = init[b * UNITS + u];
        for t in 0..steps {
            let before = if t == 0 { start } else { (2 * x[at(t)]).clamp(-16, 15) };
            (own[at(t)], own_rest[at(t)]) = next(before, x[at(t)]);
            assert!(t == 0 || own[at(t)] == before, "a fixed point");
        }
        let mut before = start;
        for t in (0..steps).rev() {
            (after[at(t)], after_rest[at(t)]) = next(before, x[at(t)]);
            before = after[at(t)];
        }
    }
    refused("a state that reads itself", &key, &honest, (own, own_rest));
    refused("time that runs backwards", &key, &honest, (after, after_rest));
}

/// Batch and time are axes of one extent here, and the tensors of one of them transposed are no witness.
#[test]
fn batch_and_steps_are_not_exchanged() {
    let steps = 2;
    let (key, honest) = honest(steps);
    let mut forge = honest.clone();
    let state = honest.named("state");
    let old = honest.contents[state].clone();
    for (b, t, u) in [(0, 1, 0), (0, 1, 1), (1, 0, 0), (1, 0, 1)] {
        forge.contents[state][(b * steps + t) * UNITS + u] = old[(t * steps + b) * UNITS + u];
    }
    forge.rederive(&[state]);
    assert!(forge.relation().is_err());
    assert!(forge.verdict(&key.verifying).is_err());
    assert!(forge.with(Lie::Opening).verdict(&key.verifying).is_err());
}

/// A delayed state that is claimed in public must be the state of the step before.
#[test]
fn public_states_are_the_delayed_ones() {
    let (key, honest) = honest(4);
    for entry in 0..honest.public[1].len() {
        let mut forge = honest.clone();
        forge.public[1][entry] = (forge.public[1][entry] - 15) % 16 + 1;
        if forge.public[1][entry] == honest.public[1][entry] {
            continue;
        }
        assert!(matches!(forge.relation(), Err(RelationError::Public { tensor: 1, .. })));
        assert!(forge.verdict(&key.verifying).is_err());
        assert!(forge.with(Lie::Opening).verdict(&key.verifying).is_err());
    }
}

/// A state that no lookup lets through is named as such by the naive checker.
#[test]
fn states_beyond_their_range_are_refused() {
    let (key, honest) = honest(4);
    let mut forge = honest.clone();
    let state = honest.named("state");
    forge.contents[state][3] = 16;
    forge.recount();
    assert!(matches!(forge.relation(), Err(RelationError::State { entry: 3, got: 16, .. })));
    assert!(forge.verdict(&key.verifying).is_err());
}

/// Shapes that no recurrence has, for the sake of the batch's views: a delay between reshapes.
#[test]
fn views_around_a_delay_prove() {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[3, 2, 2], 5).unwrap();
    let first = g.push("first", Op::Window(Window::slice(1, 0, 1, 1)), &[x]).unwrap();
    let d = g.delay("d", first, 1, 2, (-16, 15)).unwrap();
    let flat = g.push("flat", Op::Reshape(Reshape { shape: vec![3, 2, 2, 1] }), &[d]).unwrap();
    let back = g.push("back", Op::Reshape(Reshape { shape: vec![3, 2, 2] }), &[flat]).unwrap();
    let sum = g.linear("sum", &[(back, 1), (x, 1)], 1).unwrap();
    let state = g.lookup("state", sum, 1, Table::tabulate("squash", -16, 5, squash)).unwrap();
    g.connect(d, state).unwrap();
    let graph = g.finish(vec![x], vec![d, state]).unwrap();
    round_trip(&model(graph, 3), 2, SetupOptions { row_bits: Some(4), ..Default::default() });
}

/// Recurrences settle; a state that is off by one does not.
#[test]
fn settled_recurrences() {
    let m = model(filter(3), 1);
    let inputs = inputs(&m, 1, 5);
    let lab = Lab::new(m, Srs::development(14, 7).unwrap(), 1, 4, Visibility::default());
    lab.tells_apart(&inputs, &[("state", 1)]);
}
