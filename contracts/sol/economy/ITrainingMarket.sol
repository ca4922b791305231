// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IMarket } from "./IMarket.sol";

/// @title Tasks: weights that are trained by whoever proves it, for what it gains on data that he has not seen.
/// @notice A task has a *head*, the id of the stack of weights that training goes on from. It advances in rounds, one at a time:
///
///   lease --pinSeed--> seeded --submitTrain--> trained --reveal--> revealed --settleEval--> the next round
///
///   1. `lease` names head, dataset and payout address, locks the price, takes a bond, and sets aside the most that the round can
///      pay.
///   2. `pinSeed` takes the seed from the hash of a block after the lease: it depends on head, dataset and payout, and nobody chose it.
///   3. `submitTrain` proves that the new weights are what the task's steps make of the head on rows of the dataset that the seed chose.
///      The price is paid.
///   4. `reveal` opens the next sealed shard of the sponsor's held-out data, for which the trained weights are fixed by now.
///   5. `settleEval` proves the loss of both stacks of weights on it, before and after. What the loss fell by is paid in whole steps
///      of `eta`, and if it fell by one, the head is the new stack.
///
/// Whoever lets his time pass pays: the worker half of his bond to whoever comes next, half burned; the sponsor the most that the
/// round could have gained. Gains follow from one head to the next, so data that was trained on already gains nothing new, and
/// one contributor gains under many names what he gains under one.
///
/// Public values of the proofs, as bytes: the ids of the named stacks in 32 bytes each, then integers in 8 bytes, big-endian:
///   training    head | trained | dataset | factor | start | losses of the steps
///   evaluation  head | trained | shard | loss of head | loss of trained
/// `factor` and `start` are the walk through the dataset's examples that the seed gives (`Sampler`).
interface ITrainingMarket is IMarket {
    enum Status {
        None,
        Open,
        Closed
    }

    /// @notice Where the present round is; `None`: there is none.
    enum Phase {
        None,
        Leased,
        Seeded,
        Trained,
        Revealed
    }

    /// @notice What a sponsor asks for.
    struct Spec {
        /// Verifiers of training, with three stacks and two values before the losses, and of evaluation, with three stacks and two
        /// losses: each stack's id counts as four values of the input (`IVerifierRegistry`).
        bytes32 trainId;
        bytes32 evaluateId;
        /// Stack of the weights to begin with.
        bytes32 head;
        /// Merkle root over the sealed shards: leaf i is keccak256(keccak256(abi.encode(i, stackId, salt))), behind the last one zeros up
        /// to a power of two; the bits of i say on which side of each node it is, so that no number has two leaves.
        bytes32 holdout;
        uint32 shards;
        /// Merkle root over the datasets that may be leased: leaves keccak256(keccak256(abi.encode(datasetId))). 0: any.
        bytes32 datasets;
        /// The least fall of the loss that is paid, and the step in which it is: in the units of the evaluation's output.
        uint64 eta;
        /// The most steps of `eta` that a round pays, and the pay of each.
        uint32 maxSteps;
        uint128 ratePerStep;
        /// The price of a round's proof of training rises from `minPrice` at `rampStart` to `maxPrice` at `rampEnd`, and begins anew
        /// after each that was paid. Both times move on by the length of each lease.
        uint128 minPrice;
        uint128 maxPrice;
        uint40 rampStart;
        uint40 rampEnd;
        uint40 deadline;
        uint32 leaseSeconds;
        /// Between 1/20 of `maxPrice` and `maxPrice`.
        uint128 bond;
        /// What the sponsor has to reveal a shard after training was proven, and what is left to prove the evaluation then.
        uint32 revealSeconds;
        uint32 evaluateSeconds;
        /// Taken from the sponsor. At least what one round can cost.
        uint128 escrow;
    }

    /// @notice A task as it is stored: what a proof of training reads and writes is in the first two slots.
    struct Task {
        Status status;
        Phase phase;
        uint16 protocolBps;
        uint32 heads; // how often the head advanced
        uint32 rounds; // leases until now
        uint32 used; // shards until now: the next is number `used`
        uint88 trainFee; // burned for a proof of training
        uint40 restart; // when the ramp begins anew, after a paid proof of training and until the next lease; otherwise 0
        uint96 escrow; // not set aside for the present round
        uint96 rescue; // for the next proof of training, or the sponsor
        uint40 deadline;
        uint24 revealSeconds;
        uint96 ratePerStep;
        uint32 maxSteps;
        uint64 eta;
        uint32 shards;
        uint32 evaluateSeconds;
        address sponsor;
        uint88 evaluateFee; // burned for an evaluation
        uint96 bond;
        uint32 leaseSeconds;
        bytes32 head;
        bytes32 trainId;
        bytes32 evaluateId;
        bytes32 holdout;
        bytes32 datasets;
    }

    /// @notice The present round of a task; all zero if there is none.
    struct Round {
        address payout;
        uint40 until; // end of the phase
        uint16 royaltyBps;
        uint32 shard; // number of the shard for it, once training was proven
        address recipient; // of the dataset's royalty
        uint96 price;
        uint96 reserved; // set aside and not spent
        uint96 bond; // held
        uint40 pinned; // block whose hash makes the seed
        uint32 examples; // of the dataset
        bytes32 dataset; // stack
        bytes32 seed; // once it is fixed, until training was proven
        bytes32 trained; // stack, once training was proven
        bytes32 revealed; // stack of the shard, once it was revealed
    }

    event Opened(uint256 indexed taskId, address indexed sponsor, bytes32 indexed head, Spec spec, string uri);
    event RoundLeased(
        uint256 indexed taskId,
        uint32 indexed round,
        address indexed payout,
        bytes32 head,
        bytes32 datasetId,
        uint128 price,
        uint40 until,
        uint40 pinned
    );
    event Seeded(uint256 indexed taskId, uint32 indexed round, bytes32 seed);
    /// @notice `uri` says where the trained weights are, in the word of who sent the proof.
    event Trained(
        uint256 indexed taskId,
        uint32 indexed round,
        address indexed payout,
        bytes32 trained,
        uint32 shard,
        uint128 toWorker,
        bytes losses,
        string uri
    );
    /// @notice `uri` says where the shard's values are, in the word of the sponsor.
    event Revealed(uint256 indexed taskId, uint32 indexed round, uint32 shard, bytes32 stackId, string uri);
    event Evaluated(
        uint256 indexed taskId,
        uint32 indexed round,
        address indexed payout,
        uint64 before,
        uint64 later,
        uint128 gain,
        bytes32 head
    );
    event RoundLost(uint256 indexed taskId, uint32 indexed round, address indexed payout, uint128 burned, uint128 kept);
    /// @notice The sponsor revealed nothing, and paid the most that the round could have gained.
    event NotRevealed(uint256 indexed taskId, uint32 indexed round, address indexed payout, uint128 gain);
    /// @notice Nobody proved the evaluation, so nothing was gained.
    event NotEvaluated(uint256 indexed taskId, uint32 indexed round, address indexed payout);
    /// @notice One of the task's verifiers has ended; the bond was returned.
    event RoundVoid(uint256 indexed taskId, uint32 indexed round, address indexed payout);
    event TaskRefunded(uint256 indexed taskId, address indexed sponsor, uint256 amount);

    error NotOpen(uint256 taskId);
    error NotLive(uint256 taskId);
    error RoundLive(uint256 taskId, uint40 until);
    error WrongPhase(uint256 taskId, Phase expected, Phase got);
    error PhaseOver(uint256 taskId, uint40 until);
    error DeadlineOver(uint256 taskId);
    error TooEarly(uint256 taskId);
    error StaleHead(uint256 taskId, bytes32 head);
    error NoShardLeft(uint256 taskId);
    error Exhausted(uint256 taskId, uint256 missing);
    error DatasetRetired(bytes32 datasetId);
    error DatasetNotAllowed(bytes32 datasetId);
    error BondTooHigh(uint256 taskId, uint128 bond);
    error LeaseTooShort(uint256 taskId, uint40 until);
    /// @notice The block of the seed has no hash yet, or none any more.
    error SeedNotReady(uint256 taskId, uint40 pinned);
    error SeedLost(uint256 taskId, uint40 pinned);
    error WrongLosses(uint256 expected, uint256 got);
    error WrongShard(uint256 taskId, uint32 expected);
    error ShardUsed(uint256 taskId, bytes32 stackId);
    error BadLoss();

    /// @notice Opens a task and takes its escrow from the caller. Raises `BadSpec` with the index of the field.
    function open(Spec calldata spec, string calldata uri) external returns (uint256 taskId);

    /// @notice Takes the lease of the next round, and its bond from the caller. Ends a round before whose time is over.
    /// @param head The task's head as the caller knows it.
    /// @param allowed Merkle proof of the dataset, empty if the task takes any.
    /// @param payout Who is paid; part of both proofs' context.
    /// @param maxBond The most that the caller lets be bonded.
    /// @param minUntil The least lease that the caller needs: as in `IJobMarket.lease`.
    function lease(
        uint256 taskId,
        bytes32 head,
        bytes32 datasetId,
        bytes32[] calldata allowed,
        address payout,
        uint128 maxBond,
        uint40 minUntil
    ) external;

    /// @notice Fixes the seed of a lease, within 256 blocks of the block that it comes from. Anybody may call; a worker who does not
    /// like his seed has no other way to get another than a new bond.
    function pinSeed(uint256 taskId) external;

    /// @notice Pays the price for a proof of training. The context of the proof is `contextOf(taskId)`. Anybody may send it.
    /// @param losses The losses of the steps, as in the proof's public values.
    function submitTrain(
        uint256 taskId,
        bytes32 trained,
        bytes calldata losses,
        bytes calldata proof,
        string calldata uri
    ) external;

    /// @notice Opens the shard of a round whose training was proven. Anybody who knows stack and salt may.
    function reveal(uint256 taskId, bytes32 stackId, bytes32 salt, bytes32[] calldata path, string calldata uri)
        external;

    /// @notice Pays for the gain that a proof of evaluation shows, and ends the round. The context of the proof is
    /// `contextOf(taskId)`. Anybody may send it.
    function settleEval(uint256 taskId, uint64 before, uint64 later, bytes calldata proof) external;

    /// @notice Ends a round whose time is over, or whose task's verifier has ended. Anybody may call. Raises `RoundLive`, `NotLive`.
    function finish(uint256 taskId) external;

    /// @notice Credits the sponsor with what is left, and closes the task: after its deadline, or when one of its verifiers has ended, or
    /// if the sponsor calls; never while a round is live. Anybody may call.
    function refund(uint256 taskId) external;

    /// @notice What the next proof of the present round must be bound to. Raises `NotLive`, `WrongPhase` where no proof is due.
    function contextOf(uint256 taskId) external view returns (bytes32);

    /// @notice The walk through the dataset's examples that the round's seed gives. Raises `WrongPhase` but between `pinSeed` and
    /// `submitTrain`.
    function walkOf(uint256 taskId) external view returns (uint64 factor, uint64 start);

    /// @notice What a lease now would lock.
    function currentPrice(uint256 taskId) external view returns (uint128);

    function task(uint256 taskId) external view returns (Task memory);
    function round(uint256 taskId) external view returns (Round memory);
    function tasks() external view returns (uint256);
}
