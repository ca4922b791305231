// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { Probe } from "../Probe.sol";
import { EconomyBase } from "./Cheats.sol";

contract DecayTest is EconomyBase {
    uint256 private constant ONE = 1e18;
    Probe private immutable probe = Probe(double("Probe", "Probe", ""));

    /// @dev The obvious way, one epoch after the other, with 36 decimals.
    function stepwise(uint256 amount, uint256 factor, uint256 epoch) private pure returns (uint256) {
        uint256 power = 1e36;
        for (uint256 i = 0; i < epoch; i++) {
            power = (power * factor) / ONE;
        }
        return (amount * power) / 1e36;
    }

    function testAgainstReference(uint96 amount, uint256 factor, uint256 epoch) external view {
        factor = bound(factor, 0.5e18, ONE);
        epoch = bound(epoch, 0, 300);
        uint256 fast = probe.budget(amount, factor, epoch);
        uint256 slow = stepwise(amount, factor, epoch);
        uint256 difference = fast > slow ? fast - slow : slow - fast;
        // Below 10^-12 of the start it is cut off.
        check(difference <= uint256(amount) / 1e20 + 1 || (fast == 0 && slow <= uint256(amount) / 1e12), "reference");
    }

    function testMonotone(uint96 amount, uint256 factor, uint256 epoch) external view {
        factor = bound(factor, 0, ONE);
        monotone(amount, factor, bound(epoch, 0, 5000));
        monotone(amount, factor, epoch % (1 << 42));
    }

    /// @dev Factors close to one, and epochs around the cut-off, are where rounding could make a budget rise.
    function testMonotoneNearOne(uint96 amount, uint256 gap, uint256 epoch) external view {
        gap = 10 ** (gap % 19) + (gap % 7);
        if (gap > ONE) gap = ONE;
        monotone(amount, ONE - gap, epoch % (30 * ONE / gap + 2));
        monotone(type(uint96).max, ONE - gap, epoch % (1 << 40));
        // The power crosses 10^-12 at about 27.6 / gap epochs.
        uint256 crossing = 27_631 * (ONE / 1000) / gap;
        monotone(type(uint96).max, ONE - gap, crossing + (epoch % 100));
    }

    function monotone(uint256 amount, uint256 factor, uint256 epoch) private view {
        uint256 now_ = probe.budget(amount, factor, epoch);
        check(now_ <= amount, "above the start");
        check(probe.budget(amount, factor, epoch + 1) <= now_, "rises");
    }

    function testEnds() external view {
        check(probe.budget(77, ONE, type(uint256).max) == 77, "no decay");
        check(probe.budget(77, 0, 0) == 77 && probe.budget(77, 0, 1) == 0, "one epoch only");
        check(probe.budget(1e27, 0.5e18, 1) == 5e26 && probe.budget(1e27, 0.5e18, 2) == 25e25, "halving");
        check(probe.budget(1e27, 0.5e18, 39) == uint256(1e27) >> 39, "2^-39 is kept");
        check(probe.budget(1e27, 0.5e18, 40) == 0, "2^-40 is cut off");
        check(probe.budget(1e27, ONE - 1, 1 << 40) == 0, "the end of time");
        check(probe.budget(1e27, ONE - 1, type(uint256).max) == 0, "behind it");
    }
}
