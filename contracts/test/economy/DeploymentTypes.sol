// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AccessManager } from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import { TimelockController } from "@openzeppelin/contracts/governance/TimelockController.sol";
import { AssayGovernor } from "../../sol/economy/AssayGovernor.sol";
import { AssayToken } from "../../sol/economy/AssayToken.sol";
import { EmissionController } from "../../sol/economy/EmissionController.sol";
import { ModelRegistry } from "../../sol/economy/ModelRegistry.sol";
import { VerifierRegistry } from "../../sol/economy/VerifierRegistry.sol";
import { EconomyBase } from "./Cheats.sol";

/// @dev What a deployment is told and what it makes.
abstract contract DeploymentTypes is EconomyBase {
    uint64 internal constant ADMIN = 0;
    uint64 internal constant CURATOR = 1;
    uint64 internal constant GUARDIAN = 2;

    struct Config {
        address genesisHolder;
        uint256 genesisAmount;
        uint256 cap;
        uint256 kappaBps;
        EmissionController.Schedule schedule;
        address treasury;
        uint16 protocolBps;
        uint256 feePerBillionUnits;
        uint256 timelockDelay;
        AssayGovernor.Settings governor;
        address guardian;
        address curator; // 0: only the timelock
        uint32 curatorDelay;
        uint32 adminDelay;
    }

    struct System {
        AccessManager manager;
        VerifierRegistry verifiers;
        ModelRegistry models;
        AssayToken token;
        EmissionController emission;
        address market;
        TimelockController timelock;
        AssayGovernor governor;
    }
}
