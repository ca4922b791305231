// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AssayToken } from "../../sol/economy/AssayToken.sol";
import { EmissionController } from "../../sol/economy/EmissionController.sol";
import { IJobMarket } from "../../sol/economy/IJobMarket.sol";
import { JobMarket } from "../../sol/economy/JobMarket.sol";
import { MockVerifier } from "../economy/MockVerifier.sol";
import { PlainEmission } from "../economy/PlainEmission.sol";
import { RegistryBase } from "../economy/RegistryBase.sol";
import { MarketDeployment } from "./MarketDeployment.sol";

/// @dev A ring of four who are requesters, workers, owner and data recipient of a model, and the treasury, and pay each other in
/// the deployed system; besides them people who pay for work, now and then done by the ring. What the ring gets from others is
/// counted as a gift, so what is left of its books is what dealing with itself brings.
contract SystemHandler is RegistryBase {
    uint64 private constant UNITS = 7_000_000_000;
    uint256 private constant RICH = 1_000_000e18;
    address private constant PAYER = address(0xE0);
    address private constant WORKER = address(0xE1);
    address private constant OWNER = address(0xE2);

    JobMarket private market;
    AssayToken private token;
    EmissionController private emission;
    PlainEmission private plain;
    MockVerifier private verifier;
    bytes32 private key;
    bytes32 private verifierId;
    bytes32 private ownOffer;
    bytes32 private otherOffer;
    address[4] private ring = [address(0xD0), address(0xD1), address(0xD2), address(0xD3)];
    uint256[] private jobs;

    /// @dev Of the ring: what it had, got from others, got from the emission, and what was burned of it.
    uint256 public initial;
    uint256 public gift;
    uint256 public claimed;
    uint256 public ownFees;
    uint256 public lostBonds;
    /// @dev Fees that others paid for work of the ring.
    uint256 public giftFees;

    function deployment() internal pure override returns (string memory) {
        return string.concat("MarketDeployment.sol:", type(MarketDeployment).name);
    }

    function setUp() external {
        Config memory config = defaults();
        // So that it binds in some epochs.
        config.schedule.budget = 5_000e18;
        system = deploy(config);
        registry = system.verifiers;
        (market, token, emission) = (JobMarket(system.market), system.token, system.emission);
        plain = new PlainEmission(emission);
        verifier = new MockVerifier();
        key = verifier.register(modelKey(2, 1, 1, 1));
        verifierId = registry.add(address(verifier), key, "model", 1, UNITS);
        cheats.prank(ring[0]);
        ownOffer = system.models.offer(verifierId, 3_000, ring[1], 2_000, "");
        cheats.prank(OWNER);
        otherOffer = system.models.offer(verifierId, 1_000, address(0), 0, "");
        for (uint256 i = 0; i < 4; i++) {
            enrich(ring[i]);
        }
        enrich(PAYER);
        initial = wealth();
    }

    function enrich(address who) private {
        token.transfer(who, RICH);
        cheats.prank(who);
        token.approve(address(market), type(uint256).max);
    }

    // Moves.

    function doPost(uint256 seed, uint96 low, uint96 rise) external {
        IJobMarket.Spec memory s = spec(ownOffer, 1 + low % 500e18);
        s.maxPrice = s.minPrice + rise % 500e18;
        s.rampStart = uint40(nowAt());
        s.rampEnd = uint40(nowAt() + seed % 2 days);
        s.deadline = uint40(nowAt() + 1 + (seed >> 64) % 10 days);
        s.leaseSeconds = uint32(60 + (seed >> 96) % 2 days);
        s.bond = uint128((uint256(s.maxPrice) + 19) / 20 + (seed >> 128) % (uint256(s.maxPrice) / 2 + 1));
        address from = ring[(seed >> 32) % 4];
        if (token.balanceOf(from) < s.maxPrice + market.workFee(verifierId)) return;
        cheats.prank(from);
        jobs.push(market.post(s, 0, ""));
    }

    function doLease(uint256 seed) external {
        (uint256 id, IJobMarket.Job memory j) = pick(seed);
        address who = ring[(seed >> 64) % 4];
        bool may = id != 0 && j.status == IJobMarket.Status.Open && nowAt() >= j.leaseEnd && nowAt() < j.deadline;
        if (!may || token.balanceOf(who) < j.bond) return;
        uint256 before = market.unburned();
        cheats.prank(who);
        market.lease(list(id), ring[(seed >> 72) % 4], anyBond(1), 0);
        lostBonds += market.unburned() - before;
    }

    function doFulfil(uint256 seed) external {
        (uint256 id, IJobMarket.Job memory j) = pick(seed);
        if (id == 0 || j.status != IJobMarket.Status.Open || nowAt() >= j.deadline) return;
        uint256 before = market.unburned();
        fulfil(id, nowAt() < j.leaseEnd ? j.payout : ring[(seed >> 64) % 4], j.workFee);
        ownFees += j.workFee;
        lostBonds += market.unburned() - before - j.workFee;
    }

    function doRefund(uint256 seed) external {
        (uint256 id, IJobMarket.Job memory j) = pick(seed);
        if (id == 0) return;
        bool may = j.status == IJobMarket.Status.Open
            ? nowAt() >= j.leaseEnd
            : j.status == IJobMarket.Status.Fulfilled && j.price < j.maxPrice;
        if (!may) return;
        uint256 before = market.unburned();
        cheats.prank(j.requester);
        market.refund(list(id));
        lostBonds += market.unburned() - before;
    }

    /// @dev Somebody else pays, for the ring's model or another, and the ring or somebody else works.
    function doHonest(uint256 seed) external {
        IJobMarket.Spec memory s = spec(seed & 1 == 0 ? ownOffer : otherOffer, uint128(1 + (seed >> 32) % 100e18));
        uint256 fee = market.workFee(verifierId);
        if (token.balanceOf(PAYER) < s.maxPrice + fee) return;
        uint256 before = wealth();
        cheats.prank(PAYER);
        uint256 id = market.post(s, 0, "");
        bool ours = seed & 2 == 0;
        fulfil(id, ours ? ring[(seed >> 8) % 4] : WORKER, fee);
        gift += wealth() - before;
        if (ours) giftFees += fee;
    }

    function doClaim(uint256 seed) external {
        uint256 current = emission.currentEpoch();
        if (current == 0) return;
        claimed += emission.claim(ring[seed % 4], list((seed >> 8) % current));
        emission.claim(WORKER, list((seed >> 8) % current));
    }

    function doCollect(uint256 seed) external {
        market.collectRoyalties(ownOffer);
        market.withdraw(ring[seed % 4]);
        if (seed & 16 == 0) market.withdraw(defaults().treasury);
    }

    function doBurn() external {
        market.burnFees();
    }

    function doRates(uint16 bps, uint128 rate, uint8 scale) external {
        market.setProtocolBps(bps % 1_001);
        market.setFeeRate(1 + (rate % 1e21) / 10 ** (scale % 8));
    }

    function doWait(uint256 seed) external {
        skip(seed % 2 days);
    }

    /// @dev The last second of an epoch, or the first of the next.
    function doEdge(bool next) external {
        uint256 end = emission.epochStart() + (emission.currentEpoch() + 1) * emission.epochLength();
        cheats.warp(next ? end : end - 1);
    }

    // What holds.

    /// @dev I12: all of the ring together get for an epoch what one of them would get for the same work, and lose the rounding.
    function checkSplitting() external view {
        for (uint256 epoch = 0; epoch <= emission.currentEpoch(); epoch++) {
            uint256 all = emission.stats(epoch).fees;
            if (all == 0) continue;
            uint256 pool = all * emission.kappaBps() / 10_000;
            if (pool > emission.budget(epoch)) pool = emission.budget(epoch);
            uint256 fees;
            uint256 parts;
            for (uint256 i = 0; i < 4; i++) {
                fees += emission.feesOf(epoch, ring[i]);
                parts += emission.reward(epoch, ring[i]) + emission.paidOf(epoch, ring[i]);
            }
            uint256 whole = fees * pool / all;
            check(parts <= whole && whole - parts < 4, "I12: splitting changes the reward");
            uint256 honest = emission.reward(epoch, WORKER) + emission.paidOf(epoch, WORKER);
            equal(honest, emission.feesOf(epoch, WORKER) * pool / all, "I12: others are touched");
        }
    }

    /// @dev Fees count as if each had been credited at once, though the market keeps those of each worker's last epoch.
    function checkPlain() external view {
        plain.sameLately(WORKER);
        for (uint256 i = 0; i < 4; i++) {
            plain.sameLately(ring[i]);
        }
    }

    /// @dev The same for all epochs.
    function checkAllPlain() external view {
        plain.same(WORKER);
        for (uint256 i = 0; i < 4; i++) {
            plain.same(ring[i]);
        }
    }

    /// @dev I13: without what others gave it, the ring has lost at least half of the fees that it paid, and half of each bond that it
    /// let pass.
    function checkSelfDealing() external view {
        uint256 has = wealth();
        equal(has, initial + gift + claimed - ownFees - lostBonds, "books of the ring");
        uint256 owed;
        for (uint256 epoch = 0; epoch <= emission.currentEpoch(); epoch++) {
            for (uint256 i = 0; i < 4; i++) {
                owed += emission.reward(epoch, ring[i]);
            }
        }
        uint256 kappa = emission.kappaBps();
        check((claimed + owed) * 10_000 <= (ownFees + giftFees) * kappa, "I13: more than kappa of the fees");
        uint256 most = initial + gift + giftFees / 2;
        check(has + owed + ownFees / 2 + lostBonds <= most, "I13: paying oneself pays");
        if (giftFees == 0 && ownFees > 0) check(has + owed < initial + gift, "I13: no loss");
    }

    /// @dev All that the ring has in the market or can have by asking, without the emission.
    function wealth() private view returns (uint256 sum) {
        for (uint256 i = 0; i < 4; i++) {
            sum += token.balanceOf(ring[i]) + market.claimable(ring[i]);
        }
        address treasury = defaults().treasury;
        sum += token.balanceOf(treasury) + market.claimable(treasury);
        (uint128 owner, uint128 data) = market.royalties(ownOffer);
        sum += uint256(owner) + data;
        for (uint256 i = 0; i < jobs.length; i++) {
            IJobMarket.Job memory j = market.job(jobs[i]);
            if (j.status == IJobMarket.Status.Open) sum += uint256(j.maxPrice) + j.workFee + j.held + j.rescue;
            if (j.status == IJobMarket.Status.Fulfilled) sum += j.maxPrice - j.price;
        }
    }

    // Helpers.

    function spec(bytes32 offerId, uint128 price) private view returns (IJobMarket.Spec memory) {
        return IJobMarket.Spec({
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
    }

    function fulfil(uint256 id, address payout, uint256 fee) private {
        plain.settle(payout, fee, UNITS);
        bytes memory values = new bytes(24);
        bytes32 context = verifier.contextFor(address(market), market.contextJob(list(id)), payout);
        verifier.accept(key, values, context, "proof");
        market.fulfil(list(id), new bytes32[](1), payout, values, "proof");
    }

    /// @dev Rather a young job: old ones are mostly over.
    function pick(uint256 seed) private view returns (uint256 id, IJobMarket.Job memory j) {
        uint256 count = jobs.length;
        if (count == 0) return (0, j);
        id = jobs[count - 1 - (seed >> 160) % (count < 4 ? count : 4)];
        j = market.job(id);
    }
}
