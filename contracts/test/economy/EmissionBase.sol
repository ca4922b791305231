// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AssayToken } from "../../sol/economy/AssayToken.sol";
import { EmissionController } from "../../sol/economy/EmissionController.sol";
import { IEmissionController } from "../../sol/economy/IEmissionController.sol";
import { Deployed } from "./Deployed.sol";
import { MockMarket } from "./MockMarket.sol";

/// @dev A deployed system whose market is paid by this contract.
abstract contract EmissionBase is Deployed {
    address internal constant ALICE = address(0xA11CE);
    address internal constant BOB = address(0xB0B);
    uint256 internal constant WEEK = 7 days;

    AssayToken internal token;
    EmissionController internal emission;
    MockMarket internal market;
    System internal system;

    function start(Config memory config) internal {
        system = deploy(config);
        (token, emission, market) = (system.token, system.emission, MockMarket(system.market));
        token.approve(address(market), type(uint256).max);
    }

    function settle(address worker, uint256 fee) internal {
        market.settle(worker, fee, 1000);
    }

    /// @dev To the start of the next epoch.
    function nextEpoch() internal {
        cheats.warp(emission.epochStart() + (emission.currentEpoch() + 1) * emission.epochLength());
    }

    function claim(address worker, uint256 epoch) internal returns (uint256) {
        return emission.claim(worker, list(epoch));
    }

    /// @dev I2 for one epoch.
    function boundsHold(uint256 epoch) internal view {
        IEmissionController.Stats memory stats = emission.stats(epoch);
        check(stats.minted <= emission.budget(epoch), "I2: minted beyond the budget");
        check(stats.minted * 10_000 <= stats.fees * emission.kappaBps(), "I2: minted beyond kappa");
        check(stats.released <= emission.publicBudget(epoch), "I2: released beyond the budget");
    }
}
