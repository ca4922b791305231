// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IEmissionController } from "../../sol/economy/IEmissionController.sol";
import { EmissionBase } from "./EmissionBase.sol";
import { PlainEmission } from "./PlainEmission.sol";

/// @dev What holds for all fees and all ways to spread them over identities and epochs.
contract EmissionPropertiesTest is EmissionBase {
    uint256 private constant IDENTITIES = 8;

    function setUp() external {
        Config memory config = defaults();
        // Two epochs are compared, so both have the same budget.
        config.schedule.decay = 1e18;
        start(config);
    }

    function identity(uint256 i) private pure returns (address) {
        return address(uint160(0x1D0000 + i));
    }

    /// @dev A fee that makes the budget bind in about half of the cases.
    function fee(uint256 seed) private pure returns (uint256) {
        uint256 scale = 10 ** (seed % 8);
        return bound(uint256(keccak256(abi.encode(seed))), 0, 4_000_000e18 / scale);
    }

    /// @dev I12: n identities get together at most what one gets for the same work, and nobody else's reward changes.
    function testSplittingGainsNothing(uint256 own, uint256 others, uint256[IDENTITIES] calldata cuts) external {
        own = fee(own);
        others = fee(others);
        settle(ALICE, own);
        settle(BOB, others);
        nextEpoch();
        uint256 left = own;
        for (uint256 i = 0; i < IDENTITIES; i++) {
            uint256 part = i == IDENTITIES - 1 ? left : bound(cuts[i], 0, left);
            settle(identity(i), part);
            left -= part;
        }
        settle(BOB, others);
        nextEpoch();
        uint256 whole = claim(ALICE, 0);
        uint256 split;
        for (uint256 i = 0; i < IDENTITIES; i++) {
            split += claim(identity(i), 1);
        }
        check(split <= whole, "I12: splitting gains");
        check(whole - split < IDENTITIES, "and loses only the rounding");
        check(claim(BOB, 0) == claim(BOB, 1), "others are not touched");
        boundsHold(0);
        boundsHold(1);
    }

    /// @dev Many small jobs of one worker are worth what one large job is.
    function testSplittingJobsGainsNothing(uint256 own, uint256 others, uint8 jobs) external {
        uint256 n = bound(jobs, 1, 20);
        uint256 part = fee(own) / n;
        others = fee(others);
        settle(ALICE, part * n);
        settle(BOB, others);
        nextEpoch();
        for (uint256 i = 0; i < n; i++) {
            settle(ALICE, part);
        }
        settle(BOB, others);
        nextEpoch();
        check(claim(ALICE, 0) == claim(ALICE, 1), "jobs do not matter");
    }

    /// @dev I13: whoever pays his own identities gets back at most kappa of the fees, which are burned.
    function testSelfDealingLoses(uint256[IDENTITIES] calldata fees, uint256 others, uint256 kappa) external {
        Config memory config = defaults();
        config.kappaBps = bound(kappa, 0, 5000);
        start(config);
        uint256 spent;
        for (uint256 i = 0; i < IDENTITIES; i++) {
            uint256 paid = fee(fees[i]);
            settle(identity(i % 3), paid);
            spent += paid;
            if (i % 2 == 1) settle(BOB, fee(others));
            if (i == 4) nextEpoch();
        }
        nextEpoch();
        uint256 earned;
        for (uint256 i = 0; i < 3; i++) {
            earned += claim(identity(i), 0) + claim(identity(i), 1);
        }
        check(earned * 10_000 <= spent * config.kappaBps, "I13: more than kappa");
        check(earned * 2 <= spent, "I13: more than half");
        boundsHold(0);
        boundsHold(1);
    }

    /// @dev Adding wash fees to honest work gains at most kappa of the wash fees, wherever the budget starts to bind.
    function testWashOnTopLoses(uint256 honest, uint256 wash, uint256 others) external {
        honest = fee(honest);
        wash = fee(wash);
        others = fee(others);
        settle(ALICE, honest);
        settle(BOB, others);
        nextEpoch();
        settle(ALICE, honest);
        settle(ALICE, wash);
        settle(BOB, others);
        nextEpoch();
        uint256 without = claim(ALICE, 0);
        uint256 with = claim(ALICE, 1);
        // One unit for each rounding.
        check(with <= without + (wash * emission.kappaBps()) / 10_000 + 2, "wash trading gains");
    }

    /// @dev The sum of rewards is the pool, up to rounding, in whatever order they are claimed.
    function testPoolIsPaidOut(uint256[IDENTITIES] calldata fees, uint256 first) external {
        for (uint256 i = 0; i < IDENTITIES; i++) {
            settle(identity(i), fee(fees[i]));
        }
        nextEpoch();
        uint256 sum;
        for (uint256 i = 0; i < IDENTITIES; i++) {
            sum += claim(identity((i + (first % IDENTITIES)) % IDENTITIES), 0);
        }
        IEmissionController.Stats memory stats = emission.stats(0);
        uint256 pool = (stats.fees * 5000) / 10_000;
        if (pool > emission.budget(0)) pool = emission.budget(0);
        check(sum <= pool && sum == stats.minted, "never beyond the pool");
        check(pool - sum < IDENTITIES || stats.fees == 0, "only rounding is left");
    }

    /// @dev Fees that the market keeps are counted as if each had been credited at once, whatever happens between payments:
    /// epochs that pass, one or many, claims and withdrawals before and after a later payment, payments without a fee.
    function testKeptFeesCountAtOnce(uint256[24] calldata seeds) external {
        PlainEmission plain = new PlainEmission(emission);
        for (uint256 i = 0; i < seeds.length; i++) {
            uint256 seed = seeds[i];
            address who = identity((seed >> 8) % 3);
            uint256 move = seed % 8;
            if (move < 4) {
                uint256 paid = move == 0 ? 0 : fee(seed);
                plain.settle(who, paid, 1000);
                market.settle(who, (seed >> 16) % 1e18, paid, 1000);
            } else if (move == 4) {
                market.withdraw(who);
            } else if (move == 5) {
                nextEpoch();
            } else if (move == 6) {
                skip((seed >> 16) % 30 days);
            } else if (emission.currentEpoch() > 0) {
                uint256 epoch = (seed >> 16) % emission.currentEpoch();
                uint256 due = plain.whole(epoch, who) - emission.paidOf(epoch, who);
                check(claim(who, epoch) == due, "claimed");
            }
            plain.same(who);
        }
        nextEpoch();
        for (uint256 i = 0; i < 3; i++) {
            for (uint256 epoch = 0; epoch < emission.currentEpoch(); epoch++) {
                claim(identity(i), epoch);
                check(emission.paidOf(epoch, identity(i)) == plain.whole(epoch, identity(i)), "all of it in the end");
            }
            plain.same(identity(i));
        }
    }
}
