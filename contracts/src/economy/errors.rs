//! What the errors of the economy's contracts mean, each as one sentence.

use super::{
    abi::{Economy, EconomyError},
    amount,
};
use alloy_primitives::U256;
use std::fmt;

/// The fields of a job's specification, in the order that `BadSpec` numbers them, with what each must be.
const FIELDS: [&str; 10] = [
    "the verifier: it has no public input or output",
    "the offer",
    "the input commitment: zero",
    "the lowest price: zero, or above the highest",
    "the highest price: too large",
    "the start of the price's rise",
    "the end of the price's rise: before its start",
    "the deadline: over already, or more than 90 days away",
    "the lease: shorter than a minute or longer than 7 days",
    "the bond: less than a twentieth of the highest price, or more than all of it",
];

/// The fields of a task's specification, as [`FIELDS`].
const TASK_FIELDS: [&str; 19] = [
    "the verifier of training: it does not show three stacks, factor and start of the walk, and losses",
    "the verifier of evaluation: it does not show three stacks and two losses",
    "the head: zero",
    "the held-out data: no root of shards",
    "the shards: none",
    "the datasets",
    "eta, the step in which gains are paid: zero",
    "the most steps that a round pays: none",
    "the pay of a step: too large",
    "the lowest price: zero, or above the highest",
    "the highest price: too large",
    "the start of the price's rise",
    "the end of the price's rise: before its start",
    "the deadline: over already, or more than 90 days away",
    "the lease: shorter than a minute or longer than 7 days",
    "the bond: less than a twentieth of the highest price, or more than all of it",
    "the time to reveal: shorter than a minute or longer than 7 days",
    "the time to evaluate: shorter than a minute or longer than 7 days",
    "the escrow: less than one round can cost",
];

/// What a round of training is in, as the contract numbers it.
fn phase(number: u8) -> &'static str {
    match number {
        0 => "no round",
        1 => "a round that was leased",
        2 => "a round with its seed",
        3 => "a round whose training was proven",
        4 => "a round whose shard was revealed",
        _ => "an unknown phase",
    }
}

/// [`sentence`] of an error of the market for training, where some say `job` and mean a task.
pub(crate) fn task_sentence(e: &EconomyError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use Economy::EconomyErrors as E;
    match e {
        E::BadSpec(e) => {
            let field = usize::try_from(e.field).ok().and_then(|i| TASK_FIELDS.get(i)).copied().unwrap_or("a field");
            write!(f, "BadSpec({}): wrong in the task is {field}", e.field)
        }
        E::VerifierEnded(e) => write!(
            f,
            "VerifierEnded({}): this verifier pays for no more proofs; rounds with it are void and the task can be refunded",
            e.verifierId
        ),
        E::NotOpen(e) => write!(f, "NotOpen({}): there is no such task, or it is closed", e.jobId),
        E::BondTooHigh(e) => write!(
            f,
            "BondTooHigh({}, {}): task {0} asks for a bond of {}, more than was allowed",
            e.jobId,
            e.bond,
            amount::tokens(U256::from(e.bond))
        ),
        E::LeaseTooShort(e) => write!(
            f,
            "LeaseTooShort({}, {}): a lease of task {0} would end at {1}, before what was asked for",
            e.jobId, e.until
        ),
        E::DeadlineOver(e) => write!(f, "DeadlineOver({}): the deadline of task {0} is over", e.jobId),
        E::TooEarly(e) => {
            write!(f, "TooEarly({}): before the deadline of task {0} only its sponsor can ask for a refund", e.jobId)
        }
        E::EnforcedPause(_) => f.write_str(
            "EnforcedPause(): opening tasks and leasing are paused; proofs, refunds and withdrawals are not",
        ),
        other => sentence(other, f),
    }
}

/// An error as it is declared, and what it means.
pub(crate) fn sentence(e: &EconomyError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use Economy::EconomyErrors as E;
    match e {
        E::BadSpec(e) => {
            let field = usize::try_from(e.field).ok().and_then(|i| FIELDS.get(i)).copied().unwrap_or("a field");
            write!(f, "BadSpec({}): wrong in the job is {field}", e.field)
        }
        E::VerifierEnded(e) => {
            write!(
                f,
                "VerifierEnded({}): this verifier pays for no more proofs; its open jobs can be refunded",
                e.verifierId
            )
        }
        E::WrongOffer(_) => {
            f.write_str("WrongOffer(): the offer is for another model, or jobs of a batch have different offers")
        }
        E::NotOpen(e) => write!(f, "NotOpen({}): there is no such job, or it is fulfilled or closed", e.jobId),
        E::LeaseLive(e) => {
            write!(f, "LeaseLive({}, {}): a worker has a lease on job {0} until that time", e.jobId, e.until)
        }
        E::BondTooHigh(e) => write!(
            f,
            "BondTooHigh({}, {}): job {0} asks for a bond of {}, more than was allowed",
            e.jobId,
            e.bond,
            amount::tokens(U256::from(e.bond))
        ),
        E::LeaseTooShort(e) => write!(
            f,
            "LeaseTooShort({}, {}): a lease of job {0} would end at {1}, before what was asked for",
            e.jobId, e.until
        ),
        E::WrongLength(_) => f.write_str("WrongLength(): each job needs one highest bond"),
        E::DeadlineOver(e) => write!(f, "DeadlineOver({}): the deadline of job {0} is over", e.jobId),
        E::TooEarly(e) => {
            write!(f, "TooEarly({}): before the deadline of job {0} only its requester can ask for a refund", e.jobId)
        }
        E::NothingLeft(e) => write!(f, "NothingLeft({}): nothing of job {0} is left for its requester", e.jobId),
        E::WrongPayout(e) => {
            write!(f, "WrongPayout({}, {}): job {0} is leased, and pays {1} and nobody else", e.jobId, e.expected)
        }
        E::WrongBatch(e) => write!(f, "WrongBatch({}): a proof of this verifier is for {0} jobs", e.expected),
        E::WrongVerifier(e) => write!(f, "WrongVerifier({}): job {0} is for another verifier", e.jobId),
        E::WrongInput(e) => write!(f, "WrongInput({}): the input and its salt are not those of job {0}", e.jobId),
        E::BadOrder(_) => f.write_str("BadOrder(): ids must rise strictly, with zeros only at the end"),
        E::OddToken(_) => f.write_str("OddToken(): the token moved another amount than it was asked to"),
        E::BadPayout(_) => f.write_str("BadPayout(): nobody could withdraw from this account"),
        E::TooHigh(e) => write!(f, "TooHigh({}): that is the highest allowed", e.highest),
        E::NotLive(e) => write!(f, "NotLive({}): task {0} has no round now", e.taskId),
        E::RoundLive(e) => write!(f, "RoundLive({}, {}): task {0} has a round until {1}", e.taskId, e.until),
        E::WrongPhase(e) => write!(
            f,
            "WrongPhase({}, {}, {}): this takes {}, and task {0} has {}",
            e.taskId,
            e.expected,
            e.got,
            phase(e.expected),
            phase(e.got)
        ),
        E::PhaseOver(e) => {
            write!(f, "PhaseOver({}, {}): the time for this step of task {0} is over", e.taskId, e.until)
        }
        E::StaleHead(e) => {
            write!(f, "StaleHead({}, {}): the head of task {0} has moved to stack {1}", e.taskId, e.head)
        }
        E::NoShardLeft(e) => write!(f, "NoShardLeft({}): all shards of task {0} were used", e.taskId),
        E::Exhausted(e) => write!(
            f,
            "Exhausted({}, {}): the escrow of task {0} lacks {} for another round",
            e.taskId,
            e.missing,
            amount::tokens(e.missing)
        ),
        E::DatasetRetired(e) => write!(f, "DatasetRetired({}): this dataset takes no new lease", e.datasetId),
        E::DatasetNotAllowed(e) => {
            write!(
                f,
                "DatasetNotAllowed({}): the task does not take this dataset, or the path is another's",
                e.datasetId
            )
        }
        E::SeedNotReady(e) => {
            write!(
                f,
                "SeedNotReady({}, {}): the seed of task {0} comes from block {1}, which must be over",
                e.taskId, e.pinned
            )
        }
        E::SeedLost(e) => write!(
            f,
            "SeedLost({}, {}): the seed of task {0} comes from block {1}, more than 256 blocks ago, and is lost",
            e.taskId, e.pinned
        ),
        E::WrongLosses(e) => {
            write!(f, "WrongLosses({}, {}): the proof shows losses in {0} bytes, and {1} were sent", e.expected, e.got)
        }
        E::WrongShard(e) => write!(
            f,
            "WrongShard({}, {}): that is not shard {1} of the held-out data that task {0} was opened with",
            e.taskId, e.expected
        ),
        E::ShardUsed(e) => write!(f, "ShardUsed({}, {}): task {0} has shown stack {1} before", e.taskId, e.stackId),
        E::BadLoss(_) => f.write_str("BadLoss(): a loss is negative"),
        E::UnknownDataset(e) => write!(f, "UnknownDataset({}): there is no such dataset", e.datasetId),
        E::AlreadyRegistered(e) => write!(f, "AlreadyRegistered({}): this dataset has its entry", e.datasetId),
        E::AlreadyRetired(e) => write!(f, "AlreadyRetired({}): it was retired before", e.datasetId),
        E::NotOwner(e) => write!(f, "NotOwner({}): only this account may do that", e.owner),
        E::NoLicence(_) => f.write_str("NoLicence(): a dataset needs the hash of a licence"),
        E::BadSchema(e) => {
            write!(
                f,
                "BadSchema({}): the schema is wrong from this byte on, or its tensors differ in their examples",
                e.from
            )
        }
        E::WrongRows(e) => {
            write!(
                f,
                "WrongRows({}, {}): the schema takes commitments of {0} bytes, and {1} were sent",
                e.expected, e.got
            )
        }
        E::AlreadyAdded(e) => write!(f, "AlreadyAdded({}): the verifier has its entry", e.verifierId),
        E::UnknownVerifier(e) => {
            write!(f, "UnknownVerifier({}): there is no such verifier, or it has ended", e.verifierId)
        }
        E::NoKey(e) => write!(
            f,
            "NoKey({}, {}): register the settlement key with the verifier contract first",
            e.verifier, e.settlementId
        ),
        E::PublicTensors(_) => f.write_str(
            "PublicTensors(): the key must show one input and one output for each inference of its batch; the input \
             may be ids of given stacks, and with them another public tensor for a batch of one",
        ),
        E::OtherWeights(e) => write!(
            f,
            "OtherWeights({}, {}, {}): an entry of this model pins the weights {}; give a model of other weights another id",
            e.modelId, e.expected, e.got, e.expected
        ),
        E::BadEntry(_) => f.write_str("BadEntry(): batch, work or model id is zero"),
        E::SetupEnded(e) => {
            write!(f, "SetupEnded({}, {}): this verifier was stopped for these powers of tau", e.verifier, e.srsHash)
        }
        E::BadCanary(_) => f.write_str("BadCanary(): the key is not that of the canary graph"),
        E::CanaryExists(_) => f.write_str("CanaryExists(): this verifier has its canary"),
        E::NoCanary(_) => f.write_str("NoCanary(): this verifier has no canary"),
        E::NotImpossible(_) => f.write_str("NotImpossible(): the impossible was not proven"),
        E::TooLarge(e) => write!(
            f,
            "TooLarge({}, {}): a settlement could take so many bytes and so much gas; a transaction holds 131072 bytes and \
             16777216 gas, so nobody could be paid",
            e.bytes_, e.gas
        ),
        E::UnknownOffer(e) => write!(f, "UnknownOffer({}): there is no such offer", e.offerId),
        E::AlreadyOffered(e) => write!(f, "AlreadyOffered({}): this offer was made already", e.offerId),
        E::BadRoyalty(_) => {
            f.write_str("BadRoyalty(): royalties take at most half of the price, and a part for data needs a recipient")
        }
        E::OnlyMarket(_) => f.write_str("OnlyMarket(): only a market of the system may do that"),
        E::EpochNotOver(e) => write!(f, "EpochNotOver({}): rewards are paid when the epoch is over", e.epoch),
        E::PublicBudget(e) => {
            write!(
                f,
                "PublicBudget({}, {}): the public pool of epoch {0} has {} left",
                e.epoch,
                e.left,
                amount::tokens(e.left)
            )
        }
        E::BadParameter(e) => write!(f, "BadParameter({}): argument {0} of the deployment is not allowed", e.index),
        E::OnlyMinter(_) => f.write_str("OnlyMinter(): only the emission controller makes tokens"),
        E::ZeroMinter(_) => f.write_str("ZeroMinter(): the token needs a minter"),
        E::ERC20InsufficientBalance(e) => write!(
            f,
            "ERC20InsufficientBalance: {} has {} and needs {}",
            e.sender,
            amount::tokens(e.balance),
            amount::tokens(e.needed)
        ),
        E::ERC20InsufficientAllowance(e) => write!(
            f,
            "ERC20InsufficientAllowance: {} may take {} and needs {}; approve more",
            e.spender,
            amount::tokens(e.allowance),
            amount::tokens(e.needed)
        ),
        E::ERC20InvalidReceiver(e) => write!(f, "ERC20InvalidReceiver({}): tokens cannot go there", e.receiver),
        E::ERC20ExceededCap(e) => {
            write!(
                f,
                "ERC20ExceededCap: the supply would be {}, and is at most {}",
                amount::tokens(e.increasedSupply),
                amount::tokens(e.cap)
            )
        }
        E::SafeERC20FailedOperation(e) => write!(f, "SafeERC20FailedOperation({}): the token refused", e.token),
        E::EnforcedPause(_) => {
            f.write_str("EnforcedPause(): posting and leasing are paused; fulfilling, refunds and withdrawals are not")
        }
        E::ExpectedPause(_) => f.write_str("ExpectedPause(): nothing is paused"),
        E::GovernorInsufficientProposerVotes(e) => write!(
            f,
            "GovernorInsufficientProposerVotes: {} has {} votes, and a proposal takes {}",
            e.proposer,
            amount::tokens(e.votes),
            amount::tokens(e.threshold)
        ),
        E::GovernorUnexpectedProposalState(e) => write!(
            f,
            "GovernorUnexpectedProposalState: proposal {} is {}",
            e.proposalId,
            super::governor::State::of(e.current).as_str()
        ),
        E::GovernorNonexistentProposal(e) => {
            write!(f, "GovernorNonexistentProposal: there is no proposal {}", e.proposalId)
        }
        E::GovernorAlreadyCastVote(e) => write!(f, "GovernorAlreadyCastVote: {} has voted", e.voter),
        E::TimelockUnexpectedOperationState(_) => {
            f.write_str("TimelockUnexpectedOperationState: the timelock's delay is not over")
        }
        E::ReentrancyGuardReentrantCall(_) => f.write_str("ReentrancyGuardReentrantCall()"),
        E::SafeCastOverflowedUintDowncast(e) => {
            write!(f, "SafeCastOverflowedUintDowncast({}, {}): the amount is too large", e.bits, e.value)
        }
        E::AccessManagedUnauthorized(e) => {
            write!(f, "AccessManagedUnauthorized({}): this account has no right to do that; a vote can", e.caller)
        }
        E::AccessManagedRequiredDelay(e) => write!(
            f,
            "AccessManagedRequiredDelay({}, {}): this account must schedule that {} seconds before",
            e.caller, e.delay, e.delay
        ),
        E::AccessManagerUnauthorizedAccount(e) => {
            write!(f, "AccessManagerUnauthorizedAccount({}, {}): it lacks this role", e.msgsender, e.roleId)
        }
        E::AccessManagerUnauthorizedCall(e) => {
            write!(
                f,
                "AccessManagerUnauthorizedCall({}, {}, {}): it has no right to do that",
                e.caller, e.target, e.selector
            )
        }
        E::AccessManagerNotReady(e) => write!(f, "AccessManagerNotReady({}): its delay is not over", e.operationId),
        E::AccessManagerNotScheduled(e) => write!(f, "AccessManagerNotScheduled({}): schedule it first", e.operationId),
    }
}
