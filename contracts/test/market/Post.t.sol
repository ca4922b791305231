// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IAccessManaged } from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import { Pausable } from "@openzeppelin/contracts/utils/Pausable.sol";
import { IJobMarket } from "../../sol/economy/IJobMarket.sol";
import { IMarket } from "../../sol/economy/IMarket.sol";
import { ILedger } from "../../sol/economy/ILedger.sol";
import { IModelRegistry } from "../../sol/economy/IModelRegistry.sol";
import { JobMarket } from "../../sol/economy/JobMarket.sol";
import { Market } from "../../sol/economy/Market.sol";
import { Verifiers } from "./Doubles.sol";
import { SettlementSize } from "../../sol/economy/SettlementSize.sol";
import { MarketTest } from "./Market.sol";

contract PostTest is MarketTest {
    function fails(IJobMarket.Spec memory s, bytes memory reason) private {
        cheats.prank(REQUESTER);
        cheats.expectRevert(reason);
        market.post(s, 0, "");
    }

    function bad(IJobMarket.Spec memory s, uint256 field) private {
        fails(s, abi.encodeWithSelector(IMarket.BadSpec.selector, field));
    }

    function testStoresAndTakes() public {
        IJobMarket.Spec memory s = spec(SINGLE);
        uint256 before = token.balanceOf(REQUESTER);
        cheats.expectEmit(address(market));
        emit IJobMarket.Posted(1, REQUESTER, SINGLE, s, uint128(feeOf(UNITS)), saltOf(1), inputOf(1));
        cheats.prank(REQUESTER);
        equal(market.post(s, saltOf(1), inputOf(1)), 1, "id");
        equal(before - token.balanceOf(REQUESTER), 200e18 + feeOf(UNITS), "taken");
        equal(market.workFee(SINGLE), feeOf(UNITS), "fee");
        IJobMarket.Job memory j = market.job(1);
        check(j.requester == REQUESTER && j.status == IJobMarket.Status.Open && j.kind == 1, "who and what");
        check(j.payout == address(0) && j.leaseEnd == 0 && j.price == 0 && j.held == 0 && j.rescue == 0, "no lease");
        check(j.rampStart == s.rampStart && j.rampEnd == s.rampEnd && j.deadline == s.deadline, "times");
        check(j.minPrice == 100e18 && j.maxPrice == 200e18 && j.bond == 20e18 + 1, "amounts");
        check(j.leaseSeconds == 600 && j.workFee == feeOf(UNITS) && j.protocolBps == PROTOCOL, "terms");
        check(j.verifierId == SINGLE && j.offerId == OFFER && j.inputCommitment == commitmentOf(1), "ids");
        balanced();
        equal(post(), 2, "next id");
        equal(market.jobs(), 2, "jobs");
    }

    function testFields() public {
        IJobMarket.Spec memory s = spec(SINGLE);
        s.inputCommitment = 0;
        bad(s, 2);
        s = spec(SINGLE);
        s.minPrice = 0;
        bad(s, 3);
        s.minPrice = s.maxPrice + 1;
        bad(s, 3);
        s = spec(SINGLE);
        s.maxPrice = uint128(type(uint96).max) + 1;
        s.bond = s.maxPrice;
        bad(s, 4);
        s = spec(SINGLE);
        s.rampStart = s.rampEnd + 1;
        bad(s, 6);
        s.rampEnd = s.rampStart + (1 << 24);
        bad(s, 6);
        s.rampEnd = type(uint40).max;
        bad(s, 6);
        s = spec(SINGLE);
        s.deadline = uint40(nowAt());
        bad(s, 7);
        s.deadline = uint40(nowAt() + 90 days + 1);
        bad(s, 7);
        s.deadline = type(uint40).max;
        bad(s, 7);
        s = spec(SINGLE);
        s.leaseSeconds = 59;
        bad(s, 8);
        s.leaseSeconds = 7 days + 1;
        bad(s, 8);
        s = spec(SINGLE);
        s.bond = s.maxPrice / 20 - 1;
        bad(s, 9);
        s.bond = s.maxPrice + 1;
        bad(s, 9);
        s.bond = type(uint128).max;
        bad(s, 9);
    }

    function testBoundsAreAllowed() public {
        IJobMarket.Spec memory s = spec(SINGLE);
        (s.minPrice, s.rampStart, s.bond, s.leaseSeconds) = (s.maxPrice, s.rampEnd, s.maxPrice / 20, 60);
        s.deadline = uint40(nowAt() + 90 days);
        post(s);
        s.rampStart = s.rampEnd - (1 << 24) + 1;
        post(s);
        equal(market.job(2).rampEnd, s.rampEnd, "end of the ramp");
        (s.minPrice, s.maxPrice, s.bond, s.leaseSeconds) = (1, 1, 1, 7 days);
        post(s);
        balanced();
    }

    /// A bond that rounds down to nothing would make leases free.
    function testSmallestBondIsNeverZero(uint128 maxPrice, uint128 bond) public {
        IJobMarket.Spec memory s = spec(SINGLE);
        s.maxPrice = uint128(1 + uint256(maxPrice) % 1e24);
        s.minPrice = 1;
        s.bond = bond % (s.maxPrice + 1);
        if (uint256(s.bond) * 20 < s.maxPrice) {
            bad(s, 9);
        } else {
            check(s.bond > 0, "bond");
            post(s);
        }
    }

    function testVerifierMustBeActive() public {
        IJobMarket.Spec memory s = spec(SINGLE);
        s.verifierId = keccak256("unknown");
        fails(s, abi.encodeWithSelector(IMarket.VerifierEnded.selector, s.verifierId));
        post();
        verifiers.tombstone(SINGLE);
        fails(spec(SINGLE), abi.encodeWithSelector(IMarket.VerifierEnded.selector, SINGLE));
    }

    function testVerifierMustHavePublicValues() public {
        bytes32 id = keccak256("private");
        verifiers.add(id, Verifiers.Kept(true, address(verifier), KEY, MODEL, 1, 0, 1, UNITS));
        bad(spec(id), 0);
        verifiers.add(id, Verifiers.Kept(true, address(verifier), KEY, MODEL, 1, 1, 0, UNITS));
        bad(spec(id), 0);
    }

    function testOfferMustFit() public {
        IJobMarket.Spec memory s = spec(SINGLE);
        s.offerId = keccak256("none");
        fails(s, abi.encodeWithSelector(IModelRegistry.UnknownOffer.selector, s.offerId));
        // An offer for another model would send royalties to somebody who has nothing to do with this one.
        models.set(s.offerId, IModelRegistry.Offer(OWNER, 10, 0, 1, address(0), keccak256("other"), 0));
        fails(s, abi.encodeWithSelector(IJobMarket.WrongOffer.selector));
        // Royalties that leave the worker nothing, should a registry ever allow them.
        models.set(s.offerId, IModelRegistry.Offer(OWNER, 9_000, 1, 1, CURATOR, MODEL, 0));
        fails(s, abi.encodeWithSelector(IJobMarket.WrongOffer.selector));
        // Credits of the market to itself could never be withdrawn.
        models.set(s.offerId, IModelRegistry.Offer(OWNER, 0, 1, 1, address(market), MODEL, 0));
        fails(s, abi.encodeWithSelector(ILedger.BadPayout.selector));
        models.set(s.offerId, IModelRegistry.Offer(OWNER, 0, 1, 1, address(0), MODEL, 0));
        fails(s, abi.encodeWithSelector(ILedger.BadPayout.selector));
    }

    function testPublishedInputMustMatch() public {
        IJobMarket.Spec memory s = spec(SINGLE);
        bytes memory reason = abi.encodeWithSelector(IJobMarket.WrongInput.selector, 1);
        cheats.prank(REQUESTER);
        cheats.expectRevert(reason);
        market.post(s, saltOf(2), inputOf(1));
        cheats.prank(REQUESTER);
        cheats.expectRevert(reason);
        market.post(s, saltOf(1), inputOf(2));
        // The commitment to an input of another length.
        bytes memory longer = bytes.concat(inputOf(1), bytes8(0));
        s.inputCommitment = keccak256(abi.encodePacked(saltOf(1), longer));
        cheats.prank(REQUESTER);
        cheats.expectRevert(reason);
        market.post(s, saltOf(1), longer);
    }

    function testFeeAndShareArePinned() public {
        uint256 id = post();
        cheats.prank(GOVERNOR);
        market.setProtocolBps(1_000);
        cheats.prank(GOVERNOR);
        market.setFeeRate(0);
        uint256 next = post();
        equal(market.job(id).protocolBps, PROTOCOL, "old share");
        equal(market.job(id).workFee, feeOf(UNITS), "old fee");
        equal(market.job(next).protocolBps, 1_000, "new share");
        equal(market.job(next).workFee, 0, "new fee");
        fulfil(id, WORKER);
        equal(market.claimable(TREASURY), uint256(100e18) * PROTOCOL / 1e4, "share of the old job");
        balanced();
    }

    /// Splitting work into parts never makes the fee smaller.
    function testFeeRoundsUp(uint64 a, uint64 b, uint256 rate) public {
        (a, b) = (a % 2 ** 50, b % 2 ** 50);
        rate %= 1e18;
        cheats.prank(GOVERNOR);
        market.setFeeRate(rate);
        uint256 whole = feeFor(a + b);
        uint256 parts = feeFor(a) + feeFor(b);
        check(parts >= whole && parts - whole <= 1, "split");
        check(whole * 1e9 >= uint256(a + b) * rate, "rounded down");
    }

    function feeFor(uint64 units) private returns (uint256) {
        verifiers.add(keccak256("sized"), Verifiers.Kept(true, address(verifier), KEY, MODEL, 1, 2, 1, units));
        return market.workFee(keccak256("sized"));
    }

    function testPause() public {
        cheats.prank(GUARDIAN);
        market.pause();
        fails(spec(SINGLE), abi.encodeWithSelector(Pausable.EnforcedPause.selector));
        // The guardian can only stop.
        cheats.prank(GUARDIAN);
        cheats.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, GUARDIAN));
        market.unpause();
        cheats.prank(GOVERNOR);
        market.unpause();
        post();
    }

    function testRestricted() public {
        bytes memory reason = abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, OTHER);
        bytes[4] memory calls = [
            abi.encodeCall(Market.pause, ()),
            abi.encodeCall(Market.unpause, ()),
            abi.encodeCall(Market.setProtocolBps, (1)),
            abi.encodeCall(Market.setFeeRate, (1))
        ];
        for (uint256 i = 0; i < calls.length; i++) {
            cheats.prank(OTHER);
            (bool ok, bytes memory why) = address(market).call(calls[i]);
            check(!ok && keccak256(why) == keccak256(reason), "anybody may");
        }
    }

    function testRatesAreBounded() public {
        cheats.prank(GOVERNOR);
        cheats.expectRevert(abi.encodeWithSelector(IMarket.TooHigh.selector, 1_000));
        market.setProtocolBps(1_001);
        cheats.prank(GOVERNOR);
        cheats.expectRevert(abi.encodeWithSelector(IMarket.TooHigh.selector, 1e21));
        market.setFeeRate(1e21 + 1);
        cheats.prank(GOVERNOR);
        market.setProtocolBps(1_000);
        cheats.prank(GOVERNOR);
        market.setFeeRate(1e21);
        (uint16 bps, uint256 rate) = market.rates();
        check(bps == 1_000 && rate == 1e21, "rates");
    }

    function testConstructorChecks() public {
        cheats.expectRevert(abi.encodeWithSelector(IMarket.TooHigh.selector, 1_000));
        construct(TREASURY, 1_001);
        cheats.expectRevert(ILedger.BadPayout.selector);
        construct(address(0), 0);
    }

    function construct(address treasury, uint16 bps) private {
        deployed("JobMarket", abi.encode(manager, token, verifiers, models, emission, treasury, bps, RATE));
    }

    /// An entry whose settlement no transaction can hold is refused at posting too: it may come from a registry without bounds.
    function testSettlementThatNoTransactionHolds() public {
        (uint256 bytes_, uint256 gas) = (SettlementSize.MAX_BYTES, SettlementSize.MAX_GAS);
        verifiers.setSettlement(SINGLE, bytes_ + 1, gas);
        IJobMarket.Spec memory s = spec(SINGLE);
        cheats.prank(REQUESTER);
        cheats.expectRevert(abi.encodeWithSelector(SettlementSize.TooLarge.selector, bytes_ + 1, gas));
        market.post(s, 0, "");
        verifiers.setSettlement(SINGLE, bytes_, gas + 1);
        cheats.prank(REQUESTER);
        cheats.expectRevert(abi.encodeWithSelector(SettlementSize.TooLarge.selector, bytes_, gas + 1));
        market.post(s, 0, "");
        verifiers.setSettlement(SINGLE, bytes_, gas);
        post(s);
    }
}
