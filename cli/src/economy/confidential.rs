//! Posting a confidential job: what the registered key takes, and the stack of input and pad (docs/protocol.md#confidential-jobs).

use super::{System, explained};
use crate::{
    App,
    device::on_device,
    error::{Failure, Outcome},
    flow, srs,
};
use assay_circuits::{Tensor, confidential::Confidential, stack::Schema};
use assay_contracts::{B256, economy::Entry, keccak256};
use assay_prover::{Blinding, Stack, srs::Srs};
use assay_verifier::{curve::g2_to_bytes, settle::descriptor::Descriptor};
use rand::{RngCore, rngs::OsRng};
use std::path::Path;

/// How the stacks of a verifier's jobs are made.
pub(crate) struct Sealer<'a> {
    of: &'a Confidential,
    schema: Schema,
    srs: Srs,
}

impl<'a> Sealer<'a> {
    /// Reads the key of a verifier's entry.
    pub(crate) fn new(
        app: &App,
        system: &mut System,
        of: &'a Confidential,
        (id, entry): (B256, &Entry),
        srs_file: Option<&Path>,
    ) -> Outcome<Self> {
        let bytes = system.at.verifier().key(system.chain.as_mut(), entry.settlementId).map_err(explained)?;
        let other = |what: String| {
            Failure::new(format!("the key of verifier {id} {what}")).help(
                "its entry is not for confidential jobs of this model: do not use it, or name another with --verifier",
            )
        };
        let key = Descriptor::from_bytes(&bytes).map_err(|e| other(format!("cannot be read: {e}")))?;
        let jobs = usize::try_from(entry.batch).unwrap_or(usize::MAX);
        let schema = schema_of(of, &key, jobs).map_err(other)?;
        let srs = srs::choose(app, srs_file, u32::from(schema.row_bits) + 1)?;
        if keccak256(g2_to_bytes(&srs.tau_g2)) != entry.srsHash {
            return Err(Failure::new(format!("verifier {id} has other powers of tau: {}", entry.srsHash))
                .help("pass the file that its key was made with: --srs FILE"));
        }
        flow::warn_insecure(app, srs.insecure_dev);
        Ok(Self { of, schema, srs })
    }

    /// For a key of one's own, under development powers of tau.
    pub(crate) fn development(app: &App, of: &'a Confidential, key: &Descriptor) -> Outcome<Self> {
        let schema = schema_of(of, key, 1).map_err(|e| Failure::new(format!("the demo's key {e}")).bug())?;
        let srs = srs::choose(app, None, u32::from(schema.row_bits) + 1)?;
        Ok(Self { of, schema, srs })
    }

    /// The stack of one job: the input, and a pad that is drawn for it. A pad hides perfectly if it is uniform, so it comes from the
    /// system, without a generator in between.
    pub(crate) fn seal(&self, app: &App, input: &[Tensor]) -> Outcome<Stack> {
        let draws = self.of.masks.iter().map(|m| m.widths.len() * m.shape.iter().product::<usize>()).sum::<usize>();
        let mut bytes = vec![0u8; 4 * draws];
        OsRng.try_fill_bytes(&mut bytes).map_err(|e| {
            Failure::new(format!("no random numbers from the system: {e}"))
                .help("check that /dev/urandom can be read here")
        })?;
        let mut words = bytes.as_chunks::<4>().0.iter().map(|b| u32::from_be_bytes(*b));
        let mut missing = false;
        let values = self.of.values(input, |_| {
            words.next().unwrap_or_else(|| {
                missing = true;
                0
            })
        });
        if missing {
            return Err(Failure::new("a pad is longer than what was drawn for it").bug());
        }
        let card = app.devices.card(app, 0, self.schema.rows() << self.schema.row_bits)?;
        Ok(on_device!(app, card, |device| Stack::commit(
            device,
            &self.schema,
            values.clone(),
            &self.srs,
            Blinding::Random
        ))?)
    }
}

/// What the stacks of a key hold. That it takes stacks of this model and shows their masked outputs alone is compared as far as the
/// key says it; that its circuit is this model's is for whoever added the entry, as with every model.
fn schema_of(of: &Confidential, key: &Descriptor, jobs: usize) -> Result<Schema, String> {
    let row_bits = u8::try_from(key.row_bits).map_err(|_| "has impossible rows".to_owned())?;
    let schema = of.schema(row_bits).map_err(|e| format!("has rows that no stack has: {e}"))?;
    let digest = schema.digest().map_err(|e| e.to_string())?;
    if key.given().count() != jobs || key.given().any(|s| s.schema != digest) {
        return Err("is about other stacks".to_owned());
    }
    let values: usize = of.model.outputs.iter().map(|s| s.len()).sum();
    let shown: Vec<usize> = key.public.iter().map(|p| p.count).collect();
    if shown != [values.saturating_mul(jobs)] {
        return Err("shows something else than masked outputs".to_owned());
    }
    Ok(schema)
}
