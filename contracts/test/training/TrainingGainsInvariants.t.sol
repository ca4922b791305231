// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { InvariantBase } from "../InvariantBase.sol";
import { TrainingGainsHandler } from "./TrainingGainsHandler.sol";

/// I12 in training, and that data is not paid twice, whatever is copied and under however many names.
/// forge-config: default.invariant.runs = 12
/// forge-config: default.invariant.depth = 60
/// forge-config: default.invariant.fail-on-revert = true
/// forge-config: soak.invariant.runs = 2000
/// forge-config: soak.invariant.depth = 60
/// forge-config: soak.invariant.fail-on-revert = true
contract TrainingGainsInvariants is InvariantBase {
    TrainingGainsHandler private _handler;

    function setUp() public {
        _handler = new TrainingGainsHandler();
        _handler.setUp();
    }

    /// Rounds gain, and rounds on copies do not, often enough for what is checked after them to say something.
    function testMovesGoFar() external {
        for (uint256 i = 0; i < 60; i++) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            if (i % 6 == 5) _handler.doCopy(seed);
            else _handler.doRound(seed);
            _handler.checkGains();
            _handler.checkSplitting();
        }
        check(_handler.gained() >= 10 && _handler.repeated() >= 10, "nothing gains, or everything does");
    }

    function _target() internal view override returns (address) {
        return address(_handler);
    }

    function _moves() internal pure override returns (bytes4[] memory moves) {
        moves = new bytes4[](9);
        for (uint256 i = 0; i < 4; i++) {
            moves[i] = TrainingGainsHandler.doRound.selector;
        }
        moves[4] = TrainingGainsHandler.doCopy.selector;
        moves[5] = TrainingGainsHandler.doCopy.selector;
        moves[6] = TrainingGainsHandler.doWithdraw.selector;
        moves[7] = TrainingGainsHandler.doClaim.selector;
        moves[8] = TrainingGainsHandler.doWait.selector;
    }

    function invariantGainsAndSplitting() external view {
        _handler.checkGains();
        _handler.checkSplitting();
    }
}
