// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AccessManaged } from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import { AssayToken } from "../../sol/economy/AssayToken.sol";
import { EmissionController } from "../../sol/economy/EmissionController.sol";

/// @dev What the rest of the economy sees of a market: fees that are taken, recorded and burned; entries that can be paused.
contract MockMarket is AccessManaged {
    AssayToken public immutable token;
    EmissionController public immutable emission;
    uint256 public unburned;
    bool public paused;

    constructor(address manager, AssayToken token_, EmissionController emission_) AccessManaged(manager) {
        token = token_;
        emission = emission_;
    }

    /// @dev The caller pays.
    function settle(address worker, uint256 fee, uint256 units) external {
        token.transferFrom(msg.sender, address(this), fee);
        unburned += fee;
        emission.record(worker, fee, units);
    }

    function burnFees() external returns (uint256 amount) {
        amount = unburned;
        unburned = 0;
        token.burn(amount);
    }

    function pause() external restricted {
        paused = true;
    }

    function unpause() external restricted {
        paused = false;
    }
}
