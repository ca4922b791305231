// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { VerifierRegistry } from "../../sol/economy/VerifierRegistry.sol";
import { Deployed } from "./Deployed.sol";
import { MockVerifier } from "./MockVerifier.sol";

/// @dev A deployed system, and keys in the format of `VerifyingKey` whose points mean nothing.
abstract contract RegistryBase is Deployed {
    struct Tensor {
        uint256 count;
        int256 low;
        int256 high;
    }

    struct Stack {
        bool pinned;
        uint256 rows; // a power of two
        uint256 schema;
    }

    System internal system;
    VerifierRegistry internal registry;
    address internal curator;
    address internal guardian;

    function start() internal {
        Config memory config = defaults();
        // As the timelock: without a delay of its own.
        system = deploy(config);
        registry = system.verifiers;
        curator = address(system.timelock);
        guardian = config.guardian;
    }

    /// @param tau Makes the powers of tau.
    /// @param seed Makes everything else.
    function keyWith(Tensor[] memory tensors, uint256 tau, uint256 seed) internal pure returns (bytes memory key) {
        uint256 commitments = 16 + 3 * tensors.length;
        // Two rows of the model.
        key = new bytes(32 * (commitments + 18 + 4));
        uint256[10] memory head = [uint256(1), 0, seed, 12, 0, 11, 10, 11, 11, tensors.length];
        for (uint256 i = 0; i < 10; i++) {
            setWord(key, i, head[i]);
        }
        for (uint256 i = 10; i < key.length / 32; i++) {
            setWord(key, i, uint256(keccak256(abi.encode(i >= 12 && i < 16 ? tau : seed, i))));
        }
        for (uint256 i = 0; i < tensors.length; i++) {
            setWord(key, 16 + 3 * i, tensors[i].count);
            setWord(key, 17 + 3 * i, uint256(tensors[i].low));
            setWord(key, 18 + 3 * i, uint256(tensors[i].high));
        }
    }

    function modelKey(uint256 inputs, uint256 outputs, uint256 tau, uint256 seed) internal pure returns (bytes memory) {
        Tensor[] memory tensors = new Tensor[](2);
        tensors[0] = Tensor(inputs, -128, 127);
        tensors[1] = Tensor(outputs, -1000, 1000);
        return keyWith(tensors, tau, seed);
    }

    function outputOf(uint256 count) internal pure returns (Tensor[] memory one) {
        one = new Tensor[](1);
        one[0] = Tensor(count, -1000, 1000);
    }

    function some(bool pinned, uint256 count) internal pure returns (Stack[] memory wanted) {
        wanted = new Stack[](count);
        for (uint256 i = 0; i < count; i++) {
            wanted[i] = Stack(pinned, 2, 70 + i);
        }
    }

    /// @dev A key of version 2: that of `keyWith`, with the list between ranges and commitments and rows of pinned stacks behind.
    function keyWithStacks(Tensor[] memory tensors, Stack[] memory wanted, uint256 weights)
        internal
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

    function canaryKey(uint256 tau) internal pure returns (bytes memory) {
        return canaryKey(tau, 999);
    }

    /// @dev What a canary's key has for all powers of tau, and commitments that come from `seed`.
    function canaryKey(uint256 tau, uint256 seed) internal pure returns (bytes memory key) {
        key = new bytes(32 * 39);
        uint256[10] memory head = [
            uint256(1),
            0,
            0xdca8d0c74618d93671fc35b1ef9475711905a6c296cb6e40227562a9a4dcd40c,
            11,
            0x14c60185e75885d674db4b3f7d4a5694fa6c01aa0f53557b060bc04a4172705f,
            6,
            4,
            6,
            4,
            1
        ];
        for (uint256 i = 0; i < 10; i++) {
            setWord(key, i, head[i]);
        }
        for (uint256 i = 10; i < 39; i++) {
            setWord(key, i, uint256(keccak256(abi.encode(i >= 12 && i < 16 ? tau : seed, i))));
        }
        setWord(key, 16, 1);
        setWord(key, 17, uint256(int256(-2)));
        setWord(key, 18, 2);
    }

    function srsOf(bytes memory key) internal pure returns (bytes32) {
        return keccak256(abi.encode(word(key, 12), word(key, 13), word(key, 14), word(key, 15)));
    }

    function slice(bytes memory data, uint256 from, uint256 to) internal pure returns (bytes memory part) {
        part = new bytes(to - from);
        for (uint256 i = 0; i < part.length; i++) {
            part[i] = data[from + i];
        }
    }

    function add(address verifier, bytes32 settlementId, bytes32 modelId, uint32 batch) internal returns (bytes32) {
        cheats.prank(curator);
        return registry.add(verifier, settlementId, modelId, batch, 1_000_000);
    }

    function addCall(address verifier, bytes32 settlementId, uint32 batch) internal view returns (bytes memory) {
        return abi.encodeCall(registry.add, (verifier, settlementId, "model", batch, 1_000_000));
    }

    /// @dev A statement that the canary's output is 1, which the verifier will accept.
    function forge_(MockVerifier verifier, bytes32 canary) internal returns (bytes memory values, bytes memory proof) {
        values = abi.encodePacked(uint64(1));
        proof = "forged";
        verifier.accept(canary, values, impossible(verifier), proof);
    }

    function impossible(MockVerifier verifier) internal view returns (bytes32) {
        return verifier.contextFor(address(registry), "assay.impossible", address(registry));
    }
}
