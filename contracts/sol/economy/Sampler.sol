// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

/// @title Which examples the steps of a training read: `circuits::train::Sampler`.
/// @notice index(j) = (factor j + start) mod examples, factor and start being digests of the seed, and the factor having no divisor
/// in common with the number of examples.
library Sampler {
    uint256 private constant TRIES = 4096;

    /// @notice The walk of a seed. At least one example, fewer than 2^64.
    function walk(bytes32 seed, uint256 examples) internal pure returns (uint64 factor, uint64 start) {
        start = _draw(seed, examples, 0);
        for (uint256 i = 1; i <= TRIES; ++i) {
            factor = _draw(seed, examples, i);
            if (_gcd(factor, examples) == 1) return (factor, start);
        }
        factor = 1;
    }

    /// @dev The first 8 bytes of a digest of the parts, each behind its length, as a number, modulo the examples.
    function _draw(bytes32 seed, uint256 examples, uint256 counter) private pure returns (uint64) {
        bytes32 digest = keccak256(
            abi.encodePacked(
                uint64(16),
                "assay.sampler.v1",
                uint64(32),
                seed,
                uint64(8),
                uint64(examples),
                uint64(8),
                uint64(counter)
            )
        );
        return uint64((uint256(digest) >> 192) % examples);
    }

    function _gcd(uint256 a, uint256 b) private pure returns (uint256) {
        while (b != 0) {
            (a, b) = (b, a % b);
        }
        return a;
    }
}
