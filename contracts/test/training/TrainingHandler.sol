// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { ITrainingMarket } from "../../sol/economy/ITrainingMarket.sol";
import { Sampler } from "../../sol/economy/Sampler.sol";
import { PlainEmission } from "../economy/PlainEmission.sol";
import { TrainingBase } from "./TrainingBase.sol";

/// @dev Plays a market for training with three people who are sponsors, contributors and owners of data alike, honest and not.
/// Before each call it says from the rules whether the call must succeed, and what it must move, and fails if the market
/// disagrees.
contract TrainingHandler is TrainingBase {
    /// @dev What only the handler knows of a task.
    struct Book {
        uint256 paid; // to contributors, data and treasury, from escrow
        uint256 fees;
        uint256 rescued;
        uint256 lost; // kept of lost bonds
        uint256 refunded;
        uint256 heads;
        uint256 trained; // proofs of training
        bytes32 head;
    }

    /// @dev What the market may still have in storage of a round, over or not: a cheat knows it.
    struct Last {
        address payout;
        uint32 examples;
        bytes32 dataset;
        bytes32 seed;
        bytes32 trained; // what the last proof of training was for
        bytes32 shard; // the last one that was shown
    }

    PlainEmission private plain;
    address[3] private people = [SPONSOR, ANNE, BEN];
    bytes32[] private sets;
    mapping(uint256 => Book) public books;
    mapping(uint256 => Last) private last;
    /// @dev Shards that a task has shown.
    mapping(uint256 => mapping(bytes32 stack => bool)) private shown;
    uint256 public count;
    uint256 private nonce;
    mapping(bytes32 what => uint256) public successes;

    function setUp() external {
        deployTraining();
        plain = new PlainEmission(emission);
        sets.push(register(DATA, "one", 1_500));
        sets.push(register(BEN, "two", 0));
        sets.push(register(ANNE, "three", 5_000));
    }

    // Moves.

    function doOpen(uint256 seed) external {
        if (count >= 6) return;
        ITrainingMarket.Spec memory s = spec();
        s.maxSteps = uint32(1 + seed % 40);
        s.minPrice = uint128(1 + (seed >> 8) % 20e18);
        s.maxPrice = s.minPrice + uint128((seed >> 72) % 20e18);
        s.bond = uint128((uint256(s.maxPrice) + 19) / 20 + (seed >> 136) % (s.maxPrice / 2 + 1));
        s.deadline = uint40(nowAt() + 1 days + (seed >> 200) % 20 days);
        s.escrow = uint128(s.maxPrice + s.maxSteps * RATE + feesOf(TRAIN_UNITS) + feesOf(EVALUATE_UNITS))
            + uint128((seed >> 168) % 2_000e18);
        address who = person(seed >> 4);
        if (token.balanceOf(who) < s.escrow) return;
        bool may = !paused() && alive();
        if (send(who, abi.encodeCall(ITrainingMarket.open, (s, "")), may, "open")) {
            books[++count].head = HEAD;
        }
    }

    function doLease(uint256 seed) external {
        uint256 id = pick(seed, ITrainingMarket.Phase.None);
        if (id == 0) return;
        address who = person(seed >> 8);
        if (token.balanceOf(who) < market.task(id).bond) return;
        bool may = mayLease(id, seed);
        bytes memory call_ = leaseOf(id, seed);
        ITrainingMarket.Task memory t = market.task(id);
        uint256 price = market.currentPrice(id);
        uint256 before = token.balanceOf(who);
        if (!send(who, call_, may, "lease")) return;
        equal(before - token.balanceOf(who), t.bond, "bond");
        checkLease(id, t, price);
    }

    function leaseOf(uint256 id, uint256 seed) private view returns (bytes memory) {
        ITrainingMarket.Task memory t = market.task(id);
        bytes32 head = (seed >> 24) % 8 == 0 ? bytes32("stale") : t.head;
        return leaseCall(id, head, sets[(seed >> 16) % 3], person(seed >> 32), t.bond, 0);
    }

    /// @dev Whether it may be leased. What the round before gives back, or its price was, is known only when it has ended: so it is
    /// ended first, if it can be.
    function mayLease(uint256 id, uint256 seed) private returns (bool) {
        ITrainingMarket.Task memory t = market.task(id);
        bool over = t.phase == ITrainingMarket.Phase.None || nowAt() >= market.round(id).until || !alive();
        bool may = !paused() && alive() && t.status == ITrainingMarket.Status.Open && over && nowAt() < t.deadline
            && t.used < t.shards && (seed >> 24) % 8 != 0 && datasets.get(sets[(seed >> 16) % 3]).retired == 0;
        if (!may) return false;
        finishFor(id);
        uint256 most = market.currentPrice(id) + uint256(t.maxSteps) * RATE + t.trainFee + t.evaluateFee;
        return market.task(id).escrow >= most;
    }

    function checkLease(uint256 id, ITrainingMarket.Task memory t, uint256 price) private {
        ITrainingMarket.Round memory r = market.round(id);
        equal(r.price, price, "locked price");
        check(r.until <= t.deadline, "I8: a lease outlives the deadline");
        equal(t.escrow - market.task(id).escrow, r.reserved, "set aside");
        Last storage known = last[id];
        (known.payout, known.examples, known.dataset) = (r.payout, uint32(r.examples), r.dataset);
    }

    function doPin(uint256 seed) external {
        uint256 id = pick(seed, ITrainingMarket.Phase.Leased);
        if (id == 0) return;
        uint256 pinned = market.round(id).pinned;
        bool waits = market.task(id).phase == ITrainingMarket.Phase.Leased;
        if (waits && seed % 8 != 0 && blocks.getBlockNumber() <= pinned) blocks.roll(pinned + 1 + (seed >> 8) % 300);
        uint256 number = blocks.getBlockNumber();
        bool may = waits && number > pinned && number <= pinned + 256;
        send(person(seed >> 32), abi.encodeCall(ITrainingMarket.pinSeed, (id)), may, "pin");
        if (may) last[id].seed = market.round(id).seed;
    }

    function doSubmit(uint256 seed) external {
        uint256 id = pick(seed, ITrainingMarket.Phase.Seeded);
        if (id == 0) return;
        ITrainingMarket.Task memory t = market.task(id);
        ITrainingMarket.Round memory r = market.round(id);
        if (t.phase != ITrainingMarket.Phase.Seeded) return;
        bytes memory call_ = submitCall(id, keccak256(abi.encode(++nonce)));
        bool may = nowAt() < r.until && alive();
        check(market.contextOf(id) == contextOf("assay.train.v1", id, r.payout), "I4: what a proof is bound to");
        if (seed % 8 == 0) {
            // The proof's last byte, or that of its length.
            call_[call_.length - 65 - 32 * ((seed >> 3) % 2)] ^= 0x01;
        }
        uint256 was = market.claimable(r.payout);
        uint256 fees = market.unburned();
        (bool ok, uint256 got) = paid(person(seed >> 32), call_, r, may && seed % 8 != 0, seed % 8 == 0 ? "" : "submit");
        if (!ok) return;
        uint256 amount = worker(r.price, r.royaltyBps, t.protocolBps) + t.rescue;
        if (r.payout == r.recipient) amount += uint256(r.price) * r.royaltyBps / 1e4;
        equal(got, amount, "pay of training");
        equal(market.claimable(r.payout) - was, amount, "claimable");
        equal(market.unburned() - fees, t.trainFee, "fee of training");
        plain.settle(address(market), r.payout, t.trainFee, TRAIN_UNITS);
        books[id].paid += r.price;
        books[id].fees += t.trainFee;
        books[id].rescued += t.rescue;
        books[id].trained++;
        last[id].trained = keccak256(abi.encode(nonce));
    }

    function doReveal(uint256 seed) external {
        uint256 id = pick(seed, ITrainingMarket.Phase.Trained);
        if (id == 0) return;
        ITrainingMarket.Task memory t = market.task(id);
        uint256 place = seed % 8 == 0 ? (seed >> 8) % SHARDS : market.round(id).shard;
        bool may = t.phase == ITrainingMarket.Phase.Trained && nowAt() < market.round(id).until
            && place == market.round(id).shard;
        if (!send(person(seed >> 32), revealCall(id, place), may, "reveal")) return;
        // Nobody has trained on it: it was not shown, and the weights were fixed before it was.
        check(!shown[id][shard(place)], "a shard is shown twice");
        check(market.round(id).trained == last[id].trained, "weights of after the reveal");
        shown[id][shard(place)] = true;
        last[id].shard = shard(place);
    }

    function doEvaluate(uint256 seed) external {
        uint256 id = pick(seed, ITrainingMarket.Phase.Revealed);
        if (id == 0) return;
        ITrainingMarket.Task memory t = market.task(id);
        ITrainingMarket.Round memory r = market.round(id);
        if (t.phase != ITrainingMarket.Phase.Revealed) return;
        uint64 before = uint64((seed >> 64) % 10_000);
        uint64 later = uint64((seed >> 128) % 10_000);
        bytes memory call_ = evaluateCall(id, before, later);
        check(market.contextOf(id) == contextOf("assay.evaluate.v1", id, r.payout), "I4: what a proof is bound to");
        (bool ok, uint256 got) = paid(person(seed >> 32), call_, r, nowAt() < r.until && alive(), "evaluate");
        if (!ok) return;
        uint256 steps = before > later ? (before - later) / ETA : 0;
        if (steps > t.maxSteps) steps = t.maxSteps;
        uint256 gain = steps * RATE;
        uint256 amount = worker(gain, r.royaltyBps, t.protocolBps) + r.bond;
        if (r.payout == r.recipient) amount += gain * r.royaltyBps / 1e4;
        equal(got, amount, "pay of a gain");
        plain.settle(address(market), r.payout, t.evaluateFee, EVALUATE_UNITS);
        books[id].paid += gain;
        books[id].fees += t.evaluateFee;
        if (steps > 0) {
            // I7: from the leased head to what was trained from it.
            books[id].heads++;
            books[id].head = r.trained;
        }
    }

    /// @dev Somebody with a proof for whatever he likes to say, at any moment: of weights that saw the shard, of an evaluation before
    /// the reveal or on a shard of his choice, of a round that is over, for his own payout. None of it is paid, and no step is taken twice or
    /// out of order.
    function doCheat(uint256 seed) external {
        uint256 id = pick(seed);
        if (id == 0) return;
        ITrainingMarket.Phase phase = market.task(id).phase;
        address who = person(seed >> 32);
        if (seed % 4 == 0) cheatsTraining(id, who, seed >> 64);
        else if (seed % 4 == 1) cheatsEvaluation(id, who, seed >> 64);
        else if (seed % 4 == 2) cheatsReveal(id, who, seed >> 64);
        bool live = phase != ITrainingMarket.Phase.None && nowAt() < market.round(id).until && alive();
        if (seed % 4 != 3 || !live) return;
        // I9, and who would like to see the round end early.
        send(market.task(id).sponsor, abi.encodeCall(ITrainingMarket.refund, (id)), false, "refund during a round");
        send(who, abi.encodeCall(ITrainingMarket.finish, (id)), false, "an early end");
        send(who, leaseOf(id, seed), false, "a second lease");
    }

    /// @dev In any phase but the right one, with the walk that follows from whatever stands where the seed stood; and in that one another
    /// payout, other weights than the proof's, other rows, other data.
    function cheatsTraining(uint256 id, address who, uint256 seed) private {
        ITrainingMarket.Task memory t = market.task(id);
        Last memory known = last[id];
        bytes32 trained = keccak256(abi.encode("cheat", ++nonce));
        bytes32 said = trained;
        if (known.examples == 0) known.examples = 50;
        (uint64 factor, uint64 start) = Sampler.walk(seed % 2 == 0 ? known.trained : known.seed, known.examples);
        if (t.phase == ITrainingMarket.Phase.Seeded) {
            (factor, start) = market.walkOf(id);
            if (seed % 4 == 0) known.payout = address(uint160(known.payout) ^ 1);
            else if (seed % 4 == 1) said = HEAD;
            else if (seed % 4 == 2) start = (start + 1) % known.examples;
            else known.dataset = shard(t.used);
        }
        bytes memory values = abi.encodePacked(t.head, trained, known.dataset, factor, start, losses(9));
        bytes memory proof = prove(trainKey, values, contextOf("assay.train.v1", id, known.payout));
        bytes memory call_ = abi.encodeCall(ITrainingMarket.submitTrain, (id, said, losses(9), proof, ""));
        send(who, call_, false, "a cheat's training");
    }

    /// @dev Before the reveal, on the shard to come or the one before; or on another one, of other weights, for another payout.
    function cheatsEvaluation(uint256 id, address who, uint256 seed) private {
        ITrainingMarket.Task memory t = market.task(id);
        Last memory known = last[id];
        if (t.phase == ITrainingMarket.Phase.Revealed) {
            if (seed % 4 == 0) known.shard = shard(t.used);
            else if (seed % 4 == 1) known.trained = keccak256(abi.encode("better", ++nonce));
            else if (seed % 4 == 2) known.payout = address(uint160(known.payout) ^ 1);
            else known.shard = known.dataset;
        } else if (seed % 2 == 0 && t.used > 0) {
            known.shard = shard(t.used - 1);
        }
        bytes memory values = abi.encodePacked(t.head, known.trained, known.shard, uint64(9_000), uint64(1));
        bytes memory proof = prove(evaluateKey, values, contextOf("assay.evaluate.v1", id, known.payout));
        bytes memory call_ = abi.encodeCall(ITrainingMarket.settleEval, (id, 9_000, 1, proof));
        send(who, call_, false, "a cheat's evaluation");
    }

    /// @dev A shard of before or of later, or the right one under another's path.
    function cheatsReveal(uint256 id, address who, uint256 seed) private {
        ITrainingMarket.Task memory t = market.task(id);
        uint256 right = t.used == 0 ? SHARDS : t.used - 1;
        uint256 place = seed % SHARDS;
        if (place == right && t.phase == ITrainingMarket.Phase.Trained) place = (place + 1) % SHARDS;
        send(who, revealCall(id, place), false, "a cheat's shard");
    }

    /// @dev I4: chain, market, task, head, round and payout, whatever the market says.
    function contextOf(string memory what, uint256 id, address to) private view returns (bytes32) {
        ITrainingMarket.Task memory t = market.task(id);
        bytes32 job = keccak256(abi.encode(what, id, t.heads, t.rounds));
        return contextFor(block.chainid, address(market), job, to);
    }

    function doFinish(uint256 seed) external {
        uint256 id = pick(seed);
        if (id == 0) return;
        bool live = market.task(id).phase != ITrainingMarket.Phase.None;
        if (live && (nowAt() >= market.round(id).until || !alive())) {
            finishFor(id);
        } else {
            send(person(seed), abi.encodeCall(ITrainingMarket.finish, (id)), false, "finish");
        }
    }

    /// @dev I9: not during a round, nor by others before the deadline.
    function doRefund(uint256 seed) external {
        uint256 id = pick(seed);
        if (id == 0) return;
        ITrainingMarket.Task memory t = market.task(id);
        address who = seed % 4 == 0 ? t.sponsor : person(seed >> 8);
        if (seed % 64 != 0 && nowAt() < t.deadline && alive()) return;
        bool live = t.phase != ITrainingMarket.Phase.None;
        bool over = !live || nowAt() >= market.round(id).until || !alive();
        bool may =
            t.status == ITrainingMarket.Status.Open && over && (nowAt() >= t.deadline || who == t.sponsor || !alive());
        if (may && live) finishFor(id);
        t = market.task(id);
        uint256 was = market.claimable(t.sponsor);
        if (!send(who, abi.encodeCall(ITrainingMarket.refund, (id)), may, "refund")) return;
        equal(market.claimable(t.sponsor) - was, uint256(t.escrow) + t.rescue, "refunded");
        books[id].refunded += uint256(t.escrow) + t.rescue;
    }

    function doWithdraw(uint256 seed) external {
        address who = seed % 5 == 0 ? DATA : seed % 5 == 1 ? defaults().treasury : person(seed >> 8);
        uint256 due = market.claimable(who);
        uint256 before = token.balanceOf(who);
        send(person(seed >> 16), abi.encodeWithSignature("withdraw(address)", who), true, "withdraw");
        equal(token.balanceOf(who) - before, due, "withdrawn");
    }

    function doClaim(uint256 seed) external {
        uint256 current = emission.currentEpoch();
        if (current > 0) emission.claim(person(seed), list((seed >> 8) % current));
    }

    function doPause(uint256 seed) external {
        if (paused()) succeeds(address(this), address(market), abi.encodeWithSignature("unpause()"), "unpause");
        else if (seed % 3 == 0) succeeds(guardian, address(market), abi.encodeWithSignature("pause()"), "pause");
    }

    /// @dev Rarely: it ends all tasks, and new ones take new verifiers.
    function doTombstone(uint256 seed) external {
        if (seed % 16 != 0 || count == 0) return;
        cheats.prank(guardian);
        registry.tombstone(seed % 32 == 0 ? trainId : evaluateId);
    }

    function doRetire(uint256 seed) external {
        if (seed % 16 != 0) return;
        uint256 place = (seed >> 8) % 3;
        address owner = datasets.get(sets[place]).owner;
        cheats.prank(owner);
        datasets.retire(sets[place]);
        sets[place] = register(owner, keccak256(abi.encode(++nonce)), uint16((seed >> 16) % 5_001));
    }

    function doWait(uint256 seed) external {
        skip(seed % 90 minutes);
        blocks.roll(blocks.getBlockNumber() + 1 + (seed >> 64) % 10);
    }

    // What holds.

    function checkBooks() external view {
        // I1.
        uint256 sum = market.unburned();
        address[5] memory all = [SPONSOR, ANNE, BEN, DATA, defaults().treasury];
        for (uint256 i = 0; i < 5; i++) {
            sum += market.claimable(all[i]);
        }
        for (uint256 id = 1; id <= count; id++) {
            ITrainingMarket.Task memory t = market.task(id);
            ITrainingMarket.Round memory r = market.round(id);
            Book memory b = books[id];
            sum += uint256(t.escrow) + t.rescue + r.reserved + r.bond;
            check(t.head == b.head && t.heads == b.heads, "I7: the head");
            if (t.phase >= ITrainingMarket.Phase.Trained) {
                check(r.trained == last[id].trained, "I7: weights that were proven");
            }
            check(t.used == b.trained && t.heads <= t.used && t.used <= t.rounds, "I3: rounds, shards and heads");
            equal(t.rescue + b.rescued + (b.refunded > 0 ? b.lost - b.rescued : 0), b.lost, "lost bonds");
            bool live = t.phase != ITrainingMarket.Phase.None;
            check(live == (r.payout != address(0)) && (live || r.reserved == 0), "a round");
            check(t.status == ITrainingMarket.Status.Open || !live, "a live round of a closed task");
        }
        equal(token.balanceOf(address(market)), sum, "I1");
        // The emission, as if each fee had been credited at once; I2 is the emission's own.
        for (uint256 i = 0; i < 3; i++) {
            plain.sameLately(people[i]);
        }
    }

    /// @dev Paused for good, with strangers calling only, everything leaves.
    function drain() external {
        if (!paused()) succeeds(guardian, address(market), abi.encodeWithSignature("pause()"), "pause");
        skip(40 days);
        for (uint256 id = 1; id <= count; id++) {
            ITrainingMarket.Task memory t = market.task(id);
            if (t.status == ITrainingMarket.Status.Open) {
                cheats.prank(address(0x57));
                market.refund(id);
            }
        }
        address[5] memory all = [SPONSOR, ANNE, BEN, DATA, defaults().treasury];
        for (uint256 i = 0; i < 5; i++) {
            market.withdraw(all[i]);
        }
        equal(token.balanceOf(address(market)), market.unburned(), "somebody's money is stuck");
        market.burnFees();
        equal(token.balanceOf(address(market)), 0, "fees are stuck");
        for (uint256 i = 0; i < 3; i++) {
            plain.same(people[i]);
        }
    }

    // Helpers.

    /// @dev Ends the round, if there is one, and checks what that moves.
    function finishFor(uint256 id) private {
        ITrainingMarket.Task memory t = market.task(id);
        ITrainingMarket.Round memory r = market.round(id);
        if (t.phase == ITrainingMarket.Phase.None) return;
        uint256 was = market.claimable(r.payout);
        uint256 fees = market.unburned();
        market.finish(id);
        uint256 got = market.claimable(r.payout) - was;
        uint256 most = uint256(t.maxSteps) * RATE;
        if (!alive() || t.phase == ITrainingMarket.Phase.Revealed) {
            equal(got, r.bond, "bond back");
        } else if (t.phase == ITrainingMarket.Phase.Trained) {
            uint256 amount = worker(most, r.royaltyBps, t.protocolBps) + r.bond;
            if (r.payout == r.recipient) amount += most * r.royaltyBps / 1e4;
            equal(got, amount, "I9: the most");
            books[id].paid += most;
        } else {
            equal(got, 0, "a lost lease pays");
            equal(market.unburned() - fees, r.bond - r.bond / 2, "burned of a lost lease");
            books[id].lost += r.bond / 2;
        }
    }

    /// @dev Sends a call that pays the round's payout address, and nobody else of the people but the data's recipient.
    function paid(address from, bytes memory call_, ITrainingMarket.Round memory r, bool may, string memory what)
        private
        returns (bool ok, uint256 got)
    {
        uint256[3] memory before;
        for (uint256 i = 0; i < 3; i++) {
            before[i] = market.claimable(people[i]);
        }
        ok = send(from, call_, may, what);
        for (uint256 i = 0; i < 3; i++) {
            uint256 gain = market.claimable(people[i]) - before[i];
            if (people[i] == r.payout) got = gain;
            else check(gain == 0 || (ok && people[i] == r.recipient), "I4: somebody else is credited");
        }
        check(ok || got == 0, "I10: paid without a proof");
    }

    function worker(uint256 amount, uint256 royalty, uint256 protocol) private pure returns (uint256) {
        return amount - amount * royalty / 1e4 - amount * protocol / 1e4;
    }

    function send(address from, bytes memory call_, bool may, string memory what) private returns (bool ok) {
        cheats.prank(from);
        (ok,) = address(market).call(call_);
        if (ok != may) revert Failed(string.concat(what, may ? " was refused" : " was allowed"));
        if (ok) successes[keccak256(bytes(what))]++;
    }

    function alive() private view returns (bool) {
        return registry.isActive(trainId) && registry.isActive(evaluateId);
    }

    function paused() private view returns (bool on) {
        (, bytes memory out) = address(market).staticcall(abi.encodeWithSignature("paused()"));
        return abi.decode(out, (bool));
    }

    function person(uint256 seed) private view returns (address) {
        return people[seed % 3];
    }

    function pick(uint256 seed) private view returns (uint256) {
        return count == 0 ? 0 : 1 + (seed >> 240) % count;
    }

    /// @dev Mostly one whose round is in this phase.
    function pick(uint256 seed, ITrainingMarket.Phase phase) private view returns (uint256 id) {
        id = pick(seed);
        if ((seed >> 230) % 4 == 0) return id;
        for (uint256 i = 0; i < count && market.task(id).phase != phase; i++) {
            id = id % count + 1;
        }
    }
}
