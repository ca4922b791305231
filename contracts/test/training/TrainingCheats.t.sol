// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IDatasetRegistry } from "../../sol/economy/IDatasetRegistry.sol";
import { ITrainingMarket } from "../../sol/economy/ITrainingMarket.sol";
import { Sampler } from "../../sol/economy/Sampler.sol";
import { TrainingBase } from "./TrainingBase.sol";

/// Whatever is swapped, skipped, repeated or made for something else must not be paid.
contract TrainingCheatsTest is TrainingBase {
    bytes32 private one;
    bytes32 private two;
    uint256 private id;

    error InvalidProof();
    error BadSpec(uint256 field);
    error BadPayout();
    error VerifierEnded(bytes32 verifierId);

    function setUp() external {
        deployTraining();
        one = register(DATA, "one", 1_000);
        two = register(BEN, "two", 0);
        id = open(spec());
    }

    function seeded() private {
        lease(id, one, ANNE);
        pin(id);
    }

    function revealed() private {
        seeded();
        submit(id, "trained");
        reveal(id);
    }

    /// A proof of training whose values are changed as told by `what`, valid for the values that it shows.
    function trains(bytes memory values, bytes32 context, string memory what) private {
        bytes memory proof = prove(trainKey, values, context);
        bytes memory call_ = abi.encodeCall(ITrainingMarket.submitTrain, (id, bytes32("trained"), losses(9), proof, ""));
        fails(ANNE, address(market), call_, InvalidProof.selector, what);
    }

    function word(uint256 index, bytes32 value) private view returns (bytes memory values) {
        values = trainValues(id, "trained", losses(9));
        setWord(values, index, uint256(value));
    }

    /// The values of an honest proof, but for the walk.
    function walks(uint64 factor, uint64 start) private view returns (bytes memory) {
        bytes32 dataset = market.round(id).dataset;
        return abi.encodePacked(HEAD, bytes32("trained"), dataset, factor, start, losses(9));
    }

    function testTrainingIsBoundToItsStatement() external {
        seeded();
        bytes32 context = market.contextOf(id);
        trains(word(0, "another head"), context, "from other weights");
        trains(word(1, "other weights"), context, "to other weights");
        trains(word(2, datasets.get(two).stackId), context, "on another dataset");
        (uint64 factor, uint64 start) = market.walkOf(id);
        trains(walks(factor + 1, start), context, "another factor");
        trains(walks(factor, start + 1), context, "another start");
        (uint64 f, uint64 s) = Sampler.walk(keccak256("chosen"), 50);
        trains(walks(f, s), context, "a chosen seed");
        trains(trainValues(id, "trained", losses(8)), context, "other losses");
        trains(abi.encodePacked(word(0, HEAD), uint64(0)), context, "a step more");
        bytes memory proof = prove(trainKey, walks(factor, start), context);
        bytes memory short = abi.encodePacked(uint64(9), uint64(7));
        bytes memory call_ = abi.encodeCall(ITrainingMarket.submitTrain, (id, bytes32("trained"), short, proof, ""));
        fails(ANNE, address(market), call_, ITrainingMarket.WrongLosses.selector, "a step less");
        call_ = abi.encodeCall(ITrainingMarket.submitTrain, (id, bytes32("trained"), "", proof, ""));
        fails(ANNE, address(market), call_, ITrainingMarket.WrongLosses.selector, "no step");
        // A proof under another key: another learning rate, another network.
        bytes memory values = word(0, HEAD);
        proof = prove(evaluateKey, values, context);
        call_ = abi.encodeCall(ITrainingMarket.submitTrain, (id, bytes32("trained"), losses(9), proof, ""));
        fails(ANNE, address(market), call_, InvalidProof.selector, "another key");
        submit(id, "trained");
    }

    /// Payout, chain, market, task, head, round and kind of proof are in the context.
    function testContextIsBound() external {
        seeded();
        bytes memory values = trainValues(id, "trained", losses(9));
        bytes32 job = keccak256(abi.encode("assay.train.v1", id, uint32(0), uint32(1)));
        bytes32 right = contextFor(block.chainid, address(market), job, ANNE);
        check(right == market.contextOf(id), "the context as documented");
        trains(values, contextFor(block.chainid, address(market), job, BEN), "another payout address");
        trains(values, contextFor(block.chainid + 1, address(market), job, ANNE), "another chain");
        trains(values, contextFor(block.chainid, system.market, job, ANNE), "another market");
        bytes32[4] memory jobs = [
            keccak256(abi.encode("assay.train.v1", id + 1, uint32(0), uint32(1))),
            keccak256(abi.encode("assay.train.v1", id, uint32(1), uint32(1))),
            keccak256(abi.encode("assay.train.v1", id, uint32(0), uint32(2))),
            keccak256(abi.encode("assay.evaluate.v1", id, uint32(0), uint32(1)))
        ];
        for (uint256 i = 0; i < 4; i++) {
            trains(values, contextFor(block.chainid, address(market), jobs[i], ANNE), "another job");
        }
        // Whoever copies the proof pays its maker.
        bytes memory call_ = submitCall(id, "trained");
        succeeds(BEN, address(market), call_, "copied");
        check(market.claimable(BEN) == 0 && market.claimable(ANNE) > 0, "I4");
        fails(BEN, address(market), call_, ITrainingMarket.WrongPhase.selector, "I3: paid twice");
    }

    function evaluates(bytes memory values, bytes32 context, string memory what) private {
        bytes memory proof = prove(evaluateKey, values, context);
        bytes memory call_ = abi.encodeCall(ITrainingMarket.settleEval, (id, 500, 100, proof));
        fails(ANNE, address(market), call_, InvalidProof.selector, what);
    }

    function testEvaluationIsBoundToItsStatement() external {
        revealed();
        bytes32 context = market.contextOf(id);
        bytes32 trained = "trained";
        bytes32 first = shard(0);
        evaluates(abi.encodePacked(trained, trained, first, uint64(500), uint64(100)), context, "another head");
        evaluates(abi.encodePacked(HEAD, HEAD, first, uint64(500), uint64(100)), context, "not what was trained");
        evaluates(abi.encodePacked(HEAD, trained, shard(1), uint64(500), uint64(100)), context, "another shard");
        evaluates(abi.encodePacked(trained, HEAD, first, uint64(500), uint64(100)), context, "swapped");
        evaluates(abi.encodePacked(HEAD, trained, first, uint64(501), uint64(100)), context, "another loss before");
        evaluates(abi.encodePacked(HEAD, trained, first, uint64(500), uint64(101)), context, "another loss behind");
        bytes32 job = keccak256(abi.encode("assay.train.v1", id, uint32(0), uint32(1)));
        bytes memory values = abi.encodePacked(HEAD, trained, first, uint64(500), uint64(100));
        evaluates(values, contextFor(block.chainid, address(market), job, ANNE), "the training's context");
        job = keccak256(abi.encode("assay.evaluate.v1", id, uint32(0), uint32(1)));
        check(context == contextFor(block.chainid, address(market), job, ANNE), "the context as documented");
        evaluates(values, contextFor(block.chainid, address(market), job, BEN), "another payout address");
        bytes memory call_ = evaluateCall(id, 1 << 63, 0);
        fails(ANNE, address(market), call_, ITrainingMarket.BadLoss.selector, "a negative loss before");
        call_ = evaluateCall(id, 0, type(uint64).max);
        fails(ANNE, address(market), call_, ITrainingMarket.BadLoss.selector, "a negative loss behind");
        call_ = evaluateCall(id, 500, 100);
        succeeds(BEN, address(market), call_, "anybody sends it");
        check(market.claimable(BEN) == 0, "I4");
        fails(ANNE, address(market), call_, ITrainingMarket.WrongPhase.selector, "a second settle");
        lease(id, one, ANNE);
        pin(id);
        submit(id, "again");
        reveal(id);
        fails(ANNE, address(market), call_, InvalidProof.selector, "in the next round");
    }

    /// Each step waits for the one before: no evaluation before the reveal, no reveal before the proof.
    function testOrder() external {
        bytes memory train = abi.encodeCall(ITrainingMarket.submitTrain, (id, "t", losses(1), "", ""));
        bytes memory evaluate_ = abi.encodeCall(ITrainingMarket.settleEval, (id, 500, 0, ""));
        bytes memory pin_ = abi.encodeCall(ITrainingMarket.pinSeed, (id));
        bytes memory show = revealCall(id, 0);
        bytes4 wrong = ITrainingMarket.WrongPhase.selector;
        for (uint256 phase = 0; phase < 5; phase++) {
            if (phase == 1) lease(id, one, ANNE);
            if (phase == 2) pin(id);
            if (phase == 3) submit(id, "trained");
            if (phase == 4) reveal(id);
            if (phase != 1) fails(ANNE, address(market), pin_, wrong, "pinned out of order");
            if (phase != 2) fails(ANNE, address(market), train, wrong, "trained out of order");
            if (phase != 3) fails(SPONSOR, address(market), show, wrong, "revealed out of order");
            if (phase != 4) fails(ANNE, address(market), evaluate_, wrong, "evaluated out of order");
            bytes memory again = leaseCall(id, HEAD, one, BEN, type(uint128).max, 0);
            if (phase != 0) fails(BEN, address(market), again, ITrainingMarket.RoundLive.selector, "leased twice");
        }
    }

    /// The seed is of a block that nobody knew when he leased, and of nothing else; it cannot be had again.
    function testSeed() external {
        lease(id, one, ANNE);
        uint256 pinned = market.round(id).pinned;
        check(pinned > blocks.getBlockNumber(), "a later block");
        bytes memory pin_ = abi.encodeCall(ITrainingMarket.pinSeed, (id));
        fails(ANNE, address(market), pin_, ITrainingMarket.SeedNotReady.selector, "before the block");
        blocks.roll(pinned);
        fails(ANNE, address(market), pin_, ITrainingMarket.SeedNotReady.selector, "in the block");
        uint256 state = cheats.snapshotState();
        blocks.roll(pinned + 257);
        fails(ANNE, address(market), pin_, ITrainingMarket.SeedLost.selector, "too late");
        blocks.roll(pinned + 256);
        market.pinSeed(id);
        bytes32 late = market.round(id).seed;
        check(cheats.revertToState(state), "back");
        blocks.roll(pinned + 1);
        cheats.prank(BEN);
        market.pinSeed(id);
        check(market.round(id).seed == late, "the same whenever it is pinned");
        fails(ANNE, address(market), pin_, ITrainingMarket.WrongPhase.selector, "twice");
        // Another payout address has another.
        check(cheats.revertToState(state), "back again");
        skip(1 hours);
        lease(id, one, BEN);
        blocks.roll(market.round(id).pinned + 1);
        market.pinSeed(id);
        check(market.round(id).seed != late, "another's seed");
    }

    function testSampler() external pure {
        // As `circuits::train::Sampler` says.
        (uint64 factor, uint64 start) = Sampler.walk(bytes32(uint256(0x07) * (type(uint256).max / 255)), 1797);
        check(factor == SAMPLED_FACTOR && start == SAMPLED_START, "the walk of the prover");
        (factor, start) = Sampler.walk(keccak256("any"), 1);
        check(factor == 0 && start == 0, "one example");
    }

    function testWalkSeesAll(bytes32 seed, uint32 examples) external pure {
        uint256 count = bound(examples, 1, 400);
        (uint64 factor, uint64 start) = Sampler.walk(seed, count);
        bool[] memory seen = new bool[](count);
        for (uint256 j = 0; j < count; j++) {
            uint256 index = (uint256(factor) * j + start) % count;
            check(!seen[index], "an example twice");
            seen[index] = true;
        }
    }

    /// A head that has moved is not leased by who does not know it.
    function testStaleHead() external {
        bytes memory call_ = leaseCall(id, HEAD, one, BEN, type(uint128).max, 0);
        run(id, one, ANNE, "moved", 500, 0);
        fails(BEN, address(market), call_, ITrainingMarket.StaleHead.selector, "I7: a stale head");
        lease(id, one, BEN);
        pin(id);
        bytes memory values = trainValues(id, "trained", losses(9));
        setWord(values, 0, uint256(HEAD));
        trains(values, market.contextOf(id), "I7: from the head before");
    }

    /// The next shard in order, and no other; one whose stack was shown already is no sealed one.
    function testShards() external {
        seeded();
        submit(id, "trained");
        for (uint256 i = 1; i < SHARDS; i++) {
            fails(SPONSOR, address(market), revealCall(id, i), ITrainingMarket.WrongShard.selector, "another shard");
        }
        (, bytes32[] memory path) = numbered(shards(), 0);
        bytes memory call_ = abi.encodeCall(ITrainingMarket.reveal, (id, shard(1), saltOf(0), path, ""));
        fails(SPONSOR, address(market), call_, ITrainingMarket.WrongShard.selector, "another stack");
        call_ = abi.encodeCall(ITrainingMarket.reveal, (id, shard(0), saltOf(1), path, ""));
        fails(SPONSOR, address(market), call_, ITrainingMarket.WrongShard.selector, "another salt");
        reveal(id);
        evaluate(id, 500, 0);
        lease(id, one, ANNE);
        pin(id);
        submit(id, "again");
        fails(SPONSOR, address(market), revealCall(id, 0), ITrainingMarket.WrongShard.selector, "a shard used twice");
        reveal(id);
    }

    /// Of a sponsor who sealed several stacks under one number, to show the one on which the weights gained least: there is one place for
    /// a number, and paths have one length.
    function testTwoShardsOfOneNumber() external {
        ITrainingMarket.Spec memory s = spec();
        bytes32[] memory leaves = new bytes32[](4);
        for (uint256 i = 0; i < 4; i++) {
            leaves[i] = keccak256(bytes.concat(keccak256(abi.encode(uint256(0), shard(i), saltOf(i)))));
        }
        (s.holdout,) = numbered(leaves, 0);
        for (uint32 count = 1; count <= 5; count++) {
            s.shards = count;
            id = open(s);
            lease(id, one, ANNE);
            pin(id);
            submit(id, keccak256(abi.encode(count)));
            for (uint256 i = 0; i < 4; i++) {
                (, bytes32[] memory path) = numbered(leaves, i);
                bytes memory call_ = abi.encodeCall(ITrainingMarket.reveal, (id, shard(i), saltOf(i), path, ""));
                // Three or four shards have paths of two nodes, and the first of them is the first leaf.
                if (i == 0 && (count == 3 || count == 4)) continue;
                fails(
                    SPONSOR, address(market), call_, ITrainingMarket.WrongShard.selector, "another leaf of the number"
                );
            }
            skip(2 hours);
        }
    }

    /// Of a sponsor who sealed one stack twice, for a collaborator who trained on it: he cannot reveal it again, and pays.
    function testOneStackInTwoShards() external {
        ITrainingMarket.Spec memory s = spec();
        bytes32[] memory leaves = new bytes32[](2);
        for (uint256 i = 0; i < 2; i++) {
            leaves[i] = keccak256(bytes.concat(keccak256(abi.encode(i, shard(0), saltOf(i)))));
        }
        (s.holdout,) = numbered(leaves, 0);
        s.shards = 2;
        id = open(s);
        for (uint256 i = 0; i < 2; i++) {
            lease(id, one, ANNE);
            pin(id);
            submit(id, keccak256(abi.encode(i)));
            (, bytes32[] memory path) = numbered(leaves, i);
            bytes memory call_ = abi.encodeCall(ITrainingMarket.reveal, (id, shard(0), saltOf(i), path, ""));
            if (i == 0) succeeds(SPONSOR, address(market), call_, "the first");
            else fails(SPONSOR, address(market), call_, ITrainingMarket.ShardUsed.selector, "the second");
            if (i == 0) evaluate(id, 100, 0);
        }
        skip(2 hours);
        uint256 before = market.claimable(ANNE);
        market.finish(id);
        equal(market.claimable(ANNE) - before, part(MOST * RATE, 1_000) + 8e18 + 1, "the most");
    }

    function testDatasets() external {
        bytes memory call_ = leaseCall(id, "unknown", ANNE);
        fails(ANNE, address(market), call_, bytes4(keccak256("UnknownDataset(bytes32)")), "an unknown dataset");
        lease(id, one, ANNE);
        cheats.prank(DATA);
        datasets.retire(one);
        pin(id);
        submit(id, "trained");
        reveal(id);
        evaluate(id, 100, 0);
        call_ = leaseCall(id, one, ANNE);
        fails(ANNE, address(market), call_, ITrainingMarket.DatasetRetired.selector, "a retired dataset");
        // A task that takes only what its sponsor chose.
        ITrainingMarket.Spec memory s = spec();
        bytes32[] memory leaves = new bytes32[](3);
        bytes32 three = register(DATA, "three", 0);
        bytes32[3] memory ids = [two, three, bytes32("none")];
        for (uint256 i = 0; i < 3; i++) {
            leaves[i] = keccak256(bytes.concat(keccak256(abi.encode(ids[i]))));
        }
        bytes32[] memory path;
        (s.datasets, path) = tree(leaves, 1);
        id = open(s);
        call_ = leaseCall(id, three, ANNE);
        fails(ANNE, address(market), call_, ITrainingMarket.DatasetNotAllowed.selector, "without a path");
        call_ = abi.encodeCall(ITrainingMarket.lease, (id, HEAD, two, path, ANNE, type(uint128).max, 0));
        fails(ANNE, address(market), call_, ITrainingMarket.DatasetNotAllowed.selector, "with another's path");
        call_ = abi.encodeCall(ITrainingMarket.lease, (id, HEAD, three, path, ANNE, type(uint128).max, 0));
        succeeds(ANNE, address(market), call_, "with its own");
    }

    function testLeaseRefusals() external {
        bytes memory call_ = leaseCall(id, HEAD, one, ANNE, 8e18, 0);
        fails(ANNE, address(market), call_, ITrainingMarket.BondTooHigh.selector, "a higher bond");
        call_ = leaseCall(id, HEAD, one, ANNE, type(uint128).max, 1 hours + 1);
        fails(ANNE, address(market), call_, ITrainingMarket.LeaseTooShort.selector, "a longer lease");
        address[2] memory bad = [address(0), address(market)];
        for (uint256 i = 0; i < 2; i++) {
            call_ = leaseCall(id, HEAD, one, bad[i], type(uint128).max, 0);
            fails(ANNE, address(market), call_, BadPayout.selector, "nobody is paid");
        }
        call_ = leaseCall(id + 1, HEAD, one, ANNE, type(uint128).max, 0);
        fails(ANNE, address(market), call_, ITrainingMarket.NotOpen.selector, "an unknown task");
        // A royalty that could never leave.
        cheats.prank(BEN);
        bytes32 trap = datasets.register(
            schemaOf(50), SRS, rowsOf(1, "trap"), IDatasetRegistry.Terms("l", 100, address(market)), ""
        );
        fails(ANNE, address(market), leaseCall(id, trap, ANNE), BadPayout.selector, "royalties into the market");
    }

    function refused(ITrainingMarket.Spec memory s, uint256 field) private {
        cheats.prank(SPONSOR);
        cheats.expectRevert(abi.encodeWithSelector(BadSpec.selector, field));
        market.open(s, "");
    }

    function testSpec() external {
        ITrainingMarket.Spec memory s = spec();
        s.trainId = evaluateId;
        refused(s, 0);
        s = spec();
        s.evaluateId = trainId;
        refused(s, 1);
        for (uint256 losses_ = 1; losses_ <= 3; losses_ += 2) {
            bytes32 key = verifier.register(keyWithStacks(outputOf(losses_), some(false, 3), 1));
            s = spec();
            s.evaluateId = registry.add(address(verifier), key, "evaluate", 1, EVALUATE_UNITS);
            refused(s, 1);
        }
        s = spec();
        s.head = 0;
        refused(s, 2);
        s = spec();
        s.holdout = 0;
        refused(s, 3);
        s = spec();
        s.shards = 0;
        refused(s, 4);
        s = spec();
        s.eta = 0;
        refused(s, 6);
        s = spec();
        s.maxSteps = 0;
        refused(s, 7);
        s = spec();
        s.ratePerStep = 1 << 96;
        refused(s, 8);
        s = spec();
        s.minPrice = 0;
        refused(s, 9);
        s.minPrice = s.maxPrice + 1;
        refused(s, 9);
        s = spec();
        s.maxPrice = 1 << 96;
        refused(s, 10);
        s = spec();
        s.rampEnd = s.rampStart - 1;
        refused(s, 12);
        s = spec();
        s.deadline = uint40(nowAt());
        refused(s, 13);
        s = spec();
        s.leaseSeconds = 59;
        refused(s, 14);
        s = spec();
        s.bond = 1e18 - 1;
        refused(s, 15);
        s.bond = s.maxPrice + 1;
        refused(s, 15);
        s = spec();
        s.revealSeconds = 59;
        refused(s, 16);
        s.revealSeconds = 7 days + 1;
        refused(s, 16);
        s = spec();
        s.evaluateSeconds = 59;
        refused(s, 17);
        s = spec();
        s.escrow = 20e18;
        refused(s, 18);
        s = spec();
        s.maxSteps = type(uint32).max;
        s.ratePerStep = type(uint96).max;
        refused(s, 18);
        s = spec();
        s.trainId = "unknown";
        cheats.prank(SPONSOR);
        cheats.expectRevert(abi.encodeWithSelector(VerifierEnded.selector, bytes32("unknown")));
        market.open(s, "");
    }

    uint64 private constant SAMPLED_FACTOR = 1_253;
    uint64 private constant SAMPLED_START = 1_542;
}
