// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import "./Frame.sol";

/// @title Public tensors: 8 bytes a value, big-endian two's complement.
library PublicValues {
    /// @notice Checks length and ranges, and evaluates the polynomial sum_i v_i zeta^i over all values in order.
    /// @param ranges Address in memory of `tensors` triples (count, lowest value, highest value); counts below 2^32.
    /// @return ok Whether there are as many values as the counts add up to, all within their ranges.
    /// @return sum The evaluation.
    function evaluate(bytes calldata values, uint256 ranges, uint256 tensors, uint256 zeta)
        internal
        pure
        returns (bool ok, uint256 sum)
    {
        assembly ("memory-safe") {
            let end := add(ranges, mul(0x60, tensors))
            let bytesExpected := 0
            for { let p := ranges } lt(p, end) { p := add(p, 0x60) } {
                bytesExpected := add(bytesExpected, shl(3, mload(p)))
            }
            ok := eq(values.length, bytesExpected)
            if ok {
                // From the last value to the first. A negative value wraps around to one below R when R is added. Sums
                // stay below 3 R.
                let bad := 0
                let p := add(values.offset, values.length)
                for { } gt(end, ranges) { } {
                    end := sub(end, 0x60)
                    let low := mload(add(end, 0x20))
                    let span := sub(mload(add(end, 0x40)), low)
                    for { let first := sub(p, shl(3, mload(end))) } gt(p, first) { } {
                        p := sub(p, 8)
                        let value := sar(192, calldataload(p))
                        bad := or(bad, gt(sub(value, low), span))
                        sum := add(mulmod(sum, zeta, R), add(value, R))
                    }
                }
                sum := mod(sum, R)
                ok := iszero(bad)
            }
        }
    }
}
