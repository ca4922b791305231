// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IAssayVerifier } from "./IAssayVerifier.sol";
import { Q, R } from "./Frame.sol";

/// @title The format of a verifying key: words of 32 bytes.
/// @notice
///  0      version of the format: 1, or 2 for a key with named stacks
///  1      flags; bit 0: development powers of tau, whose secret is public
///  2      digest of the program (graph, visibility, batch size)
///  3      k, log2 of the Halo2 domain's size
///  4      omega, the generator of that domain
///  5      number of coordinates of x: the largest of words 7 and 8 and the lengths of named stacks
///  6      m, log2 of a row's length
///  7, 8   log2 of the length of witness and model; each is cut into rows
///  9      number of public tensors
/// 10, 11  [tau^(2^m)]_1
/// 12..15  [tau]_2 as in EIP-197
/// 16..    for each public tensor: number of values, lowest and highest value (two's complement)
///  then   in version 2: number of named stacks; for each: 1 if its rows are pinned or 0 if they are given, log2 of its length,
///         the digest of its schema (`NamedStacks`)
///  then   commitments, two words each: 6 fixed columns, 3 permutation columns, the rows of the model, the rows of pinned stacks
library VerifyingKey {
    uint256 private constant WORD_FLAGS = 1;
    uint256 private constant WORD_K = 3;
    uint256 private constant WORD_OMEGA = 4;
    uint256 private constant WORD_ROUNDS = 5;
    uint256 private constant WORD_ROW_BITS = 6;
    uint256 private constant WORD_WITNESS_BITS = 7;
    uint256 private constant WORD_MODEL_BITS = 8;
    uint256 private constant WORD_TENSORS = 9;
    uint256 private constant WORD_T = 10;
    uint256 private constant WORD_TAU = 12;
    uint256 private constant WORD_RANGES = 16;

    /// @dev Smaller domains have no room for 43 instances and 6 rows at the end.
    uint256 private constant MIN_K = 6;
    /// @dev R - 1 has 28 factors of two.
    uint256 private constant MAX_K = 28;
    uint256 private constant MAX_ROW_BITS = 28;
    uint256 private constant MAX_HIGH_BITS = 10;
    uint256 private constant MAX_TENSORS = 64;
    uint256 private constant MAX_VALUES = 1 << 24;
    uint256 private constant MAX_STACKS = 16;
    /// @dev The code of a contract is limited to 24576 bytes (EIP-170), of which the first is not part of the key.
    uint256 private constant MAX_BYTES = 24_575;

    uint256 private constant PAIRING_GAS = 500_000;

    /// @notice Checks everything about a key that can be checked without knowing its graph or its powers of tau. Reverts
    /// with `InvalidKey` if something is wrong.
    /// @return development Whether the key was made with development powers of tau.
    function validate(bytes calldata key) internal view returns (bool development) {
        _require(key.length >= WORD_RANGES * 32 && key.length <= MAX_BYTES, 0);
        uint256 version = _word(key, 0);
        _require(version == 1 || version == 2, 0);
        uint256 flags = _word(key, WORD_FLAGS);
        _require(flags <= 1, WORD_FLAGS);
        development = flags == 1;

        (uint256 keyRows, uint256 longest) = _validateSizes(key);
        uint256 points = _validateRanges(key);
        if (version == 2) {
            uint256 pinned;
            (points, pinned, longest) = _validateStacks(key, points, longest);
            keyRows += pinned;
        }
        _require(_word(key, WORD_ROUNDS) == longest, WORD_ROUNDS);
        _require(key.length == 32 * (points + 2 * (9 + keyRows)), key.length / 32);

        _require(_word(key, WORD_T) != 0 || _word(key, WORD_T + 1) != 0, WORD_T);
        _validatePoint(key, WORD_T);
        _validateTau(key);
        for (uint256 word = points; word < key.length / 32; word += 2) {
            _validatePoint(key, word);
        }
    }

    /// @dev Words 3 to 8, but for the number of coordinates.
    /// @return modelRows Rows of the model.
    /// @return longest The larger of words 7 and 8.
    function _validateSizes(bytes calldata key) private pure returns (uint256 modelRows, uint256 longest) {
        uint256 k = _word(key, WORD_K);
        _require(k >= MIN_K && k <= MAX_K, WORD_K);
        uint256 omega = _word(key, WORD_OMEGA);
        _require(omega < R, WORD_OMEGA);
        // omega has order 2^k exactly if omega^(2^(k - 1)) = -1.
        for (uint256 i = 1; i < k; i++) {
            omega = mulmod(omega, omega, R);
        }
        _require(omega == R - 1, WORD_OMEGA);

        uint256 rowBits = _word(key, WORD_ROW_BITS);
        uint256 witnessBits = _word(key, WORD_WITNESS_BITS);
        uint256 modelBits = _word(key, WORD_MODEL_BITS);
        _require(rowBits >= 1 && rowBits <= MAX_ROW_BITS, WORD_ROW_BITS);
        _require(witnessBits >= rowBits && witnessBits <= rowBits + MAX_HIGH_BITS, WORD_WITNESS_BITS);
        _require(modelBits >= rowBits && modelBits <= rowBits + MAX_HIGH_BITS, WORD_MODEL_BITS);
        longest = witnessBits > modelBits ? witnessBits : modelBits;
        modelRows = 1 << (modelBits - rowBits);
    }

    /// @dev The named stacks, from word `start` on.
    /// @return word Index of the first word behind them.
    /// @return pinned Rows that are points of the key.
    /// @return longest Log2 of the longest of all stacks, given that of the others.
    function _validateStacks(bytes calldata key, uint256 start, uint256 others)
        private
        pure
        returns (uint256 word, uint256 pinned, uint256 longest)
    {
        _require(key.length >= 32 * (start + 1), start);
        uint256 stacks = _word(key, start);
        _require(stacks >= 1 && stacks <= MAX_STACKS && key.length >= 32 * (start + 1 + 3 * stacks), start);
        uint256 rowBits = _word(key, WORD_ROW_BITS);
        longest = others;
        word = start + 1;
        for (uint256 i = 0; i < stacks; i++) {
            uint256 kind = _word(key, word);
            _require(kind <= 1, word);
            uint256 bits = _word(key, word + 1);
            _require(bits >= rowBits && bits <= rowBits + MAX_HIGH_BITS, word + 1);
            if (kind == 1) pinned += 1 << (bits - rowBits);
            if (bits > longest) longest = bits;
            word += 3;
        }
    }

    /// @dev The public tensors.
    /// @return word Index of the first word behind them.
    function _validateRanges(bytes calldata key) private pure returns (uint256 word) {
        uint256 tensors = _word(key, WORD_TENSORS);
        _require(tensors <= MAX_TENSORS && key.length >= 32 * (WORD_RANGES + 3 * tensors), WORD_TENSORS);
        word = WORD_RANGES;
        for (uint256 i = 0; i < tensors; i++) {
            uint256 count = _word(key, word);
            _require(count >= 1 && count <= MAX_VALUES, word);
            int256 low = int256(_word(key, word + 1));
            int256 high = int256(_word(key, word + 2));
            _require(low >= type(int64).min && low <= high, word + 1);
            _require(high <= type(int64).max, word + 2);
            word += 3;
        }
    }

    /// @dev A point of G1: reduced coordinates, on the curve or (0, 0).
    function _validatePoint(bytes calldata key, uint256 word) private pure {
        uint256 x = _word(key, word);
        uint256 y = _word(key, word + 1);
        _require(x < Q, word);
        _require(y < Q, word + 1);
        uint256 cubic = addmod(mulmod(mulmod(x, x, Q), x, Q), 3, Q);
        _require((x == 0 && y == 0) || mulmod(y, y, Q) == cubic, word);
    }

    /// @dev [tau]_2 is in G2 and not zero. The pairing of zero with a point is 1, after checks of curve and subgroup.
    function _validateTau(bytes calldata key) private view {
        uint256 x0 = _word(key, WORD_TAU);
        uint256 x1 = _word(key, WORD_TAU + 1);
        uint256 y0 = _word(key, WORD_TAU + 2);
        uint256 y1 = _word(key, WORD_TAU + 3);
        _require(x0 | x1 | y0 | y1 != 0, WORD_TAU);
        (bool success, bytes memory result) =
            address(8).staticcall{ gas: PAIRING_GAS }(abi.encode(uint256(0), uint256(0), x0, x1, y0, y1));
        _require(success && result.length == 32 && abi.decode(result, (uint256)) == 1, WORD_TAU);
    }

    function _word(bytes calldata key, uint256 index) private pure returns (uint256) {
        return uint256(bytes32(key[32 * index:32 * index + 32]));
    }

    function _require(bool condition, uint256 word) private pure {
        if (!condition) revert IAssayVerifier.InvalidKey(word);
    }
}
