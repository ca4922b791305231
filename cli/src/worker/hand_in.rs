//! Handing in: a proof in hand is tried again until it is paid, or the contract says that it never will be.

use super::{
    Trouble, Worker,
    record::{Begun, Step},
    steps::{names, reason},
};
use crate::{
    economy::{units, work::slots},
    error::Failure,
    output::count,
};
use assay_contracts::{
    B256, Error, Revert, U256,
    abi::ContractError,
    economy::{Done, Fulfilled, abi::Economy::EconomyErrors},
};
use assay_verifier::settle::key::SettledProof;
use serde_json::json;

/// What an error says about a proof that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// Nothing about the proof: the node, the account, the gas. Or that the jobs are not what they were, which the next
    /// round finds out.
    Again,
    /// Its verifier has ended: nobody is paid any more.
    Ended,
    /// It is not accepted now or later.
    Never,
}

pub(super) fn says(e: &Error) -> Says {
    match e.revert() {
        Some(Revert::Economy(e) | Revert::Training(e)) => match **e {
            EconomyErrors::VerifierEnded(_) => Says::Ended,
            EconomyErrors::WrongInput(_)
            | EconomyErrors::WrongBatch(_)
            | EconomyErrors::WrongVerifier(_)
            | EconomyErrors::WrongOffer(_)
            | EconomyErrors::BadOrder(_)
            | EconomyErrors::BadPayout(_)
            | EconomyErrors::WrongLosses(_) => Says::Never,
            _ => Says::Again,
        },
        Some(Revert::Contract(e)) if matches!(**e, ContractError::InvalidProof(_)) => Says::Never,
        // Out of gas, a broken node, no ether, an empty revert.
        _ => Says::Again,
    }
}

impl Worker<'_> {
    /// Hands in the proof that the journal has; whether something was done.
    pub(super) fn fulfil(&mut self, ids: &[u64]) -> Result<bool, Trouble> {
        let Some(begun) = self.journal.of(ids).cloned() else { return Ok(true) };
        let answer = match self.call_of(&begun)? {
            Ok((slots, salts, proof)) => {
                let (market, chain) = (self.system.at.market(), self.system.chain.as_mut());
                market.fulfil(chain, &slots, &salts, self.payout, &proof.public, &proof.argument)
            }
            Err(f) => return self.give_up(ids, &f.message, true).map(|()| true),
        };
        match answer {
            Ok((paid, done)) => {
                self.gas.fulfilled(done.gas_used);
                self.paid(&begun, &paid, Some(done))?;
                Ok(true)
            }
            Err(e) => match says(&e) {
                Says::Never => self.give_up(ids, &reason(&e), true).map(|()| true),
                Says::Ended => self.ended(&begun).map(|()| true),
                Says::Again => Err(e.into()),
            },
        }
    }

    /// What a fulfilment takes.
    #[allow(clippy::type_complexity, reason = "read in one place")]
    fn call_of(&mut self, begun: &Begun) -> Result<Result<(Vec<u64>, Vec<B256>, SettledProof), Failure>, Trouble> {
        let bytes = begun.proof.clone().unwrap_or_default();
        let proof = match SettledProof::from_bytes(&bytes) {
            Ok(proof) => proof,
            Err(e) => return Ok(Err(e.into())),
        };
        let batch = match self.bench.of(begun.verifier) {
            Some(station) => station.served.batch(),
            // The proof is there although its model was not given to this start.
            None => {
                let entry = self.system.at.registry().entry(self.system.chain.as_mut(), begun.verifier)?;
                usize::try_from(entry.batch).unwrap_or(usize::MAX)
            }
        };
        let slots = match slots(&begun.ids(), batch) {
            Ok(slots) => slots,
            Err(f) => return Ok(Err(f)),
        };
        let mut salts = Vec::with_capacity(begun.jobs.len());
        for job in &begun.jobs {
            match self.secret(job.id, job.block, job.commitment)? {
                Some(secret) => salts.push(secret.salt),
                None => {
                    return Ok(Err(Failure::new(format!("the salt of job {} is not known", job.id))
                        .help("if the input is private, pass the requester's file with --private-input")));
                }
            }
        }
        Ok(Ok((slots, salts, proof)))
    }

    /// Nobody is paid for these jobs any more; the bonds can be had.
    fn ended(&mut self, begun: &Begun) -> Result<(), Trouble> {
        let ids = begun.ids();
        match self.bonds_back(&ids) {
            Ok(amount) => {
                let text = format!("{}: {} of bonds", names(&ids), units::shown(amount));
                self.log("refunded", &text, json!({ "job_ids": ids, "amount": amount.to_string() }));
            }
            Err(f) => self.app.output.warn(format!("bonds of {} are not back yet: {f}", names(&ids))),
        }
        self.give_up(&ids, "the verifier has ended", false)?;
        self.withdraw(false);
        Ok(())
    }

    /// Jobs that were paid to us without our having seen it.
    pub(super) fn found_paid(&mut self, begun: &Begun) -> Result<(), Trouble> {
        let head = self.moment.head.number;
        let first = begun.jobs.iter().map(|j| j.block).min().unwrap_or(0);
        let mut paid = Vec::new();
        for job in &begun.jobs {
            let chain = self.system.chain.as_mut();
            let found = self.system.at.market().payments(chain, Some(job.id), first.min(head), head)?;
            paid.extend(found.into_iter().filter(|p| p.payout == self.payout));
        }
        self.paid(begun, &paid, None)
    }

    fn paid(&mut self, begun: &Begun, paid: &[Fulfilled], done: Option<Done>) -> Result<(), Trouble> {
        let ids = begun.ids();
        let transaction = paid.first().map(|p| p.transaction);
        let block = done.map_or(self.moment.head.number, |d| d.block);
        // A block that cannot be asked for counts as in time: this decides on warnings alone.
        let time = self.system.chain.block(block).ok().flatten().map_or(0, |b| b.timestamp);
        let late = begun.until.is_some_and(|until| time >= until) && done.is_some();
        self.note(Step::Paid { jobs: ids.clone(), transaction, block, late });
        let total: U256 = paid.iter().map(|p| U256::from(p.to_worker)).sum();
        self.counts.paid += ids.len() as u64;
        self.counts.batches += 1;
        self.counts.earned += total;
        self.earned.insert(ids.clone(), total);
        let gas = done.map(|d| d.gas_used);
        let cost = gas.map_or_else(|| "found on the chain".to_owned(), |g| format!("{} gas", count(g)));
        let bonds = if late { "the lease was over: half of the bond is lost" } else { "bonds included" };
        self.log(
            "paid",
            &format!("{} for {}, {bonds} ({cost})", units::shown(total), names(&ids)),
            json!({ "job_ids": ids, "to_worker": total.to_string(), "gas": gas, "late": late, "block": block,
                    "transaction": transaction.map(|t| t.to_string()) }),
        );
        let Some(begun) = self.journal.of(&ids).cloned() else { return Ok(()) };
        self.confirm(&begun)?;
        self.withdraw(false);
        Ok(())
    }
}
