// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IJobMarket } from "../../sol/economy/IJobMarket.sol";
import { Verifiers, YesVerifier } from "./Doubles.sol";
import { MarketTest } from "./Market.sol";

/// What the market adds to the verification of a proof: the verifier accepts everything, and the emission, which has its own
/// measurements, does nothing. Jobs are made in setUp, so that every slot is cold when a test reads it.
contract MarketGasTest is MarketTest {
    uint32 private constant INPUTS = 64;
    uint32 private constant OUTPUTS = 10;
    uint256 private constant SIZE = 32;
    bytes32 private constant ONE = keccak256("yes");
    bytes32 private constant MANY = keccak256("yes, many");

    YesVerifier private yes;
    uint256[] private leased;
    uint256[] private free;
    uint256[] private lost;
    uint256[] private batch;
    uint256[] private freeBatch;
    bytes private input;

    function setUp() public override {
        super.setUp();
        market = deploy(address(token), double("Doubles", "NoEmission", ""));
        address[2] memory rich = [REQUESTER, WORKER];
        for (uint256 i = 0; i < 2; i++) {
            cheats.prank(rich[i]);
            token.approve(address(market), type(uint256).max);
        }
        yes = YesVerifier(double("Doubles", "YesVerifier", ""));
        verifiers.add(ONE, Verifiers.Kept(true, address(yes), KEY, MODEL, 1, INPUTS, OUTPUTS, UNITS));
        verifiers.add(MANY, Verifiers.Kept(true, address(yes), KEY, MODEL, uint32(SIZE), INPUTS, OUTPUTS, UNITS));
        input = new bytes(INPUTS * 8);
        for (uint256 i = 0; i < 2; i++) {
            leased.push(postFor(ONE));
            free.push(postFor(ONE));
        }
        lost.push(postFor(ONE));
        lease(lost[0], WORKER);
        cheats.warp(nowAt() + 10 minutes);
        for (uint256 i = 0; i < 2; i++) {
            lease(leased[i], WORKER);
        }
        for (uint256 i = 0; i < SIZE; i++) {
            batch.push(postFor(MANY));
            freeBatch.push(postFor(MANY));
        }
        cheats.prank(WORKER);
        market.lease(batch, WORKER, anyBond(batch.length), 0);
    }

    function postFor(bytes32 verifierId) private returns (uint256) {
        IJobMarket.Spec memory s = spec(verifierId);
        s.inputCommitment = keccak256(abi.encodePacked(bytes32(0), input));
        return post(s);
    }

    /// @dev Fulfils for the worker; returns what the market added to the verifier's call.
    function settle(uint256[] memory ids, string memory name) private returns (uint256 added) {
        bytes memory values = new bytes(ids.length * (INPUTS + OUTPUTS) * 8);
        bytes memory proof = new bytes(3_000);
        bytes32[] memory salts = new bytes32[](ids.length);
        cheats.cool(address(yes));
        yes.verify(KEY, values, 0, proof);
        uint256 bare = vm.lastCallGas().gasTotalUsed;
        cheats.cool(address(yes));
        market.fulfil(ids, salts, WORKER, values, proof);
        added = vm.lastCallGas().gasTotalUsed - bare;
        if (bytes(name).length != 0) vm.snapshotValue("JobMarket", name, added);
    }

    /// @dev The same again with nothing warm: all accounts are written already.
    function settleTwice(uint256[] memory first, uint256[] memory second, string memory name)
        private
        returns (uint256)
    {
        settle(first, "");
        cool();
        return settle(second, name);
    }

    function cool() private {
        address[4] memory all = [address(market), address(verifiers), address(models), address(token)];
        for (uint256 i = 0; i < all.length; i++) {
            cheats.cool(all[i]);
        }
    }

    function testFulfilFirstLeased() public {
        check(settle(list(leased[0]), "fulfil, leased, every account fresh") < 120_000, "gas");
    }

    function testFulfilFirstFree() public {
        check(settle(list(free[0]), "fulfil, not leased, every account fresh") < 120_000, "gas");
    }

    function testFulfilFirstLost() public {
        check(settle(list(lost[0]), "fulfil, lease lost, every account fresh") < 120_000, "gas");
    }

    function testFulfilNextLeased() public {
        uint256 added = settleTwice(list(leased[0]), list(leased[1]), "fulfil, leased");
        check(added < 75_000, "gas");
    }

    function testFulfilNextFree() public {
        settleTwice(list(free[0]), list(free[1]), "fulfil, not leased");
    }

    function testBatchLeased() public {
        check(settle(batch, "fulfil, 32 leased") < SIZE * 25_000, "gas");
    }

    function testBatchFree() public {
        check(settle(freeBatch, "fulfil, 32 not leased") < SIZE * 25_000, "gas");
    }

    function testOthers() public {
        IJobMarket.Spec memory s = spec(ONE);
        cheats.prank(REQUESTER);
        uint256 id = market.post(s, 0, "");
        cheats.snapshotGasLastCall("JobMarket", "post");
        cool();
        cheats.prank(WORKER);
        market.lease(list(id), WORKER, anyBond(1), 0);
        cheats.snapshotGasLastCall("JobMarket", "lease");
        cool();
        settle(list(leased[0]), "");
        cool();
        market.refund(list(leased[0]));
        cheats.snapshotGasLastCall("JobMarket", "refund");
        cool();
        market.withdraw(WORKER);
        cheats.snapshotGasLastCall("JobMarket", "withdraw");
        cool();
        market.collectRoyalties(OFFER);
        cheats.snapshotGasLastCall("JobMarket", "collectRoyalties");
        cool();
        market.burnFees();
        cheats.snapshotGasLastCall("JobMarket", "burnFees");
        vm.snapshotValue("JobMarket", "code size", address(market).code.length);
    }
}
