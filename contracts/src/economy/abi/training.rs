//! The interfaces of datasets and of training, as `contracts/sol/economy` declares them.

pub use generated::{DatasetRegistry, TrainingMarket};

// The macro writes items without documentation.
#[allow(missing_docs, clippy::too_many_arguments)]
mod generated {
    alloy_sol_types::sol! {
        #[derive(Debug, PartialEq, Eq)]
        contract DatasetRegistry {
            struct Dataset {
                address owner;
                uint16 royaltyBps;
                uint40 since;
                uint40 retired;
                address recipient;
                uint32 examples;
                uint64 values;
                bytes32 stackId;
                bytes32 licenceHash;
            }

            struct Terms {
                bytes32 licenceHash;
                uint16 royaltyBps;
                address recipient;
            }

            event Registered(
                bytes32 indexed datasetId, bytes32 indexed stackId, address indexed owner, Terms terms, bytes schema,
                string uri
            );
            event Retired(bytes32 indexed datasetId);

            function register(bytes schema, bytes32 srsHash, bytes rows, Terms terms, string uri)
                returns (bytes32 datasetId);
            function retire(bytes32 datasetId);
            function get(bytes32 datasetId) view returns (Dataset);
            function count() view returns (uint256);
            function idAt(uint256 index) view returns (bytes32);
        }

        #[derive(Debug, PartialEq, Eq)]
        contract TrainingMarket {
            constructor(
                address manager, address token, address verifiers, address datasets, address emission, address treasury,
                uint16 protocolBps, uint256 feePerBillionUnits
            );

            enum Status { None, Open, Closed }
            enum Phase { None, Leased, Seeded, Trained, Revealed }

            struct Spec {
                bytes32 trainId;
                bytes32 evaluateId;
                bytes32 head;
                bytes32 holdout;
                uint32 shards;
                bytes32 datasets;
                uint64 eta;
                uint32 maxSteps;
                uint128 ratePerStep;
                uint128 minPrice;
                uint128 maxPrice;
                uint40 rampStart;
                uint40 rampEnd;
                uint40 deadline;
                uint32 leaseSeconds;
                uint128 bond;
                uint32 revealSeconds;
                uint32 evaluateSeconds;
                uint128 escrow;
            }

            // The contract's `Task` ends with these. What is static is encoded in place, so the words are the same, and the
            // macro takes at most 24 fields.
            struct Ids {
                bytes32 head;
                bytes32 trainId;
                bytes32 evaluateId;
                bytes32 holdout;
                bytes32 datasets;
            }

            struct Task {
                Status status;
                Phase phase;
                uint16 protocolBps;
                uint32 heads;
                uint32 rounds;
                uint32 used;
                uint88 trainFee;
                uint40 restart;
                uint96 escrow;
                uint96 rescue;
                uint40 deadline;
                uint24 revealSeconds;
                uint96 ratePerStep;
                uint32 maxSteps;
                uint64 eta;
                uint32 shards;
                uint32 evaluateSeconds;
                address sponsor;
                uint88 evaluateFee;
                uint96 bond;
                uint32 leaseSeconds;
                Ids ids;
            }

            struct Round {
                address payout;
                uint40 until;
                uint16 royaltyBps;
                uint32 shard;
                address recipient;
                uint96 price;
                uint96 reserved;
                uint96 bond;
                uint40 pinned;
                uint32 examples;
                bytes32 dataset;
                bytes32 seed;
                bytes32 trained;
                bytes32 revealed;
            }

            event Opened(
                uint256 indexed taskId, address indexed sponsor, bytes32 indexed head, Spec spec, string uri
            );
            event RoundLeased(
                uint256 indexed taskId, uint32 indexed round, address indexed payout, bytes32 head, bytes32 datasetId,
                uint128 price, uint40 until, uint40 pinned
            );
            event Seeded(uint256 indexed taskId, uint32 indexed round, bytes32 seed);
            event Trained(
                uint256 indexed taskId, uint32 indexed round, address indexed payout, bytes32 trained, uint32 shard,
                uint128 toWorker, bytes losses, string uri
            );
            event Revealed(uint256 indexed taskId, uint32 indexed round, uint32 shard, bytes32 stackId, string uri);
            event Evaluated(
                uint256 indexed taskId, uint32 indexed round, address indexed payout, uint64 before, uint64 later,
                uint128 gain, bytes32 head
            );
            event RoundLost(
                uint256 indexed taskId, uint32 indexed round, address indexed payout, uint128 burned, uint128 kept
            );
            event NotRevealed(uint256 indexed taskId, uint32 indexed round, address indexed payout, uint128 gain);
            event NotEvaluated(uint256 indexed taskId, uint32 indexed round, address indexed payout);
            event RoundVoid(uint256 indexed taskId, uint32 indexed round, address indexed payout);
            event TaskRefunded(uint256 indexed taskId, address indexed sponsor, uint256 amount);
            event Withdrawn(address indexed account, uint256 amount);
            event FeesBurned(uint256 amount);

            function open(Spec spec, string uri) returns (uint256 taskId);
            function lease(
                uint256 taskId, bytes32 head, bytes32 datasetId, bytes32[] allowed, address payout, uint128 maxBond,
                uint40 minUntil
            );
            function pinSeed(uint256 taskId);
            function submitTrain(uint256 taskId, bytes32 trained, bytes losses, bytes proof, string uri);
            function reveal(uint256 taskId, bytes32 stackId, bytes32 salt, bytes32[] path, string uri);
            function settleEval(uint256 taskId, uint64 before, uint64 later, bytes proof);
            function finish(uint256 taskId);
            function refund(uint256 taskId);
            function withdraw(address account) returns (uint256 amount);
            function burnFees() returns (uint256 amount);
            function contextOf(uint256 taskId) view returns (bytes32);
            function walkOf(uint256 taskId) view returns (uint64 factor, uint64 start);
            function currentPrice(uint256 taskId) view returns (uint128);
            function task(uint256 taskId) view returns (Task);
            function round(uint256 taskId) view returns (Round);
            function tasks() view returns (uint256);
            function claimable(address account) view returns (uint256);
            function unburned() view returns (uint256);
            function workFee(bytes32 verifierId) view returns (uint128);
            function pause();
            function unpause();
            function paused() view returns (bool);
            function setProtocolBps(uint16 bps);
            function setFeeRate(uint256 perBillionUnits);
            function token() view returns (address);
            function verifiers() view returns (address);
            function datasets() view returns (address);
            function emission() view returns (address);
            function treasury() view returns (address);
            function authority() view returns (address);
        }
    }
}
