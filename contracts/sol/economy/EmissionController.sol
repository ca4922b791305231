// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AccessManaged } from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import { Math } from "@openzeppelin/contracts/utils/math/Math.sol";
import { SafeCast } from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import { AssayToken } from "./AssayToken.sol";
import { Decay } from "./Decay.sol";
import { IEmissionController } from "./IEmissionController.sol";
import { ILedger } from "./ILedger.sol";

/// @title The only minter of the token. No owner, no pause; nothing but `releasePublic` is restricted.
/// @notice If the supply cap leaves less room than a worker is owed, `claim` mints what there is room for and the rest stays
/// claimable: burning makes room again. Who claims first is served first then.
contract EmissionController is IEmissionController, AccessManaged {
    /// @notice When and how much. Time before `start` belongs to epoch 0.
    struct Schedule {
        uint40 start; // block time
        uint32 length; // seconds of an epoch, at most a year
        uint96 budget; // of pool F in epoch 0
        uint96 publicBudget; // of pool P in epoch 0
        uint64 decay; // factor of both budgets from one epoch to the next, times 10^18; at most 10^18
    }

    /// @dev A worker in an epoch; fees that the market has handed over. Those of his last epoch are with the market.
    struct Account {
        uint96 fees;
        uint96 paid;
    }

    /// @dev An epoch. `record` writes the first slot, minting the second: the first payment of an epoch pays for one.
    struct Totals {
        uint96 fees;
        uint32 workers;
        uint96 units;
        uint128 minted;
        uint128 released;
    }

    AssayToken public immutable token;
    ILedger public immutable market;
    /// @notice Highest part of burned fees that is minted, in 1/10000.
    uint256 public immutable kappaBps;
    uint256 public immutable epochStart;
    uint256 public immutable epochLength;
    uint256 public immutable initialBudget;
    uint256 public immutable initialPublicBudget;
    uint256 public immutable decay;

    /// @dev At one half, whoever pays himself loses at least half of the fee.
    uint256 private constant MAX_KAPPA_BPS = 5000;
    uint256 private constant MAX_EPOCH = 365 days;
    /// @dev Fees of an epoch take 96 bits: sixteen times the whole supply burned in one epoch.
    uint256 private constant MAX_CAP = type(uint96).max / 16;
    uint256 private constant MAX_UNITS = type(uint96).max;

    mapping(uint256 epoch => Totals) private _totals;
    mapping(uint256 epoch => mapping(address worker => Account)) private _accounts;

    /// @param manager Authority over `releasePublic`.
    /// @param token_ Its minter must be this contract.
    /// @param market_ The only caller of `record`. It takes this contract in its constructor, so its address is predicted.
    constructor(address manager, AssayToken token_, ILedger market_, uint256 kappaBps_, Schedule memory schedule)
        AccessManaged(manager)
    {
        if (token_.minter() != address(this)) revert BadParameter(0);
        if (token_.cap() > MAX_CAP) revert BadParameter(1);
        if (address(market_) == address(0)) revert BadParameter(2);
        if (kappaBps_ > MAX_KAPPA_BPS) revert BadParameter(3);
        if (schedule.length == 0 || schedule.length > MAX_EPOCH) revert BadParameter(4);
        // A start in milliseconds would make all time epoch 0.
        if (schedule.start > block.timestamp + MAX_EPOCH) revert BadParameter(5);
        if (schedule.decay > Decay.ONE) revert BadParameter(6);
        token = token_;
        market = market_;
        kappaBps = kappaBps_;
        epochStart = schedule.start;
        epochLength = schedule.length;
        initialBudget = schedule.budget;
        initialPublicBudget = schedule.publicBudget;
        decay = schedule.decay;
    }

    /// @inheritdoc IEmissionController
    function record(address worker, uint256 fee, uint256 units) external returns (uint256 epoch) {
        if (msg.sender != address(market)) revert OnlyMarket();
        epoch = currentEpoch();
        Totals storage stored = _totals[epoch];
        (uint256 fees, uint256 workers) = (stored.fees, stored.workers);
        if (fee > 0) {
            fees += fee;
            (uint256 keptEpoch, uint256 kept) = market.keptFees(worker);
            if (kept == 0 || keptEpoch != epoch) {
                workers++;
                // Part of that epoch's total, which takes as many bits. Time does not go back, so no epoch is handed over twice.
                if (kept > 0) _accounts[keptEpoch][worker].fees = uint96(kept);
            }
        }
        // Units are only counted, so they saturate: a statistic must not stop a payment.
        uint256 sum = Math.min(Math.saturatingAdd(stored.units, units), MAX_UNITS);
        stored.fees = SafeCast.toUint96(fees);
        stored.workers = SafeCast.toUint32(workers);
        stored.units = uint96(sum);
        emit Recorded(epoch, worker, fee, units);
    }

    /// @inheritdoc IEmissionController
    function claim(address worker, uint256[] calldata epochs) external returns (uint256 amount) {
        // The fees that are the reason to mint are gone before anything is minted.
        if (market.unburned() > 0) market.burnFees();
        uint256 current = currentEpoch();
        uint256 room = token.cap() - token.totalSupply();
        for (uint256 i = 0; i < epochs.length; i++) {
            uint256 epoch = epochs[i];
            if (epoch >= current) revert EpochNotOver(epoch);
            uint256 part = Math.min(reward(epoch, worker), room - amount);
            if (part == 0) continue;
            amount += part;
            // At most the budget, which takes 96 bits.
            _accounts[epoch][worker].paid += uint96(part);
            _totals[epoch].minted += uint128(part);
            emit Rewarded(epoch, worker, part);
        }
        if (amount > 0) token.mint(worker, amount);
    }

    /// @inheritdoc IEmissionController
    function releasePublic(address to, uint256 amount) external restricted {
        uint256 epoch = currentEpoch();
        uint256 released = _totals[epoch].released;
        uint256 left = publicBudget(epoch) - released;
        if (amount > left) revert PublicBudget(epoch, left);
        _totals[epoch].released = uint128(released + amount);
        emit Released(epoch, to, amount);
        token.mint(to, amount);
    }

    /// @inheritdoc IEmissionController
    function reward(uint256 epoch, address worker) public view returns (uint256) {
        uint256 own = feesOf(epoch, worker);
        if (own == 0) return 0;
        uint256 fees = _totals[epoch].fees;
        uint256 pool = Math.min((fees * kappaBps) / 10_000, budget(epoch));
        // Rounded down for each worker, so all rewards together are at most the pool. Both factors take 96 bits.
        return (own * pool) / fees - _accounts[epoch][worker].paid;
    }

    /// @inheritdoc IEmissionController
    function currentEpoch() public view returns (uint256) {
        if (block.timestamp < epochStart) return 0;
        return (block.timestamp - epochStart) / epochLength;
    }

    /// @inheritdoc IEmissionController
    function budget(uint256 epoch) public view returns (uint256) {
        return Decay.budget(initialBudget, decay, epoch);
    }

    /// @inheritdoc IEmissionController
    function publicBudget(uint256 epoch) public view returns (uint256) {
        return Decay.budget(initialPublicBudget, decay, epoch);
    }

    /// @inheritdoc IEmissionController
    function feesOf(uint256 epoch, address worker) public view returns (uint256 fees) {
        fees = _accounts[epoch][worker].fees;
        // What the market keeps is of one epoch, and not here.
        if (fees == 0) {
            (uint256 keptEpoch, uint256 kept) = market.keptFees(worker);
            if (keptEpoch == epoch) fees = kept;
        }
    }

    /// @inheritdoc IEmissionController
    function paidOf(uint256 epoch, address worker) external view returns (uint256) {
        return _accounts[epoch][worker].paid;
    }

    /// @inheritdoc IEmissionController
    function stats(uint256 epoch) external view returns (Stats memory) {
        Totals storage stored = _totals[epoch];
        return Stats({
            fees: stored.fees,
            units: stored.units,
            workers: stored.workers,
            minted: stored.minted,
            released: stored.released
        });
    }

    /// @inheritdoc IEmissionController
    function inequality(uint256 epoch, address[] calldata workersByFees)
        external
        view
        returns (uint256 gini, uint256 largest, uint256 sumOfSquares)
    {
        uint256 count = workersByFees.length;
        if (count != _totals[epoch].workers) revert BadOrder();
        if (count == 0) return (0, 0, 0);
        uint256 weighted;
        uint256 total;
        for (uint256 i = 0; i < count; i++) {
            uint256 fees = feesOf(epoch, workersByFees[i]);
            // Accounts without fees are no workers; rising order excludes repetition. So these are all workers.
            bool rises = fees > largest || (fees == largest && i > 0 && workersByFees[i] > workersByFees[i - 1]);
            if (fees == 0 || !rises) revert BadOrder();
            weighted += (i + 1) * fees;
            total += fees;
            sumOfSquares += fees * fees;
            largest = fees;
        }
        gini = (10_000 * (2 * weighted - (count + 1) * total)) / (count * total);
    }
}
