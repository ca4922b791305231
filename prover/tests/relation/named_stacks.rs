//! Named stacks in core proofs: tensors that are committed once and that several proofs are about
//! (docs/protocol.md#named-stacks).

use crate::{stack_set, support};

use ark_ff::{AdditiveGroup, Field};
use assay_circuits::{
    GraphBuilder, Program, Tensor, Visibility,
    model::Model,
    program::{NAMED, WITNESS},
    relation::{self, RelationError},
    ring::eq_table,
    stack::{NamedStack, Role, Schema, SchemaTensor},
};
use assay_prover::{
    Blinding, Linked, ProveError, ProvingKey, Recorder, SetupOptions, Stack, StackError,
    device::Cpu,
    prove_linked, setup_linked,
    srs::Srs,
    witness::{Witness, model_stack, scatter},
};
use assay_verifier::{
    CoreProof, Fr, G1Affine, VerifyError, VerifyingKey,
    channel::{Check, ProtocolError},
    core::{check_registration, verify},
    opening::OpeningError,
    stack::stack_id,
};
use stack_set::{classes, features, named};
use support::{Lcg, argued::argued, model, srs};

const PAIRING: VerifyError = VerifyError::Opening(OpeningError::PairingMismatch);

fn tensor(name: &str, shape: &[usize], bits: u32) -> SchemaTensor {
    SchemaTensor { name: name.to_owned(), shape: shape.to_vec(), bits }
}

fn schema(tensors: &[SchemaTensor]) -> Schema {
    Schema::new(8, tensors.to_vec()).unwrap()
}

fn key(model: &Model, stacks: &[NamedStack], batch: usize) -> ProvingKey {
    let options = SetupOptions { visibility: Visibility { inputs: true, ..Default::default() }, row_bits: None };
    let key = setup_linked(&Cpu::default(), model, stacks, batch, &srs(), options, &Recorder::default()).unwrap();
    check_registration(&key.verifying).unwrap();
    key
}

fn commit(schema: &Schema, values: Vec<Tensor>) -> Stack {
    Stack::commit(&Cpu::default(), schema, values, &srs(), Blinding::Random).unwrap()
}

fn run(key: &ProvingKey, inputs: &[Vec<Tensor>], stacks: Vec<Option<Stack>>) -> Result<Linked, ProveError> {
    prove_linked(&Cpu::default(), key, inputs, stacks, &Recorder::default())
}

fn protocol(check: Check) -> VerifyError {
    VerifyError::Protocol(ProtocolError::Check(check))
}

/// The features of one model, and the key of another that reads them.
struct Pair {
    schema: Schema,
    first: ProvingKey,
    second: ProvingKey,
    input: Tensor,
}

fn pair() -> Pair {
    let schema = schema(&[tensor("features", &[1, 20], 8)]);
    let first = key(&model(features(), 1), &[named("features", &schema, &[Some(Role::Output(0))])], 1);
    let second = key(&model(classes(), 2), &[named("features", &schema, &[Some(Role::Input(0))])], 1);
    Pair { schema, first, second, input: Lcg(3).tensor(&[1, 12], 8) }
}

#[test]
fn two_proofs_are_linked_by_an_id_alone() {
    let p = pair();
    let one = run(&p.first, &[vec![p.input.clone()]], vec![None]).unwrap();
    let features = one.stacks[0].clone();
    assert!(features.blinded());
    let two = run(&p.second, &[vec![]], vec![Some(features.clone())]).unwrap();
    let (a, b) = (one.proved.proof.to_bytes(), two.proved.proof.to_bytes());
    let (a, b) = (CoreProof::from_bytes(&a).unwrap(), CoreProof::from_bytes(&b).unwrap());
    assert_eq!((&a, &b), (&one.proved.proof, &two.proved.proof));
    let keys = [&p.first, &p.second].map(|k| VerifyingKey::from_bytes(&k.verifying.to_bytes().unwrap()).unwrap());
    assert_eq!([&keys[0], &keys[1]], [&p.first.verifying, &p.second.verifying]);
    let (va, vb) = (verify(&keys[0], &a).unwrap(), verify(&keys[1], &b).unwrap());
    // What the verifiers compare; neither sees a feature.
    assert_eq!(va.stacks, vb.stacks);
    assert_eq!(va.stacks, vec![features.id().unwrap()]);
    assert_eq!((va.inputs.len(), va.outputs.len(), vb.inputs.len(), vb.outputs.len()), (1, 0, 0, 1));
    // The scores are those of both models in a row.
    let f =
        assay_circuits::eval::eval(&p.first.verifying.graph, &p.first.weights, std::slice::from_ref(&p.input)).unwrap();
    let f = f.outputs(&p.first.verifying.graph);
    let y = assay_circuits::eval::eval(&p.second.verifying.graph, &p.second.weights, &f).unwrap();
    assert_eq!(vb.outputs[0].data, y.outputs(&p.second.verifying.graph)[0].data);
    // The same features committed again have another id.
    let again = commit(&p.schema, features.values().to_vec());
    assert_ne!(again.id().unwrap(), features.id().unwrap());
}

/// Weights in a stack, beside a tensor that the graph does not read, of more than one row, and a batch.
#[test]
fn weights_and_a_batch_come_from_stacks() {
    let m = model(features(), 4);
    let weights = schema(&[tensor("other", &[300], 20), tensor("w", &[12, 20], 6), tensor("b", &[3], 2)]);
    let inputs = schema(&[tensor("x", &[3, 1, 12], 8)]);
    let stacks = [
        named("weights", &weights, &[None, Some(Role::Weight(0)), None]),
        named("inputs", &inputs, &[Some(Role::Input(0))]),
    ];
    let k = key(&m, &stacks, 3);
    let mut rng = Lcg(5);
    for blinding in [Blinding::Random, Blinding::Public] {
        let values = vec![rng.tensor(&[300], 20), rng.tensor(&[12, 20], 6), rng.tensor(&[3], 2)];
        let x = rng.tensor(&[3, 1, 12], 8);
        let w = Stack::commit(&Cpu::default(), &weights, values.clone(), &srs(), blinding).unwrap();
        assert_eq!(w.rows().len(), 8);
        let given = vec![Some(w.clone()), Some(commit(&inputs, vec![x.clone()]))];
        let linked = run(&k, &[vec![], vec![], vec![]], given).unwrap();
        let verified = verify(&k.verifying, &linked.proved.proof).unwrap();
        assert_eq!(verified.stacks, linked.stacks.iter().map(|s| s.id().unwrap()).collect::<Vec<_>>());
        for (i, row) in x.data.chunks(12).enumerate() {
            let one = Tensor::new(vec![1, 12], row.to_vec()).unwrap();
            let y = assay_circuits::eval::eval(&m.graph, std::slice::from_ref(&values[1]), &[one]).unwrap();
            assert_eq!(verified.outputs[0].data[20 * i..20 * (i + 1)], y.outputs(&m.graph)[0].data);
        }
        if blinding == Blinding::Public {
            // Anyone with the values has the id.
            let again = Stack::commit(&Cpu::default(), &weights, values, &srs(), blinding).unwrap();
            assert_eq!(again.id().unwrap(), w.id().unwrap());
            assert_eq!(linked.proved.proof.argument.given.rows[0], again.rows());
        }
    }
    // The layout is the schema's, whatever the graph.
    let program = k.verifying.program(3).unwrap();
    for (s, stack) in stacks.iter().enumerate() {
        let placed: Vec<usize> = program.tensors.iter().filter(|t| t.stack == NAMED + s).map(|t| t.offset).collect();
        assert_eq!(placed, stack.schema.offsets());
        assert_eq!(program.stack_bits(NAMED + s), stack.schema.bits());
    }
}

/// A proof of a run on contents that are no stack's.
fn cheat(key: &ProvingKey, inputs: &[Tensor], weights: &[Tensor], stacks: &[Stack]) -> (Program, CoreProof) {
    let program = key.verifying.program(1).unwrap();
    let values = assay_circuits::eval::eval(&program.graph, weights, inputs).unwrap();
    let proof = argued(key, Witness::build(&program, &values).unwrap(), &values, stacks);
    (program, proof)
}

#[test]
fn a_stack_with_other_values_is_refused() {
    let p = pair();
    let one = run(&p.first, &[vec![p.input.clone()]], vec![None]).unwrap();
    let features = one.stacks[0].values()[0].clone();
    let mut other = features.clone();
    other.data[7] ^= 1;
    let lie = commit(&p.schema, vec![other.clone()]);
    // The honest prover says what differs.
    let told = run(&p.first, &[vec![p.input.clone()]], vec![Some(lie.clone())]);
    assert!(matches!(told, Err(ProveError::Stack(StackError::OtherOutput { position: 7, .. }))), "{told:?}");
    // An output that the model did not compute.
    let x = Tensor::new(vec![1, 1, 12], p.input.data.clone()).unwrap();
    let (program, proof) = cheat(&p.first, &[x], &p.first.weights, std::slice::from_ref(&lie));
    assert_eq!(verify(&p.first.verifying, &proof).unwrap_err(), protocol(Check::Reduction));
    assert_eq!(program.links.len(), 1);
    // Scores of other features than the stack's.
    let wide = Tensor::new(vec![1, 1, 20], features.data).unwrap();
    let (_, proof) = cheat(&p.second, &[wide], &p.second.weights, std::slice::from_ref(&lie));
    assert_eq!(verify(&p.second.verifying, &proof).unwrap_err(), protocol(Check::Reduction));
}

/// The naive relation on the same contents.
#[test]
fn the_relation_knows_named_stacks() {
    let p = pair();
    let program = p.first.verifying.program(1).unwrap();
    let x = Tensor::new(vec![1, 1, 12], p.input.data.clone()).unwrap();
    let values = assay_circuits::eval::eval(&program.graph, &p.first.weights, &[x]).unwrap();
    let witness = Witness::build(&program, &values).unwrap();
    let own = model_stack(&program, &p.first.weights).unwrap();
    let held = program.links[0].clone();
    let contents: Vec<Vec<i64>> = program
        .tensors
        .iter()
        .enumerate()
        .map(|(i, t)| {
            if i == held.tensor {
                return values.of(held.node).data.clone();
            }
            let stack = if t.stack == WITNESS { &witness.stack } else { &own };
            support::forge::places(&program, i).into_iter().map(|at| i64::from(stack[at])).collect()
        })
        .collect();
    let public = vec![p.input.data.clone()];
    relation::check(&program, &contents, &public).unwrap();
    for entry in [0, 19] {
        let mut other = contents.clone();
        other[held.tensor][entry] += 1;
        let refused = relation::check(&program, &other, &public).unwrap_err();
        assert!(matches!(refused, RelationError::Link { entry: e, .. } if e == entry), "{refused}");
    }
}

/// Values outside of the declared range, which no honest tool commits: each proof that reads them checks them.
#[test]
fn ranges_of_a_stack_are_checked_where_it_is_used() {
    // A schema of more bits, whose rows are then said to be those of fewer.
    let wide = schema(&[tensor("features", &[1, 20], 9)]);
    let p = pair();
    let mut values = Lcg(6).tensor(&[1, 20], 8);
    values.data[4] = 128;
    let stack = commit(&wide, vec![values.clone()]);
    let refused = run(&p.second, &[vec![]], vec![Some(stack.clone())]).unwrap_err();
    assert!(matches!(refused, ProveError::Stack(StackError::OtherSchema { .. })));
    assert!(Stack::commit(&Cpu::default(), &p.schema, vec![values.clone()], &srs(), Blinding::Random).is_err());
    // A key that declares nine bits for an input of eight is none.
    let lax = named("features", &wide, &[Some(Role::Input(0))]);
    let refused = Program::linked(&classes(), 1, Visibility::default(), &[lax]).unwrap_err();
    assert!(refused.to_string().contains("9 bits, the graph with 8"), "{refused}");
    // Without a lookup for the value the prover cannot count it.
    let program = p.second.verifying.program(1).unwrap();
    let lookups: usize = program.lookups();
    assert_eq!(lookups, 20, "every feature is looked up");
}

#[test]
fn every_part_of_a_stack_is_bound() {
    let p = pair();
    let one = run(&p.first, &[vec![p.input.clone()]], vec![None]).unwrap();
    let proof = one.proved.proof;
    let key = &p.first.verifying;
    let refused = |what: &str, edit: &dyn Fn(&mut CoreProof)| {
        let mut other = proof.clone();
        edit(&mut other);
        assert!(verify(key, &other).is_err(), "{what}");
    };
    refused("another row", &|p| p.argument.given.rows[0][0] = p.argument.rows[0]);
    refused("a negated row", &|p| p.argument.given.rows[0][0] = -p.argument.given.rows[0][0]);
    refused("a row less", &|p| p.argument.given.rows[0].clear());
    refused("a row more", &|p| p.argument.given.rows[0].push(p.argument.rows[0]));
    refused("no stack", &|p| p.argument.given.rows.clear());
    refused("a stack twice", &|p| p.argument.given.rows.push(p.argument.given.rows[0].clone()));
    refused("rows exchanged with the witness", &|p| {
        std::mem::swap(&mut p.argument.given.rows[0][0], &mut p.argument.rows[0]);
    });
    let mut tail = proof.clone();
    tail.argument.given.tail += Fr::ONE;
    assert_eq!(verify(key, &tail).unwrap_err(), PAIRING);
    // The same values under fresh factors: the messages are the old ones, and the digest differs.
    let again = commit(&p.schema, one.stacks[0].values().to_vec());
    refused("another blinding", &|p| p.argument.given.rows[0] = again.rows().to_vec());
    // A row more times what blinds it: were ids not absorbed, the tail could make up for it.
    let digests = |k: &VerifyingKey| k.digest().unwrap();
    let mut other = key.clone();
    other.stacks[0].schema.tensors[0].name = "others".to_owned();
    assert_ne!(digests(key), digests(&other));
    assert_ne!(key.model_id().unwrap(), other.model_id().unwrap());
    other = key.clone();
    other.stacks[0].roles = vec![None];
    assert_ne!(digests(key), digests(&other));
}

/// A stack twice is the same id twice, and two stacks that change places are other ids.
#[test]
fn stacks_of_one_schema_are_told_apart() {
    let mut g = GraphBuilder::new(6);
    let a = g.input("a", &[1, 4], 8).unwrap();
    let b = g.input("b", &[1, 4], 8).unwrap();
    let d = g.linear("difference", &[(a, 1), (b, -1)], 0).unwrap();
    let m = model(g.finish(vec![a, b], vec![d]).unwrap(), 1);
    let s = schema(&[tensor("v", &[1, 4], 8)]);
    let k = key(&m, &[named("a", &s, &[Some(Role::Input(0))]), named("b", &s, &[Some(Role::Input(1))])], 1);
    let mut rng = Lcg(8);
    let [x, y] = [0, 1].map(|_| commit(&s, vec![rng.tensor(&[1, 4], 8)]));
    let twice = run(&k, &[vec![]], vec![Some(x.clone()), Some(x.clone())]).unwrap().proved.proof;
    let v = verify(&k.verifying, &twice).unwrap();
    assert_eq!((v.stacks[0], v.outputs[0].data.as_slice()), (v.stacks[1], [0; 4].as_slice()));
    let proof = run(&k, &[vec![]], vec![Some(x.clone()), Some(y.clone())]).unwrap().proved.proof;
    assert_eq!(verify(&k.verifying, &proof).unwrap().stacks, [x.id().unwrap(), y.id().unwrap()]);
    let mut swapped = proof;
    swapped.argument.given.rows.swap(0, 1);
    assert!(verify(&k.verifying, &swapped).is_err());
}

#[test]
fn other_powers_and_other_rows_are_other_stacks() {
    let p = pair();
    let values = vec![Lcg(9).tensor(&[1, 20], 8)];
    let elsewhere = Srs::development(10, 8).unwrap();
    let stack = Stack::commit(&Cpu::default(), &p.schema, values.clone(), &elsewhere, Blinding::Random).unwrap();
    let refused = run(&p.second, &[vec![]], vec![Some(stack.clone())]).unwrap_err();
    assert!(matches!(refused, ProveError::Stack(StackError::OtherSrs { .. })));
    assert!(stack.check(&Cpu::default(), &srs()).is_err());
    stack.check(&Cpu::default(), &elsewhere).unwrap();
    // The rows under other powers open to nothing here.
    let honest = commit(&p.schema, values);
    let x = Tensor::new(vec![1, 1, 20], honest.values()[0].data.clone()).unwrap();
    let (_, mut proof) = cheat(&p.second, &[x], &p.second.weights, &[stack]);
    // The prover's id names its own powers, the verifier's these: the challenges differ from the start.
    assert_eq!(verify(&p.second.verifying, &proof).unwrap_err(), protocol(Check::LookupLayer));
    proof.argument.given.rows[0] = honest.rows().to_vec();
    assert!(verify(&p.second.verifying, &proof).is_err());
    // Rows of another length are another schema, and the id says so.
    let mut long = p.schema.clone();
    long.row_bits = 10;
    let g2 = srs().verifier().tau_g2;
    let rows: &[G1Affine] = honest.rows();
    assert_ne!(stack_id(&long, &g2, rows).unwrap(), stack_id(&p.schema, &g2, rows).unwrap());
}

#[test]
fn roles_that_do_not_fit_are_refused() {
    let g = classes();
    let refuse = |stacks: &[NamedStack], what: &str| {
        let e = Program::linked(&g, 1, Visibility::default(), stacks).unwrap_err().to_string();
        assert!(e.contains(what), "{e}");
    };
    let input = |shape: &[usize], bits| schema(&[tensor("f", shape, bits)]);
    let role = Some(Role::Input(0));
    refuse(&[named("s", &input(&[1, 20], 7), &[role])], "7 bits, the graph with 8");
    refuse(&[named("s", &input(&[20], 8), &[role])], "expected shape");
    refuse(&[named("s", &input(&[2, 1, 20], 8), &[role])], "expected shape");
    refuse(&[named("s", &input(&[1, 20], 8), &[Some(Role::Input(1))])], "does not exist");
    refuse(&[named("s", &input(&[1, 20], 8), &[])], "expected 1 inputs");
    let one = named("s", &input(&[1, 20], 8), &[role]);
    refuse(&[one.clone(), one.clone()], "two places");
    refuse(&[named("s", &input(&[1, 3], 8), &[Some(Role::Output(0))])], "do not hold");
    let mut long = one.clone();
    long.schema.row_bits = 10;
    long.roles = vec![None];
    refuse(&[one, long], "one row length");
    let mut odd = input(&[1, 20], 8);
    odd.row_bits = 9;
    refuse(&[named("s", &odd, &[role])], "2^9");
}

#[test]
fn stack_files_are_read_back_or_refused() {
    let s = schema(&[tensor("a", &[3, 5], 8), tensor("b", &[300], 20)]);
    let mut rng = Lcg(10);
    let stack = commit(&s, vec![rng.tensor(&[3, 5], 8), rng.tensor(&[300], 20)]);
    let bytes = stack.to_bytes().unwrap();
    let read = Stack::from_bytes(&bytes).unwrap();
    assert_eq!(read, stack);
    read.check(&Cpu::default(), &srs()).unwrap();
    for cut in [0, 7, 8, 10, 18, 40, bytes.len() / 2, bytes.len() - 1] {
        assert!(Stack::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for at in (0..bytes.len()).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(Stack::from_bytes(&flipped).is_err(), "flipped at {at}");
    }
    let mut version = bytes.clone();
    version[9] = 9;
    assert!(matches!(Stack::from_bytes(&version), Err(StackError::Version { expected: 1, got: 9 })));
    // Damage that comes with the right checksum: a larger schema, and a value that is not committed.
    let sealed = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut out = bytes[..bytes.len() - 32].to_vec();
        edit(&mut out);
        let sum = assay_circuits::canonical::digest("assay.stack-file", &[&out]);
        [out, sum.to_vec()].concat()
    };
    let schema_bytes = assay_circuits::canonical::to_bytes(&s).unwrap().len();
    let first = 18 + 4 + schema_bytes + assay_verifier::opening::VerifierSrs::BYTES;
    let altered = Stack::from_bytes(&sealed(&|b| b[first + 3] ^= 1)).unwrap();
    assert!(matches!(altered.check(&Cpu::default(), &srs()), Err(StackError::Row { .. })));
    assert!(Stack::from_bytes(&sealed(&|b| b[first] = 0x70)).is_err(), "a value outside of its width");
    assert!(Stack::from_bytes(&sealed(&|b| b[18] = 0xff)).is_err(), "a schema of four gigabytes");
    assert!(Stack::from_bytes(&sealed(&|b| b.truncate(first + 40))).is_err());
}

/// The tail is the combined factor's value at the point: with the factors it follows, without them nothing does.
#[test]
fn rows_are_the_values_and_a_multiple_of_the_next_power() {
    let s = schema(&[tensor("a", &[300], 8)]);
    let stack = commit(&s, vec![Lcg(11).tensor(&[300], 8)]);
    let powers = srs().g1_powers;
    let mut cells = vec![0i64; 512];
    scatter(&[300], &stack.values()[0].data, &mut cells);
    for ((row, blind), cells) in stack.rows().iter().zip(stack.blinds()).zip(cells.chunks(256)) {
        let mut scalars: Vec<Fr> = cells.iter().map(|v| Fr::from(*v)).collect();
        scalars.push(*blind);
        let plain = assay_prover::msm::msm(&powers[..257], &scalars);
        assert_eq!(ark_ec::CurveGroup::into_affine(plain), *row);
        assert_ne!(*blind, Fr::ZERO);
    }
    assert_eq!(eq_table(&[Fr::ZERO])[0], Fr::ONE);
}
