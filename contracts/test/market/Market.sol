// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AccessManager } from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import { AssayVerifier } from "../../sol/AssayVerifier.sol";
import { IJobMarket } from "../../sol/economy/IJobMarket.sol";
import { IModelRegistry } from "../../sol/economy/IModelRegistry.sol";
import { JobMarket } from "../../sol/economy/JobMarket.sol";
import { Market } from "../../sol/economy/Market.sol";
import { Base, Vm } from "../Base.sol";
import { Emission, ExactVerifier, Models, Token, Verifiers } from "./Doubles.sol";

/// @dev More of forge's cheat codes.
interface Cheats is Vm {
    function expectEmit(address emitter) external;
    function getBlockTimestamp() external view returns (uint256);
    function expectRevert(bytes4 selector) external;
    function prank(address sender) external;
    function revertToState(uint256 id) external returns (bool);
    function snapshotGasLastCall(string calldata group, string calldata name) external returns (uint256);
    function snapshotState() external returns (uint256 id);
    function warp(uint256 time) external;
}

/// @dev A market with doubles around it, and shortcuts.
/// Verifier SINGLE proves one inference, BATCH four; both run the same model of two inputs and one output.
abstract contract MarketTest is Base {
    Cheats internal constant cheats = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));

    bytes32 internal constant SINGLE = keccak256("single");
    bytes32 internal constant BATCH = keccak256("batch");
    bytes32 internal constant OFFER = keccak256("offer");
    bytes32 internal constant OFFER_FREE = keccak256("offer without royalties");
    bytes32 internal constant MODEL = keccak256("model");
    bytes32 internal constant KEY = keccak256("key");
    uint64 internal constant UNITS = 1_234_567;
    uint256 internal constant RATE = 3e18 + 7;
    uint16 internal constant PROTOCOL = 250;
    uint16 internal constant ROYALTY = 1_000;
    uint16 internal constant DATA = 333;

    address internal constant REQUESTER = address(0x1001);
    address internal constant WORKER = address(0x1002);
    address internal constant OTHER = address(0x1003);
    address internal constant OWNER = address(0x1004);
    address internal constant CURATOR = address(0x1005);
    address internal constant TREASURY = address(0x1006);
    address internal constant GUARDIAN = address(0x1007);
    address internal constant GOVERNOR = address(0x1008);

    Token internal token;
    Verifiers internal verifiers;
    Models internal models;
    Emission internal emission;
    ExactVerifier internal verifier;
    AccessManager internal manager;
    JobMarket internal market;

    function setUp() public virtual {
        cheats.warp(1_800_000_000);
        token = Token(double("Doubles", "Token", ""));
        verifiers = Verifiers(double("Doubles", "Verifiers", ""));
        models = Models(double("Doubles", "Models", ""));
        emission = Emission(double("Doubles", "Emission", ""));
        verifier = new ExactVerifier();
        manager = AccessManager(deployed("AccessManager", abi.encode(this)));
        market = deploy(address(token), address(emission));
        addVerifier(SINGLE, MODEL, 1);
        addVerifier(BATCH, MODEL, 4);
        models.set(OFFER, IModelRegistry.Offer(OWNER, ROYALTY, DATA, 1, CURATOR, MODEL, 0));
        models.set(OFFER_FREE, IModelRegistry.Offer(OWNER, 0, 0, 1, address(0), MODEL, 0));
        address[4] memory rich = [REQUESTER, WORKER, OTHER, OWNER];
        for (uint256 i = 0; i < rich.length; i++) {
            token.mint(rich[i], 1e27);
            cheats.prank(rich[i]);
            token.approve(address(market), type(uint256).max);
        }
    }

    function deploy(address token_, address emission_) internal returns (JobMarket made) {
        bytes memory arguments = abi.encode(manager, token_, verifiers, models, emission_, TREASURY, PROTOCOL, RATE);
        made = JobMarket(deployed("JobMarket", arguments));
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = Market.pause.selector;
        manager.setTargetFunctionRole(address(made), selectors, 1);
        manager.grantRole(1, GUARDIAN, 0);
        selectors = new bytes4[](3);
        selectors[0] = Market.unpause.selector;
        selectors[1] = Market.setProtocolBps.selector;
        selectors[2] = Market.setFeeRate.selector;
        manager.setTargetFunctionRole(address(made), selectors, 2);
        manager.grantRole(2, GOVERNOR, 0);
    }

    function realVerifier() internal returns (AssayVerifier) {
        return AssayVerifier(deployed("AssayVerifier", abi.encode(true)));
    }

    function addVerifier(bytes32 id, bytes32 model, uint32 batch) internal {
        verifiers.add(id, Verifiers.Kept(true, address(verifier), KEY, model, batch, 2, 1, UNITS));
    }

    /// @dev The compiler takes block.timestamp for constant within a call, but `warp` changes it.
    function nowAt() internal view returns (uint256) {
        return cheats.getBlockTimestamp();
    }

    // Statements: everything about a job follows from its id.

    function saltOf(uint256 id) internal pure returns (bytes32) {
        return keccak256(abi.encode("salt", id));
    }

    function inputOf(uint256 id) internal pure returns (bytes memory) {
        return abi.encodePacked(uint64(id), uint64(7));
    }

    function outputOf(uint256 id) internal pure returns (bytes memory) {
        return abi.encodePacked(uint64(100 + id));
    }

    function commitmentOf(uint256 id) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(saltOf(id), inputOf(id)));
    }

    function valuesOf(uint256[] memory ids) internal pure returns (bytes memory values) {
        for (uint256 i = 0; i < ids.length; i++) {
            values = bytes.concat(values, inputOf(ids[i]));
        }
        for (uint256 i = 0; i < ids.length; i++) {
            values = bytes.concat(values, outputOf(ids[i]));
        }
    }

    function saltsOf(uint256[] memory ids) internal pure returns (bytes32[] memory salts) {
        uint256 count;
        while (count < ids.length && ids[count] != 0) count++;
        salts = new bytes32[](count);
        for (uint256 i = 0; i < count; i++) {
            salts[i] = saltOf(ids[i]);
        }
    }

    function proofOf(uint256[] memory ids, address payout) internal view returns (bytes memory) {
        bytes32 context = verifier.contextFor(address(market), market.contextJob(ids), payout);
        return verifier.prove(KEY, valuesOf(ids), context);
    }

    // Actions.

    function list(uint256 a) internal pure returns (uint256[] memory ids) {
        ids = new uint256[](1);
        ids[0] = a;
    }

    function list(uint256 a, uint256 b, uint256 c, uint256 d) internal pure returns (uint256[] memory ids) {
        ids = new uint256[](4);
        (ids[0], ids[1], ids[2], ids[3]) = (a, b, c, d);
    }

    /// @dev From 100 to 200 within an hour, a day to deliver, leases of ten minutes.
    function spec(bytes32 verifierId) internal view returns (IJobMarket.Spec memory s) {
        s.verifierId = verifierId;
        s.offerId = OFFER;
        s.inputCommitment = commitmentOf(market.jobs() + 1);
        s.minPrice = 100e18;
        s.maxPrice = 200e18;
        s.rampStart = uint40(nowAt());
        s.rampEnd = uint40(nowAt() + 1 hours);
        s.deadline = uint40(nowAt() + 1 days);
        s.leaseSeconds = 10 minutes;
        s.bond = 20e18 + 1;
    }

    function post(IJobMarket.Spec memory s) internal returns (uint256) {
        cheats.prank(REQUESTER);
        return market.post(s, 0, "");
    }

    function post() internal returns (uint256) {
        return post(spec(SINGLE));
    }

    function lease(uint256 id, address payout) internal {
        cheats.prank(payout);
        market.lease(list(id), payout, anyBond(1), 0);
    }

    function fulfil(uint256[] memory ids, address payout) internal {
        market.fulfil(ids, saltsOf(ids), payout, valuesOf(ids), proofOf(ids, payout));
    }

    function fulfil(uint256 id, address payout) internal {
        fulfil(list(id), payout);
    }

    /// @dev `fulfil`, which must raise `reason`.
    function fulfilFails(uint256[] memory ids, address payout, bytes memory reason) internal {
        (bytes32[] memory salts, bytes memory values, bytes memory proof) =
            (saltsOf(ids), valuesOf(ids), proofOf(ids, payout));
        cheats.expectRevert(reason);
        market.fulfil(ids, salts, payout, values, proof);
    }

    function refund(uint256 id, address by) internal {
        cheats.prank(by);
        market.refund(list(id));
    }

    function feeOf(uint256 units) internal pure returns (uint256) {
        return (units * RATE + 1e9 - 1) / 1e9;
    }

    /// @dev The worker's part of a price under OFFER.
    function workerPart(uint256 price) internal pure returns (uint256) {
        return price - price * PROTOCOL / 1e4 - price * ROYALTY / 1e4 - price * DATA / 1e4;
    }

    /// @dev I1 with accounts of everybody who appears in the tests.
    function owed() internal view returns (uint256 sum) {
        address[8] memory all = [REQUESTER, WORKER, OTHER, OWNER, CURATOR, TREASURY, GUARDIAN, GOVERNOR];
        for (uint256 i = 0; i < all.length; i++) {
            sum += market.claimable(all[i]);
        }
        bytes32[2] memory offers = [OFFER, OFFER_FREE];
        for (uint256 i = 0; i < offers.length; i++) {
            (uint128 owner, uint128 data) = market.royalties(offers[i]);
            sum += uint256(owner) + data;
        }
        sum += market.unburned();
        for (uint256 id = 1; id <= market.jobs(); id++) {
            IJobMarket.Job memory j = market.job(id);
            if (j.status == IJobMarket.Status.Open) sum += uint256(j.maxPrice) + j.workFee + j.held + j.rescue;
            if (j.status == IJobMarket.Status.Fulfilled) sum += j.maxPrice - j.price;
        }
    }

    function balanced() internal view {
        equal(token.balanceOf(address(market)), owed(), "balance and what is owed");
    }

    function status(uint256 id) internal view returns (IJobMarket.Status) {
        return market.job(id).status;
    }
}
