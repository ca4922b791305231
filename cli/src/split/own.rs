//! Stacks of a split model's own inputs and outputs (`--commit`): inputs are of the first segment, outputs of the last, and stand in
//! its key behind the boundaries.

use super::Split;
use crate::{
    App,
    args::BatchArgs,
    error::{Failure, Outcome},
    flow,
    stacks::{CommitArgs, Named, What, same_names},
};
use assay_circuits::{Tensor, model::Model, stack::NamedStack};
use assay_prover::Stack;
use std::path::{Path, PathBuf};

/// What `--commit` names.
#[derive(Debug, Default)]
pub(crate) struct Own {
    input: Named,
    /// What these stacks hold follows from the last segment.
    output: CommitArgs,
}

/// Stacks that the last segment's proof is about, and which of them it has made.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(super) named: Named,
    pub(super) made: Vec<bool>,
    pub(super) stacks: Vec<Stack>,
}

impl Written {
    pub(super) fn files(&self) -> Outcome<Vec<PathBuf>> {
        self.named.write_outputs(&self.made, &self.stacks)
    }
}

impl Own {
    /// The schemas of a key that is made before there is an input, and its batch.
    pub(crate) fn of_key(split: &Split, commits: &CommitArgs, batch: Option<usize>) -> Outcome<(Self, usize)> {
        let (input, batch) = commits.only(What::Input).resolve(&split.model(0)?, batch, None)?;
        Ok((Self { input, output: commits.only(What::Output) }, batch))
    }

    /// The stacks, and the integers of the first segment's inputs that none of them holds.
    pub(crate) fn read(
        app: &App,
        split: &Split,
        path: Option<&Path>,
        commits: &CommitArgs,
        batch: BatchArgs,
    ) -> Outcome<(Self, Vec<Vec<Tensor>>)> {
        commits.check_targets()?;
        let first = split.model(0)?;
        let (input, samples) = flow::read_open_samples(app, &first, path, &commits.only(What::Input), batch)?;
        let (tensors, clamped) = input.open_inputs(&first, &samples)?;
        flow::warn_clamped(app, clamped);
        Ok((Self { input, output: commits.only(What::Output) }, tensors))
    }

    /// The row length of the stacks, which is that of all boundaries; none if nothing is given. `asked` is what the command line
    /// says.
    pub(super) fn rows(&self, asked: Option<u8>) -> Outcome<Option<u8>> {
        match (self.input.named.first().map(|n| n.schema.row_bits), asked) {
            (Some(own), Some(other)) if own != other => {
                Err(Failure::new(format!("the stack of inputs has rows of 2^{own} values, and --row-bits is {other}"))
                    .help("leave out --row-bits, or commit to the inputs again with rows of that length"))
            }
            (own, asked) => Ok(own.or(asked)),
        }
    }

    /// Refuses keys that are about other stacks, before anything is proven under them.
    pub(super) fn check(&self, key: &[NamedStack]) -> Outcome<()> {
        let output = self.output.is_used().then(|| What::Output.name());
        let given: Vec<&str> = self.input.named.iter().map(|n| n.name.as_str()).chain(output).collect();
        same_names(key, &given)
    }

    /// Refuses outputs that no stack holds, before anything is proven.
    pub(super) fn check_outputs(&self, split: &Split, batch: usize, row_bits: u8) -> Outcome<()> {
        if !self.output.is_used() {
            return Ok(());
        }
        let last = split.model(split.len().saturating_sub(1))?;
        self.output.resolve(&last, Some(batch), Some(row_bits)).map(|_| ())
    }

    /// Those of segment `k`, in the order of its key if there is one.
    pub(super) fn of(
        &mut self,
        split: &Split,
        (k, model): (usize, &Model),
        (batch, row_bits): (usize, u8),
        key: Option<&[NamedStack]>,
    ) -> Outcome<Named> {
        let named = if k == 0 {
            std::mem::take(&mut self.input)
        } else if k + 1 == split.len() {
            self.output.resolve(model, Some(batch), Some(row_bits))?.0
        } else {
            Named::default()
        };
        match key {
            Some(key) => named.in_order_of(key),
            None => Ok(named),
        }
    }
}
