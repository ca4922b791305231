// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AssayToken } from "../../sol/economy/AssayToken.sol";
import { EmissionController } from "../../sol/economy/EmissionController.sol";
import { IEmissionController } from "../../sol/economy/IEmissionController.sol";
import { ILedger } from "../../sol/economy/ILedger.sol";
import { EconomyBase } from "./Cheats.sol";
import { EmissionBase } from "./EmissionBase.sol";
import { MockMarket } from "./MockMarket.sol";
import { PlainEmission } from "./PlainEmission.sol";

/// @dev Everything that anybody may do, in any order, and the vote's release. Holds all tokens that pay fees.
contract EmissionHandler is EconomyBase {
    uint256 public constant WORKERS = 4;

    AssayToken private immutable token;
    EmissionController private immutable emission;
    MockMarket private immutable market;
    MockMarket private immutable other;
    PlainEmission public immutable plain;
    address private immutable timelock;

    /// @dev Fees paid and tokens burned by their holder.
    uint256 public fees;
    uint256 public burned;

    constructor(AssayToken token_, EmissionController emission_, MockMarket[2] memory markets, address timelock_) {
        (token, emission, timelock) = (token_, emission_, timelock_);
        (market, other) = (markets[0], markets[1]);
        plain = new PlainEmission(emission);
        token.approve(address(market), type(uint256).max);
        token.approve(address(other), type(uint256).max);
    }

    function unburned() public view returns (uint256) {
        return market.unburned() + other.unburned();
    }

    /// @dev One of both.
    function some(uint256 seed) private view returns (MockMarket) {
        return seed & 16 == 0 ? market : other;
    }

    function worker(uint256 i) public pure returns (address) {
        return address(uint160(0x3040 + (i % WORKERS)));
    }

    /// @dev In a quarter of the cases for a price as well.
    function settle(uint256 who, uint256 fee, uint64 units) external {
        uint256 most = token.balanceOf(address(this)) / 10;
        fee = bound(fee, 0, fee % 3 == 0 ? most : most / 1e6);
        fees += fee;
        plain.settle(address(some(units)), worker(who), fee, units);
        some(units).settle(worker(who), units % 4 == 0 ? fee / 2 : 0, fee, units);
    }

    /// @dev One who is paid for nothing that costs a fee.
    function settleFree(uint256 who, uint64 units) external {
        plain.settle(address(some(units)), worker(who), 0, units);
        some(units).settle(worker(who), 0, 0, units);
    }

    function withdraw(uint256 who) external {
        MockMarket from = some(who);
        uint256 due = from.claimable(worker(who));
        uint256 before = token.balanceOf(worker(who));
        from.withdraw(worker(who));
        check(token.balanceOf(worker(who)) == before + due && from.claimable(worker(who)) == 0, "withdrawn");
    }

    function open(uint256 who) external {
        some(who).open(worker(who));
    }

    /// @dev The last second of an epoch, or the first of the next.
    function edge(bool next) external {
        uint256 end = emission.epochStart() + (emission.currentEpoch() + 1) * emission.epochLength();
        cheats.warp(next ? end : end - 1);
    }

    function wait(uint256 time) external {
        skip(bound(time, 1, 5 days));
    }

    function burnFees(uint256 seed) external {
        some(seed).burnFees();
    }

    function burn(uint256 amount) external {
        amount = bound(amount, 0, token.balanceOf(address(this)) / 100);
        burned += amount;
        token.burn(amount);
    }

    function claim(uint256 who, uint256 epoch) external {
        uint256 current = emission.currentEpoch();
        if (current == 0) return;
        epoch %= current;
        address to = worker(who);
        uint256 due = plain.whole(epoch, to) - emission.paidOf(epoch, to);
        uint256 room = token.cap() - (token.totalSupply() - unburned());
        check(emission.claim(to, list(epoch)) == (due < room ? due : room), "claimed");
    }

    function claimAllTwice(uint256 who) external {
        uint256 current = emission.currentEpoch();
        uint256[] memory epochs = new uint256[](2 * current);
        for (uint256 i = 0; i < epochs.length; i++) {
            epochs[i] = i % (current == 0 ? 1 : current);
        }
        emission.claim(worker(who), epochs);
    }

    function claimEarly(uint256 who, uint256 later) external {
        uint256 epoch = emission.currentEpoch() + (later % 3);
        bytes memory call_ = abi.encodeCall(emission.claim, (worker(who), list(epoch)));
        fails(address(this), address(emission), call_, IEmissionController.EpochNotOver.selector, "early");
    }

    /// @dev The timelock asks for anything; what is refused is refused for a reason.
    function release(uint256 amount) external {
        uint256 epoch = emission.currentEpoch();
        uint256 left = emission.publicBudget(epoch) - emission.stats(epoch).released;
        uint256 room = token.cap() - token.totalSupply();
        amount = bound(amount, 0, 2 * left);
        cheats.prank(timelock);
        (bool ok,) = address(emission).call(abi.encodeCall(emission.releasePublic, (address(this), amount)));
        check(ok == (amount <= left && amount <= room), "released");
    }
}

/// forge-config: soak.invariant.runs = 4000
/// forge-config: soak.invariant.depth = 60
/// forge-config: soak.invariant.fail-on-revert = true
contract EmissionInvariantsTest is EmissionBase {
    EmissionHandler private handler;
    MockMarket private other;

    /// @dev With two markets, which share nothing but the emission.
    function setUp() external {
        Config memory config = defaults();
        // Tight, so that budgets and the cap bind.
        config.cap = config.genesisAmount;
        config.schedule.decay = 0.7e18;
        address manager = deployed("AccessManager", abi.encode(this));
        uint256 nonce = cheats.getNonce(address(this));
        address[3] memory next;
        for (uint256 i = 0; i < 3; i++) {
            next[i] = cheats.computeCreateAddress(address(this), nonce + 1 + i);
        }
        token = AssayToken(deployed("AssayToken", abi.encode(this, config.genesisAmount, config.cap, next[0])));
        bytes memory arguments = abi.encode(manager, token, next[1], next[2], config.kappaBps, config.schedule);
        emission = EmissionController(deployed("EmissionController", arguments));
        market = new MockMarket(address(this), token, emission);
        other = new MockMarket(address(this), token, emission);
        check(address(emission) == next[0] && address(other) == next[2], "addresses");
        handler = new EmissionHandler(token, emission, [market, other], address(this));
        require(token.transfer(address(handler), config.genesisAmount));
    }

    /// @dev A market that answers nobody stops no payment of the other; who was paid in both has the fees of both.
    function testMarketsShareNothing() external {
        address worker = handler.worker(0);
        handler.settle(0, 300, 16);
        vm.mockCallRevert(address(other), abi.encodeCall(ILedger.keptFees, (worker)), "no");
        handler.settle(0, 100, 0);
        nextEpoch();
        handler.settle(0, 40, 0);
        vm.clearMockedCalls();
        equal(emission.feesOf(0, worker), 400, "of both");
        equal(emission.feesOf(1, worker), 40, "of one");
        equal(emission.stats(0).workers, 2, "once a market");
        handler.settle(1, 50, 0);
        address[] memory all = new address[](1);
        all[0] = worker;
        (, uint256 largest,) = emission.inequality(0, all);
        equal(largest, 400, "one worker, though two markets paid him");
        cheats.expectRevert(IEmissionController.BadOrder.selector);
        emission.inequality(1, all);
        all[0] = handler.worker(1);
        cheats.expectRevert(IEmissionController.BadOrder.selector);
        emission.inequality(1, all);
        cheats.expectRevert(IEmissionController.BadOrder.selector);
        emission.inequality(1, new address[](0));
        check(claim(worker, 0) == 200, "half of what was burned");
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev I2.
    function invariantBounds() external view {
        check(token.totalSupply() <= token.cap(), "I2: supply");
        uint256 minted;
        uint256 released;
        uint256 budget = type(uint256).max;
        for (uint256 epoch = 0; epoch <= emission.currentEpoch(); epoch++) {
            boundsHold(epoch);
            check(emission.budget(epoch) <= budget, "budgets rise");
            budget = emission.budget(epoch);
            minted += emission.stats(epoch).minted;
            released += emission.stats(epoch).released;
        }
        uint256 feesBurned = handler.fees() - handler.unburned();
        check(minted * 10_000 <= feesBurned * emission.kappaBps(), "I2: minted before the fees were burned");
        uint256 supply = defaults().genesisAmount + minted + released - feesBurned - handler.burned();
        check(token.totalSupply() == supply, "minted by another way");
        MockMarket[2] memory both = [market, other];
        for (uint256 m = 0; m < 2; m++) {
            uint256 owed = both[m].unburned();
            for (uint256 i = 0; i < handler.WORKERS(); i++) {
                owed += both[m].claimable(handler.worker(i));
            }
            check(token.balanceOf(address(both[m])) == owed, "what a market owes is there");
        }
    }

    /// @dev Wherever fees are kept, nobody can tell it from crediting each at once.
    function invariantPlain() external view {
        for (uint256 i = 0; i < handler.WORKERS(); i++) {
            handler.plain().sameLately(handler.worker(i));
        }
    }

    function afterInvariant() external view {
        for (uint256 i = 0; i < handler.WORKERS(); i++) {
            handler.plain().same(handler.worker(i));
        }
    }

    function invariantStatistics() external view {
        for (uint256 epoch = 0; epoch <= emission.currentEpoch(); epoch++) {
            IEmissionController.Stats memory stats = emission.stats(epoch);
            (uint256 fees, uint256 paid) = (0, 0);
            for (uint256 i = 0; i < handler.WORKERS(); i++) {
                uint256 own = emission.feesOf(epoch, handler.worker(i));
                fees += own;
                paid += emission.paidOf(epoch, handler.worker(i));
            }
            check(fees == stats.fees, "fees");
            check(paid == stats.minted, "minted");
        }
    }
}
