// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import "./Frame.sol";

/// @title The opening half of the verifier: the combined row of the core proof has value e at the low coordinates of x.
/// @notice Rows of witness and model are combined by eq of the high coordinates, and masked:
///   C = sum_b eq(witness high, b) row_b + gamma sum_b eq(model high, b) model_b + gamma^2 S - beta [tau^(2^m)]_1.
/// Gemini folds (Bootle, Chiesa, Hu, Orru 2022) of two coordinates each turn the claim about C into univariate ones:
///   P_j(X) = sum_(i < 4) X^i p_i(X^4),
///   P_(j+1) = (1 - t0)(1 - t1) p_0 + t0 (1 - t1) p_1 + (1 - t0) t1 p_2 + t0 t1 p_3,
/// with t0 the last and t1 the next to last coordinate not yet used; if m is odd, the last fold takes one coordinate. P_j is
/// opened at z_j = z^(4^j) times all fourth roots of unity: three values are sent, and the one at z_j follows from
/// P_(j+1)(z_(j+1)), starting with the claim. SHPLONK (ePrint 2020/081, section 4.1) batches these openings:
///   L = sum_j s_j [P_j] - Wo + zeta Wo' - (sum_j s_j l_j(zeta)) [1]_1,  s_j = nu^j / (zeta^4 - z_(j+1)),
/// where l_j interpolates P_j at its four points. The check is e(L, [1]_2) = e(Wo', [tau]_2). It is joined to the one of
/// `Halo2Verifier` by the factor rho, which is part of all scalars written here.
///
/// The order of calls is `challenges`, `denominators`, `Frame.invertAll`, `scalars`.
library CoreOpening {
    /// @dev A primitive fourth root of unity: 7^((R - 1) / 4).
    uint256 private constant I = 0x30644e72e131a029048b6e193fd841045cea24f6fd736bec231204708f703636;

    /// @notice Draws the challenges, from W' of the Halo2 proof to Wo'.
    /// @return ok Whether beta is reduced.
    function challenges(uint256 state) internal pure returns (bool ok) {
        uint256 start;
        uint256 values;
        uint256 wo;
        assembly ("memory-safe") {
            start := add(mload(P_W), 0x40)
            values := mload(P_FOLD_VALUES)
            wo := mload(P_WO)
            ok := lt(mload(add(start, 0x40)), R)
        }
        // W', beta and the folds; then their values.
        state = Frame.absorb(state, start, values);
        Frame.storeChallenge(CH_FOLD, state);
        state = Frame.absorb(state, values, wo);
        Frame.storeChallenge(CH_NU, state);
        state = Frame.absorb(state, wo, wo + 0x40);
        Frame.storeChallenge(CH_ZETA, state);
        state = Frame.absorb(state, wo + 0x40, wo + 0x80);
        Frame.storeChallenge(CH_RHO, state);
    }

    // A row of the table at P_FOLDING, 0xa0 bytes, for arity 4 (or 2):
    // 0x00  z
    // 0x20  (1 - t0) z
    // 0x40  (1 - t1) z^2  (unused)
    // 0x60  4 z^3 (2 z)
    // 0x80  rho nu^j

    /// @notice Fills the table of the folds and writes two denominators for each:
    /// ((1 - t0) z + t0) ((1 - t1) z^2 + t1) and 4 z^3 (zeta^4 - z^4); for arity 2, (1 - t0) z + t0 and 2 z (zeta^2 - z^2).
    /// @return end The end of all denominators.
    function denominators() internal pure returns (uint256 end) {
        assembly ("memory-safe") {
            let zeta4 := mload(CH_ZETA)
            zeta4 := mulmod(zeta4, zeta4, R)
            zeta4 := mulmod(zeta4, zeta4, R)
            let power := mload(CH_RHO)
            let z := mload(CH_FOLD)
            let table := mload(P_FOLDING)
            let bits := mload(KEY_ROW_BITS)
            let x := sub(mload(P_ADVICE), 0x20)
            end := INV_FOLDS

            for { } gt(bits, 1) { bits := sub(bits, 2) } {
                mstore(table, z)
                mstore(add(table, 0x80), power)
                power := mulmod(power, mload(CH_NU), R)
                let t0 := mload(x)
                let t1 := mload(sub(x, 0x20))
                x := sub(x, 0x40)
                let low := mulmod(add(1, sub(R, t0)), z, R)
                mstore(add(table, 0x20), low)
                let z2 := mulmod(z, z, R)
                let high := mulmod(add(1, sub(R, t1)), z2, R)
                mstore(add(table, 0x40), high)
                mstore(end, mulmod(add(low, t0), add(high, t1), R))
                let scale := mulmod(shl(1, z2), shl(1, z), R)
                mstore(add(table, 0x60), scale)
                z := mulmod(z2, z2, R)
                mstore(add(end, 0x20), mulmod(scale, add(zeta4, sub(R, z)), R))
                table := add(table, 0xa0)
                end := add(end, 0x40)
            }
            if bits {
                mstore(table, z)
                mstore(add(table, 0x80), power)
                let t0 := mload(x)
                let low := mulmod(add(1, sub(R, t0)), z, R)
                mstore(add(table, 0x20), low)
                mstore(end, add(low, t0))
                mstore(add(table, 0x60), shl(1, z))
                let zeta := mload(CH_ZETA)
                mstore(add(end, 0x20), mulmod(shl(1, z), add(mulmod(zeta, zeta, R), sub(R, mulmod(z, z, R))), R))
                end := add(end, 0x40)
            }
        }
    }

    /// @notice Works through the folds from the last to the first and writes the scalars of rho L: SC_FOLDS, SC_WO, SC_T,
    /// those at P_ROW_SCALARS and those of the model rows at P_KEY_SCALARS. Adds to V_GENERATOR.
    /// @return ok Whether the values of the folds are reduced.
    function scalars() internal pure returns (bool ok) {
        uint256 first;
        (ok, first) = _folds();

        uint256 rowBits;
        uint256 witnessBits;
        uint256 modelBits;
        uint256 point;
        uint256 rowScalars;
        uint256 modelScalars;
        uint256 gamma;
        assembly ("memory-safe") {
            let rho := mload(CH_RHO)
            mstore(SC_WO, sub(R, rho))
            mstore(add(SC_WO, 0x20), mulmod(rho, mload(CH_ZETA), R))
            // -beta [tau^(2^m)]_1; beta stands before the fold commitments.
            mstore(SC_T, sub(R, mulmod(first, mload(sub(mload(P_FOLDS), 0x20)), R)))
            gamma := mload(add(mload(P_INSTANCES), 0x60))
            rowBits := mload(KEY_ROW_BITS)
            witnessBits := mload(KEY_WITNESS_BITS)
            modelBits := mload(KEY_MODEL_BITS)
            point := mload(P_ADVICE)
            rowScalars := mload(P_ROW_SCALARS)
            modelScalars := add(mload(P_KEY_SCALARS), 0x120)
            mstore(add(rowScalars, shl(sub(witnessBits, rowBits), 0x20)), mulmod(first, mulmod(gamma, gamma, R), R))
            gamma := mulmod(first, gamma, R)
        }
        unchecked {
            Frame.equalityTable(rowScalars, point - 32 * witnessBits, witnessBits - rowBits, first);
            Frame.equalityTable(modelScalars, point - 32 * modelBits, modelBits - rowBits, gamma);
        }
    }

    /// @dev The loop of `scalars`.
    /// @return ok Whether the values of the folds are reduced.
    /// @return first The scalar of C: rho s_0.
    function _folds() private pure returns (bool ok, uint256 first) {
        assembly ("memory-safe") {
            let bad := 0
            // The value at z^4 of the fold after the one at hand: the claim e at the start.
            let value := mload(add(mload(P_INSTANCES), 0x80))
            let values := mload(P_WO)
            // From the m-th last coordinate of x on: t1 and t0 of the last fold, and so on.
            let x := sub(mload(P_ADVICE), shl(5, mload(KEY_ROW_BITS)))
            // The rows of fold j: table + 0xa0 j, SC_FIRST + 0x20 j for its scalar, INV_FOLDS + 0x40 j for its inverses.
            let folds := shr(1, add(mload(KEY_ROW_BITS), 1))
            let table := add(mload(P_FOLDING), mul(0xa0, folds))
            let to := add(SC_FIRST, shl(5, folds))

            if and(mload(KEY_ROW_BITS), 1) {
                values := sub(values, 0x20)
                table := sub(table, 0xa0)
                to := sub(to, 0x20)
                let inverses := add(shl(1, sub(to, SC_FIRST)), INV_FOLDS)
                let e1 := mload(values)
                bad := gt(e1, sub(R, 1))
                // 2 z P_(j+1)(z^2) = (low + t0) P_j(z) + (low - t0) P_j(-z), low = (1 - t0) z
                value := mulmod(value, mload(add(table, 0x60)), R)
                value := add(value, sub(R, mulmod(add(mload(add(table, 0x20)), sub(R, mload(x))), e1, R)))
                value := mulmod(value, mload(inverses), R)
                x := add(x, 0x20)
                // 2 z l(zeta) = (P_j(z) + P_j(-z)) z + (P_j(z) - P_j(-z)) zeta
                let line := mulmod(add(value, e1), mload(table), R)
                line := add(line, mulmod(add(value, sub(R, e1)), mload(CH_ZETA), R))
                let factor := mulmod(mload(add(table, 0x80)), mload(add(inverses, 0x20)), R)
                mstore(V_GENERATOR, addmod(mload(V_GENERATOR), sub(R, mulmod(factor, line, R)), R))
                first := mulmod(factor, mload(add(table, 0x60)), R)
                mstore(to, first)
            }
            for { } gt(to, SC_FIRST) { } {
                values := sub(values, 0x60)
                table := sub(table, 0xa0)
                to := sub(to, 0x20)
                // The values at i z, -z, -i z; then e1 + e3 and i (e3 - e1).
                let sum := mload(values)
                let e2 := mload(add(values, 0x20))
                let turned := mload(add(values, 0x40))
                bad := or(bad, or(or(gt(sum, sub(R, 1)), gt(turned, sub(R, 1))), gt(e2, sub(R, 1))))
                {
                    let difference := mulmod(I, add(turned, sub(R, sum)), R)
                    sum := add(sum, turned)
                    turned := difference
                }
                // With a, b = (1 - t0) z, t0 and c, d = (1 - t1) z^2, t1:
                // 4 z^3 P_(j+1)(z^4) = (c + d) ((a + b) e0 + (a - b) e2) + (c - d) (a (e1 + e3) + b i (e3 - e1)).
                {
                    let t1 := mload(x)
                    let t0 := mload(add(x, 0x20))
                    x := add(x, 0x40)
                    let low := mload(add(table, 0x20))
                    let high := mload(add(table, 0x40))
                    value := mulmod(value, mload(add(table, 0x60)), R)
                    value := add(value, sub(R, mulmod(add(high, t1), mulmod(add(low, sub(R, t0)), e2, R), R)))
                    high := mulmod(add(high, sub(R, t1)), add(mulmod(low, sum, R), mulmod(t0, turned, R)), R)
                    value := mulmod(add(value, sub(R, high)), mload(add(shl(1, sub(to, SC_FIRST)), INV_FOLDS)), R)
                }
                // 4 z^3 l(zeta) = E_0 z^3 + E_1 z^2 zeta + E_2 z zeta^2 + E_3 zeta^3 with E_k = sum_i i^(-ik) e_i:
                // E_0, E_2 = e0 + e2 +- (e1 + e3) and E_1, E_3 = e0 - e2 +- i (e3 - e1).
                {
                    let z := mload(table)
                    let zeta := mload(CH_ZETA)
                    let odd := add(value, sub(R, e2))
                    e2 := add(value, e2)
                    let cubic := mulmod(add(odd, sub(R, turned)), zeta, R)
                    cubic := mulmod(add(cubic, mulmod(add(e2, sub(TWO_R, sum)), z, R)), zeta, R)
                    let power := mulmod(z, z, R)
                    cubic := mulmod(add(cubic, mulmod(add(odd, turned), power, R)), zeta, R)
                    cubic := add(cubic, mulmod(add(e2, sum), mulmod(power, z, R), R))
                    let factor :=
                        mulmod(mload(add(table, 0x80)), mload(add(shl(1, sub(to, SC_FIRST)), add(INV_FOLDS, 0x20))), R)
                    mstore(V_GENERATOR, addmod(mload(V_GENERATOR), sub(R, mulmod(factor, cubic, R)), R))
                    first := mulmod(factor, mload(add(table, 0x60)), R)
                }
                mstore(to, first)
            }
            ok := iszero(bad)
        }
    }
}
