// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { ITrainingMarket } from "../../sol/economy/ITrainingMarket.sol";
import { Sampler } from "../../sol/economy/Sampler.sol";
import { TrainingBase } from "./TrainingBase.sol";

/// @dev A verifier that was taken into the registry, whose answer is yes if nothing that it tries meanwhile succeeds.
contract Intruder {
    address private immutable data;
    address private target;
    bytes[] private calls;

    constructor(address data_) {
        data = data_;
    }

    function tries(address target_, bytes[] memory calls_) external {
        target = target_;
        calls = calls_;
    }

    function keyOf(bytes32) external view returns (address) {
        return data;
    }

    function verify(bytes32, bytes calldata, bytes32, bytes calldata) external returns (bool) {
        for (uint256 i = 0; i < calls.length; i++) {
            (bool ok,) = target.call(calls[i]);
            if (ok) return false;
        }
        return true;
    }
}

/// What somebody would hand in who wants to be paid for what he did not do, at random.
contract TrainingForgeriesTest is TrainingBase {
    bytes32 private one;
    bytes32 private two;
    uint256 private id;

    error InvalidProof();
    error BadSpec(uint256 field);

    function setUp() external {
        deployTraining();
        one = register(DATA, "one", 1_000);
        two = register(BEN, "two", 0);
        id = open(spec());
    }

    function unpaid(bytes memory call_, string memory what) private {
        fails(ANNE, address(market), call_, InvalidProof.selector, what);
    }

    function submits(uint256 task, bytes memory values, bytes32 context) private returns (bytes memory) {
        bytes memory proof = prove(trainKey, values, context);
        return abi.encodeCall(ITrainingMarket.submitTrain, (task, bytes32("trained"), losses(9), proof, ""));
    }

    function flipped(bytes memory values, uint256 at_, uint8 by) private pure returns (bytes memory other) {
        other = bytes.concat(values);
        other[at_] ^= bytes1(by);
    }

    /// A proof of values that differ in any bit from those of the round is none of the round.
    function testEveryBitOfTheStatement(uint256 at_, uint8 by) external {
        by = uint8(bound(by, 1, 255));
        lease(id, one, ANNE);
        pin(id);
        bytes memory values = trainValues(id, "trained", losses(9));
        unpaid(submits(id, flipped(values, at_ % values.length, by), market.contextOf(id)), "another byte");
        submit(id, "trained");
        reveal(id);
        values = abi.encodePacked(HEAD, bytes32("trained"), market.round(id).revealed, uint64(900), uint64(100));
        bytes memory proof = prove(evaluateKey, flipped(values, at_ % values.length, by), market.contextOf(id));
        unpaid(abi.encodeCall(ITrainingMarket.settleEval, (id, 900, 100, proof)), "another byte of the evaluation");
        evaluate(id, 900, 100);
    }

    /// Factors and starts that are the same modulo the number of examples lead to the same rows, and are other statements.
    function testAWalkHasOneForm(uint16 blocks_, uint8 times) external {
        lease(id, one, ANNE);
        blocks.roll(blocks.getBlockNumber() + 3 + blocks_ % 200);
        market.pinSeed(id);
        (uint64 factor, uint64 start) = market.walkOf(id);
        uint64 more;
        unchecked {
            // Fifty examples, once and often, and below zero.
            more = times % 2 == 0 ? 50 * (1 + uint64(times)) : 0 - 50 * (1 + uint64(times));
        }
        bytes32 dataset = market.round(id).dataset;
        bytes32 context = market.contextOf(id);
        unchecked {
            bytes memory values = abi.encodePacked(HEAD, bytes32("trained"), dataset, factor + more, start, losses(9));
            unpaid(submits(id, values, context), "another factor of the same rows");
            values = abi.encodePacked(HEAD, bytes32("trained"), dataset, factor, start + more, losses(9));
            unpaid(submits(id, values, context), "another start of the same rows");
            // The same walk backwards sees the same rows in another order.
            values = abi.encodePacked(HEAD, bytes32("trained"), dataset, 50 - factor, start, losses(9));
            unpaid(submits(id, values, context), "the walk backwards");
        }
        submit(id, "trained");
    }

    /// Every walk is one that the circuit's input can hold: both numbers are below the number of examples.
    function testWalksAreReduced(bytes32 seed, uint32 examples) external pure {
        uint256 count = bound(examples, 1, 1 << 22);
        (uint64 factor, uint64 start) = Sampler.walk(seed, count);
        check(factor < count && start < count, "not reduced");
    }

    /// One proof for two tasks of one sponsor, of one contributor on one dataset from one head.
    function testNoProofServesTwoTasks(bool first, bool lost) external {
        uint256[2] memory ids = [id, open(spec())];
        for (uint256 i = 0; i < 2; i++) {
            lease(ids[i], one, ANNE);
        }
        for (uint256 i = 0; i < 2; i++) {
            pin(ids[i]);
        }
        (uint256 from, uint256 to) = first ? (ids[0], ids[1]) : (ids[1], ids[0]);
        check(market.round(from).seed != market.round(to).seed, "one seed for two tasks");
        bytes memory values = trainValues(from, "trained", losses(9));
        bytes32 context = market.contextOf(from);
        unpaid(submits(to, values, context), "a proof of the other task");
        unpaid(submits(to, trainValues(to, "trained", losses(9)), context), "the other task's context");
        unpaid(submits(to, values, market.contextOf(to)), "the other task's rows");
        if (lost) {
            // The lease passes; the same contributor takes the next round with the proof that he has.
            skip(1 hours);
            lease(from, one, ANNE);
            pin(from);
            unpaid(submits(from, values, context), "a proof of a lost round");
            unpaid(submits(from, values, market.contextOf(from)), "rows of a lost round");
            check(market.task(from).used == 0, "a shard was used");
        }
        submit(from, "trained");
        reveal(from);
        if (lost) return;
        submit(to, "trained");
        reveal(to);
        bytes memory shown = abi.encodePacked(HEAD, bytes32("trained"), shard(0), uint64(900), uint64(100));
        bytes memory proof = prove(evaluateKey, shown, market.contextOf(from));
        unpaid(abi.encodeCall(ITrainingMarket.settleEval, (to, 900, 100, proof)), "an evaluation of the other task");
        evaluate(from, 900, 100);
        evaluate(to, 900, 100);
    }

    /// Contributors who go up and down a loss that is the same on all shards are paid no more than the way down.
    function testGoingBackGainsNothing(uint64[6] calldata levels, uint64 begin) external {
        uint256 now_ = bound(begin, 1_000, 4_000);
        uint256 lowest = now_;
        uint256 paid;
        uint256 highest = now_;
        for (uint256 i = 0; i < 6; i++) {
            // What he trains to is better or worse than the head; the head follows what is better alone.
            uint256 next = bound(levels[i], 0, 5_000);
            address name = i % 2 == 0 ? ANNE : BEN;
            uint256 before = market.claimable(name);
            run(id, two, name, keccak256(abi.encode(i)), uint64(now_), uint64(next));
            paid += market.claimable(name) - before - part(10e18, 0) - 8e18 - 1;
            if (next + ETA <= now_) now_ = next;
            if (now_ < lowest) lowest = now_;
        }
        uint256 most = (highest - lowest) / ETA;
        check(paid <= part(most * RATE, 0) + 6, "paid for more than the way down");
        check(market.task(id).head == HEAD ? lowest == highest : lowest < highest, "the head");
    }

    /// Whoever sends or copies a call: the same accounts are credited with the same amounts.
    function testCallsPayTheSameWhoeverSendsThem(uint160 stranger, string calldata uri) external {
        address sender = address(uint160(bound(stranger, 1 << 20, type(uint160).max)));
        lease(id, one, ANNE);
        pin(id);
        bytes memory curve = losses(9);
        bytes memory proof = prove(trainKey, trainValues(id, "trained", curve), market.contextOf(id));
        bytes memory call_ = abi.encodeCall(ITrainingMarket.submitTrain, (id, bytes32("trained"), curve, proof, uri));
        succeeds(sender, address(market), call_, "submit");
        (, bytes32[] memory path) = numbered(shards(), 0);
        call_ = abi.encodeCall(ITrainingMarket.reveal, (id, shard(0), saltOf(0), path, uri));
        succeeds(sender, address(market), call_, "reveal");
        succeeds(sender, address(market), evaluateCall(id, 1_000, 300), "evaluate");
        equal(market.claimable(ANNE), part(10e18, 1_000) + part(7 * RATE, 1_000) + 8e18 + 1, "the contributor");
        equal(market.claimable(DATA), (10e18 + 7 * RATE) / 10, "the data");
        equal(market.claimable(sender), 0, "the sender");
        balanced(id);
    }

    /// Numbers at their ends, and between: nothing is lost or made by rounding, and what was set aside is enough.
    function testAnyTermsAdd(uint256 seed, uint64 before, uint64 later) external {
        ITrainingMarket.Spec memory s = spec();
        s.eta = uint64(bound(seed, 1, seed % 3 == 0 ? 5 : type(uint64).max));
        s.maxSteps = uint32(bound(seed >> 16, 1, seed % 5 == 0 ? type(uint32).max : 50));
        s.ratePerStep = uint128(bound(seed >> 48, 0, 100_000e18 / s.maxSteps));
        s.minPrice = uint128(bound(seed >> 90, 1, seed % 7 == 0 ? 50 : 20e18));
        s.maxPrice = s.minPrice + uint128(bound(seed >> 100, 0, 20e18));
        s.bond = uint128(bound(seed >> 120, (uint256(s.maxPrice) + 19) / 20, s.maxPrice));
        s.escrow =
            uint128(s.maxPrice + s.maxSteps * uint256(s.ratePerStep) + feesOf(TRAIN_UNITS) + feesOf(EVALUATE_UNITS));
        id = open(s);
        (before, later) = (before >> 1, later >> 1);
        run(id, one, ANNE, "trained", before, later);
        uint256 steps = before > later ? (before - later) / s.eta : 0;
        if (steps > s.maxSteps) steps = s.maxSteps;
        uint256 gain = steps * s.ratePerStep;
        uint256 spent = gain + market.task(id).trainFee + market.task(id).evaluateFee;
        uint256 others = market.claimable(DATA) + market.claimable(defaults().treasury);
        uint256 price = s.escrow - spent - market.task(id).escrow;
        check(price >= s.minPrice && price <= s.maxPrice, "the price");
        equal(market.claimable(ANNE) + others, price + gain + s.bond, "all parts");
        check(market.task(id).head == (steps == 0 ? HEAD : bytes32("trained")), "the head");
        balanced(2);
    }

    /// Keys that show as many values as a round writes, but of which some would be ids or integers where the round has the others.
    function testOtherStacks(uint8 stacks) external {
        stacks = uint8(bound(stacks, 0, 2));
        ITrainingMarket.Spec memory s = spec();
        bytes32 key = verifier.register(trainsOver(stacks, 14 - 4 * uint256(stacks), STEPS));
        s.trainId = registry.add(address(verifier), key, "train", 1, TRAIN_UNITS);
        (,,,, uint32 inputs,,) = registry.terms(s.trainId);
        check(inputs == 14, "as many values");
        refused(s, 0);
        s = spec();
        key = verifier.register(trainsOver(stacks, 12 - 4 * uint256(stacks), 2));
        s.evaluateId = registry.add(address(verifier), key, "evaluate", 1, EVALUATE_UNITS);
        (,,,, inputs,,) = registry.terms(s.evaluateId);
        check(inputs == 12, "as many values of an evaluation");
        refused(s, 1);
    }

    function refused(ITrainingMarket.Spec memory s, uint256 field) private {
        cheats.prank(SPONSOR);
        cheats.expectRevert(abi.encodeWithSelector(BadSpec.selector, field));
        market.open(s, "");
    }

    /// A verifier that calls back while it is asked: nothing of the market can be entered, and the round is paid once.
    function testVerifierCannotEnter() external {
        bytes memory keys = trainsOver(3, 2, STEPS);
        Intruder intruder = new Intruder(verifier.keyOf(verifier.register(keys)));
        ITrainingMarket.Spec memory s = spec();
        s.trainId = registry.add(address(intruder), keccak256(keys), "train", 1, TRAIN_UNITS);
        id = open(s);
        lease(id, one, ANNE);
        pin(id);
        bytes[] memory calls = new bytes[](7);
        bytes memory call_ = abi.encodeCall(ITrainingMarket.submitTrain, (id, bytes32("t"), losses(1), "proof", ""));
        calls[0] = call_;
        calls[1] = revealCall(id, 0);
        calls[2] = abi.encodeCall(ITrainingMarket.finish, (id));
        calls[3] = abi.encodeCall(ITrainingMarket.refund, (id));
        calls[4] = abi.encodeCall(ITrainingMarket.pinSeed, (id));
        calls[5] = abi.encodeWithSignature("withdraw(address)", SPONSOR);
        calls[6] = abi.encodeWithSignature("burnFees()");
        intruder.tries(address(market), calls);
        succeeds(ANNE, address(market), call_, "paid");
        equal(market.claimable(ANNE), part(10e18, 1_000), "once");
        equal(market.task(id).used, 1, "one shard");
        balanced(2);
    }
}
