// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import "./Frame.sol";

/// @title The Halo2 half of the verifier: the settlement circuit with PLONK's permutation argument over KZG and SHPLONK
/// (ePrint 2020/081).
/// @notice The circuit is fixed: three state columns a0, a1, a2 with Poseidon rounds and algebra gates, and three columns
/// a3, a4, a5 in the permutation. Everything that differs from key to key is data in the frame: domain, number of
/// instances, commitments.
///
/// The order of calls is `challenges`, `denominators`, `Frame.invertAll`, `scalars`, the final sum of the caller. It checks
/// e(L, [1]_2) = e(W', [tau]_2) with
///   L = sum_(set 0) y'^j C_j + f sum_(set 1) y'^j C_j - g [1]_1 - (u - X)(u - omega X) W + u W',  f = v (u - omega X).
///
/// Arithmetic: sums and differences are left unreduced where the bound in units of R is at most 5 (6 R overflows);
/// bounds are noted as "< 4 R" where they are not plain.
library Halo2Verifier {
    /// @dev The MDS matrix of Poseidon of width 3 over BN254, as circomlib has it.
    uint256 private constant M00 = 0x109b7f411ba0e4c9b2b70caf5c36a7b194be7c11ad24378bfedb68592ba8118b;
    uint256 private constant M01 = 0x16ed41e13bb9c0c66ae119424fddbcbc9314dc9fdbdeea55d6c64543dc4903e0;
    uint256 private constant M02 = 0x2b90bba00fca0589f617e7dcbfe82e0df706ab640ceb247b791a93b74e36736d;
    uint256 private constant M10 = 0x2969f27eed31a480b9c36c764379dbca2cc8fdd1415c3dded62940bcde0bd771;
    uint256 private constant M11 = 0x2e2419f9ec02ec394c9871c832963dc1b89d743c8c7b964029b2311687b1fe23;
    uint256 private constant M12 = 0x101071f0032379b697315876690f053d148d4e109f5fb065c8aacc55a0f89bfa;
    uint256 private constant M20 = 0x143021ec686a3f330d5f9e654638065ce6cd79e28c5b3753326244ee65a1b1a7;
    uint256 private constant M21 = 0x176cc029695ad02582a70eff08a6fd99d057e12e58e7d7b6b16cdfabc8ee2911;
    uint256 private constant M22 = 0x19a3fc0a56702bf417ba7fee3802593fa644470307043f7773279cd71d25d5e0;

    /// @dev Generators of the cosets of the permutation argument: 7^(2^28) and its square.
    uint256 private constant DELTA = 0x09226b6e22c6f0ca64ec26aad4c86e715b5f898e5e963f25870e56bbe533e9a2;
    uint256 private constant DELTA_SQUARED = 0x13b360d4e82fe915fed16081038f98c211427b87a281bd733c277dbadf10372b;

    /// @dev -1/2 modulo R.
    uint256 private constant MINUS_HALF = 0x183227397098d014dc2822db40c0ac2e9419f4243cdcb848a1f0fac9f8000000;

    /// @notice Draws the challenges, from the instances to W.
    /// @param state The state after the statement.
    /// @return ok Whether the evaluations are reduced.
    /// @return next The state; W' is still to be absorbed.
    function challenges(uint256 state) internal pure returns (bool ok, uint256 next) {
        uint256 advice;
        uint256 instances;
        uint256 w;
        assembly ("memory-safe") {
            advice := mload(P_ADVICE)
            instances := mload(P_INSTANCES)
            w := mload(P_W)
            let bad := 0
            for { let p := EV_A0 } lt(p, EV_END) { p := add(p, 0x60) } {
                bad := or(bad, gt(mload(p), sub(R, 1)))
                bad := or(bad, gt(mload(add(p, 0x20)), sub(R, 1)))
                bad := or(bad, gt(mload(add(p, 0x40)), sub(R, 1)))
            }
            ok := iszero(bad)
        }
        // Instances and a0..a5; a challenge for lookups, of which there are none, is drawn and not used.
        state = Frame.squeeze(Frame.absorb(state, instances, advice + 0x180));
        Frame.storeChallenge(CH_BETA, state);
        state = Frame.squeeze(state);
        Frame.storeChallenge(CH_GAMMA, state);
        // z and the random polynomial.
        state = Frame.absorb(state, advice + 0x180, advice + 0x200);
        Frame.storeChallenge(CH_Y, state);
        // h0..h3.
        state = Frame.absorb(state, advice + 0x200, advice + 0x300);
        Frame.storeChallenge(CH_X, state);
        state = Frame.absorb(state, EV_A0, EV_END);
        Frame.storeChallenge(CH_POLYNOMIALS, state);
        state = Frame.squeeze(state);
        Frame.storeChallenge(CH_SETS, state);
        next = Frame.absorb(state, w, w + 0x40);
        Frame.storeChallenge(CH_U, next);
    }

    /// @notice Writes the six denominators, powers of X and the numerators that go with them.
    /// @dev L_i(X) = (X^n - 1) / n * omega^i / (X - omega^i), which for i = n - j is (X^n - 1) / n / (omega^j X - 1). The sums
    /// over instances and over blinding rows are kept as fractions: s + a / d = (s' d + a d') / (d' d) for s = s' / d'.
    /// @return ok Whether the instances are reduced.
    function denominators() internal pure returns (bool ok) {
        assembly ("memory-safe") {
            let x := mload(CH_X)
            let omega := mload(KEY_OMEGA)

            {
                let power := x
                let k := mload(KEY_K)
                for { } gt(k, 1) { k := sub(k, 2) } {
                    power := mulmod(power, power, R)
                    power := mulmod(power, power, R)
                }
                if k { power := mulmod(power, power, R) }
                mstore(V_X_TO_N, power)
                mstore(INV_VANISHING, add(power, sub(R, 1)))
            }
            {
                let numerator := 0
                let denominator := 1
                let root := 1
                let bad := 0
                let end := mload(P_ADVICE)
                for { let p := mload(P_INSTANCES) } lt(p, end) { p := add(p, 0x20) } {
                    let instance := mload(p)
                    bad := or(bad, gt(instance, sub(R, 1)))
                    let factor := add(x, sub(R, root))
                    numerator := add(mulmod(numerator, factor, R), mulmod(mulmod(instance, root, R), denominator, R))
                    denominator := mulmod(denominator, factor, R)
                    root := mulmod(root, omega, R)
                }
                ok := iszero(bad)
                mstore(V_INSTANCE, numerator)
                mstore(INV_INSTANCES, denominator)
            }
            // Rows n - 1 to n - 5 are blinded, row n - 6 is the last of the permutation argument.
            let next := mulmod(omega, x, R)
            mstore(V_X_NEXT, next)
            {
                let numerator := 0
                let denominator := 1
                let shifted := next
                for { let j := 5 } j { j := sub(j, 1) } {
                    let factor := add(shifted, sub(R, 1))
                    numerator := add(mulmod(numerator, factor, R), denominator)
                    denominator := mulmod(denominator, factor, R)
                    shifted := mulmod(shifted, omega, R)
                }
                mstore(V_BLIND, numerator)
                mstore(INV_BLIND, denominator)
                mstore(INV_LAST, add(shifted, sub(R, 1)))
            }
            mstore(INV_FIRST, add(x, sub(R, 1)))
            mstore(INV_STEP, add(next, sub(R, x)))
        }
    }

    /// @notice Evaluates the constraints at X and divides by X^n - 1: what h must be at X.
    /// @dev The constraints are folded with powers of y, the first one highest. Each gate's selector is a common factor.
    function quotient() internal pure returns (uint256 value) {
        uint256 scale;
        uint256 instance;
        assembly ("memory-safe") {
            // (X^n - 1) / n, with 1 / n = -(R - 1) / n: no division, since n divides R - 1.
            scale := mulmod(add(mload(V_X_TO_N), sub(R, 1)), sub(R, shr(mload(KEY_K), sub(R, 1))), R)
            instance := mulmod(mulmod(mload(V_INSTANCE), mload(INV_INSTANCES), R), scale, R)
        }
        value = _gates(instance);
        value = _permutation(value, scale);
        assembly ("memory-safe") {
            value := mulmod(value, mload(INV_VANISHING), R)
        }
    }

    /// @dev Full rounds, partial rounds, algebra and Boolean rows: constraints 0 to 17.
    function _gates(uint256 instance) private pure returns (uint256 value) {
        uint256 y;
        uint256 y6;
        // Full rounds, F = A (1 - B): a3, a4, a5 are the squares of the S-boxes' inputs.
        assembly ("memory-safe") {
            y := mload(CH_Y)
            y6 := mulmod(y, y, R)
            y6 := mulmod(mulmod(y6, y6, R), y6, R)

            let s0 := add(mload(EV_A0), mload(EV_C0))
            let s1 := add(mload(EV_A1), mload(EV_C1))
            let s2 := add(mload(EV_A2), mload(EV_C2))
            let a3 := mload(EV_A3)
            let a4 := mload(EV_A4)
            let a5 := mload(EV_A5)
            let sum := add(a3, sub(R, mulmod(s0, s0, R)))
            sum := add(mulmod(sum, y, R), add(a4, sub(R, mulmod(s1, s1, R))))
            sum := add(mulmod(sum, y, R), add(a5, sub(R, mulmod(s2, s2, R))))
            s0 := mulmod(mulmod(a3, a3, R), s0, R)
            s1 := mulmod(mulmod(a4, a4, R), s1, R)
            s2 := mulmod(mulmod(a5, a5, R), s2, R)
            // < R + R + 3 R
            let row := add(add(mulmod(M00, s0, R), mulmod(M01, s1, R)), mulmod(M02, s2, R))
            sum := add(mulmod(sum, y, R), add(mload(EV_N0), sub(THREE_R, row)))
            row := add(add(mulmod(M10, s0, R), mulmod(M11, s1, R)), mulmod(M12, s2, R))
            sum := add(mulmod(sum, y, R), add(mload(EV_N1), sub(THREE_R, row)))
            row := add(add(mulmod(M20, s0, R), mulmod(M21, s1, R)), mulmod(M22, s2, R))
            sum := add(mulmod(sum, y, R), add(mload(EV_N2), sub(THREE_R, row)))
            let selector := mulmod(mload(EV_FULL), add(1, sub(R, mload(EV_BOTH))), R)
            value := mulmod(selector, sum, R)
        }
        // Two partial rounds in one row, S: a3 = d0^2, a4 = d0^5, a5 = d1^2.
        assembly ("memory-safe") {
            let a1 := mload(EV_A1)
            let a2 := mload(EV_A2)
            let a4 := mload(EV_A4)
            let d := add(mload(EV_A0), mload(EV_C0))
            let sum := add(mload(EV_A3), sub(R, mulmod(d, d, R)))
            sum := add(mulmod(sum, y, R), add(a4, sub(R, mulmod(mulmod(mload(EV_A3), mload(EV_A3), R), d, R))))
            // The state after the first of them.
            let s0 := add(add(mulmod(M00, a4, R), mulmod(M01, a1, R)), mulmod(M02, a2, R))
            let s1 := addmod(add(mulmod(M10, a4, R), mulmod(M11, a1, R)), mulmod(M12, a2, R), R)
            let s2 := addmod(add(mulmod(M20, a4, R), mulmod(M21, a1, R)), mulmod(M22, a2, R), R)
            d := add(s0, mload(EV_C1))
            s0 := mod(s0, R)
            sum := add(mulmod(sum, y, R), add(mload(EV_A5), sub(R, mulmod(d, d, R))))
            d := mulmod(mulmod(mload(EV_A5), mload(EV_A5), R), d, R)
            // c2 chooses whether the second one counts: next = s + c2 (v - s), v - s < 4 R.
            let c2 := mload(EV_C2)
            let v := add(add(mulmod(M00, d, R), mulmod(M01, s1, R)), mulmod(M02, s2, R))
            v := add(sub(R, mulmod(c2, add(v, sub(R, s0)), R)), sub(R, s0))
            sum := add(mulmod(sum, y, R), add(mload(EV_N0), v))
            v := add(add(mulmod(M10, d, R), mulmod(M11, s1, R)), mulmod(M12, s2, R))
            v := add(sub(R, mulmod(c2, add(v, sub(R, s1)), R)), sub(R, s1))
            sum := add(mulmod(sum, y, R), add(mload(EV_N1), v))
            v := add(add(mulmod(M20, d, R), mulmod(M21, s1, R)), mulmod(M22, s2, R))
            v := add(sub(R, mulmod(c2, add(v, sub(R, s2)), R)), sub(R, s2))
            sum := add(mulmod(sum, y, R), add(mload(EV_N2), v))
            value := add(mulmod(value, y6, R), mulmod(mload(EV_PARTIAL), sum, R))
        }
        // Absorbing, instances: H = B (1 - A^2). Then algebra, Boolean rows: B A.
        assembly ("memory-safe") {
            let y2 := mulmod(y, y, R)
            let a := mload(EV_FULL)
            let a0 := mload(EV_A0)
            let c2 := mload(EV_C2)
            let sum := add(mload(EV_N0), sub(R, a0))
            sum := add(mulmod(sum, y, R), add(mload(EV_N1), sub(TWO_R, add(mload(EV_A1), mulmod(c2, mload(EV_A3), R)))))
            sum := add(mulmod(sum, y, R), add(mload(EV_N2), sub(TWO_R, add(mload(EV_A2), mulmod(c2, mload(EV_A4), R)))))
            {
                let terms :=
                    add(add(mulmod(mload(EV_C0), mload(EV_A1), R), mulmod(mload(EV_C1), mload(EV_A2), R)), instance)
                sum := add(mulmod(sum, y, R), add(mload(EV_A5), sub(THREE_R, terms)))
            }
            {
                let selector := mulmod(mload(EV_BOTH), add(1, sub(R, mulmod(a, a, R))), R)
                value := add(mulmod(value, mulmod(y2, y2, R), R), mulmod(selector, sum, R))
            }
            // E + A a5 - (A + 1) n0 / 2, with E = a0 + c0 a3 a4 + c1 a3 + c2; then (A - 1) n0.
            sum := mulmod(add(mulmod(mload(EV_C0), mload(EV_A4), R), mload(EV_C1)), mload(EV_A3), R)
            sum := addmod(add(add(sum, a0), c2), mulmod(a, mload(EV_A5), R), R)
            sum := add(sum, mulmod(mulmod(add(a, 1), MINUS_HALF, R), mload(EV_N0), R))
            sum := add(mulmod(sum, y, R), mulmod(add(a, sub(R, 1)), mload(EV_N0), R))
            value := add(mulmod(value, y2, R), mulmod(mulmod(mload(EV_BOTH), a, R), sum, R))
        }
    }

    /// @dev Constraints 18 to 20. `scale` is (X^n - 1) / n.
    function _permutation(uint256 gates, uint256 scale) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            let y := mload(CH_Y)
            let z := mload(EV_Z)
            let first := mulmod(mload(INV_FIRST), scale, R)
            let last := mulmod(mload(INV_LAST), scale, R)
            value := add(mulmod(gates, y, R), mulmod(first, add(1, sub(R, z)), R))
            value := add(mulmod(value, y, R), mulmod(last, mulmod(z, add(z, sub(R, 1)), R), R))
            // 1 - l_last - l_blind < 3 R
            let blind := mulmod(mulmod(mload(V_BLIND), mload(INV_BLIND), R), scale, R)
            let active := add(1, sub(TWO_R, add(last, blind)))

            let beta := mload(CH_BETA)
            let shifted := mulmod(beta, mload(CH_X), R)
            let column := add(mload(EV_A3), mload(CH_GAMMA))
            let left := mulmod(mload(EV_Z_NEXT), add(column, mulmod(beta, mload(EV_SIGMA0), R)), R)
            let right := mulmod(z, add(column, shifted), R)
            column := add(mload(EV_A4), mload(CH_GAMMA))
            left := mulmod(left, add(column, mulmod(beta, mload(EV_SIGMA1), R)), R)
            right := mulmod(right, add(column, mulmod(DELTA, shifted, R)), R)
            column := add(mload(EV_A5), mload(CH_GAMMA))
            left := mulmod(left, add(column, mulmod(beta, mload(EV_SIGMA2), R)), R)
            right := mulmod(right, add(column, mulmod(DELTA_SQUARED, shifted, R)), R)
            value := addmod(mulmod(value, y, R), mulmod(add(left, sub(R, right)), active, R), R)
        }
    }

    /// @notice Writes the scalars of L: SC_ADVICE, SC_W and the first nine at P_KEY_SCALARS. Puts -g into V_GENERATOR.
    /// @param h The value of `quotient`.
    function scalars(uint256 h) internal pure {
        assembly ("memory-safe") {
            let batch := mload(CH_POLYNOMIALS)
            let u := mload(CH_U)
            let fromNext := add(u, sub(R, mload(V_X_NEXT)))
            let fromX := add(u, sub(R, mload(CH_X)))
            mstore(SC_W, sub(R, mulmod(fromX, fromNext, R)))
            mstore(add(SC_W, 0x20), u)

            // Set 0: a0, a1, a2, z at X and omega X. Lines from values at X to values at omega X, at u.
            let square := mulmod(batch, batch, R)
            let power := mulmod(square, batch, R)
            mstore(SC_ADVICE, 1)
            mstore(add(SC_ADVICE, 0x20), batch)
            mstore(add(SC_ADVICE, 0x40), square)
            mstore(add(SC_ADVICE, 0xc0), power)
            let constants :=
                add(
                    add(mload(EV_A0), mulmod(batch, mload(EV_A1), R)),
                    add(mulmod(square, mload(EV_A2), R), mulmod(power, mload(EV_Z), R))
                )
            let next :=
                add(
                    add(mload(EV_N0), mulmod(batch, mload(EV_N1), R)),
                    add(mulmod(square, mload(EV_N2), R), mulmod(power, mload(EV_Z_NEXT), R))
                )
            constants := mod(constants, R)
            // next + R - constants < 5 R
            constants := add(constants, mulmod(add(next, sub(R, constants)), mulmod(fromX, mload(INV_STEP), R), R))

            // Set 1 at X: a3, a4, a5, then the key's nine columns, h, random. `power` is f y'^j.
            power := mulmod(mload(CH_SETS), fromNext, R)
            mstore(add(SC_ADVICE, 0x60), power)
            let sum := mulmod(power, mload(EV_A3), R)
            power := mulmod(power, batch, R)
            mstore(add(SC_ADVICE, 0x80), power)
            sum := add(sum, mulmod(power, mload(EV_A4), R))
            power := mulmod(power, batch, R)
            mstore(add(SC_ADVICE, 0xa0), power)
            sum := add(sum, mulmod(power, mload(EV_A5), R))
            constants := addmod(constants, sum, R)

            let to := mload(P_KEY_SCALARS)
            for { let from := EV_FULL } lt(from, EV_Z) {
                from := add(from, 0x20)
                to := add(to, 0x20)
            } {
                // The random polynomial's value stands between the two groups of columns.
                if eq(from, EV_RANDOM) { from := EV_SIGMA0 }
                power := mulmod(power, batch, R)
                mstore(to, power)
                constants := addmod(constants, mulmod(power, mload(from), R), R)
            }
            power := mulmod(power, batch, R)
            constants := add(constants, mulmod(power, h, R))
            mstore(add(SC_ADVICE, 0xe0), mulmod(power, batch, R))
            constants := addmod(constants, mulmod(mulmod(power, batch, R), mload(EV_RANDOM), R), R)
            mstore(V_GENERATOR, sub(R, constants))

            // h = h0 + X^n h1 + X^2n h2 + X^3n h3.
            let xn := mload(V_X_TO_N)
            mstore(add(SC_ADVICE, 0x100), power)
            power := mulmod(power, xn, R)
            mstore(add(SC_ADVICE, 0x120), power)
            power := mulmod(power, xn, R)
            mstore(add(SC_ADVICE, 0x140), power)
            mstore(add(SC_ADVICE, 0x160), mulmod(power, xn, R))
        }
    }
}
