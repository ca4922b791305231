//! A proof of a run, core or settled: what both have in common for the commands that make one.

use super::{Made, Runs, Statement, prove, prove_settled};
use crate::{
    App,
    args::{ContextArgs, SettleArgs},
    chain::{self, Local, OnChain},
    error::{Failure, Outcome},
    files,
    output::{bytes, seconds},
    settlement,
};
use assay_circuits::Tensor;
use assay_prover::Stack;
use assay_verifier::{core::Verified, settle::key::Context};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

enum Of {
    Core(Box<Made>),
    /// With what the contract on the embedded EVM said, where the proof is bound to nothing else.
    Settled(Box<(settlement::Prepared, settlement::Settled)>, Option<Box<OnChain>>),
}

/// A proof that was made and checked.
pub(crate) struct Proof {
    of: Of,
    /// What it shows.
    pub(crate) shown: Verified,
    /// The stacks that it is about, in the key's order.
    pub(crate) stacks: Vec<Stack>,
}

/// Inputs that no stack holds, and stacks.
type Witness = (Vec<Tensor>, Vec<Option<Stack>>);

impl Proof {
    pub(crate) fn core(app: &App, runs: &Runs, (open, stacks): Witness, srs: Option<&Path>) -> Outcome<Self> {
        let mut made = prove(app, runs, open, stacks, srs)?;
        let stacks = std::mem::take(&mut made.stacks);
        Ok(Self { shown: made.shown.clone(), stacks, of: Of::Core(Box::new(made)) })
    }

    /// A settled proof. One that is bound to no contract is bound to that of the embedded EVM, which checks it.
    pub(crate) fn settled(
        app: &App,
        runs: &Runs,
        (open, stacks): Witness,
        options: (Option<&Path>, &SettleArgs),
        (args, context): (&ContextArgs, Context),
    ) -> Outcome<Self> {
        let local = if args.consumer.is_none() { Some(Local::deploy()?) } else { None };
        let context = local.as_ref().map_or(context, |l| l.context([0; 32]));
        let (prepared, settled, shown, stacks) = prove_settled(app, runs, open, stacks, options, context)?;
        let on_chain = local.map(|l| l.submit(&prepared, &settled)).transpose()?;
        let of = Of::Settled(Box::new((prepared, settled)), on_chain.map(Box::new));
        Ok(Self { of, shown, stacks })
    }

    /// A settled proof that is bound to a contract elsewhere.
    pub(crate) fn bound(
        app: &App,
        runs: &Runs,
        (open, stacks): Witness,
        options: (Option<&Path>, &SettleArgs),
        context: Context,
    ) -> Outcome<Self> {
        let (prepared, settled, shown, stacks) = prove_settled(app, runs, open, stacks, options, context)?;
        Ok(Self { of: Of::Settled(Box::new((prepared, settled)), None), shown, stacks })
    }

    /// What a contract is given beside the public values; none of a core proof.
    pub(crate) fn argument(&self) -> Option<Vec<u8>> {
        match &self.of {
            Of::Core(_) => None,
            Of::Settled(m, _) => Some(m.1.proof.argument.clone()),
        }
    }

    /// What its key says.
    pub(crate) fn statement(&self) -> Statement<'_> {
        match &self.of {
            Of::Core(m) => (&m.prepared.key.verifying).into(),
            Of::Settled(m, _) => (&m.0.prover.key).into(),
        }
    }

    /// The proof's and the key's bytes.
    fn bytes(&self) -> Outcome<[Vec<u8>; 2]> {
        Ok(match &self.of {
            Of::Core(m) => [m.proven.bytes.clone(), m.prepared.key.verifying.to_bytes().map_err(Failure::from)?],
            Of::Settled(m, _) => [m.1.bytes.clone(), m.0.prover.key.to_bytes()?],
        })
    }

    /// Names of the files in a folder.
    pub(crate) fn files(&self) -> &'static str {
        if matches!(self.of, Of::Core(_)) { "proof, key" } else { "settled, settlement.key" }
    }

    /// Writes proof and key into a folder.
    pub(crate) fn write(&self, path: &dyn Fn(&str) -> PathBuf) -> Outcome<()> {
        let names = if matches!(self.of, Of::Core(_)) { ["proof", "key"] } else { ["settled", "settlement.key"] };
        names.iter().zip(self.bytes()?).try_for_each(|(name, bytes)| files::write(&path(name), &bytes))
    }

    /// Writes proof and key to files, where they are wanted.
    pub(crate) fn write_to(&self, proof: Option<&Path>, key: Option<&Path>) -> Outcome<()> {
        let bytes = self.bytes()?;
        [proof, key].into_iter().zip(bytes).try_for_each(|(to, bytes)| to.map_or(Ok(()), |to| files::write(to, &bytes)))
    }

    /// How long everything took, after so many seconds of training.
    pub(crate) fn say(&self, app: &App, trained: f64) {
        let o = &app.output;
        match &self.of {
            Of::Core(m) => o.say(format!(
                "time    computed in {}, key {}, proof {} ({}), verified in {}",
                seconds(trained),
                seconds(m.prepared.seconds),
                seconds(m.proven.prove_seconds),
                bytes(m.proven.bytes.len() as u64),
                seconds(m.proven.verify_seconds)
            )),
            Of::Settled(m, on_chain) => {
                o.say(format!("time    computed in {}", seconds(trained)));
                settlement::say(app, &m.0, &m.1);
                if let Some(c) = on_chain {
                    chain::say(app, c);
                }
            }
        }
    }

    /// The fields of a result.
    pub(crate) fn json(&self) -> Value {
        match &self.of {
            Of::Core(m) => json!({
                "setup_seconds": m.prepared.seconds,
                "prove_seconds": m.proven.prove_seconds,
                "verify_seconds": m.proven.verify_seconds,
                "proof_bytes": m.proven.bytes.len(),
                "insecure_srs": m.prepared.key.verifying.srs.insecure_dev,
                "hiding": false,
            }),
            Of::Settled(m, on_chain) => {
                let mut out = json!({
                    "insecure_srs": m.0.prover.key.descriptor.insecure_dev,
                    "hiding": true,
                });
                chain::merge(&mut out, settlement::json(&m.0, &m.1));
                if let Some(c) = on_chain {
                    chain::add_json(&mut out, c);
                }
                out
            }
        }
    }
}
