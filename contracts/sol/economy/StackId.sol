// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

/// @title The identity of a named stack, from what it is made of.
/// @notice A schema is the canonical bytes of `circuits::stack::Schema`: a byte with log2 of a row's length, the number of
/// tensors, and for each its name, its extents and its width; numbers but the first are little-endian base 128. The id covers
/// those bytes, so a schema that no program would write gives an id that no key asks for.
library StackId {
    /// @notice What follows from a schema.
    struct Shape {
        bytes32 digest;
        uint256 rowBits;
        uint256 rows;
        uint256 values; // without padding
        uint256 examples; // the first extent, which all tensors have in common
    }

    /// @notice `from` is the offset of the first byte that is wrong.
    error BadSchema(uint256 from);
    error WrongRows(uint256 expected, uint256 got);

    bytes32 private constant STACK = keccak256("assay.stack.v1");
    /// @dev Length and text of the domain.
    bytes private constant SCHEMA = hex"000000000000000f61737361792e736368656d612e7631";
    uint256 private constant MAX_TENSORS = 1 << 10;
    uint256 private constant MAX_NAME = 256;
    uint256 private constant MAX_AXES = 12;
    uint256 private constant MAX_EXTENT = 1 << 22;
    uint256 private constant MAX_WIDTH = 20;
    uint256 private constant MAX_BITS = 30;
    uint256 private constant ROW_BYTES = 64;

    /// @notice Reads a schema of tensors that have their first extent, the number of examples, in common. Reverts with
    /// `BadSchema`.
    function shape(bytes calldata schema) internal pure returns (Shape memory out) {
        out.digest = keccak256(abi.encodePacked(SCHEMA, uint64(schema.length), schema));
        if (schema.length == 0) revert BadSchema(0);
        out.rowBits = uint8(schema[0]);
        if (out.rowBits < 8 || out.rowBits > 18 || out.rowBits % 2 != 0) revert BadSchema(0);
        (uint256 tensors, uint256 from) = _number(schema, 1);
        if (tensors == 0 || tensors > MAX_TENSORS) revert BadSchema(1);
        uint256 padded;
        for (uint256 i = 0; i < tensors; ++i) {
            uint256 values;
            uint256 bits;
            (from, values, bits) = _tensor(schema, from, out);
            out.values += values;
            padded += 1 << bits;
        }
        if (from != schema.length) revert BadSchema(from);
        uint256 all = _bits(padded);
        if (all > MAX_BITS) revert BadSchema(from);
        out.rows = all > out.rowBits ? 1 << (all - out.rowBits) : 1;
    }

    /// @notice The id of a stack: of a schema, under the powers of tau with this hash of [tau]_2, with these commitments to
    /// its rows, 64 bytes each. Reverts with `WrongRows`.
    function digest(Shape memory schema, bytes32 srsHash, bytes calldata rows) internal pure returns (bytes32) {
        if (rows.length != schema.rows * ROW_BYTES) revert WrongRows(schema.rows * ROW_BYTES, rows.length);
        return keccak256(abi.encodePacked(STACK, schema.digest, schema.rowBits, srsHash, rows));
    }

    /// @dev A tensor from `from` on: where the next begins, how many values it has, and log2 of its padded size.
    function _tensor(bytes calldata schema, uint256 from, Shape memory out)
        private
        pure
        returns (uint256 next, uint256 values, uint256 bits)
    {
        uint256 name;
        (name, next) = _number(schema, from);
        if (name == 0 || name > MAX_NAME) revert BadSchema(from);
        from = next + name;
        uint256 axes;
        (axes, next) = _number(schema, from);
        if (axes == 0 || axes > MAX_AXES) revert BadSchema(from);
        values = 1;
        for (uint256 axis = 0; axis < axes; ++axis) {
            from = next;
            uint256 extent;
            (extent, next) = _number(schema, from);
            if (extent == 0 || extent > MAX_EXTENT) revert BadSchema(from);
            if (axis == 0) {
                if (out.examples == 0) out.examples = extent;
                else if (out.examples != extent) revert BadSchema(from);
            }
            values *= extent;
            bits += _bits(extent);
        }
        if (bits > MAX_BITS) revert BadSchema(from);
        from = next;
        uint256 width;
        (width, next) = _number(schema, from);
        if (width == 0 || width > MAX_WIDTH) revert BadSchema(from);
    }

    /// @dev A number in base 128, low digits first, in the fewest bytes, from most four: more than any limit here.
    function _number(bytes calldata schema, uint256 from) private pure returns (uint256 value, uint256 next) {
        for (uint256 i = 0; i < 4; ++i) {
            if (from + i >= schema.length) revert BadSchema(schema.length);
            uint256 digit = uint8(schema[from + i]);
            value |= (digit & 127) << (7 * i);
            if (digit < 128) {
                if (digit == 0 && i != 0) revert BadSchema(from);
                return (value, from + i + 1);
            }
        }
        revert BadSchema(from);
    }

    /// @dev Bits of an index below `count`.
    function _bits(uint256 count) private pure returns (uint256 bits) {
        while (1 << bits < count) ++bits;
    }
}
