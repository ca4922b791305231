// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { Pausable } from "@openzeppelin/contracts/utils/Pausable.sol";
import { IJobMarket } from "../../sol/economy/IJobMarket.sol";
import { ILedger } from "../../sol/economy/ILedger.sol";
import { MarketTest } from "./Market.sol";

contract LeaseTest is MarketTest {
    uint256 private constant BOND = 20e18 + 1;

    function leaseFails(uint256[] memory ids, bytes memory reason) private {
        cheats.prank(OTHER);
        cheats.expectRevert(reason);
        market.lease(ids, OTHER, anyBond(ids.length), 0);
    }

    function leaseFails(uint256[] memory ids, uint128[] memory most, uint40 least, bytes memory reason) private {
        cheats.prank(OTHER);
        cheats.expectRevert(reason);
        market.lease(ids, OTHER, most, least);
    }

    function testLocksPriceAndTakesBond() public {
        uint256 id = post();
        cheats.warp(nowAt() + 30 minutes);
        equal(market.currentPrice(id), 150e18, "ramp");
        uint256 before = token.balanceOf(WORKER);
        cheats.expectEmit(address(market));
        emit IJobMarket.Leased(id, WORKER, 150e18, uint40(nowAt() + 10 minutes));
        lease(id, WORKER);
        equal(before - token.balanceOf(WORKER), BOND, "bond");
        IJobMarket.Job memory j = market.job(id);
        check(j.payout == WORKER && j.price == 150e18 && j.held == BOND, "lease");
        equal(j.leaseEnd, nowAt() + 10 minutes, "end");
        cheats.warp(nowAt() + 10 minutes - 1);
        equal(market.currentPrice(id), 150e18, "locked");
        cheats.warp(nowAt() + 1);
        equal(market.currentPrice(id), 150e18, "goes on from there");
        equal(market.job(id).price, 0, "locked no more");
        cheats.warp(nowAt() + 6 minutes);
        equal(market.currentPrice(id), 160e18, "at the pace of the ramp");
        balanced();
    }

    /// What a worker allows bounds what is taken from him: by a unit of the bond and by a second of the end.
    function testTermsOfTheWorker() public {
        uint256[] memory ids = new uint256[](2);
        (ids[0], ids[1]) = (post(), post());
        uint128[] memory most = anyBond(2);
        most[1] = uint128(BOND - 1);
        bytes memory tooHigh = abi.encodeWithSelector(IJobMarket.BondTooHigh.selector, ids[1], uint128(BOND));
        leaseFails(ids, most, 0, tooHigh);
        most[1] = uint128(BOND);
        uint40 until = uint40(nowAt() + 10 minutes);
        bytes memory tooShort = abi.encodeWithSelector(IJobMarket.LeaseTooShort.selector, ids[0], until);
        leaseFails(ids, most, until + 1, tooShort);
        leaseFails(ids, anyBond(1), 0, abi.encodeWithSelector(IJobMarket.WrongLength.selector));
        leaseFails(ids, anyBond(3), 0, abi.encodeWithSelector(IJobMarket.WrongLength.selector));
        uint256 before = token.balanceOf(OTHER);
        cheats.prank(OTHER);
        market.lease(ids, OTHER, most, until);
        equal(before - token.balanceOf(OTHER), 2 * BOND, "bonds");
    }

    /// The deadline trap: the bond is the whole price, a block takes twelve seconds, and 30 seconds are needed for the proof. The
    /// deadline leaves them when the call is made. Whichever block includes it: the lease lasts 30 seconds from there, or there
    /// is none and nothing is taken.
    function testDeadlineTrap() public {
        IJobMarket.Spec memory s = spec(SINGLE);
        s.bond = s.maxPrice;
        uint256 given;
        for (uint256 blocks = 0; blocks < 8; blocks++) {
            s.inputCommitment = commitmentOf(market.jobs() + 1);
            s.deadline = uint40(nowAt() + 65);
            uint256 id = post(s);
            uint256 before = token.balanceOf(OTHER);
            cheats.warp(nowAt() + 12 * blocks);
            if (12 * blocks + 30 <= 65) {
                cheats.prank(OTHER);
                market.lease(list(id), OTHER, anyBond(1), 30);
                equal(market.job(id).leaseEnd, s.deadline, "until the deadline");
                check(market.job(id).leaseEnd >= nowAt() + 30, "long enough");
                equal(before - token.balanceOf(OTHER), s.bond, "bond");
                given++;
            } else {
                bytes memory reason = nowAt() < s.deadline
                    ? abi.encodeWithSelector(IJobMarket.LeaseTooShort.selector, id, s.deadline)
                    : abi.encodeWithSelector(IJobMarket.DeadlineOver.selector, id);
                leaseFails(list(id), anyBond(1), 30, reason);
                equal(market.job(id).leaseEnd, 0, "no lease");
                equal(token.balanceOf(OTHER), before, "nothing taken");
            }
        }
        equal(given, 3, "leases");
    }

    /// A time that the lease must reach does not see how late the call is mined: the same trap catches it, which is why a number of
    /// seconds is the term to use.
    function testTimeToReachIsNoTimeLeft() public {
        IJobMarket.Spec memory s = spec(SINGLE);
        s.bond = s.maxPrice;
        s.deadline = uint40(nowAt() + 65);
        uint256 id = post(s);
        uint40 reach = uint40(nowAt() + 30);
        cheats.warp(nowAt() + 48);
        leaseFails(list(id), anyBond(1), 30, abi.encodeWithSelector(IJobMarket.LeaseTooShort.selector, id, s.deadline));
        cheats.prank(WORKER);
        market.lease(list(id), WORKER, anyBond(1), reach);
        equal(market.job(id).leaseEnd, nowAt() + 17, "too short");
    }

    /// Both forms of the least lease, to the second, and at the number that divides them.
    function testLeastLease(uint40 deadline, uint32 length, uint40 least) public {
        IJobMarket.Spec memory s = spec(SINGLE);
        s.leaseSeconds = uint32(1 minutes + length % (7 days - 1 minutes + 1));
        s.deadline = uint40(nowAt() + 1 + deadline % 10 days);
        uint256 id = post(s);
        uint256 lasts = s.leaseSeconds;
        if (s.deadline - nowAt() < lasts) lasts = s.deadline - nowAt();
        uint256 state = cheats.snapshotState();
        cheats.prank(OTHER);
        market.lease(list(id), OTHER, anyBond(1), uint40(lasts));
        cheats.revertToState(state);
        state = cheats.snapshotState();
        cheats.prank(OTHER);
        market.lease(list(id), OTHER, anyBond(1), uint40(nowAt() + lasts));
        cheats.revertToState(state);
        bytes memory reason = abi.encodeWithSelector(IJobMarket.LeaseTooShort.selector, id, uint40(nowAt() + lasts));
        // One second more than the longest lease is a block time of 1970, which every lease reaches.
        if (lasts < 7 days) leaseFails(list(id), anyBond(1), uint40(lasts + 1), reason);
        leaseFails(list(id), anyBond(1), uint40(nowAt() + lasts + 1), reason);
        bool enough = least <= 7 days ? least <= lasts : least <= nowAt() + lasts;
        if (enough) {
            cheats.prank(OTHER);
            market.lease(list(id), OTHER, anyBond(1), least);
        } else {
            leaseFails(list(id), anyBond(1), least, reason);
        }
    }

    /// Lost leases in any number and at any time make no job dearer than its ramp alone does, and keep none down: the price is
    /// the ramp's after as much time as there was no lease. So whoever lets a lease pass gains nothing by it, under whatever
    /// name he comes back, and the next worker finds the price that he left.
    function testLostLeasesMoveNoPrice(uint256 seed, uint40 length, uint32 seconds_, uint8 count) public {
        IJobMarket.Spec memory s = spec(SINGLE);
        s.rampStart = uint40(nowAt() + seed % 2 hours);
        s.rampEnd = uint40(s.rampStart + length % 3 days);
        s.deadline = uint40(nowAt() + 30 days);
        s.leaseSeconds = uint32(1 minutes + seconds_ % 1 days);
        uint256 id = post(s);
        uint256 twin = post(s);
        uint256 posted = nowAt();
        uint256 leased;
        for (uint256 i = 0; i < count % 8; i++) {
            seed = uint256(keccak256(abi.encode(seed)));
            cheats.warp(nowAt() + seed % 4 hours);
            uint256 left = market.currentPrice(id);
            lease(id, (seed >> 64) % 2 == 0 ? WORKER : OTHER);
            equal(market.job(id).price, left, "locked");
            cheats.warp(nowAt() + s.leaseSeconds);
            leased += s.leaseSeconds;
            equal(market.currentPrice(id), left, "found as it was left");
            check(market.currentPrice(id) <= market.currentPrice(twin), "dearer than its ramp");
        }
        cheats.warp(nowAt() + seed % 2 days);
        uint256 free = nowAt() - leased;
        uint256 expected = s.minPrice;
        if (free >= s.rampEnd) {
            expected = s.maxPrice;
        } else if (free > s.rampStart) {
            expected += uint256(s.maxPrice - s.minPrice) * (free - s.rampStart) / (s.rampEnd - s.rampStart);
        }
        equal(market.currentPrice(id), expected, "the ramp without leased time");
        fulfil(id, WORKER);
        check(market.job(id).price == expected && expected <= market.currentPrice(twin), "paid");
        check(nowAt() >= posted + leased, "time");
        balanced();
    }

    /// The end of the ramp can be as late as there is room for leases to move it.
    function testRampNeverWraps() public {
        IJobMarket.Spec memory s = spec(SINGLE);
        s.rampEnd = uint40(type(uint40).max - market.MAX_DURATION());
        s.rampStart = s.rampEnd - 1 days;
        s.deadline = uint40(nowAt() + market.MAX_DURATION());
        s.leaseSeconds = 7 days;
        uint256 id = post(s);
        while (nowAt() < s.deadline) {
            lease(id, WORKER);
            cheats.warp(market.job(id).leaseEnd);
        }
        equal(market.job(id).rampEnd, type(uint40).max, "moved by 90 days");
        s.rampEnd++;
        s.deadline = uint40(nowAt() + 1);
        cheats.prank(REQUESTER);
        cheats.expectRevert(abi.encodeWithSelector(IJobMarket.BadSpec.selector, 6));
        market.post(s, 0, "");
    }

    function testRamp(uint128 low, uint128 high, uint40 start, uint40 length, uint256 time) public {
        IJobMarket.Spec memory s = spec(SINGLE);
        s.minPrice = uint128(1 + low % 1e26);
        s.maxPrice = uint128(s.minPrice + high % 1e26);
        s.rampStart = uint40(start % 3e9);
        s.rampEnd = uint40(s.rampStart + length % (1 << 24));
        s.bond = s.maxPrice;
        uint256 id = post(s);
        cheats.warp(nowAt() + time % 1 days);
        uint256 price = market.currentPrice(id);
        check(price >= s.minPrice && price <= s.maxPrice, "range");
        if (nowAt() < s.rampStart) equal(price, s.minPrice, "before");
        else if (nowAt() >= s.rampEnd) equal(price, s.maxPrice, "after");
        cheats.warp(nowAt() + 1);
        check(market.currentPrice(id) >= price, "falls");
    }

    /// I8.
    function testOneLiveLease() public {
        uint256 id = post();
        lease(id, WORKER);
        uint40 end = market.job(id).leaseEnd;
        bytes memory reason = abi.encodeWithSelector(IJobMarket.LeaseLive.selector, id, end);
        leaseFails(list(id), reason);
        cheats.warp(end - 1);
        leaseFails(list(id), reason);
        // Nor can one renew his own to keep others away for free.
        cheats.prank(WORKER);
        cheats.expectRevert(reason);
        market.lease(list(id), WORKER, anyBond(1), 0);
        cheats.warp(end);
        lease(id, OTHER);
    }

    function testTwiceInOneCall() public {
        uint256 id = post();
        uint256[] memory ids = new uint256[](2);
        (ids[0], ids[1]) = (id, id);
        leaseFails(ids, abi.encodeWithSelector(IJobMarket.LeaseLive.selector, id, uint40(nowAt() + 600)));
    }

    function testEndsByTheDeadline() public {
        uint256 id = post();
        uint40 deadline = market.job(id).deadline;
        cheats.warp(deadline - 1);
        lease(id, WORKER);
        equal(market.job(id).leaseEnd, deadline, "end");
        uint256 next = post();
        deadline = market.job(next).deadline;
        cheats.warp(deadline);
        leaseFails(list(next), abi.encodeWithSelector(IJobMarket.DeadlineOver.selector, next));
    }

    function testLostBondIsSplit() public {
        uint256 id = post();
        lease(id, WORKER);
        cheats.warp(nowAt() + 10 minutes);
        cheats.expectEmit(address(market));
        emit IJobMarket.LeaseLost(id, WORKER, 10e18 + 1, 10e18);
        lease(id, OTHER);
        IJobMarket.Job memory j = market.job(id);
        check(j.payout == OTHER && j.held == BOND && j.rescue == 10e18, "next lease");
        equal(j.price, 100e18, "price of the first lease, at which the second follows at once");
        equal(market.unburned(), 10e18 + 1, "burned");
        equal(market.claimable(WORKER), 0, "nothing for the loser");
        balanced();
        cheats.warp(nowAt() + 10 minutes);
        lease(id, OTHER);
        equal(market.job(id).rescue, 20e18, "adds up");
        balanced();
    }

    /// Leasing from oneself again and again costs half of the bond each time, whoever wins in the end.
    function testKeepingAJobBusyCosts() public {
        uint256 id = post();
        uint256 before = token.balanceOf(OTHER);
        for (uint256 i = 0; i < 5; i++) {
            lease(id, OTHER);
            cheats.warp(market.job(id).leaseEnd);
        }
        fulfil(id, OTHER);
        uint256 cost = before + workerPart(100e18) - token.balanceOf(OTHER) - market.claimable(OTHER);
        equal(cost, 5 * (10e18 + 1), "cost");
        equal(market.unburned(), cost + feeOf(UNITS), "burned");
        balanced();
    }

    function testManyAtOnce() public {
        uint256[] memory ids = list(post(), post(), post(spec(BATCH)), post());
        uint256 before = token.balanceOf(WORKER);
        cheats.prank(WORKER);
        market.lease(ids, OTHER, anyBond(ids.length), 0);
        equal(before - token.balanceOf(WORKER), 4 * BOND, "bonds");
        check(market.job(ids[3]).payout == OTHER, "payout");
        balanced();
        cheats.prank(WORKER);
        market.lease(new uint256[](0), WORKER, anyBond(0), 0);
    }

    function testRefused() public {
        leaseFails(list(9), abi.encodeWithSelector(IJobMarket.NotOpen.selector, 9));
        uint256 id = post();
        address[2] memory traps = [address(0), address(market)];
        for (uint256 i = 0; i < 2; i++) {
            cheats.prank(WORKER);
            cheats.expectRevert(ILedger.BadPayout.selector);
            market.lease(list(id), traps[i], anyBond(1), 0);
        }
        fulfil(id, WORKER);
        leaseFails(list(id), abi.encodeWithSelector(IJobMarket.NotOpen.selector, id));
        id = post();
        refund(id, REQUESTER);
        leaseFails(list(id), abi.encodeWithSelector(IJobMarket.NotOpen.selector, id));
        id = post();
        verifiers.tombstone(SINGLE);
        leaseFails(list(id), abi.encodeWithSelector(IJobMarket.VerifierEnded.selector, SINGLE));
        // Behind a job whose verifier is fine.
        uint256[] memory ids = new uint256[](2);
        (ids[0], ids[1]) = (post(spec(BATCH)), id);
        leaseFails(ids, abi.encodeWithSelector(IJobMarket.VerifierEnded.selector, SINGLE));
        id = post(spec(BATCH));
        cheats.prank(GUARDIAN);
        market.pause();
        leaseFails(list(id), abi.encodeWithSelector(Pausable.EnforcedPause.selector));
    }

    function testCurrentPriceNeedsAnOpenJob() public {
        cheats.expectRevert(abi.encodeWithSelector(IJobMarket.NotOpen.selector, 1));
        market.currentPrice(1);
        cheats.expectRevert(abi.encodeWithSelector(IJobMarket.NotOpen.selector, 1));
        market.job(1);
    }
}
