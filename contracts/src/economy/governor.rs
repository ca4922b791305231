//! Votes: proposals of calls, which the timelock executes.

use super::{
    abi::AssayGovernor,
    contract::{Contract, Done},
};
use crate::{Error, chain::Chain};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};

/// What is voted about: calls, in order, and why. Its id is a hash of all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Contracts and calldata.
    pub calls: Vec<(Address, Bytes)>,
    /// The text, from which nothing follows but the id.
    pub description: String,
}

impl Proposal {
    fn parts(&self) -> (Vec<Address>, Vec<U256>, Vec<Bytes>) {
        let (targets, data): (Vec<_>, Vec<_>) = self.calls.iter().cloned().unzip();
        (targets, vec![U256::ZERO; self.calls.len()], data)
    }

    fn description_hash(&self) -> B256 {
        keccak256(self.description.as_bytes())
    }
}

/// Where a proposal is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The vote has not begun.
    Pending,
    /// The vote is on.
    Active,
    /// Nobody can cancel a started vote; its proposer can before.
    Canceled,
    /// Too few votes, or more against it than for it.
    Defeated,
    /// Accepted: it can be queued.
    Succeeded,
    /// It waits for the timelock's delay.
    Queued,
    /// Not executed in time.
    Expired,
    /// Done.
    Executed,
    /// A number that the governor does not have.
    Unknown,
}

impl State {
    /// The state of a number.
    pub const fn of(number: u8) -> Self {
        match number {
            0 => Self::Pending,
            1 => Self::Active,
            2 => Self::Canceled,
            3 => Self::Defeated,
            4 => Self::Succeeded,
            5 => Self::Queued,
            6 => Self::Expired,
            7 => Self::Executed,
            _ => Self::Unknown,
        }
    }

    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Canceled => "canceled",
            Self::Defeated => "defeated",
            Self::Succeeded => "succeeded",
            Self::Queued => "queued",
            Self::Expired => "expired",
            Self::Executed => "executed",
            Self::Unknown => "unknown",
        }
    }
}

/// A vote, as it stands. Times are in seconds since 1970, votes in units of 10^-18 tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Where it is.
    pub state: State,
    /// The vote begins after this second; tokens count as delegated then.
    pub starts: U256,
    /// The last second of the vote.
    pub ends: U256,
    /// When it can be executed; zero before it is queued.
    pub executable: U256,
    /// Votes for it.
    pub in_favour: U256,
    /// Votes against it.
    pub against: U256,
    /// Abstentions, which count for the quorum.
    pub abstain: U256,
}

/// How to vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ballot {
    /// No.
    Against,
    /// Yes.
    For,
    /// Counts for the quorum only.
    Abstain,
}

/// An `AssayGovernor` at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Governor(Contract);

impl Governor {
    /// The governor at an address, unchecked; [`Deployment::check`](super::Deployment::check) checks.
    pub const fn at(address: Address) -> Self {
        Self(Contract { address, name: "AssayGovernor" })
    }

    /// Where it is.
    pub const fn address(&self) -> Address {
        self.0.address
    }

    /// The id of a proposal.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn id(&self, chain: &mut dyn Chain, proposal: &Proposal) -> Result<U256, Error> {
        let (targets, values, calldatas) = proposal.parts();
        let hash = proposal.description_hash();
        self.0.ask(chain, &AssayGovernor::hashProposalCall { targets, values, calldatas, descriptionHash: hash })
    }

    /// Proposes calls; the sender needs votes. Gives the id.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if the sender has too few votes or it was proposed before, or what the chain says.
    pub fn propose(&self, chain: &mut dyn Chain, proposal: &Proposal) -> Result<(U256, Done), Error> {
        let (targets, values, calldatas) = proposal.parts();
        let description = proposal.description.clone();
        let call = AssayGovernor::proposeCall { targets, values, calldatas, description };
        let receipt = self.0.send(chain, &call)?;
        let event: AssayGovernor::ProposalCreated = self.0.event_in(chain, &receipt)?;
        Ok((event.proposalId, (&receipt).into()))
    }

    /// The calls and text of a proposal, from its event in a range of blocks.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn find(&self, chain: &mut dyn Chain, id: U256, from: u64, to: u64) -> Result<Option<Proposal>, Error> {
        let events = self.0.events::<AssayGovernor::ProposalCreated>(chain, (from, to), &[])?;
        let found = events.into_iter().map(|(_, e)| e).find(|e| e.proposalId == id);
        Ok(found
            .map(|e| Proposal { calls: e.targets.into_iter().zip(e.calldatas).collect(), description: e.description }))
    }

    /// Votes. Gives the votes that it had.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if the vote is not on or the sender has voted, or what the chain says.
    pub fn vote(&self, chain: &mut dyn Chain, id: U256, ballot: Ballot) -> Result<Done, Error> {
        let support = match ballot {
            Ballot::Against => 0,
            Ballot::For => 1,
            Ballot::Abstain => 2,
        };
        Ok((&self.0.send(chain, &AssayGovernor::castVoteCall { proposalId: id, support })?).into())
    }

    /// Hands an accepted proposal to the timelock; anybody may.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if it was not accepted, or what the chain says.
    pub fn queue(&self, chain: &mut dyn Chain, proposal: &Proposal) -> Result<Done, Error> {
        let (targets, values, calldatas) = proposal.parts();
        let hash = proposal.description_hash();
        let call = AssayGovernor::queueCall { targets, values, calldatas, descriptionHash: hash };
        Ok((&self.0.send(chain, &call)?).into())
    }

    /// Executes a queued proposal after the delay; anybody may.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if it is too early or a call fails, or what the chain says.
    pub fn execute(&self, chain: &mut dyn Chain, proposal: &Proposal) -> Result<Done, Error> {
        let (targets, values, calldatas) = proposal.parts();
        let hash = proposal.description_hash();
        let call = AssayGovernor::executeCall { targets, values, calldatas, descriptionHash: hash };
        Ok((&self.0.send(chain, &call)?).into())
    }

    /// How a vote stands.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if there is no such proposal, or what the chain says.
    pub fn tally(&self, chain: &mut dyn Chain, id: U256) -> Result<Tally, Error> {
        let state = State::of(self.0.ask(chain, &AssayGovernor::stateCall { proposalId: id })?);
        let votes = self.0.ask(chain, &AssayGovernor::proposalVotesCall { proposalId: id })?;
        Ok(Tally {
            state,
            starts: self.0.ask(chain, &AssayGovernor::proposalSnapshotCall { proposalId: id })?,
            ends: self.0.ask(chain, &AssayGovernor::proposalDeadlineCall { proposalId: id })?,
            executable: self.0.ask(chain, &AssayGovernor::proposalEtaCall { proposalId: id })?,
            in_favour: votes.forVotes,
            against: votes.againstVotes,
            abstain: votes.abstainVotes,
        })
    }
}
