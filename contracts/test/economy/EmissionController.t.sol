// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IAccessManaged } from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import { AssayToken } from "../../sol/economy/AssayToken.sol";
import { EmissionController } from "../../sol/economy/EmissionController.sol";
import { IEmissionController } from "../../sol/economy/IEmissionController.sol";
import { ILedger } from "../../sol/economy/ILedger.sol";
import { EmissionBase } from "./EmissionBase.sol";

contract EmissionControllerTest is EmissionBase {
    function setUp() external {
        start(defaults());
    }

    function testStart() external view {
        check(emission.currentEpoch() == 0, "epoch");
        check(address(emission.market()) == system.market && token.minter() == address(emission), "wired");
        check(emission.budget(0) == 1_000_000e18 && emission.budget(1) == 990_000e18, "budget");
        check(emission.publicBudget(0) == 500_000e18 && emission.publicBudget(2) == 490_050e18, "public budget");
    }

    function testTimeBeforeTheStart() external {
        Config memory config = defaults();
        config.schedule.start = uint40(nowAt() + 30 days);
        start(config);
        settle(ALICE, 100);
        check(emission.currentEpoch() == 0 && emission.feesOf(0, ALICE) == 100, "belongs to epoch 0");
        skip(30 days + WEEK - 1);
        check(emission.currentEpoch() == 0, "last second of epoch 0");
        skip(1);
        check(emission.currentEpoch() == 1, "epoch 1");
    }

    function refusedConstructor(uint256 index, EmissionController.Schedule memory schedule, uint256 kappa, uint256 cap)
        private
    {
        address own = cheats.computeCreateAddress(address(this), cheats.getNonce(address(this)) + 1);
        address other = deployed("AssayToken", abi.encode(this, 1, cap, index == 0 ? ALICE : own));
        address to = index == 2 ? address(0) : BOB;
        cheats.expectRevert(abi.encodeWithSelector(IEmissionController.BadParameter.selector, index));
        deployed("EmissionController", abi.encode(system.manager, other, to, address(0), kappa, schedule));
    }

    function testConstructorRefuses() external {
        EmissionController.Schedule memory good = defaults().schedule;
        refusedConstructor(0, good, 5000, 1e27);
        refusedConstructor(1, good, 5000, uint256(type(uint96).max) / 16 + 1);
        refusedConstructor(2, good, 5000, 1e27);
        refusedConstructor(3, good, 5001, 1e27);
        good.length = 0;
        refusedConstructor(4, good, 5000, 1e27);
        good.length = 365 days + 1;
        refusedConstructor(4, good, 5000, 1e27);
        good.length = 1;
        good.start = uint40(nowAt() + 365 days + 1);
        refusedConstructor(5, good, 5000, 1e27);
        good.start = 0;
        good.decay = 1e18 + 1;
        refusedConstructor(6, good, 5000, 1e27);
    }

    function testOnlyMarketRecords(address from) external {
        if (from == address(market)) from = ALICE;
        bytes memory call_ = abi.encodeCall(emission.record, (ALICE, 1e18, 1));
        fails(from, address(emission), call_, IEmissionController.OnlyMarket.selector, "recorded");
    }

    function testRewards() external {
        settle(ALICE, 300e18);
        settle(BOB, 100e18);
        check(emission.reward(0, ALICE) == 150e18, "estimate: half of what was burned");
        nextEpoch();
        check(claim(ALICE, 0) == 150e18 && token.balanceOf(ALICE) == 150e18, "three quarters of the pool");
        check(emission.reward(0, ALICE) == 0 && emission.paidOf(0, ALICE) == 150e18, "paid");
        check(claim(BOB, 0) == 50e18 && claim(BOB, 0) == 0, "once");
        check(emission.stats(0).minted == 200e18, "minted");
        boundsHold(0);
    }

    /// @dev The market keeps a worker's fees of his last epoch; they are claimed from there, or after they were handed over.
    function testFeesWithTheMarket() external {
        settle(ALICE, 100e18);
        settle(BOB, 60e18);
        settle(BOB, 40e18);
        (uint256 epoch, uint256 fees) = market.keptFees(BOB);
        check(epoch == 0 && fees == 100e18 && emission.feesOf(0, BOB) == 100e18, "kept");
        check(emission.stats(0).workers == 2, "each once");
        nextEpoch();
        nextEpoch();
        check(claim(ALICE, 0) == 50e18, "claimed from the market");
        market.settle(ALICE, 3e18, 0, 1);
        (epoch, fees) = market.keptFees(ALICE);
        check(epoch == 0 && fees == 100e18, "a payment without a fee hands nothing over");
        settle(ALICE, 10e18);
        settle(BOB, 10e18);
        market.withdraw(ALICE);
        (epoch, fees) = market.keptFees(ALICE);
        check(epoch == 2 && fees == 10e18 && token.balanceOf(ALICE) == 53e18, "another epoch");
        check(emission.feesOf(0, ALICE) == 100e18 && emission.feesOf(1, ALICE) == 0, "handed over");
        check(claim(ALICE, 0) == 0 && emission.reward(0, ALICE) == 0, "once");
        check(claim(BOB, 0) == 50e18 && claim(BOB, 0) == 0, "claimed after it was handed over");
        check(emission.stats(0).workers == 2 && emission.stats(2).workers == 2, "workers");
        nextEpoch();
        check(claim(ALICE, 2) == 5e18 && claim(BOB, 2) == 5e18 && claim(BOB, 1) == 0, "the other epoch");
    }

    function testBudgetBinds() external {
        settle(ALICE, 3_000_000e18);
        settle(BOB, 1_000_000e18);
        nextEpoch();
        check(claim(ALICE, 0) == 750_000e18 && claim(BOB, 0) == 250_000e18, "parts of the budget");
        boundsHold(0);
    }

    /// @dev Burned before minted: the supply after a claim is never above the supply before the fees.
    function testBurnsFirst() external {
        uint256 supply = token.totalSupply();
        settle(ALICE, 100e18);
        nextEpoch();
        settle(BOB, 7e18);
        check(token.totalSupply() == supply && market.unburned() == 107e18, "not burned yet");
        claim(ALICE, 0);
        check(market.unburned() == 0 && token.totalSupply() == supply - 107e18 + 50e18, "burned, minted");
        // With nothing owed the market is left alone.
        vm.mockCallRevert(address(market), abi.encodeCall(market.burnFees, ()), "called");
        nextEpoch();
        check(claim(BOB, 1) == 3.5e18, "nothing to burn");
    }

    function testNoMintWithoutBurn() external {
        settle(ALICE, 100e18);
        nextEpoch();
        vm.mockCallRevert(address(market), abi.encodeCall(market.burnFees, ()), "no");
        bytes memory call_ = abi.encodeCall(emission.claim, (ALICE, list(0)));
        fails(ALICE, address(emission), call_, 0, "minted without burning");
    }

    function testClaimRefusals() external {
        settle(ALICE, 100e18);
        bytes memory early = abi.encodeCall(emission.claim, (ALICE, list(0)));
        fails(ALICE, address(emission), early, IEmissionController.EpochNotOver.selector, "running epoch");
        bytes memory future = abi.encodeCall(emission.claim, (ALICE, list(type(uint256).max)));
        fails(ALICE, address(emission), future, IEmissionController.EpochNotOver.selector, "future epoch");
        nextEpoch();
        uint256[] memory both = new uint256[](2);
        both[1] = 1;
        bytes memory mixed = abi.encodeCall(emission.claim, (ALICE, both));
        fails(ALICE, address(emission), mixed, IEmissionController.EpochNotOver.selector, "one of two");
        check(emission.reward(0, ALICE) == 50e18, "nothing was paid");
    }

    /// @dev The same epoch many times in one call pays once; whoever calls, the worker is paid.
    function testRepeatedEpochs(address caller) external {
        settle(ALICE, 100e18);
        nextEpoch();
        bytes memory call_ = abi.encodeCall(emission.claim, (ALICE, new uint256[](5)));
        uint256 before = token.balanceOf(caller);
        bytes memory out = succeeds(caller, address(emission), call_, "claim");
        check(abi.decode(out, (uint256)) == 50e18 && token.balanceOf(ALICE) >= 50e18, "once, to the worker");
        check(caller == ALICE || token.balanceOf(caller) == before, "nothing for the caller");
    }

    function testSeveralEpochs() external {
        settle(ALICE, 10e18);
        nextEpoch();
        settle(ALICE, 20e18);
        nextEpoch();
        uint256[] memory epochs = new uint256[](2);
        (epochs[0], epochs[1]) = (1, 0);
        check(emission.claim(ALICE, epochs) == 15e18, "both");
        check(emission.paidOf(0, ALICE) == 5e18 && emission.paidOf(1, ALICE) == 10e18, "each");
        check(claim(BOB, 0) == 0 && token.balanceOf(BOB) == 0, "no work, no reward");
    }

    /// @dev Near the cap a claim mints what there is room for, and the rest later.
    function testCapDegrades() external {
        Config memory config = defaults();
        config.cap = config.genesisAmount;
        start(config);
        settle(ALICE, 100e18);
        settle(BOB, 100e18);
        nextEpoch();
        // 200 burned, 100 owed. Somebody has filled the room but for 60.
        market.burnFees();
        cheats.prank(address(emission));
        token.mint(address(this), 140e18);
        check(claim(ALICE, 0) == 50e18 && claim(BOB, 0) == 10e18, "what there is room for");
        check(claim(BOB, 0) == 0 && emission.reward(0, BOB) == 40e18, "the rest stays");
        check(token.totalSupply() == token.cap(), "full");
        settle(BOB, 30e18);
        check(claim(BOB, 0) == 30e18, "burning makes room");
        token.burn(1000e18);
        check(claim(BOB, 0) == 10e18 && claim(BOB, 0) == 0, "all of it in the end");
        check(emission.stats(0).minted == 100e18, "minted");
        boundsHold(0);
    }

    function testReleasePublic() external {
        address timelock = address(system.timelock);
        bytes memory call_ = abi.encodeCall(emission.releasePublic, (BOB, 400_000e18));
        address[5] memory others =
            [deployer, system.market, defaults().guardian, defaults().curator, address(system.governor)];
        for (uint256 i = 0; i < others.length; i++) {
            bytes4 unauthorized = IAccessManaged.AccessManagedUnauthorized.selector;
            fails(others[i], address(emission), call_, unauthorized, "released by somebody else");
        }
        succeeds(timelock, address(emission), call_, "release");
        check(token.balanceOf(BOB) == 400_000e18 && emission.stats(0).released == 400_000e18, "released");
        bytes memory expected = abi.encodeWithSelector(IEmissionController.PublicBudget.selector, 0, 100_000e18);
        cheats.expectRevert(expected);
        cheats.prank(timelock);
        emission.releasePublic(BOB, 100_000e18 + 1);
        call_ = abi.encodeCall(emission.releasePublic, (BOB, type(uint256).max));
        fails(timelock, address(emission), call_, IEmissionController.PublicBudget.selector, "huge");
        call_ = abi.encodeCall(emission.releasePublic, (BOB, 100_000e18));
        succeeds(timelock, address(emission), call_, "the rest");
        nextEpoch();
        call_ = abi.encodeCall(emission.releasePublic, (BOB, 495_000e18 + 1));
        fails(timelock, address(emission), call_, IEmissionController.PublicBudget.selector, "nothing carries over");
        boundsHold(0);
        // The public pool does not touch the workers' one.
        settle(ALICE, 10e18);
        nextEpoch();
        check(claim(ALICE, 1) == 5e18, "pool F");
    }

    function testStats() external {
        market.settle(ALICE, 3, 10);
        market.settle(BOB, 4, 20);
        market.settle(ALICE, 5, type(uint64).max);
        market.settle(BOB, 0, 1);
        market.settle(address(7), 0, 1);
        IEmissionController.Stats memory stats = emission.stats(0);
        check(stats.fees == 12 && stats.workers == 2, "fees, workers with fees");
        check(stats.units == 32 + uint256(type(uint64).max), "units");
        check(stats.minted == 0, "nothing minted");
        check(emission.feesOf(0, ALICE) == 8 && emission.feesOf(0, address(7)) == 0, "fees of workers");
        market.settle(BOB, 0, type(uint256).max);
        market.settle(BOB, 1, type(uint256).max);
        check(emission.stats(0).units == type(uint96).max, "units saturate");
    }

    /// @dev Fees beyond what the slots hold stop at the record instead of being cut.
    function testFeesDoNotWrap() external {
        cheats.startPrank(address(market));
        emission.record(ALICE, type(uint96).max, 0);
        cheats.stopPrank();
        bytes memory kept = abi.encodeCall(ILedger.keptFees, (ALICE));
        vm.mockCall(address(market), kept, abi.encode(0, type(uint96).max));
        uint256[3] memory more = [uint256(1), type(uint96).max, type(uint256).max];
        for (uint256 i = 0; i < more.length; i++) {
            bytes memory call_ = abi.encodeCall(emission.record, (BOB, more[i], 0));
            fails(address(market), address(emission), call_, 0, "wrapped");
        }
        check(emission.stats(0).fees == type(uint96).max, "as before");
        address[] memory only = new address[](1);
        only[0] = ALICE;
        (, uint256 largest, uint256 squares) = emission.inequality(0, only);
        check(largest == type(uint96).max && squares == uint256(type(uint96).max) ** 2, "squares");
    }

    function workers(address[3] memory three) private pure returns (address[] memory all) {
        all = new address[](3);
        for (uint256 i = 0; i < 3; i++) {
            all[i] = three[i];
        }
    }

    function giniOf(address[] memory all) private view returns (uint256 gini) {
        (gini,,) = emission.inequality(0, all);
    }

    function testInequality() external {
        check(giniOf(new address[](0)) == 0, "nobody");
        address[3] memory three = [address(1), address(2), address(3)];
        for (uint256 i = 0; i < 3; i++) {
            settle(three[i], 5e18);
        }
        check(giniOf(workers(three)) == 0, "equal");
        settle(address(3), 10e18);
        // (2 (5 + 10 + 45) - 4 * 25) / (3 * 25) = 20 / 75
        check(giniOf(workers(three)) == 2666, "unequal");
        (, uint256 largest, uint256 squares) = emission.inequality(0, workers(three));
        check(largest == 15e18 && squares == 275e36, "largest, squares");
        badOrder(three[1], three[0], three[2], "equal fees by address");
        badOrder(three[0], three[2], three[1], "fees fall");
        badOrder(three[0], three[2], three[2], "twice");
        badOrder(three[0], three[0], three[2], "twice at the start");
        badOrder(address(9), three[1], three[2], "no worker");
        badOrder(three[0], three[1], address(9), "no worker at the end");
        cheats.expectRevert(IEmissionController.BadOrder.selector);
        emission.inequality(0, new address[](2));
        cheats.expectRevert(IEmissionController.BadOrder.selector);
        emission.inequality(0, new address[](0));
        cheats.expectRevert(IEmissionController.BadOrder.selector);
        emission.inequality(1, workers(three));
    }

    function badOrder(address a, address b, address c, string memory what) private {
        bytes memory call_ = abi.encodeCall(emission.inequality, (0, workers([a, b, c])));
        fails(address(this), address(emission), call_, IEmissionController.BadOrder.selector, what);
    }
}
