// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IJobMarket } from "../../sol/economy/IJobMarket.sol";
import { ILedger } from "../../sol/economy/ILedger.sol";
import { MarketTest } from "./Market.sol";

/// @dev Plays a market with four people who are requesters and workers alike. Before each call it says from the rules
/// whether the call must succeed, and fails if the market disagrees; so honest and dishonest calls come from the same place.
contract Handler is MarketTest {
    struct Origin {
        bytes32 verifierId;
        bytes32 offerId;
        address requester;
        uint128 price; // locked last, or paid
        uint40 start; // of the ramp, as posted
        uint40 length; // of the ramp
        uint40 leased; // time of all leases
        uint256 payments;
        uint256 refunds;
    }

    address[4] private _people = [REQUESTER, WORKER, OTHER, OWNER];
    /// @dev Even places: single proofs, odd ones: batches of four. Ended ones are replaced.
    bytes32[4] private _verifierIds = [SINGLE, BATCH, keccak256("single 2"), keccak256("batch 2")];
    bytes32[] private _ended;
    mapping(uint256 => Origin) public origins;
    mapping(bytes32 => uint256) public successes;
    uint256 public burned;
    uint256 public settledFees;
    uint256 public settledUnits;

    function setUp() public override {
        super.setUp();
        addVerifier(_verifierIds[2], MODEL, 1);
        addVerifier(_verifierIds[3], MODEL, 4);
    }

    // Moves.

    function doPost(uint256 seed, uint96 low, uint96 rise, uint96 bond) external {
        IJobMarket.Spec memory s = spec(_verifierIds[seed % 4]);
        if (seed & 16 != 0) s.offerId = OFFER_FREE;
        s.minPrice = uint128(1 + low % 1e21);
        s.maxPrice = uint128(s.minPrice + rise % 1e21);
        s.bond = uint128((uint256(s.maxPrice) + 19) / 20);
        s.bond += bond % (s.maxPrice - s.bond + 1);
        s.rampStart = uint40(nowAt() + (seed >> 8) % 1 hours);
        s.rampEnd = uint40(s.rampStart + (seed >> 32) % 4 hours);
        s.deadline = uint40(nowAt() + 1 + (seed >> 64) % 8 hours);
        s.leaseSeconds = uint32(60 + (seed >> 96) % 1 hours);
        address who = person(seed >> 128);
        uint256 fee = market.workFee(s.verifierId);
        uint256 before = token.balanceOf(who);
        bool ok = send(who, abi.encodeCall(IJobMarket.post, (s, 0, "")), !market.paused(), "post");
        equal(before - token.balanceOf(who), ok ? s.maxPrice + fee : 0, "taken for a job");
        if (ok) {
            origins[market.jobs()] =
                Origin(s.verifierId, s.offerId, who, 0, s.rampStart, s.rampEnd - s.rampStart, 0, 0, 0);
        }
    }

    function doLease(uint256 seed) external {
        uint256 id = pick(seed);
        if (id == 0) return;
        IJobMarket.Job memory j = market.job(id);
        address who = person(seed >> 64);
        // Somebody else's name may be put on a lease.
        address payout = seed & 7 == 0 ? person(seed >> 72) : who;
        uint40 until = uint40(nowAt() + j.leaseSeconds);
        if (until > j.deadline) until = j.deadline;
        // Now and then terms that the job does not meet, by one unit or one second.
        uint128[] memory most = new uint128[](1);
        most[0] = (seed >> 80) & 7 == 0 ? j.bond - 1 : j.bond;
        uint40 least = (seed >> 83) & 7 == 0 ? until + 1 : until;
        bool may = !market.paused() && j.status == IJobMarket.Status.Open && nowAt() >= j.leaseEnd
            && nowAt() < j.deadline && verifiers.isActive(j.verifierId) && most[0] >= j.bond && least <= until;
        // The same as a number of seconds.
        if ((seed >> 86) & 1 == 0 && least > nowAt()) least -= uint40(nowAt());
        uint256 price = expectedPrice(id, j);
        uint256 before = token.balanceOf(who);
        uint256 unburned = market.unburned();
        bool ok = send(who, abi.encodeCall(IJobMarket.lease, (list(id), payout, most, least)), may, "lease");
        equal(before - token.balanceOf(who), ok ? j.bond : 0, "taken for a lease");
        equal(market.unburned() - unburned, ok ? j.held - j.held / 2 : 0, "burned of a lost lease");
        if (ok) {
            IJobMarket.Job memory now_ = market.job(id);
            check(now_.payout == payout && now_.held == j.bond && now_.leaseEnd <= j.deadline, "lease");
            equal(now_.rescue, j.rescue + j.held / 2, "rescue");
            equal(now_.leaseEnd, until, "end of a lease");
            equal(now_.price, price, "price of a lease");
            equal(j.price, 0, "price without a lease");
            origins[id].price = now_.price;
            origins[id].leased += until - uint40(nowAt());
        }
    }

    function doFulfil(uint256 seed) external {
        uint256[] memory ids = batch(seed);
        if (ids.length == 0) return;
        address payout = person(seed >> 64);
        IJobMarket.Job memory first = market.job(ids[0]);
        // Most of the time the one who can be paid.
        if (seed & 3 != 0 && nowAt() < first.leaseEnd) payout = first.payout;
        bool may = true;
        uint256 expected;
        for (uint256 i = 0; i < ids.length && ids[i] != 0; i++) {
            IJobMarket.Job memory j = market.job(ids[i]);
            bool live = nowAt() < j.leaseEnd;
            may = may && j.status == IJobMarket.Status.Open && verifiers.isActive(j.verifierId) && nowAt() < j.deadline
                && (!live || payout == j.payout) && j.verifierId == first.verifierId && j.offerId == first.offerId;
            if (may) {
                uint256 price = live ? j.price : expectedPrice(ids[i], j);
                equal(market.currentPrice(ids[i]), price, "price now");
                expected += price - price * j.protocolBps / 1e4;
                if (j.offerId == OFFER) expected -= price * ROYALTY / 1e4 + price * DATA / 1e4;
                expected += j.rescue + (live ? j.held : j.held / 2);
            }
        }
        pay(ids, payout, may, expected, seed >> 128);
    }

    /// @dev I4, I10.
    function pay(uint256[] memory ids, address payout, bool may, uint256 expected, uint256 seed) private {
        bytes memory proof = proofOf(ids, payout);
        if (seed & 7 == 0) {
            // A proof that was made for somebody else, or none.
            proof = seed & 8 == 0 ? proofOf(ids, person(seed + 1)) : bytes("");
            may = may && keccak256(proof) == keccak256(proofOf(ids, payout));
        }
        uint256[4] memory before;
        IJobMarket.Job[] memory jobs = new IJobMarket.Job[](ids.length);
        for (uint256 i = 0; i < 4; i++) {
            before[i] = market.claimable(_people[i]);
        }
        for (uint256 i = 0; i < ids.length && ids[i] != 0; i++) {
            jobs[i] = market.job(ids[i]);
        }
        bytes memory call = abi.encodeCall(IJobMarket.fulfil, (ids, saltsOf(ids), payout, valuesOf(ids), proof));
        bool ok = send(person(seed >> 8), call, may, "fulfil");
        for (uint256 i = 0; i < 4; i++) {
            uint256 gain = ok && _people[i] == payout ? expected : 0;
            equal(market.claimable(_people[i]), before[i] + gain, "credited by a proof");
        }
        if (!ok) return;
        for (uint256 i = 0; i < ids.length && ids[i] != 0; i++) {
            origins[ids[i]].payments++;
            settledFees += jobs[i].workFee;
            settledUnits += UNITS;
            if (nowAt() >= jobs[i].leaseEnd) origins[ids[i]].price = uint128(expectedPrice(ids[i], jobs[i]));
            equal(market.job(ids[i]).price, origins[ids[i]].price, "price paid");
        }
    }

    /// @dev I6, I9.
    function doRefund(uint256 seed) external {
        uint256 id = pick(seed);
        if (id == 0) return;
        IJobMarket.Job memory j = market.job(id);
        address who = seed & 3 == 0 ? person(seed >> 64) : j.requester;
        bool open = j.status == IJobMarket.Status.Open;
        bool ended = !verifiers.isActive(j.verifierId);
        bool may = open
            ? ended || nowAt() >= j.deadline || (who == j.requester && nowAt() >= j.leaseEnd)
            : j.status == IJobMarket.Status.Fulfilled && j.price < j.maxPrice;
        uint256 expected = open ? uint256(j.maxPrice) + j.workFee + j.rescue + (ended ? 0 : j.held / 2) : 0;
        if (j.status == IJobMarket.Status.Fulfilled) expected = j.maxPrice - j.price;
        uint256 before = market.claimable(j.requester);
        uint256 worker = market.claimable(j.payout);
        bool ok = send(who, abi.encodeCall(IJobMarket.refund, (list(id))), may, "refund");
        if (!ok) expected = 0;
        uint256 bond = ok && ended ? j.held : 0;
        if (j.requester == j.payout) {
            expected += bond;
        } else {
            equal(market.claimable(j.payout) - worker, bond, "bond given back");
        }
        equal(market.claimable(j.requester) - before, expected, "refunded");
        if (ok) origins[id].refunds++;
    }

    function doWithdraw(uint256 seed) external {
        address who = seed & 7 == 0 ? TREASURY : seed & 7 == 1 ? CURATOR : person(seed >> 8);
        uint256 due = market.claimable(who);
        uint256 before = token.balanceOf(who);
        send(person(seed >> 16), abi.encodeCall(ILedger.withdraw, (who)), true, "withdraw");
        equal(token.balanceOf(who) - before, due, "withdrawn");
    }

    function doCollect(bool free) external {
        send(OTHER, abi.encodeCall(ILedger.collectRoyalties, (free ? OFFER_FREE : OFFER)), true, "collect");
    }

    function doBurn() external {
        burned += market.unburned();
        send(OTHER, abi.encodeCall(ILedger.burnFees, ()), true, "burn");
    }

    function doPause(uint256 seed) external {
        if (market.paused()) {
            cheats.prank(GOVERNOR);
            market.unpause();
        } else if (seed % 3 == 0) {
            cheats.prank(GUARDIAN);
            market.pause();
        }
    }

    function doTombstone(uint256 seed) external {
        if (seed % 4 != 0) return;
        uint256 place = (seed >> 8) % 4;
        _ended.push(_verifierIds[place]);
        verifiers.tombstone(_verifierIds[place]);
        _verifierIds[place] = keccak256(abi.encode(_verifierIds[place]));
        addVerifier(_verifierIds[place], MODEL, place % 2 == 0 ? 1 : 4);
    }

    function doRates(uint16 bps, uint128 rate) external {
        cheats.prank(GOVERNOR);
        market.setProtocolBps(bps % 1_001);
        cheats.prank(GOVERNOR);
        market.setFeeRate(rate % 1e20);
    }

    function doWait(uint256 seed) external {
        cheats.warp(nowAt() + seed % 40 minutes);
    }

    /// @dev Everything that anybody can do without anybody's help, at the end.
    function drain() external {
        if (!market.paused()) {
            // A pause for good must not matter.
            cheats.prank(GUARDIAN);
            market.pause();
        }
        cheats.warp(nowAt() + 100 days);
        for (uint256 id = 1; id <= market.jobs(); id++) {
            IJobMarket.Job memory j = market.job(id);
            bool left =
                j.status == IJobMarket.Status.Open || (j.status == IJobMarket.Status.Fulfilled && j.price < j.maxPrice);
            if (left) market.refund(list(id));
        }
        market.collectRoyalties(OFFER);
        market.collectRoyalties(OFFER_FREE);
        for (uint256 i = 0; i < 4; i++) {
            market.withdraw(_people[i]);
        }
        market.withdraw(CURATOR);
        market.withdraw(TREASURY);
        equal(token.balanceOf(address(market)), market.unburned(), "somebody's money is stuck");
        burned += market.burnFees();
        equal(token.balanceOf(address(market)), 0, "fees are stuck");
        equal(token.totalSupply(), 4e27 - burned, "supply");
        equal(emission.totalFees(), settledFees, "fees recorded");
        equal(emission.totalUnits(), settledUnits, "units recorded");
        // I2's side of the market: nothing is recorded that was not burned.
        check(burned >= settledFees, "recorded more than was burned");
    }

    function checkBooks() external view {
        balanced();
        for (uint256 i = 0; i < 4; i++) {
            (uint256 epoch, uint256 kept) = market.keptFees(_people[i]);
            check(epoch <= emission.currentEpoch(), "fees of an epoch to come");
            equal(kept + emission.handed(_people[i]), emission.fees(_people[i]), "fees kept and handed over");
        }
    }

    /// @dev I3, I6, I8 and what never changes.
    function checkJobs() external view {
        for (uint256 id = 1; id <= market.jobs(); id++) {
            IJobMarket.Job memory j = market.job(id);
            Origin memory o = origins[id];
            check(j.verifierId == o.verifierId && j.offerId == o.offerId, "line of a job");
            check(j.requester == o.requester, "requester of a job");
            check(o.payments <= 1 && o.refunds <= 1, "paid or refunded twice");
            check(j.leaseEnd <= j.deadline, "lease outlives the deadline");
            bool free = j.status == IJobMarket.Status.Open && nowAt() >= j.leaseEnd;
            equal(j.price, free ? 0 : o.price, "price changed");
            check(free || j.price == 0 || (j.price >= j.minPrice && j.price <= j.maxPrice), "range of a price");
            if (free) {
                // Lost leases make no job dearer than its own ramp, and keep none down for longer than they lasted.
                uint256 price = market.currentPrice(id);
                check(price <= ramp(o, j, nowAt()) && price >= ramp(o, j, nowAt() - o.leased), "price without a lease");
            }
            bool paid = o.payments == 1;
            if (j.status == IJobMarket.Status.Open) check(!paid && o.refunds == 0, "open");
            if (j.status == IJobMarket.Status.Fulfilled) check(paid && o.refunds == 0, "fulfilled");
            if (j.status == IJobMarket.Status.Closed) check(o.refunds == 1, "closed");
        }
    }

    // Helpers.

    function send(address from, bytes memory call, bool may, string memory what) private returns (bool ok) {
        cheats.prank(from);
        (ok,) = address(market).call(call);
        if (ok != may) revert Failed(string.concat(what, may ? " was refused" : " was allowed"));
        if (ok) successes[keccak256(bytes(what))]++;
    }

    /// @dev What the job's own ramp says at a time, leases aside.
    function ramp(Origin memory o, IJobMarket.Job memory j, uint256 time) private pure returns (uint256) {
        if (time < o.start) return j.minPrice;
        if (time >= uint256(o.start) + o.length) return j.maxPrice;
        return j.minPrice + uint256(j.maxPrice - j.minPrice) * (time - o.start) / o.length;
    }

    /// @dev The price without a live lease: the ramp's, without the time under lease.
    function expectedPrice(uint256 id, IJobMarket.Job memory j) private view returns (uint256) {
        Origin memory o = origins[id];
        return ramp(o, j, nowAt() - o.leased);
    }

    function person(uint256 seed) private view returns (address) {
        return _people[seed % 4];
    }

    /// @dev Rather a young job: old ones are mostly over.
    function pick(uint256 seed) private view returns (uint256) {
        uint256 count = market.jobs();
        if (count == 0) return 0;
        uint256 back = (seed >> 160) % (seed & 64 == 0 ? count : (count < 4 ? count : 4));
        return count - back;
    }

    /// @dev A job with up to three others, filled up to the batch of the first one's verifier.
    function batch(uint256 seed) private view returns (uint256[] memory ids) {
        uint256 id = pick(seed);
        if (id == 0) return ids;
        bytes32 verifierId = market.job(id).verifierId;
        (,,,, uint32 size,,,) = verifiers.kept(verifierId);
        ids = new uint256[](size);
        ids[0] = id;
        uint256 count = 1;
        for (uint256 next = id + 1; next <= market.jobs() && count < size; next++) {
            // Now and then one that does not belong there.
            if (market.job(next).verifierId == verifierId || (seed >> 200) % 16 == 0) ids[count++] = next;
        }
    }
}
