// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AssayVerifier } from "../../sol/AssayVerifier.sol";
import { IAssayVerifier } from "../../sol/IAssayVerifier.sol";
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

    /// @dev The flag in a key is its maker's word. Without it, a key with development powers gets into a verifier that does not
    /// accept them, and only the powers themselves tell the registry.
    function testDevelopmentPowersAreKnownWithoutTheirFlag() external {
        AssayVerifier strict = new AssayVerifier(false);
        bytes memory key = parse("test/vectors/mlp_batch.json").key;
        setWord(key, 1, 0);
        bytes memory canary = parse("test/vectors/impossible.json").key;
        setWord(canary, 1, 0);
        bytes32 settlementId = strict.register(key);
        bytes memory setCanary = abi.encodeCall(registry.setCanary, (address(strict), strict.register(canary)));
        cheats.chainId(1);
        bytes4 development = IAssayVerifier.DevelopmentSrs.selector;
        fails(curator, address(registry), addCall(address(strict), settlementId, 3), development, "added");
        fails(curator, address(registry), setCanary, development, "a canary");
        // Other powers are not concerned.
        bytes memory other = parse("test/vectors/synthetic.json").key;
        for (uint256 i = 12; i < 16; i++) {
            setWord(key, i, word(other, i));
        }
        check(registry.isActive(add(address(strict), strict.register(key), "model", 3)), "other powers");
        cheats.chainId(31_337);
        check(registry.isActive(add(address(strict), settlementId, "model", 3)), "on a local chain");
    }

    function testModelsAreNoCanaries() external {
        Vector[] memory all = vectors();
        for (uint256 i = 0; i < all.length; i++) {
            // This one is the canary.
            if (keccak256(bytes(all[i].name)) == keccak256("impossible")) continue;
            bytes32 settlementId = verifier.register(all[i].key);
            bytes memory call_ = abi.encodeCall(registry.setCanary, (address(verifier), settlementId));
            fails(curator, address(registry), call_, IVerifierRegistry.BadCanary.selector, all[i].name);
        }
    }

    /// @dev Through the real verifier: the canary, and proofs of a model.
    function testProofsOfSomethingElseDoNotStop() external {
        Vector memory v = parse("test/vectors/mlp_short_rows.json");
        bytes memory key = v.key;
        // The canary's, whose proofs are of something else.
        key = parse("test/vectors/impossible.json").key;
        bytes32 canary = verifier.register(key);
        cheats.prank(curator);
        registry.setCanary(address(verifier), canary);
        bytes32 id = add(address(verifier), verifier.register(parse("test/vectors/mlp_short_rows.json").key), "mlp", 1);

        bytes4 not_ = IVerifierRegistry.NotImpossible.selector;
        bytes memory one = bytes.concat(slice(v.publicValues, 0, 96), bytes8(uint64(1)));
        stopFails(srsOf(key), one, v.proof, not_, "a proof of the model");
        stopFails(srsOf(key), one, new bytes(v.proof.length), not_, "zeros");
        stopFails(srsOf(key), one, "", not_, "nothing");
        stopFails(srsOf(key), bytes.concat(bytes8(uint64(1))), v.proof, not_, "too few values");
        check(registry.isActive(id), "active");
    }

    function stopFails(bytes32 srs, bytes memory values, bytes memory proof, bytes4 selector, string memory what)
        private
    {
        bytes memory call_ = abi.encodeCall(registry.stop, (address(verifier), srs, values, proof));
        fails(address(1), address(registry), call_, selector, what);
    }
}
