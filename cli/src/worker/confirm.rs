//! Payments that a reorganisation could still undo: watched until enough blocks are on top of them.

use super::{
    Trouble, Worker,
    record::{Begun, Step},
    sending::is_final,
    steps::{Fate, names},
};
use serde_json::json;

impl Worker<'_> {
    /// Looks after a payment; whether something was done. One that is gone is handed in again: its proof is kept until the
    /// payment is for good.
    pub(super) fn confirm(&mut self, begun: &Begun) -> Result<bool, Trouble> {
        let Some(block) = begun.paid else { return Ok(false) };
        let ids = begun.ids();
        self.look()?;
        if !self.fates(begun)?.iter().all(|f| *f == Fate::Paid) {
            self.note(Step::Vanished { jobs: ids.clone() });
            self.counts.paid = self.counts.paid.saturating_sub(ids.len() as u64);
            self.counts.batches = self.counts.batches.saturating_sub(1);
            let earned = self.earned.remove(&ids).unwrap_or_default();
            self.counts.earned = self.counts.earned.saturating_sub(earned);
            let text =
                format!("the payment of {} is not part of the chain any more: it is handed in again", names(&ids));
            self.log("vanished", &text, json!({ "job_ids": ids, "block": block }));
            return Ok(true);
        }
        let head = self.moment.head.number;
        if !is_final(head, block, self.confirmations) {
            return Ok(false);
        }
        self.note(Step::Final { jobs: ids.clone() });
        self.inbox.forget(&ids);
        self.earned.remove(&ids);
        if self.confirmations > 0 {
            let over = head.saturating_sub(block);
            let text = format!("the payment of {} has {over} blocks on top of it", names(&ids));
            self.log("confirmed", &text, json!({ "job_ids": ids, "block": block, "confirmations": over }));
        }
        Ok(true)
    }

    /// Whether a proof waits for the end of somebody else's lease.
    pub(super) fn is_waiting(&self, begun: &Begun) -> bool {
        begun.jobs.first().is_some_and(|j| self.waiting.contains(&j.id))
    }
}
