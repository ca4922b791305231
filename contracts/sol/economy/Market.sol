// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AccessManaged } from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { Pausable } from "@openzeppelin/contracts/utils/Pausable.sol";
import { SafeCast } from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import { IEmissionController } from "./IEmissionController.sol";
import { IMarket } from "./IMarket.sol";
import { IVerifierRegistry } from "./IVerifierRegistry.sol";
import { Ledger } from "./Ledger.sol";

/// @title What a market does with work, whatever is proven: rates, prices that rise, lost bonds, contexts, rewards.
/// @notice No owner of funds, no upgrade. Pausing stops what brings tokens in: what is in a market can always be proven,
/// refunded and withdrawn.
abstract contract Market is IMarket, Ledger, AccessManaged, Pausable {
    using SafeCast for uint256;

    struct Rates {
        uint16 protocolBps;
        uint128 feePerBillionUnits;
    }

    /// @dev `start` moves on with each lease, by its length.
    struct Ramp {
        uint96 minPrice;
        uint96 maxPrice;
        uint40 start;
        uint24 length;
    }

    uint256 internal constant BPS = 10_000;
    uint16 public constant MAX_PROTOCOL_BPS = 1_000;
    /// @notice 1000 tokens of 18 decimals for 10^9 multiply-adds.
    uint256 public constant MAX_FEE_RATE = 1e21;
    uint256 public constant MAX_DURATION = 90 days;
    /// @notice Seconds; longer than anything is open.
    uint256 public constant MAX_RAMP = type(uint24).max;
    uint256 public constant MIN_LEASE_SECONDS = 1 minutes;
    uint256 public constant MAX_LEASE_SECONDS = 7 days;

    bytes32 private constant CONTEXT_DOMAIN = keccak256("assay.context.v1");

    IEmissionController public immutable emission;
    IVerifierRegistry public immutable verifiers;

    Rates internal _rates;

    /// @param manager The AccessManager of the restricted functions.
    /// @param token_ Has `burn(uint256)` and a supply below 2^96.
    /// @param protocolBps_ Part of each price for the treasury, in 1/10000.
    /// @param feePerBillionUnits_ Burned for each 10^9 multiply-adds of work, in the token's smallest unit.
    constructor(
        address manager,
        IERC20 token_,
        IVerifierRegistry verifiers_,
        IEmissionController emission_,
        address treasury_,
        uint16 protocolBps_,
        uint256 feePerBillionUnits_
    ) Ledger(token_, treasury_) AccessManaged(manager) {
        verifiers = verifiers_;
        emission = emission_;
        _setProtocolBps(protocolBps_);
        _setFeeRate(feePerBillionUnits_);
    }

    /// @notice Stops what takes tokens. Restricted: the guardian.
    function pause() external restricted {
        _pause();
    }

    /// @notice Allows it again. Restricted: by vote.
    function unpause() external restricted {
        _unpause();
    }

    /// @notice Sets the treasury's part of prices, in 1/10000, for what is posted from now on. Restricted: by vote. Raises `TooHigh`.
    function setProtocolBps(uint16 bps) external restricted {
        _setProtocolBps(bps);
    }

    /// @notice Sets the work fee for what is posted from now on. Restricted: by vote. Raises `TooHigh`.
    function setFeeRate(uint256 perBillionUnits) external restricted {
        _setFeeRate(perBillionUnits);
    }

    /// @inheritdoc IMarket
    function workFee(bytes32 verifierId) external view returns (uint128) {
        (,,,,,, uint64 workUnits) = verifiers.terms(verifierId);
        return _workFee(workUnits);
    }

    /// @inheritdoc IMarket
    function rates() external view returns (uint16 protocolBps, uint256 feePerBillionUnits) {
        return (_rates.protocolBps, _rates.feePerBillionUnits);
    }

    /// @dev Rounds up, so that splitting work never makes it cheaper.
    function _workFee(uint64 workUnits) internal view returns (uint88) {
        return ((uint256(workUnits) * _rates.feePerBillionUnits + (1e9 - 1)) / 1e9).toUint88();
    }

    /// @dev What `IAssayVerifier.contextFor` says; computed here because it costs less.
    function _context(bytes32 job, address payout) internal view returns (bytes32) {
        return keccak256(abi.encode(CONTEXT_DOMAIN, block.chainid, address(this), job, payout));
    }

    /// @dev Rounds down. Never falls with time, so who waits for a transaction is never paid less than he saw.
    function _rampPrice(Ramp memory ramp) internal view returns (uint96) {
        if (block.timestamp < ramp.start) return ramp.minPrice;
        uint256 passed = block.timestamp - ramp.start;
        // Also where the ramp has no length: then it is a step.
        if (passed >= ramp.length) return ramp.maxPrice;
        return uint96(ramp.minPrice + uint256(ramp.maxPrice - ramp.minPrice) * passed / ramp.length);
    }

    /// @dev Raises `BadSpec` with `field` of the prices and the two behind it.
    function _checkRamp(uint256 minPrice, uint256 maxPrice, uint256 start, uint256 end, uint256 field) internal pure {
        if (minPrice == 0 || minPrice > maxPrice) revert BadSpec(field);
        if (maxPrice > type(uint96).max) revert BadSpec(field + 1);
        if (start > end || end - start > MAX_RAMP) revert BadSpec(field + 3);
        // Leases move the ramp, by no more time than there is until the deadline.
        if (end > type(uint40).max - MAX_DURATION) revert BadSpec(field + 3);
    }

    /// @dev Raises `BadSpec` with `field` of the deadline and the two behind it. Without a floor of bonds, leases that are never
    /// kept would cost nothing.
    function _checkLease(uint256 deadline, uint256 leaseSeconds, uint256 bond, uint256 maxPrice, uint256 field)
        internal
        view
    {
        if (deadline <= block.timestamp || deadline > block.timestamp + MAX_DURATION) revert BadSpec(field);
        if (leaseSeconds < MIN_LEASE_SECONDS || leaseSeconds > MAX_LEASE_SECONDS) revert BadSpec(field + 1);
        if (bond * 20 < maxPrice || bond > maxPrice) revert BadSpec(field + 2);
    }

    /// @dev The time that a lease must reach: `minUntil` seconds from this block, or a block time. No block has a time as small as
    /// the longest lease.
    function _least(uint40 minUntil) internal view returns (uint256) {
        return minUntil > MAX_LEASE_SECONDS ? minUntil : block.timestamp + minUntil;
    }

    /// @dev Splits a lost bond. Nobody who could make a lease fail gets more than half of it; an odd unit is burned.
    function _splitBond(uint256 bond) internal pure returns (uint256 burned, uint256 kept) {
        kept = bond / 2;
        burned = bond - kept;
    }

    /// @dev Credits a worker for proven work. The emission reads what is kept for him until now, so it comes first; nothing else here
    /// can be called meanwhile. Not guarded by try: with little gas, a stranger could then settle for a worker without his reward.
    function _reward(address worker, uint256 amount, uint256 fees, uint256 workUnits) internal {
        _creditWork(worker, amount, fees, emission.record(worker, fees, workUnits));
    }

    function _setProtocolBps(uint16 bps) private {
        if (bps > MAX_PROTOCOL_BPS) revert TooHigh(MAX_PROTOCOL_BPS);
        _rates.protocolBps = bps;
        emit ProtocolBps(bps);
    }

    function _setFeeRate(uint256 perBillionUnits) private {
        if (perBillionUnits > MAX_FEE_RATE) revert TooHigh(MAX_FEE_RATE);
        _rates.feePerBillionUnits = uint128(perBillionUnits);
        emit FeeRate(perBillionUnits);
    }
}
