// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { InvariantBase } from "../InvariantBase.sol";
import { TrainingHandler } from "./TrainingHandler.sol";

/// The handler itself checks each call against the rules; here is what holds between calls.
/// forge-config: default.invariant.runs = 24
/// forge-config: default.invariant.depth = 120
/// forge-config: default.invariant.fail-on-revert = true
/// forge-config: soak.invariant.runs = 9000
/// forge-config: soak.invariant.depth = 120
/// forge-config: soak.invariant.fail-on-revert = true
contract TrainingInvariants is InvariantBase {
    TrainingHandler private _handler;

    function setUp() public {
        _handler = new TrainingHandler();
        _handler.setUp();
    }

    /// The moves get as far as there is to go, so what is checked after them is no empty claim.
    function testMovesGoFar() external {
        bytes4[] memory moves = _moves();
        for (uint256 i = 0; i < 600; i++) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            bytes4 move = moves[(seed >> 224) % moves.length];
            // Not the ones after which nothing is left to do.
            if (move == TrainingHandler.doTombstone.selector) continue;
            (bool ok, bytes memory out) =
                address(_handler).call(abi.encodePacked(move, keccak256(abi.encode("argument", i))));
            check(ok, string(out));
        }
        string[7] memory all = ["open", "lease", "pin", "submit", "reveal", "evaluate", "withdraw"];
        for (uint256 i = 0; i < 7; i++) {
            check(_handler.successes(keccak256(bytes(all[i]))) >= 5, all[i]);
        }
        (,,,,, uint256 heads,,) = _handler.books(1);
        check(heads > 0, "no head advanced");
        _handler.checkBooks();
        _handler.drain();
    }

    function _target() internal view override returns (address) {
        return address(_handler);
    }

    function _moves() internal pure override returns (bytes4[] memory moves) {
        moves = new bytes4[](26);
        for (uint256 i = 0; i < 3; i++) {
            moves[i] = TrainingHandler.doLease.selector;
            moves[3 + i] = TrainingHandler.doPin.selector;
            moves[6 + i] = TrainingHandler.doSubmit.selector;
            moves[9 + i] = TrainingHandler.doReveal.selector;
            moves[12 + i] = TrainingHandler.doEvaluate.selector;
        }
        moves[15] = TrainingHandler.doOpen.selector;
        moves[16] = TrainingHandler.doFinish.selector;
        moves[17] = TrainingHandler.doRefund.selector;
        moves[18] = TrainingHandler.doWithdraw.selector;
        moves[19] = TrainingHandler.doClaim.selector;
        moves[20] = TrainingHandler.doPause.selector;
        moves[21] = TrainingHandler.doTombstone.selector;
        moves[22] = TrainingHandler.doRetire.selector;
        moves[23] = TrainingHandler.doWait.selector;
        moves[24] = TrainingHandler.doCheat.selector;
        moves[25] = TrainingHandler.doCheat.selector;
    }

    /// I1, I3, I7 and the emission's books. I4, I8, I9, I10, I11 and that nobody trains on a shard that he has seen are checked with each
    /// move: `doCheat` hands in what must not be paid, `doRefund` and `doFinish` come too early, `doPause` stops no exit.
    function invariantBooks() external view {
        _handler.checkBooks();
    }

    /// Nobody's money is stuck: with the market paused for good and only strangers calling, all of it leaves.
    function afterInvariant() external {
        _handler.drain();
    }
}
