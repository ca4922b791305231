//! Lies about named stacks (docs/protocol.md#named-stacks): values outside of the declared range, ids that challenges do not
//! depend on, blinding factors that are used twice, and rows of a gathered table that lies in a stack.

use crate::{stack_set::classes, support};

use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, Field};
use assay_circuits::{
    Graph, GraphBuilder, Op, Ring, Table, Tensor, Visibility,
    eval::{Values, eval},
    ops::Gather,
    program::NAMED,
    ring::{dot, eq_table},
    stack::{NamedStack, Role, Schema, SchemaTensor},
};
use assay_prover::{
    Blinding, ProveError, ProvingKey, Recorder, SetupOptions, Stack, StackError, device::Cpu, msm::msm, opening,
    prove::messages, prove_linked, setup_linked, srs::Srs, witness::Witness,
};
use assay_verifier::{
    CoreProof, Fr, G1Affine, VerifyError,
    channel::{Check, ProtocolError},
    core::{
        Kind, blinded_point, check_argument, check_registration, opening_transcript, row_coefficients,
        statement_digest, verify,
    },
    keccak::digest_to_fr,
    opening::combine_rows,
    proof::{Argument, Given},
    protocol::padded_bits,
};
use support::{
    Lcg,
    argued::{argued, public_of, recompute, task},
    model, srs,
};

fn named(tensor: &str, shape: &[usize], bits: u32, role: Role) -> NamedStack {
    let tensor = SchemaTensor { name: tensor.to_owned(), shape: shape.to_vec(), bits };
    NamedStack { name: "held".to_owned(), schema: Schema::new(8, vec![tensor]).unwrap(), roles: vec![Some(role)] }
}

fn key(graph: Graph, stacks: &[NamedStack]) -> ProvingKey {
    let options = SetupOptions { visibility: Visibility { inputs: true, ..Default::default() }, row_bits: None };
    let recorder = Recorder::default();
    let key = setup_linked(&Cpu::default(), &model(graph, 2), stacks, 1, &srs(), options, &recorder).unwrap();
    check_registration(&key.verifying).unwrap();
    key
}

fn commit(schema: &Schema, value: Tensor) -> Stack {
    Stack::commit(&Cpu::default(), schema, vec![value], &srs(), Blinding::Random).unwrap()
}

/// A stack of one row, whatever its values.
fn forced(schema: &Schema, value: Tensor, blind: u64) -> Stack {
    Stack::commit_unchecked(&Cpu::default(), schema, vec![value], &srs(), vec![Fr::from(blind)]).unwrap()
}

/// Four rows of a table of six, which is a weight or an input, chosen by data.
fn rows_of(weight: bool) -> Graph {
    let mut g = GraphBuilder::new(5);
    let i = g.input("which", &[4], 6).unwrap();
    let mut ins = vec![i];
    let keys = Table::tabulate("index", -32, 6, |t| t.rem_euclid(6) as i32);
    let i = g.lookup("index", i, 0, keys).unwrap();
    let table = if weight {
        g.weight("data", &[6, 3], 5).unwrap()
    } else {
        ins.push(g.input("data", &[6, 3], 5).unwrap());
        ins[1]
    };
    let rows = g.push("rows", Op::Gather(Gather { leading: 0 }), &[table, i]).unwrap();
    let y = g.linear("y", &[(rows, 3)], 1).unwrap();
    g.finish(ins, vec![y, rows]).unwrap()
}

/// The verdict on [`argued`].
fn cheat(key: &ProvingKey, witness: Witness, values: &Values<'_>, stacks: &[Stack]) -> Result<(), VerifyError> {
    verify(&key.verifying, &argued(key, witness, values, stacks)).map(drop)
}

fn protocol(check: Check) -> VerifyError {
    VerifyError::Protocol(ProtocolError::Check(check))
}

/// 8 bits hold 127, and the stack of whoever wrote no check 128; 6 bits, of which weights are, hold 31.
#[test]
fn a_cell_outside_of_its_range_is_refused() {
    for (name, shape, bits, role, lies) in [
        ("features", [1, 20], 8, Role::Input(0), [(4, 128), (19, -129), (0, 300)]),
        ("w", [20, 3], 6, Role::Weight(0), [(4, 32), (59, -33), (0, 100)]),
    ] {
        let k = key(classes(), &[named(name, &shape, bits, role)]);
        let program = k.verifying.program(1).unwrap();
        let schema = &k.verifying.stacks[0].schema;
        let weight = matches!(role, Role::Weight(_));
        let held = if weight { program.graph.weights().next().unwrap() } else { program.graph.inputs()[0] };
        // Every value of a stack is looked up, whatever it is to the graph.
        let segment = program.segments.iter().position(|s| s.node == held).unwrap();
        assert_eq!(program.segments[segment].shape.iter().product::<usize>(), shape.iter().product::<usize>());
        let value = Lcg(6).tensor(&shape, bits);
        let values_of = |held_value: &Tensor| {
            let mut out = eval(&program.graph, &k.weights, &[Lcg(7).tensor(&[1, 1, 20], 8)]).unwrap();
            out.0[held.0].to_mut().data.clone_from(&held_value.data);
            recompute(&program, &mut out);
            out
        };
        let honest = values_of(&value);
        cheat(&k, Witness::build(&program, &honest).unwrap(), &honest, &[commit(schema, value.clone())]).unwrap();
        for (entry, lie) in lies {
            let mut wide = value.clone();
            wide.data[entry] = lie;
            let stack = forced(schema, wide.clone(), 77);
            // No table has a row for it, so the honest counter gives up.
            let values = values_of(&wide);
            assert!(Witness::build(&program, &values).is_err());
            // Leaves that say what is committed are no rows of the table; leaves that are rows are not what is committed.
            let mut true_leaves = Witness::build(&program, &honest).unwrap();
            true_leaves.segments[segment].keys[entry] = lie as i32;
            assert_eq!(cheat(&k, true_leaves, &values, std::slice::from_ref(&stack)), Err(protocol(Check::LookupSum)));
            let false_leaves = Witness::build(&program, &honest).unwrap();
            assert_eq!(cheat(&k, false_leaves, &values, &[stack]), Err(protocol(Check::Reduction)));
        }
    }
}

/// The values and factors of the key's stack under another schema or row length: the id is another, and whoever goes by
/// it has no proof; the id that a proof shows is never that of a stack of another schema.
#[test]
fn stacks_of_other_schemas_are_refused() {
    let k = key(classes(), &[named("features", &[1, 20], 8, Role::Input(0))]);
    let program = k.verifying.program(1).unwrap();
    let value = Lcg(9).tensor(&[1, 20], 8);
    let x = Tensor::new(vec![1, 1, 20], value.data.clone()).unwrap();
    let values = eval(&program.graph, &k.weights, &[x]).unwrap();
    let prove = |stack: &Stack| {
        let witness = Witness::build(&program, &values).unwrap();
        argued(&k, witness, &values, std::slice::from_ref(stack))
    };
    let own = forced(&k.verifying.stacks[0].schema, value.clone(), 5);
    let honest = prove(&own);
    assert_eq!(verify(&k.verifying, &honest).unwrap().stacks, [own.id().unwrap()]);
    let told = |stack: &Stack| {
        let stacks = vec![Some(stack.clone())];
        prove_linked(&Cpu::default(), &k, &[vec![]], stacks, &Recorder::default()).map(drop).unwrap_err()
    };
    for (what, tensor, shape, bits) in [
        ("name", "x", &[1, 20][..], 8),
        ("width", "features", &[1, 20][..], 9),
        ("shape", "features", &[20][..], 8),
        ("axis", "features", &[1, 1, 20][..], 8),
    ] {
        let schema = named(tensor, shape, bits, Role::Input(0)).schema;
        let other = forced(&schema, Tensor::new(shape.to_vec(), value.data.clone()).unwrap(), 5);
        assert_eq!(other.rows(), own.rows(), "the same rows under another {what}");
        assert_ne!(other.id().unwrap(), own.id().unwrap(), "{what}");
        assert!(matches!(told(&other), ProveError::Stack(StackError::OtherSchema { .. })), "{what}");
        // What the prover hashes is what it takes the rows for; the verifier hashes what its key says.
        assert_eq!(verify(&k.verifying, &prove(&other)).map(drop), Err(protocol(Check::LookupLayer)), "{what}");
    }
    // Rows of 2^10 values, under more of the same powers.
    let long = Schema { row_bits: 10, ..own.schema().clone() };
    let more = Srs::development(12, 7).unwrap();
    assert_eq!(more.verifier(), srs().verifier());
    let long = Stack::commit(&Cpu::default(), &long, vec![value], &more, Blinding::Random).unwrap();
    assert!(matches!(told(&long), ProveError::Stack(StackError::OtherSchema { .. })));
    let mut moved = honest;
    moved.argument.given.rows[0] = long.rows().to_vec();
    assert_eq!(verify(&k.verifying, &moved).map(drop), Err(protocol(Check::LookupLayer)));
}

/// An argument about `claimed` whose challenges do not depend on the stack: once they are known, other rows are found that pass.
fn late_stack(k: &ProvingKey, claimed: &Tensor) -> (Vec<Vec<i64>>, [u8; 32], Argument) {
    let program = k.verifying.program(1).unwrap();
    let x = Tensor::new(vec![1, 1, 20], claimed.data.clone()).unwrap();
    let values = eval(&program.graph, &k.weights, &[x]).unwrap();
    let public = public_of(&program, &values);
    let stacks = [forced(&k.verifying.stacks[0].schema, claimed.clone(), 5)];
    let task = task(k, &program, &public, &stacks);
    let m = k.verifying.row_bits;
    let mut witness = Witness::build(&program, &values).unwrap();
    witness.stack.resize(1 << padded_bits(program.stack_bits(0), m), 0);
    let powers = &srs().g1_powers;
    let fr = |v: &[i32]| -> Vec<Fr> { v.iter().map(|v| Fr::from_i128(i128::from(*v))).collect() };
    let rows: Vec<G1Affine> =
        fr(&witness.stack).chunks(1 << m).map(|r| msm(&powers[..r.len()], r).into_affine()).collect();
    let digest = statement_digest(Kind::Inference, &k.digest, 1, &public, &rows, &[0; 32]);
    let statement = digest_to_fr(&digest);
    let recorder = Recorder::default();
    let (messages, claim) = messages(&Cpu::default(), &task, &witness, &values, statement, None, &recorder).unwrap();
    // Another row with the same value at the point: d_0 eq_0 + d_1 eq_1 = 0.
    let eq = eq_table(&claim.low);
    let mut row: Vec<Fr> = claimed.data.iter().map(|v| Fr::from_i128(i128::from(*v))).collect();
    row.resize(1 << m, Fr::ZERO);
    let before = dot(&row, &eq);
    row[0] += eq[1];
    row[1] -= eq[0];
    assert_eq!(dot(&row, &eq), before);
    let beta = Fr::from(9u8);
    let lie = (msm(&powers[..1 << m], &row) + powers[1 << m] * beta).into_affine();
    let coefficients = row_coefficients(&claim);
    let points: Vec<G1Affine> = rows.iter().chain(&k.verifying.rows).chain([&lie]).copied().collect();
    let commitment = combine_rows(&points, &coefficients.concat()).unwrap().into_affine();
    let mut h = vec![Fr::ZERO; 1 << m];
    let stacks = [fr(&witness.stack), fr(&k.model_stack), row];
    for (stack, c) in stacks.iter().zip(&coefficients) {
        for (r, c) in stack.chunks(1 << m).zip(c) {
            h.iter_mut().zip(r).for_each(|(h, v)| *h += *c * v);
        }
    }
    let beta = coefficients[NAMED][0] * beta;
    let tail = claim.low.iter().fold(beta, |t, x| t * (Fr::ONE - x));
    h.push(beta);
    h.resize(2 << m, Fr::ZERO);
    let mut t = opening_transcript(&digest, &claim, commitment);
    let (point, _) = blinded_point(&mut t, &claim, &tail);
    let opened = opening::open(&Cpu::default(), &&powers[..2 << m], &h, &point, &mut t).unwrap();
    let given = Given { rows: vec![vec![lie]], tail };
    (public, digest, Argument { row_bits: m, rows, given, messages, opening: opened.proof })
}

/// A verifier that draws its challenges without the ids accepts a proof about a stack that holds something else. This one does
/// absorb them.
#[test]
fn challenges_depend_on_the_ids() {
    let k = key(classes(), &[named("features", &[1, 20], 8, Role::Input(0))]);
    let (public, digest, argument) = late_stack(&k, &Lcg(12).tensor(&[1, 20], 8));
    let program = k.verifying.program(1).unwrap();
    check_argument(&k.verifying, &program, &digest, &public, &argument).expect("the flawed verifier is fooled");
    let proof = CoreProof { key_digest: k.digest, batch: 1, public, argument };
    assert_eq!(verify(&k.verifying, &proof).unwrap_err(), protocol(Check::LookupLayer));
}

/// Two rows under one factor differ by a commitment that is not hidden: a guess of both can be tested.
#[test]
fn a_blinding_factor_is_used_once() {
    let tensor = SchemaTensor { name: "x".to_owned(), shape: vec![512], bits: 8 };
    let schema = Schema::new(8, vec![tensor]).unwrap();
    let value = Lcg(3).tensor(&[512], 8);
    let force = |blinds: [u64; 2]| {
        let blinds = blinds.map(Fr::from).to_vec();
        Stack::commit_unchecked(&Cpu::default(), &schema, vec![value.clone()], &srs(), blinds).unwrap()
    };
    let plain = Stack::commit(&Cpu::default(), &schema, vec![value.clone()], &srs(), Blinding::Public).unwrap();
    let difference = |s: &Stack| s.rows()[0].into_group() - s.rows()[1];
    let shared = force([7, 7]);
    assert_eq!(difference(&shared), difference(&plain), "what sharing a factor shows");
    // So a file of that kind is refused, and so is one that hides one row of two.
    let refused = Stack::from_bytes(&shared.to_bytes().unwrap());
    assert!(matches!(refused, Err(StackError::SharedFactor { first: 0, second: 1 })), "{refused:?}");
    let refused = Stack::from_bytes(&force([7, 0]).to_bytes().unwrap());
    assert!(matches!(refused, Err(StackError::NoFactor { row: 1 })), "{refused:?}");
    Stack::from_bytes(&force([7, 8]).to_bytes().unwrap()).unwrap();
    Stack::from_bytes(&force([0, 0]).to_bytes().unwrap()).unwrap();
    // Factors come afresh, for each row and each time.
    let all: Vec<Fr> = (0..8).flat_map(|_| commit(&schema, value.clone()).blinds().to_vec()).collect();
    for (i, a) in all.iter().enumerate() {
        assert!(*a != Fr::ZERO && !all[..i].contains(a));
    }
}

/// Vector lookups and committed stacks in one proof: the rows are those of the stack's table, and of no other.
#[test]
fn gathered_tables_may_lie_in_stacks() {
    for weight in [true, false] {
        let role = if weight { Role::Weight(0) } else { Role::Input(1) };
        let k = key(rows_of(weight), &[named("data", &[6, 3], 5, role)]);
        let schema = &k.verifying.stacks[0].schema;
        let table = Lcg(4).tensor(&[6, 3], 5);
        let which = Tensor::new(vec![4], vec![2, 0, 5, 2]).unwrap();
        let stack = commit(schema, table.clone());
        let recorder = Recorder::default();
        let inputs = [vec![which.clone()]];
        let linked = prove_linked(&Cpu::default(), &k, &inputs, vec![Some(stack.clone())], &recorder).unwrap();
        let verified = verify(&k.verifying, &linked.proved.proof).unwrap();
        let rows: Vec<i64> = which.data.iter().flat_map(|i| table.data[3 * *i as usize..][..3].to_vec()).collect();
        assert_eq!(verified.outputs[1].data, rows);
        assert_eq!(verified.stacks, [stack.id().unwrap()]);
        // The rows of a table, one of whose entries differs from the stack's; read or not.
        let program = k.verifying.program(1).unwrap();
        for entry in [0, 7, 10, 17] {
            let mut other = table.clone();
            other.data[entry] = if other.data[entry] == 3 { 4 } else { 3 };
            let (which, batched) = (Tensor::new(vec![1, 4], which.data.clone()).unwrap(), |t: &Tensor| {
                Tensor::new(vec![1, 6, 3], t.data.clone()).unwrap()
            });
            let values = if weight {
                eval(&program.graph, std::slice::from_ref(&other), &[which]).unwrap()
            } else {
                eval(&program.graph, &[], &[which, batched(&other)]).unwrap()
            };
            let witness = Witness::build(&program, &values).unwrap();
            assert_eq!(cheat(&k, witness, &values, std::slice::from_ref(&stack)), Err(protocol(Check::Reduction)));
        }
    }
}
