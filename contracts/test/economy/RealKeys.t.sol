// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AssayVerifier } from "../../sol/AssayVerifier.sol";
import { IVerifierRegistry } from "../../sol/economy/IVerifierRegistry.sol";
import { RegistryBase } from "./RegistryBase.sol";

/// @dev The registry with the real verifier and the stored keys and proofs.
contract RealKeysTest is RegistryBase {
    AssayVerifier private verifier;

    function setUp() external {
        start();
        verifier = new AssayVerifier(true);
    }

    function batchOf(bytes memory key) private pure returns (uint32) {
        return word(key, 16) == 36 ? 3 : 1;
    }

    function testVectors() external {
        Vector[] memory all = vectors();
        uint256 added;
        for (uint256 i = 0; i < all.length; i++) {
            bytes memory key = all[i].key;
            bytes32 settlementId = verifier.register(key);
            if (word(key, 9) != 2) {
                bytes4 tensors = IVerifierRegistry.PublicTensors.selector;
                fails(curator, address(registry), addCall(address(verifier), settlementId, 1), tensors, all[i].name);
                continue;
            }
            uint32 batch = batchOf(key);
            bytes32 id = add(address(verifier), settlementId, keccak256(bytes(all[i].name)), batch);
            derived(registry.entry(id), key, batch);
            proven(id, all[i]);
            added++;
        }
        check(added >= 2, "keys with input and output");
    }

    function derived(IVerifierRegistry.Entry memory e, bytes memory key, uint32 batch) private view {
        equal(uint256(e.inputValues) * batch, word(key, 16), "input");
        equal(uint256(e.outputValues) * batch, word(key, 19), "output");
        check(e.srsHash == keccak256(slice(key, 32 * 12, 32 * 16)), "powers of tau");
        // Rows of the model: two words each, at the end.
        uint256 rows = 1 << (word(key, 8) - word(key, 6));
        check(e.weightCommitment == keccak256(slice(key, key.length - 64 * rows, key.length)), "weights");
        check(e.codeHash == keccak256(address(verifier).code), "code");
    }

    /// @dev What `terms` returns is enough to verify the proof.
    function proven(bytes32 id, Vector memory v) private view {
        (bool active, address at_, bytes32 settlementId, uint32 batch, uint32 inputs, uint32 outputs,) =
            registry.terms(id);
        check(active, "active");
        equal(8 * uint256(batch) * (uint256(inputs) + outputs), v.publicValues.length, "length of the values");
        check(AssayVerifier(at_).verify(settlementId, v.publicValues, v.context, v.proof), v.name);
    }

    /// @dev A true proof of a real canary, whose output is not 1 in the impossible context, stops nothing.
    function testHonestProofsDoNotStop() external {
        Vector[] memory all = vectors();
        for (uint256 i = 0; i < all.length; i++) {
            bytes32 settlementId = verifier.register(all[i].key);
            bytes32 srs = srsOf(all[i].key);
            bytes memory values = all[i].publicValues;
            bytes memory call_ = abi.encodeCall(registry.stop, (address(verifier), srs, values, all[i].proof));
            fails(address(1), address(registry), call_, IVerifierRegistry.NoCanary.selector, "no canary");
            call_ = abi.encodeCall(registry.setCanary, (address(verifier), settlementId));
            fails(curator, address(registry), call_, IVerifierRegistry.BadCanary.selector, "a model is no canary");
        }
    }
}
