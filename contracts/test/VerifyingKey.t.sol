// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AssayVerifier } from "../sol/AssayVerifier.sol";
import { IAssayVerifier } from "../sol/IAssayVerifier.sol";
import { Base, Vm } from "./Base.sol";

/// @dev Registration: what is stored, and which keys are refused.
contract VerifyingKeyTest is Base {
    AssayVerifier private immutable verifier = AssayVerifier(deployed("AssayVerifier", abi.encode(true)));

    function testRegisters() external {
        Vector[] memory all = vectors();
        for (uint256 i = 0; i < all.length; i++) {
            bytes memory key = all[i].key;
            bytes32 id = keccak256(key);
            check(verifier.keyOf(id) == address(0), "unknown at first");
            bytes32 returned = verifier.register(key);
            check(returned == id, "the id is the hash");
            address data = verifier.keyOf(id);
            check(keccak256(data.code) == keccak256(bytes.concat(hex"00", key)), "zero byte and key");
            check(verifier.register(key) == id && verifier.keyOf(id) == data, "again, by anybody");
        }
        check(verifier.keyOf(0) == address(0), "zero");
    }

    function testEvent() external {
        bytes memory key = vectors()[0].key;
        bytes32 id = keccak256(key);
        vm.recordLogs();
        verifier.register(key);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        check(logs.length == 1 && logs[0].topics.length == 2, "one event");
        check(logs[0].topics[0] == IAssayVerifier.Registered.selector && logs[0].topics[1] == id, "topics");
        check(keccak256(logs[0].data) == keccak256(abi.encode(verifier.keyOf(id), word(key, 1) == 1)), "data");
        verifier.register(key);
        check(vm.getRecordedLogs().length == 0, "a known key is left as it is");
        // Each contract has its own keys.
        check(
            AssayVerifier(deployed("AssayVerifier", abi.encode(true))).keyOf(id) == address(0), "not stored elsewhere"
        );
    }

    function testDevelopmentSrs() external {
        AssayVerifier strict = AssayVerifier(deployed("AssayVerifier", abi.encode(false)));
        check(!strict.acceptsDevelopmentSrs() && verifier.acceptsDevelopmentSrs(), "what the constructor was told");
        bytes memory key = vectors()[0].key;
        setWord(key, 1, 1);
        vm.expectRevert(abi.encodeWithSelector(IAssayVerifier.DevelopmentSrs.selector));
        strict.register(key);
        check(strict.keyOf(keccak256(key)) == address(0), "not stored");
        setWord(key, 1, 0);
        check(strict.keyOf(strict.register(key)) != address(0), "stored");
    }

    /// @dev Registering must fail and name the word `at_`.
    function refused(bytes memory key, uint256 at_, string memory what) private {
        (bool ok, bytes memory out) = address(verifier).call(abi.encodeCall(IAssayVerifier.register, (key)));
        check(!ok, what);
        bytes memory expected = abi.encodeWithSelector(IAssayVerifier.InvalidKey.selector, at_);
        check(keccak256(out) == keccak256(expected), what);
        check(verifier.keyOf(keccak256(key)) == address(0), what);
    }

    /// @dev `refused` for a key with one word replaced.
    function refusedWord(bytes memory key, uint256 index, uint256 value, uint256 at_, string memory what) private {
        uint256 before = word(key, index);
        setWord(key, index, value);
        refused(key, at_, what);
        setWord(key, index, before);
    }

    function testHeader() external {
        Vector[] memory all = vectors();
        for (uint256 i = 0; i < all.length; i++) {
            bytes memory key = all[i].key;
            refusedWord(key, 0, 0, 0, "version 0");
            refusedWord(key, 0, 3, 0, "version 3");
            refusedWord(key, 1, 2, 1, "flag 1");
            refusedWord(key, 1, 1 << 255, 1, "flag 255");

            uint256 k = word(key, 3);
            refusedWord(key, 3, 5, 3, "k too small");
            refusedWord(key, 3, 29, 3, "k too large");
            refusedWord(key, 3, type(uint256).max, 3, "k huge");
            if (k < 28) refusedWord(key, 3, k + 1, 4, "omega of a smaller domain");
            if (k > 6) refusedWord(key, 3, k - 1, 4, "omega of a larger domain");
            refusedWord(key, 4, word(key, 4) + SCALARS, 4, "omega not reduced");
            refusedWord(key, 4, 1, 4, "omega = 1");
            refusedWord(key, 4, 0, 4, "omega = 0");
            refusedWord(key, 4, SCALARS - 1, 4, "omega = -1");

            uint256 m = word(key, 6);
            refusedWord(key, 5, word(key, 5) + 1, 5, "one round more");
            refusedWord(key, 5, word(key, 5) - 1, 5, "one round less");
            refusedWord(key, 6, 0, 6, "m = 0");
            refusedWord(key, 6, 29, 6, "m too large");
            refusedWord(key, 6, type(uint256).max, 6, "m huge");
            refusedWord(key, 7, m - 1, 7, "witness shorter than a row");
            refusedWord(key, 7, m + 11, 7, "witness too long");
            refusedWord(key, 8, m - 1, 8, "model shorter than a row");
            refusedWord(key, 8, m + 11, 8, "model too long");
            refusedWord(key, 8, type(uint256).max, 8, "model huge");
            refusedWord(key, 9, 65, 9, "too many tensors");
            refusedWord(key, 9, type(uint256).max, 9, "huge number of tensors");
        }
    }

    function testRanges() external {
        Vector[] memory all = vectors();
        uint256 tested = 0;
        for (uint256 i = 0; i < all.length; i++) {
            bytes memory key = all[i].key;
            for (uint256 t = 0; t < word(key, 9); t++) {
                uint256 start = 16 + 3 * t;
                refusedWord(key, start, 0, start, "no values");
                refusedWord(key, start, (1 << 24) + 1, start, "too many values");
                refusedWord(key, start, type(uint256).max, start, "huge number of values");
                refusedWord(key, start + 1, word(key, start + 2) + 1, start + 1, "empty range");
                refusedWord(key, start + 1, uint256(type(int256).min), start + 1, "below 64 bits");
                refusedWord(key, start + 1, uint256(int256(type(int64).min) - 1), start + 1, "just below 64 bits");
                refusedWord(key, start + 2, 1 << 63, start + 2, "just above 64 bits");
                refusedWord(key, start + 2, uint256(type(int256).max), start + 2, "above 64 bits");
                tested++;
            }
        }
        check(tested > 0, "no public tensors in the vectors");
    }

    function testLengths() external {
        bytes memory key = vectors()[0].key;
        uint256 words = key.length / 32;
        refused(bytes.concat(key, bytes32(0)), words + 1, "one word more");
        refused(bytes.concat(key, bytes1(0)), words, "one byte more");
        for (uint256 cut = 1; cut <= key.length; cut += cut < 70 ? 1 : 64) {
            bytes memory shorter = bytes.concat(key);
            assembly ("memory-safe") {
                mstore(shorter, sub(mload(key), cut))
            }
            (bool ok,) = address(verifier).call(abi.encodeCall(IAssayVerifier.register, (shorter)));
            check(!ok, "shorter");
        }
        refused(new bytes(24_576), 0, "too long to store");
        refused("", 0, "empty");
    }

    /// @dev A key at the limit of what a contract can hold is stored: 64 tensors, 256 model rows.
    function testLargestKey() external {
        bytes memory key = vectors()[0].key;
        uint256 fixedPoints = 16 + 3 * word(key, 9);
        uint256 words = 16 + 3 * 64 + 2 * (9 + 256);
        bytes memory large = new bytes(32 * words);
        for (uint256 i = 0; i < 16; i++) {
            setWord(large, i, word(key, i));
        }
        uint256 m = word(key, 6);
        setWord(large, 5, m + 8);
        setWord(large, 7, m);
        setWord(large, 8, m + 8);
        setWord(large, 9, 64);
        for (uint256 i = 0; i < 64; i++) {
            setWord(large, 16 + 3 * i, 1);
        }
        for (uint256 i = 16 + 3 * 64; i < words; i += 2) {
            setWord(large, i, word(key, fixedPoints));
            setWord(large, i + 1, word(key, fixedPoints + 1));
        }
        check(verifier.keyOf(verifier.register(large)).code.length == 1 + 32 * words, "stored");
    }

    /// @dev A key with a list of named stacks between ranges and commitments, and `rows` points at the end.
    function listing(bytes memory key, uint256[] memory list, uint256 rows) private pure returns (bytes memory out) {
        uint256 points = 16 + 3 * word(key, 9);
        uint256 words = key.length / 32;
        out = new bytes(32 * (words + list.length + 2 * rows));
        for (uint256 i = 0; i < points; i++) {
            setWord(out, i, word(key, i));
        }
        setWord(out, 0, 2);
        for (uint256 i = 0; i < list.length; i++) {
            setWord(out, points + i, list[i]);
        }
        for (uint256 i = points; i < words; i++) {
            setWord(out, list.length + i, word(key, i));
        }
        for (uint256 i = 0; i < rows; i++) {
            setWord(out, words + list.length + 2 * i, word(key, 10));
            setWord(out, words + list.length + 2 * i + 1, word(key, 11));
        }
    }

    function one(uint256 kind, uint256 bits) private pure returns (uint256[] memory list) {
        list = new uint256[](4);
        list[0] = 1;
        list[1] = kind;
        list[2] = bits;
        list[3] = uint256(keccak256("a schema"));
    }

    function testNamedStacks() external {
        bytes memory key = vectors()[0].key;
        uint256 m = word(key, 6);
        uint256 rounds = word(key, 5);
        uint256 at_ = 16 + 3 * word(key, 9);
        check(verifier.keyOf(verifier.register(listing(key, one(0, m), 0))) != address(0), "a given stack");
        check(verifier.keyOf(verifier.register(listing(key, one(1, m), 1))) != address(0), "a pinned stack");
        check(verifier.keyOf(verifier.register(listing(key, one(1, m + 1), 2))) != address(0), "two pinned rows");

        bytes memory listed = listing(key, one(0, m), 0);
        refusedWord(listed, at_, 0, at_, "no stacks");
        refusedWord(listed, at_, 17, at_, "too many stacks");
        refusedWord(listed, at_, type(uint256).max, at_, "huge number of stacks");
        refusedWord(listed, at_ + 1, 2, at_ + 1, "kind 2");
        refusedWord(listed, at_ + 2, m - 1, at_ + 2, "shorter than a row");
        refusedWord(listed, at_ + 2, m + 11, at_ + 2, "too long");
        refusedWord(listed, at_ + 2, type(uint256).max, at_ + 2, "huge");
        refusedWord(listed, 5, rounds + 1, 5, "one round more");
        // A stack that is longer than the others counts.
        if (rounds < m + 10) {
            refused(listing(key, one(0, rounds + 1), 0), 5, "one round less");
            bytes memory longest = listing(key, one(0, rounds + 1), 0);
            setWord(longest, 5, rounds + 1);
            check(verifier.keyOf(verifier.register(longest)) != address(0), "a stack that is the longest");
        }
        // Pinned rows are part of the key, given ones are not.
        refused(listing(key, one(1, m), 0), key.length / 32 + 4, "no pinned rows");
        refused(listing(key, one(0, m), 1), key.length / 32 + 6, "rows of a given stack");
        bytes memory pinned = listing(key, one(1, m), 1);
        refusedPoint(pinned, pinned.length / 32 - 2);
        // The same words under the version that has no list, and no list under the other.
        refusedWord(listed, 0, 1, listed.length / 32, "a list in a key of version 1");
        (bool ok,) =
            address(verifier).call(abi.encodeCall(IAssayVerifier.register, (listing(key, new uint256[](0), 0))));
        check(!ok, "no list in a key of version 2");
    }

    function testPoints() external {
        Vector[] memory all = vectors();
        for (uint256 i = 0; i < all.length; i++) {
            bytes memory key = all[i].key;
            refusedPoint(key, 10);
            for (uint256 at_ = 16 + 3 * word(key, 9); at_ < key.length / 32; at_ += 2) {
                refusedPoint(key, at_);
            }
            uint256 x = word(key, 10);
            setWord(key, 10, 0);
            refusedWord(key, 11, 0, 10, "T is zero");
            setWord(key, 10, x);
        }
    }

    function refusedPoint(bytes memory key, uint256 at_) private {
        uint256 x = word(key, at_);
        uint256 y = word(key, at_ + 1);
        refusedWord(key, at_, x + COORDINATES, at_, "x not reduced");
        refusedWord(key, at_ + 1, y + COORDINATES, at_ + 1, "y not reduced");
        refusedWord(key, at_ + 1, addmod(y, 1, COORDINATES), at_, "off the curve");
        // Rows of zeros have the commitment (0, 0), which is a point.
        if (x == 0 && y == 0) return;
        refusedWord(key, at_ + 1, 0, at_, "y = 0");
        // x = 0 would need y^2 = 3, which has no root.
        refusedWord(key, at_, 0, at_, "x = 0");
    }

    function testTau() external {
        bytes memory key = vectors()[0].key;
        for (uint256 i = 12; i < 16; i++) {
            refusedWord(key, i, word(key, i) ^ 1, 12, "off the curve");
            refusedWord(key, i, word(key, i) + COORDINATES, 12, "not reduced");
        }
        uint256[4] memory tau = [word(key, 12), word(key, 13), word(key, 14), word(key, 15)];
        for (uint256 i = 0; i < 4; i++) {
            setWord(key, 12 + i, 0);
        }
        refused(key, 12, "zero");
        // On the curve, but not in the subgroup of order r.
        uint256[4] memory outside = [
            uint256(0),
            1,
            0x0d1271953ed9ea0836846e70a1934187998c7f790cb4d7511b7f8da82de048a4,
            0x2869111d5381f072f8e2728fdb825a51aadd70e52c9830e9ab4b871c0531f1bb
        ];
        for (uint256 i = 0; i < 4; i++) {
            setWord(key, 12 + i, outside[i]);
        }
        refused(key, 12, "outside of the subgroup");
        for (uint256 i = 0; i < 4; i++) {
            setWord(key, 12 + i, tau[i]);
        }
        check(verifier.keyOf(verifier.register(key)) != address(0), "and back");
    }

    /// forge-config: default.fuzz.runs = 512
    function testFuzzBits(uint256 which, uint256 at_, uint8 bit) external {
        Vector[] memory all = vectors();
        bytes memory key = all[which % all.length].key;
        at_ %= key.length;
        uint256 points = 16 + 3 * word(key, 9);
        key[at_] ^= bytes1(uint8(1 << (bit % 8)));
        (bool ok,) = address(verifier).call(abi.encodeCall(IAssayVerifier.register, (key)));
        // Only the flag, the digest of the program and the public tensors can change without notice.
        uint256 changed = at_ / 32;
        // And the length of the witness, as long as that of the model is the larger one.
        if (changed == 7 && word(key, 7) <= word(key, 8)) return;
        if (changed != 1 && changed != 2 && (changed < 16 || changed >= points)) check(!ok, "refused");
    }
}
