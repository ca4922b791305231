// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IAssayVerifier } from "../IAssayVerifier.sol";
import { SettlementSize } from "./SettlementSize.sol";
import { IVerifierRegistry } from "./IVerifierRegistry.sol";

/// @title What the registry reads from a verifying key (format: `VerifyingKey`).
/// @notice The verifier has validated the points and ranges of its keys. Here the hash and the lengths are checked again, so
/// that a verifier that did not cannot lead to reads beyond the key. A key of version 2 lists named stacks (`NamedStacks`): the
/// id of a *given* one is 32 bytes of the public values, which count as four values; a *pinned* one is part of the key.
library SettlementKey {
    uint256 private constant WORD_FLAGS = 1;
    uint256 private constant WORD_PROGRAM = 2;
    uint256 private constant WORD_ROW_BITS = 6;
    uint256 private constant WORD_WITNESS_BITS = 7;
    uint256 private constant WORD_MODEL_BITS = 8;
    uint256 private constant WORD_TENSORS = 9;
    uint256 private constant WORD_TAU = 12;
    uint256 private constant WORD_RANGES = 16;
    uint256 private constant MAX_TENSORS = 64;
    uint256 private constant MAX_ROW_BITS = 28;
    uint256 private constant MAX_HIGH_BITS = 10;
    uint256 private constant MAX_VALUES = 1 << 24;
    uint256 private constant MAX_STACKS = 16;
    /// @dev Public values of 8 bytes that an id is as long as.
    uint256 private constant VALUES_OF_ID = 4;
    bytes32 private constant STACK = keccak256("assay.stack.v1");
    /// @dev Commitments of two words each: nine fixed and permutation columns before the rows of the model.
    uint256 private constant COLUMN_WORDS = 18;
    /// @dev The chain id of local development chains.
    uint256 private constant LOCAL_CHAIN = 31_337;

    /// @dev `srsHash` of the development powers that the tools make. A key's flag is only what its maker says, and whoever sets a
    /// trap does not say it. A ceremony cannot come out there.
    bytes32 private constant DEVELOPMENT_SRS = 0x3f39b4d15b92fe17218f68ba8e93798f3df26a7cff85dfc4c07472e3be15a71a;

    /// @dev Keccak of the words 2 to 9 and 16 to 18 of the canary's key, which are the same for all powers of tau: program, domain,
    /// sizes, and one public value with its range. `economy/RealStop` has a key that the prover made.
    bytes32 private constant CANARY = 0x252bd9405988b99b70843ac8dee9c565b16739776b3982672b43d5bd756bc061;

    /// @notice Copies a key out of the contract that stores it. Reverts with `NoKey` if the verifier does not have it, and with
    /// `DevelopmentSrs` if anybody could forge its proofs and this is no local chain.
    function load(address verifier, bytes32 settlementId) internal view returns (bytes memory key) {
        if (verifier.code.length == 0) revert IVerifierRegistry.NoKey(verifier, settlementId);
        address data = IAssayVerifier(verifier).keyOf(settlementId);
        uint256 size = data.code.length;
        if (size <= 32 * WORD_RANGES) revert IVerifierRegistry.NoKey(verifier, settlementId);
        key = new bytes(size - 1);
        assembly ("memory-safe") {
            extcodecopy(data, add(key, 0x20), 1, sub(size, 1))
        }
        if (keccak256(key) != settlementId || !_wellFormed(key)) {
            revert IVerifierRegistry.NoKey(verifier, settlementId);
        }
        if (block.chainid != LOCAL_CHAIN && (_word(key, WORD_FLAGS) != 0 || srsHash(key) == DEVELOPMENT_SRS)) {
            revert IAssayVerifier.DevelopmentSrs();
        }
    }

    /// @notice Keccak of [tau]_2.
    function srsHash(bytes memory key) internal pure returns (bytes32 hash) {
        return _hash(key, WORD_TAU, 4);
    }

    /// @notice What the weights of a key are known by. Of a key with one pinned stack, that stack's id; with several, Keccak of
    /// their ids in the key's order; of another key, Keccak of the commitments to the rows of the model.
    /// @return hash Of a key with pinned stacks the same for all keys that pin them, whatever their batch.
    /// @return pinned Number of pinned stacks.
    function weightCommitment(bytes memory key) internal pure returns (bytes32 hash, uint256 pinned) {
        uint256 list = WORD_RANGES + 3 * tensors(key);
        uint256 count = stacks(key);
        uint256 model = list + COLUMN_WORDS + (count == 0 ? 0 : 1 + 3 * count);
        uint256 rows = model + (2 << (_word(key, WORD_MODEL_BITS) - _word(key, WORD_ROW_BITS)));
        bytes32[] memory ids = new bytes32[](count);
        for (uint256 i = 0; i < count; i++) {
            uint256 at_ = list + 1 + 3 * i;
            if (_word(key, at_) == 0) continue;
            uint256 words = 2 << (_word(key, at_ + 1) - _word(key, WORD_ROW_BITS));
            ids[pinned++] = _stackId(key, _word(key, at_ + 2), rows, words);
            rows += words;
        }
        if (pinned == 0) {
            hash = _hash(key, model, rows - model);
        } else if (pinned == 1) {
            hash = ids[0];
        } else {
            assembly ("memory-safe") {
                hash := keccak256(add(ids, 0x20), shl(5, pinned))
            }
        }
    }

    /// @dev The id of a stack whose rows are words of the key.
    function _stackId(bytes memory key, uint256 schema, uint256 from, uint256 words) private pure returns (bytes32) {
        bytes memory rows = new bytes(32 * words);
        assembly ("memory-safe") {
            mcopy(add(rows, 0x20), add(key, add(0x20, shl(5, from))), shl(5, words))
        }
        return keccak256(abi.encodePacked(STACK, schema, _word(key, WORD_ROW_BITS), srsHash(key), rows));
    }

    /// @notice Whether all of a key that does not depend on powers of tau is that of the canary.
    function isCanary(bytes memory key) internal pure returns (bool) {
        // The list of named stacks lies behind what is hashed.
        if (tensors(key) != 1 || stacks(key) != 0) return false;
        bytes32 shape;
        assembly ("memory-safe") {
            let p := mload(0x40)
            mcopy(p, add(key, add(0x20, shl(5, WORD_PROGRAM))), 0x100)
            mcopy(add(p, 0x100), add(key, add(0x20, shl(5, WORD_RANGES))), 0x60)
            shape := keccak256(p, 0x160)
        }
        return shape == CANARY;
    }

    /// @notice Most bytes and gas of the transaction that settles a full batch.
    function settlement(bytes memory key, uint256 batch) internal pure returns (uint256 bytes_, uint256 gas) {
        SettlementSize.Shape memory shape;
        shape.rowBits = _word(key, WORD_ROW_BITS);
        uint256 witness = _word(key, WORD_WITNESS_BITS);
        uint256 model = _word(key, WORD_MODEL_BITS);
        shape.witnessRows = 1 << (witness - shape.rowBits);
        shape.keyRows = 1 << (model - shape.rowBits);
        shape.rounds = witness > model ? witness : model;
        shape.stacks = stacks(key);
        uint256 list = WORD_RANGES + 3 * tensors(key) + 1;
        for (uint256 i = 0; i < shape.stacks; i++) {
            uint256 bits = _word(key, list + 3 * i + 1);
            if (bits > shape.rounds) shape.rounds = bits;
            if (_word(key, list + 3 * i) == 0) shape.givenRows += 1 << (bits - shape.rowBits);
            else shape.keyRows += 1 << (bits - shape.rowBits);
        }
        shape.values = VALUES_OF_ID * given(key);
        for (uint256 i = 0; i < tensors(key); i++) {
            (uint256 count,,) = tensor(key, i);
            shape.values += count;
        }
        return SettlementSize.most(shape, batch);
    }

    /// @notice The public values that are input and output of a batch, as many for each inference; both 0 if the key does not show
    /// them so. The last public tensor is the output. The input is the ids of the given stacks, then the other public tensor if
    /// there is one. Where both are there, they lie together for a batch of one only.
    function values(bytes memory key, uint256 batch) internal pure returns (uint256 inputs, uint256 outputs) {
        uint256 ids = given(key);
        uint256 count = tensors(key);
        if (count == 1) {
            if (ids == 0 || ids % batch != 0) return (0, 0);
            inputs = VALUES_OF_ID * ids;
        } else if (count == 2) {
            if (ids != 0 && batch != 1) return (0, 0);
            (inputs,,) = tensor(key, 0);
            if (inputs % batch != 0) return (0, 0);
            inputs += VALUES_OF_ID * ids;
        } else {
            return (0, 0);
        }
        (outputs,,) = tensor(key, count - 1);
        if (outputs % batch != 0) return (0, 0);
    }

    /// @notice Number of named stacks.
    function stacks(bytes memory key) internal pure returns (uint256) {
        return _word(key, 0) == 1 ? 0 : _word(key, WORD_RANGES + 3 * tensors(key));
    }

    /// @notice Number of named stacks whose ids are public values.
    function given(bytes memory key) internal pure returns (uint256 count) {
        uint256 list = WORD_RANGES + 3 * tensors(key) + 1;
        for (uint256 i = 0; i < stacks(key); i++) {
            if (_word(key, list + 3 * i) == 0) ++count;
        }
    }

    /// @notice Log2 of the length of a row.
    function bitsOfRow(bytes memory key) internal pure returns (uint256) {
        return _word(key, WORD_ROW_BITS);
    }

    /// @notice Number of public tensors.
    function tensors(bytes memory key) internal pure returns (uint256) {
        return _word(key, WORD_TENSORS);
    }

    /// @notice A public tensor: number of values (1 to 2^24), lowest and highest value.
    function tensor(bytes memory key, uint256 index) internal pure returns (uint256 count, int256 low, int256 high) {
        uint256 start = WORD_RANGES + 3 * index;
        return (_word(key, start), int256(_word(key, start + 1)), int256(_word(key, start + 2)));
    }

    function _wellFormed(bytes memory key) private pure returns (bool) {
        uint256 version = _word(key, 0);
        uint256 count = tensors(key);
        if ((version != 1 && version != 2) || count > MAX_TENSORS) return false;
        uint256 rowBits = _word(key, WORD_ROW_BITS);
        uint256 modelBits = _word(key, WORD_MODEL_BITS);
        if (modelBits < rowBits || modelBits - rowBits > MAX_HIGH_BITS || rowBits > MAX_ROW_BITS) return false;
        uint256 witnessBits = _word(key, WORD_WITNESS_BITS);
        if (witnessBits < rowBits || witnessBits - rowBits > MAX_HIGH_BITS) return false;
        uint256 words = WORD_RANGES + 3 * count;
        if (version == 2) {
            (bool ok, uint256 more) = _listed(key, words, rowBits);
            if (!ok) return false;
            words += more;
        }
        if (key.length != 32 * (words + COLUMN_WORDS + (2 << (modelBits - rowBits)))) return false;
        for (uint256 i = 0; i < count; i++) {
            (uint256 size,,) = tensor(key, i);
            if (size == 0 || size > MAX_VALUES) return false;
        }
        return true;
    }

    /// @dev The list of named stacks, from word `start` on.
    /// @return ok Whether it lies within the key and follows the format.
    /// @return words Words of the list and of the rows of its pinned stacks.
    function _listed(bytes memory key, uint256 start, uint256 rowBits) private pure returns (bool ok, uint256 words) {
        if (key.length < 32 * (start + 1)) return (false, 0);
        uint256 count = _word(key, start);
        if (count == 0 || count > MAX_STACKS || key.length < 32 * (start + 1 + 3 * count)) return (false, 0);
        words = 1 + 3 * count;
        for (uint256 at_ = start + 1; at_ < start + 1 + 3 * count; at_ += 3) {
            uint256 bits = _word(key, at_ + 1);
            if (_word(key, at_) > 1 || bits < rowBits || bits - rowBits > MAX_HIGH_BITS) return (false, 0);
            if (_word(key, at_) == 1) words += 2 << (bits - rowBits);
        }
        return (true, words);
    }

    /// @dev Keccak of words of the key.
    function _hash(bytes memory key, uint256 from, uint256 words) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            hash := keccak256(add(key, add(0x20, shl(5, from))), shl(5, words))
        }
    }

    /// @dev Within the key: `load` has checked its length against everything that is read.
    function _word(bytes memory key, uint256 index) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(add(key, 0x20), shl(5, index)))
        }
    }
}
