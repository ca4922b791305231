// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { InvariantBase } from "../InvariantBase.sol";
import { Handler } from "./Handler.sol";

/// The handler itself checks each call against the rules; here is what holds between calls.
/// forge-config: default.invariant.runs = 48
/// forge-config: default.invariant.depth = 120
/// forge-config: default.invariant.fail-on-revert = true
/// forge-config: soak.invariant.runs = 9000
/// forge-config: soak.invariant.depth = 120
/// forge-config: soak.invariant.fail-on-revert = true
contract MarketInvariants is InvariantBase {
    Handler private _handler;

    function setUp() public {
        _handler = new Handler();
        _handler.setUp();
    }

    function _target() internal view override returns (address) {
        return address(_handler);
    }

    function _moves() internal pure override returns (bytes4[] memory moves) {
        moves = new bytes4[](21);
        for (uint256 i = 0; i < 3; i++) {
            moves[i] = Handler.doPost.selector;
            moves[3 + i] = Handler.doLease.selector;
            moves[6 + i] = Handler.doFulfil.selector;
        }
        moves[9] = Handler.doRefund.selector;
        moves[10] = Handler.doWithdraw.selector;
        moves[11] = Handler.doCollect.selector;
        moves[12] = Handler.doBurn.selector;
        moves[13] = Handler.doPause.selector;
        moves[14] = Handler.doTombstone.selector;
        moves[15] = Handler.doRates.selector;
        moves[16] = Handler.doWait.selector;
        moves[17] = Handler.doRefund.selector;
        moves[18] = Handler.doWait.selector;
        moves[19] = Handler.doWait.selector;
        moves[20] = Handler.doLease.selector;
    }

    /// I1, I3, I6, I8.
    function invariantBooksAndJobs() external view {
        _handler.checkBooks();
        _handler.checkJobs();
    }

    /// Nobody's money is stuck: with the market paused for good and only strangers calling, all of it leaves.
    function afterInvariant() external {
        _handler.drain();
    }
}
