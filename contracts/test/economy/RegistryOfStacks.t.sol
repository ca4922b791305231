// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AssayVerifier } from "../../sol/AssayVerifier.sol";
import { IModelRegistry } from "../../sol/economy/IModelRegistry.sol";
import { IVerifierRegistry } from "../../sol/economy/IVerifierRegistry.sol";
import { MockVerifier } from "./MockVerifier.sol";
import { RegistryBase } from "./RegistryBase.sol";

/// The registry with keys that list named stacks.
contract RegistryOfStacksTest is RegistryBase {
    struct Stack {
        bool pinned;
        uint256 rows; // a power of two
        uint256 schema;
    }

    bytes4 private constant NONE = IVerifierRegistry.NoKey.selector;
    bytes4 private constant TENSORS = IVerifierRegistry.PublicTensors.selector;

    MockVerifier private verifier;

    function setUp() external {
        start();
        verifier = new MockVerifier();
    }

    function outputOf(uint256 count) private pure returns (Tensor[] memory one) {
        one = new Tensor[](1);
        one[0] = Tensor(count, -1000, 1000);
    }

    function some(bool pinned, uint256 count) private pure returns (Stack[] memory wanted) {
        wanted = new Stack[](count);
        for (uint256 i = 0; i < count; i++) {
            wanted[i] = Stack(pinned, 2, 70 + i);
        }
    }

    /// @dev A key of version 2: that of `keyWith`, with the list between ranges and commitments and rows of pinned stacks behind.
    function keyWithStacks(Tensor[] memory tensors, Stack[] memory wanted, uint256 weights)
        private
        pure
        returns (bytes memory key)
    {
        bytes memory plain = keyWith(tensors, 1, 1);
        uint256 at_ = 32 * (16 + 3 * tensors.length);
        bytes memory entries = abi.encode(wanted.length);
        bytes memory rows;
        for (uint256 i = 0; i < wanted.length; i++) {
            uint256 bits = 10;
            while (1 << (bits - 10) < wanted[i].rows) bits++;
            entries = bytes.concat(entries, abi.encode(wanted[i].pinned, bits, wanted[i].schema));
            if (!wanted[i].pinned) continue;
            for (uint256 word_ = 0; word_ < 2 * wanted[i].rows; word_++) {
                rows = bytes.concat(rows, keccak256(abi.encode(weights, i, word_)));
            }
        }
        key = bytes.concat(slice(plain, 0, at_), entries, slice(plain, at_, plain.length), rows);
        setWord(key, 0, 2);
    }

    function refused(bytes memory key, uint32 batch, bytes4 selector, string memory what) private {
        bytes memory call_ = addCall(address(verifier), verifier.register(key), batch);
        uint256 before = registry.count();
        fails(curator, address(registry), call_, selector, what);
        check(registry.count() == before, what);
    }

    function added(bytes memory key, bytes32 model, uint32 batch) private returns (IVerifierRegistry.Entry memory) {
        return registry.entry(add(address(verifier), verifier.register(key), model, batch));
    }

    /// @dev One given stack for each inference, and no other input.
    function testIdsAreInputs() external {
        IVerifierRegistry.Entry memory e = added(keyWithStacks(outputOf(12), some(false, 3), 1), "a", 3);
        check(e.inputValues == 4 && e.outputValues == 4, "one id for each of three");
        e = added(keyWithStacks(outputOf(12), some(false, 3), 2), "b", 1);
        check(e.inputValues == 12 && e.outputValues == 12, "three ids of one");
        refused(keyWithStacks(outputOf(12), some(false, 3), 1), 2, TENSORS, "three ids of two");
        refused(keyWithStacks(outputOf(10), some(false, 3), 1), 3, TENSORS, "ten outputs of three");
        refused(keyWithStacks(outputOf(12), some(true, 3), 1), 1, TENSORS, "no input");
        refused(keyWithStacks(new Tensor[](0), some(false, 3), 1), 1, TENSORS, "no output");
    }

    /// @dev With a batch, the ids of all inferences come before the inputs of all, so no inference's input lies together.
    function testIdsAndATensor() external {
        bytes memory key = modelKey(12, 6, 1, 1);
        Tensor[] memory two = new Tensor[](2);
        two[0] = Tensor(12, -128, 127);
        two[1] = Tensor(6, -1000, 1000);
        key = keyWithStacks(two, some(false, 3), 1);
        IVerifierRegistry.Entry memory e = added(key, "a", 1);
        check(e.inputValues == 24 && e.outputValues == 6, "values");
        refused(key, 3, TENSORS, "a batch");
        e = added(keyWithStacks(two, some(true, 3), 1), "b", 3);
        check(e.inputValues == 4 && e.outputValues == 2, "pinned stacks are no input");
        Tensor[] memory three = new Tensor[](3);
        three[0] = three[1] = three[2] = Tensor(6, 0, 1);
        refused(keyWithStacks(three, some(false, 3), 1), 1, TENSORS, "three tensors");
        refused(keyWithStacks(three, some(false, 3), 1), 3, TENSORS, "three tensors of a batch");
    }

    /// @dev Two entries of one model id pin the same: the registry compares them.
    function testOtherWeights() external {
        Tensor[] memory two = new Tensor[](2);
        two[0] = two[1] = Tensor(6, 0, 1);
        Stack[] memory wanted = some(true, 1);
        bytes32 one = add(address(verifier), verifier.register(keyWithStacks(two, wanted, 1)), "model", 1);
        bytes4 other = IVerifierRegistry.OtherWeights.selector;
        refused(keyWithStacks(two, wanted, 2), 1, other, "other rows");
        wanted[0].schema++;
        refused(keyWithStacks(two, wanted, 1), 1, other, "another schema");
        wanted[0].schema--;
        refused(keyWithStacks(two, some(true, 2), 1), 1, other, "a second stack");
        bytes memory point = keyWithStacks(two, wanted, 1);
        setWord(point, point.length / 32 - 1, 5);
        refused(point, 1, other, "another point");
        // The same weights for another batch, and other weights of another model.
        two[0] = two[1] = Tensor(12, 0, 1);
        check(added(keyWithStacks(two, wanted, 1), "model", 2).batch == 2, "another batch");
        added(keyWithStacks(two, wanted, 2), "other", 2);
        IModelRegistry.Offer memory o = system.models.get(system.models.offer(one, 0, address(0), 0, ""));
        check(o.weightCommitment == registry.entry(one).weightCommitment, "offer");
        // The end of the first does not make room for others: the second, with the same weights, still lives.
        cheats.prank(guardian);
        registry.tombstone(one);
        two[0] = two[1] = Tensor(24, 0, 1);
        bytes memory third = keyWithStacks(two, wanted, 3);
        refused(third, 2, other, "after the end of the first");
        added(third, "third", 2);
        check(added(keyWithStacks(two, wanted, 1), "model", 2).batch == 2, "the same weights after it");
    }

    /// @dev Keys that a verifier might have without checking them: reading must stay within.
    function testMalformed() external {
        bytes memory key = keyWithStacks(outputOf(3), some(false, 2), 1);
        bytes memory pins = keyWithStacks(outputOf(3), some(true, 2), 1);
        uint256[6] memory counts = [uint256(0), 1, 3, 17, type(uint256).max, type(uint256).max / 3];
        for (uint256 i = 0; i < counts.length; i++) {
            refusedWord(key, 19, counts[i], "number of stacks");
            refusedWord(pins, 19, counts[i], "number of pinned stacks");
        }
        refusedWord(key, 20, 1, "pinned without rows");
        refusedWord(pins, 20, 0, "given with rows");
        refusedWord(key, 20, 2, "kind");
        refusedWord(key, 21, 9, "shorter than a row");
        refusedWord(key, 21, 21, "too long");
        refusedWord(key, 21, 10 + 256, "shift beyond the word");
        refusedWord(key, 21, type(uint256).max, "huge");
        refusedWord(pins, 21, 12, "more rows than there are");
        refusedWord(pins, 21, 10, "fewer rows than there are");
        refusedWord(key, 0, 1, "version");
        refusedWord(key, 9, 2, "tensors");
        refused(slice(pins, 0, pins.length - 32), 1, NONE, "a word less");
        refused(slice(pins, 0, 32 * 19), 1, NONE, "no list");
        refused(slice(pins, 0, 32 * 22), 1, NONE, "half a list");
        refused(bytes.concat(pins, bytes32(0)), 1, NONE, "a word more");
    }

    function refusedWord(bytes memory key, uint256 index, uint256 value, string memory what) private {
        bytes memory other = bytes.concat(key);
        setWord(other, index, value);
        refused(other, 1, NONE, what);
    }

    /// @dev What is hashed of a canary's key does not cover version and wanted. A key whose proofs are about a stack too would
    /// else be named as canary.
    function testStacksAreNoCanaries() external {
        bytes memory canary = canaryKey(1);
        bytes memory named = abi.encode(uint256(1), uint256(0), uint256(4), uint256(7));
        bytes memory key = bytes.concat(slice(canary, 0, 32 * 19), named, slice(canary, 32 * 19, canary.length));
        setWord(key, 0, 2);
        bytes memory call_ = abi.encodeCall(registry.setCanary, (address(verifier), verifier.register(key)));
        fails(curator, address(registry), call_, IVerifierRegistry.BadCanary.selector, "stacks");
        call_ = abi.encodeCall(registry.setCanary, (address(verifier), verifier.register(canary)));
        succeeds(curator, address(registry), call_, "the same without");
    }

    /// @dev Keys and proofs that the prover made.
    function testVectors() external {
        AssayVerifier real = AssayVerifier(deployed("AssayVerifier", abi.encode(true)));
        Vector[] memory all = vectors("test/vectors/stacks");
        for (uint256 i = 0; i < all.length; i++) {
            bytes memory key = all[i].key;
            bytes32 model = keccak256(bytes(all[i].name));
            bytes32 id = add(address(real), real.register(key), model, 1);
            (bool active,, bytes32 settlementId,, uint32 inputs, uint32 outputs,) = registry.terms(id);
            check(active, all[i].name);
            equal(8 * (uint256(inputs) + outputs), all[i].publicValues.length, "length of the values");
            check(real.verify(settlementId, all[i].publicValues, all[i].context, all[i].proof), all[i].name);
        }
        check(all.length == 5, "vectors");
    }
}
