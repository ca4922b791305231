// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { DatasetRegistry } from "../../sol/economy/DatasetRegistry.sol";
import { IDatasetRegistry } from "../../sol/economy/IDatasetRegistry.sol";
import { StackId } from "../../sol/economy/StackId.sol";
import { EconomyBase } from "../economy/Cheats.sol";

contract DatasetRegistryTest is EconomyBase {
    address private constant OWNER = address(0x0143);
    address private constant DATA = address(0xDA7A);
    bytes32 private constant LICENCE = keccak256("CC BY 4.0");
    bytes32 private constant SRS = keccak256("tau");

    DatasetRegistry private datasets;

    function setUp() external {
        datasets = DatasetRegistry(deployed("DatasetRegistry", ""));
    }

    /// @dev Two tensors over 1,797 examples: `x` of 64 values in 8 bits, `y` of 10 in 2 bits. Padded to 2^17 and 2^15 values.
    function digits(uint8 rowBits) private pure returns (bytes memory) {
        return abi.encodePacked(rowBits, hex"02017802850e4008017902850e0a02");
    }

    function rows(uint256 count) private pure returns (bytes memory) {
        return new bytes(64 * count);
    }

    function terms(bytes32 licence, uint16 royalty, address to) private pure returns (IDatasetRegistry.Terms memory) {
        return IDatasetRegistry.Terms(licence, royalty, to);
    }

    function call_(bytes memory schema, bytes memory points) private view returns (bytes memory) {
        return abi.encodeCall(datasets.register, (schema, SRS, points, terms(LICENCE, 0, address(0)), ""));
    }

    function refused(bytes memory schema, uint256 place, string memory what) private {
        cheats.expectRevert(abi.encodeWithSelector(StackId.BadSchema.selector, place));
        datasets.register(schema, SRS, rows(1), terms(LICENCE, 0, address(0)), what);
    }

    /// A stack that the prover's side names, in `verifier::stack`: the same id.
    function testIdOfTheProver() external {
        bytes32 tau = 0x14e5b91886168b10164680b002d5c1e2b206d234da3dc05d1a2d975d98407a17;
        bytes32 id = datasets.register(
            hex"0801017802030508", tau, abi.encode(uint256(1), uint256(2)), terms(LICENCE, 0, address(0)), ""
        );
        IDatasetRegistry.Dataset memory d = datasets.get(id);
        check(d.stackId == 0xf0645c881beacb7bd406ceec0a02bb2b5d84d9aad352fc8d7231615e97ba4cd9, "stack id");
        check(d.examples == 3 && d.values == 15, "sizes");
    }

    function testRegister(address owner, uint16 royalty) external {
        royalty = uint16(bound(royalty, 0, 5_000));
        address to = royalty == 0 ? address(0) : DATA;
        cheats.prank(owner);
        bytes32 id = datasets.register(digits(16), SRS, rows(4), terms(LICENCE, royalty, to), "ipfs://digits");
        IDatasetRegistry.Dataset memory d = datasets.get(id);
        check(d.owner == owner && d.royaltyBps == royalty && d.recipient == to, "terms");
        check(d.examples == 1_797 && d.values == 1_797 * 74, "sizes");
        check(d.licenceHash == LICENCE && d.since == nowAt() && d.retired == 0, "licence and time");
        check(id == keccak256(abi.encode(d.stackId, owner, LICENCE, royalty, to)), "the id contains everything");
        check(datasets.count() == 1 && datasets.idAt(0) == id, "listed");
        cheats.prank(owner);
        cheats.expectRevert(abi.encodeWithSelector(IDatasetRegistry.AlreadyRegistered.selector, id));
        datasets.register(digits(16), SRS, rows(4), terms(LICENCE, royalty, to), "");
    }

    /// Nobody takes a stack from anybody: each registrant has an entry of his own.
    function testOthersRegisterTheSame() external {
        bytes32 first = datasets.register(digits(16), SRS, rows(4), terms(LICENCE, 0, address(0)), "");
        cheats.prank(OWNER);
        bytes32 second = datasets.register(digits(16), SRS, rows(4), terms(LICENCE, 0, address(0)), "");
        check(first != second && datasets.get(first).stackId == datasets.get(second).stackId, "one stack, two entries");
        cheats.prank(OWNER);
        cheats.expectRevert(abi.encodeWithSelector(IDatasetRegistry.NotOwner.selector, address(this)));
        datasets.retire(first);
    }

    /// Every part of what is given is in the id.
    function testIdsDiffer() external {
        bytes32[6] memory ids;
        ids[0] = datasets.register(digits(16), SRS, rows(4), terms(LICENCE, 0, address(0)), "");
        ids[1] = datasets.register(digits(14), SRS, rows(16), terms(LICENCE, 0, address(0)), "");
        ids[2] = datasets.register(digits(16), keccak256("other"), rows(4), terms(LICENCE, 0, address(0)), "");
        bytes memory points = rows(4);
        points[255] = 0x01;
        ids[3] = datasets.register(digits(16), SRS, points, terms(LICENCE, 0, address(0)), "");
        ids[4] = datasets.register(digits(16), SRS, rows(4), terms(keccak256("other"), 0, address(0)), "");
        bytes memory schema = digits(16);
        schema[3] = "z";
        ids[5] = datasets.register(schema, SRS, rows(4), terms(LICENCE, 0, address(0)), "");
        for (uint256 i = 0; i < 6; i++) {
            for (uint256 j = 0; j < i; j++) {
                check(ids[i] != ids[j], "two of one id");
                if (i != 4 && j != 4) {
                    check(datasets.get(ids[i]).stackId != datasets.get(ids[j]).stackId, "two stacks");
                }
            }
        }
    }

    function testRetire() external {
        bytes32 id = datasets.register(digits(16), SRS, rows(4), terms(LICENCE, 0, address(0)), "");
        skip(5);
        cheats.expectEmit(address(datasets));
        emit IDatasetRegistry.Retired(id);
        datasets.retire(id);
        check(datasets.get(id).retired == nowAt(), "since when");
        cheats.expectRevert(abi.encodeWithSelector(IDatasetRegistry.AlreadyRetired.selector, id));
        datasets.retire(id);
        cheats.expectRevert(abi.encodeWithSelector(IDatasetRegistry.UnknownDataset.selector, bytes32(0)));
        datasets.retire(0);
        cheats.expectRevert(abi.encodeWithSelector(IDatasetRegistry.UnknownDataset.selector, bytes32("x")));
        datasets.get("x");
        // Retired for good: the same is not registered again.
        cheats.expectRevert(abi.encodeWithSelector(IDatasetRegistry.AlreadyRegistered.selector, id));
        datasets.register(digits(16), SRS, rows(4), terms(LICENCE, 0, address(0)), "");
    }

    function testTerms() external {
        cheats.expectRevert(IDatasetRegistry.BadRoyalty.selector);
        datasets.register(digits(16), SRS, rows(4), terms(LICENCE, 5_001, DATA), "");
        cheats.expectRevert(IDatasetRegistry.BadRoyalty.selector);
        datasets.register(digits(16), SRS, rows(4), terms(LICENCE, 1, address(0)), "");
        cheats.expectRevert(IDatasetRegistry.BadRoyalty.selector);
        datasets.register(digits(16), SRS, rows(4), terms(LICENCE, 0, DATA), "");
        cheats.expectRevert(IDatasetRegistry.NoLicence.selector);
        datasets.register(digits(16), SRS, rows(4), terms(0, 0, address(0)), "");
    }

    /// The number of rows follows from the schema.
    function testRows() external {
        uint8[5] memory bits = [8, 10, 12, 14, 16];
        uint16[5] memory counts = [1024, 256, 64, 16, 4];
        for (uint256 i = 0; i < 5; i++) {
            datasets.register(digits(bits[i]), SRS, rows(counts[i]), terms(LICENCE, 0, address(0)), "");
            cheats.expectRevert(
                abi.encodeWithSelector(
                    StackId.WrongRows.selector, 64 * uint256(counts[i]), 64 * uint256(counts[i]) - 64
                )
            );
            datasets.register(digits(bits[i]), SRS, rows(counts[i] - 1), terms(LICENCE, 0, address(0)), "");
        }
        fails(OWNER, address(datasets), call_(digits(16), new bytes(257)), StackId.WrongRows.selector, "a byte more");
    }

    function testSchemas() external {
        refused("", 0, "none");
        refused(hex"0901017802030508", 0, "a row length that is not offered");
        refused(hex"0601017802030508", 0, "a short row");
        refused(hex"1401017802030508", 0, "a long row");
        refused(hex"08", 1, "cut");
        refused(hex"0800", 1, "no tensor");
        refused(hex"088108017802030508", 1, "too many tensors");
        refused(hex"08010002030508", 2, "no name");
        refused(hex"080181020178", 2, "a long name");
        refused(hex"080101780008", 4, "no axis");
        refused(hex"080101780d08", 4, "many axes");
        refused(hex"0801017802000508", 5, "an empty axis");
        refused(hex"0801017802038180800208", 6, "a long axis");
        refused(hex"0801017802030500", 7, "no width");
        refused(hex"0801017802030515", 7, "a wide width");
        refused(hex"08010178020305", 7, "cut before the width");
        refused(hex"08017f78", 4, "a name beyond the end");
        refused(hex"080101780203050800", 8, "a byte behind");
        refused(hex"0802017802030508017902040508", 11, "other examples");
        refused(hex"080101780283000508", 5, "an alias");
        refused(hex"080101780280808080010508", 5, "a number of five bytes");
        // 2^22 examples of 2^9 values: 2^31.
        refused(hex"080101780280808002800408", 9, "a large tensor");
        refused(hex"080201780280808002800208017902808080020108", 21, "a large stack");
    }

    /// Whatever bytes are given, there is an answer, and what is accepted has the sizes that its bytes say.
    function testAnySchema(bytes calldata schema, bytes calldata points) external {
        (bool ok, bytes memory out) = address(datasets).call(call_(schema, points));
        if (ok) return;
        bytes4 why = bytes4(out);
        check(why == StackId.BadSchema.selector || why == StackId.WrongRows.selector, "another answer");
    }

    /// The sizes of random schemas, against the plain way to say them.
    function testSizes(uint8 row, uint32 examples, uint16[3] calldata extents) external {
        uint256 rowBits = 8 + 2 * (row % 6);
        uint256 n = bound(examples, 1, 1_000);
        bytes memory schema = abi.encodePacked(uint8(rowBits), uint8(3));
        uint256 values;
        uint256 padded;
        for (uint256 i = 0; i < 3; i++) {
            uint256 extent = bound(extents[i], 1, 60);
            schema = abi.encodePacked(schema, hex"0261", uint8(0x62 + i), hex"02", number(n), number(extent), hex"10");
            values += n * extent;
            padded += power(n) * power(extent);
        }
        padded = power(padded);
        uint256 count = padded > 1 << rowBits ? padded >> rowBits : 1;
        bytes32 id = datasets.register(schema, SRS, rows(count), terms(LICENCE, 0, address(0)), "");
        check(datasets.get(id).examples == n && datasets.get(id).values == values, "sizes");
        fails(OWNER, address(datasets), call_(schema, rows(count + 1)), StackId.WrongRows.selector, "a row more");
    }

    function number(uint256 value) private pure returns (bytes memory out) {
        for (; value > 127; value >>= 7) {
            out = abi.encodePacked(out, uint8(128 | (value & 127)));
        }
        out = abi.encodePacked(out, uint8(value));
    }

    /// @dev The next power of two.
    function power(uint256 value) private pure returns (uint256 out) {
        out = 1;
        while (out < value) out *= 2;
    }
}
