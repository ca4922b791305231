// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AssayVerifier } from "../../sol/AssayVerifier.sol";
import { IAssayVerifier } from "../../sol/IAssayVerifier.sol";
import { IVerifierRegistry } from "../../sol/economy/IVerifierRegistry.sol";
import { MockVerifier } from "./MockVerifier.sol";
import { RegistryBase } from "./RegistryBase.sol";

/// @dev The registry with the real verifier and the stored keys and proofs.
contract RealKeysTest is RegistryBase {
    AssayVerifier private verifier;

    function setUp() external {
        start();
        verifier = AssayVerifier(deployed("AssayVerifier", abi.encode(true)));
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

    /// @dev What the list at word `at_` of a key says: how many stacks are given, and rows of pinned ones.
    function listed(bytes memory key, uint256 at_) private pure returns (uint256 given, uint256 pinnedRows) {
        for (uint256 k = 0; k < word(key, at_); k++) {
            if (word(key, at_ + 1 + 3 * k) == 0) given++;
            else pinnedRows += 1 << (word(key, at_ + 2 + 3 * k) - word(key, 6));
        }
    }

    /// @dev Keys with named stacks: the ids of given ones are input, and commitments begin behind their list.
    function testStacks() external {
        string[5] memory names = ["features", "classes", "one_row", "four_rows", "pinned"];
        for (uint256 i = 0; i < names.length; i++) {
            Vector memory v = parse(string.concat("test/vectors/stacks/", names[i], ".json"));
            bytes memory key = v.key;
            check(word(key, 0) == 2, "a key with named stacks");
            uint256 tensors = word(key, 9);
            (uint256 given, uint256 pinnedRows) = listed(key, 16 + 3 * tensors);
            bytes32 settlementId = verifier.register(key);
            bytes32 id = add(address(verifier), settlementId, keccak256(bytes(v.name)), 1);
            IVerifierRegistry.Entry memory e = registry.entry(id);
            equal(e.inputValues, 4 * given + (tensors == 2 ? word(key, 16) : 0), "ids and input");
            equal(e.outputValues, word(key, 16 + 3 * (tensors - 1)), "output");
            uint256 rows = (1 << (word(key, 8) - word(key, 6))) + pinnedRows;
            check(e.weightCommitment == keccak256(slice(key, key.length - 64 * rows, key.length)), "weights");
            proven(id, v);
            bounded(id, settlementId, v);
            if (given != 0) {
                bytes4 tensors_ = IVerifierRegistry.PublicTensors.selector;
                fails(curator, address(registry), addCall(address(verifier), settlementId, 2), tensors_, "a batch");
            }
        }
    }

    /// @dev The most that settling takes, as the registry says it, is not less than what it takes and not much more.
    function bounded(bytes32 id, bytes32 settlementId, Vector memory v) private view {
        (uint256 bytes_, uint256 gas) = registry.settlement(id);
        uint256 exact = 4 + 32 * 11 + (v.publicValues.length + 31) / 32 * 32 + v.proof.length;
        check(exact + 128 <= bytes_ && bytes_ <= exact + 512, "bytes");
        check(verifier.verify(settlementId, v.publicValues, v.context, v.proof), v.name);
        uint256 used = 21_000 + vm.lastCallGas().gasTotalUsed + 120_000 + 16 * exact;
        check(used <= gas && gas <= 2 * used, "gas");
    }

    /// @dev Lists that a verifier might have kept without checking them.
    function testMalformedStacks() external {
        MockVerifier careless = new MockVerifier();
        bytes memory key = parse("test/vectors/stacks/pinned.json").key;
        uint256 list = 16 + 3 * word(key, 9);
        uint256[2][8] memory edits = [
            [uint256(0), 1],
            [uint256(0), 3],
            [list, 0],
            [list, 17],
            [list, type(uint256).max],
            [list + 1, 2],
            [list + 2, word(key, 6) - 1],
            [list + 2, word(key, 6) + 11]
        ];
        for (uint256 i = 0; i < edits.length; i++) {
            bytes memory bad = bytes.concat(key);
            setWord(bad, edits[i][0], edits[i][1]);
            bytes memory call_ = addCall(address(careless), careless.register(bad), 1);
            fails(curator, address(registry), call_, IVerifierRegistry.NoKey.selector, "malformed");
        }
        bytes memory less = slice(key, 0, key.length - 64);
        bytes memory last = addCall(address(careless), careless.register(less), 1);
        fails(curator, address(registry), last, IVerifierRegistry.NoKey.selector, "a row less");
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
        AssayVerifier strict = AssayVerifier(deployed("AssayVerifier", abi.encode(false)));
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
