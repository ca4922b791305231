// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AssayVerifier } from "../../sol/AssayVerifier.sol";
import { IJobMarket } from "../../sol/economy/IJobMarket.sol";
import { ILedger } from "../../sol/economy/ILedger.sol";
import { IModelRegistry } from "../../sol/economy/IModelRegistry.sol";
import { JobMarket } from "../../sol/economy/JobMarket.sol";
import { MarketTest } from "./Market.sol";

contract FulfilTest is MarketTest {
    uint256 private constant BOND = 20e18 + 1;

    function why(bytes4 selector, uint256 id) private pure returns (bytes memory) {
        return abi.encodeWithSelector(selector, id);
    }

    function testWithinALease() public {
        uint256 id = post();
        lease(id, WORKER);
        cheats.warp(nowAt() + 9 minutes);
        cheats.expectEmit(address(market));
        emit IJobMarket.Fulfilled(id, WORKER, 100e18, uint128(workerPart(100e18) + BOND), outputOf(id));
        fulfil(id, WORKER);
        equal(market.claimable(WORKER), workerPart(100e18) + BOND, "worker");
        equal(market.claimable(TREASURY), 2.5e18, "treasury");
        (uint128 owner, uint128 data) = market.royalties(OFFER);
        check(owner == 10e18 && data == 3.33e18, "royalties");
        equal(market.unburned(), feeOf(UNITS), "fee");
        equal(emission.fees(WORKER), feeOf(UNITS), "recorded fee");
        equal(emission.totalUnits(), UNITS, "recorded units");
        IJobMarket.Job memory j = market.job(id);
        check(j.status == IJobMarket.Status.Fulfilled && j.payout == WORKER && j.price == 100e18, "job");
        check(j.held == 0 && j.rescue == 0, "nothing held");
        balanced();
    }

    function testWithoutALeaseAtThePriceNow() public {
        uint256 id = post();
        cheats.warp(nowAt() + 45 minutes);
        fulfil(id, OTHER);
        equal(market.job(id).price, 175e18, "price");
        equal(market.claimable(OTHER), workerPart(175e18), "worker");
        check(market.job(id).payout == OTHER, "payout");
        balanced();
    }

    function testRescuerGetsHalfOfTheBond() public {
        uint256 id = post();
        lease(id, WORKER);
        cheats.warp(market.job(id).leaseEnd);
        cheats.expectEmit(address(market));
        emit IJobMarket.LeaseLost(id, WORKER, 10e18 + 1, 10e18);
        fulfil(id, OTHER);
        equal(market.job(id).price, 100e18, "locked price");
        equal(market.claimable(OTHER), workerPart(100e18) + 10e18, "rescuer");
        equal(market.claimable(WORKER), 0, "loser");
        equal(market.unburned(), feeOf(UNITS) + 10e18 + 1, "burned");
        balanced();
    }

    /// Being late costs half of the bond even if nobody else came; earlier losses go to who delivers.
    function testLateWorker() public {
        uint256 id = post();
        lease(id, OTHER);
        cheats.warp(market.job(id).leaseEnd);
        lease(id, WORKER);
        cheats.warp(market.job(id).leaseEnd);
        fulfil(id, WORKER);
        equal(market.claimable(WORKER), workerPart(100e18) + 20e18, "worker");
        balanced();
    }

    function testNextLeaseholderGetsRescue() public {
        uint256 id = post();
        lease(id, OTHER);
        cheats.warp(market.job(id).leaseEnd);
        lease(id, WORKER);
        fulfil(id, WORKER);
        equal(market.claimable(WORKER), workerPart(100e18) + BOND + 10e18, "worker");
        balanced();
    }

    function testALeaseKeepsOthersOut() public {
        uint256 id = post();
        lease(id, WORKER);
        fulfilFails(list(id), OTHER, abi.encodeWithSelector(IJobMarket.WrongPayout.selector, id, WORKER));
        cheats.warp(market.job(id).leaseEnd - 1);
        fulfilFails(list(id), OTHER, abi.encodeWithSelector(IJobMarket.WrongPayout.selector, id, WORKER));
        cheats.warp(market.job(id).leaseEnd);
        fulfil(id, OTHER);
    }

    /// I3.
    function testPaysOnce() public {
        uint256 id = post();
        fulfil(id, WORKER);
        fulfilFails(list(id), WORKER, why(IJobMarket.NotOpen.selector, id));
        fulfilFails(list(id), OTHER, why(IJobMarket.NotOpen.selector, id));
        refund(id, OTHER);
        fulfilFails(list(id), WORKER, why(IJobMarket.NotOpen.selector, id));
        id = post();
        refund(id, REQUESTER);
        fulfilFails(list(id), WORKER, why(IJobMarket.NotOpen.selector, id));
        fulfilFails(list(77), WORKER, why(IJobMarket.NotOpen.selector, 77));
    }

    function testNotAfterTheDeadline() public {
        uint256 id = post();
        uint256 leased = post();
        uint40 deadline = market.job(id).deadline;
        cheats.warp(deadline - 1);
        lease(leased, WORKER);
        cheats.warp(deadline);
        fulfilFails(list(id), WORKER, why(IJobMarket.DeadlineOver.selector, id));
        fulfilFails(list(leased), WORKER, why(IJobMarket.DeadlineOver.selector, leased));
    }

    function testLastSecond() public {
        uint256 id = post();
        cheats.warp(market.job(id).deadline - 1);
        fulfil(id, WORKER);
        equal(market.job(id).price, 200e18, "price");
    }

    /// I6: also for whoever holds a lease and has a proof.
    function testEndedVerifierPaysNothing() public {
        uint256 id = post();
        lease(id, WORKER);
        verifiers.tombstone(SINGLE);
        fulfilFails(list(id), WORKER, abi.encodeWithSelector(IJobMarket.VerifierEnded.selector, SINGLE));
    }

    function testTrapsAreNotPaid() public {
        uint256 id = post();
        fulfilFails(list(id), address(0), abi.encodeWithSelector(ILedger.BadPayout.selector));
        fulfilFails(list(id), address(market), abi.encodeWithSelector(ILedger.BadPayout.selector));
    }

    // What would I send if I wanted to cheat?

    /// I4: copied from the pool of waiting transactions.
    function testCopiedProofPaysItsMaker() public {
        uint256 id = post();
        bytes memory proof = proofOf(list(id), WORKER);
        bytes memory values = valuesOf(list(id));
        bytes32[] memory salts = saltsOf(list(id));
        cheats.prank(OTHER);
        cheats.expectRevert(IJobMarket.InvalidProof.selector);
        market.fulfil(list(id), salts, OTHER, values, proof);
        // Sent by the copier it pays whom it was made for.
        cheats.prank(OTHER);
        market.fulfil(list(id), salts, WORKER, values, proof);
        equal(market.claimable(OTHER), 0, "copier");
        equal(market.claimable(WORKER), workerPart(100e18), "worker");
    }

    /// The same question asked again needs a proof again.
    function testProofOfAnotherJob() public {
        uint256 id = post();
        IJobMarket.Spec memory s = spec(SINGLE);
        s.inputCommitment = commitmentOf(id);
        uint256 twin = post(s);
        bytes memory proof = proofOf(list(id), WORKER);
        bytes memory values = valuesOf(list(id));
        bytes32[] memory salts = saltsOf(list(id));
        market.fulfil(list(id), salts, WORKER, values, proof);
        cheats.expectRevert(IJobMarket.InvalidProof.selector);
        market.fulfil(list(twin), salts, WORKER, values, proof);
    }

    function testProofForAnotherMarketOrChain() public {
        uint256 id = post();
        bytes memory proof = proofOf(list(id), WORKER);
        bytes memory values = valuesOf(list(id));
        bytes32[] memory salts = saltsOf(list(id));
        cheats.chainId(4242);
        cheats.expectRevert(IJobMarket.InvalidProof.selector);
        market.fulfil(list(id), salts, WORKER, values, proof);
        cheats.chainId(31337);
        JobMarket second = deploy(address(token), address(emission));
        cheats.prank(REQUESTER);
        token.approve(address(second), type(uint256).max);
        IJobMarket.Spec memory s = spec(SINGLE);
        s.inputCommitment = commitmentOf(id);
        cheats.prank(REQUESTER);
        second.post(s, 0, "");
        cheats.expectRevert(IJobMarket.InvalidProof.selector);
        second.fulfil(list(id), salts, WORKER, values, proof);
        market.fulfil(list(id), salts, WORKER, values, proof);
    }

    /// Any byte of what is proven.
    function testChangedValuesOrProof(uint256 index, uint8 mask) public {
        if (mask == 0) mask = 1;
        uint256 id = post();
        bytes memory values = valuesOf(list(id));
        bytes memory proof = proofOf(list(id), WORKER);
        bytes32[] memory salts = saltsOf(list(id));
        index %= values.length + proof.length;
        bool input = index < 16;
        if (index < values.length) values[index] ^= bytes1(mask);
        else proof[index - values.length] ^= bytes1(mask);
        cheats.expectRevert(
            input ? why(IJobMarket.WrongInput.selector, id) : abi.encodeWithSelector(IJobMarket.InvalidProof.selector)
        );
        market.fulfil(list(id), salts, WORKER, values, proof);
    }

    function testOtherInputOrSalt() public {
        uint256 id = post();
        bytes memory values = valuesOf(list(id + 1));
        bytes32 context = verifier.contextFor(address(market), bytes32(id), WORKER);
        bytes memory proof = verifier.prove(KEY, values, context);
        bytes32[] memory salts = saltsOf(list(id));
        cheats.expectRevert(why(IJobMarket.WrongInput.selector, id));
        market.fulfil(list(id), salts, WORKER, values, proof);
        salts[0] = ~salts[0];
        values = valuesOf(list(id));
        cheats.expectRevert(why(IJobMarket.WrongInput.selector, id));
        market.fulfil(list(id), salts, WORKER, values, proof);
    }

    /// Values may not be longer or shorter, even if the verifier would not mind.
    function testLengthOfValues() public {
        uint256 id = post();
        bytes32[] memory salts = saltsOf(list(id));
        bytes32 context = verifier.contextFor(address(market), bytes32(id), WORKER);
        bytes[3] memory wrong = [bytes.concat(valuesOf(list(id)), hex"00"), inputOf(id), bytes("")];
        for (uint256 i = 0; i < wrong.length; i++) {
            bytes memory proof = verifier.prove(KEY, wrong[i], context);
            cheats.expectRevert(IJobMarket.InvalidProof.selector);
            market.fulfil(list(id), salts, WORKER, wrong[i], proof);
        }
    }

    // Batches.

    function four() private returns (uint256[] memory ids) {
        ids = list(post(spec(BATCH)), post(spec(BATCH)), post(spec(BATCH)), post(spec(BATCH)));
    }

    function testBatch() public {
        uint256[] memory ids = four();
        lease(ids[0], OTHER);
        cheats.warp(market.job(ids[0]).leaseEnd);
        cheats.prank(WORKER);
        market.lease(list(ids[1]), WORKER, anyBond(1), 0);
        cheats.warp(nowAt() + 5 minutes);
        // Lost lease with rescue, five minutes behind; live lease at the price of then; two without.
        uint256 locked = market.job(ids[1]).price;
        uint256 free = market.currentPrice(ids[2]);
        // The first job's ramp without its lease of ten minutes.
        uint256 resumed = market.currentPrice(ids[0]);
        fulfil(ids, WORKER);
        check(resumed > 100e18 && resumed < free, "resumed");
        uint256 expected = workerPart(resumed) + 10e18 + workerPart(locked) + BOND + 2 * workerPart(free);
        equal(market.claimable(WORKER), expected, "worker");
        equal(emission.fees(WORKER), 4 * feeOf(UNITS), "fees");
        equal(emission.totalUnits(), 4 * uint256(UNITS), "units");
        equal(emission.calls(), 1, "one call");
        balanced();
    }

    function testFillersEarnNothing() public {
        uint256 id = post(spec(BATCH));
        fulfil(list(id, 0, 0, 0), WORKER);
        equal(market.claimable(WORKER), workerPart(100e18), "worker");
        equal(emission.totalUnits(), UNITS, "units");
        equal(emission.fees(WORKER), feeOf(UNITS), "fees");
        balanced();
    }

    function testOrder() public {
        uint256[] memory ids = four();
        bytes memory reason = abi.encodeWithSelector(IJobMarket.BadOrder.selector);
        fulfilFails(list(ids[1], ids[0], ids[2], ids[3]), WORKER, reason);
        // The same job in two slots.
        fulfilFails(list(ids[0], ids[0], ids[1], ids[2]), WORKER, reason);
        fulfilFails(list(ids[0], ids[1], ids[1], 0), WORKER, reason);
        fulfilFails(list(ids[0], 0, ids[1], 0), WORKER, reason);
        fulfilFails(list(0, 0, 0, 0), WORKER, why(IJobMarket.NotOpen.selector, 0));
        fulfilFails(list(0, ids[0], 0, 0), WORKER, why(IJobMarket.NotOpen.selector, 0));
    }

    function testCountOfSalts() public {
        uint256[] memory ids = four();
        ids[3] = 0;
        bytes memory values = valuesOf(ids);
        bytes memory proof = proofOf(ids, WORKER);
        for (uint256 count = 0; count < 6; count++) {
            bytes32[] memory salts = new bytes32[](count);
            for (uint256 i = 0; i < count; i++) {
                salts[i] = saltOf(ids[i < 4 ? i : 3]);
            }
            if (count != 3) {
                cheats.expectRevert(IJobMarket.BadOrder.selector);
                market.fulfil(ids, salts, WORKER, values, proof);
            }
        }
        fulfil(ids, WORKER);
        // More salts than slots.
        uint256 id = post();
        bytes32[] memory two = new bytes32[](2);
        two[0] = saltOf(id);
        (values, proof) = (valuesOf(list(id)), proofOf(list(id), WORKER));
        cheats.expectRevert(IJobMarket.BadOrder.selector);
        market.fulfil(list(id), two, WORKER, values, proof);
    }

    function testSizeOfBatch() public {
        uint256 id = post(spec(BATCH));
        fulfilFails(list(id), WORKER, why(IJobMarket.WrongBatch.selector, 4));
        fulfilFails(list(post(), 0, 0, 0), WORKER, why(IJobMarket.WrongBatch.selector, 1));
        fulfilFails(new uint256[](0), WORKER, why(IJobMarket.WrongBatch.selector, 1));
    }

    function testMixedVerifiersAndOffers() public {
        uint256[] memory ids = four();
        ids[3] = post();
        fulfilFails(ids, WORKER, why(IJobMarket.WrongVerifier.selector, ids[3]));
        IJobMarket.Spec memory s = spec(BATCH);
        s.offerId = OFFER_FREE;
        ids[3] = post(s);
        fulfilFails(ids, WORKER, abi.encodeWithSelector(IJobMarket.WrongOffer.selector));
        ids[3] = ids[2] + 99;
        fulfilFails(ids, WORKER, why(IJobMarket.NotOpen.selector, ids[3]));
        // One lease of somebody else holds up the batch, not his job's payment.
        ids = four();
        lease(ids[2], OTHER);
        fulfilFails(ids, WORKER, abi.encodeWithSelector(IJobMarket.WrongPayout.selector, ids[2], OTHER));
    }

    /// Slots swapped within the public values: each job has its own place.
    function testSwappedSlots() public {
        uint256[] memory ids = four();
        bytes memory values = valuesOf(list(ids[1], ids[0], ids[2], ids[3]));
        bytes32 context = verifier.contextFor(address(market), market.contextJob(ids), WORKER);
        bytes memory proof = verifier.prove(KEY, values, context);
        bytes32[] memory salts = saltsOf(ids);
        cheats.expectRevert(why(IJobMarket.WrongInput.selector, ids[0]));
        market.fulfil(ids, salts, WORKER, values, proof);
    }

    /// A batch's proof does not serve for fewer of its jobs, nor with others in the place of fillers.
    function testBatchProofOfOtherIds() public {
        uint256[] memory ids = four();
        bytes memory proof = proofOf(ids, WORKER);
        bytes memory values = valuesOf(ids);
        ids[3] = 0;
        bytes32[] memory salts = saltsOf(ids);
        cheats.expectRevert(IJobMarket.InvalidProof.selector);
        market.fulfil(ids, salts, WORKER, values, proof);
    }

    function testContextAgreesWithTheVerifier(uint256 a, uint256 b, uint256 c, address payout) public {
        AssayVerifier real = realVerifier();
        equal(uint256(market.contextJob(list(a))), a, "one");
        bytes32 job = keccak256(abi.encode("assay.batch.v1", list(a, b, c, 0)));
        check(market.contextJob(list(a, b, c, 0)) == job, "batch");
        bytes32 expected = real.contextFor(address(market), job, payout);
        check(verifier.contextFor(address(market), job, payout) == expected, "double");
        // The market passes the real verifier's context on: the double would refuse any other.
        uint256[] memory ids = four();
        fulfil(ids, WORKER);
    }

    // Amounts.

    /// The parts of a price add up to it, whatever the shares.
    function testShares(uint128 price, uint16 protocol, uint16 royalty, uint16 data) public {
        protocol %= 1_001;
        royalty %= 5_001;
        data %= 5_001 - royalty;
        cheats.prank(GOVERNOR);
        market.setProtocolBps(protocol);
        bytes32 offerId = keccak256("fuzzed");
        models.set(offerId, IModelRegistry.Offer(OWNER, royalty, data, 1, CURATOR, MODEL, 0));
        IJobMarket.Spec memory s = spec(SINGLE);
        s.offerId = offerId;
        s.minPrice = uint128(1 + price % 1e26);
        s.maxPrice = s.minPrice;
        s.bond = s.maxPrice;
        uint256 id = post(s);
        fulfil(id, WORKER);
        (uint256 toOwner, uint256 toData) = market.royalties(offerId);
        equal(toOwner, uint256(s.minPrice) * royalty / 1e4, "owner");
        equal(toData, uint256(s.minPrice) * data / 1e4, "data");
        equal(market.claimable(TREASURY), uint256(s.minPrice) * protocol / 1e4, "treasury");
        equal(
            market.claimable(WORKER) + toOwner + toData + market.claimable(TREASURY), s.minPrice, "parts of the price"
        );
        check(market.claimable(WORKER) * 10 >= uint256(s.minPrice) * 4, "worker's least part");
        uint256 all = token.balanceOf(address(market));
        market.collectRoyalties(offerId);
        uint256 out = market.withdraw(WORKER) + market.withdraw(OWNER) + market.withdraw(CURATOR)
            + market.withdraw(TREASURY) + market.burnFees();
        equal(out, all, "all of it leaves");
        equal(token.balanceOf(address(market)), 0, "nothing stays");
    }

    function testLargestAmounts() public {
        uint256 most = type(uint96).max;
        token.mint(REQUESTER, most);
        token.mint(WORKER, most);
        IJobMarket.Spec memory s = spec(SINGLE);
        (s.minPrice, s.maxPrice, s.bond) = (uint128(most), uint128(most), uint128(most));
        uint256 id = post(s);
        lease(id, WORKER);
        fulfil(id, WORKER);
        equal(market.claimable(WORKER), workerPart(most) + most, "worker");
        balanced();
    }

    /// If the emission fails the settlement fails: a worker is not paid without his reward being counted.
    function testEmissionFails() public {
        uint256 id = post();
        emission.breakDown();
        fulfilFails(list(id), WORKER, "");
        check(status(id) == IJobMarket.Status.Open, "open");
    }
}
