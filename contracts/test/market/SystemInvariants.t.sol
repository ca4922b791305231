// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { InvariantBase } from "../InvariantBase.sol";
import { SystemHandler } from "./SystemHandler.sol";

/// I12 and I13 in the deployed system, after whatever was done before.
/// forge-config: default.invariant.runs = 24
/// forge-config: default.invariant.depth = 100
/// forge-config: soak.invariant.runs = 10000
/// forge-config: soak.invariant.depth = 100
/// forge-config: soak.invariant.fail-on-revert = true
contract SystemInvariants is InvariantBase {
    SystemHandler private _handler;

    function setUp() public {
        _handler = new SystemHandler();
        _handler.setUp();
    }

    function _target() internal view override returns (address) {
        return address(_handler);
    }

    function _moves() internal pure override returns (bytes4[] memory moves) {
        moves = new bytes4[](16);
        for (uint256 i = 0; i < 3; i++) {
            moves[i] = SystemHandler.doPost.selector;
            moves[3 + i] = SystemHandler.doFulfil.selector;
        }
        moves[6] = SystemHandler.doLease.selector;
        moves[7] = SystemHandler.doLease.selector;
        moves[8] = SystemHandler.doRefund.selector;
        moves[9] = SystemHandler.doHonest.selector;
        moves[10] = SystemHandler.doClaim.selector;
        moves[11] = SystemHandler.doCollect.selector;
        moves[12] = SystemHandler.doBurn.selector;
        moves[13] = SystemHandler.doRates.selector;
        moves[14] = SystemHandler.doWait.selector;
        moves[15] = SystemHandler.doEdge.selector;
    }

    function invariantSplittingAndSelfDealing() external view {
        _handler.checkPlain();
        _handler.checkSplitting();
        _handler.checkSelfDealing();
    }

    function afterInvariant() external view {
        _handler.checkAllPlain();
    }
}
