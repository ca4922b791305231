// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AccessManaged } from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import { SafeCast } from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import { AssayToken } from "../../sol/economy/AssayToken.sol";
import { EmissionController } from "../../sol/economy/EmissionController.sol";
import { IModelRegistry } from "../../sol/economy/IModelRegistry.sol";
import { Ledger } from "../../sol/economy/Ledger.sol";

/// @dev What the rest of the economy sees of a market: the real accounts; fees that are taken, recorded and burned; entries that
/// can be paused. There are no jobs.
contract MockMarket is Ledger, AccessManaged {
    using SafeCast for uint256;

    EmissionController public immutable emission;
    bool public paused;

    constructor(address manager, AssayToken token_, EmissionController emission_)
        Ledger(token_, IModelRegistry(address(0)), address(0x7EA))
        AccessManaged(manager)
    {
        emission = emission_;
        // As the jobs do: writing the slot is never dear.
        _pot.jobs = 1;
    }

    /// @dev The caller pays the fee.
    function settle(address worker, uint256 fee, uint256 units) external {
        settle(worker, 0, fee, units);
    }

    /// @dev The caller pays the price, which is all the worker's, and the fee.
    function settle(address worker, uint256 price, uint256 fee, uint256 units) public {
        _pot.unburned = (_pot.unburned + fee).toUint96();
        _take(price + fee);
        _creditWork(worker, price, fee, emission.record(worker, fee, units));
    }

    /// @dev As a lease does.
    function open(address account) external {
        _open(account);
    }

    function pause() external restricted {
        paused = true;
    }

    function unpause() external restricted {
        paused = false;
    }
}
