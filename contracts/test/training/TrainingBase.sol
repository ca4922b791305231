// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AssayToken } from "../../sol/economy/AssayToken.sol";
import { DatasetRegistry } from "../../sol/economy/DatasetRegistry.sol";
import { EmissionController } from "../../sol/economy/EmissionController.sol";
import { IDatasetRegistry } from "../../sol/economy/IDatasetRegistry.sol";
import { ITrainingMarket } from "../../sol/economy/ITrainingMarket.sol";
import { MockVerifier } from "../economy/MockVerifier.sol";
import { RegistryBase } from "../economy/RegistryBase.sol";
import { TrainingDeployment } from "./TrainingDeployment.sol";

/// @dev More of forge's cheat codes.
interface BlockCheats {
    function roll(uint256 number) external;
    function getBlockNumber() external view returns (uint256);
}

/// @dev The market for training in the deployed system, with the real token, registries and emission; only the verifier says what
/// it is told. A task of ten shards; steps of 100 in the loss, of which a round pays at most 30.
abstract contract TrainingBase is RegistryBase {
    BlockCheats internal constant blocks = BlockCheats(address(uint160(uint256(keccak256("hevm cheat code")))));

    address internal constant SPONSOR = address(0x5001);
    address internal constant ANNE = address(0x5002);
    address internal constant BEN = address(0x5003);
    address internal constant DATA = address(0x5004);
    bytes32 internal constant HEAD = keccak256("weights");
    bytes32 internal constant SRS = keccak256("tau");
    uint64 internal constant TRAIN_UNITS = 40_000_000_000;
    uint64 internal constant EVALUATE_UNITS = 3_000_000_000;
    uint256 internal constant SHARDS = 10;
    uint256 internal constant STEPS = 3;
    uint64 internal constant ETA = 100;
    uint32 internal constant MOST = 30;
    uint128 internal constant RATE = 2e18;
    uint256 internal constant RICH = 1_000_000e18;

    ITrainingMarket internal market;
    DatasetRegistry internal datasets;
    AssayToken internal token;
    EmissionController internal emission;
    MockVerifier internal verifier;
    bytes32 internal trainKey;
    bytes32 internal evaluateKey;
    bytes32 internal trainId;
    bytes32 internal evaluateId;

    function deployment() internal pure override returns (string memory) {
        return string.concat("TrainingDeployment.sol:", type(TrainingDeployment).name);
    }

    function deployTraining() internal {
        start();
        // `deploy` gave the timelock's role to this contract.
        curator = address(this);
        market = TrainingDeployment(deployer).tasks();
        datasets = TrainingDeployment(deployer).datasets();
        (token, emission) = (system.token, system.emission);
        verifier = new MockVerifier();
        trainKey = verifier.register(trainsOver(3, 2, STEPS));
        evaluateKey = verifier.register(keyWithStacks(outputOf(2), some(false, 3), 1));
        trainId = registry.add(address(verifier), trainKey, "train", 1, TRAIN_UNITS);
        evaluateId = registry.add(address(verifier), evaluateKey, "evaluate", 1, EVALUATE_UNITS);
        address[3] memory rich = [SPONSOR, ANNE, BEN];
        for (uint256 i = 0; i < 3; i++) {
            require(token.transfer(rich[i], RICH));
            cheats.prank(rich[i]);
            token.approve(address(market), type(uint256).max);
        }
        blocks.roll(1_000);
    }

    // Keys.

    /// @dev A key that is about so many given stacks, and shows so many values and then losses.
    function trainsOver(uint256 stacks, uint256 values, uint256 losses_) internal pure returns (bytes memory) {
        Tensor[] memory two = new Tensor[](2);
        two[0] = Tensor(values, 0, 1 << 20);
        two[1] = Tensor(losses_, 0, 1 << 40);
        return stacks == 0 ? keyWith(two, 1, 1) : keyWithStacks(two, some(false, stacks), 1);
    }

    // Data.

    /// @dev One tensor `x` of [examples, 3] in 8 bits, in rows of 2^8.
    function schemaOf(uint256 examples) internal pure returns (bytes memory) {
        bytes memory number;
        while (examples > 127) {
            number = abi.encodePacked(number, uint8(128 | (examples & 127)));
            examples >>= 7;
        }
        return abi.encodePacked(hex"08010178", uint8(2), number, uint8(examples), uint8(3), uint8(8));
    }

    function rowsOf(uint256 rows, bytes32 seed) internal pure returns (bytes memory out) {
        for (uint256 i = 0; i < 2 * rows; i++) {
            out = abi.encodePacked(out, keccak256(abi.encode(seed, i)));
        }
    }

    function terms(uint16 royalty) internal pure returns (IDatasetRegistry.Terms memory) {
        return IDatasetRegistry.Terms(keccak256("licence"), royalty, royalty == 0 ? address(0) : DATA);
    }

    /// @dev 50 examples of 3 values: one row.
    function register(address owner, bytes32 seed, uint16 royalty) internal returns (bytes32) {
        cheats.prank(owner);
        return datasets.register(schemaOf(50), SRS, rowsOf(1, seed), terms(royalty), "");
    }

    // Shards.

    function shard(uint256 i) internal pure virtual returns (bytes32) {
        return keccak256(abi.encode("shard", i));
    }

    function saltOf(uint256 i) internal pure returns (bytes32) {
        return keccak256(abi.encode("salt", i));
    }

    function leafOf(uint256 i) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(i, shard(i), saltOf(i)))));
    }

    /// @dev Root over `count` leaves, and the path of one, by the rule of OpenZeppelin: pairs sorted, a single last one goes up.
    function tree(bytes32[] memory level, uint256 index) internal pure returns (bytes32 root, bytes32[] memory path) {
        bytes32[] memory all = new bytes32[](16);
        uint256 used;
        while (level.length > 1) {
            if (index ^ 1 < level.length) all[used++] = level[index ^ 1];
            bytes32[] memory next = new bytes32[]((level.length + 1) / 2);
            for (uint256 i = 0; i < next.length; i++) {
                next[i] = level[2 * i];
                if (2 * i + 1 == level.length) continue;
                (bytes32 a, bytes32 b) = (level[2 * i], level[2 * i + 1]);
                next[i] = a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
            }
            (level, index) = (next, index / 2);
        }
        root = level[0];
        path = new bytes32[](used);
        for (uint256 i = 0; i < used; i++) {
            path[i] = all[i];
        }
    }

    /// @dev Root over numbered leaves, and the path of one: zeros up to a power of two, pairs in their order.
    function numbered(bytes32[] memory leaves, uint256 index)
        internal
        pure
        returns (bytes32 root, bytes32[] memory path)
    {
        uint256 depth;
        while (1 << depth < leaves.length) depth++;
        bytes32[] memory level = new bytes32[](1 << depth);
        for (uint256 i = 0; i < leaves.length; i++) {
            level[i] = leaves[i];
        }
        path = new bytes32[](depth);
        for (uint256 up = 0; up < depth; up++) {
            path[up] = level[(index >> up) ^ 1];
            for (uint256 i = 0; i < 1 << (depth - up - 1); i++) {
                level[i] = keccak256(abi.encode(level[2 * i], level[2 * i + 1]));
            }
        }
        root = level[0];
    }

    function shards() internal pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](SHARDS);
        for (uint256 i = 0; i < SHARDS; i++) {
            leaves[i] = leafOf(i);
        }
    }

    // Actions.

    function spec() internal view returns (ITrainingMarket.Spec memory s) {
        s.trainId = trainId;
        s.evaluateId = evaluateId;
        s.head = HEAD;
        (s.holdout,) = numbered(shards(), 0);
        s.shards = uint32(SHARDS);
        s.eta = ETA;
        s.maxSteps = MOST;
        s.ratePerStep = RATE;
        s.minPrice = 10e18;
        s.maxPrice = 20e18;
        s.rampStart = uint40(nowAt());
        s.rampEnd = uint40(nowAt() + 1 hours);
        s.deadline = uint40(nowAt() + 10 days);
        s.leaseSeconds = 1 hours;
        s.bond = 8e18 + 1;
        s.revealSeconds = 2 hours;
        s.evaluateSeconds = 3 hours;
        s.escrow = 1_000e18;
    }

    function open(ITrainingMarket.Spec memory s) internal returns (uint256) {
        cheats.prank(SPONSOR);
        return market.open(s, "");
    }

    function leaseCall(uint256 id, bytes32 dataset, address payout) internal view returns (bytes memory) {
        return leaseCall(id, market.task(id).head, dataset, payout, type(uint128).max, 0);
    }

    function leaseCall(uint256 id, bytes32 head, bytes32 dataset, address payout, uint128 most, uint40 until)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(ITrainingMarket.lease, (id, head, dataset, new bytes32[](0), payout, most, until));
    }

    function lease(uint256 id, bytes32 dataset, address who) internal {
        succeeds(who, address(market), leaseCall(id, dataset, who), "lease");
    }

    function pin(uint256 id) internal {
        blocks.roll(market.round(id).pinned + 1);
        market.pinSeed(id);
    }

    function losses(uint256 seed) internal pure returns (bytes memory) {
        return abi.encodePacked(uint64(seed), uint64(7), uint64(5));
    }

    function trainValues(uint256 id, bytes32 trained, bytes memory curve) internal view returns (bytes memory) {
        (uint64 factor, uint64 start) = market.walkOf(id);
        return abi.encodePacked(market.task(id).head, trained, market.round(id).dataset, factor, start, curve);
    }

    /// @dev A proof that is valid for exactly this statement.
    function prove(bytes32 key, bytes memory values, bytes32 context) internal returns (bytes memory proof) {
        proof = abi.encode(keccak256(abi.encode(key, values, context)));
        verifier.accept(key, values, context, proof);
    }

    /// @dev A context as `protocol.md` says.
    function contextFor(uint256 chain, address consumer, bytes32 job, address to) internal pure returns (bytes32) {
        return keccak256(abi.encode(keccak256("assay.context.v1"), chain, consumer, job, to));
    }

    function submitCall(uint256 id, bytes32 trained) internal returns (bytes memory) {
        bytes memory curve = losses(9);
        bytes memory proof = prove(trainKey, trainValues(id, trained, curve), market.contextOf(id));
        return abi.encodeCall(ITrainingMarket.submitTrain, (id, trained, curve, proof, "ipfs://weights"));
    }

    function submit(uint256 id, bytes32 trained) internal {
        succeeds(address(this), address(market), submitCall(id, trained), "submit");
    }

    function revealCall(uint256 id, uint256 place) internal pure returns (bytes memory) {
        (, bytes32[] memory path) = numbered(shards(), place);
        return abi.encodeCall(ITrainingMarket.reveal, (id, shard(place), saltOf(place), path, "ipfs://shard"));
    }

    function reveal(uint256 id) internal {
        succeeds(SPONSOR, address(market), revealCall(id, market.round(id).shard), "reveal");
    }

    function evaluateCall(uint256 id, uint64 before, uint64 later) internal returns (bytes memory) {
        ITrainingMarket.Round memory r = market.round(id);
        bytes memory values = abi.encodePacked(market.task(id).head, r.trained, r.revealed, before, later);
        bytes memory proof = prove(evaluateKey, values, market.contextOf(id));
        return abi.encodeCall(ITrainingMarket.settleEval, (id, before, later, proof));
    }

    function evaluate(uint256 id, uint64 before, uint64 later) internal {
        succeeds(address(this), address(market), evaluateCall(id, before, later), "evaluate");
    }

    /// @dev A whole round.
    function run(uint256 id, bytes32 dataset, address who, bytes32 trained, uint64 before, uint64 later) internal {
        lease(id, dataset, who);
        pin(id);
        submit(id, trained);
        reveal(id);
        evaluate(id, before, later);
    }

    function feesOf(uint256 units) internal pure returns (uint256) {
        return units * 1e15 / 1e9;
    }

    /// @dev The worker's part of a payment with a royalty in 1/10000.
    function part(uint256 amount, uint256 royalty) internal pure returns (uint256) {
        return amount - amount * 200 / 1e4 - amount * royalty / 1e4;
    }

    /// @dev I1: what is in the market is owed to somebody.
    function balanced(uint256 count) internal view {
        address[5] memory all = [SPONSOR, ANNE, BEN, DATA, defaults().treasury];
        uint256 sum = market.unburned();
        for (uint256 i = 0; i < 5; i++) {
            sum += market.claimable(all[i]);
        }
        for (uint256 id = 1; id <= count; id++) {
            ITrainingMarket.Task memory t = market.task(id);
            ITrainingMarket.Round memory r = market.round(id);
            sum += uint256(t.escrow) + t.rescue + r.reserved + r.bond;
        }
        equal(token.balanceOf(address(market)), sum, "I1");
    }
}
