// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { SafeCast } from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import { ITrainingMarket } from "./ITrainingMarket.sol";
import { Market } from "./Market.sol";
import { SettlementSize } from "./SettlementSize.sol";

/// @title How tasks and their rounds are stored, and how a round ends.
abstract contract TaskBook is ITrainingMarket, Market {
    using SafeCast for uint256;

    /// @dev The ids of a proof's three stacks, in values of 8 bytes: the registry counts them with the input.
    uint256 private constant ID_VALUES = 12;
    /// @dev Factor and start of the walk; the losses of head and trained weights.
    uint256 private constant WALK_VALUES = 2;
    uint256 internal constant LOSSES = 2;

    /// @dev A round as it is stored. What a round leaves behind is nobody's: the next one writes over it, which costs less than
    /// making it anew, and the task's phase says what of it counts.
    struct Live {
        address payout;
        uint40 until;
        uint16 royaltyBps;
        uint32 examples;
        address recipient;
        uint96 price;
        uint96 reserved;
        uint96 bond;
        uint40 pinned;
        bytes32 dataset;
        bytes32 work; // the seed, and from `Phase.Trained` on the trained stack
        bytes32 revealed; // in `Phase.Revealed`
    }

    mapping(uint256 taskId => Task) internal _tasks;
    mapping(uint256 taskId => Ramp) internal _ramps;
    mapping(uint256 taskId => Live) internal _rounds;
    mapping(uint256 taskId => mapping(bytes32 stackId => bool)) internal _shardUsed;

    /// @inheritdoc ITrainingMarket
    function task(uint256 taskId) external view returns (Task memory) {
        return _known(taskId);
    }

    /// @inheritdoc ITrainingMarket
    function round(uint256 taskId) external view returns (Round memory shown) {
        Task storage of_ = _known(taskId);
        Phase phase = of_.phase;
        if (phase == Phase.None) return shown;
        Live storage now_ = _rounds[taskId];
        shown.payout = now_.payout;
        shown.until = now_.until;
        shown.royaltyBps = now_.royaltyBps;
        shown.recipient = now_.recipient;
        shown.price = now_.price;
        shown.reserved = now_.reserved;
        shown.bond = now_.bond;
        shown.pinned = now_.pinned;
        shown.examples = now_.examples;
        shown.dataset = now_.dataset;
        if (phase == Phase.Seeded) shown.seed = now_.work;
        if (phase >= Phase.Trained) {
            shown.shard = _shard(of_);
            shown.trained = now_.work;
        }
        if (phase == Phase.Revealed) shown.revealed = now_.revealed;
    }

    /// @inheritdoc ITrainingMarket
    function tasks() external view returns (uint256) {
        return _pot.jobs;
    }

    /// @inheritdoc ITrainingMarket
    function currentPrice(uint256 taskId) external view returns (uint128) {
        Task storage of_ = _known(taskId);
        if (of_.phase == Phase.Leased || of_.phase == Phase.Seeded) return _rounds[taskId].price;
        return _rampPrice(_rampOf(taskId, of_));
    }

    /// @dev Checks what a sponsor asks for, and stores it. Raises `BadSpec` with the index of the field, `VerifierEnded`, `TooLarge`.
    function _write(uint256 taskId, Spec calldata spec) internal {
        uint64 trainUnits = _checkVerifier(spec.trainId, ID_VALUES + WALK_VALUES, 1, type(uint256).max, 0);
        uint64 evaluateUnits = _checkVerifier(spec.evaluateId, ID_VALUES, LOSSES, LOSSES, 1);
        if (spec.head == 0) revert BadSpec(2);
        if (spec.holdout == 0) revert BadSpec(3);
        if (spec.shards == 0) revert BadSpec(4);
        if (spec.eta == 0) revert BadSpec(6);
        if (spec.maxSteps == 0) revert BadSpec(7);
        if (spec.ratePerStep > type(uint96).max) revert BadSpec(8);
        _checkRamp(spec.minPrice, spec.maxPrice, spec.rampStart, spec.rampEnd, 9);
        _checkLease(spec.deadline, spec.leaseSeconds, spec.bond, spec.maxPrice, 13);
        if (spec.revealSeconds < MIN_LEASE_SECONDS || spec.revealSeconds > MAX_LEASE_SECONDS) revert BadSpec(16);
        if (spec.evaluateSeconds < MIN_LEASE_SECONDS || spec.evaluateSeconds > MAX_LEASE_SECONDS) revert BadSpec(17);
        Task storage made = _tasks[taskId];
        made.sponsor = msg.sender;
        made.status = Status.Open;
        made.protocolBps = _rates.protocolBps;
        made.leaseSeconds = spec.leaseSeconds;
        made.deadline = spec.deadline;
        made.ratePerStep = uint96(spec.ratePerStep);
        made.bond = uint96(spec.bond);
        made.maxSteps = spec.maxSteps;
        made.shards = spec.shards;
        made.eta = spec.eta;
        // At most seven days.
        made.revealSeconds = uint24(spec.revealSeconds);
        made.evaluateSeconds = spec.evaluateSeconds;
        made.trainFee = _workFee(trainUnits);
        made.evaluateFee = _workFee(evaluateUnits);
        made.head = spec.head;
        made.trainId = spec.trainId;
        made.evaluateId = spec.evaluateId;
        made.holdout = spec.holdout;
        made.datasets = spec.datasets;
        _ramps[taskId] =
            Ramp(uint96(spec.minPrice), uint96(spec.maxPrice), spec.rampStart, uint24(spec.rampEnd - spec.rampStart));
        // One round must be possible at any price.
        if (spec.escrow > type(uint96).max || spec.escrow < _mostOf(made, spec.maxPrice)) revert BadSpec(18);
        made.escrow = uint96(spec.escrow);
    }

    /// @dev Raises `BadSpec(field)` for a verifier of another shape, and returns its work.
    function _checkVerifier(bytes32 verifierId, uint256 inputs, uint256 least, uint256 most, uint256 field)
        private
        view
        returns (uint64 units)
    {
        bool active;
        uint32 batch;
        uint32 inputValues;
        uint32 outputValues;
        (active,,, batch, inputValues, outputValues, units) = verifiers.terms(verifierId);
        if (!active) revert VerifierEnded(verifierId);
        if (batch != 1 || inputValues != inputs || outputValues < least || outputValues > most) {
            revert BadSpec(field);
        }
        (uint256 size, uint256 gas) = verifiers.settlement(verifierId);
        SettlementSize.check(size, gas);
    }

    /// @dev The most that a round can cost.
    function _mostOf(Task storage of_, uint256 price) internal view returns (uint256) {
        return price + uint256(of_.maxSteps) * of_.ratePerStep + of_.trainFee + of_.evaluateFee;
    }

    /// @dev Spends a payment and a fee of what was set aside; returns the worker's part of the payment, for the caller to credit.
    function _spend(Task storage of_, Live storage now_, uint256 amount, uint256 fee)
        internal
        returns (uint256 toWorker)
    {
        now_.reserved -= (amount + fee).toUint96();
        uint256 toProtocol = amount * of_.protocolBps / BPS;
        uint256 toData = amount * now_.royaltyBps / BPS;
        Pot memory pot = _pot;
        pot.treasury = (pot.treasury + toProtocol).toUint96();
        pot.unburned = (pot.unburned + fee).toUint96();
        _pot = pot;
        _credit(now_.recipient, toData);
        return amount - toProtocol - toData;
    }

    /// @dev Ends the round as its phase says. Raises `RoundLive` while it has time.
    function _finish(uint256 taskId, Task storage of_) internal {
        Live storage now_ = _rounds[taskId];
        Phase phase = of_.phase;
        address payout = now_.payout;
        if (_ended(of_)) {
            // Whether the worker would have made it is not known any more.
            _credit(payout, now_.bond);
            emit RoundVoid(taskId, of_.rounds, payout);
        } else if (block.timestamp < now_.until) {
            revert RoundLive(taskId, now_.until);
        } else if (phase == Phase.Trained) {
            uint256 gain = uint256(of_.maxSteps) * of_.ratePerStep;
            _credit(payout, _spend(of_, now_, gain, 0) + now_.bond);
            emit NotRevealed(taskId, of_.rounds, payout, gain.toUint128());
        } else if (phase == Phase.Revealed) {
            _credit(payout, now_.bond);
            emit NotEvaluated(taskId, of_.rounds, payout);
        } else {
            (uint256 burned, uint256 kept) = _splitBond(now_.bond);
            _burnLater(burned);
            of_.rescue = (of_.rescue + kept).toUint96();
            emit RoundLost(taskId, of_.rounds, payout, uint128(burned), uint128(kept));
        }
        _over(taskId, of_);
    }

    /// @dev What was set aside and not spent is the task's again.
    function _over(uint256 taskId, Task storage of_) internal {
        of_.escrow += _rounds[taskId].reserved;
        of_.phase = Phase.None;
    }

    /// @dev The number of the shard of a round whose training was proven: the last one taken.
    function _shard(Task storage of_) internal view returns (uint32) {
        return of_.used - 1;
    }

    /// @dev The ramp as it stands.
    function _rampOf(uint256 taskId, Task storage of_) internal view returns (Ramp memory ramp) {
        ramp = _ramps[taskId];
        if (of_.restart != 0) ramp.start = of_.restart;
    }

    function _ended(Task storage of_) internal view returns (bool) {
        return !verifiers.isActive(of_.trainId) || !verifiers.isActive(of_.evaluateId);
    }

    /// @dev The end of either verifier ends the task's payouts: a round is paid by both of them or by neither.
    function _requireActive(bytes32 verifierId) internal view {
        if (!verifiers.isActive(verifierId)) revert VerifierEnded(verifierId);
    }

    /// @dev The task, whose round must be in this phase.
    function _inPhase(uint256 taskId, Phase phase) internal view returns (Task storage of_) {
        of_ = _tasks[taskId];
        if (of_.phase != phase) revert WrongPhase(taskId, phase, of_.phase);
    }

    /// @dev The task, whose round must be in this phase and have time.
    function _inTime(uint256 taskId, Phase phase) internal view returns (Task storage of_) {
        of_ = _inPhase(taskId, phase);
        if (block.timestamp >= _rounds[taskId].until) revert PhaseOver(taskId, _rounds[taskId].until);
    }

    /// @dev Binds a proof to chain, contract, task, head, lease and payout address.
    function _roundContext(string memory what, uint256 taskId, Task storage of_) internal view returns (bytes32) {
        bytes32 job = keccak256(abi.encode(what, taskId, of_.heads, of_.rounds));
        return _context(job, _rounds[taskId].payout);
    }

    function _known(uint256 taskId) private view returns (Task storage of_) {
        of_ = _tasks[taskId];
        if (of_.status == Status.None) revert NotOpen(taskId);
    }
}
