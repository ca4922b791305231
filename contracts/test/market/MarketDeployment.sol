// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AccessManager } from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import { AssayToken } from "../../sol/economy/AssayToken.sol";
import { EmissionController } from "../../sol/economy/EmissionController.sol";
import { JobMarket } from "../../sol/economy/JobMarket.sol";
import { Market } from "../../sol/economy/Market.sol";
import { ModelRegistry } from "../../sol/economy/ModelRegistry.sol";
import { VerifierRegistry } from "../../sol/economy/VerifierRegistry.sol";
import { DeploymentTypes } from "../economy/DeploymentTypes.sol";

/// @dev `Deployment` with the market in its place, but without a governor: whoever asks for it has the timelock's role.
contract MarketDeployment is DeploymentTypes {
    function deploy(Config memory c) external returns (System memory s) {
        s.manager = AccessManager(deployed("AccessManager", abi.encode(this)));
        s.verifiers = VerifierRegistry(deployed("VerifierRegistry", abi.encode(s.manager)));
        s.models = ModelRegistry(deployed("ModelRegistry", abi.encode(s.verifiers)));
        uint256 nonce = cheats.getNonce(address(this));
        address minter = cheats.computeCreateAddress(address(this), nonce + 1);
        s.market = cheats.computeCreateAddress(address(this), nonce + 2);
        s.token = AssayToken(deployed("AssayToken", abi.encode(c.genesisHolder, c.genesisAmount, c.cap, minter)));
        s.emission = EmissionController(
            deployed(
                "EmissionController",
                abi.encode(s.manager, s.token, s.market, training(nonce + 3), c.kappaBps, c.schedule)
            )
        );
        bytes memory arguments = abi.encode(
            s.manager, s.token, s.verifiers, s.models, s.emission, c.treasury, c.protocolBps, c.feePerBillionUnits
        );
        check(deployed("JobMarket", arguments) == s.market, "the market's address");
        after_(s, c);
        roles(s, c);
    }

    /// @dev The address of the market for training, 0 if there is none; with this contract's nonce after the other market.
    function training(uint256) internal view virtual returns (address) {
        return address(0);
    }

    function after_(System memory, Config memory) internal virtual { }

    function roles(System memory s, Config memory c) internal {
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = VerifierRegistry.tombstone.selector;
        s.manager.setTargetFunctionRole(address(s.verifiers), selectors, GUARDIAN);
        selectors[0] = Market.pause.selector;
        s.manager.setTargetFunctionRole(s.market, selectors, GUARDIAN);
        s.manager.grantRole(GUARDIAN, c.guardian, 0);
        s.manager.grantRole(ADMIN, msg.sender, 0);
    }
}
