// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AssayGovernor } from "../../sol/economy/AssayGovernor.sol";
import { EmissionController } from "../../sol/economy/EmissionController.sol";
import { Deployment } from "./Deployment.sol";
import { DeploymentTypes } from "./DeploymentTypes.sol";

/// @dev A test with a deployed system. The deployment is a contract of its own, taken from its artefact: a test that contained
/// the code of the whole system would be compiled and optimised with it, each one again.
abstract contract Deployed is DeploymentTypes {
    address internal deployer;

    function deploy(Config memory config) internal returns (System memory) {
        deployer = cheats.deployCode(deployment());
        return Deployment(deployer).deploy(config);
    }

    /// @dev The contract that deploys, a `Deployment`.
    function deployment() internal pure virtual returns (string memory) {
        return "Deployment.sol:Deployment";
    }

    /// @dev A deployment for tests; times are relative to now.
    function defaults() internal view returns (Config memory c) {
        c.genesisHolder = address(this);
        c.genesisAmount = 100_000_000e18;
        c.cap = 1_000_000_000e18;
        c.kappaBps = 5000;
        c.schedule = EmissionController.Schedule({
            start: uint40(nowAt()), length: 7 days, budget: 1_000_000e18, publicBudget: 500_000e18, decay: 0.99e18
        });
        c.treasury = address(0x7EA5);
        c.protocolBps = 200;
        c.feePerBillionUnits = 1e15;
        c.timelockDelay = 2 days;
        c.governor = AssayGovernor.Settings({
            votingDelay: 1 days,
            votingPeriod: 5 days,
            proposalThreshold: 100_000e18,
            quorumPercent: 4,
            lateExtension: 2 days
        });
        c.guardian = address(0x6A4D);
        c.curator = address(0xC04A);
        c.curatorDelay = 3 days;
        c.adminDelay = 3 days;
    }
}
