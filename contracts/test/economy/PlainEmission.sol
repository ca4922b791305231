// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { EmissionController } from "../../sol/economy/EmissionController.sol";
import { IEmissionController } from "../../sol/economy/IEmissionController.sol";

/// @dev The rebate as it is defined: each fee is credited at once, to its worker in the epoch of its payment. What the
/// emission and the market keep between them must never be told from this.
contract PlainEmission {
    struct Epoch {
        uint256 fees;
        uint256 units;
        uint256 workers;
    }

    EmissionController private immutable emission;
    mapping(uint256 epoch => mapping(address worker => uint256)) public feesOf;
    mapping(uint256 epoch => Epoch) public epochs;

    error Differs(string what, uint256 epoch, address worker);

    constructor(EmissionController emission_) {
        emission = emission_;
    }

    function settle(address worker, uint256 fee, uint256 units) external {
        uint256 epoch = emission.currentEpoch();
        if (fee > 0 && feesOf[epoch][worker] == 0) epochs[epoch].workers++;
        feesOf[epoch][worker] += fee;
        epochs[epoch].fees += fee;
        epochs[epoch].units += units;
    }

    /// @dev All that was and is a worker's for an epoch.
    function whole(uint256 epoch, address worker) public view returns (uint256) {
        uint256 fees = epochs[epoch].fees;
        if (fees == 0) return 0;
        uint256 pool = fees * emission.kappaBps() / 10_000;
        if (pool > emission.budget(epoch)) pool = emission.budget(epoch);
        return feesOf[epoch][worker] * pool / fees;
    }

    /// @dev For every epoch until now.
    function same(address worker) external view {
        same(worker, 0);
    }

    /// @dev For this epoch and the one before.
    function sameLately(address worker) external view {
        uint256 current = emission.currentEpoch();
        same(worker, current == 0 ? 0 : current - 1);
    }

    function same(address worker, uint256 from) private view {
        for (uint256 epoch = from; epoch <= emission.currentEpoch(); epoch++) {
            if (emission.feesOf(epoch, worker) != feesOf[epoch][worker]) revert Differs("fees", epoch, worker);
            uint256 both = emission.reward(epoch, worker) + emission.paidOf(epoch, worker);
            if (both != whole(epoch, worker)) revert Differs("reward", epoch, worker);
            IEmissionController.Stats memory stats = emission.stats(epoch);
            Epoch memory plain = epochs[epoch];
            if (stats.fees != plain.fees) revert Differs("all fees", epoch, worker);
            if (stats.units != plain.units) revert Differs("units", epoch, worker);
            if (stats.workers != plain.workers) revert Differs("workers", epoch, worker);
        }
    }
}
