// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IAssayVerifier } from "../IAssayVerifier.sol";
import { SettlementSize } from "./SettlementSize.sol";
import { IVerifierRegistry } from "./IVerifierRegistry.sol";

/// @title What the registry reads from a verifying key (format: `VerifyingKey`).
/// @notice The verifier has validated the points and ranges of its keys. Here the hash and the lengths are checked again, so
/// that a verifier that did not cannot lead to reads beyond the key.
library SettlementKey {
    uint256 private constant WORD_FLAGS = 1;
    uint256 private constant WORD_PROGRAM = 2;
    uint256 private constant WORD_ROUNDS = 5;
    uint256 private constant WORD_ROW_BITS = 6;
    uint256 private constant WORD_WITNESS_BITS = 7;
    uint256 private constant WORD_MODEL_BITS = 8;
    uint256 private constant WORD_TENSORS = 9;
    uint256 private constant WORD_TAU = 12;
    uint256 private constant WORD_RANGES = 16;
    uint256 private constant MAX_TENSORS = 64;
    uint256 private constant MAX_STACKS = 16;
    /// @dev The id of a stack that is given with each proof, as values of 8 bytes.
    uint256 private constant ID_VALUES = 4;
    uint256 private constant MAX_ROW_BITS = 28;
    uint256 private constant MAX_HIGH_BITS = 10;
    uint256 private constant MAX_VALUES = 1 << 24;
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
        assembly ("memory-safe") {
            hash := keccak256(add(key, add(0x20, shl(5, WORD_TAU))), 0x80)
        }
    }

    /// @notice Keccak of the commitments to the rows of the model, and behind them those of pinned stacks.
    function weightCommitment(bytes memory key) internal pure returns (bytes32 hash) {
        uint256 start = 32 * (_commitments(key) + COLUMN_WORDS);
        assembly ("memory-safe") {
            hash := keccak256(add(add(key, 0x20), start), sub(mload(key), start))
        }
    }

    /// @notice The commitment to what a key's pinned stacks hold: Keccak of their schemas and rows, in the key's order. Zero if it
    /// pins none. It depends on the powers of tau and on the length of a row.
    function pinnedCommitment(bytes memory key) internal pure returns (bytes32 hash) {
        (,, uint256 pinnedRows) = _stacks(key);
        if (pinnedRows == 0) return 0;
        uint256 list = WORD_RANGES + 3 * tensors(key);
        for (uint256 i = 0; i < _word(key, list); i++) {
            uint256 entry = list + 1 + 3 * i;
            if (_word(key, entry) != 1) continue;
            hash = keccak256(abi.encode(hash, _word(key, entry + 1), _word(key, entry + 2)));
        }
        uint256 length = 64 * pinnedRows;
        bytes32 rows;
        assembly ("memory-safe") {
            rows := keccak256(add(add(key, 0x20), sub(mload(key), length)), length)
        }
        hash = keccak256(abi.encode(hash, rows));
    }

    /// @notice log2 of the length of a row.
    function rowBits(bytes memory key) internal pure returns (uint256) {
        return _word(key, WORD_ROW_BITS);
    }

    /// @notice Whether all of a key that does not depend on powers of tau is that of the canary.
    function isCanary(bytes memory key) internal pure returns (bool) {
        if (_word(key, 0) != 1 || tensors(key) != 1) return false;
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
        (uint256 given, uint256 givenRows, uint256 pinnedRows) = _stacks(key);
        uint256 values = ID_VALUES * given;
        for (uint256 i = 0; i < tensors(key); i++) {
            (uint256 count,,) = tensor(key, i);
            values += count;
        }
        uint256 bits = rowBits(key);
        uint256 sent = givenRows + (1 << (_word(key, WORD_WITNESS_BITS) - bits));
        uint256 kept = pinnedRows + (1 << (_word(key, WORD_MODEL_BITS) - bits));
        return SettlementSize.most(bits, _word(key, WORD_ROUNDS), sent, kept, values, batch);
    }

    /// @notice What a market takes for input and output: the ids of given stacks and the first tensor's values, and the last
    /// tensor's. In a key with given stacks the input may be their ids alone.
    /// @return ok Whether the key shows one input and one output, each a whole number of values for an inference. In a batch,
    /// inputs are one tensor or ids alone, as many for each inference: all ids come before all values, so of both together
    /// none would be an inference's own.
    function inputAndOutput(bytes memory key, uint256 batch)
        internal
        pure
        returns (bool ok, uint256 inputs, uint256 outputs)
    {
        uint256 count = tensors(key);
        (uint256 given,,) = _stacks(key);
        if (count == 0 || count > 2) return (false, 0, 0);
        if (given == 0 ? count == 1 : batch != 1 && (count == 2 || given % batch != 0)) return (false, 0, 0);
        (outputs,,) = tensor(key, count - 1);
        if (count == 2) (inputs,,) = tensor(key, 0);
        inputs += ID_VALUES * given;
        ok = inputs % batch == 0 && outputs % batch == 0;
    }

    /// @notice Number of named stacks that are given with each proof.
    function givenStacks(bytes memory key) internal pure returns (uint256 given) {
        (given,,) = _stacks(key);
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
        uint256 count = tensors(key);
        uint256 version = _word(key, 0);
        if (version == 0 || version > 2 || count > MAX_TENSORS) return false;
        uint256 bits = rowBits(key);
        uint256 modelBits = _word(key, WORD_MODEL_BITS);
        if (modelBits < bits || modelBits - bits > MAX_HIGH_BITS || bits > MAX_ROW_BITS) return false;
        uint256 witnessBits = _word(key, WORD_WITNESS_BITS);
        if (witnessBits < bits || witnessBits - bits > MAX_HIGH_BITS) return false;
        if (version == 2 && !_stacksWellFormed(key, bits)) return false;
        (,, uint256 pinnedRows) = _stacks(key);
        uint256 rowWords = (2 << (modelBits - bits)) + 2 * pinnedRows;
        if (key.length != 32 * (_commitments(key) + COLUMN_WORDS + rowWords)) return false;
        if (_word(key, WORD_ROUNDS) > MAX_ROW_BITS + MAX_HIGH_BITS) return false;
        for (uint256 i = 0; i < count; i++) {
            (uint256 values,,) = tensor(key, i);
            if (values == 0 || values > MAX_VALUES) return false;
        }
        return true;
    }

    /// @dev Whether the list of named stacks is within the key and its lengths are possible.
    function _stacksWellFormed(bytes memory key, uint256 least) private pure returns (bool) {
        uint256 list = WORD_RANGES + 3 * tensors(key);
        if (key.length < 32 * (list + 1)) return false;
        uint256 count = _word(key, list);
        if (count == 0 || count > MAX_STACKS || key.length < 32 * (list + 1 + 3 * count)) return false;
        for (uint256 i = 0; i < count; i++) {
            uint256 entry = list + 1 + 3 * i;
            uint256 bits = _word(key, entry + 1);
            if (_word(key, entry) > 1 || bits < least || bits - least > MAX_HIGH_BITS) return false;
        }
        return true;
    }

    /// @dev Number of given stacks, their rows, and the rows of pinned stacks.
    function _stacks(bytes memory key) private pure returns (uint256 given, uint256 givenRows, uint256 pinnedRows) {
        if (_word(key, 0) != 2) return (0, 0, 0);
        uint256 list = WORD_RANGES + 3 * tensors(key);
        uint256 count = _word(key, list);
        for (uint256 i = 0; i < count; i++) {
            uint256 entry = list + 1 + 3 * i;
            uint256 rows = 1 << (_word(key, entry + 1) - _word(key, WORD_ROW_BITS));
            if (_word(key, entry) == 1) pinnedRows += rows;
            else (given, givenRows) = (given + 1, givenRows + rows);
        }
    }

    /// @dev The word at which commitments begin: behind the ranges, and behind the list of named stacks if there is one.
    function _commitments(bytes memory key) private pure returns (uint256) {
        uint256 end = WORD_RANGES + 3 * tensors(key);
        return _word(key, 0) == 2 ? end + 1 + 3 * _word(key, end) : end;
    }

    /// @dev Within the key: `load` has checked its length against everything that is read.
    function _word(bytes memory key, uint256 index) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(add(key, 0x20), shl(5, index)))
        }
    }
}
