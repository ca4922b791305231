// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { ITrainingMarket } from "../../sol/economy/ITrainingMarket.sol";
import { TrainingBase } from "./TrainingBase.sol";

/// What a round pays to whom, from the lease to the last withdrawal, and what happens when somebody lets his time pass.
contract TrainingMarketTest is TrainingBase {
    bytes32 private one;
    bytes32 private two;
    uint256 private id;

    function setUp() external {
        deployTraining();
        one = register(DATA, "one", 1_000);
        two = register(BEN, "two", 0);
        id = open(spec());
    }

    /// Two contributors train on different data, the second from the first's head, and both are paid for what was gained.
    function testStory() external {
        uint256 unburned = market.unburned();
        lease(id, one, ANNE);
        equal(token.balanceOf(ANNE), RICH - 8e18 - 1, "the bond is taken");
        pin(id);
        submit(id, "first");
        equal(market.claimable(ANNE), part(10e18, 1_000), "the price, at once");
        equal(market.claimable(DATA), 1e18, "the data's royalty");
        reveal(id);
        evaluate(id, 5_000, 4_250);
        uint256 gain = 7 * RATE;
        equal(
            market.claimable(ANNE), part(10e18, 1_000) + part(gain, 1_000) + 8e18 + 1, "seven whole steps, and the bond"
        );
        equal(market.claimable(defaults().treasury), (10e18 + gain) / 50, "the treasury");
        check(market.task(id).head == "first" && market.task(id).heads == 1, "the head");
        balanced(id);

        run(id, two, BEN, "second", 4_300, 4_199);
        equal(market.claimable(BEN), part(10e18, 0) + part(RATE, 0) + 8e18 + 1, "one step");
        check(market.task(id).head == "second" && market.task(id).heads == 2, "the head again");
        equal(market.unburned() - unburned, 2 * feesOf(TRAIN_UNITS + EVALUATE_UNITS), "fees to burn");
        balanced(id);

        // The emission knows of both proofs of each.
        uint256 each = feesOf(TRAIN_UNITS + EVALUATE_UNITS);
        equal(emission.feesOf(0, ANNE), each, "fees");
        equal(emission.stats(0).fees, 2 * each, "all fees");
        equal(emission.stats(0).workers, 2, "workers");
        equal(emission.stats(0).units, 2 * (TRAIN_UNITS + EVALUATE_UNITS), "units");
        skip(7 days);
        equal(emission.claim(ANNE, list(0)), each / 2, "the rebate");

        uint256 spent = 20e18 + 8 * RATE + 2 * each;
        cheats.prank(SPONSOR);
        market.refund(id);
        equal(market.claimable(SPONSOR), 1_000e18 - spent, "what is left");
        address[5] memory all = [SPONSOR, ANNE, BEN, DATA, defaults().treasury];
        for (uint256 i = 0; i < 5; i++) {
            market.withdraw(all[i]);
        }
        equal(token.balanceOf(address(market)), market.unburned(), "nothing is stuck");
    }

    /// What a round leaves in storage is not seen, and no later round takes it for its own.
    function testNothingOfARoundOutlivesIt() external {
        ITrainingMarket.Round memory none;
        bytes32 empty = keccak256(abi.encode(none));
        bytes memory asks = abi.encodeCall(ITrainingMarket.walkOf, (id));
        bytes4 wrong = ITrainingMarket.WrongPhase.selector;
        check(keccak256(abi.encode(market.round(id))) == empty, "before");
        for (uint256 i = 1; i < 4; i++) {
            lease(id, one, ANNE);
            ITrainingMarket.Round memory r = market.round(id);
            check(r.seed == 0 && r.trained == 0 && r.revealed == 0 && r.shard == 0, "leased");
            fails(address(this), address(market), asks, wrong, "no walk yet");
            pin(id);
            r = market.round(id);
            check(r.seed != 0 && r.trained == 0 && r.revealed == 0, "seeded");
            bytes memory late = submitCall(id, "again");
            submit(id, bytes32(i));
            r = market.round(id);
            check(r.seed == 0 && r.trained == bytes32(i) && r.revealed == 0 && r.shard == i - 1, "trained");
            fails(address(this), address(market), asks, wrong, "no walk any more");
            fails(address(this), address(market), late, wrong, "trained once");
            if (i == 2) {
                // The sponsor does not reveal.
                skip(2 hours);
                market.finish(id);
            } else {
                reveal(id);
                check(market.round(id).revealed == shard(i - 1), "revealed");
                bytes memory paid = evaluateCall(id, 500, 100);
                evaluate(id, 500, 100);
                fails(address(this), address(market), paid, wrong, "paid once");
            }
            check(keccak256(abi.encode(market.round(id))) == empty, "over");
            fails(address(this), address(market), asks, wrong, "no walk of nothing");
            bytes memory end = abi.encodeCall(ITrainingMarket.finish, (id));
            fails(address(this), address(market), end, ITrainingMarket.NotLive.selector, "ends once");
            balanced(id);
        }
    }

    /// The price begins anew after each proof that was paid, and moves on with leases after it.
    function testPriceBeginsAnewOncePaid() external {
        ITrainingMarket.Spec memory s = spec();
        (s.minPrice, s.maxPrice) = (10e18, 20e18);
        (s.rampStart, s.rampEnd) = (uint40(nowAt()), uint40(nowAt() + 10 days));
        (s.bond, s.evaluateSeconds) = (1e18, 7 days);
        s.deadline = uint40(nowAt() + 60 days);
        uint256 task = open(s);
        skip(5 days);
        equal(market.currentPrice(task), 15e18, "half way");
        lease(task, two, ANNE);
        pin(task);
        skip(600);
        submit(task, "first");
        equal(market.currentPrice(task), 10e18, "anew");
        reveal(task);
        skip(1 days);
        equal(market.currentPrice(task), 11e18, "and up");
        evaluate(task, 500, 100);
        uint256 left = s.leaseSeconds;
        lease(task, two, BEN);
        equal(market.round(task).price, 11e18, "locked");
        skip(left);
        market.finish(task);
        equal(market.currentPrice(task), 11e18, "the ramp moved on by the lease");
        skip(1 days);
        equal(market.currentPrice(task), 12e18, "and goes on");
    }

    /// Gains below a step are paid nothing and move no head; above the cap, the cap.
    function testSteps() external {
        run(id, two, ANNE, "a", 1_000, 901);
        check(market.task(id).head == HEAD && market.task(id).heads == 0, "less than a step");
        equal(market.claimable(ANNE), part(10e18, 0) + 8e18 + 1, "price and bond");
        run(id, two, ANNE, "b", 1_000, 1_000);
        run(id, two, ANNE, "c", 1_000, 1_001);
        run(id, two, ANNE, "d", 0, type(uint64).max >> 1);
        check(market.task(id).head == HEAD, "worse");
        run(id, two, BEN, "e", 1_000, 900);
        check(market.task(id).head == "e", "one step");
        equal(market.claimable(BEN), part(10e18, 0) + part(RATE, 0) + 8e18 + 1, "one step");
        run(id, two, BEN, "f", 1_000_000, 0);
        equal(market.claimable(BEN), 2 * part(10e18, 0) + part(RATE, 0) + part(MOST * RATE, 0) + 16e18 + 2, "cap");
        balanced(id);
    }

    /// What somebody gains in one round under one name, he does not gain more of under many in many rounds (I12).
    function testSplittingGainsNothing(uint64 loss, uint64[4] calldata falls) external {
        uint256 whole;
        uint256 parts;
        uint64 now_ = loss >> 2;
        uint64 begin = now_;
        for (uint160 i = 0; i < 4; i++) {
            uint64 fall = uint64(bound(falls[i], 0, 700));
            if (fall > now_) fall = now_;
            address name = address(0xA000 + i);
            require(token.transfer(name, 10e18));
            cheats.prank(name);
            token.approve(address(market), type(uint256).max);
            run(id, two, name, keccak256(abi.encode(i)), now_, now_ - fall);
            parts += market.claimable(name) - part(10e18, 0) - 8e18 - 1;
            now_ -= fall;
        }
        uint256 other = open(spec());
        run(other, two, ANNE, "whole", begin, now_);
        whole = market.claimable(ANNE) - part(10e18, 0) - 8e18 - 1;
        check(parts <= whole, "I12: splitting gains");
    }

    /// Half of the bond is burned, half waits for the next proof; the price goes on from where it was.
    function testLostLease() external {
        skip(30 minutes);
        lease(id, one, ANNE);
        equal(market.currentPrice(id), 15e18, "locked");
        pin(id);
        bytes memory late = submitCall(id, "late");
        uint256 unburned = market.unburned();
        skip(1 hours);
        fails(ANNE, address(market), late, ITrainingMarket.PhaseOver.selector, "late");
        market.finish(id);
        equal(market.unburned() - unburned, 4e18 + 1, "burned");
        equal(market.task(id).rescue, 4e18, "for the next");
        equal(market.currentPrice(id), 15e18, "the ramp goes on");
        equal(market.task(id).used, 0, "no shard was used");
        balanced(id);
        skip(15 minutes);
        run(id, two, BEN, "next", 100, 0);
        equal(market.claimable(BEN), part(17.5e18, 0) + part(RATE, 0) + 8e18 + 1 + 4e18, "with what was lost");
        equal(market.currentPrice(id), 10e18, "and anew");
        balanced(id);
    }

    /// A lost lease that nobody saves is the sponsor's; a lease ends the one before by itself.
    function testLostTwice() external {
        lease(id, one, ANNE);
        fails(BEN, address(market), leaseCall(id, two, BEN), ITrainingMarket.RoundLive.selector, "one at a time");
        skip(1 hours);
        lease(id, two, BEN);
        equal(market.task(id).rescue, 4e18, "the first's");
        skip(1 hours);
        cheats.prank(SPONSOR);
        market.refund(id);
        equal(market.claimable(SPONSOR), 1_008e18, "both");
        equal(market.unburned(), 8e18 + 2, "burned");
        balanced(id);
    }

    /// I9: a sponsor who reveals nothing pays the most that the round could have gained.
    function testSponsorReveals() external {
        lease(id, one, ANNE);
        pin(id);
        submit(id, "trained");
        bytes memory call_ = abi.encodeCall(ITrainingMarket.refund, (id));
        fails(SPONSOR, address(market), call_, ITrainingMarket.RoundLive.selector, "withdrawn during a round");
        call_ = abi.encodeCall(ITrainingMarket.finish, (id));
        fails(SPONSOR, address(market), call_, ITrainingMarket.RoundLive.selector, "ended during a round");
        skip(2 hours);
        fails(SPONSOR, address(market), revealCall(id, 0), ITrainingMarket.PhaseOver.selector, "late");
        // Whoever calls, also the sponsor by asking for his money.
        cheats.prank(SPONSOR);
        market.refund(id);
        uint256 most = MOST * RATE;
        equal(market.claimable(ANNE), part(10e18, 1_000) + part(most, 1_000) + 8e18 + 1, "the most");
        equal(market.claimable(SPONSOR), 1_000e18 - 10e18 - most - feesOf(TRAIN_UNITS), "and the rest");
        check(market.task(id).head == HEAD, "the head did not move");
        equal(emission.stats(0).fees, feesOf(TRAIN_UNITS), "only what was proven is recorded");
        balanced(id);
    }

    /// I10: no verdict, no pay.
    function testNobodyEvaluates() external {
        lease(id, one, ANNE);
        pin(id);
        submit(id, "trained");
        reveal(id);
        bytes memory late = evaluateCall(id, 500, 0);
        skip(3 hours);
        fails(ANNE, address(market), late, ITrainingMarket.PhaseOver.selector, "late");
        market.finish(id);
        equal(market.claimable(ANNE), part(10e18, 1_000) + 8e18 + 1, "price and bond, no gain");
        check(market.task(id).head == HEAD, "the head did not move");
        equal(market.task(id).escrow, 1_000e18 - 10e18 - feesOf(TRAIN_UNITS), "the rest is the task's");
        balanced(id);
        // The shard is known by now.
        run(id, two, BEN, "next", 100, 0);
        equal(market.task(id).used, 2, "another shard");
    }

    /// I6: with a verifier that has ended, nothing is paid any more and everything goes back, whatever the phase.
    function testVerifierEnds(uint8 phase, bool training) external {
        phase %= 5;
        if (phase > 0) lease(id, one, ANNE);
        if (phase > 1) pin(id);
        bytes memory call_ = phase == 2 ? submitCall(id, "trained") : bytes("");
        if (phase > 2) submit(id, "trained");
        if (phase > 3) reveal(id);
        if (phase == 4) call_ = evaluateCall(id, 500, 0);
        uint256 anne = market.claimable(ANNE);
        uint256 escrow = uint256(market.task(id).escrow) + market.round(id).reserved;
        cheats.prank(guardian);
        registry.tombstone(training ? trainId : evaluateId);
        if (phase == 0) {
            fails(ANNE, address(market), leaseCall(id, one, ANNE), VerifierEnded.selector, "leased");
        }
        if (phase == 2 || phase == 4) {
            fails(ANNE, address(market), call_, VerifierEnded.selector, "paid");
        }
        // Anybody, before any time is over.
        cheats.prank(BEN);
        market.refund(id);
        equal(market.claimable(ANNE) - anne, phase == 0 ? 0 : 8e18 + 1, "the bond, whole");
        equal(market.claimable(SPONSOR), escrow, "the escrow");
        balanced(id);
    }

    function testRefunds() external {
        bytes memory call_ = abi.encodeCall(ITrainingMarket.refund, (id));
        fails(ANNE, address(market), call_, ITrainingMarket.TooEarly.selector, "by a stranger");
        skip(10 days);
        fails(ANNE, address(market), leaseCall(id, one, ANNE), ITrainingMarket.DeadlineOver.selector, "leased");
        cheats.prank(ANNE);
        market.refund(id);
        equal(market.claimable(SPONSOR), 1_000e18, "all of it");
        fails(SPONSOR, address(market), call_, ITrainingMarket.NotOpen.selector, "twice");
        fails(ANNE, address(market), leaseCall(id, one, ANNE), ITrainingMarket.NotOpen.selector, "leased when closed");
        call_ = abi.encodeCall(ITrainingMarket.refund, (id + 1));
        fails(SPONSOR, address(market), call_, ITrainingMarket.NotOpen.selector, "unknown");
        call_ = abi.encodeCall(ITrainingMarket.finish, (id));
        fails(SPONSOR, address(market), call_, ITrainingMarket.NotLive.selector, "no round");
        balanced(id);
    }

    /// I8: no lease outlives the deadline; what follows a proof in time may.
    function testLeaseEndsByTheDeadline() external {
        skip(10 days - 90);
        bytes memory call_ = leaseCall(id, HEAD, one, ANNE, type(uint128).max, 91);
        fails(ANNE, address(market), call_, ITrainingMarket.LeaseTooShort.selector, "deadline trap");
        call_ = leaseCall(id, HEAD, one, ANNE, type(uint128).max, 90);
        succeeds(ANNE, address(market), call_, "lease");
        equal(market.round(id).until, market.task(id).deadline, "until the deadline");
        pin(id);
        skip(89);
        submit(id, "trained");
        skip(1 hours);
        fails(
            BEN, address(market), abi.encodeCall(ITrainingMarket.refund, (id)), ITrainingMarket.RoundLive.selector, ""
        );
        reveal(id);
        evaluate(id, 100, 0);
        cheats.prank(BEN);
        market.refund(id);
        balanced(id);
    }

    /// I11: a pause stops no exit and no payment.
    function testPause() external {
        lease(id, one, ANNE);
        cheats.prank(guardian);
        (bool ok,) = address(market).call(abi.encodeWithSignature("pause()"));
        check(ok, "paused");
        bytes4 paused = bytes4(keccak256("EnforcedPause()"));
        fails(SPONSOR, address(market), abi.encodeCall(ITrainingMarket.open, (spec(), "")), paused, "opened");
        pin(id);
        submit(id, "trained");
        reveal(id);
        evaluate(id, 100, 0);
        fails(ANNE, address(market), leaseCall(id, one, ANNE), paused, "leased");
        market.withdraw(ANNE);
        market.burnFees();
        cheats.prank(SPONSOR);
        market.refund(id);
        market.withdraw(SPONSOR);
        balanced(id);
    }

    /// A round is leased only if the escrow holds the most that it can cost.
    function testExhausted() external {
        ITrainingMarket.Spec memory s = spec();
        uint128 round_ = uint128(20e18 + MOST * RATE + feesOf(TRAIN_UNITS) + feesOf(EVALUATE_UNITS));
        s.escrow = round_ - 1;
        cheats.prank(SPONSOR);
        cheats.expectRevert();
        market.open(s, "");
        s.escrow = round_ + 20e18;
        id = open(s);
        run(id, one, ANNE, "a", 1_000_000, 0);
        bytes memory call_ = leaseCall(id, one, ANNE);
        fails(ANNE, address(market), call_, ITrainingMarket.Exhausted.selector, "more than there is");
        equal(market.task(id).escrow, 30e18, "not enough");
    }

    function testShardsRunOut() external {
        for (uint256 i = 0; i < SHARDS; i++) {
            run(id, one, ANNE, keccak256(abi.encode(i)), 0, 0);
        }
        fails(ANNE, address(market), leaseCall(id, one, ANNE), ITrainingMarket.NoShardLeft.selector, "an eleventh");
        balanced(id);
    }

    /// I13: somebody who is sponsor, contributor, data's owner and even the treasury loses at least half of the fees.
    function testSelfDealing(uint64 before, uint64 later, bool revealed) external {
        bytes32 own = register(SPONSOR, "own", 5_000);
        uint256 start = token.balanceOf(SPONSOR) + token.balanceOf(DATA) + market.task(id).escrow;
        lease(id, own, SPONSOR);
        pin(id);
        submit(id, "trained");
        if (revealed) {
            reveal(id);
            evaluate(id, before >> 1, later >> 1);
        } else {
            skip(2 hours);
        }
        cheats.prank(SPONSOR);
        market.refund(id);
        address[3] memory all = [SPONSOR, DATA, defaults().treasury];
        for (uint256 i = 0; i < 3; i++) {
            market.withdraw(all[i]);
        }
        uint256 fees = emission.stats(0).fees;
        skip(14 days);
        emission.claim(SPONSOR, list(0));
        uint256 end = token.balanceOf(SPONSOR) + token.balanceOf(DATA) + token.balanceOf(defaults().treasury);
        check(fees > 0 && end + fees / 2 <= start, "I13: paying oneself pays");
    }

    function testCodeSize() external view {
        check(address(market).code.length <= 24_576, "EIP-170");
    }

    error VerifierEnded(bytes32 verifierId);
}
