// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { Pausable } from "@openzeppelin/contracts/utils/Pausable.sol";
import { IJobMarket } from "../../sol/economy/IJobMarket.sol";
import { MarketTest } from "./Market.sol";

contract LeaseTest is MarketTest {
    uint256 private constant BOND = 20e18 + 1;

    function leaseFails(uint256[] memory ids, bytes memory reason) private {
        cheats.prank(OTHER);
        cheats.expectRevert(reason);
        market.lease(ids, OTHER);
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
        cheats.warp(nowAt() + 20 minutes);
        equal(market.currentPrice(id), 150e18, "locked");
        balanced();
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
        market.lease(list(id), WORKER);
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
        equal(j.price, 100e18, "price of the first lease");
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
        market.lease(ids, OTHER);
        equal(before - token.balanceOf(WORKER), 4 * BOND, "bonds");
        check(market.job(ids[3]).payout == OTHER, "payout");
        balanced();
        cheats.prank(WORKER);
        market.lease(new uint256[](0), WORKER);
    }

    function testRefused() public {
        leaseFails(list(9), abi.encodeWithSelector(IJobMarket.NotOpen.selector, 9));
        uint256 id = post();
        address[2] memory traps = [address(0), address(market)];
        for (uint256 i = 0; i < 2; i++) {
            cheats.prank(WORKER);
            cheats.expectRevert(IJobMarket.BadPayout.selector);
            market.lease(list(id), traps[i]);
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
