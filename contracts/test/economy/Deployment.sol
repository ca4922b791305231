// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AccessManager } from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import { TimelockController } from "@openzeppelin/contracts/governance/TimelockController.sol";
import { AssayGovernor } from "../../sol/economy/AssayGovernor.sol";
import { AssayToken } from "../../sol/economy/AssayToken.sol";
import { EmissionController } from "../../sol/economy/EmissionController.sol";
import { ModelRegistry } from "../../sol/economy/ModelRegistry.sol";
import { VerifierRegistry } from "../../sol/economy/VerifierRegistry.sol";
import { DeploymentTypes } from "./DeploymentTypes.sol";
import { MockMarket } from "./MockMarket.sol";

/// @title The deployment of the whole system, in this order and from one account.
/// @notice With n the deployer's nonce at the start:
///   n      AccessManager(deployer)
///   n + 1  VerifierRegistry(manager)
///   n + 2  ModelRegistry(verifier registry)
///   n + 3  AssayToken(genesis holder, genesis amount, cap, minter = address of n + 4)
///   n + 4  EmissionController(manager, token, market = address of n + 5, kappa, schedule)
///   n + 5  JobMarket(manager, token, registries, emission, treasury, protocol's part, fee rate)
///   n + 6  TimelockController(delay, proposers = [address of n + 7], executors = [0: anybody], admin = 0)
///   n + 7  AssayGovernor(token, timelock, settings)
/// then `wire`. Roles of the manager and what they may call:
///   | role      | id | members after `wire`                              | may call                                           |
///   |-----------|----|---------------------------------------------------|----------------------------------------------------|
///   | ADMIN     | 0  | timelock                                          | the manager's settings and all other restricted    |
///   |           |    |                                                   | functions: releasePublic, setCanary, unpause, the  |
///   |           |    |                                                   | market's rates                                     |
///   | CURATOR   | 1  | timelock; `curator` with `curatorDelay`, if given | VerifierRegistry.add                               |
///   | GUARDIAN  | 2  | `guardian`                                        | VerifierRegistry.tombstone, Market.pause,       |
///   |           |    |                                                   | cancelling what a delayed curator has scheduled    |
/// Settings of a target (roles of its functions, closing it, its authority) take `adminDelay` on top of the timelock's delay.
/// The manager puts a new delay into force five days after it is set.
contract Deployment is DeploymentTypes {
    /// @dev Afterwards this contract, the deployer, has no rights.
    function deploy(Config memory config) external returns (System memory s) {
        uint256 nonce = cheats.getNonce(address(this));
        s.manager = AccessManager(deployed("AccessManager", abi.encode(this)));
        s.verifiers = VerifierRegistry(deployed("VerifierRegistry", abi.encode(s.manager)));
        s.models = ModelRegistry(deployed("ModelRegistry", abi.encode(s.verifiers)));
        s.token = AssayToken(
            deployed(
                "AssayToken", abi.encode(config.genesisHolder, config.genesisAmount, config.cap, predicted(nonce + 4))
            )
        );
        address market = predicted(nonce + 5);
        s.emission = EmissionController(
            deployed(
                "EmissionController",
                abi.encode(s.manager, s.token, market, address(0), config.kappaBps, config.schedule)
            )
        );
        s.market = deployMarket(s, config);
        check(s.market == market, "the market's address");
        address[] memory proposers = new address[](1);
        proposers[0] = predicted(nonce + 7);
        bytes memory arguments = abi.encode(config.timelockDelay, proposers, new address[](1), address(0));
        s.timelock = TimelockController(payable(deployed("TimelockController", arguments)));
        arguments = abi.encode(s.token, s.timelock, config.governor);
        s.governor = AssayGovernor(payable(deployed("AssayGovernor", arguments)));
        check(address(s.governor) == proposers[0], "the governor's address");
        wire(s, config);
    }

    /// @dev Exactly one contract creation.
    function deployMarket(System memory s, Config memory) internal virtual returns (address) {
        return double("MockMarket", "MockMarket", abi.encode(s.manager, s.token, s.emission));
    }

    /// @dev Functions, delays, members, and in the end the admin role.
    function wire(System memory s, Config memory config) internal {
        AccessManager m = s.manager;
        m.setTargetFunctionRole(address(s.verifiers), only(VerifierRegistry.add.selector), CURATOR);
        m.setTargetFunctionRole(address(s.verifiers), only(VerifierRegistry.tombstone.selector), GUARDIAN);
        m.setTargetFunctionRole(s.market, only(MockMarket.pause.selector), GUARDIAN);
        // What is not named belongs to the admin; this one is named because it mints.
        m.setTargetFunctionRole(address(s.emission), only(EmissionController.releasePublic.selector), ADMIN);

        m.setTargetAdminDelay(address(s.verifiers), config.adminDelay);
        m.setTargetAdminDelay(address(s.emission), config.adminDelay);
        m.setTargetAdminDelay(s.market, config.adminDelay);

        m.labelRole(CURATOR, "CURATOR");
        m.labelRole(GUARDIAN, "GUARDIAN");
        m.setRoleGuardian(CURATOR, GUARDIAN);
        m.grantRole(CURATOR, address(s.timelock), 0);
        if (config.curator != address(0)) m.grantRole(CURATOR, config.curator, config.curatorDelay);
        m.grantRole(GUARDIAN, config.guardian, 0);

        m.grantRole(ADMIN, address(s.timelock), 0);
        m.renounceRole(ADMIN, address(this));
    }

    function predicted(uint256 nonce) private view returns (address) {
        return cheats.computeCreateAddress(address(this), nonce);
    }

    function only(bytes4 selector) private pure returns (bytes4[] memory all) {
        all = new bytes4[](1);
        all[0] = selector;
    }
}
