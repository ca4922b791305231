// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IAccessManaged } from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import { EmissionController } from "../../sol/economy/EmissionController.sol";
import { IEmissionController } from "../../sol/economy/IEmissionController.sol";
import { IJobMarket } from "../../sol/economy/IJobMarket.sol";
import { IVerifierRegistry } from "../../sol/economy/IVerifierRegistry.sol";
import { JobMarket } from "../../sol/economy/JobMarket.sol";
import { AssayToken } from "../../sol/economy/AssayToken.sol";
import { MockVerifier } from "../economy/MockVerifier.sol";
import { RegistryBase } from "../economy/RegistryBase.sol";
import { MarketDeployment } from "./MarketDeployment.sol";

/// The market in the deployed system, with the real token, registries and emission; only the verifier says what it is told.
contract MarketEconomyTest is RegistryBase {
    address private constant DEALER = address(0xD0);
    address private constant HONEST = address(0xE0);
    address private constant WORKER = address(0xE1);
    address private constant OTHER = address(0xE2);
    uint64 private constant UNITS = 7_000_000_000;

    JobMarket private market;
    AssayToken private token;
    EmissionController private emission;
    MockVerifier private verifier;
    bytes32 private one;
    bytes32 private four;
    bytes32 private canary;
    bytes32 private offerId;
    mapping(bytes32 => bytes32) private keys;
    uint256[] private gasJobs;
    uint256 private freeJob;

    function deployment() internal pure override returns (string memory) {
        return string.concat("MarketDeployment.sol:", type(MarketDeployment).name);
    }

    function setUp() external {
        start();
        curator = address(this);
        (market, token, emission) = (JobMarket(system.market), system.token, system.emission);
        verifier = new MockVerifier();
        one = list_(verifier.register(modelKey(2, 1, 1, 1)), 1);
        four = list_(verifier.register(modelKey(8, 4, 1, 2)), 4);
        canary = verifier.register(canaryKey(1));
        cheats.prank(curator);
        registry.setCanary(address(verifier), canary);
        cheats.prank(DEALER);
        offerId = system.models.offer(one, 3_000, DEALER, 2_000, "");
        address[2] memory rich = [DEALER, HONEST];
        for (uint256 i = 0; i < 2; i++) {
            token.transfer(rich[i], 1_000_000e18);
            cheats.prank(rich[i]);
            token.approve(address(market), type(uint256).max);
        }
        token.approve(address(market), type(uint256).max);
        gasJobs.push(post(one, address(this), 5e18));
        gasJobs.push(post(one, address(this), 5e18));
        freeJob = post(one, address(this), 5e18);
        market.lease(gasJobs, WORKER, anyBond(gasJobs.length), 0);
        market.lease(list(post(one, address(this), 5e18)), OTHER, anyBond(1), 0);
    }

    function list_(bytes32 key, uint32 batch) private returns (bytes32 id) {
        cheats.prank(curator);
        id = registry.add(address(verifier), key, "model", batch, UNITS);
        keys[id] = key;
    }

    function post(bytes32 verifierId, address requester, uint128 price) private returns (uint256) {
        IJobMarket.Spec memory s = IJobMarket.Spec({
            verifierId: verifierId,
            offerId: offerId,
            inputCommitment: keccak256(new bytes(32 + 16)),
            minPrice: price,
            maxPrice: price,
            rampStart: 0,
            rampEnd: 0,
            deadline: uint40(nowAt() + 1 days),
            leaseSeconds: 600,
            bond: price
        });
        cheats.prank(requester);
        return market.post(s, 0, "");
    }

    function lease(uint256 id, address worker) private {
        cheats.prank(worker);
        market.lease(list(id), worker, anyBond(1), 0);
    }

    function fulfil(uint256[] memory ids, address worker) private {
        bytes32 key = keys[market.job(ids[0]).verifierId];
        bytes memory values = new bytes(ids.length * 24);
        bytes32 context = verifier.contextFor(address(market), market.contextJob(ids), worker);
        verifier.accept(key, values, context, "proof");
        market.fulfil(ids, new bytes32[](ids.length), worker, values, "proof");
    }

    function nextEpoch() private {
        cheats.warp(emission.epochStart() + (emission.currentEpoch() + 1) * emission.epochLength());
    }

    /// I13: somebody who is requester, worker, model owner, data's owner, and even the treasury, pays himself. All that he can
    /// get back of the burned fee is the emission, at most half.
    function testSelfDealing(uint128 price, uint8 count, bool others) public {
        price = uint128(bound(price, 1, 10_000e18));
        uint256 jobs = bound(count, 1, 6);
        uint256 epoch = emission.currentEpoch();
        uint256 before = wealth();
        for (uint256 i = 0; i < jobs; i++) {
            uint256 id = post(one, DEALER, price);
            if (i % 2 == 0) lease(id, DEALER);
            fulfil(list(id), DEALER);
            if (others) fulfil(list(post(one, HONEST, price)), HONEST);
        }
        if (others) {
            // What the honest one's royalties and shares bring is no gain of dealing with oneself.
            (uint128 owner, uint128 data) = market.royalties(offerId);
            before += (uint256(owner) + data + market.claimable(defaults().treasury)) / 2;
        }
        uint256 fees = jobs * market.workFee(one);
        nextEpoch();
        emission.claim(DEALER, list(epoch));
        check(fees > 0 && wealth() + fees / 2 <= before, "I13: paying oneself pays");
    }

    /// @dev All that the dealer has, or can have by asking.
    function wealth() private returns (uint256) {
        market.collectRoyalties(offerId);
        market.withdraw(DEALER);
        market.withdraw(defaults().treasury);
        return token.balanceOf(DEALER) + token.balanceOf(defaults().treasury);
    }

    /// I13 for who loses his own leases to gather rescues.
    function testSelfDealingWithLostLeases(uint8 losses) public {
        uint256 before = wealth();
        uint256 id = post(one, DEALER, 1_000e18);
        uint256 lost = bound(losses, 1, 5);
        for (uint256 i = 0; i < lost; i++) {
            lease(id, DEALER);
            skip(600);
        }
        fulfil(list(id), DEALER);
        uint256 epoch = emission.currentEpoch();
        nextEpoch();
        emission.claim(DEALER, list(epoch));
        check(wealth() + lost * 500e18 + market.workFee(one) / 2 <= before, "I13: lost bonds come back");
    }

    /// I13 when the rate of the fee changes between post and fulfilment, and when these are in different epochs: what comes back
    /// follows what was burned, whatever the rate is by then.
    function testSelfDealingAcrossRatesAndEpochs(uint256[4] calldata rates, uint8 order, bool epochBetween) public {
        uint256 before = wealth();
        uint256[] memory ids = new uint256[](4);
        uint256 fees;
        uint256 start_ = emission.currentEpoch();
        // The last second of an epoch, in which half of the jobs are fulfilled.
        if (epochBetween) cheats.warp(emission.epochStart() + (start_ + 1) * emission.epochLength() - 1);
        for (uint256 i = 0; i < 4; i++) {
            setRate(1 + rates[i] % market.MAX_FEE_RATE());
            fees += market.workFee(one);
            ids[i] = post(one, DEALER, 1_000e18);
        }
        for (uint256 i = 0; i < 4; i++) {
            uint256 at_ = (i + order) % 4;
            setRate(1 + rates[at_] % market.MAX_FEE_RATE());
            if (epochBetween && i == 2) skip(1);
            fulfil(list(ids[at_]), DEALER);
        }
        nextEpoch();
        emission.claim(DEALER, list(start_));
        if (epochBetween) emission.claim(DEALER, list(start_ + 1));
        check(wealth() + fees / 2 <= before, "I13: paying oneself pays");
    }

    function setRate(uint256 rate) private {
        cheats.prank(curator);
        market.setFeeRate(rate);
    }

    /// I12: the same work as one worker or as several.
    function testSplitting(uint8 count, uint128 price) public {
        price = uint128(bound(price, 1, 1_000e18));
        uint256 jobs = bound(count, 2, 8);
        uint256[] memory ids = new uint256[](jobs);
        for (uint256 i = 0; i < jobs; i++) {
            ids[i] = post(one, HONEST, price);
        }
        uint256 state = cheats.snapshotState();
        uint256 whole = earn(ids, 1);
        cheats.revertToState(state);
        uint256 parts = earn(ids, jobs);
        check(parts <= whole, "I12: splitting pays");
        check(whole - parts <= jobs, "linear but for rounding");
    }

    function earn(uint256[] memory ids, uint256 identities) private returns (uint256 sum) {
        uint256 epoch = emission.currentEpoch();
        for (uint256 i = 0; i < ids.length; i++) {
            fulfil(list(ids[i]), address(uint160(0x5000 + i % identities)));
        }
        nextEpoch();
        for (uint256 i = 0; i < identities; i++) {
            address worker = address(uint160(0x5000 + i));
            emission.claim(worker, list(epoch));
            market.withdraw(worker);
            sum += token.balanceOf(worker);
        }
    }

    /// Fees are gone before anything is minted for them, and a batch is recorded as its jobs would be.
    function testClaimBurnsFirst() public {
        uint256[] memory ids = new uint256[](4);
        for (uint256 i = 0; i < 4; i++) {
            ids[i] = post(four, HONEST, 5e18);
        }
        uint256 epoch = emission.currentEpoch();
        fulfil(ids, DEALER);
        uint256 fees = 4 * market.workFee(four);
        IEmissionController.Stats memory stats = emission.stats(epoch);
        check(stats.fees == fees && stats.units == 4 * uint256(UNITS) && stats.workers == 1, "recorded");
        equal(market.unburned(), fees, "unburned");
        uint256 supply = token.totalSupply();
        nextEpoch();
        uint256 minted = emission.claim(DEALER, list(epoch));
        check(minted == fees / 2 && market.unburned() == 0, "half is minted");
        equal(token.totalSupply(), supply - fees + minted, "supply");
        equal(emission.claim(DEALER, list(epoch)), 0, "once");
    }

    /// A batch with fillers can fill the rest of the slots with zeros only; the emission sees paid work only.
    function testFillersAreNotRecorded() public {
        uint256[] memory ids = new uint256[](4);
        ids[0] = post(four, HONEST, 5e18);
        bytes memory values = new bytes(96);
        bytes32 context = verifier.contextFor(address(market), market.contextJob(ids), DEALER);
        verifier.accept(keys[four], values, context, "proof");
        market.fulfil(ids, new bytes32[](1), DEALER, values, "proof");
        equal(emission.stats(emission.currentEpoch()).units, UNITS, "units");
    }

    /// I6: whoever proves the impossible ends all of the verifier's jobs, and nobody's money is lost by it.
    function testStop() public {
        uint256 others = token.balanceOf(address(market));
        uint256 free = post(one, HONEST, 7e18);
        uint256 leased = post(four, HONEST, 7e18);
        lease(leased, DEALER);
        uint256 before = token.balanceOf(DEALER);
        (bytes memory values, bytes memory proof) = forge_(verifier, canary);
        registry.stop(address(verifier), srsOf(modelKey(2, 1, 1, 1)), values, proof);
        bytes memory call_ =
            abi.encodeCall(IJobMarket.fulfil, (list(free), new bytes32[](1), DEALER, new bytes(24), bytes("proof")));
        fails(DEALER, address(market), call_, IJobMarket.VerifierEnded.selector, "paid after the end");
        uint256[] memory ids = new uint256[](2);
        (ids[0], ids[1]) = (free, leased);
        cheats.expectEmit(address(market));
        emit IJobMarket.BondReturned(leased, DEALER, 7e18);
        market.refund(ids);
        equal(market.claimable(HONEST), 14e18 + 2 * market.workFee(one), "requester");
        equal(market.withdraw(DEALER), 7e18, "bond");
        equal(token.balanceOf(DEALER) - before, 7e18, "bond received");
        market.withdraw(HONEST);
        equal(token.balanceOf(address(market)), others, "all of it left");
    }

    function testRoles() public {
        bytes4 unauthorized = IAccessManaged.AccessManagedUnauthorized.selector;
        uint256 id = post(one, HONEST, 7e18);
        fails(HONEST, address(market), abi.encodeCall(JobMarket.pause, ()), unauthorized, "anybody pauses");
        succeeds(guardian, address(market), abi.encodeCall(JobMarket.pause, ()), "pause");
        fails(guardian, address(market), abi.encodeCall(JobMarket.unpause, ()), unauthorized, "guardian unpauses");
        fails(guardian, address(market), abi.encodeCall(JobMarket.setFeeRate, (0)), unauthorized, "guardian's rates");
        fulfil(list(id), DEALER);
        succeeds(curator, address(market), abi.encodeCall(JobMarket.unpause, ()), "the timelock unpauses");
        succeeds(curator, address(market), abi.encodeCall(JobMarket.setFeeRate, (1)), "and sets rates");
        id = post(one, HONEST, 7e18);
        succeeds(guardian, address(registry), abi.encodeCall(IVerifierRegistry.tombstone, (one)), "tombstone");
        market.refund(list(id));
    }

    /// Nobody but the market can have fees counted.
    function testRecord() public {
        bytes memory call_ = abi.encodeCall(IEmissionController.record, (DEALER, 1e18, 1));
        fails(DEALER, address(emission), call_, IEmissionController.OnlyMarket.selector, "recorded");
    }

    function coolAll() private {
        address[5] memory all =
            [address(market), address(registry), address(emission), address(token), address(verifier)];
        for (uint256 i = 0; i < all.length; i++) {
            vm.cool(all[i]);
        }
    }

    // Gas, without the verification, whose answer costs nothing here. Each is the first payment of its epoch; the code of the
    // verifier is looked at for the first time, which a bare verification pays for as well (2,600).

    function settleForGas(uint256 id, address payout) private {
        vm.mockCall(address(verifier), abi.encodeWithSelector(verifier.verify.selector), abi.encode(true));
        market.fulfil(list(id), new bytes32[](1), payout, new bytes(24), "proof");
    }

    function testGasFirst() public {
        settleForGas(gasJobs[0], WORKER);
        uint256 gas =
            cheats.snapshotGasLastCall("JobMarket", "fulfil in the deployed system, first of an epoch, leased");
        check(gas < 120_000, "leased");
    }

    /// Without a lease, to an account that has leased or was paid before.
    function testGasFirstFree() public {
        settleForGas(freeJob, WORKER);
        uint256 gas =
            cheats.snapshotGasLastCall("JobMarket", "fulfil in the deployed system, first of an epoch, not leased");
        check(gas < 120_000, "not leased");
    }

    /// The same after a lost lease, which is somebody else's.
    function testGasFirstLost() public {
        skip(600);
        settleForGas(gasJobs[0], OTHER);
        uint256 gas =
            cheats.snapshotGasLastCall("JobMarket", "fulfil in the deployed system, first of an epoch, lease lost");
        check(gas < 120_000, "lease lost");
    }

    /// An account that the market has never seen: its slot is made, the epoch's, and none for the account in the epoch.
    function testGasFirstUnseen() public {
        settleForGas(freeJob, address(0xE3));
        uint256 gas = cheats.snapshotGasLastCall(
            "JobMarket", "fulfil in the deployed system, first of an epoch, not leased, account never seen"
        );
        check(gas < 120_000, "not leased, never seen");
    }

    function testGasFirstUnseenLost() public {
        skip(600);
        settleForGas(gasJobs[0], address(0xE3));
        uint256 gas = cheats.snapshotGasLastCall(
            "JobMarket", "fulfil in the deployed system, first of an epoch, lease lost, account never seen"
        );
        check(gas < 120_000, "lease lost, never seen");
    }

    /// The dearest: somebody else's lease was lost, and the account's fees of an epoch before are handed over.
    function testGasFirstHandedOver() public {
        settleForGas(freeJob, OTHER);
        skip(7 days);
        freeJob = post(one, HONEST, 7e18);
        market.lease(list(freeJob), WORKER, anyBond(1), 0);
        skip(601);
        coolAll();
        settleForGas(freeJob, OTHER);
        uint256 gas = cheats.snapshotGasLastCall(
            "JobMarket", "fulfil in the deployed system, first of an epoch, lease lost, fees of another epoch"
        );
        check(gas < 120_000, "fees of another epoch");
    }

    function testGasNext() public {
        settleForGas(gasJobs[0], WORKER);
        coolAll();
        settleForGas(gasJobs[1], WORKER);
        cheats.snapshotGasLastCall("JobMarket", "fulfil in the deployed system");
    }
}
