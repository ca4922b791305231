// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IJobMarket } from "../../sol/economy/IJobMarket.sol";
import { MarketTest } from "./Market.sol";

contract RefundTest is MarketTest {
    uint256 private constant BOND = 20e18 + 1;
    uint256 private constant PRICE = 200e18;

    function refundFails(uint256 id, address by, bytes4 selector) private {
        cheats.prank(by);
        cheats.expectRevert(abi.encodeWithSelector(selector, id));
        market.refund(list(id));
    }

    function testCancel() public {
        uint256 id = post();
        refundFails(id, OTHER, IJobMarket.TooEarly.selector);
        cheats.expectEmit(address(market));
        emit IJobMarket.Refunded(id, REQUESTER, PRICE + feeOf(UNITS));
        refund(id, REQUESTER);
        equal(market.claimable(REQUESTER), PRICE + feeOf(UNITS), "all of it");
        check(status(id) == IJobMarket.Status.Closed, "closed");
        refundFails(id, REQUESTER, IJobMarket.NothingLeft.selector);
        balanced();
        uint256 before = token.balanceOf(REQUESTER);
        equal(market.withdraw(REQUESTER), token.balanceOf(REQUESTER) - before, "withdrawn");
        equal(token.balanceOf(address(market)), 0, "empty");
    }

    /// I9.
    function testNotDuringALease() public {
        uint256 id = post();
        lease(id, WORKER);
        uint40 end = market.job(id).leaseEnd;
        cheats.warp(end - 1);
        cheats.prank(REQUESTER);
        cheats.expectRevert(abi.encodeWithSelector(IJobMarket.LeaseLive.selector, id, end));
        market.refund(list(id));
        refundFails(id, WORKER, IJobMarket.TooEarly.selector);
        cheats.warp(end);
        refundFails(id, OTHER, IJobMarket.TooEarly.selector);
        refund(id, REQUESTER);
        equal(market.claimable(REQUESTER), PRICE + feeOf(UNITS) + 10e18, "with half of the bond");
        equal(market.unburned(), 10e18 + 1, "the other half");
        equal(market.claimable(WORKER), 0, "worker");
        balanced();
    }

    function testAfterTheDeadline() public {
        uint256 id = post();
        uint256 leased = post();
        lease(leased, OTHER);
        cheats.warp(market.job(leased).leaseEnd);
        lease(leased, WORKER);
        cheats.warp(market.job(id).deadline - 1);
        refundFails(id, OTHER, IJobMarket.TooEarly.selector);
        cheats.warp(market.job(id).deadline);
        refund(id, OTHER);
        equal(market.claimable(REQUESTER), PRICE + feeOf(UNITS), "never leased");
        cheats.expectEmit(address(market));
        emit IJobMarket.LeaseLost(leased, WORKER, 10e18 + 1, 10e18);
        refund(leased, OTHER);
        equal(market.claimable(REQUESTER), 2 * (PRICE + feeOf(UNITS)) + 20e18, "and what two lost");
        equal(market.unburned(), 2 * (10e18 + 1), "burned");
        balanced();
    }

    /// A lease to the last second ends with the deadline: the requester cannot be kept waiting.
    function testLeaseEndsWithTheDeadline() public {
        uint256 id = post();
        cheats.warp(market.job(id).deadline - 1);
        lease(id, WORKER);
        cheats.warp(nowAt() + 1);
        refund(id, OTHER);
        balanced();
    }

    /// I6: the worker is not to blame, so he gets his bond back, live or late; the requester everything else.
    function testVerifierEnded() public {
        uint256 free = post();
        uint256 late = post();
        lease(late, OTHER);
        cheats.warp(market.job(late).leaseEnd);
        lease(late, OTHER);
        uint256 live = post();
        cheats.warp(market.job(late).leaseEnd);
        lease(live, WORKER);
        verifiers.tombstone(SINGLE);
        uint256[] memory ids = new uint256[](3);
        (ids[0], ids[1], ids[2]) = (free, late, live);
        cheats.prank(GUARDIAN);
        market.refund(ids);
        equal(market.claimable(REQUESTER), 3 * (PRICE + feeOf(UNITS)) + 10e18, "requester");
        equal(market.claimable(WORKER), BOND, "live");
        equal(market.claimable(OTHER), BOND, "late");
        equal(market.unburned(), 10e18 + 1, "only what was lost before");
        balanced();
    }

    /// The state of one line's verifier does not leak to the next job in a call.
    function testMixedVerifiers() public {
        uint256[] memory ids = new uint256[](2);
        (ids[0], ids[1]) = (post(), post(spec(BATCH)));
        verifiers.tombstone(SINGLE);
        cheats.prank(OTHER);
        cheats.expectRevert(abi.encodeWithSelector(IJobMarket.TooEarly.selector, ids[1]));
        market.refund(ids);
        (ids[0], ids[1]) = (ids[1], ids[0]);
        cheats.prank(OTHER);
        cheats.expectRevert(abi.encodeWithSelector(IJobMarket.TooEarly.selector, ids[0]));
        market.refund(ids);
    }

    function testDifferenceAfterFulfilment() public {
        uint256 id = post();
        cheats.warp(nowAt() + 15 minutes);
        fulfil(id, WORKER);
        refund(id, OTHER);
        equal(market.claimable(REQUESTER), PRICE - 125e18, "difference");
        check(status(id) == IJobMarket.Status.Closed, "closed");
        refundFails(id, REQUESTER, IJobMarket.NothingLeft.selector);
        balanced();
        // What was paid stays readable.
        check(market.job(id).price == 125e18 && market.job(id).payout == WORKER, "record");
    }

    /// A tombstone after payment gives the requester the difference, not the price a second time.
    function testFulfilledThenEnded() public {
        uint256 id = post();
        lease(id, WORKER);
        fulfil(id, WORKER);
        verifiers.tombstone(SINGLE);
        cheats.warp(market.job(id).deadline);
        refund(id, REQUESTER);
        equal(market.claimable(REQUESTER), PRICE - 100e18, "difference");
        balanced();
    }

    function testNothingLeft() public {
        uint256 id = post();
        cheats.warp(nowAt() + 2 hours);
        fulfil(id, WORKER);
        refundFails(id, REQUESTER, IJobMarket.NothingLeft.selector);
        refundFails(55, REQUESTER, IJobMarket.NotOpen.selector);
        refundFails(0, REQUESTER, IJobMarket.NotOpen.selector);
    }

    function testTwiceInOneCall() public {
        uint256 id = post();
        uint256[] memory ids = new uint256[](2);
        (ids[0], ids[1]) = (id, id);
        cheats.prank(REQUESTER);
        cheats.expectRevert(abi.encodeWithSelector(IJobMarket.NothingLeft.selector, id));
        market.refund(ids);
    }

    /// I11.
    function testPauseStopsNoExit() public {
        uint256 a = post();
        uint256 b = post();
        uint256 c = post();
        lease(b, WORKER);
        cheats.prank(GUARDIAN);
        market.pause();
        fulfil(a, WORKER);
        fulfil(b, WORKER);
        refund(a, OTHER);
        refund(c, REQUESTER);
        check(market.withdraw(WORKER) > 0 && market.withdraw(REQUESTER) > 0, "withdraw");
        market.collectRoyalties(OFFER);
        check(market.withdraw(OWNER) > 0 && market.withdraw(CURATOR) > 0, "royalties");
        check(market.withdraw(TREASURY) > 0 && market.burnFees() > 0, "treasury and fees");
        balanced();
    }

    /// All that a withheld input can bring its requester: half of a bond, and never a payment.
    function testWithheldInput() public {
        uint256 start = token.balanceOf(REQUESTER);
        IJobMarket.Spec memory s = spec(SINGLE);
        s.inputCommitment = keccak256("nobody knows what of");
        uint256 id = post(s);
        lease(id, WORKER);
        cheats.warp(market.job(id).deadline);
        refund(id, REQUESTER);
        market.withdraw(REQUESTER);
        equal(token.balanceOf(REQUESTER), start + 10e18, "gain");
    }
}
