//! The interfaces of the token economy, as `contracts/sol/economy` declares them. What their errors mean is in
//! `errors.rs`.

mod training;

pub use training::{DatasetRegistry, TrainingMarket};

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
            event BondReturned(uint256 indexed jobId, address indexed payout, uint128 amount);
            event Fulfilled(uint256 indexed jobId, address indexed payout, uint128 price, uint128 toWorker, bytes output);
            event Refunded(uint256 indexed jobId, address indexed requester, uint256 amount);
            event Withdrawn(address indexed account, uint256 amount);
            event FeesBurned(uint256 amount);

            function post(Spec spec, bytes32 salt, bytes input) returns (uint256 jobId);
            function lease(uint256[] jobIds, address payout, uint128[] maxBonds, uint40 minUntil);
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
            function unpause();
            function paused() view returns (bool);
            function setProtocolBps(uint16 bps);
            function setFeeRate(uint256 perBillionUnits);
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
            event CanarySet(address indexed verifier, bytes32 indexed srsHash, bytes32 settlementId);

            function add(address verifier, bytes32 settlementId, bytes32 modelId, uint32 batch, uint64 workUnits)
                returns (bytes32 verifierId);
            function tombstone(bytes32 verifierId);
            function setCanary(address verifier, bytes32 settlementId);
            function canaryOf(address verifier, bytes32 srsHash) view returns (bytes32 settlementId, bool stopped);
            function isActive(bytes32 verifierId) view returns (bool);
            function settlement(bytes32 verifierId) view returns (uint256 bytes_, uint256 gas);
            function givenStacks(bytes32 verifierId) view returns (uint256);
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
            constructor(address manager, address token, address market, address training, uint256 kappaBps, Schedule schedule);

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
            function training() view returns (address);
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
            function delegate(address delegatee);
            function delegates(address account) view returns (address);
            function getVotes(address account) view returns (uint256);
        }

        #[derive(Debug, PartialEq, Eq)]
        contract AccessManager {
            constructor(address initialAdmin);

            event RoleGranted(
                uint64 indexed roleId, address indexed account, uint32 delay, uint48 since, bool newMember
            );

            function setTargetFunctionRole(address target, bytes4[] selectors, uint64 roleId);
            function setTargetAdminDelay(address target, uint32 newDelay);
            function labelRole(uint64 roleId, string label);
            function setRoleGuardian(uint64 roleId, uint64 guardian);
            function grantRole(uint64 roleId, address account, uint32 executionDelay);
            function renounceRole(uint64 roleId, address callerConfirmation);
            function hasRole(uint64 roleId, address account) view returns (bool isMember, uint32 executionDelay);
            function getAccess(uint64 roleId, address account) view
                returns (uint48 since, uint32 currentDelay, uint32 pendingDelay, uint48 effect);
            function schedule(address target, bytes data, uint48 when) returns (bytes32 operationId, uint32 nonce);
            function execute(address target, bytes data) returns (uint32);
            function getTargetFunctionRole(address target, bytes4 selector) view returns (uint64);
            function getRoleAdmin(uint64 roleId) view returns (uint64);
            function getRoleGuardian(uint64 roleId) view returns (uint64);
            function isTargetClosed(address target) view returns (bool);
        }

        #[derive(Debug, PartialEq, Eq)]
        contract TimelockController {
            constructor(uint256 minDelay, address[] proposers, address[] executors, address admin);

            event RoleGranted(bytes32 indexed role, address indexed account, address indexed sender);

            function hasRole(bytes32 role, address account) view returns (bool);
            function getMinDelay() view returns (uint256);
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
            function hashProposal(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash)
                view returns (uint256 proposalId);
            function castVote(uint256 proposalId, uint8 support) returns (uint256 weight);
            function queue(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash)
                returns (uint256 proposalId);
            function execute(address[] targets, uint256[] values, bytes[] calldatas, bytes32 descriptionHash)
                payable returns (uint256 proposalId);
            function state(uint256 proposalId) view returns (uint8);
            function proposalSnapshot(uint256 proposalId) view returns (uint256);
            function proposalDeadline(uint256 proposalId) view returns (uint256);
            function proposalEta(uint256 proposalId) view returns (uint256);
            function proposalVotes(uint256 proposalId)
                view returns (uint256 againstVotes, uint256 forVotes, uint256 abstainVotes);
            function quorum(uint256 timepoint) view returns (uint256);
            function proposalThreshold() view returns (uint256);

            event ProposalCreated(
                uint256 proposalId, address proposer, address[] targets, uint256[] values, string[] signatures,
                bytes[] calldatas, uint256 voteStart, uint256 voteEnd, string description
            );

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
            error BondTooHigh(uint256 jobId, uint128 bond);
            error LeaseTooShort(uint256 jobId, uint40 until);
            error WrongLength();
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

            error NotLive(uint256 taskId);
            error RoundLive(uint256 taskId, uint40 until);
            error WrongPhase(uint256 taskId, uint8 expected, uint8 got);
            error PhaseOver(uint256 taskId, uint40 until);
            error StaleHead(uint256 taskId, bytes32 head);
            error NoShardLeft(uint256 taskId);
            error Exhausted(uint256 taskId, uint256 missing);
            error DatasetRetired(bytes32 datasetId);
            error DatasetNotAllowed(bytes32 datasetId);
            error SeedNotReady(uint256 taskId, uint40 pinned);
            error SeedLost(uint256 taskId, uint40 pinned);
            error WrongLosses(uint256 expected, uint256 got);
            error WrongShard(uint256 taskId, uint32 expected);
            error ShardUsed(uint256 taskId, bytes32 stackId);
            error BadLoss();

            error UnknownDataset(bytes32 datasetId);
            error AlreadyRegistered(bytes32 datasetId);
            error AlreadyRetired(bytes32 datasetId);
            error NotOwner(address owner);
            error NoLicence();
            error BadSchema(uint256 from);
            error WrongRows(uint256 expected, uint256 got);

            error AlreadyAdded(bytes32 verifierId);
            error UnknownVerifier(bytes32 verifierId);
            error NoKey(address verifier, bytes32 settlementId);
            error PublicTensors();
            error OtherWeights(bytes32 modelId, bytes32 expected, bytes32 got);
            error BadEntry();
            error SetupEnded(address verifier, bytes32 srsHash);
            error BadCanary();
            error CanaryExists();
            error NoCanary();
            error NotImpossible();
            error TooLarge(uint256 bytes_, uint256 gas);

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

            error ExpectedPause();
            error GovernorInsufficientProposerVotes(address proposer, uint256 votes, uint256 threshold);
            error GovernorUnexpectedProposalState(uint256 proposalId, uint8 current, bytes32 expectedStates);
            error GovernorNonexistentProposal(uint256 proposalId);
            error GovernorAlreadyCastVote(address voter);
            error TimelockUnexpectedOperationState(bytes32 operationId, bytes32 expectedStates);

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
