//! Confidential jobs in settled proofs (docs/protocol.md#confidential-jobs): jobs whose inputs and pads are in different stacks,
//! and every lie about ids, pads and masked outputs, judged by the native check and by the contract.

use crate::{settle_evm, settle_support, stack_set, support};

use assay_circuits::{GraphBuilder, Op, Tensor, canonical, confidential::Confidential, model::Model, ops::Contraction};
use assay_prover::{
    Blinding, Recorder, Stack, StackError,
    device::Cpu,
    settle::{SettleFailure, Settled, SettlementProver, check_key, setup_settlement},
    srs::{DEVELOPMENT_SEED, Srs},
};
use assay_verifier::settle::key::{SettledProof, SettlementKey};
use settle_evm::Contract;
use settle_support::context;
use stack_set::{classes, commit, given, key, options, run_for, srs};
use std::sync::OnceLock;
use support::{Lcg, model};

/// A key for two jobs, their stacks, and a proof.
struct Jobs {
    plain: Model,
    of: Confidential,
    prover: SettlementProver,
    inputs: [Tensor; 2],
    stacks: [Stack; 2],
    proof: SettledProof,
}

fn seal(of: &Confidential, input: &Tensor, seed: u64) -> Stack {
    let mut rng = Lcg(seed);
    let values = of.values(std::slice::from_ref(input), |_| rng.next() as u32);
    commit(&of.schema(8).unwrap(), values, Blinding::Random)
}

fn run(p: &SettlementProver, stacks: [&Stack; 2]) -> Result<Settled, SettleFailure> {
    run_for(p, &[vec![]], stacks.map(|s| Some(s.clone())).to_vec(), context())
}

fn jobs() -> &'static Jobs {
    static JOBS: OnceLock<Jobs> = OnceLock::new();
    JOBS.get_or_init(|| {
        let plain = model(classes(), 4);
        let of = Confidential::new(&plain).unwrap();
        let prover = key(&of.for_jobs(2).unwrap(), of.stacks(8, 2).unwrap().into_iter().map(given).collect(), 1);
        let inputs = [5, 6].map(|seed| Lcg(seed).tensor(&[1, 20], 8));
        let stacks = [seal(&of, &inputs[0], 7), seal(&of, &inputs[1], 8)];
        let proof = run(&prover, [&stacks[0], &stacks[1]]).unwrap().proof;
        Jobs { plain, of, prover, inputs, stacks, proof }
    })
}

fn judge(contract: &mut Contract, key: &SettlementKey, proof: &SettledProof) -> bool {
    let native = key.verify(proof).is_ok();
    let bytes = key.descriptor.to_bytes();
    assert_eq!(native, contract.accepts(&bytes, &proof.public, proof.context.digest(), &proof.argument));
    native
}

/// A stack that says that it holds the values of another: the rows stay.
fn with_values(stack: &Stack, other: &[Tensor]) -> Stack {
    let encode = |values: &[Tensor]| -> Vec<u8> {
        values.iter().flat_map(|t| &t.data).flat_map(|v| (*v as i32).to_be_bytes()).collect()
    };
    let (from, to) = (encode(stack.values()), encode(other));
    let mut bytes = stack.to_bytes().unwrap();
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(&to);
    let body = bytes.len() - 32;
    let sum = canonical::digest("assay.stack-file", &[&bytes[..body]]);
    bytes[body..].copy_from_slice(&sum);
    Stack::from_bytes(&bytes).unwrap()
}

#[test]
fn jobs_of_different_stacks_are_settled_by_ids_and_masked_outputs() {
    let j = jobs();
    let mut contract = Contract::new();
    check_key(&j.prover.key, srs()).unwrap();
    assert!(judge(&mut contract, &j.prover.key, &j.proof));
    // Two ids, three masked outputs of each, and nothing else.
    let ids: Vec<u8> = j.stacks.iter().flat_map(|s| s.id().unwrap()).collect();
    assert_eq!(j.proof.public[..64], ids);
    assert_eq!(j.proof.public.len(), 64 + 8 * 6);
    let shown = j.prover.key.verify(&j.proof).unwrap().tensors.remove(0);
    for (i, (stack, input)) in j.stacks.iter().zip(&j.inputs).enumerate() {
        let own = Tensor::new(vec![1, 3], shown.data[3 * i..3 * i + 3].to_vec()).unwrap();
        let expected = j.plain.eval(std::slice::from_ref(input)).unwrap().outputs(&j.plain.graph);
        assert_ne!(own, expected[0]);
        assert_eq!(j.of.unmask(&[own], stack.values()).unwrap(), expected);
    }
    // The other order is another proof, with ids and outputs exchanged.
    let other = run(&j.prover, [&j.stacks[1], &j.stacks[0]]).unwrap().proof;
    assert!(judge(&mut contract, &j.prover.key, &other));
    assert_eq!(other.public[64..88], j.proof.public[88..]);
    // A slot that nobody pays for repeats a stack.
    let twice = run(&j.prover, [&j.stacks[0], &j.stacks[0]]).unwrap().proof;
    assert!(judge(&mut contract, &j.prover.key, &twice));
    assert_eq!(twice.public[64..88], twice.public[88..]);
}

#[test]
fn lies_about_confidential_jobs_are_refused() {
    let j = jobs();
    let mut contract = Contract::new();
    let key = &j.prover.key;
    let mut refuse = |what: &str, edit: &dyn Fn(&mut SettledProof)| {
        let mut other = j.proof.clone();
        edit(&mut other);
        assert_ne!(other, j.proof, "{what}");
        assert!(!judge(&mut contract, key, &other), "accepted: {what}");
    };
    refuse("ids exchanged", &|q| {
        let (a, b) = q.public[..64].split_at_mut(32);
        a.swap_with_slice(b);
    });
    refuse("outputs exchanged", &|q| {
        let (a, b) = q.public[64..].split_at_mut(24);
        a.swap_with_slice(b);
    });
    refuse("the first id twice", &|q| q.public.copy_within(..32, 32));
    for at in 0..6 {
        let end = 64 + 8 * at + 8;
        refuse("another output", &|q| q.public[end - 1] ^= 1);
        // The same residue: what is shown has one representative.
        let modulus = 1i64 << j.of.masks[0].bits;
        for by in [modulus, -modulus] {
            refuse("an output off by the modulus", &|q| {
                let value: [u8; 8] = q.public[end - 8..end].try_into().unwrap();
                q.public[end - 8..end].copy_from_slice(&(i64::from_be_bytes(value) + by).to_be_bytes());
            });
        }
    }
    // The same input under another pad is another stack.
    let again = seal(&j.of, &j.inputs[0], 9);
    refuse("the id of the same input with another pad", &|q| q.public[..32].copy_from_slice(&again.id().unwrap()));
    // A prover who has a stack's input and takes another pad, or takes the pad and another input.
    let first = &j.stacks[0];
    for what in [[first.values()[..1].to_vec(), again.values()[1..].to_vec()].concat(), j.stacks[1].values().to_vec()] {
        let lie = with_values(first, &what);
        assert_eq!(lie.id().unwrap(), first.id().unwrap());
        let checked = j.prover.check_given(&Cpu::default(), 0, &lie);
        assert!(matches!(checked, Err(StackError::Row { .. })), "{checked:?}");
        let proof = run(&j.prover, [&lie, &j.stacks[1]]).unwrap().proof;
        assert_eq!(proof.public[..32], first.id().unwrap());
        assert!(!judge(&mut contract, key, &proof), "values that are not the stack's");
    }
    j.prover.check_given(&Cpu::default(), 0, first).unwrap();
}

/// What opens a job of one model opens none of another, whatever their shapes: a pad masks one output.
#[test]
fn a_pad_of_another_model_is_refused() {
    let j = jobs();
    let other = Confidential::new(&model(classes(), 5)).unwrap();
    let stack = seal(&other, &j.inputs[0], 7);
    assert_eq!(stack.values(), j.stacks[0].values(), "the same values");
    let schema = |e: &StackError| matches!(e, StackError::OtherSchema { .. });
    assert!(j.prover.check_given(&Cpu::default(), 0, &stack).is_err_and(|e| schema(&e)));
    let proven = run(&j.prover, [&stack, &j.stacks[1]]).map(drop).unwrap_err();
    assert!(proven.to_string().contains("has another schema than the key declares"), "{proven}");
}

/// An image of 150,528 values: in calldata it is 1.2 MB, which no transaction holds; in a stack it is an id and two rows.
#[test]
fn a_large_input_costs_a_few_rows() {
    const VALUES: usize = 3 * 224 * 224;
    let mut g = GraphBuilder::new(8);
    let x = g.input("image", &[1, VALUES], 8).unwrap();
    let w = g.weight("w", &[VALUES, 1], 2).unwrap();
    let y = g.push("score", Op::Contraction(Contraction::matmul(&[], 1, VALUES, 1)), &[x, w]).unwrap();
    let plain = model(g.finish(vec![x], vec![y]).unwrap(), 3);
    let of = Confidential::new(&plain).unwrap();
    let srs = Srs::development(19, DEVELOPMENT_SEED).unwrap();
    let stacks: Vec<_> = of.stacks(of.row_bits(0), 1).unwrap().into_iter().map(given).collect();
    let rows = stacks[0].named.schema.rows();
    let recorder = Recorder::default();
    let prover = setup_settlement(&Cpu::default(), &of.model, &srs, &options(stacks.clone(), 1), &recorder).unwrap();
    let mut rng = Lcg(11);
    let input = rng.tensor(&[1, VALUES], 8);
    let values = of.values(std::slice::from_ref(&input), |_| rng.next() as u32);
    let stack = Stack::commit(&Cpu::default(), &stacks[0].named.schema, values, &srs, Blinding::Random).unwrap();
    let settled = run_for(&prover, &[vec![]], vec![Some(stack.clone())], context()).unwrap();
    let (key, proof) = (&prover.key, &settled.proof);
    let shown = key.verify(proof).unwrap().tensors.remove(0);
    let expected = plain.eval(std::slice::from_ref(&input)).unwrap().outputs(&plain.graph);
    let shown = Tensor::new(vec![1, 1], shown.data).unwrap();
    assert_eq!(of.unmask(&[shown], stack.values()).unwrap(), expected);
    let bytes = key.descriptor.to_bytes();
    let cost = Contract::new().cost(&bytes, &proof.public, proof.context.digest(), &proof.argument);
    // What the values alone would take in calldata: at least 10 gas for a zero byte and 40 for another (EIP-7623).
    let open: Vec<u8> = input.data.iter().flat_map(|v| v.to_be_bytes()).collect();
    let zeros = open.iter().filter(|b| **b == 0).count();
    let floor = 10 * zeros + 40 * (open.len() - zeros);
    println!(
        "{VALUES} values: {} bytes and {floor} gas of calldata; in a stack of {rows} rows: {} bytes of calldata, {} gas in all",
        open.len(),
        cost.calldata_bytes,
        cost.gas_used
    );
    assert!(open.len() > 131_072 && floor > 1 << 24, "more than a transaction holds");
    assert!(rows <= 2 && cost.calldata_bytes < 8_192 && cost.gas_used < 700_000, "{rows} rows, {cost:?}");
}
