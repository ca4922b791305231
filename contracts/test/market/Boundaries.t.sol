// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IJobMarket } from "../../sol/economy/IJobMarket.sol";
import { JobMarket } from "../../sol/economy/JobMarket.sol";
import { MarketTest } from "./Market.sol";

interface Snapshots {
    function snapshotState() external returns (uint256);
    function revertToState(uint256 id) external returns (bool);
}

/// What can be done with a job, second by second. At every time there is a way for its money: until the deadline somebody can
/// be paid for it, from the deadline on everybody can refund it, and no second has both or none.
contract BoundariesTest is MarketTest {
    /// @dev One possibility a bit.
    uint256 private constant LEASE = 1;
    uint256 private constant PAY_WORKER = 2;
    uint256 private constant PAY_OTHER = 4;
    uint256 private constant CANCEL = 8; // a refund by the requester
    uint256 private constant EXPIRE = 16; // a refund by anybody

    function possible(uint256 id) private returns (uint256 all) {
        if (can(OTHER, abi.encodeCall(JobMarket.lease, (list(id), OTHER, anyBond(1), 0)))) all |= LEASE;
        if (can(OTHER, payCall(list(id), WORKER))) all |= PAY_WORKER;
        if (can(OTHER, payCall(list(id), OTHER))) all |= PAY_OTHER;
        if (can(REQUESTER, abi.encodeCall(JobMarket.refund, (list(id))))) all |= CANCEL;
        if (can(OTHER, abi.encodeCall(JobMarket.refund, (list(id))))) all |= EXPIRE;
    }

    function payCall(uint256[] memory ids, address payout) private view returns (bytes memory) {
        return abi.encodeCall(JobMarket.fulfil, (ids, saltsOf(ids), payout, valuesOf(ids), proofOf(ids, payout)));
    }

    /// @dev Whether a call is possible now; what it did is undone.
    function can(address from, bytes memory call) private returns (bool ok) {
        uint256 state = Snapshots(address(vm)).snapshotState();
        cheats.prank(from);
        (ok,) = address(market).call(call);
        if (ok) balanced();
        Snapshots(address(vm)).revertToState(state);
    }

    function expect(uint256 id, uint256 time, uint256 expected, string memory what) private {
        cheats.warp(time);
        equal(possible(id), expected, what);
    }

    function testEachSecondHasItsPossibilities() public {
        uint256 free = LEASE | PAY_WORKER | PAY_OTHER | CANCEL;
        uint256 id = post();
        uint256 deadline = market.job(id).deadline;
        expect(id, nowAt(), free, "the second of the post");
        lease(id, WORKER);
        uint256 end = market.job(id).leaseEnd;
        expect(id, nowAt(), PAY_WORKER, "the second of the lease");
        expect(id, end - 1, PAY_WORKER, "the last second of the lease");
        expect(id, end, free, "after the lease");
        expect(id, deadline - 1, free, "the last second");
        lease(id, WORKER);
        expect(id, deadline - 1, PAY_WORKER, "a lease of one second");
        expect(id, deadline, CANCEL | EXPIRE, "deadline");
        expect(id, deadline + 1000 days, CANCEL | EXPIRE, "any time later");
    }

    /// The same at any time, for any lease. A live lease is a promise to the worker and nobody else; without one the requester
    /// can always leave.
    function testNoSecondWithoutAWay(uint32 seconds_, uint40 leasedAt, uint40 time) public {
        IJobMarket.Spec memory s = spec(SINGLE);
        s.leaseSeconds = uint32(60 + seconds_ % 2 days);
        uint256 id = post(s);
        uint256 start = nowAt();
        cheats.warp(start + leasedAt % 1 days);
        lease(id, WORKER);
        uint256 end = market.job(id).leaseEnd;
        cheats.warp(nowAt() + time % 2 days);
        uint256 now_ = possible(id);
        check((now_ & PAY_WORKER != 0) != (now_ & EXPIRE != 0), "payment and expiry");
        check((now_ & CANCEL != 0) == (nowAt() >= end), "cancelling");
        check((now_ & LEASE != 0) == (now_ & PAY_OTHER != 0), "open to one, open to all");
        check((now_ & PAY_OTHER != 0) == (nowAt() >= end && nowAt() < s.deadline), "others");
    }

    /// A stranger's or requester's job in a batch: whoever can end one job voids the proof of all, so nobody may be able to.
    /// Leases on all of them do it, even against the last job's requester.
    function testLeasesProtectABatch() public {
        uint256[] memory ids = list(post(spec(BATCH)), post(spec(BATCH)), post(spec(BATCH)), post(spec(BATCH)));
        bytes memory pay = payCall(ids, WORKER);
        uint256 state = Snapshots(address(vm)).snapshotState();
        refund(ids[3], REQUESTER);
        check(!can(WORKER, pay), "a cancelled job voids the batch");
        Snapshots(address(vm)).revertToState(state);
        lease(ids[3], OTHER);
        check(!can(WORKER, pay), "a stranger's lease voids the batch");
        Snapshots(address(vm)).revertToState(state);
        cheats.prank(WORKER);
        market.lease(ids, WORKER, anyBond(ids.length), 0);
        cheats.warp(nowAt() + 10 minutes - 1);
        for (uint256 i = 0; i < 4; i++) {
            equal(possible(ids[i]), 0, "somebody can end a leased job of the batch");
        }
        check(can(OTHER, pay), "and it is paid");
    }

    /// Jobs of the same number in two markets are two statements: what one paid, the other does not.
    function testNoReplayInASecondMarket() public {
        uint256 id = post();
        bytes memory pay = payCall(list(id), WORKER);
        check(can(OTHER, pay), "paid where it was proven");
        market = deploy(address(token), address(emission));
        cheats.prank(REQUESTER);
        token.approve(address(market), type(uint256).max);
        equal(post(), id, "the same number");
        check(!can(OTHER, pay), "paid again in another market");
    }

    /// A batch of one job and its single proof have different contexts, as have batches with and without fillers.
    function testContextsAreApart(uint256 a, uint256 b, uint8 zeros) public view {
        uint256[] memory one = list(a);
        uint256[] memory padded = new uint256[](2 + zeros % 8);
        padded[0] = a;
        check(market.contextJob(one) != market.contextJob(padded), "fillers");
        uint256[] memory longer = new uint256[](padded.length + 1);
        longer[0] = a;
        check(market.contextJob(longer) != market.contextJob(padded), "number of fillers");
        if (b != 0) longer[1] = b;
        check(market.contextJob(longer) != market.contextJob(padded), "a second job");
        check(market.contextJob(one) == bytes32(a), "one job is its number");
    }
}
