//! The Fiat-Shamir order: one list for every layout, the same for the meter and for the native verifier.

mod support;

use assay_circuits::{
    Graph, Op, Program, Visibility,
    stack::{NamedStack, Role, Schema, SchemaTensor},
};
use assay_verifier::{
    Fr,
    channel::{Channel, Check, ProtocolError},
    meter::{Step, measure},
    native::NativeChannel,
    protocol::{self, Mode},
};
use std::fmt::Write;
use support::{identity, one_lookup, two_layers};

const ROW_BITS: usize = 3;

/// Every layout that the tests look at, with the rounds and instances of its bilinear sumcheck.
fn programs() -> Vec<(&'static str, Program, usize, usize)> {
    let open = Visibility { inputs: true, weights: true, outputs: true };
    let inference = |g: &Graph, batch, v| Program::inference(g, batch, v).unwrap();
    let linked = |g: &Graph| Program::linked(g, 1, Visibility::default(), &named(g)).unwrap();
    vec![
        ("two layers", inference(&two_layers(), 1, Visibility::default()), 2, 2),
        ("two layers, batch of three, public inputs", inference(&two_layers(), 3, open), 2, 2),
        ("two layers, registration", Program::registration(&two_layers()).unwrap(), 0, 0),
        ("one lookup", inference(&one_lookup(), 1, Visibility::default()), 0, 0),
        ("identity", inference(&identity(), 2, open), 0, 0),
        ("identity, registration", Program::registration(&identity()).unwrap(), 0, 0),
        ("two layers, named stacks", linked(&two_layers()), 2, 2),
        ("identity, named stacks", linked(&identity()), 0, 0),
    ]
}

/// A stack with the first input, and one with the first output.
fn named(g: &Graph) -> Vec<NamedStack> {
    let stack = |name: &str, id: assay_circuits::NodeId, bits, role| {
        let tensor = SchemaTensor { name: name.to_owned(), shape: g.node(id).shape.clone(), bits };
        NamedStack { name: name.to_owned(), schema: Schema::new(8, vec![tensor]).unwrap(), roles: vec![Some(role)] }
    };
    let Op::Input(input) = &g.node(g.inputs()[0]).op else { unreachable!() };
    vec![stack("x", g.inputs()[0], input.bits, Role::Input(0)), stack("y", g.outputs()[0], 20, Role::Output(0))]
}

/// The order of docs/protocol.md#transcript, written down again.
fn order(p: &Program, rounds: usize, instances: usize, mode: Mode) -> Vec<Step> {
    use Step::{Challenge, Observe, Receive};
    let children = ["p0", "p1", "q0", "q1"].map(Receive);
    let sumcheck = |rounds: usize| {
        let round = [Receive("h(0)"), Receive("h(inf)"), Challenge("r")];
        std::iter::repeat_n(round, rounds).flatten().collect::<Vec<_>>()
    };
    let mut out = if mode == Mode::Hiding { vec![Receive("salt")] } else { vec![] };
    out.extend([Observe("statement"), Challenge("alpha"), Challenge("beta")]);
    out.extend(children.clone());
    out.extend([Step::Check(Check::LookupSum), Challenge("tau")]);
    for layer in 1..p.leaf_bits {
        out.push(Challenge("mix"));
        for _ in 0..layer {
            out.extend([Receive("g(0)"), Receive("g(inf)"), Challenge("r")]);
        }
        out.extend(children.clone());
        out.extend([Step::Check(Check::LookupLayer), Challenge("tau")]);
    }
    out.extend([Challenge("zeta"), Challenge("lambda")]);
    if instances > 0 {
        out.push(Receive("bilinear sum"));
        out.extend(sumcheck(rounds));
        for _ in 0..instances {
            out.extend([Receive("lhs"), Receive("rhs")]);
        }
        out.extend([Step::Check(Check::Bilinear), Challenge("rho")]);
    }
    out.extend(sumcheck(p.stacks.iter().map(|s| s.bits).max().unwrap_or(0).max(ROW_BITS)));
    out.extend([Receive("f(x)"), Receive("W(x)")]);
    out.extend(p.stacks.iter().skip(2).map(|_| Receive("c(x)")));
    out.push(Step::Check(Check::Reduction));
    out.extend((mode == Mode::Hiding).then_some(Receive("s(x)")));
    out.push(Challenge("gamma"));
    out
}

#[test]
fn the_order_is_the_documented_one() {
    for ((name, program, rounds, instances), mode) in
        programs().into_iter().flat_map(|p| [(p.clone(), Mode::Core), (p, Mode::Hiding)])
    {
        let (cost, steps) = measure(&program, ROW_BITS, mode).unwrap();
        assert_eq!(steps, order(&program, rounds, instances, mode), "{name}");
        let count = |f: &dyn Fn(&Step) -> bool| steps.iter().filter(|s| f(s)).count();
        assert_eq!(cost.messages, count(&|s| matches!(s, Step::Receive(_))));
        assert_eq!(cost.challenges, count(&|s| matches!(s, Step::Challenge(_))));
    }
}

/// Between any two challenges of the same label something is absorbed or another one is drawn; and nothing that the prover
/// sends is the last step, so every message is answered by a challenge.
#[test]
fn every_message_is_answered() {
    for (name, program, ..) in programs() {
        let (_, steps) = measure(&program, ROW_BITS, Mode::Core).unwrap();
        let last = steps.iter().rposition(|s| matches!(s, Step::Receive(_))).unwrap();
        assert!(steps[last..].iter().any(|s| matches!(s, Step::Challenge("gamma"))), "{name}");
        assert!(matches!(steps.last(), Some(Step::Challenge(_))), "{name}");
        assert!(steps.windows(2).all(|w| !matches!(w[0], Step::Challenge(_)) || w[0] != w[1]), "{name}");
    }
}

/// The inventory of one layout, for review: a change of the protocol shows up here.
#[test]
fn inventory() {
    let (_, program, ..) = programs().swap_remove(0);
    let (cost, steps) = measure(&program, ROW_BITS, Mode::Core).unwrap();
    let mut out = String::new();
    for s in &steps {
        match s {
            Step::Observe(l) => writeln!(out, "observe   {l}"),
            Step::Receive(l) => writeln!(out, "  receive {l}"),
            Step::Challenge(l) => writeln!(out, "draw      {l}"),
            Step::Check(c) => writeln!(out, "    check {c:?}"),
        }
        .unwrap();
    }
    writeln!(out, "{cost:#?}").unwrap();
    insta::assert_snapshot!(out);
}

/// A native channel that writes down what it is asked, and goes on when an equation fails.
struct Recording<'a> {
    native: NativeChannel<'a>,
    steps: Vec<Step>,
    failed: usize,
}

impl Channel for Recording<'_> {
    type Elem = Fr;

    fn observe(&mut self, label: &'static str, value: &Fr) -> Result<(), ProtocolError> {
        self.steps.push(Step::Observe(label));
        self.native.observe(label, value)
    }

    fn receive(&mut self, label: &'static str) -> Result<Fr, ProtocolError> {
        self.steps.push(Step::Receive(label));
        self.native.receive(label)
    }

    fn challenge(&mut self, label: &'static str) -> Result<Fr, ProtocolError> {
        self.steps.push(Step::Challenge(label));
        self.native.challenge(label)
    }

    fn public(&mut self, zeta: &Fr) -> Result<Fr, ProtocolError> {
        self.native.public(zeta)
    }

    fn invert(&mut self, label: &'static str, value: &Fr) -> Result<Fr, ProtocolError> {
        self.native.invert(label, value)
    }

    fn assert_zero(&mut self, check: Check, value: Fr) -> Result<(), ProtocolError> {
        self.steps.push(Step::Check(check));
        self.failed += usize::from(self.native.assert_zero(check, value).is_err());
        Ok(())
    }
}

#[test]
fn the_native_verifier_keeps_the_meters_order() {
    for (name, program, ..) in programs() {
        let (cost, steps) = measure(&program, ROW_BITS, Mode::Core).unwrap();
        let messages: Vec<Fr> = (0..cost.messages as u64).map(|i| Fr::from(i * i + 3)).collect();
        let public: Vec<Vec<i64>> = program.public.iter().map(|p| vec![1; p.shape.iter().product()]).collect();
        let native = NativeChannel::new(&messages, &public).unwrap();
        let mut channel = Recording { native, steps: vec![], failed: 0 };
        protocol::verify(&mut channel, &program, ROW_BITS, Mode::Core, &Fr::from(9u8)).unwrap();
        assert_eq!(channel.steps, steps, "{name}");
        assert_eq!(channel.native.unread(), 0, "{name}");
        assert_eq!(channel.native.permutations(), cost.permutations, "{name}");
        assert!(channel.failed > 0, "{name}: made-up messages prove nothing");
    }
}
