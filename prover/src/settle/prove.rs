//! Settled proofs: commitments with blinding factors, a mask row, the circuit, one opening.

use super::{
    SettleFailure,
    halo2::CircuitProver,
    key::{SettlementProver, blinded, filled_rows},
};
use crate::{
    device::{AnyDevice, Device},
    linked::{About, about},
    opening,
    prove::{Mask, Task, messages_on, pad_to_row},
    recorder::{Recorder, Stage},
    reduction::combined_row,
    stack::{Stack, StackError},
    witness::{Witness, public_values},
};
use ark_ff::{AdditiveGroup, UniformRand};
use assay_circuits::{
    Program, Tensor,
    eval::{Saturation, Values},
    program::WITNESS,
    ring::dot,
};
use assay_verifier::{
    Fr, G1Affine,
    core::Kind,
    keccak::{KeccakTranscript, digest_to_fr},
    settle::{
        self, Run,
        argument::SettledArgument,
        check::{coefficients, given_ids, statement},
        descriptor::Descriptor,
        key::{Context, SettledProof},
        point,
        tape::instance,
    },
};
use rand::{
    SeedableRng,
    rngs::{OsRng, StdRng},
};

/// What is settled, besides the witness.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement<'a> {
    pub program: &'a Program,
    pub descriptor: &'a Descriptor,
    pub public: &'a [Vec<i64>],
    /// The named stacks, in the order of the layout.
    pub stacks: &'a [Stack],
    pub context: [u8; 32],
    /// The model stack in whole rows.
    pub stack: &'a [i32],
    /// Blinding factors of its rows.
    pub blinds: &'a [Fr],
    pub bases: &'a [G1Affine],
}

/// The rows of the stacks that come with the proof.
fn given(descriptor: &Descriptor, stacks: &[Stack]) -> Vec<Vec<G1Affine>> {
    let given = descriptor.stacks.iter().zip(stacks).filter(|(d, _)| d.pinned.is_none());
    given.map(|(_, s)| s.rows().to_vec()).collect()
}

/// Makes a settled argument. It trusts `witness` and `values`, like [`crate::prove::messages`].
pub(super) fn argue(
    device: &AnyDevice<'_>,
    task: &Statement<'_>,
    mut witness: Witness,
    values: &Values<'_>,
    circuit: &CircuitProver,
    recorder: &Recorder<'_>,
) -> Result<SettledArgument, SettleFailure> {
    let Statement { program, descriptor, public, bases, .. } = *task;
    let row_bits = descriptor.row_bits;
    let mut rng = StdRng::from_rng(OsRng).map_err(|e| SettleFailure::Random(e.to_string()))?;
    pad_to_row(&mut witness.stack, program.stack_bits(WITNESS), row_bits);
    let size = 1usize << row_bits;
    let points = device.points(bases.get(..size).unwrap_or(bases));
    let cells = task.stacks.iter().map(Stack::cells).collect::<Result<Vec<_>, _>>()?;
    let named: Vec<_> = cells.iter().map(|c| device.integers(c)).collect();
    let (stack, model) = (device.integers(&witness.stack), device.integers(task.stack));
    let (rows, mask, blinds, mask_row) = recorder.run(Stage::Commit, || {
        let plain = device.commit_rows(&points, &stack, 1 << row_bits);
        // Everybody knows by the graph which rows hold nothing: at infinity they cost the contract little, and there is nothing in
        // them to hide.
        let mut blinds: Vec<Fr> = (0..=plain.len()).map(|_| Fr::rand(&mut rng)).collect();
        blinds.iter_mut().take(plain.len()).skip(filled_rows(program, row_bits)).for_each(|b| *b = Fr::ZERO);
        let mask_row: Vec<Fr> = (0..1usize << row_bits).map(|_| Fr::rand(&mut rng)).collect();
        let mask = device.msm(&points, &device.elements(mask_row.clone()));
        let all: Vec<G1Affine> = plain.into_iter().chain([mask]).collect();
        let mut rows = blinded(&all, &blinds, &descriptor.blinder);
        let mask = rows.pop().unwrap_or_default();
        (rows, mask, blinds, mask_row)
    });
    let given = given(descriptor, task.stacks);
    let ids = given_ids(descriptor, &given);
    let digest = statement(&descriptor.id(), &task.context, &ids, public, &rows, &mask);
    let hidden = Mask { salt: Fr::rand(&mut rng), row: &mask_row };
    let core = Task {
        program,
        kind: Kind::Inference,
        key_digest: [0; 32],
        batch: 1,
        public,
        row_bits,
        bases,
        model: task.stack,
        model_rows: &[],
        stacks: task.stacks,
    };
    let statement = digest_to_fr(&digest);
    let stacks: Vec<_> = [&stack, &model].into_iter().chain(&named).collect();
    let (messages, claim) = messages_on(device, &core, &witness, &stacks, values, statement, Some(&hidden), recorder)?;

    let filled = recorder.run(Stage::Circuit, || {
        settle::circuit(program, row_bits, Some(Run { statement, messages: &messages, public }))
    })?;
    let mut transcript = KeccakTranscript::from_state(digest);
    let halo2 = recorder.run(Stage::Halo2, || circuit.prove(*device, &filled, &mut transcript))?;

    recorder.run(Stage::Opening, || {
        let point = point(&claim);
        let zeta = filled.instances.get(instance::ZETA).copied().unwrap_or_default();
        let c = coefficients(descriptor, &point, claim.gamma, Fr::ZERO);
        let beta = c.witness.iter().zip(&blinds).map(|(c, b)| *c * b).sum::<Fr>()
            + c.model.iter().zip(task.blinds).map(|(c, b)| *c * b).sum::<Fr>()
            + c.stacks.iter().zip(task.stacks).map(|(c, s)| dot(c, s.blinds())).sum::<Fr>()
            + blinds.last().map_or(Fr::ZERO, |b| c.mask * b);
        let of_stacks: Vec<&[Fr]> = [&c.witness, &c.model].into_iter().chain(&c.stacks).map(Vec::as_slice).collect();
        let mut h = device.download(&combined_row(device, row_bits, &stacks, &of_stacks));
        h.iter_mut().zip(&mask_row).for_each(|(h, s)| *h += c.mask * s);
        transcript.absorb_fr(&beta);
        let opened = opening::open(device, &points, &h, &claim.low, &mut transcript)?;
        Ok(SettledArgument {
            given,
            rows,
            mask,
            zeta,
            gamma: claim.gamma,
            value: claim.value,
            point,
            halo2,
            beta,
            opening: opened.proof,
        })
    })
}

/// A settled proof and what its maker learns besides.
#[derive(Debug)]
pub struct Settled {
    /// The proof.
    pub proof: SettledProof,
    /// Output values over the batch, whether public or not.
    pub outputs: Vec<Tensor>,
    /// Lookups that clamped values.
    pub saturations: Vec<Saturation>,
    /// The stacks that the proof is about, in the order of the key: pinned ones, those given, and those made of outputs.
    pub stacks: Vec<Stack>,
}

/// Proves a batch of inferences for a chain. `inputs[i]` are the quantized inputs of inference `i`, in the model's order.
///
/// # Errors
/// Inputs of the wrong number, shape or range.
pub fn settle<'d>(
    device: impl Into<AnyDevice<'d>>,
    prover: &SettlementProver,
    inputs: &[Vec<Tensor>],
    context: Context,
    recorder: &Recorder<'_>,
) -> Result<Settled, SettleFailure> {
    settle_linked(device, prover, inputs, prover.key.stacks.iter().map(|_| None).collect(), context, recorder)
}

/// [`settle()`] about named stacks (docs/protocol.md#settled-stacks): `stacks[s]` is the key's stack `s`, `None` for a pinned one and
/// for one that is to be made of outputs, with fresh blinding factors. `inputs[i]` are the inputs of inference `i` that no stack
/// holds.
///
/// # Errors
/// Stacks of another schema or other powers of tau, one in the place of a pinned one that is another, a given output that is not the
/// computed one, and those of [`settle()`].
pub fn settle_linked<'d>(
    device: impl Into<AnyDevice<'d>>,
    prover: &SettlementProver,
    inputs: &[Vec<Tensor>],
    stacks: Vec<Option<Stack>>,
    context: Context,
    recorder: &Recorder<'_>,
) -> Result<Settled, SettleFailure> {
    settle_on(device.into(), prover, inputs, stacks, context, recorder)
}

fn settle_on(
    device: AnyDevice<'_>,
    prover: &SettlementProver,
    inputs: &[Vec<Tensor>],
    mut stacks: Vec<Option<Stack>>,
    context: Context,
    recorder: &Recorder<'_>,
) -> Result<Settled, SettleFailure> {
    let SettlementProver { key, program, .. } = prover;
    if u32::try_from(inputs.len()) != Ok(key.batch) {
        return Err(SettleFailure::Batch { expected: key.batch, got: inputs.len() });
    }
    for ((slot, pinned), named) in stacks.iter_mut().zip(&prover.pinned).zip(&key.stacks) {
        let Some(pinned) = pinned else { continue };
        if slot.as_ref().is_some_and(|s| s.rows() != pinned.rows()) {
            return Err(StackError::OtherPinned { name: named.name.clone() }.into());
        }
        *slot = Some(pinned.clone());
    }
    let srs = key.srs();
    let about_key = About { named: &key.stacks, srs: &srs, bases: &prover.bases, weights: &prover.weights };
    let (mut values, stacks) = about(device, &about_key, program, inputs, stacks, recorder)?;
    let public = public_values(program, &values);
    let witness = recorder.run(Stage::Witness, || Witness::build(program, &values))?;
    let (outputs, saturations) = (values.outputs(&program.graph), values.saturations(&program.graph, &prover.limits));
    values.retain(&program.operands());
    let statement = Statement {
        program,
        descriptor: &key.descriptor,
        public: &public,
        stacks: &stacks,
        context: context.digest(),
        stack: &prover.model_stack,
        blinds: &prover.blinds,
        bases: &prover.bases,
    };
    let argument = argue(&device, &statement, witness, &values, &prover.circuit, recorder)?;
    let proof = SettledProof::new(&key.descriptor, context, &public, &argument);
    Ok(Settled { proof, outputs, saturations, stacks })
}
