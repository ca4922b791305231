// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { SafeCast } from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import { IJobMarket } from "./IJobMarket.sol";
import { IModelRegistry } from "./IModelRegistry.sol";
import { IVerifierRegistry } from "./IVerifierRegistry.sol";
import { SettlementSize } from "./SettlementSize.sol";
import { Ledger } from "./Ledger.sol";

/// @title How jobs are stored, and what they cost at a given time.
abstract contract JobBook is IJobMarket, Ledger {
    using SafeCast for uint256;

    /// @dev A job: one struct a slot, so that each is read and written at once. A settlement reads state, pay, commitment, stake
    /// if there was a lease, and ramp if none is live; it writes state, and pay if no lease is live.
    struct Lot {
        State state;
        Pay pay;
        Ramp ramp;
        Stake stake;
        Order order;
        bytes32 inputCommitment;
    }

    struct State {
        address payout;
        uint40 leaseEnd;
        Status status;
        uint8 kind;
        uint16 protocolBps;
    }

    struct Pay {
        uint96 price; // locked by the last lease, or paid
        uint88 workFee;
        uint40 deadline;
        uint32 line;
    }

    /// @dev `start` moves on with each lease, by its length.
    struct Ramp {
        uint96 minPrice;
        uint96 maxPrice;
        uint40 start;
        uint24 length;
    }

    /// @dev While a job is open, its bond is held exactly if it was ever leased: what ends a lease gives the bond away, and
    /// either closes the job or takes the next lease's bond.
    struct Stake {
        uint96 bond;
        uint96 rescue;
    }

    struct Order {
        address requester;
        uint32 leaseSeconds;
    }

    /// @dev A verifier with an offer. Both are immutable, so what is checked or copied when a line is first used holds for
    /// good, and jobs refer to it by a short number.
    struct Line {
        bytes32 verifierId;
        bytes32 offerId;
    }

    uint256 internal constant BPS = 10_000;
    uint16 public constant MAX_PROTOCOL_BPS = 1_000;
    uint256 public constant MAX_DURATION = 90 days;
    /// @notice Seconds; longer than any job is open.
    uint256 public constant MAX_RAMP = type(uint24).max;
    uint256 public constant MIN_LEASE_SECONDS = 1 minutes;
    uint256 public constant MAX_LEASE_SECONDS = 7 days;
    uint8 internal constant INFERENCE = 1;

    IVerifierRegistry public immutable verifiers;

    mapping(uint256 jobId => Lot) internal _lots;
    /// @dev The first line has number 1.
    mapping(uint256 number => Line) internal _lines;
    mapping(bytes32 verifierAndOffer => uint256 number) private _lineNumbers;
    uint256 private _lineCount;

    constructor(IVerifierRegistry verifiers_) {
        verifiers = verifiers_;
    }

    /// @inheritdoc IJobMarket
    function job(uint256 jobId) external view returns (Job memory out) {
        Lot memory lot = _lots[jobId];
        if (lot.state.status == Status.None) revert NotOpen(jobId);
        bool open = lot.state.status == Status.Open;
        Line storage line = _lines[lot.pay.line];
        out.requester = lot.order.requester;
        out.status = lot.state.status;
        out.rampStart = lot.ramp.start;
        out.rampEnd = lot.ramp.start + lot.ramp.length;
        out.payout = lot.state.payout;
        out.leaseEnd = lot.state.leaseEnd;
        out.deadline = lot.pay.deadline;
        out.leaseSeconds = lot.order.leaseSeconds;
        out.minPrice = lot.ramp.minPrice;
        out.maxPrice = lot.ramp.maxPrice;
        out.price = open && block.timestamp >= lot.state.leaseEnd ? 0 : lot.pay.price;
        out.bond = lot.stake.bond;
        out.held = open && lot.state.leaseEnd != 0 ? lot.stake.bond : 0;
        out.rescue = open ? lot.stake.rescue : 0;
        out.workFee = lot.pay.workFee;
        out.protocolBps = lot.state.protocolBps;
        out.kind = lot.state.kind;
        out.verifierId = line.verifierId;
        out.offerId = line.offerId;
        out.inputCommitment = lot.inputCommitment;
    }

    /// @inheritdoc IJobMarket
    function jobs() external view returns (uint256) {
        return _pot.jobs;
    }

    /// @inheritdoc IJobMarket
    function currentPrice(uint256 jobId) external view returns (uint128) {
        Lot storage lot = _lots[jobId];
        if (lot.state.status != Status.Open) revert NotOpen(jobId);
        return block.timestamp < lot.state.leaseEnd ? lot.pay.price : _rampPrice(lot.ramp);
    }

    /// @dev Rounds down. Never falls with time, so who waits for a transaction is never paid less than he saw.
    function _rampPrice(Ramp memory ramp) internal view returns (uint96) {
        if (block.timestamp < ramp.start) return ramp.minPrice;
        uint256 passed = block.timestamp - ramp.start;
        // Also where the ramp has no length: then it is a step.
        if (passed >= ramp.length) return ramp.maxPrice;
        return uint96(ramp.minPrice + uint256(ramp.maxPrice - ramp.minPrice) * passed / ramp.length);
    }

    /// @dev Raises `BadSpec` with the index of the field, and `BadSpec(2)` for a commitment that nobody can open.
    function _checkSpec(Spec calldata spec) internal view {
        if (spec.inputCommitment == 0) revert BadSpec(2);
        if (spec.minPrice == 0 || spec.minPrice > spec.maxPrice) revert BadSpec(3);
        if (spec.maxPrice > type(uint96).max) revert BadSpec(4);
        if (spec.rampStart > spec.rampEnd || spec.rampEnd - spec.rampStart > MAX_RAMP) revert BadSpec(6);
        // Leases move the ramp, by no more time than there is until the deadline.
        if (spec.rampEnd > type(uint40).max - MAX_DURATION) revert BadSpec(6);
        if (spec.deadline <= block.timestamp || spec.deadline > block.timestamp + MAX_DURATION) revert BadSpec(7);
        if (spec.leaseSeconds < MIN_LEASE_SECONDS || spec.leaseSeconds > MAX_LEASE_SECONDS) revert BadSpec(8);
        // Without a floor, leases that are never kept would cost nothing.
        if (uint256(spec.bond) * 20 < spec.maxPrice || spec.bond > spec.maxPrice) revert BadSpec(9);
    }

    /// @dev The number of the line of a verifier and an offer. Raises `WrongOffer`, `TooLarge` and the registries'
    /// errors.
    function _lineOf(bytes32 verifierId, bytes32 offerId) internal returns (uint32) {
        bytes32 key = keccak256(abi.encode(verifierId, offerId));
        uint256 number = _lineNumbers[key];
        if (number == 0) {
            IModelRegistry.Offer memory offer = models.get(offerId);
            if (offer.since == 0 || offer.modelId != verifiers.entry(verifierId).modelId) revert WrongOffer();
            // Else a worker's share could be negative, or a share could never leave the market.
            if (uint256(offer.royaltyBps) + offer.dataBps + MAX_PROTOCOL_BPS > BPS) revert WrongOffer();
            // An entry from before there were bounds, or of a registry that has none.
            (uint256 size, uint256 gas) = verifiers.settlement(verifierId);
            SettlementSize.check(size, gas);
            if (offer.dataBps != 0) _requirePayable(offer.dataRecipient);
            _requirePayable(offer.owner);
            number = ++_lineCount;
            _lineNumbers[key] = number;
            _lines[number] = Line(verifierId, offerId);
            // Another line of the offer may have been paid for already.
            _royalties[offerId].ownerBps = offer.royaltyBps;
            _royalties[offerId].dataBps = offer.dataBps;
        }
        return number.toUint32();
    }

    /// @dev keccak256(salt, input). By hand: memory for one input serves the whole batch.
    function _commitment(bytes32 salt, bytes calldata input) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let p := mload(0x40)
            mstore(p, salt)
            calldatacopy(add(p, 0x20), input.offset, input.length)
            hash := keccak256(p, add(input.length, 0x20))
        }
    }
}
