// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

// Contracts of the deployment that are used as they are: importing them makes their artefacts.
import { AccessManager } from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import { TimelockController } from "@openzeppelin/contracts/governance/TimelockController.sol";
