//! What became of rounds that were begun, as the chain has it: leases whose answer was lost, payments, and whether they are for good.

use super::{
    super::{
        record::{Begun, Step},
        sending::is_final,
    },
    ROUND_BITS, Trainer,
};
use crate::{
    economy::{explained, units},
    error::Outcome,
};
use assay_contracts::{
    B256, U256,
    economy::{Phase, Task, TaskEvent, Trained},
};
use serde_json::json;

impl Trainer<'_> {
    /// Looks after the rounds of a task that were begun; whether one of them waits for blocks on top of its payment.
    pub(super) fn settle_accounts(&mut self, id: u64, task: &Task) -> Outcome<bool> {
        let mut waits = false;
        for b in self.journal.state().begun.clone() {
            let Some(number) = b.ids().first().copied().filter(|n| n >> ROUND_BITS == id) else { continue };
            let round = u32::try_from(number & ((1 << ROUND_BITS) - 1)).unwrap_or(u32::MAX);
            if b.paid.is_some() {
                waits |= self.confirm(id, round, &b)?;
                continue;
            }
            let live = task.rounds == round && matches!(task.phase, Phase::Leased | Phase::Seeded);
            let mine = live && {
                let now = self.system.moment()?.now;
                let market = self.system.at.training();
                let found = market.round(self.system.chain.as_mut(), id).map_err(explained)?;
                found.payout == self.payout && now < found.until.to::<u64>()
            };
            let jobs = vec![number];
            match (mine, b.until) {
                (true, Some(_)) => {}
                // The answer to the lease was lost.
                (true, None) => self.journal.write(Step::Leased { jobs, until: 0 })?,
                (false, None) => self.journal.write(Step::NotLeased { jobs })?,
                (false, Some(_)) if task.rounds < round => {
                    self.log(
                        "not_leased",
                        &format!("round {round} of task {id} is gone with its block"),
                        json!({ "task_id": id, "round": round }),
                    );
                    self.journal.write(Step::NotLeased { jobs })?;
                }
                (false, Some(_)) => match self.payment(id, round, &b)? {
                    Some((block, e, transaction)) => waits |= self.paid_in(id, &b, block, &e, (transaction, None))?,
                    None => {
                        let reason = format!("round {round} of task {id} is over, and its proof was not paid");
                        self.log("lost", &reason, json!({ "task_id": id, "round": round }));
                        self.journal.write(Step::GaveUp { jobs, reason, failure: true })?;
                    }
                },
            }
        }
        Ok(waits)
    }

    /// The payment for a round's proof of training, with its block, if the chain has it.
    pub(super) fn payment(&mut self, id: u64, round: u32, begun: &Begun) -> Outcome<Option<(u64, Trained, B256)>> {
        let head = self.system.moment()?.head.number;
        let from = begun.jobs.iter().map(|j| j.block).min().unwrap_or(0).min(head);
        let events = self.system.at.training().history(self.system.chain.as_mut(), id, from, head)?;
        let payout = self.payout;
        Ok(events.into_iter().find_map(|(at, e)| match e {
            TaskEvent::Trained(e) if e.round == round && e.payout == payout => Some((at.block, e, at.transaction)),
            _ => None,
        }))
    }

    /// Notes a payment; whether it waits for blocks on top of it.
    pub(super) fn paid_in(
        &mut self,
        id: u64,
        begun: &Begun,
        block: u64,
        e: &Trained,
        (transaction, gas): (B256, Option<u64>),
    ) -> Outcome<bool> {
        let jobs = begun.ids();
        self.journal.note(Step::Paid { jobs: jobs.clone(), transaction: Some(transaction), block, late: false })?;
        self.paid += 1;
        self.earned += U256::from(e.toWorker);
        self.pending.insert(jobs, U256::from(e.toWorker));
        self.log(
            "paid",
            &format!("{} for round {} of task {id}", units::shown(U256::from(e.toWorker)), e.round),
            json!({ "task_id": id, "round": e.round, "to_worker": e.toWorker.to_string(), "trained": e.trained.to_string(),
                    "shard": e.shard, "gas": gas, "block": block }),
        );
        self.confirm(id, e.round, begun)
    }

    /// Looks after a payment that a reorganisation could still undo; whether it must be looked after again. One that is gone is
    /// handed in again: its proof lies in the round's folder.
    fn confirm(&mut self, id: u64, round: u32, begun: &Begun) -> Outcome<bool> {
        let jobs = begun.ids();
        let Some((block, ..)) = self.payment(id, round, begun)? else {
            self.journal.note(Step::Vanished { jobs: jobs.clone() })?;
            self.paid = self.paid.saturating_sub(1);
            self.earned = self.earned.saturating_sub(self.pending.remove(&jobs).unwrap_or_default());
            let text = format!(
                "the payment of round {round} of task {id} is not part of the chain any more: it is handed in again"
            );
            self.log("vanished", &text, json!({ "task_id": id, "round": round }));
            return Ok(true);
        };
        let head = self.system.chain.head()?.number;
        if !is_final(head, block, self.confirmations) {
            return Ok(true);
        }
        self.journal.note(Step::Final { jobs: jobs.clone() })?;
        self.pending.remove(&jobs);
        if self.confirmations > 0 {
            let over = head.saturating_sub(block);
            let text = format!("the payment of round {round} of task {id} has {over} blocks on top of it");
            self.log(
                "confirmed",
                &text,
                json!({ "task_id": id, "round": round, "block": block, "confirmations": over }),
            );
        }
        Ok(false)
    }
}
