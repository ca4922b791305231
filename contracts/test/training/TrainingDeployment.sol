// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { DatasetRegistry } from "../../sol/economy/DatasetRegistry.sol";
import { ITrainingMarket } from "../../sol/economy/ITrainingMarket.sol";
import { Market } from "../../sol/economy/Market.sol";
import { MarketDeployment } from "../market/MarketDeployment.sol";

/// @dev `MarketDeployment` with datasets and the market for training behind it.
contract TrainingDeployment is MarketDeployment {
    DatasetRegistry public datasets;
    ITrainingMarket public tasks;

    function training(uint256 next) internal view override returns (address) {
        return cheats.computeCreateAddress(address(this), next + 1);
    }

    function after_(System memory s, Config memory c) internal override {
        address expected = address(s.emission.training());
        datasets = DatasetRegistry(deployed("DatasetRegistry", ""));
        bytes memory arguments = abi.encode(
            s.manager, s.token, s.verifiers, datasets, s.emission, c.treasury, c.protocolBps, c.feePerBillionUnits
        );
        tasks = ITrainingMarket(deployed("TrainingMarket", arguments));
        check(address(tasks) == expected, "the training market's address");
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = Market.pause.selector;
        s.manager.setTargetFunctionRole(address(tasks), selectors, GUARDIAN);
    }
}
