// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

/// @title Budgets that fall by a fixed factor an epoch.
/// @notice amount * (factor / 10^18)^epoch, never more than exact, and monotone: never more than for the epoch before.
/// @dev Powers are kept with 36 decimals and count as zero below 10^-12. A power of at least 10^-12 is made of bases that are at
/// least 10^-12, which are squares of bases of at least 10^-6, 10^-3, ...; each squaring doubles the relative error and adds one
/// unit. Over 2^40 epochs that makes a relative error below 10^-20. A factor below one, so at most 1 - 10^-18, takes off more
/// than that in one epoch, which is why rounding cannot make a budget rise.
library Decay {
    /// @dev One, as a factor.
    uint256 internal constant ONE = 1e18;

    uint256 private constant UNIT = 1e36;
    uint256 private constant SMALLEST = 1e24;
    uint256 private constant MAX_EPOCHS = 1 << 40;

    /// @param amount Below 2^96.
    /// @param factor At most `ONE`.
    function budget(uint256 amount, uint256 factor, uint256 epoch) internal pure returns (uint256) {
        if (factor == ONE) return amount;
        if (epoch >= MAX_EPOCHS) return 0;
        uint256 power = UNIT;
        uint256 base = factor * (UNIT / ONE);
        while (true) {
            if (epoch & 1 == 1) power = (power * base) / UNIT;
            epoch >>= 1;
            if (epoch == 0) break;
            base = (base * base) / UNIT;
        }
        return power < SMALLEST ? 0 : (amount * power) / UNIT;
    }
}
