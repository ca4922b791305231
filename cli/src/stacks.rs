//! Named stacks on the command line: their files, and what `--commit` says (docs/protocol.md#named-stacks).

use crate::{
    error::{Failure, Outcome},
    files::{self, Kind},
    flow,
    input::Samples,
};
use assay_circuits::{
    Op, Tensor, canonical,
    model::{Model, TensorSpec},
    ring::index_bits,
    stack::{NamedStack, ROW_BITS, Role, Schema, SchemaTensor, find},
};
use assay_prover::{Stack, settle::SettledStack};
use assay_verifier::core::hex;
use clap::Args;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

/// What a stack is to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Input,
    Weights,
    Output,
}

impl What {
    /// The name of such a stack in a key.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Weights => "weights",
            Self::Output => "output",
        }
    }
}

/// `WHAT=FILE`.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    what: What,
    file: PathBuf,
}

impl FromStr for Commit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not of the form input=FILE, weights=FILE or output=FILE");
        let (what, file) = text.split_once('=').ok_or_else(wrong)?;
        let all = [What::Input, What::Weights, What::Output];
        let what = all.into_iter().find(|w| w.name() == what.trim()).ok_or_else(wrong)?;
        if file.is_empty() {
            return Err(wrong());
        }
        Ok(Self { what, file: file.into() })
    }
}

/// Tensors that are committed apart.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Named stacks")]
pub(crate) struct CommitArgs {
    /// Tensors that a stack holds and proofs do not show: input=FILE and weights=FILE are what `assay stack commit` wrote,
    /// output=FILE is written with the proof. Proofs about one stack show the same id; `verify` compares it with that of FILE
    #[arg(long = "commit", value_name = "WHAT=FILE")]
    commits: Vec<Commit>,
}

/// The stacks of a command, in the order of its key.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// As the key declares them.
    pub(crate) named: Vec<NamedStack>,
    /// What was read; `None` for outputs, which the proof commits to.
    pub(crate) stacks: Vec<Option<Stack>>,
    files: Vec<PathBuf>,
}

/// The name of a weight tensor in a stack.
pub(crate) fn weight_name(model: &Model, k: usize) -> String {
    let id = model.graph.weights().nth(k);
    let name = id.map(|id| model.graph.node(id).name.clone()).unwrap_or_default();
    format!("weight {k} {}", cut(&name)).trim_end().to_owned()
}

/// As much of a name as a stack takes.
fn cut(name: &str) -> &str {
    let end = (0..=name.len().min(200)).rev().find(|n| name.is_char_boundary(*n)).unwrap_or(0);
    name.get(..end).unwrap_or_default()
}

/// Between a tensor's name and its step.
const STEP: &str = " in steps of ";

/// What one step of a tensor's integers is. Features with scales of their own are told apart by a hash.
fn step(spec: &TensorSpec) -> Outcome<String> {
    let unit = format!("2^{}", -spec.scale_bits);
    let Some(features) = &spec.features else { return Ok(unit) };
    let digest = hex(&canonical::digest("assay.features.v1", &[&canonical::to_bytes(features)?]));
    Ok(format!("{unit} for features {}", digest.get(..16).unwrap_or_default()))
}

/// The name of an input or output in a stack. It says what a step is: the schema has it, and so the id, so that proofs about one
/// id are about the same numbers and not only about the same integers.
fn tensor_name(spec: &TensorSpec) -> Outcome<String> {
    Ok(format!("{}{STEP}{}", cut(&spec.name), step(spec)?))
}

/// Refuses a stack whose integers a model would take for other numbers.
fn check_steps(schema: &Schema, specs: &[TensorSpec], path: &Path) -> Outcome<()> {
    let alone = schema.tensors.len() == 1 && specs.len() == 1;
    for t in &schema.tensors {
        let Some((name, held)) = t.name.rsplit_once(STEP) else { continue };
        // What does not fit at all is refused with its shape.
        let fits = |s: &&TensorSpec| t.shape.iter().product::<usize>().is_multiple_of(s.len().max(1));
        let Some(spec) = specs.iter().find(|s| alone || cut(&s.name) == name).filter(fits) else { continue };
        let own = step(spec)?;
        if held != own {
            return Err(Failure::new(format!(
                "the stack '{}' holds '{name}' in steps of {held}, and '{}' of this model is in steps of {own}: the same \
                 integers would be other numbers",
                path.display(),
                spec.name
            ))
            .help(
                "compile both models so that they agree there: the same --activation-bits, and calibration samples of the \
                 second that are outputs of the first",
            ));
        }
    }
    Ok(())
}

/// The shortest of the row lengths with at most four rows: each row costs a verifier a multiplication, a long one the prover's
/// time. Keys share a stack only if they share its row length.
pub(crate) fn choose_row_bits(padded: usize) -> u8 {
    let longest = ROW_BITS[ROW_BITS.len() - 1];
    ROW_BITS.into_iter().find(|m| index_bits(padded) <= usize::from(*m) + 2).unwrap_or(longest)
}

/// Reads a stack file.
pub(crate) fn read(path: &Path) -> Outcome<Stack> {
    let bytes = files::read_kind(path, Kind::Stack)?;
    Stack::from_bytes(&bytes).map_err(|e| Failure::from(e).in_file(path))
}

/// Writes a stack file, which holds secrets.
pub(crate) fn write(path: &Path, stack: &Stack) -> Outcome<()> {
    files::write_private(path, &stack.to_bytes()?)
}

/// The id of a stack, in hexadecimal.
pub(crate) fn id(stack: &Stack) -> Outcome<String> {
    Ok(hex(&stack.id()?))
}

/// The roles of a stack's tensors, by their names.
fn roles(what: What, schema: &Schema, model: &Model, path: &Path) -> Outcome<Vec<Option<Role>>> {
    let specs: &[TensorSpec] = match what {
        What::Input => &model.inputs,
        What::Output => &model.outputs,
        What::Weights => &[],
    };
    let names: Vec<String> = match what {
        What::Input | What::Output => specs.iter().map(tensor_name).collect::<Outcome<_>>()?,
        What::Weights => (0..model.graph.weights().count()).map(|k| weight_name(model, k)).collect(),
    };
    check_steps(schema, specs, path)?;
    let role = |k| match what {
        What::Input => Role::Input(k),
        What::Output => Role::Output(k),
        What::Weights => Role::Weight(k),
    };
    // Stacks of trained weights call them what the model that training wrote calls them, without their place.
    let own = |k: &usize| model.graph.weights().nth(*k).map(|id| model.graph.node(id).name.as_str());
    let trained = |t: &SchemaTensor| match what {
        What::Weights => (0..names.len()).find(|k| own(k) == Some(t.name.as_str())),
        _ => None,
    };
    // Schemas that say nothing of steps.
    let plain = |t: &SchemaTensor| specs.iter().position(|s| s.name == t.name);
    let mut roles: Vec<Option<Role>> = schema
        .tensors
        .iter()
        .map(|t| names.iter().position(|n| *n == t.name).or_else(|| plain(t)).or_else(|| trained(t)).map(role))
        .collect();
    // Where there is one of each, they belong together, whatever they are called.
    if let ([None], [_]) = (roles.as_slice(), names.as_slice()) {
        roles = vec![Some(role(0))];
    }
    if roles.iter().all(Option::is_none) {
        let held: Vec<&str> = schema.tensors.iter().take(4).map(|t| t.name.as_str()).collect();
        return Err(Failure::new(format!(
            "the stack '{}' holds no {} of this model: it holds {}",
            path.display(),
            what.name(),
            held.join(", ")
        ))
        .help(format!("the model's are {}: commit to them with `assay stack commit`", names.join(", "))));
    }
    Ok(roles)
}

/// A stack of a model's weights, as a key pins it.
pub(crate) fn pinned_weights(model: &Model, path: &Path) -> Outcome<SettledStack> {
    let stack = read(path)?;
    let roles = roles(What::Weights, stack.schema(), model, path)?;
    let named = NamedStack { name: What::Weights.name().to_owned(), schema: stack.schema().clone(), roles };
    Ok(SettledStack { named, pinned: Some(stack) })
}

/// Refuses inputs of another width than the model's, which its layout would refuse in other words.
fn check_widths(named: &NamedStack, model: &Model, path: &Path) -> Outcome<()> {
    for (t, role) in named.schema.tensors.iter().zip(&named.roles) {
        let Some(Role::Input(k)) = role else { continue };
        let Some(node) = model.graph.inputs().get(*k).map(|id| model.graph.node(*id)) else { continue };
        let fits = t.shape.iter().product::<usize>().is_multiple_of(node.shape.iter().product::<usize>().max(1));
        if let (Op::Input(op), true) = (&node.op, fits)
            && op.bits != t.bits
        {
            return Err(Failure::new(format!(
                "the stack '{}' holds '{}' with {} bits, input '{}' of this model has {}",
                path.display(),
                t.name,
                t.bits,
                node.name,
                op.bits
            ))
            .help(format!(
                "compile this model again with --activation-bits {}, or the one that made the stack",
                t.bits
            )));
        }
    }
    Ok(())
}

/// The schema of a stack of all outputs of a batch.
fn outputs(model: &Model, batch: usize, row_bits: Option<u8>) -> Outcome<Schema> {
    let mut tensors = Vec::with_capacity(model.outputs.len());
    for (spec, id) in model.outputs.iter().zip(model.graph.outputs()) {
        let node = model.graph.node(*id);
        let holds = |bits: u32| {
            let t = SchemaTensor { name: String::new(), shape: vec![1], bits };
            t.range().contains(node.range)
        };
        let bits = (1..=20).find(|bits| holds(*bits)).ok_or_else(|| {
            Failure::new(format!(
                "output '{}' has values from {} to {}; a stack holds at most 20 bits of them",
                spec.name, node.range.lo, node.range.hi
            ))
            .help("compile the model with --private-outputs, which rounds outputs to the width of activations")
        })?;
        tensors.push(SchemaTensor {
            name: tensor_name(spec)?,
            shape: [&[batch], node.shape.as_slice()].concat(),
            bits,
        });
    }
    let padded = tensors.iter().map(|t| 1usize << t.padded_bits().min(40)).sum();
    Ok(Schema::new(row_bits.unwrap_or_else(|| choose_row_bits(padded)), tensors)?)
}

impl CommitArgs {
    pub(crate) fn is_used(&self) -> bool {
        !self.commits.is_empty()
    }

    /// Those of one kind.
    pub(crate) fn only(&self, what: What) -> Self {
        Self { commits: self.commits.iter().filter(|c| c.what == what).cloned().collect() }
    }

    /// Refuses early to write where nothing can be written.
    pub(crate) fn check_targets(&self) -> Outcome<()> {
        self.commits.iter().filter(|c| c.what == What::Output).try_for_each(|c| files::check_target(&c.file))
    }

    /// Reads the stacks and says what they are to the model. `batch` is the number of samples of the input file, if there is
    /// one; the size of the batch comes back with the stacks. Outputs have the rows of the others, or else those that are asked
    /// for.
    pub(crate) fn resolve(&self, model: &Model, batch: Option<usize>, row_bits: Option<u8>) -> Outcome<(Named, usize)> {
        let mut out = Named::default();
        let mut held = None;
        for (i, c) in self.commits.iter().enumerate() {
            if self.commits[..i].iter().any(|other| other.what == c.what) {
                return Err(Failure::new(format!("--commit {}= is given twice", c.what.name()))
                    .help("put all of these tensors in one stack"));
            }
            let (schema, stack) = if c.what == What::Output {
                (None, None)
            } else {
                let stack = read(&c.file)?;
                (Some(stack.schema().clone()), Some(stack))
            };
            if let (What::Input, Some(schema)) = (c.what, &schema) {
                held = batch_of(model, schema, &roles(c.what, schema, model, &c.file)?);
            }
            out.stacks.push(stack);
            out.files.push(c.file.clone());
            // The schema of outputs needs the batch and the row length of the others.
            let schema = schema.unwrap_or(Schema { row_bits: 0, tensors: vec![] });
            out.named.push(NamedStack { name: c.what.name().to_owned(), schema, roles: vec![] });
        }
        let batch = match (held, batch) {
            (Some(held), Some(given)) if held != given => {
                return Err(Failure::new(format!("the stack holds a batch of {held}, the input file {given} samples"))
                    .help("take as many with --batch and --from"));
            }
            (held, given) => held.or(given).unwrap_or(1),
        };
        let row_bits = out.named.iter().map(|n| n.schema.row_bits).find(|m| *m > 0).or(row_bits);
        for (n, c) in out.named.iter_mut().zip(&self.commits) {
            if c.what == What::Output {
                n.schema = outputs(model, batch, row_bits)?;
            }
            n.roles = roles(c.what, &n.schema, model, &c.file)?;
            check_widths(n, model, &c.file)?;
        }
        Ok((out, batch))
    }

    /// Compares the ids of a proof with those of the stacks of the command.
    pub(crate) fn compare(&self, named: &[NamedStack], ids: &[[u8; 32]]) -> Outcome<()> {
        for c in &self.commits {
            let place = named.iter().position(|n| n.name == c.what.name()).and_then(|k| ids.get(k));
            let Some(shown) = place else {
                return Err(Failure::new(format!("proofs under this key are about no stack '{}'", c.what.name()))
                    .help(format!("the key's stacks: {}", list(named))));
            };
            let expected = id(&read(&c.file)?)?;
            if hex(shown) != expected {
                return Err(Failure::new(format!(
                    "the proof is about another stack '{}': {}, and '{}' is {expected}",
                    c.what.name(),
                    hex(shown),
                    c.file.display()
                ))
                .help("the proof says nothing about what is in this file")
                .invalid());
            }
        }
        Ok(())
    }
}

fn list(named: &[NamedStack]) -> String {
    if named.is_empty() {
        return "none".to_owned();
    }
    named.iter().map(|n| format!("'{}'", n.name)).collect::<Vec<_>>().join(", ")
}

/// Refuses to go on without a stack that a key is about, or with one that it is not about.
pub(crate) fn same_names(key: &[NamedStack], given: &[&str]) -> Outcome<()> {
    if let Some(n) = key.iter().find(|n| !given.contains(&n.name.as_str())) {
        return Err(Failure::new(format!("the key is about a stack '{}', which is not given", n.name))
            .help(format!("pass --commit {}=FILE", n.name)));
    }
    match given.iter().find(|name| key.iter().all(|n| n.name != **name)) {
        Some(name) => Err(Failure::new(format!("the key is about no stack '{name}'"))
            .help(format!("leave out --commit {name}; the key's stacks: {}", list(key)))),
        None => Ok(()),
    }
}

/// The size of the batch that a stack of inputs holds.
fn batch_of(model: &Model, schema: &Schema, roles: &[Option<Role>]) -> Option<usize> {
    schema.tensors.iter().zip(roles).find_map(|(t, role)| {
        let Some(Role::Input(k)) = role else { return None };
        let shape = &model.graph.node(*model.graph.inputs().get(*k)?).shape;
        match t.shape.split_first() {
            Some((batch, rest)) if rest == shape.as_slice() => Some(*batch),
            _ if t.shape == *shape => Some(1),
            _ => None,
        }
    })
}

impl Named {
    /// Puts the stacks in the order of a key that was made before.
    pub(crate) fn in_order_of(mut self, key: &[NamedStack]) -> Outcome<Self> {
        let given: Vec<&str> = self.named.iter().map(|n| n.name.as_str()).collect();
        same_names(key, &given)?;
        let mut out = Self::default();
        for n in key {
            let Some(k) = self.named.iter().position(|own| own.name == n.name) else { continue };
            out.named.push(self.named.remove(k));
            out.stacks.push(self.stacks.remove(k));
            out.files.push(self.files.remove(k));
        }
        Ok(out)
    }

    /// As a settlement key takes them: weights are pinned in it, the others come with each proof.
    pub(crate) fn settled(&self) -> Vec<SettledStack> {
        let pin = |n: &NamedStack, s: &Option<Stack>| if n.name == What::Weights.name() { s.clone() } else { None };
        let all = self.named.iter().zip(&self.stacks);
        all.map(|(n, s)| SettledStack { named: n.clone(), pinned: pin(n, s) }).collect()
    }

    /// Writes the stacks that a proof has `made`, of all that it is about.
    pub(crate) fn write_outputs(&self, made: &[bool], stacks: &[Stack]) -> Outcome<Vec<PathBuf>> {
        let mut written = Vec::new();
        for ((stack, made), file) in stacks.iter().zip(made).zip(&self.files) {
            if *made {
                write(file, stack)?;
                written.push(file.clone());
            }
        }
        Ok(written)
    }

    /// The model's inputs that no stack holds, as integers: what is read from the input file.
    pub(crate) fn open_inputs(&self, model: &Model, samples: &Samples) -> Outcome<(Vec<Vec<Tensor>>, usize)> {
        let specs: Vec<_> = (0..model.inputs.len()).filter(|k| find(&self.named, Role::Input(*k)).is_none()).collect();
        let mut clamped = 0;
        let mut out = Vec::with_capacity(samples.len());
        for sample in samples {
            let mut one = Vec::with_capacity(specs.len());
            for (k, values) in specs.iter().zip(sample) {
                let (t, n) = model.quantize(&model.inputs[*k], values)?;
                clamped += n;
                one.push(t);
            }
            out.push(one);
        }
        Ok((out, clamped))
    }
}

/// Names and ids of the stacks that a proof is about.
pub(crate) fn to_json(named: &[NamedStack], stacks: &[Stack]) -> Outcome<Value> {
    let ids = stacks.iter().map(Stack::id).collect::<Result<Vec<_>, _>>()?;
    Ok(ids_json(named, &ids))
}

/// The same of ids.
pub(crate) fn ids_json(named: &[NamedStack], ids: &[[u8; 32]]) -> Value {
    named.iter().zip(ids).map(|(n, id)| json!({ "name": n.name, "id": hex(id) })).collect()
}

/// A stack of the inputs of a model, of a whole batch.
pub(crate) fn inputs(
    app: &crate::App,
    model: &Model,
    samples: &Samples,
    row_bits: Option<u8>,
) -> Outcome<(Schema, Vec<Tensor>)> {
    let tensors = flow::quantize(app, model, samples)?;
    let batch = tensors.len();
    let (mut schema, mut values) = (Vec::new(), Vec::new());
    for (k, (spec, id)) in model.inputs.iter().zip(model.graph.inputs()).enumerate() {
        let node = model.graph.node(*id);
        let Op::Input(op) = &node.op else { continue };
        let shape = [&[batch], node.shape.as_slice()].concat();
        schema.push(SchemaTensor { name: tensor_name(spec)?, shape: shape.clone(), bits: op.bits });
        let data = tensors.iter().filter_map(|one| one.get(k)).flat_map(|t| t.data.iter().copied()).collect();
        values.push(Tensor::new(shape, data)?);
    }
    Ok((sized(schema, row_bits)?, values))
}

/// A stack of the weights of a model.
pub(crate) fn weights(model: &Model, row_bits: Option<u8>) -> Outcome<(Schema, Vec<Tensor>)> {
    let mut schema = Vec::new();
    for (k, id) in model.graph.weights().enumerate() {
        let node = model.graph.node(id);
        let Op::Weight(op) = &node.op else { continue };
        schema.push(SchemaTensor { name: weight_name(model, k), shape: node.shape.clone(), bits: op.bits });
    }
    if schema.is_empty() {
        return Err(Failure::new("this model has no weights")
            .help("commit to its inputs: assay stack commit DATA --model MODEL -o FILE"));
    }
    Ok((sized(schema, row_bits)?, model.weights.to_vec()))
}

fn sized(tensors: Vec<SchemaTensor>, row_bits: Option<u8>) -> Outcome<Schema> {
    let padded = tensors.iter().map(|t| 1usize << t.padded_bits().min(40)).sum();
    Ok(Schema::new(row_bits.unwrap_or_else(|| choose_row_bits(padded)), tensors)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_committed() {
        for (text, what) in [("input=a", What::Input), ("weights=a=b", What::Weights), ("output=./x", What::Output)] {
            let c: Commit = text.parse().unwrap();
            assert_eq!((c.what, Some(c.file.as_path())), (what, text.split_once('=').map(|p| Path::new(p.1))));
        }
        for text in ["", "input", "input=", "=a", "inputs=a", "bias=a"] {
            assert!(text.parse::<Commit>().unwrap_err().contains("input=FILE"), "{text}");
        }
    }

    #[test]
    fn rows_are_few() {
        for (values, bits) in
            [(1, 8), (1 << 10, 8), ((1 << 10) + 1, 10), (1 << 16, 14), (1 << 18, 16), (1 << 19, 18), (1 << 24, 18)]
        {
            assert_eq!(choose_row_bits(values), bits, "{values}");
        }
    }
}
