//! The interfaces of the token economy, as `contracts/sol/economy` declares them, and what their errors say.

use super::amount;
use std::fmt;

pub use generated::{
    AccessManager, AssayGovernor, AssayToken, Economy, EmissionController, JobMarket, ModelRegistry,
    TimelockController, VerifierRegistry,
};

// The macro writes items without documentation.
#[allow(missing_docs, clippy::too_many_arguments)]
mod generated {
    alloy_sol_types::sol! {
        #[derive(Debug, PartialEq, Eq)]
        contract JobMarket {
            constructor(
                address manager, address token, address verifiers, address models, address emission, address treasury,
                uint16 protocolBps, uint256 feePerBillionUnits
            );

            enum Status { None, Open, Fulfilled, Closed }

            struct Spec {
                bytes32 verifierId;
                bytes32 offerId;
                bytes32 inputCommitment;
                uint128 minPrice;
                uint128 maxPrice;
                uint40 rampStart;
                uint40 rampEnd;
                uint40 deadline;
                uint32 leaseSeconds;
                uint128 bond;
            }

            struct Job {
                address requester;
                Status status;
                uint40 rampStart;
                uint40 rampEnd;
                address payout;
                uint40 leaseEnd;
                uint40 deadline;
                uint32 leaseSeconds;
                uint128 minPrice;
                uint128 maxPrice;
                uint128 price;
                uint128 bond;
                uint128 held;
                uint128 rescue;
                uint128 workFee;
                uint16 protocolBps;
                uint8 kind;
                bytes32 verifierId;
                bytes32 offerId;
                bytes32 inputCommitment;
            }

            event Posted(
                uint256 indexed jobId, address indexed requester, bytes32 indexed verifierId, Spec spec, uint128 workFee,
                bytes32 salt, bytes input
            );
            event Leased(uint256 indexed jobId, address indexed payout, uint128 price, uint40 until);
            event LeaseLost(uint256 indexed jobId, address indexed payout, uint128 burned, uint128 toRescuer);
            event Fulfilled(uint256 indexed jobId, address indexed payout, uint128 price, uint128 toWorker, bytes output);
            event Refunded(uint256 indexed jobId, address indexed requester, uint256 amount);
            event Withdrawn(address indexed account, uint256 amount);
            event FeesBurned(uint256 amount);

            function post(Spec spec, bytes32 salt, bytes input) returns (uint256 jobId);
            function lease(uint256[] jobIds, address payout);
            function fulfil(uint256[] jobIds, bytes32[] salts, address payout, bytes publicValues, bytes proof);
            function refund(uint256[] jobIds);
            function withdraw(address account) returns (uint256 amount);
            function collectRoyalties(bytes32 offerId);
            function burnFees() returns (uint256 amount);
            function contextJob(uint256[] jobIds) pure returns (bytes32);
            function currentPrice(uint256 jobId) view returns (uint128);
            function job(uint256 jobId) view returns (Job);
            function jobs() view returns (uint256);
            function claimable(address account) view returns (uint256);
            function royalties(bytes32 offerId) view returns (uint128 owner, uint128 data);
            function unburned() view returns (uint256);
            function workFee(bytes32 verifierId) view returns (uint128);
            function rates() view returns (uint16 protocolBps, uint256 feePerBillionUnits);
            function pause();
            function token() view returns (address);
            function verifiers() view returns (address);
            function models() view returns (address);
            function emission() view returns (address);
            function treasury() view returns (address);
            function authority() view returns (address);
        }

        #[derive(Debug, PartialEq, Eq)]
        contract VerifierRegistry {
            constructor(address manager);

            struct Entry {
                address verifier;
                uint32 batch;
                uint32 inputValues;
                uint32 outputValues;
                bytes32 settlementId;
                bytes32 modelId;
                bytes32 srsHash;
                bytes32 codeHash;
                bytes32 weightCommitment;
                uint64 workUnits;
                uint64 addedAt;
            }

            event Added(
                bytes32 indexed verifierId, bytes32 indexed modelId, address indexed verifier, bytes32 settlementId,
                uint64 workUnits
            );
            event Tombstoned(bytes32 indexed verifierId);

            function add(address verifier, bytes32 settlementId, bytes32 modelId, uint32 batch, uint64 workUnits)
                returns (bytes32 verifierId);
            function tombstone(bytes32 verifierId);
            function setCanary(address verifier, bytes32 settlementId);
            function isActive(bytes32 verifierId) view returns (bool);
            function entry(bytes32 verifierId) view returns (Entry);
            function count() view returns (uint256);
            function idAt(uint256 index) view returns (bytes32);
            function authority() view returns (address);
        }

        #[derive(Debug, PartialEq, Eq)]
        contract ModelRegistry {
            constructor(address verifiers);

            struct Offer {
                address owner;
                uint16 royaltyBps;
                uint16 dataBps;
                uint48 since;
                address dataRecipient;
                bytes32 modelId;
                bytes32 weightCommitment;
            }

            event Offered(
                bytes32 indexed offerId, bytes32 indexed modelId, address indexed owner, uint16 royaltyBps,
                address dataRecipient, uint16 dataBps, string uri
            );

            function offer(bytes32 verifierId, uint16 royaltyBps, address dataRecipient, uint16 dataBps, string uri)
                returns (bytes32 offerId);
            function get(bytes32 offerId) view returns (Offer);
            function count() view returns (uint256);
            function idAt(uint256 index) view returns (bytes32);
            function verifiers() view returns (address);
        }

        #[derive(Debug, PartialEq, Eq)]
        contract EmissionController {
            constructor(address manager, address token, address market, uint256 kappaBps, Schedule schedule);

            struct Schedule {
                uint40 start;
                uint32 length;
                uint96 budget;
                uint96 publicBudget;
                uint64 decay;
            }

            struct Stats {
                uint256 fees;
                uint256 units;
                uint256 workers;
                uint256 sumOfSquares;
                uint256 largest;
                uint256 minted;
                uint256 released;
            }

            event Recorded(uint256 indexed epoch, address indexed worker, uint256 fee, uint256 units);
            event Rewarded(uint256 indexed epoch, address indexed worker, uint256 amount);
            event Released(uint256 indexed epoch, address indexed to, uint256 amount);

            function claim(address worker, uint256[] epochs) returns (uint256 amount);
            function reward(uint256 epoch, address worker) view returns (uint256);
            function releasePublic(address to, uint256 amount);
            function currentEpoch() view returns (uint256);
            function budget(uint256 epoch) view returns (uint256);
            function publicBudget(uint256 epoch) view returns (uint256);
            function feesOf(uint256 epoch, address worker) view returns (uint256);
            function stats(uint256 epoch) view returns (Stats);
            function token() view returns (address);
            function market() view returns (address);
            function epochStart() view returns (uint256);
            function epochLength() view returns (uint256);
            function authority() view returns (address);
        }

        #[derive(Debug, PartialEq, Eq)]
        contract AssayToken {
            constructor(address genesisHolder, uint256 genesisAmount, uint256 supplyCap, address minter);

            event Transfer(address indexed from, address indexed to, uint256 value);

            function balanceOf(address account) view returns (uint256);
            function totalSupply() view returns (uint256);
            function cap() view returns (uint256);
            function minter() view returns (address);
            function allowance(address owner, address spender) view returns (uint256);
            function approve(address spender, uint256 value) returns (bool);
            function transfer(address to, uint256 value) returns (bool);
        }

        #[derive(Debug, PartialEq, Eq)]
        contract AccessManager {
            constructor(address initialAdmin);

            function setTargetFunctionRole(address target, bytes4[] selectors, uint64 roleId);
            function setTargetAdminDelay(address target, uint32 newDelay);
            function labelRole(uint64 roleId, string label);
            function setRoleGuardian(uint64 roleId, uint64 guardian);
            function grantRole(uint64 roleId, address account, uint32 executionDelay);
            function renounceRole(uint64 roleId, address callerConfirmation);
            function hasRole(uint64 roleId, address account) view returns (bool isMember, uint32 executionDelay);
            function schedule(address target, bytes data, uint48 when) returns (bytes32 operationId, uint32 nonce);
            function execute(address target, bytes data) returns (uint32);
        }

        #[derive(Debug, PartialEq, Eq)]
        contract TimelockController {
            constructor(uint256 minDelay, address[] proposers, address[] executors, address admin);
        }

        #[derive(Debug, PartialEq, Eq)]
        contract AssayGovernor {
            constructor(address token, address timelock, Settings settings);

            struct Settings {
                uint48 votingDelay;
                uint32 votingPeriod;
                uint256 proposalThreshold;
                uint256 quorumPercent;
                uint48 lateExtension;
            }

            function propose(address[] targets, uint256[] values, bytes[] calldatas, string description)
                returns (uint256 proposalId);
            function token() view returns (address);
            function timelock() view returns (address);
        }

        /// The errors of all of these contracts.
        #[derive(Debug, PartialEq, Eq)]
        interface Economy {
            error BadSpec(uint256 field);
            error VerifierEnded(bytes32 verifierId);
            error WrongOffer();
            error NotOpen(uint256 jobId);
            error LeaseLive(uint256 jobId, uint40 until);
            error DeadlineOver(uint256 jobId);
            error TooEarly(uint256 jobId);
            error NothingLeft(uint256 jobId);
            error WrongPayout(uint256 jobId, address expected);
            error WrongBatch(uint256 expected);
            error WrongVerifier(uint256 jobId);
            error WrongInput(uint256 jobId);
            error BadOrder();
            error OddToken();
            error BadPayout();
            error TooHigh(uint256 highest);

            error AlreadyAdded(bytes32 verifierId);
            error UnknownVerifier(bytes32 verifierId);
            error NoKey(address verifier, bytes32 settlementId);
            error PublicTensors();
            error BadEntry();
            error SetupEnded(address verifier, bytes32 srsHash);
            error BadCanary();
            error CanaryExists();
            error NoCanary();
            error NotImpossible();

            error UnknownOffer(bytes32 offerId);
            error AlreadyOffered(bytes32 offerId);
            error BadRoyalty();

            error OnlyMarket();
            error EpochNotOver(uint256 epoch);
            error PublicBudget(uint256 epoch, uint256 left);
            error BadParameter(uint256 index);

            error OnlyMinter();
            error ZeroMinter();
            error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
            error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
            error ERC20InvalidReceiver(address receiver);
            error ERC20ExceededCap(uint256 increasedSupply, uint256 cap);
            error SafeERC20FailedOperation(address token);
            error EnforcedPause();
            error ReentrancyGuardReentrantCall();
            error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value);

            error AccessManagedUnauthorized(address caller);
            error AccessManagedRequiredDelay(address caller, uint32 delay);
            error AccessManagerUnauthorizedAccount(address msgsender, uint64 roleId);
            error AccessManagerUnauthorizedCall(address caller, address target, bytes4 selector);
            error AccessManagerNotReady(bytes32 operationId);
            error AccessManagerNotScheduled(bytes32 operationId);
        }
    }
}

/// An error of the economy's interfaces.
pub type EconomyError = Economy::EconomyErrors;

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
        E::AlreadyAdded(e) => write!(f, "AlreadyAdded({}): the verifier has its entry", e.verifierId),
        E::UnknownVerifier(e) => {
            write!(f, "UnknownVerifier({}): there is no such verifier, or it has ended", e.verifierId)
        }
        E::NoKey(e) => write!(
            f,
            "NoKey({}, {}): register the settlement key with the verifier contract first",
            e.verifier, e.settlementId
        ),
        E::PublicTensors(_) => {
            f.write_str("PublicTensors(): the key must show one input and one output of the model, for its batch")
        }
        E::BadEntry(_) => f.write_str("BadEntry(): batch, work or model id is zero"),
        E::SetupEnded(e) => {
            write!(f, "SetupEnded({}, {}): this verifier was stopped for these powers of tau", e.verifier, e.srsHash)
        }
        E::BadCanary(_) => f.write_str("BadCanary(): the key's last tensor is not one value in a range with 0 and 1"),
        E::CanaryExists(_) => f.write_str("CanaryExists(): this verifier has its canary"),
        E::NoCanary(_) => f.write_str("NoCanary(): this verifier has no canary"),
        E::NotImpossible(_) => f.write_str("NotImpossible(): the impossible was not proven"),
        E::UnknownOffer(e) => write!(f, "UnknownOffer({}): there is no such offer", e.offerId),
        E::AlreadyOffered(e) => write!(f, "AlreadyOffered({}): this offer was made already", e.offerId),
        E::BadRoyalty(_) => {
            f.write_str("BadRoyalty(): royalties take at most half of the price, and a part for data needs a recipient")
        }
        E::OnlyMarket(_) => f.write_str("OnlyMarket(): only the market may do that"),
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
