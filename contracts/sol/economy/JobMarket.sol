// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AccessManaged } from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { Pausable } from "@openzeppelin/contracts/utils/Pausable.sol";
import { SafeCast } from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import { IAssayVerifier } from "../IAssayVerifier.sol";
import { IEmissionController } from "./IEmissionController.sol";
import { IJobMarket } from "./IJobMarket.sol";
import { IModelRegistry } from "./IModelRegistry.sol";
import { IVerifierRegistry } from "./IVerifierRegistry.sol";
import { JobBook } from "./JobBook.sol";
import { Ledger } from "./Ledger.sol";

/// @title The market for proven inferences. No owner of funds, no upgrade.
/// @notice Pausing stops `post` and `lease` only: what is in the market can always be proven, refunded and withdrawn.
/// Two things a worker should know. Take a lease before showing a proof: without one the requester may cancel, and another
/// may lease, when they see it coming. And check the input before taking a lease: an input that is withheld, or outside of
/// the model's range, cannot be proven, and the bond would be lost.
contract JobMarket is JobBook, AccessManaged, Pausable {
    using SafeCast for uint256;

    /// @dev What a settlement knows of its batch, and what it adds up, so that each account is written once.
    struct Batch {
        address payout;
        uint256 line;
        bytes32 verifierId;
        bytes32 offerId;
        uint256 royaltyBps;
        uint256 dataBps;
        address verifier;
        bytes32 settlementId;
        uint256 inputBytes;
        uint256 outputBytes;
        uint256 workUnits;
        uint256 toWorker;
        uint256 toProtocol;
        uint256 toOwner;
        uint256 toData;
        uint256 fees;
        uint256 burned;
    }

    struct Rates {
        uint16 protocolBps;
        uint128 feePerBillionUnits;
    }

    /// @notice 1000 tokens of 18 decimals for 10^9 multiply-adds.
    uint256 public constant MAX_FEE_RATE = 1e21;

    bytes32 private constant CONTEXT_DOMAIN = keccak256("assay.context.v1");

    IEmissionController public immutable emission;

    Rates private _rates;

    /// @param manager The AccessManager of the restricted functions.
    /// @param token_ Has `burn(uint256)` and a supply below 2^96.
    /// @param protocolBps_ Part of each price for the treasury, in 1/10000.
    /// @param feePerBillionUnits_ Burned for each 10^9 multiply-adds of work, in the token's smallest unit.
    constructor(
        address manager,
        IERC20 token_,
        IVerifierRegistry verifiers_,
        IModelRegistry models_,
        IEmissionController emission_,
        address treasury_,
        uint16 protocolBps_,
        uint256 feePerBillionUnits_
    ) Ledger(token_, models_, treasury_) JobBook(verifiers_) AccessManaged(manager) {
        emission = emission_;
        _setProtocolBps(protocolBps_);
        _setFeeRate(feePerBillionUnits_);
    }

    /// @inheritdoc IJobMarket
    /// @dev Raises `BadSpec`, `VerifierEnded`, `WrongOffer`, `BadPayout` (the offer's), `TooLarge`, `WrongInput`,
    /// `OddToken`, the registries' errors for unknown ids, and `EnforcedPause`.
    function post(Spec calldata spec, bytes32 salt, bytes calldata input)
        external
        whenNotPaused
        nonReentrant
        returns (uint256 jobId)
    {
        _checkSpec(spec);
        uint88 fee;
        jobId = ++_pot.jobs;
        {
            (bool active,,, uint32 batch, uint32 inputValues, uint32 outputValues, uint64 workUnits) =
                verifiers.terms(spec.verifierId);
            if (!active) revert VerifierEnded(spec.verifierId);
            // Without public input a proof could answer any question, without public output it tells nothing.
            if (batch == 0 || inputValues == 0 || outputValues == 0) revert BadSpec(0);
            bool published = input.length != 0;
            bool matches = input.length == uint256(inputValues) * 8 && _commitment(salt, input) == spec.inputCommitment;
            if (published && !matches) revert WrongInput(jobId);
            fee = _workFee(workUnits);
        }
        Lot storage lot = _lots[jobId];
        lot.state = State(address(0), 0, Status.Open, INFERENCE, _rates.protocolBps);
        lot.pay = Pay(0, fee, spec.deadline, _lineOf(spec.verifierId, spec.offerId));
        lot.ramp =
            Ramp(uint96(spec.minPrice), uint96(spec.maxPrice), spec.rampStart, uint24(spec.rampEnd - spec.rampStart));
        lot.stake = Stake(uint96(spec.bond), 0);
        lot.order = Order(msg.sender, spec.leaseSeconds);
        lot.inputCommitment = spec.inputCommitment;
        emit Posted(jobId, msg.sender, spec.verifierId, spec, fee, salt, input);
        _take(uint256(spec.maxPrice) + fee);
    }

    /// @inheritdoc IJobMarket
    /// @dev The ramp moves on by the length of the lease at once, while the locked price is the one that counts: at its end the
    /// price goes on from where it was. Raises `BadPayout`, `WrongLength`, `NotOpen`, `LeaseLive`, `DeadlineOver`,
    /// `LeaseTooShort`, `BondTooHigh`, `VerifierEnded`, `OddToken`, `EnforcedPause`.
    function lease(uint256[] calldata jobIds, address payout, uint128[] calldata maxBonds, uint40 minUntil)
        external
        whenNotPaused
        nonReentrant
    {
        _requirePayable(payout);
        if (maxBonds.length != jobIds.length) revert WrongLength();
        _open(payout);
        // Counted from this block, or from none: no block has a time as small as the longest lease.
        uint256 least = minUntil > MAX_LEASE_SECONDS ? minUntil : block.timestamp + minUntil;
        uint256 activeLine;
        uint256 bonds;
        uint256 burned;
        for (uint256 i = 0; i < jobIds.length; ++i) {
            uint256 jobId = jobIds[i];
            Lot storage lot = _lots[jobId];
            State memory state = lot.state;
            if (state.status != Status.Open) revert NotOpen(jobId);
            if (block.timestamp < state.leaseEnd) revert LeaseLive(jobId, state.leaseEnd);
            Pay memory pay = lot.pay;
            if (block.timestamp >= pay.deadline) revert DeadlineOver(jobId);
            if (pay.line != activeLine) {
                // A bond for a proof that cannot be paid any more would only wait for its refund.
                bytes32 verifierId = _lines[pay.line].verifierId;
                if (!verifiers.isActive(verifierId)) revert VerifierEnded(verifierId);
                activeLine = pay.line;
            }
            Stake memory stake = lot.stake;
            if (stake.bond > maxBonds[i]) revert BondTooHigh(jobId, stake.bond);
            if (state.leaseEnd != 0) {
                (uint256 lost, uint256 kept) = _loseLease(jobId, state.payout, stake.bond);
                burned += lost;
                stake.rescue = (stake.rescue + kept).toUint96();
                lot.stake = stake;
            }
            uint256 until = block.timestamp + lot.order.leaseSeconds;
            if (until > pay.deadline) until = pay.deadline;
            if (until < least) revert LeaseTooShort(jobId, uint40(until));
            Ramp memory ramp = lot.ramp;
            pay.price = _rampPrice(ramp);
            lot.pay = pay;
            // Leases of a job do not overlap and end by its deadline, for which `_checkSpec` leaves room.
            ramp.start += uint40(until - block.timestamp);
            lot.ramp = ramp;
            state.leaseEnd = uint40(until);
            state.payout = payout;
            lot.state = state;
            bonds += stake.bond;
            emit Leased(jobId, payout, pay.price, state.leaseEnd);
        }
        _burnLater(burned);
        if (bonds != 0) _take(bonds);
    }

    /// @inheritdoc IJobMarket
    /// @dev Never pausable. Everything but the worker's account is written before the verifier and the emission are called. Raises `BadPayout`,
    /// `NotOpen`, `VerifierEnded`, `WrongBatch`, `BadOrder`, `WrongVerifier`, `WrongOffer`, `WrongInput`, `WrongPayout`,
    /// `DeadlineOver`, `InvalidProof`, and what the verifier raises.
    function fulfil(
        uint256[] calldata jobIds,
        bytes32[] calldata salts,
        address payout,
        bytes calldata publicValues,
        bytes calldata proof
    ) external nonReentrant {
        _requirePayable(payout);
        Batch memory batch = _openBatch(jobIds, publicValues.length);
        batch.payout = payout;
        // The batch's inputs come first, then its outputs.
        uint256 outputs = jobIds.length * batch.inputBytes;
        uint256 last;
        for (uint256 i = 0; i < jobIds.length; ++i) {
            uint256 jobId = jobIds[i];
            if (i < salts.length ? jobId <= last : jobId != 0) revert BadOrder();
            if (jobId == 0) continue;
            last = jobId;
            _settle(
                batch,
                jobId,
                salts[i],
                publicValues[i * batch.inputBytes:(i + 1) * batch.inputBytes],
                publicValues[outputs + i * batch.outputBytes:outputs + (i + 1) * batch.outputBytes]
            );
        }
        // More salts than slots: else the same settlement would have many encodings.
        if (salts.length > jobIds.length) revert BadOrder();

        _creditRoyalties(batch.offerId, batch.toOwner, batch.toData);
        Pot memory pot = _pot;
        pot.unburned = (pot.unburned + batch.fees + batch.burned).toUint96();
        pot.treasury = (pot.treasury + batch.toProtocol).toUint96();
        _pot = pot;

        bytes32 context = _context(jobIds, payout);
        if (!IAssayVerifier(batch.verifier).verify(batch.settlementId, publicValues, context, proof)) {
            revert InvalidProof();
        }
        batch.workUnits *= salts.length;
        _reward(batch);
    }

    /// @inheritdoc IJobMarket
    /// @dev Never pausable. Raises `NotOpen` for unknown jobs, `NothingLeft`, `LeaseLive` to the requester, `TooEarly` to
    /// others.
    function refund(uint256[] calldata jobIds) external nonReentrant {
        uint256 knownLine;
        bool ended;
        uint256 burned;
        for (uint256 i = 0; i < jobIds.length; ++i) {
            uint256 jobId = jobIds[i];
            Lot storage lot = _lots[jobId];
            State memory state = lot.state;
            if (state.status == Status.None) revert NotOpen(jobId);
            if (state.status == Status.Closed) revert NothingLeft(jobId);
            address requester = lot.order.requester;
            Pay memory pay = lot.pay;
            uint256 amount = lot.ramp.maxPrice;
            if (state.status == Status.Fulfilled) {
                amount -= pay.price;
                if (amount == 0) revert NothingLeft(jobId);
            } else {
                if (pay.line != knownLine) {
                    knownLine = pay.line;
                    ended = !verifiers.isActive(_lines[knownLine].verifierId);
                }
                if (!ended && block.timestamp < pay.deadline) {
                    if (msg.sender != requester) revert TooEarly(jobId);
                    if (block.timestamp < state.leaseEnd) revert LeaseLive(jobId, state.leaseEnd);
                }
                Stake memory stake = lot.stake;
                amount += pay.workFee;
                amount += stake.rescue;
                if (state.leaseEnd != 0) {
                    if (ended) {
                        // Whether the worker would have kept the lease is not known any more.
                        _credit(state.payout, stake.bond);
                        emit BondReturned(jobId, state.payout, stake.bond);
                    } else {
                        (uint256 lost, uint256 kept) = _loseLease(jobId, state.payout, stake.bond);
                        burned += lost;
                        amount += kept;
                    }
                }
            }
            lot.state.status = Status.Closed;
            _credit(requester, amount);
            emit Refunded(jobId, requester, amount);
        }
        _burnLater(burned);
    }

    /// @notice Stops `post` and `lease`. Restricted: the guardian.
    function pause() external restricted {
        _pause();
    }

    /// @notice Allows them again. Restricted: by vote.
    function unpause() external restricted {
        _unpause();
    }

    /// @notice Sets the treasury's part of prices, in 1/10000, for jobs posted from now on. Restricted: by vote. Raises `TooHigh`.
    function setProtocolBps(uint16 bps) external restricted {
        _setProtocolBps(bps);
    }

    /// @notice Sets the work fee for jobs posted from now on. Restricted: by vote. Raises `TooHigh`.
    function setFeeRate(uint256 perBillionUnits) external restricted {
        _setFeeRate(perBillionUnits);
    }

    /// @inheritdoc IJobMarket
    function contextJob(uint256[] calldata jobIds) public pure returns (bytes32) {
        if (jobIds.length == 1) return bytes32(jobIds[0]);
        return keccak256(abi.encode("assay.batch.v1", jobIds));
    }

    /// @inheritdoc IJobMarket
    function workFee(bytes32 verifierId) external view returns (uint128) {
        (,,,,,, uint64 workUnits) = verifiers.terms(verifierId);
        return _workFee(workUnits);
    }

    /// @inheritdoc IJobMarket
    function rates() external view returns (uint16 protocolBps, uint256 feePerBillionUnits) {
        return (_rates.protocolBps, _rates.feePerBillionUnits);
    }

    /// @dev Rounds up, so that splitting work never makes it cheaper.
    function _workFee(uint64 workUnits) private view returns (uint88) {
        return ((uint256(workUnits) * _rates.feePerBillionUnits + (1e9 - 1)) / 1e9).toUint88();
    }

    /// @dev What `IAssayVerifier.contextFor` says; computed here because it costs less.
    function _context(uint256[] calldata jobIds, address payout) private view returns (bytes32) {
        return keccak256(abi.encode(CONTEXT_DOMAIN, block.chainid, address(this), contextJob(jobIds), payout));
    }

    /// @dev The first job says what the batch is.
    function _openBatch(uint256[] calldata jobIds, uint256 valuesLength) private view returns (Batch memory batch) {
        if (jobIds.length == 0) revert WrongBatch(1);
        batch.line = _lots[jobIds[0]].pay.line;
        if (batch.line == 0) revert NotOpen(jobIds[0]);
        Line memory line = _lines[batch.line];
        batch.verifierId = line.verifierId;
        batch.offerId = line.offerId;
        batch.royaltyBps = _royalties[line.offerId].ownerBps;
        batch.dataBps = _royalties[line.offerId].dataBps;
        bool active;
        uint256 slots;
        (active, batch.verifier, batch.settlementId, slots, batch.inputBytes, batch.outputBytes, batch.workUnits) =
            verifiers.terms(line.verifierId);
        if (!active) revert VerifierEnded(line.verifierId);
        if (jobIds.length != slots) revert WrongBatch(slots);
        batch.inputBytes *= 8;
        batch.outputBytes *= 8;
        if (valuesLength != slots * (batch.inputBytes + batch.outputBytes)) revert InvalidProof();
    }

    /// @dev Checks one job of a batch, marks it paid, and adds its parts to the batch's.
    function _settle(Batch memory batch, uint256 jobId, bytes32 salt, bytes calldata input, bytes calldata output)
        private
    {
        Lot storage lot = _lots[jobId];
        State memory state = lot.state;
        if (state.status != Status.Open) revert NotOpen(jobId);
        Pay memory pay = lot.pay;
        if (pay.line != batch.line) {
            if (_lines[pay.line].verifierId != batch.verifierId) revert WrongVerifier(jobId);
            revert WrongOffer();
        }
        if (_commitment(salt, input) != lot.inputCommitment) revert WrongInput(jobId);

        uint256 toWorker;
        if (block.timestamp < state.leaseEnd) {
            // No lease outlives the deadline.
            if (batch.payout != state.payout) revert WrongPayout(jobId, state.payout);
            Stake memory stake = lot.stake;
            toWorker = uint256(stake.bond) + stake.rescue;
        } else {
            if (block.timestamp >= pay.deadline) revert DeadlineOver(jobId);
            if (state.leaseEnd != 0) {
                Stake memory stake = lot.stake;
                (uint256 lost, uint256 kept) = _loseLease(jobId, state.payout, stake.bond);
                batch.burned += lost;
                toWorker = kept + stake.rescue;
            }
            pay.price = _rampPrice(lot.ramp);
            lot.pay = pay;
            state.payout = batch.payout;
        }
        state.status = Status.Fulfilled;
        lot.state = state;

        uint256 price = pay.price;
        // Amounts are below 2^96, and the parts do not add up to more than the price (`_lineOf`).
        unchecked {
            uint256 toProtocol = price * state.protocolBps / BPS;
            uint256 toOwner = price * batch.royaltyBps / BPS;
            uint256 toData = price * batch.dataBps / BPS;
            // The rest, so that the parts are the price whatever was rounded.
            toWorker += price - toProtocol - toOwner - toData;
            batch.toWorker += toWorker;
            batch.toProtocol += toProtocol;
            batch.toOwner += toOwner;
            batch.toData += toData;
            batch.fees += pay.workFee;
        }
        emit Fulfilled(jobId, batch.payout, uint128(price), uint128(toWorker), output);
    }

    /// @dev Credits the worker. The emission reads what is kept for him until now, so it comes first; nothing else here can be
    /// called meanwhile. Not guarded by try: with little gas, a stranger could then settle for a worker without his reward.
    function _reward(Batch memory batch) private {
        uint256 epoch = emission.record(batch.payout, batch.fees, batch.workUnits);
        _creditWork(batch.payout, batch.toWorker, batch.fees, epoch);
    }

    /// @dev Splits a lost bond. Nobody who could make a lease fail gets more than half of it; an odd unit is burned.
    function _loseLease(uint256 jobId, address payout, uint256 bond) private returns (uint256 burned, uint256 kept) {
        kept = bond / 2;
        burned = bond - kept;
        emit LeaseLost(jobId, payout, uint128(burned), uint128(kept));
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
