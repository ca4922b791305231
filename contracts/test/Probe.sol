// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { CoreOpening } from "../sol/CoreOpening.sol";
import "../sol/Frame.sol";
import { Halo2Verifier } from "../sol/Halo2Verifier.sol";
import { PublicValues } from "../sol/PublicValues.sol";
import { VerifyingKey } from "../sol/VerifyingKey.sol";
import { Decay } from "../sol/economy/Decay.sol";

/// @dev The libraries' functions, each on a frame of its own: `pokes` are pairs (address, word) to write before, `peeks`
/// addresses to read afterwards.
contract Probe {
    function transcript(uint256 state, bytes calldata absorbed) external pure returns (uint256) {
        uint256 start = 0x640;
        raise();
        assembly ("memory-safe") {
            mstore(sub(start, 0x20), 0x1234)
            calldatacopy(start, absorbed.offset, absorbed.length)
        }
        uint256 next = absorbed.length == 0 ? Frame.squeeze(state) : Frame.absorb(state, start, start + absorbed.length);
        uint256 before;
        assembly ("memory-safe") {
            before := mload(sub(start, 0x20))
        }
        require(before == 0x1234, "the word before is put back");
        return next;
    }

    function invertAll(uint256[] calldata pokes, uint256 end, uint256[] calldata peeks)
        external
        view
        returns (bool ok, uint256[] memory out)
    {
        poke(pokes);
        ok = Frame.invertAll(end);
        out = peek(peeks);
    }

    function equalityTable(
        uint256[] calldata pokes,
        uint256 table,
        uint256 point,
        uint256 bits,
        uint256 scale,
        uint256[] calldata peeks
    ) external pure returns (uint256[] memory out) {
        poke(pokes);
        Frame.equalityTable(table, point, bits, scale);
        out = peek(peeks);
    }

    function addProducts(
        uint256[] calldata pokes,
        uint256 points,
        uint256 scalars,
        uint256 count,
        uint256[] calldata peeks
    ) external view returns (bool ok, uint256[] memory out) {
        poke(pokes);
        ok = Frame.addProducts(points, scalars, count);
        out = peek(peeks);
    }

    function addRows(uint256[] calldata pokes, uint256 points, uint256 scalars, uint256 count, uint256[] calldata peeks)
        external
        view
        returns (bool ok, uint256[] memory out)
    {
        poke(pokes);
        ok = Frame.addRows(points, scalars, count);
        out = peek(peeks);
    }

    function pairing(uint256[] calldata pokes) external view returns (bool) {
        poke(pokes);
        return Frame.pairing();
    }

    function publicValues(uint256[] calldata pokes, bytes calldata values, uint256 tensors, uint256 zeta)
        external
        pure
        returns (bool ok, uint256 sum)
    {
        poke(pokes);
        return PublicValues.evaluate(values, KEY_RANGES, tensors, zeta);
    }

    function budget(uint256 start, uint256 factor, uint256 epoch) external pure returns (uint256) {
        return Decay.budget(start, factor, epoch);
    }

    function validate(bytes calldata key) external view returns (bool) {
        return VerifyingKey.validate(key);
    }

    /// @dev Denominators, their inversion, and the value of h.
    function quotient(uint256[] calldata pokes) external view returns (bool ok, uint256 value) {
        poke(pokes);
        ok = Halo2Verifier.denominators() && Frame.invertAll(INV_FOLDS);
        if (ok) value = Halo2Verifier.quotient();
    }

    /// @dev Denominators, their inversion, and the scalars for a given value of h.
    function shplonk(uint256[] calldata pokes, uint256 h, uint256[] calldata peeks)
        external
        view
        returns (bool ok, uint256[] memory out)
    {
        poke(pokes);
        ok = Halo2Verifier.denominators() && Frame.invertAll(INV_FOLDS);
        if (ok) Halo2Verifier.scalars(h);
        out = peek(peeks);
    }

    /// @dev Denominators, their inversion, and the scalars.
    function opening(uint256[] calldata pokes, uint256[] calldata peeks)
        external
        view
        returns (bool ok, uint256[] memory out)
    {
        poke(pokes);
        ok = Frame.invertAll(CoreOpening.denominators()) && CoreOpening.scalars();
        out = peek(peeks);
    }

    /// @dev Takes the memory up to 0x10000, for the frame and whatever a test puts behind it.
    function raise() private pure {
        uint256 allocated;
        assembly ("memory-safe") {
            allocated := mload(0x40)
            mstore(0x40, 0x10000)
        }
        require(allocated <= MSM_SUM, "the frame is in use");
    }

    function poke(uint256[] calldata pokes) private pure {
        raise();
        for (uint256 i = 0; i < pokes.length; i += 2) {
            uint256 slot = pokes[i];
            uint256 value = pokes[i + 1];
            require(slot >= MSM_SUM && slot < 0x10000, "outside the frame");
            assembly ("memory-safe") {
                mstore(slot, value)
            }
        }
    }

    function peek(uint256[] calldata peeks) private pure returns (uint256[] memory out) {
        out = new uint256[](peeks.length);
        for (uint256 i = 0; i < peeks.length; i++) {
            uint256 slot = peeks[i];
            uint256 value;
            assembly ("memory-safe") {
                value := mload(slot)
            }
            out[i] = value;
        }
    }
}
