// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import "../sol/Frame.sol";
import { Base } from "./Base.sol";
import { Probe } from "./Probe.sol";
import { F, Halo2Reference, OpeningReference } from "./Reference.sol";

/// @dev The libraries one by one, against plain versions of the same formulas.
contract LibrariesTest is Base {
    using F for uint256;

    Probe private immutable probe = Probe(double("Probe", "Probe", ""));

    /// @dev Pairs of address and word for the probe.
    uint256[] private pokes;

    function put(uint256 slot, uint256 value) private {
        pokes.push(slot);
        pokes.push(value);
    }

    /// @dev The `index`-th scalar of a seed; every fifth one is next to a bound.
    function scalar(bytes32 seed, uint256 index) private pure returns (uint256) {
        uint256 word = uint256(keccak256(abi.encode(seed, index)));
        if (word % 5 == 0) return [uint256(0), 1, R - 1, R - 2][(word >> 8) % 4];
        return word % R;
    }

    function nonzero(bytes32 seed, uint256 index) private pure returns (uint256) {
        return 2 + uint256(keccak256(abi.encode(seed, index))) % (R - 2);
    }

    function slots(uint256 start, uint256 count) private pure returns (uint256[] memory out) {
        out = new uint256[](count);
        for (uint256 i = 0; i < count; i++) {
            out[i] = start + 32 * i;
        }
    }

    function testConstants() external pure {
        equal(R, SCALARS, "R");
        equal(Q, COORDINATES, "Q");
        equal(TWO_R, 2 * R, "2 R");
        equal(THREE_R, 3 * R, "3 R");
        // Tables of the frame must not overlap: the last word of each lies before the next.
        check(MODEXP + 6 * 32 <= EV_STATE && PAIR_TAU + 128 <= EV_STATE, "operands");
        check(EV_Z_NEXT + 32 == EV_END && EV_END == CH_BETA, "evaluations");
        check(CH_RHO < V_X_TO_N && P_FIXED < INVERSES, "values");
        check(INV_FOLDS + 64 * 14 <= PREFIXES && PREFIXES + 32 * 34 <= KEY, "inverses");
        check(SC_ADVICE + 32 * 12 <= SC_W && SC_W + 64 <= SC_FIRST, "scalars");
        check(SC_FOLDS == SC_FIRST + 32 && SC_FIRST + 32 * 14 <= SC_WO && SC_WO + 64 <= SC_T && SC_T < KEY, "folds");
        check(KEY_RANGES == KEY + 16 * 32, "key");
    }

    function testFuzzTranscript(uint256 state, bytes calldata absorbed) external view {
        vm.assume(absorbed.length < 0x8000);
        bytes memory input =
            absorbed.length == 0 ? abi.encodePacked(state, uint8(1)) : abi.encodePacked(state, absorbed);
        equal(probe.transcript(state, absorbed), uint256(keccak256(input)), "state");
    }

    function testFuzzInvertAll(bytes32 seed, uint256 count, uint256 zeroAt) external {
        count = 2 * (1 + count % 17);
        for (uint256 i = 0; i < count; i++) {
            put(INVERSES + 32 * i, nonzero(seed, i) + (i % 5) * R);
        }
        (bool ok, uint256[] memory out) = probe.invertAll(pokes, INVERSES + 32 * count, slots(INVERSES, count));
        check(ok, "invertible");
        for (uint256 i = 0; i < count; i++) {
            equal(out[i].mul(nonzero(seed, i)), 1, "product");
        }
        // A zero anywhere, also one that is not reduced.
        zeroAt %= count;
        pokes[2 * zeroAt + 1] = R * (uint256(seed) % 6);
        (ok,) = probe.invertAll(pokes, INVERSES + 32 * count, slots(INVERSES, count));
        check(!ok, "zero is not invertible");
    }

    function testFuzzEqualityTable(bytes32 seed, uint256 bits) external {
        bits %= 7;
        uint256 table = 0x4000;
        for (uint256 i = 0; i < bits; i++) {
            put(0x3000 + 32 * i, scalar(seed, i));
        }
        uint256 scale = scalar(seed, 100);
        uint256[] memory out = probe.equalityTable(pokes, table, 0x3000, bits, scale, slots(table, (1 << bits) + 1));
        for (uint256 b = 0; b < 1 << bits; b++) {
            uint256 expected = scale;
            for (uint256 i = 0; i < bits; i++) {
                uint256 x = scalar(seed, i);
                expected = expected.mul((b >> (bits - 1 - i)) & 1 == 1 ? x : uint256(1).sub(x));
            }
            equal(out[b], expected, "entry");
        }
        equal(out[1 << bits], 0, "nothing behind the table");
    }

    function testAddProducts() external {
        // 5 G + 2 (3 G) + (r + 7) G = 18 G, once by the function and once by one multiplication.
        (uint256 x3, uint256 y3) = multiple(3);
        (uint256 x5, uint256 y5) = multiple(5);
        put(MSM_SUM, x5);
        put(MSM_SUM + 32, y5);
        put(0x3000, x3);
        put(0x3020, y3);
        put(0x3040, 1);
        put(0x3060, 2);
        put(0x3080, 0);
        put(0x30a0, 0);
        put(0x4000, 2);
        put(0x4020, R + 7);
        put(0x4040, 5);
        (bool ok, uint256[] memory out) = probe.addProducts(pokes, 0x3000, 0x4000, 3, slots(MSM_SUM, 2));
        (uint256 x18, uint256 y18) = multiple(18);
        check(ok && out[0] == x18 && out[1] == y18, "sum");
        (ok, out) = probe.addProducts(pokes, 0x3000, 0x4000, 0, slots(MSM_SUM, 2));
        check(ok && out[0] == x5 && out[1] == y5, "no products");
        // A point off the curve with scalar zero, one with a coordinate that is not reduced, a wrong sum.
        put(0x3060, 3);
        put(0x4020, 0);
        (ok,) = probe.addProducts(pokes, 0x3000, 0x4000, 3, slots(MSM_SUM, 2));
        check(!ok, "off the curve");
        put(0x3060, 2 + Q);
        (ok,) = probe.addProducts(pokes, 0x3000, 0x4000, 3, slots(MSM_SUM, 2));
        check(!ok, "not reduced");
        put(0x3060, 2);
        put(MSM_SUM, x5 + 1);
        (ok,) = probe.addProducts(pokes, 0x3000, 0x4000, 3, slots(MSM_SUM, 2));
        check(!ok, "wrong sum");
    }

    /// @dev Rows at infinity are left out, wherever they are, and nothing else is.
    function testRowsAtInfinity(uint8 empty, uint256 scale) external {
        uint256 count = 6;
        uint256 expected = 5;
        (uint256 x, uint256 y) = multiple(5);
        put(MSM_SUM, x);
        put(MSM_SUM + 32, y);
        for (uint256 i = 0; i < count; i++) {
            uint256 k = (empty >> i) & 1 == 1 ? 0 : i + 1;
            (x, y) = multiple(k);
            put(0x3000 + 64 * i, x);
            put(0x3020 + 64 * i, y);
            put(0x4000 + 32 * i, scale);
            expected = expected.add(k.mul(scale % R));
        }
        (bool ok, uint256[] memory out) = probe.addRows(pokes, 0x3000, 0x4000, count, slots(MSM_SUM, 2));
        (x, y) = multiple(expected);
        check(ok && out[0] == x && out[1] == y, "sum");
        (ok, out) = probe.addProducts(pokes, 0x3000, 0x4000, count, slots(MSM_SUM, 2));
        check(ok && out[0] == x && out[1] == y, "as products");
    }

    /// @dev No encoding but zero is infinity, and a wrong sum is seen even if all rows are at infinity.
    function testRowsOffTheCurve() external {
        uint256[2][5] memory bad = [[uint256(0), Q], [Q, 0], [Q, Q], [uint256(0), 1], [uint256(1), 0]];
        for (uint256 i = 0; i < 5; i++) {
            put(0x3000, bad[i][0]);
            put(0x3020, bad[i][1]);
            put(0x4000, 0);
            (bool valid,) = probe.addRows(pokes, 0x3000, 0x4000, 1, slots(MSM_SUM, 2));
            check(!valid, "off the curve");
        }
        put(0x3000, 0);
        put(0x3020, 0);
        (bool ok,) = probe.addRows(pokes, 0x3000, 0x4000, 1, slots(MSM_SUM, 2));
        check(ok, "nothing");
        put(MSM_SUM, 1);
        put(MSM_SUM + 32, 2 + Q);
        (ok,) = probe.addRows(pokes, 0x3000, 0x4000, 1, slots(MSM_SUM, 2));
        check(!ok, "wrong sum");
    }

    function testPairing() external {
        // tau = 1: e(7 G, [1]_2) e(-7 G, [1]_2) = 1.
        put(KEY_TAU, 0x198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2);
        put(KEY_TAU + 32, 0x1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed);
        put(KEY_TAU + 64, 0x090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b);
        put(KEY_TAU + 96, 0x12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa);
        (uint256 x, uint256 y) = multiple(7);
        put(MSM_SUM, x);
        put(MSM_SUM + 32, y);
        put(PAIR_POINT, x);
        put(PAIR_POINT + 32, Q - y);
        check(probe.pairing(pokes), "equal");
        put(PAIR_POINT + 32, y);
        check(!probe.pairing(pokes), "not negated");
        put(PAIR_POINT + 32, y + 1);
        check(!probe.pairing(pokes), "off the curve");
        put(PAIR_POINT + 32, 2 * Q - y);
        check(!probe.pairing(pokes), "not reduced");
        put(MSM_SUM, 0);
        put(MSM_SUM + 32, 0);
        put(PAIR_POINT, 0);
        put(PAIR_POINT + 32, 0);
        check(probe.pairing(pokes), "zero");
    }

    function multiple(uint256 k) private view returns (uint256 x, uint256 y) {
        (bool ok, bytes memory out) = address(7).staticcall(abi.encode(uint256(1), uint256(2), k));
        check(ok, "ecMul");
        (x, y) = abi.decode(out, (uint256, uint256));
    }

    /// @dev Three tensors; values from the seed, moved into their ranges.
    function testFuzzPublicValues(bytes32 seed, uint256 zeta, uint256 outside) external {
        zeta %= R;
        int256[2][3] memory ranges = [[int256(-128), 127], [int256(type(int64).min), type(int64).max], [int256(5), 5]];
        uint256[3] memory counts = [1 + uint256(seed) % 9, 1 + (uint256(seed) >> 8) % 9, 1 + (uint256(seed) >> 16) % 9];
        bytes memory data;
        uint256 expected = 0;
        uint256 power = 1;
        for (uint256 t = 0; t < 3; t++) {
            put(KEY_RANGES + 96 * t, counts[t]);
            put(KEY_RANGES + 96 * t + 32, uint256(ranges[t][0]));
            put(KEY_RANGES + 96 * t + 64, uint256(ranges[t][1]));
            for (uint256 i = 0; i < counts[t]; i++) {
                uint256 span = uint256(ranges[t][1] - ranges[t][0]);
                uint256 word = uint256(keccak256(abi.encode(seed, t, i)));
                // The bounds themselves are common.
                int256 v = word % 3 == 0 ? ranges[t][(word >> 8) % 2] : ranges[t][0] + int256((word >> 16) % (span + 1));
                data = abi.encodePacked(data, int64(v));
                expected = expected.add(power.mul(v < 0 ? R - uint256(-v) : uint256(v)));
                power = power.mul(zeta);
            }
        }
        (bool ok, uint256 sum) = probe.publicValues(pokes, data, 3, zeta);
        check(ok, "accepted");
        equal(sum, expected, "sum");

        // One value out of range, in the first or the last tensor.
        uint256 at_ = outside % 2 == 0 ? outside % counts[0] : counts[0] + counts[1] + outside % counts[2];
        bytes memory changed = bytes.concat(data);
        int64[4] memory bad = [int64(128), 4, -129, 6];
        setValue(changed, at_, bad[outside % 4]);
        publicValuesRefused(changed, zeta, "out of range");

        publicValuesRefused(abi.encodePacked(data, bytes8(0)), zeta, "one value more");
        publicValuesRefused(abi.encodePacked(data, bytes1(0)), zeta, "one byte more");
        assembly ("memory-safe") {
            mstore(data, sub(mload(data), 1))
        }
        publicValuesRefused(data, zeta, "one byte less");
    }

    function setValue(bytes memory data, uint256 index, int64 value) private pure {
        for (uint256 i = 0; i < 8; i++) {
            data[8 * index + i] = bytes8(uint64(value))[i];
        }
    }

    function publicValuesRefused(bytes memory data, uint256 zeta, string memory what) private view {
        (bool ok,) = probe.publicValues(pokes, data, 3, zeta);
        check(!ok, what);
    }

    function testNoPublicValues() external view {
        uint256[] memory none = new uint256[](0);
        (bool ok, uint256 sum) = probe.publicValues(none, "", 0, 7);
        check(ok && sum == 0, "empty");
        (ok,) = probe.publicValues(none, hex"0000000000000000", 0, 7);
        check(!ok, "a value too many");
    }

    /// @dev A Halo2 proof's numbers from a seed, in memory for the reference and in the frame.
    function halo2(bytes32 seed) private returns (Halo2Reference.Proof memory p) {
        p.k = 6 + uint256(seed) % 6;
        p.omega = uint256(7).pow((R - 1) >> p.k);
        uint256 count = 6 + (uint256(seed) >> 8) % 38;
        p.instances = new uint256[](count);
        uint256 start = 0x3000;
        for (uint256 i = 0; i < count; i++) {
            p.instances[i] = scalar(seed, 100 + i);
            put(start + 32 * i, p.instances[i]);
        }
        for (uint256 i = 0; i < 21; i++) {
            p.e[i] = scalar(seed, i);
            put(EV_A0 + 32 * i, p.e[i]);
        }
        p.beta = scalar(seed, 30);
        p.gamma = scalar(seed, 31);
        p.y = scalar(seed, 32);
        p.x = nonzero(seed, 33);
        p.batch = scalar(seed, 34);
        p.sets = scalar(seed, 35);
        p.u = scalar(seed, 36);
        put(KEY_K, p.k);
        put(KEY_OMEGA, p.omega);
        put(P_INSTANCES, start);
        put(P_ADVICE, start + 32 * count);
        put(P_KEY_SCALARS, 0x5000);
        put(CH_BETA, p.beta);
        put(CH_GAMMA, p.gamma);
        put(CH_Y, p.y);
        put(CH_X, p.x);
        put(CH_POLYNOMIALS, p.batch);
        put(CH_SETS, p.sets);
        put(CH_U, p.u);
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzzQuotient(bytes32 seed) external {
        Halo2Reference.Proof memory p = halo2(seed);
        (bool ok, uint256 value) = probe.quotient(pokes);
        check(ok, "accepted");
        equal(value, Halo2Reference.quotient(p), "h");
    }

    /// @dev One selector at a time, so that a mistake in one gate cannot hide behind another.
    function testQuotientGates() external {
        for (uint256 gate = 0; gate < 4; gate++) {
            delete pokes;
            Halo2Reference.Proof memory p = halo2(bytes32(gate));
            p.e[9] = gate == 0 || gate == 3 ? 1 : 0;
            p.e[10] = gate >= 2 ? 1 : 0;
            p.e[11] = gate == 1 ? 1 : 0;
            put(EV_FULL, p.e[9]);
            put(EV_BOTH, p.e[10]);
            put(EV_PARTIAL, p.e[11]);
            uint256[21] memory c = Halo2Reference.constraints(p);
            uint256[4] memory first = [uint256(0), 6, 12, 16];
            uint256[4] memory end = [uint256(6), 12, 16, 18];
            for (uint256 i = 0; i < 18; i++) {
                bool active = i >= first[gate] && i < end[gate];
                // With A = 1 and B = 1, (A - 1) n0 is zero as well.
                check(active && i != 17 ? c[i] != 0 : c[i] == 0, "one gate at a time");
            }
            (bool ok, uint256 value) = probe.quotient(pokes);
            check(ok, "accepted");
            equal(value, Halo2Reference.quotient(p), "h");
        }
    }

    function testFuzzInstanceNotReduced(bytes32 seed, uint256 index) external {
        Halo2Reference.Proof memory p = halo2(seed);
        index %= p.instances.length;
        (bool ok,) = probe.quotient(pokes);
        check(ok, "accepted");
        put(0x3000 + 32 * index, p.instances[index] + R);
        (ok,) = probe.quotient(pokes);
        check(!ok, "refused");
    }

    /// @dev X in the domain: an instance row, a blinded row, any other one.
    function testFuzzPointInDomain(bytes32 seed, uint256 row) external {
        Halo2Reference.Proof memory p = halo2(seed);
        uint256 n = 1 << p.k;
        (bool ok,) = probe.quotient(pokes);
        check(ok, "accepted");
        put(CH_X, p.omega.pow(row % n));
        (ok,) = probe.quotient(pokes);
        check(!ok, "refused");
        put(CH_X, 0);
        (ok,) = probe.quotient(pokes);
        check(!ok, "X = 0: the two points of set 0 fall together");
    }

    function testFuzzShplonk(bytes32 seed) external {
        Halo2Reference.Proof memory p = halo2(seed);
        uint256 h = scalar(seed, 50);
        uint256[] memory where = new uint256[](24);
        for (uint256 i = 0; i < 12; i++) {
            where[i] = SC_ADVICE + 32 * i;
        }
        for (uint256 i = 0; i < 9; i++) {
            where[12 + i] = 0x5000 + 32 * i;
        }
        where[21] = SC_W;
        where[22] = SC_W + 32;
        where[23] = V_GENERATOR;
        (bool ok, uint256[] memory out) = probe.shplonk(pokes, h, where);
        check(ok, "accepted");
        uint256[24] memory expected = Halo2Reference.shplonk(p, h);
        for (uint256 i = 0; i < 24; i++) {
            equal(out[i] % R, expected[i], vm.toString(i));
        }
    }

    uint256 private constant TABLE = 0x4000;
    uint256 private constant ROW_SCALARS = 0x5000;
    uint256 private constant KEY_SCALARS = 0x6000;

    /// @dev An opening's numbers from a seed, in memory for the reference and in the frame.
    function opening(bytes32 seed) private returns (OpeningReference.Proof memory p) {
        p.m = 1 + uint256(seed) % 28;
        p.witnessBits = p.m + (uint256(seed) >> 8) % 5;
        p.modelBits = p.m + (uint256(seed) >> 16) % 5;
        p.x = new uint256[](p.witnessBits > p.modelBits ? p.witnessBits : p.modelBits);
        uint256 instances = 0x3000;
        uint256 advice = instances + 32 * (5 + p.x.length);
        for (uint256 i = 0; i < p.x.length; i++) {
            p.x[i] = scalar(seed, 100 + i);
            put(advice - 32 * p.x.length + 32 * i, p.x[i]);
        }
        p.gamma = scalar(seed, 1);
        p.claim = scalar(seed, 2);
        p.beta = scalar(seed, 3);
        p.z = nonzero(seed, 4);
        p.nu = scalar(seed, 5);
        p.zeta = nonzero(seed, 6);
        p.rho = nonzero(seed, 7);
        put(instances + 96, p.gamma);
        put(instances + 128, p.claim);
        put(P_INSTANCES, instances);
        put(P_ADVICE, advice);
        put(P_FOLDS, 0x3820);
        put(0x3800, p.beta);
        uint256 folds = (p.m + 1) / 2;
        p.values = new uint256[](3 * folds - 2 * (p.m % 2));
        for (uint256 i = 0; i < p.values.length; i++) {
            p.values[i] = scalar(seed, 200 + i);
            put(0x3900 + 32 * i, p.values[i]);
        }
        put(P_WO, 0x3900 + 32 * p.values.length);
        put(P_FOLDING, TABLE);
        put(P_ROW_SCALARS, ROW_SCALARS);
        put(P_KEY_SCALARS, KEY_SCALARS);
        put(KEY_ROW_BITS, p.m);
        put(KEY_WITNESS_BITS, p.witnessBits);
        put(KEY_MODEL_BITS, p.modelBits);
        put(CH_FOLD, p.z);
        put(CH_NU, p.nu);
        put(CH_ZETA, p.zeta);
        put(CH_RHO, p.rho);
        put(V_GENERATOR, scalar(seed, 8));
        // The denominators of the other half.
        for (uint256 i = 0; i < 6; i++) {
            put(INVERSES + 32 * i, 1);
        }
    }

    /// forge-config: default.fuzz.runs = 128
    function testFuzzOpening(bytes32 seed) external {
        OpeningReference.Proof memory p = opening(seed);
        uint256 folds = (p.m + 1) / 2;
        (bool ok, uint256[] memory out) = probe.opening(pokes, slots(SC_FIRST, 14));
        check(ok, "accepted");
        (uint256[] memory scalars, uint256 generator) = OpeningReference.folds(p);
        for (uint256 j = 0; j < folds; j++) {
            equal(out[j], scalars[j], "fold");
        }
        uint256 first = scalars[0];
        uint256[] memory where = new uint256[](4);
        (where[0], where[1], where[2], where[3]) = (V_GENERATOR, SC_WO, SC_WO + 32, SC_T);
        (, out) = probe.opening(pokes, where);
        equal(out[0], scalar(seed, 8).add(generator), "generator");
        equal(out[1] % R, uint256(0).sub(p.rho), "Wo");
        equal(out[2], p.rho.mul(p.zeta), "Wo'");
        equal(out[3] % R, uint256(0).sub(first.mul(p.beta)), "T");

        rowScalars(p, first);
        modelScalars(p, first.mul(p.gamma));
    }

    function rowScalars(OpeningReference.Proof memory p, uint256 first) private view {
        uint256 count = 1 << (p.witnessBits - p.m);
        uint256 start = p.x.length - p.witnessBits;
        (, uint256[] memory out) = probe.opening(pokes, slots(ROW_SCALARS, count + 1));
        for (uint256 b = 0; b < count; b++) {
            equal(out[b], first.mul(OpeningReference.eq(p, start, p.witnessBits - p.m, b)), "witness row");
        }
        equal(out[count], first.mul(p.gamma.sqr()), "mask");
    }

    function modelScalars(OpeningReference.Proof memory p, uint256 scale) private view {
        uint256 count = 1 << (p.modelBits - p.m);
        uint256 start = p.x.length - p.modelBits;
        (, uint256[] memory out) = probe.opening(pokes, slots(KEY_SCALARS + 9 * 32, count));
        for (uint256 b = 0; b < count; b++) {
            equal(out[b], scale.mul(OpeningReference.eq(p, start, p.modelBits - p.m, b)), "model row");
        }
    }

    function testFuzzOpeningNotReduced(bytes32 seed, uint256 index) external {
        OpeningReference.Proof memory p = opening(seed);
        index %= p.values.length;
        (bool ok,) = probe.opening(pokes, new uint256[](0));
        check(ok, "accepted");
        put(0x3900 + 32 * index, p.values[index] + R);
        (ok,) = probe.opening(pokes, new uint256[](0));
        check(!ok, "refused");
    }

    /// @dev Points that fall together: z = 0, and zeta among the points of a fold.
    function testFuzzOpeningDegenerate(bytes32 seed, uint256 index) external {
        OpeningReference.Proof memory p = opening(seed);
        (bool ok,) = probe.opening(pokes, new uint256[](0));
        check(ok, "accepted");
        put(CH_FOLD, 0);
        (ok,) = probe.opening(pokes, new uint256[](0));
        check(!ok, "z = 0");
        put(CH_FOLD, p.z);
        uint256 j = index % ((p.m + 1) / 2);
        uint256 root = uint256(7).pow((R - 1) / (2 * j + 1 == p.m ? 2 : 4)).pow(index >> 8);
        put(CH_ZETA, p.z.pow(4 ** j).mul(root));
        (ok,) = probe.opening(pokes, new uint256[](0));
        check(!ok, "zeta among the points");
    }
}
