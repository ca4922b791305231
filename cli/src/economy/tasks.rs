//! Tasks of training as commands see them.

use super::{System, explained};
use crate::{
    error::{Failure, Outcome},
    settlement::parse_hex,
    stacks,
};
use assay_contracts::{
    B256,
    economy::{Phase, Task, TaskStatus, Tree, dataset_leaf},
};
use std::{path::PathBuf, str::FromStr};

/// A named stack: its id, or the file that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StackRef {
    Id(B256),
    File(PathBuf),
}

impl FromStr for StackRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match parse_hex::<32>(text) {
            Some(id) => Self::Id(id.into()),
            None if text.is_empty() => return Err("expected the id of a stack, or its file".to_owned()),
            None => Self::File(text.into()),
        })
    }
}

impl StackRef {
    pub(crate) fn id(&self) -> Outcome<B256> {
        match self {
            Self::Id(id) => Ok(*id),
            Self::File(path) => {
                let stack = stacks::read(path).map_err(|f| {
                    f.help("pass the id of a stack, 0x and 64 hexadecimal digits, or the file that `assay stack commit` wrote")
                })?;
                Ok(stack.id()?.into())
            }
        }
    }
}

/// What stands for the datasets that a task takes, whatever the order in which they are named: zero for any.
pub(crate) fn allowed(datasets: &[B256]) -> (Vec<B256>, Option<Tree>) {
    let mut sorted = datasets.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let tree = Tree::new(sorted.iter().map(|id| dataset_leaf(*id)).collect());
    (sorted, tree)
}

/// The path from a dataset to those that a task takes, which the caller names.
pub(crate) fn path_to(task: u64, root: B256, datasets: &[B256], wanted: B256) -> Outcome<Vec<B256>> {
    if root.is_zero() {
        return Ok(Vec::new());
    }
    let (sorted, tree) = allowed(datasets);
    let named = "name all datasets that the task takes with --allowed; its sponsor knows them";
    let tree = tree.ok_or_else(|| Failure::new(format!("task {task} takes certain datasets only")).help(named))?;
    if tree.root() != root {
        return Err(Failure::new(format!("these are not the datasets that task {task} takes")).help(named));
    }
    sorted.binary_search(&wanted).ok().and_then(|i| tree.path(i)).ok_or_else(|| {
        Failure::new(format!("task {task} does not take dataset {wanted}")).help("lease it with one of those it takes")
    })
}

/// Where a task is, in a word or two.
pub(crate) fn state(task: &Task, until: u64, now: u64) -> &'static str {
    match (task.status, task.phase) {
        (TaskStatus::Closed, _) => "closed",
        (TaskStatus::Open, Phase::None) if now >= task.deadline.to::<u64>() => "expired",
        (TaskStatus::Open, Phase::None) if task.used >= task.shards => "out of shards",
        (TaskStatus::Open, Phase::None) => "open",
        (TaskStatus::Open, Phase::Leased | Phase::Seeded) if now >= until => "lease lost",
        (TaskStatus::Open, Phase::Leased) => "leased",
        (TaskStatus::Open, Phase::Seeded) => "training",
        (TaskStatus::Open, Phase::Trained) if now >= until => "not revealed",
        (TaskStatus::Open, Phase::Trained) => "trained",
        (TaskStatus::Open, Phase::Revealed) if now >= until => "not evaluated",
        (TaskStatus::Open, Phase::Revealed) => "evaluating",
        _ => "unknown",
    }
}

impl System {
    /// A task, or that there never was one.
    pub(crate) fn task(&mut self, id: u64) -> Outcome<Task> {
        let market = self.at.training();
        let opened = market.tasks(self.chain.as_mut())?;
        if id == 0 || id > opened {
            return Err(Failure::new(format!("there is no task {id}: {opened} were opened here so far"))
                .help("`assay task list` lists them; a chain that was reorganised may have lost the last ones"));
        }
        market.task(self.chain.as_mut(), id).map_err(explained)
    }
}

/// What would help, by what the market for training says.
pub(super) fn help_for(e: &assay_contracts::Error) -> Option<&'static str> {
    use assay_contracts::economy::abi::Economy::EconomyErrors as E;
    Some(match e.economy()? {
        E::NotOpen(_) => "`assay task show ID` tells what became of it",
        E::RoundLive(_) => "wait until its round ends: `assay task show ID`",
        E::NotLive(_) => "there is nothing to end: `assay task show ID`",
        E::WrongPhase(_) => "`assay task show ID` tells where the round is and what comes next",
        E::PhaseOver(_) => "`assay task finish ID` ends the round, and pays or returns what is due",
        E::StaleHead(_) => "look at the task again, and train from its head: `assay task show ID`",
        E::NoShardLeft(_) | E::Exhausted(_) => "its sponsor can take back what is left and open another task",
        E::DatasetRetired(_) => "take another dataset: `assay dataset show` lists them",
        E::DatasetNotAllowed(_) => "name all datasets that the task takes with --allowed",
        E::BondTooHigh(_) => "look at the task again: `assay task show ID`",
        E::LeaseTooShort(_) => "take a task with a later deadline or longer leases",
        E::SeedNotReady(_) => "wait for the block, or let the command wait: --wait 5m",
        E::SeedLost(_) => "the lease cannot be kept any more: `assay task finish ID` ends it when its time is over",
        E::VerifierEnded(_) => {
            "`assay task finish ID` returns the bond, and `assay task refund ID` gives the sponsor everything back"
        }
        E::TooEarly(_) => "wait for the deadline, or let the sponsor ask",
        E::WrongShard(_) => "pass the file that `assay task post --sealed` wrote for this task",
        E::ShardUsed(_) => "each stack is revealed once; the sponsor sealed it twice and pays for the round",
        E::ERC20InsufficientBalance(_) => {
            "send the account tokens; `assay task withdraw` collects what the market for training owes it"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_by_id_or_file() {
        let id = format!("0x{}", "ab".repeat(32));
        assert_eq!(id.parse(), Ok(StackRef::Id(B256::repeat_byte(0xab))));
        assert_eq!("w.stack".parse(), Ok(StackRef::File("w.stack".into())));
        assert!("".parse::<StackRef>().is_err());
    }

    #[test]
    fn datasets_in_any_order() {
        let ids: Vec<B256> = (1..=5).map(B256::repeat_byte).collect();
        let root = allowed(&ids).1.unwrap().root();
        let turned: Vec<B256> = ids.iter().rev().chain(&ids[..1]).copied().collect();
        assert_eq!(allowed(&turned).1.unwrap().root(), root);
        for id in &ids {
            assert!(!path_to(1, root, &turned, *id).unwrap().is_empty());
        }
        let e = path_to(1, root, &ids, B256::repeat_byte(9)).unwrap_err();
        assert!(e.message.contains("does not take"), "{e}");
        assert!(path_to(1, root, &ids[1..], ids[1]).unwrap_err().message.contains("not the datasets"));
        assert!(path_to(1, root, &[], ids[1]).unwrap_err().help.contains("--allowed"));
        assert!(path_to(1, B256::ZERO, &[], ids[1]).unwrap().is_empty());
    }
}
