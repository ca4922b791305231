// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import "./Frame.sol";

/// @title Named stacks: tensors that were committed once, before the proof, and that any number of proofs are about.
/// @notice A key of version 2 lists its named stacks, three words each: 1 if the rows are *pinned* (they are points of the key)
/// or 0 if they are *given* with each proof; log2 of the length, padded to whole rows; the digest of the schema. Stack s of the
/// list enters the commitment that is opened with gamma^(2 + s), and the mask behind all stacks.
/// @notice The public values begin with an id for each given stack, the hash of four words and its rows:
///   keccak256("assay.stack.v1") | schema digest | m | keccak256([tau]_2) | rows.
/// The proof begins with the rows of the given stacks, in the order of the list. Public values are hashed before the first
/// challenge, and with them the ids.
library NamedStacks {
    /// @dev keccak256("assay.stack.v1").
    bytes32 private constant DOMAIN = keccak256("assay.stack.v1");

    /// @notice Whether the key in the frame lists named stacks.
    function listed() internal pure returns (bool yes) {
        assembly ("memory-safe") {
            yes := eq(mload(KEY), 2)
        }
    }

    /// @notice Compares the ids with the rows, which are copied behind the frame, four words in front of each stack's.
    /// @return ok Whether all ids are those of the rows.
    /// @return values The public values behind the ids.
    function identify(bytes calldata publicValues, bytes calldata proof)
        internal
        pure
        returns (bool ok, bytes calldata values)
    {
        bytes32 domain = DOMAIN;
        assembly ("memory-safe") {
            let entry := add(KEY_RANGES, add(0x20, mul(0x60, mload(KEY_TENSORS))))
            let place := mload(P_GIVEN)
            let from := proof.offset
            let id := publicValues.offset
            let bad := 0
            for { } lt(entry, mload(P_FIXED)) { entry := add(entry, 0x60) } {
                if iszero(mload(entry)) {
                    let size := shl(add(6, sub(mload(add(entry, 0x20)), mload(KEY_ROW_BITS))), 1)
                    mstore(place, domain)
                    mstore(add(place, 0x20), mload(add(entry, 0x40)))
                    mstore(add(place, 0x40), mload(KEY_ROW_BITS))
                    mstore(add(place, 0x60), keccak256(KEY_TAU, 0x80))
                    // The proof is long enough: its length was checked before.
                    calldatacopy(add(place, 0x80), from, size)
                    size := add(size, 0x80)
                    bad := or(bad, xor(calldataload(id), keccak256(place, size)))
                    id := add(id, 0x20)
                    place := add(place, size)
                    from := add(from, sub(size, 0x80))
                }
            }
            let ids := sub(id, publicValues.offset)
            // With fewer bytes an id was not part of the public values.
            ok := and(iszero(bad), iszero(lt(publicValues.length, ids)))
            values.offset := id
            values.length := sub(publicValues.length, ids)
        }
    }

    /// @notice Writes the scalars of the mask and of the pinned rows, behind those of the model's.
    function scalars() internal pure {
        (uint256 entry, uint256 end, uint256 scale) = _list();
        uint256 to;
        assembly ("memory-safe") {
            to := add(mload(P_KEY_SCALARS), add(0x120, shl(add(5, sub(mload(KEY_MODEL_BITS), mload(KEY_ROW_BITS))), 1)))
        }
        for (; entry < end; entry += 0x60) {
            (bool pinned, uint256 bits, uint256 rows) = _stack(entry);
            if (pinned) {
                _table(to, bits, scale);
                to += 32 * rows;
            }
            scale = _timesGamma(scale);
        }
        assembly ("memory-safe") {
            mstore(add(mload(P_ROW_SCALARS), shl(sub(mload(KEY_WITNESS_BITS), mload(KEY_ROW_BITS)), 0x20)), scale)
        }
    }

    /// @notice Adds the given rows to the final sum.
    /// @return ok Whether all of them are points of the curve.
    function addGiven() internal view returns (bool ok) {
        (uint256 entry, uint256 end, uint256 scale) = _list();
        uint256 place;
        uint256 table;
        assembly ("memory-safe") {
            place := mload(P_GIVEN)
            // The scalars of one stack after the other, in free memory.
            table := mload(0x40)
        }
        ok = true;
        for (; entry < end; entry += 0x60) {
            (bool pinned, uint256 bits, uint256 rows) = _stack(entry);
            if (!pinned) {
                _table(table, bits, scale);
                ok = ok && Frame.addProducts(place + 0x80, table, rows);
                place += 0x80 + 64 * rows;
            }
            scale = _timesGamma(scale);
        }
    }

    /// @dev Where the list of stacks begins and ends, and what scales the first: the scalar of C times gamma^2.
    function _list() private pure returns (uint256 entry, uint256 end, uint256 scale) {
        assembly ("memory-safe") {
            entry := add(KEY_RANGES, add(0x20, mul(0x60, mload(KEY_TENSORS))))
            end := mload(P_FIXED)
            scale := mload(SC_FIRST)
        }
        scale = _timesGamma(_timesGamma(scale));
    }

    function _stack(uint256 entry) private pure returns (bool pinned, uint256 bits, uint256 rows) {
        assembly ("memory-safe") {
            pinned := mload(entry)
            bits := mload(add(entry, 0x20))
            rows := shl(sub(bits, mload(KEY_ROW_BITS)), 1)
        }
    }

    /// @dev eq of the coordinates that select a row of a stack of 2^bits values, times `scale`.
    function _table(uint256 table, uint256 bits, uint256 scale) private pure {
        uint256 point;
        uint256 high;
        assembly ("memory-safe") {
            point := sub(mload(P_ADVICE), shl(5, bits))
            high := sub(bits, mload(KEY_ROW_BITS))
        }
        Frame.equalityTable(table, point, high, scale);
    }

    function _timesGamma(uint256 value) private pure returns (uint256 product) {
        assembly ("memory-safe") {
            product := mulmod(value, mload(add(mload(P_INSTANCES), 0x60)), R)
        }
    }
}
