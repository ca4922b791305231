// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { MerkleProof } from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import { SafeCast } from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import { IAssayVerifier } from "../IAssayVerifier.sol";
import { IDatasetRegistry } from "./IDatasetRegistry.sol";
import { IEmissionController } from "./IEmissionController.sol";
import { ITrainingMarket } from "./ITrainingMarket.sol";
import { IVerifierRegistry } from "./IVerifierRegistry.sol";
import { Market } from "./Market.sol";
import { Sampler } from "./Sampler.sol";
import { TaskBook } from "./TaskBook.sol";

/// @title The market for proven training. No owner of funds, no upgrade.
/// @notice Pausing stops `open` and `lease` only. A round that was leased can always be proven, revealed, evaluated and ended.
contract TrainingMarket is TaskBook {
    using SafeCast for uint256;

    /// @dev What a proof must show, to whom, and what it pays.
    struct Claim {
        address verifier;
        bytes32 settlementId;
        uint64 units;
        bytes32 context;
        bytes values;
        address payout;
        uint256 fee;
        uint256 toWorker;
    }

    /// @notice Blocks from a lease to the one whose hash makes its seed: nobody knows it when he leases.
    uint256 public constant SEED_DELAY = 2;

    IDatasetRegistry public immutable datasets;

    /// @param manager The AccessManager of the restricted functions.
    /// @param token_ Has `burn(uint256)` and a supply below 2^96.
    /// @param protocolBps_ Part of each payment for the treasury, in 1/10000.
    /// @param feePerBillionUnits_ Burned for each 10^9 multiply-adds of work, in the token's smallest unit.
    constructor(
        address manager,
        IERC20 token_,
        IVerifierRegistry verifiers_,
        IDatasetRegistry datasets_,
        IEmissionController emission_,
        address treasury_,
        uint16 protocolBps_,
        uint256 feePerBillionUnits_
    ) Market(manager, token_, verifiers_, emission_, treasury_, protocolBps_, feePerBillionUnits_) {
        datasets = datasets_;
    }

    /// @inheritdoc ITrainingMarket
    function open(Spec calldata spec, string calldata uri)
        external
        whenNotPaused
        nonReentrant
        returns (uint256 taskId)
    {
        taskId = ++_pot.jobs;
        _write(taskId, spec);
        emit Opened(taskId, msg.sender, spec.head, spec, uri);
        _take(spec.escrow);
    }

    /// @inheritdoc ITrainingMarket
    /// @dev Raises `BadPayout`, `NotOpen`, `RoundLive`, `DeadlineOver`, `StaleHead`, `NoShardLeft`, `VerifierEnded`,
    /// `DatasetRetired`, `DatasetNotAllowed`, `BondTooHigh`, `LeaseTooShort`, `Exhausted`, `OddToken`, `EnforcedPause`.
    function lease(
        uint256 taskId,
        bytes32 head,
        bytes32 datasetId,
        bytes32[] calldata allowed,
        address payout,
        uint128 maxBond,
        uint40 minUntil
    ) external whenNotPaused nonReentrant {
        _requirePayable(payout);
        Task storage task = _tasks[taskId];
        if (task.status != Status.Open) revert NotOpen(taskId);
        if (task.phase != Phase.None) _finish(taskId, task);
        if (block.timestamp >= task.deadline) revert DeadlineOver(taskId);
        if (task.head != head) revert StaleHead(taskId, task.head);
        if (task.used == task.shards) revert NoShardLeft(taskId);
        _requireActive(task.trainId);
        _requireActive(task.evaluateId);
        if (task.bond > maxBond) revert BondTooHigh(taskId, task.bond);
        IDatasetRegistry.Dataset memory dataset = _dataset(task.datasets, datasetId, allowed);
        _begin(taskId, task, payout, dataset, minUntil);
        Live storage now_ = _rounds[taskId];
        emit RoundLeased(taskId, task.rounds, payout, head, datasetId, now_.price, now_.until, now_.pinned);
        _take(now_.bond);
    }

    /// @inheritdoc ITrainingMarket
    function pinSeed(uint256 taskId) external {
        Task storage task = _inPhase(taskId, Phase.Leased);
        Live storage now_ = _rounds[taskId];
        if (block.number <= now_.pinned) revert SeedNotReady(taskId, now_.pinned);
        bytes32 hash = blockhash(now_.pinned);
        if (hash == 0) revert SeedLost(taskId, now_.pinned);
        bytes32 seed = keccak256(
            abi.encode("assay.seed.v1", hash, _roundContext("assay.train.v1", taskId, task), task.head, now_.dataset)
        );
        now_.work = seed;
        task.phase = Phase.Seeded;
        emit Seeded(taskId, task.rounds, seed);
    }

    /// @inheritdoc ITrainingMarket
    /// @dev Never pausable. Raises `WrongPhase`, `PhaseOver`, `VerifierEnded`, `WrongLosses`, `InvalidProof`, and what the
    /// verifier raises.
    function submitTrain(
        uint256 taskId,
        bytes32 trained,
        bytes calldata losses,
        bytes calldata proof,
        string calldata uri
    ) external nonReentrant {
        Task storage task = _inTime(taskId, Phase.Seeded);
        Live storage now_ = _rounds[taskId];
        Claim memory claim = _claim(task.trainId, task.evaluateId, losses.length);
        claim.context = _roundContext("assay.train.v1", taskId, task);
        claim.values = _trainValues(task.head, trained, now_, losses);
        claim.payout = now_.payout;
        claim.fee = task.trainFee;
        claim.toWorker = _spend(task, now_, now_.price, claim.fee);
        if (task.rescue != 0) {
            claim.toWorker += task.rescue;
            task.rescue = 0;
        }
        now_.work = trained;
        now_.until = uint40(block.timestamp + task.revealSeconds);
        ++task.used;
        task.phase = Phase.Trained;
        // The price begins anew.
        task.restart = uint40(block.timestamp);
        emit Trained(taskId, task.rounds, claim.payout, trained, _shard(task), claim.toWorker.toUint128(), losses, uri);
        _settle(claim, proof);
    }

    /// @inheritdoc ITrainingMarket
    /// @dev Never pausable. Raises `WrongPhase`, `PhaseOver`, `WrongShard`, `ShardUsed`.
    function reveal(uint256 taskId, bytes32 stackId, bytes32 salt, bytes32[] calldata path, string calldata uri)
        external
        nonReentrant
    {
        Task storage task = _inTime(taskId, Phase.Trained);
        Live storage now_ = _rounds[taskId];
        uint32 shard = _shard(task);
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(uint256(shard), stackId, salt))));
        if (_rootOf(leaf, shard, task.shards, path) != task.holdout) revert WrongShard(taskId, shard);
        if (_shardUsed[taskId][stackId]) revert ShardUsed(taskId, stackId);
        _shardUsed[taskId][stackId] = true;
        now_.revealed = stackId;
        now_.until = uint40(block.timestamp + task.evaluateSeconds);
        task.phase = Phase.Revealed;
        emit Revealed(taskId, task.rounds, shard, stackId, uri);
    }

    /// @inheritdoc ITrainingMarket
    /// @dev Never pausable. Raises `WrongPhase`, `PhaseOver`, `VerifierEnded`, `BadLoss`, `InvalidProof`, and what the verifier raises.
    function settleEval(uint256 taskId, uint64 before, uint64 later, bytes calldata proof) external nonReentrant {
        Task storage task = _inTime(taskId, Phase.Revealed);
        Live storage now_ = _rounds[taskId];
        // Public values are signed.
        if (before >= 1 << 63 || later >= 1 << 63) revert BadLoss();
        Claim memory claim = _claim(task.evaluateId, task.trainId, 8 * LOSSES);
        claim.context = _roundContext("assay.evaluate.v1", taskId, task);
        claim.values = abi.encodePacked(task.head, now_.work, now_.revealed, before, later);
        claim.payout = now_.payout;
        claim.fee = task.evaluateFee;
        uint256 steps = before > later ? (before - later) / task.eta : 0;
        if (steps > task.maxSteps) steps = task.maxSteps;
        if (steps != 0) {
            task.head = now_.work;
            ++task.heads;
        }
        uint256 gain = steps * task.ratePerStep;
        claim.toWorker = _spend(task, now_, gain, claim.fee) + now_.bond;
        emit Evaluated(taskId, task.rounds, claim.payout, before, later, gain.toUint128(), task.head);
        _over(taskId, task);
        _settle(claim, proof);
    }

    /// @inheritdoc ITrainingMarket
    function finish(uint256 taskId) external nonReentrant {
        Task storage task = _tasks[taskId];
        if (task.phase == Phase.None) revert NotLive(taskId);
        _finish(taskId, task);
    }

    /// @inheritdoc ITrainingMarket
    /// @dev Never pausable. Raises `NotOpen` for tasks that are unknown or closed, `RoundLive`, `TooEarly`.
    function refund(uint256 taskId) external nonReentrant {
        Task storage task = _tasks[taskId];
        if (task.status != Status.Open) revert NotOpen(taskId);
        if (task.phase != Phase.None) _finish(taskId, task);
        if (block.timestamp < task.deadline && msg.sender != task.sponsor && !_ended(task)) revert TooEarly(taskId);
        uint256 amount = uint256(task.escrow) + task.rescue;
        (task.escrow, task.rescue, task.status) = (0, 0, Status.Closed);
        _credit(task.sponsor, amount);
        emit TaskRefunded(taskId, task.sponsor, amount);
    }

    /// @inheritdoc ITrainingMarket
    function contextOf(uint256 taskId) external view returns (bytes32) {
        Task storage task = _tasks[taskId];
        if (task.phase == Phase.None) revert NotLive(taskId);
        if (task.phase == Phase.Trained) revert WrongPhase(taskId, Phase.Revealed, Phase.Trained);
        return _roundContext(task.phase == Phase.Revealed ? "assay.evaluate.v1" : "assay.train.v1", taskId, task);
    }

    /// @inheritdoc ITrainingMarket
    function walkOf(uint256 taskId) external view returns (uint64 factor, uint64 start) {
        _inPhase(taskId, Phase.Seeded);
        return Sampler.walk(_rounds[taskId].work, _rounds[taskId].examples);
    }

    /// @dev A dataset that may be leased. Raises the registry's error for unknown ones.
    function _dataset(bytes32 root, bytes32 datasetId, bytes32[] calldata allowed)
        private
        view
        returns (IDatasetRegistry.Dataset memory dataset)
    {
        dataset = datasets.get(datasetId);
        if (dataset.retired != 0) revert DatasetRetired(datasetId);
        if (dataset.royaltyBps != 0) _requirePayable(dataset.recipient);
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(datasetId))));
        if (root != 0 && !MerkleProof.verifyCalldata(allowed, root, leaf)) revert DatasetNotAllowed(datasetId);
    }

    /// @dev Starts a round: sets aside the most that it can cost. The ramp moves on by the length of the lease at once, while the locked
    /// price is the one that counts.
    function _begin(
        uint256 taskId,
        Task storage task,
        address payout,
        IDatasetRegistry.Dataset memory dataset,
        uint40 minUntil
    ) private {
        _open(payout);
        uint256 until = block.timestamp + task.leaseSeconds;
        if (until > task.deadline) until = task.deadline;
        if (until < _least(minUntil)) revert LeaseTooShort(taskId, uint40(until));
        Ramp memory ramp = _rampOf(taskId, task);
        uint96 price = _rampPrice(ramp);
        uint256 reserved = _mostOf(task, price);
        if (task.escrow < reserved) revert Exhausted(taskId, reserved - task.escrow);
        task.escrow -= uint96(reserved);
        _ramps[taskId].start = ramp.start + uint40(until - block.timestamp);
        task.restart = 0;
        ++task.rounds;
        task.phase = Phase.Leased;
        Live storage now_ = _rounds[taskId];
        now_.payout = payout;
        now_.until = uint40(until);
        now_.royaltyBps = dataset.royaltyBps;
        now_.recipient = dataset.recipient;
        now_.price = price;
        now_.reserved = uint96(reserved);
        now_.bond = task.bond;
        now_.pinned = uint40(block.number + SEED_DELAY);
        now_.examples = dataset.examples;
        now_.dataset = dataset.stackId;
    }

    function _trainValues(bytes32 head, bytes32 trained, Live storage now_, bytes calldata losses)
        private
        view
        returns (bytes memory)
    {
        (uint64 factor, uint64 start) = Sampler.walk(now_.work, now_.examples);
        return abi.encodePacked(head, trained, now_.dataset, factor, start, losses);
    }

    /// @dev A claim to the verifier of a proof with so many bytes of losses, for a task that needs another one as well. How many losses
    /// a proof shows is the verifier's.
    function _claim(bytes32 verifierId, bytes32 other, uint256 lossBytes) private view returns (Claim memory claim) {
        bool active;
        uint32 outputs;
        (active, claim.verifier, claim.settlementId,,, outputs, claim.units) = verifiers.terms(verifierId);
        if (!active) revert VerifierEnded(verifierId);
        _requireActive(other);
        if (lossBytes != uint256(outputs) * 8) revert WrongLosses(uint256(outputs) * 8, lossBytes);
    }

    /// @dev The root over `count` numbered leaves, with zeros up to a power of two, to which a path leads from one; 0 for a path of another
    /// length. The bits of its number say on which side a leaf is, so nobody can seal two leaves of one number and choose later.
    function _rootOf(bytes32 node, uint256 number, uint256 count, bytes32[] calldata path)
        private
        pure
        returns (bytes32)
    {
        if (path.length > 32) return 0;
        uint256 width = 1 << path.length;
        if (width < count || width >= 2 * count) return 0;
        for (uint256 i = 0; i < path.length; ++i) {
            bytes32 other = path[i];
            node = (number >> i) & 1 == 0 ? keccak256(abi.encode(node, other)) : keccak256(abi.encode(other, node));
        }
        return node;
    }

    /// @dev The proof decides about all that was written before, and is paid.
    function _settle(Claim memory claim, bytes calldata proof) private {
        if (!IAssayVerifier(claim.verifier).verify(claim.settlementId, claim.values, claim.context, proof)) {
            revert InvalidProof();
        }
        _reward(claim.payout, claim.toWorker, claim.fee, claim.units);
    }
}
