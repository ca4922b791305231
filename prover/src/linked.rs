//! Proving about named stacks (docs/protocol.md#named-stacks).

use crate::{
    device::AnyDevice,
    prove::{ProveError, Proved, Task, argue},
    recorder::{Recorder, Stage},
    setup::ProvingKey,
    stack::{Blinding, Stack, StackError},
    witness::{Witness, public_values},
};
use assay_circuits::{
    GraphError, Program, Tensor,
    eval::{Values, eval_given},
    stack::{NamedStack, Role, find},
};
use assay_verifier::{CoreProof, G1Affine, core::Kind, opening::VerifierSrs};
use std::borrow::Cow;

/// A proof, and the stacks that it is about.
#[derive(Debug)]
pub struct Linked {
    /// The proof, and what its maker learns besides.
    pub proved: Proved,
    /// The stacks in the order of the key: those given, and those made of outputs.
    pub stacks: Vec<Stack>,
}

/// Proves a batch of inferences about named stacks, `stacks[s]` being the key's stack `s`; in the place of `None` the outputs
/// are committed to, with fresh blinding factors. `inputs[i]` are the inputs of inference `i` that no stack holds, in the
/// model's order; the batch has as many inferences, also where all inputs are in stacks.
///
/// # Errors
/// Stacks of another schema or other powers of tau, a given output that is not the computed one, and those of
/// [`crate::prove()`].
pub fn prove_linked<'d>(
    device: impl Into<AnyDevice<'d>>,
    key: &ProvingKey,
    inputs: &[Vec<Tensor>],
    stacks: Vec<Option<Stack>>,
    recorder: &Recorder<'_>,
) -> Result<Linked, ProveError> {
    prove_on(device.into(), key, inputs, stacks, recorder)
}

fn prove_on(
    device: AnyDevice<'_>,
    key: &ProvingKey,
    inputs: &[Vec<Tensor>],
    stacks: Vec<Option<Stack>>,
    recorder: &Recorder<'_>,
) -> Result<Linked, ProveError> {
    let batch = u32::try_from(inputs.len()).map_err(|_| ProveError::EmptyBatch)?;
    if batch == 0 {
        return Err(ProveError::EmptyBatch);
    }
    let verifying = &key.verifying;
    let statement = About { named: &verifying.stacks, srs: &verifying.srs, bases: &key.bases, weights: &key.weights };
    let program = verifying.program(inputs.len())?;
    let (mut values, stacks) = about(device, &statement, &program, inputs, stacks, recorder)?;
    let public = public_values(&program, &values);
    let witness = recorder.run(Stage::Witness, || Witness::build(&program, &values))?;
    let (outputs, saturations) = (values.outputs(&program.graph), values.saturations(&program.graph, &key.limits));
    values.retain(&program.operands());
    let task = Task {
        program: &program,
        kind: Kind::Inference,
        key_digest: key.digest,
        batch,
        public: &public,
        row_bits: key.verifying.row_bits,
        bases: &key.bases,
        model: &key.model_stack,
        model_rows: &key.verifying.rows,
        stacks: &stacks,
    };
    let argument = argue(device, &task, witness, &values, recorder)?;
    let proof = CoreProof { key_digest: key.digest, batch, public, argument };
    Ok(Linked { proved: Proved { proof, outputs, saturations }, stacks })
}

/// What the stacks of a proof belong to: a core key or a settlement key.
pub(crate) struct About<'a> {
    /// The stacks that the key declares.
    pub named: &'a [NamedStack],
    /// The powers of tau of the key.
    pub srs: &'a VerifierSrs,
    /// At least one power more than a row has values.
    pub bases: &'a [G1Affine],
    /// The model's weights; those in stacks are not read.
    pub weights: &'a [Tensor],
}

/// The values of the graph, and all stacks: those given, checked against the key and the computed outputs, and new ones of
/// outputs.
pub(crate) fn about<'a>(
    device: AnyDevice<'_>,
    key: &About<'a>,
    program: &Program,
    inputs: &[Vec<Tensor>],
    stacks: Vec<Option<Stack>>,
    recorder: &Recorder<'_>,
) -> Result<(Values<'a>, Vec<Stack>), ProveError> {
    let named = key.named;
    if stacks.len() != named.len() {
        return Err(StackError::Count { expected: named.len(), got: stacks.len() }.into());
    }
    for (n, stack) in named.iter().zip(&stacks) {
        let Some(stack) = stack else { continue };
        if *stack.schema() != n.schema {
            return Err(StackError::OtherSchema { name: n.name.clone() }.into());
        }
        stack.under(key.srs)?;
    }
    let (weights, all) = sources(key, program, inputs, &stacks)?;
    let values = recorder.run(Stage::Evaluate, || eval_given(&program.graph, weights, all))?;
    let stacks = stacks
        .into_iter()
        .zip(named)
        .map(|(stack, n)| match stack {
            Some(stack) => check_outputs(program, n, &values, stack),
            None => commit_outputs(device, key, program, n, &values),
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok((values, stacks))
}

/// All weights and all inputs over the batch, from the key, the arguments and the stacks.
fn sources<'a>(
    key: &About<'a>,
    program: &Program,
    inputs: &[Vec<Tensor>],
    stacks: &[Option<Stack>],
) -> Result<(Vec<Cow<'a, Tensor>>, Vec<Tensor>), ProveError> {
    let named = key.named;
    let held = |role: Role| -> Result<Option<&Tensor>, StackError> {
        let Some((s, t)) = find(named, role) else { return Ok(None) };
        let value = stacks.get(s).and_then(Option::as_ref).and_then(|stack| stack.values().get(t));
        let missing = || StackError::NotComputed {
            name: named.get(s).map(|n| n.name.clone()).unwrap_or_default(),
            tensor: named.get(s).and_then(|n| n.schema.tensors.get(t)).map(|t| t.name.clone()).unwrap_or_default(),
        };
        value.map(Some).ok_or_else(missing)
    };
    let mut weights: Vec<Cow<'a, Tensor>> = key.weights.iter().map(Cow::Borrowed).collect();
    for (k, w) in weights.iter_mut().enumerate() {
        if let Some(value) = held(Role::Weight(k))? {
            *w = Cow::Owned(value.clone());
        }
    }
    let mut all = Vec::new();
    let mut next = 0;
    for (k, id) in program.graph.inputs().iter().enumerate() {
        let node = program.graph.node(*id);
        let at = |e: GraphError| e.at(&node.name, node.op.name());
        if let Some(value) = held(Role::Input(k))? {
            // The batch's axis may be left out of a stack where the batch is one.
            all.push(Tensor::new(node.shape.clone(), value.data.clone()).map_err(at)?);
            continue;
        }
        let mut data = Vec::with_capacity(node.shape.iter().product());
        for one in inputs {
            let t = one.get(next).ok_or(GraphError::Arity { expected: next + 1, got: one.len() })?;
            if node.shape.get(1..) != Some(t.shape.as_slice()) {
                let expected = node.shape.get(1..).unwrap_or(&[]).to_vec();
                return Err(at(GraphError::Shape { expected, got: t.shape.clone() }).into());
            }
            data.extend_from_slice(&t.data);
        }
        next += 1;
        all.push(Tensor::new(node.shape.clone(), data).map_err(at)?);
    }
    match inputs.iter().find(|one| one.len() != next) {
        Some(one) => Err(GraphError::Arity { expected: next, got: one.len() }.into()),
        None => Ok((weights, all)),
    }
}

/// The computed value of a tensor, if it is an output.
fn output<'v>(program: &Program, values: &'v Values<'_>, role: Option<Role>) -> Option<&'v Tensor> {
    match role {
        Some(Role::Output(k)) => program.graph.outputs().get(k).map(|id| values.of(*id)),
        _ => None,
    }
}

fn check_outputs(
    program: &Program,
    named: &NamedStack,
    values: &Values<'_>,
    stack: Stack,
) -> Result<Stack, StackError> {
    for ((role, t), held) in named.roles.iter().zip(&named.schema.tensors).zip(stack.values()) {
        let Some(value) = output(program, values, *role) else { continue };
        if let Some(position) = value.data.iter().zip(&held.data).position(|(a, b)| a != b) {
            let at = |v: &Tensor| v.data.get(position).copied().unwrap_or_default();
            return Err(StackError::OtherOutput { name: t.name.clone(), position, expected: at(value), got: at(held) });
        }
    }
    Ok(stack)
}

fn commit_outputs(
    device: AnyDevice<'_>,
    key: &About<'_>,
    program: &Program,
    named: &NamedStack,
    values: &Values<'_>,
) -> Result<Stack, StackError> {
    let mut tensors = Vec::with_capacity(named.roles.len());
    for (role, t) in named.roles.iter().zip(&named.schema.tensors) {
        let value = output(program, values, *role)
            .ok_or_else(|| StackError::NotComputed { name: named.name.clone(), tensor: t.name.clone() })?;
        tensors.push(Tensor::new(t.shape.clone(), value.data.clone())?);
    }
    Stack::commit_on(device, &named.schema, tensors, key.bases, key.srs.clone(), Blinding::Random)
}
