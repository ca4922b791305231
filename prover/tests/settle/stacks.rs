//! Named stacks in settled proofs (docs/protocol.md#settled-stacks): two proofs linked by an id on a chain, weights that a key pins,
//! and every lie about ids, rows and schemas, judged by the native check and by the contract.

use crate::{settle_evm, settle_support, stack_set, support};

use ark_ff::{AdditiveGroup, BigInt, BigInteger, Field, PrimeField};
use assay_circuits::{
    GraphBuilder, Program, Tensor,
    eval::eval,
    program::Source,
    stack::{Role, Schema},
};
use assay_prover::{
    Blinding, Recorder, Stack, StackError,
    device::Cpu,
    prove::{Mask, Task, messages},
    settle::{SettleFailure, Settled, SettledStack, SettlementProver, check_key, load_settlement},
    witness::Witness,
};
use assay_verifier::{
    Fr, G1Affine,
    channel::Check,
    core::Kind,
    protocol::padded_bits,
    settle::{
        self, Run,
        argument::SettledArgument,
        check::{check, public_bytes, public_from_bytes},
        descriptor::Descriptor,
        key::{SettledProof, SettlementKey},
    },
    stack::stack_id,
};
use settle_evm::Contract;
use settle_support::{context, listen, mock, random};
use stack_set::{classes, commit, features, given, key, named, options, run_for, schema, srs};
use std::sync::OnceLock;
use support::{Lcg, argued::recompute, model};

fn run(p: &SettlementProver, inputs: &[Vec<Tensor>], stacks: Vec<Option<Stack>>) -> Result<Settled, SettleFailure> {
    run_for(p, inputs, stacks, context())
}

/// The native check and the contract on the same bytes; they always agree.
struct Judges(Contract);

impl Judges {
    fn accept(&mut self, key: &SettlementKey, proof: &SettledProof) -> bool {
        let d = &key.descriptor;
        let native = key.verify(proof).is_ok();
        let contract = self.0.accepts(&d.to_bytes(), &proof.public, proof.context.digest(), &proof.argument);
        assert_eq!(native, contract);
        native
    }

    fn refuse(&mut self, what: &str, key: &SettlementKey, proof: &SettledProof) {
        assert!(!self.accept(key, proof), "accepted: {what}");
    }
}

/// A model that makes features, a model that reads them, and a proof of each.
struct Pair {
    features: SettlementProver,
    classes: SettlementProver,
    input: Tensor,
    stack: Stack,
    first: SettledProof,
    second: SettledProof,
}

fn pair() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| {
        let s = schema(&[("features", &[1, 20], 8)]);
        let features = key(&model(features(), 1), vec![given(named("features", &s, &[Some(Role::Output(0))]))], 1);
        let classes = key(&model(classes(), 2), vec![given(named("features", &s, &[Some(Role::Input(0))]))], 1);
        let input = Lcg(3).tensor(&[1, 12], 8);
        let mut one = run(&features, &[vec![input.clone()]], vec![None]).unwrap();
        let stack = one.stacks.remove(0);
        let two = run(&classes, &[vec![]], vec![Some(stack.clone())]).unwrap();
        Pair { features, classes, input, stack, first: one.proof, second: two.proof }
    })
}

#[test]
fn two_proofs_are_linked_by_an_id_on_a_chain() {
    let p = pair();
    let mut judges = Judges(Contract::new());
    for (prover, proof) in [(&p.features, &p.first), (&p.classes, &p.second)] {
        let key = SettlementKey::from_bytes(&prover.key.to_bytes().unwrap()).unwrap();
        assert_eq!(key, prover.key);
        check_key(&key, srs()).unwrap();
        assert_eq!(SettledProof::from_bytes(&proof.to_bytes()).as_ref(), Ok(proof));
        assert!(judges.accept(&key, proof));
    }
    // All that a consumer compares: the first word of the public values of both. Neither proof shows a feature.
    let id = p.stack.id().unwrap();
    assert_eq!((&p.first.public[..32], &p.second.public[..32]), (&id[..], &id[..]));
    assert_eq!((p.first.public.len(), p.second.public.len()), (32 + 8 * 12, 32 + 8 * 3));
    let (one, two) = (p.features.key.verify(&p.first).unwrap(), p.classes.key.verify(&p.second).unwrap());
    assert_eq!((&one.stacks, &two.stacks), (&vec![id], &vec![id]));
    // The scores are those of both models in a row.
    let f = eval(&p.features.key.graph, &p.features.weights, std::slice::from_ref(&p.input)).unwrap();
    let f = f.outputs(&p.features.key.graph);
    let y = eval(&p.classes.key.graph, &p.classes.weights, &f).unwrap();
    assert_eq!(two.tensors[0].data, y.outputs(&p.classes.key.graph)[0].data);
    // The same features committed anew are another stack, and a proof about it has another id.
    let again = commit(p.stack.schema(), p.stack.values().to_vec(), Blinding::Random);
    let other = run(&p.classes, &[vec![]], vec![Some(again)]).unwrap().proof;
    assert!(judges.accept(&p.classes.key, &other));
    assert_ne!(other.public[..32], id);
    assert_eq!(other.public[32..], p.second.public[32..]);
}

#[test]
fn lies_about_a_given_stack_are_refused() {
    let p = pair();
    let mut judges = Judges(Contract::new());
    let key = &p.classes.key;
    assert!(judges.accept(key, &p.second));
    let mut refuse = |what: &str, edit: &dyn Fn(&mut SettledProof)| {
        let mut other = p.second.clone();
        edit(&mut other);
        assert_ne!(other, p.second, "{what}");
        judges.refuse(what, key, &other);
    };
    let id = p.stack.id().unwrap();
    refuse("another id", &|q| q.public[31] ^= 1);
    refuse("no id", &|q| q.public = q.public[32..].to_vec());
    refuse("an id too many", &|q| q.public = [&id[..], &q.public].concat());
    refuse("half an id", &|q| q.public.truncate(16));
    refuse("no public values", &|q| q.public.clear());
    refuse("the id behind the values", &|q| q.public.rotate_left(32));
    // The id as an element of a field: another number that is the same modulo r.
    refuse("an id and the order of the field", &|q| {
        let word: [u8; 32] = q.public[..32].try_into().unwrap();
        q.public[..32].copy_from_slice(&other_representative(&word));
    });
    // Rows.
    let again = commit(p.stack.schema(), p.stack.values().to_vec(), Blinding::Random);
    let row = |s: &Stack| assay_verifier::curve::g1_to_bytes(&s.rows()[0]);
    refuse("rows of another stack", &|q| q.argument[..64].copy_from_slice(&row(&again)));
    refuse("rows and id of another stack", &|q| {
        q.argument[..64].copy_from_slice(&row(&again));
        q.public[..32].copy_from_slice(&again.id().unwrap());
    });
    refuse("rows exchanged with the witness'", &|q| {
        let (a, b) = q.argument.split_at_mut(64);
        a.swap_with_slice(&mut b[..64]);
    });
    refuse("the negated row and its id", &|q| {
        let rows = [-p.stack.rows()[0]];
        q.argument[..64].copy_from_slice(&assay_verifier::curve::g1_to_bytes(&rows[0]));
        q.public[..32].copy_from_slice(&stack_id(p.stack.schema(), &srs().tau_g2, &rows).unwrap());
    });
    refuse("no rows", &|q| q.argument = q.argument[64..].to_vec());
    refuse("rows cut short", &|q| q.argument = q.argument[32..].to_vec());
    refuse("a row too many", &|q| q.argument = [&q.argument[..64], &q.argument].concat());
    refuse("rows that are no points", &|q| q.argument[63] ^= 1);
    refuse("a row at infinity and its id", &|q| {
        q.argument[..64].fill(0);
        let rows = [G1Affine::default()];
        q.public[..32].copy_from_slice(&stack_id(p.stack.schema(), &srs().tau_g2, &rows).unwrap());
    });
    // Ids of the same rows under another schema, row length or powers of tau.
    let ids = |edit: &dyn Fn(&mut Schema)| {
        let mut s = p.stack.schema().clone();
        edit(&mut s);
        stack_id(&s, &srs().tau_g2, p.stack.rows()).unwrap()
    };
    for (what, id) in [
        ("another name", ids(&|s| s.tensors[0].name = "f".to_owned())),
        ("another width", ids(&|s| s.tensors[0].bits = 9)),
        ("another shape", ids(&|s| s.tensors[0].shape = vec![20])),
        ("another row length", ids(&|s| s.row_bits = 10)),
        ("other powers", stack_id(p.stack.schema(), &-srs().tau_g2, p.stack.rows()).unwrap()),
    ] {
        refuse(what, &|q| q.public[..32].copy_from_slice(&id));
    }
    refuse("another score", &|q| q.public[39] ^= 1);
    refuse("another context", &|q| q.context.job[0] ^= 1);
    // A proof of the other key.
    let mut swapped = p.first.clone();
    swapped.id = key.id();
    judges.refuse("a proof of another key", key, &swapped);
}

/// A number that is congruent modulo r: less r where that is possible, else r more.
fn other_representative(word: &[u8; 32]) -> [u8; 32] {
    let mut limbs = [0; 4];
    for (limb, chunk) in limbs.iter_mut().rev().zip(word.chunks_exact(8)) {
        *limb = u64::from_be_bytes(chunk.try_into().unwrap());
    }
    let (mut n, r) = (BigInt::<4>(limbs), Fr::MODULUS);
    if n < r {
        n.add_with_carry(&r)
    } else {
        n.sub_with_borrow(&r)
    };
    n.to_bytes_be().try_into().unwrap()
}

/// Two stacks of one schema, of two rows each: their order, and rows that change places within one and between both.
#[test]
fn rows_do_not_change_places() {
    let mut g = GraphBuilder::new(6);
    let a = g.input("a", &[1, 300], 8).unwrap();
    let b = g.input("b", &[1, 300], 8).unwrap();
    let d = g.linear("difference", &[(a, 1), (b, -1)], 0).unwrap();
    let m = model(g.finish(vec![a, b], vec![d]).unwrap(), 1);
    // The batch's axis is left out.
    let s = schema(&[("v", &[1, 300], 8)]);
    let p = key(
        &m,
        vec![given(named("a", &s, &[Some(Role::Input(0))])), given(named("b", &s, &[Some(Role::Input(1))]))],
        1,
    );
    let mut rng = Lcg(8);
    let [x, y] = [0, 1].map(|_| commit(&s, vec![rng.tensor(&[1, 300], 8)], Blinding::Random));
    let honest = run(&p, &[vec![]], vec![Some(x.clone()), Some(y.clone())]).unwrap().proof;
    let mut judges = Judges(Contract::new());
    assert!(judges.accept(&p.key, &honest));
    let ids = |a: &Stack, b: &Stack| [a.id().unwrap(), b.id().unwrap()].concat();
    assert_eq!(honest.public[..64], ids(&x, &y));
    // The same stack twice is the same id twice.
    let twice = run(&p, &[vec![]], vec![Some(x.clone()), Some(x.clone())]).unwrap().proof;
    assert!(judges.accept(&p.key, &twice));
    assert_eq!(twice.public[..64], ids(&x, &x));
    assert!(twice.public[64..].iter().all(|b| *b == 0));
    let rows = |order: [usize; 4]| {
        let mut q = honest.clone();
        for (to, from) in order.into_iter().enumerate() {
            q.argument[64 * to..64 * to + 64].copy_from_slice(&honest.argument[64 * from..64 * from + 64]);
        }
        q
    };
    judges.refuse("rows of one stack swapped", &p.key, &rows([1, 0, 2, 3]));
    judges.refuse("a row of each swapped", &p.key, &rows([2, 1, 0, 3]));
    judges.refuse("stacks swapped, ids as they were", &p.key, &rows([2, 3, 0, 1]));
    let mut swapped = rows([2, 3, 0, 1]);
    swapped.public[..64].copy_from_slice(&ids(&y, &x));
    judges.refuse("stacks and ids swapped", &p.key, &swapped);
    let mut both = rows([0, 1, 0, 1]);
    both.public[..64].copy_from_slice(&ids(&x, &x));
    judges.refuse("one stack in both places", &p.key, &both);
}

/// Public weights that the key pins, beside a given batch; and a stack that is longer than witness and model.
#[test]
fn pinned_weights_and_given_inputs() {
    let m = model(features(), 4);
    let weights = schema(&[("other", &[3000], 20), ("w", &[12, 20], 6)]);
    let inputs = schema(&[("x", &[2, 1, 12], 8)]);
    let mut rng = Lcg(5);
    let held = vec![rng.tensor(&[3000], 20), rng.tensor(&[12, 20], 6)];
    let pin = commit(&weights, held.clone(), Blinding::Public);
    let list = |pin: Option<Stack>| {
        vec![
            given(named("inputs", &inputs, &[Some(Role::Input(0))])),
            SettledStack { named: named("weights", &weights, &[None, Some(Role::Weight(0))]), pinned: pin },
        ]
    };
    let p = key(&m, list(Some(pin.clone())), 2);
    let d = &p.key.descriptor;
    assert_eq!(d.rounds(), weights.bits());
    assert!(d.rounds() > d.witness_bits.max(d.model_bits));
    check_key(&p.key, srs()).unwrap();
    let x = rng.tensor(&[2, 1, 12], 8);
    let input = commit(&inputs, vec![x.clone()], Blinding::Random);
    let settled = run(&p, &[vec![], vec![]], vec![Some(input.clone()), None]).unwrap();
    let mut judges = Judges(Contract::new());
    assert!(judges.accept(&p.key, &settled.proof));
    // The id of the given stack alone is public; that of the pinned one follows from the key, for whoever has the weights.
    assert_eq!(settled.proof.public[..32], input.id().unwrap());
    assert_eq!(settled.proof.public.len(), 32 + 8 * 2 * 20);
    let shown = p.key.verify(&settled.proof).unwrap();
    let again = commit(&weights, held.clone(), Blinding::Public);
    assert_eq!(shown.stacks, [input.id().unwrap(), again.id().unwrap()]);
    for (i, row) in x.data.chunks(12).enumerate() {
        let one = Tensor::new(vec![1, 12], row.to_vec()).unwrap();
        let y = eval(&m.graph, &held[1..], &[one]).unwrap();
        assert_eq!(shown.tensors[0].data[20 * i..20 * (i + 1)], y.outputs(&m.graph)[0].data);
    }
    // A key that pins other rows is another key, and says no; so does the key that pins none.
    let mut other = held.clone();
    other[1].data[0] ^= 1;
    let other = commit(&weights, other, Blinding::Public);
    for stacks in [list(Some(other.clone())), list(None)] {
        let q = key(&m, stacks, 2);
        let mut proof = settled.proof.clone();
        proof.id = q.key.id();
        judges.refuse("a proof about another pin", &q.key, &proof);
    }
    let told = run(&p, &[vec![], vec![]], vec![Some(input), Some(other.clone())]);
    assert!(matches!(told, Err(SettleFailure::Stack(StackError::OtherPinned { .. }))), "{told:?}");
    // Loading recomputes what the key pins.
    let load = |stacks| {
        let key = p.key.clone();
        load_settlement(&Cpu::default(), &m, srs(), &options(stacks, 2), key, &Recorder::default()).map(drop)
    };
    load(list(Some(pin))).unwrap();
    for stacks in [list(Some(other)), list(None), vec![]] {
        assert!(matches!(load(stacks), Err(SettleFailure::Key(_))));
    }
}

/// A key whose descriptor and list of stacks disagree, whoever made it.
#[test]
fn keys_that_contradict_themselves_are_refused() {
    let p = pair();
    let wrong = |edit: &dyn Fn(&mut SettlementKey)| {
        let mut key = p.classes.key.clone();
        edit(&mut key);
        // Written and read, where that is possible at all, it is refused by its own check.
        match SettlementKey::from_bytes(&key.to_bytes().unwrap()) {
            Ok(read) => assert!(read.check().is_err()),
            Err(e) => drop(e),
        }
    };
    p.classes.key.check().unwrap();
    wrong(&|k| k.stacks[0].name = "others".to_owned());
    wrong(&|k| k.stacks[0].roles = vec![None]);
    wrong(&|k| k.stacks[0].schema.tensors[0].name = "f".to_owned());
    wrong(&|k| k.stacks.clear());
    wrong(&|k| k.stacks.push(k.stacks[0].clone()));
    wrong(&|k| k.descriptor.stacks.clear());
    wrong(&|k| k.descriptor.stacks[0].schema[0] ^= 1);
    wrong(&|k| k.descriptor.stacks[0].bits += 1);
    // Whether rows are given or pinned, and which, is no contradiction but another key: a proof under one is none under the other.
    let mut pinned = p.classes.key.clone();
    pinned.descriptor.stacks[0].pinned = Some(p.stack.rows().to_vec());
    pinned.check().unwrap();
    assert_ne!(pinned.id(), p.classes.key.id());
    let mut moved = p.second.clone();
    (moved.id, moved.public, moved.argument) =
        (pinned.id(), moved.public[32..].to_vec(), moved.argument[64..].to_vec());
    Judges(Contract::new()).refuse("a proof about given rows under a key that pins them", &pinned, &moved);
    // The words of a descriptor are read back as they were written, and in no other way.
    for d in [&p.classes.key.descriptor, &p.features.key.descriptor] {
        let bytes = d.to_bytes();
        assert_eq!(Descriptor::from_bytes(&bytes).as_ref(), Ok(d));
        for word in 0..bytes.len() / 32 {
            let mut other = bytes.clone();
            other[32 * word] ^= 0x80;
            assert_ne!(Descriptor::from_bytes(&other).as_ref(), Ok(d), "word {word}");
        }
        assert!(Descriptor::from_bytes(&bytes[..bytes.len() - 32]).is_err());
    }
}

/// What two proofs about one stack share: the rows of the stack, and nothing else.
#[test]
fn proofs_share_the_rows_and_nothing_else() {
    let p = pair();
    let other = run(&p.classes, &[vec![]], vec![Some(p.stack.clone())]).unwrap().proof;
    let d = &p.classes.key.descriptor;
    let [a, b] = [&p.second, &other].map(|q| SettledArgument::from_bytes(d, &q.argument).unwrap());
    assert_eq!(a.given, b.given);
    assert!(a.rows.iter().zip(&b.rows).all(|(x, y)| x != y) && a.mask != b.mask && a.beta != b.beta);
    assert!(a.point.iter().zip(&b.point).all(|(x, y)| x != y) && a.value != b.value && a.gamma != b.gamma);
    // No value and no blinding factor of the stack is in the proof.
    for secret in p.stack.blinds() {
        let word = assay_verifier::curve::fr_to_bytes(secret);
        assert!(!p.second.argument.windows(32).any(|w| w == word));
    }
    let plain = commit(p.stack.schema(), p.stack.values().to_vec(), Blinding::Public);
    assert!(!p.second.argument.windows(64).any(|w| w == assay_verifier::curve::g1_to_bytes(&plain.rows()[0])));
}

/// A value of a given stack outside of the declared range: the messages of the honest machinery break the circuit's equations.
#[test]
fn ranges_of_given_stacks_are_checked_in_the_circuit() {
    let p = pair();
    let program: Program = p.classes.key.program().unwrap();
    let d = &p.classes.key.descriptor;
    let x = |t: &Tensor| Tensor::new(vec![1, 1, 20], t.data.clone()).unwrap();
    let honest = p.stack.values()[0].clone();
    let values = eval(&program.graph, &p.classes.weights, &[x(&honest)]).unwrap();
    let size = 1usize << d.row_bits;
    for lie in [None, Some(128), Some(-129)] {
        let mut held = honest.clone();
        let mut values = values.clone();
        let mut witness = Witness::build(&program, &values).unwrap();
        if let Some(v) = lie {
            held.data[4] = v;
            values.0[program.graph.inputs()[0].0].to_mut().data[4] = v;
            recompute(&program, &mut values);
            witness.segments[0].keys[4] = v as i32;
        }
        let stacks =
            [Stack::commit_unchecked(&Cpu::default(), p.stack.schema(), vec![held], srs(), vec![Fr::ONE]).unwrap()];
        let of = |s: Source| if let Source::Node(id) = s { values.of(id).data.clone() } else { unreachable!() };
        let public: Vec<Vec<i64>> = program.public.iter().map(|q| of(q.source)).collect();
        let bits = |s: usize| 1usize << padded_bits(program.stack_bits(s), d.row_bits);
        witness.stack.resize(bits(0), 0);
        let mut own = assay_prover::witness::model_stack(&program, &p.classes.weights).unwrap();
        own.resize(bits(1), 0);
        let task = Task {
            program: &program,
            kind: Kind::Inference,
            key_digest: [0; 32],
            batch: 1,
            public: &public,
            row_bits: d.row_bits,
            bases: &[],
            model: &own,
            model_rows: &[],
            stacks: &stacks,
        };
        let row: Vec<Fr> = (0..size).map(|_| random()).collect();
        let (mask, statement) = (Mask { salt: random(), row: &row }, random());
        let recorder = Recorder::default();
        let (said, _) = messages(&Cpu::default(), &task, &witness, &values, statement, Some(&mask), &recorder).unwrap();
        let heard = listen(&program, d.row_bits, statement, &said, &public);
        let broken: Vec<Check> = heard.equations.iter().filter(|(_, v)| *v != Fr::ZERO).map(|(c, _)| *c).collect();
        let filled =
            settle::circuit(&program, d.row_bits, Some(Run { statement, messages: &said, public: &public })).unwrap();
        assert_eq!(broken.first(), lie.map(|_| &Check::LookupSum), "{broken:?}");
        assert_eq!(broken.is_empty(), lie.is_none(), "{broken:?}");
        assert_eq!(mock(&filled).is_ok(), lie.is_none());
    }
}

/// The check of bytes, step by step: what `key.verify` compares is what `check` gives back.
#[test]
fn the_check_names_the_stacks() {
    let p = pair();
    let d = &p.classes.key.descriptor;
    let (ids, public) = public_from_bytes(d, &p.second.public).unwrap();
    let argument = SettledArgument::from_bytes(d, &p.second.argument).unwrap();
    let digest = p.second.context.digest();
    assert_eq!(check(d, &public, &digest, &argument), Ok(ids.clone()));
    assert_eq!(ids, [p.stack.id().unwrap()]);
    assert_eq!([ids.concat(), public_bytes(&public)].concat(), p.second.public);
}
