// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { EmissionBase } from "./EmissionBase.sol";
import { MockVerifier } from "./MockVerifier.sol";
import { RegistryBase } from "./RegistryBase.sol";

/// @dev Gas with cold slots, as in a transaction of its own, and code sizes. Written to snapshots/economy.json.
contract EmissionGasTest is EmissionBase {
    function setUp() external {
        start(defaults());
    }

    /// @dev Gas of the last call; afterwards everything is cold again.
    function measured(string memory name) private returns (uint256 gas) {
        gas = cheats.snapshotGasLastCall("economy", name);
        vm.cool(address(emission));
        vm.cool(address(token));
        vm.cool(address(market));
    }

    /// @dev Asks for what the market keeps, cold here; within a settlement it is about to write the same slot.
    function testRecord() external {
        vm.cool(address(emission));
        vm.cool(address(market));
        cheats.startPrank(address(market));
        emission.record(ALICE, 5e18, 1000);
        measured("EmissionController.record, first of an epoch");
        emission.record(BOB, 5e18, 1000);
        check(measured("EmissionController.record, first of a worker") < 20_000, "first of a worker");
        keeps(5e18);
        emission.record(BOB, 5e18, 1000);
        check(measured("EmissionController.record, again") < 20_000, "again");
        nextEpoch();
        keeps(5e18);
        emission.record(BOB, 5e18, 1000);
        check(measured("EmissionController.record, first of an epoch, with fees of another") < 60_000, "handed over");
    }

    function keeps(uint256 fees) private {
        vm.mockCall(address(market), abi.encodeCall(market.keptFees, (BOB)), abi.encode(0, fees));
    }

    function testClaim() external {
        settle(ALICE, 5e18);
        nextEpoch();
        settle(ALICE, 5e18);
        nextEpoch();
        vm.cool(address(emission));
        vm.cool(address(token));
        vm.cool(address(market));
        claim(ALICE, 0);
        measured("EmissionController.claim, with fees to burn");
        claim(ALICE, 1);
        measured("EmissionController.claim");
    }

    function testSizes() external {
        size("AccessManager", address(system.manager));
        size("AssayGovernor", address(system.governor));
        size("AssayToken", address(token));
        size("EmissionController", address(emission));
        size("ModelRegistry", address(system.models));
        size("TimelockController", address(system.timelock));
        size("VerifierRegistry", address(system.verifiers));
    }

    /// @dev EIP-170 allows 24576 bytes.
    function size(string memory name, address at_) private {
        check(at_.code.length <= 24_576, name);
        vm.snapshotValue("economy", string.concat(name, ", bytes"), at_.code.length);
    }
}

contract RegistryGasTest is RegistryBase {
    function testRegistry() external {
        start();
        MockVerifier verifier = MockVerifier(double("MockVerifier", "MockVerifier", ""));
        bytes32 settlementId = verifier.register(modelKey(12, 6, 1, 1));
        bytes32 canary = verifier.register(canaryKey(1));
        cool(verifier);
        bytes32 id = add(address(verifier), settlementId, "model", 3);
        cheats.snapshotGasLastCall("economy", "VerifierRegistry.add");
        cool(verifier);
        registry.terms(id);
        cheats.snapshotGasLastCall("economy", "VerifierRegistry.terms");
        cool(verifier);
        registry.isActive(id);
        cheats.snapshotGasLastCall("economy", "VerifierRegistry.isActive");
        cool(verifier);
        cheats.prank(address(0x0143));
        system.models.offer(id, 1000, address(0xDA7A), 500, "ipfs://model");
        cheats.snapshotGasLastCall("economy", "ModelRegistry.offer");
        cheats.prank(curator);
        registry.setCanary(address(verifier), canary);
        (bytes memory values, bytes memory proof) = forge_(verifier, canary);
        cool(verifier);
        registry.stop(address(verifier), srsOf(canaryKey(1)), values, proof);
        cheats.snapshotGasLastCall("economy", "VerifierRegistry.stop, with a mock verifier");
        check(!registry.isActive(id), "stopped");
    }

    function cool(MockVerifier verifier) private {
        vm.cool(address(registry));
        vm.cool(address(verifier));
        vm.cool(address(system.models));
        vm.cool(address(system.manager));
    }
}
