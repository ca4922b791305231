// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

// The memory of one verification. `Frame.load` fills it, `Halo2Verifier` and `CoreOpening` work in it. Addresses are
// absolute. What lies below is the compiler's (scratch space, variables that do not fit the stack); the frame is the first
// allocation of its call, and `Frame.load` checks that nothing has been allocated before. Scalars are reduced (below R)
// unless a comment says otherwise.
//
// from    to      what
// 0x0600  0x0780  operands of the precompiles: MSM_*, MODEXP, PAIR_*
// 0x0780  0x0a40  a hash state, then the 21 evaluations of the Halo2 proof: EV_*
// 0x0a40  0x0ba0  challenges: CH_*
// 0x0ba0  0x0da0  values and addresses worked out on the way: V_*, P_*
// 0x0da0  0x11e0  denominators, then their inverses (at most 6 + 2 * 14): INVERSES, INV_*
// 0x11e0  0x1200  where the rows of given stacks begin: P_GIVEN
// 0x1200  0x1640  PREFIXES of the batch inversion; then scalars of the final sum: SC_*
// 0x1640  ...     the verifying key: KEY, KEY_*; then the hash input and the proof; then the tables of P_FOLDING,
//                 P_ROW_SCALARS and P_KEY_SCALARS; then, for keys with named stacks, P_GIVEN

/// @dev Order of the scalar field of BN254.
uint256 constant R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;
/// @dev Multiples of R, for subtractions without reduction. 5 R is below 2^256, 6 R is not.
uint256 constant TWO_R = 0x60c89ce5c263405370a08b6d0302b0ba5067d090f372e12287c3eb27e0000002;
uint256 constant THREE_R = 0x912ceb58a394e07d28f0d12384840917789bb8d96d2c51b3cba5e0bbd0000003;
/// @dev Order of the base field of BN254.
uint256 constant Q = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47;

/// @dev Multi-scalar multiplication: the sum so far, then one product's operand (x, y, scalar).
uint256 constant MSM_SUM = 0x600;
uint256 constant MSM_POINT = 0x640;
uint256 constant MSM_SCALAR = 0x680;

/// @dev Operands of the modular exponentiation: three lengths, base, exponent, modulus.
uint256 constant MODEXP = 0x600;

/// @dev Pairing: (MSM_SUM, generator of G2) and (PAIR_POINT, PAIR_TAU). The generator of G1 waits where PAIR_TAU will be.
uint256 constant PAIR_GENERATOR = 0x640;
uint256 constant PAIR_POINT = 0x6c0;
uint256 constant PAIR_TAU = 0x700;
uint256 constant GENERATOR = 0x700;

/// @dev Evaluations, in the proof's order: advice columns at X, the first three at omega X, fixed columns, the random
/// polynomial, permutation columns, the permutation product at X and omega X.
uint256 constant EV_STATE = 0x780;
uint256 constant EV_A0 = 0x7a0;
uint256 constant EV_A1 = 0x7c0;
uint256 constant EV_A2 = 0x7e0;
uint256 constant EV_A3 = 0x800;
uint256 constant EV_A4 = 0x820;
uint256 constant EV_A5 = 0x840;
uint256 constant EV_N0 = 0x860;
uint256 constant EV_N1 = 0x880;
uint256 constant EV_N2 = 0x8a0;
uint256 constant EV_FULL = 0x8c0;
uint256 constant EV_BOTH = 0x8e0;
uint256 constant EV_PARTIAL = 0x900;
uint256 constant EV_C0 = 0x920;
uint256 constant EV_C1 = 0x940;
uint256 constant EV_C2 = 0x960;
uint256 constant EV_RANDOM = 0x980;
uint256 constant EV_SIGMA0 = 0x9a0;
uint256 constant EV_SIGMA1 = 0x9c0;
uint256 constant EV_SIGMA2 = 0x9e0;
uint256 constant EV_Z = 0xa00;
uint256 constant EV_Z_NEXT = 0xa20;
uint256 constant EV_END = 0xa40;

/// @dev Challenges of the Halo2 proof: beta and gamma of the permutation, y of the constraints, X, then SHPLONK's: for
/// polynomials (y'), for sets of points (v) and the point (u).
uint256 constant CH_BETA = 0xa40;
uint256 constant CH_GAMMA = 0xa60;
uint256 constant CH_Y = 0xa80;
uint256 constant CH_X = 0xaa0;
uint256 constant CH_POLYNOMIALS = 0xac0;
uint256 constant CH_SETS = 0xae0;
uint256 constant CH_U = 0xb00;
/// @dev Challenges of the opening: z, nu, zeta (of the batch) and rho, which joins both checks.
uint256 constant CH_FOLD = 0xb20;
uint256 constant CH_NU = 0xb40;
uint256 constant CH_ZETA = 0xb60;
uint256 constant CH_RHO = 0xb80;

/// @dev X^n.
uint256 constant V_X_TO_N = 0xba0;
/// @dev omega X.
uint256 constant V_X_NEXT = 0xbc0;
/// @dev Numerators of the instance evaluation and of l_blind.
uint256 constant V_INSTANCE = 0xbe0;
uint256 constant V_BLIND = 0xc00;
/// @dev The scalar of the generator in the final sum.
uint256 constant V_GENERATOR = 0xc20;

/// @dev Addresses of tables behind the proof: the folds', scalars of the rows and mask, scalars of the key's points.
uint256 constant P_FOLDING = 0xc40;
uint256 constant P_ROW_SCALARS = 0xc60;
uint256 constant P_KEY_SCALARS = 0xc80;
/// @dev Addresses: witness rows; instances; advice commitments (also the end of the instances); W; fold commitments;
/// evaluations of the folds; Wo; fixed commitments.
uint256 constant P_ROWS = 0xca0;
uint256 constant P_INSTANCES = 0xcc0;
uint256 constant P_ADVICE = 0xce0;
uint256 constant P_W = 0xd00;
uint256 constant P_FOLDS = 0xd20;
uint256 constant P_FOLD_VALUES = 0xd40;
uint256 constant P_WO = 0xd60;
uint256 constant P_FIXED = 0xd80;

/// @dev Denominators and their inverses: six of the Halo2 proof, then two for each fold.
uint256 constant INVERSES = 0xda0;
uint256 constant INV_INSTANCES = 0xda0;
uint256 constant INV_FIRST = 0xdc0;
uint256 constant INV_LAST = 0xde0;
uint256 constant INV_BLIND = 0xe00;
uint256 constant INV_VANISHING = 0xe20;
uint256 constant INV_STEP = 0xe40;
uint256 constant INV_FOLDS = 0xe60;
/// @dev Address, for keys with named stacks, of the first given stack: four words, then its rows; the other stacks follow.
uint256 constant P_GIVEN = 0x11e0;
uint256 constant PREFIXES = 0x1200;

/// @dev Scalars: of the 12 commitments from a0 on; W, W'; that of C, which is not a point of the proof, and then those of the
/// fold commitments (at most 13); Wo, Wo'; T.
uint256 constant SC_ADVICE = 0x1200;
uint256 constant SC_W = 0x1380;
uint256 constant SC_FIRST = 0x13c0;
uint256 constant SC_FOLDS = 0x13e0;
uint256 constant SC_WO = 0x1580;
uint256 constant SC_T = 0x15c0;

/// @dev The key's header and the ranges behind it.
uint256 constant KEY = 0x1640;
uint256 constant KEY_K = 0x16a0;
uint256 constant KEY_OMEGA = 0x16c0;
uint256 constant KEY_ROUNDS = 0x16e0;
uint256 constant KEY_ROW_BITS = 0x1700;
uint256 constant KEY_WITNESS_BITS = 0x1720;
uint256 constant KEY_MODEL_BITS = 0x1740;
uint256 constant KEY_TENSORS = 0x1760;
uint256 constant KEY_T = 0x1780;
uint256 constant KEY_TAU = 0x17c0;
uint256 constant KEY_RANGES = 0x1840;

/// @title The memory of one verification, and what both halves of the verifier do with it.
library Frame {
    /// @dev keccak256("assay.settle.v1").
    bytes32 internal constant DOMAIN = keccak256("assay.settle.v1");

    /// @dev Gas limits of precompile calls: several times today's prices, so that a rise does no harm, and low enough
    /// that an invalid point, which burns all of it, costs little.
    uint256 private constant EC_ADD_GAS = 2_000;
    uint256 private constant EC_MUL_GAS = 40_000;
    uint256 private constant MODEXP_GAS = 50_000;
    uint256 private constant PAIRING_GAS = 500_000;

    /// @dev Below this after a failed check, a precompile call may have failed for lack of gas: a call that gets less
    /// than its limit leaves at most a 63rd of the limit behind (EIP-150). Room is left for what runs after the call.
    uint256 internal constant FAILURE_RESERVE = PAIRING_GAS / 63 + 4_000;

    /// @dev Copies key and proof into memory and works out where things lie. The key was validated when it was stored.
    /// @param data The key's data contract, of `size` bytes.
    /// @return ok Whether the proof has the length the key asks for. If not, nothing else may be called.
    function load(address data, uint256 size, bytes calldata proof) internal view returns (bool ok) {
        assembly ("memory-safe") {
            // The frame's addresses are absolute.
            if gt(mload(0x40), MSM_SUM) { revert(0, 0) }
            extcodecopy(data, KEY, 1, sub(size, 1))

            let fixedPoints := add(KEY_RANGES, mul(0x60, mload(KEY_TENSORS)))
            let rowBits := mload(KEY_ROW_BITS)
            let rows := shl(sub(mload(KEY_WITNESS_BITS), rowBits), 1)
            let modelRows := shl(sub(mload(KEY_MODEL_BITS), rowBits), 1)
            // Bytes of the given rows in the proof.
            let given := 0
            if eq(mload(KEY), 2) {
                // The named stacks stand behind the ranges; pinned rows behind the model's.
                let entry := add(fixedPoints, 0x20)
                for { fixedPoints := add(entry, mul(0x60, mload(fixedPoints))) } lt(entry, fixedPoints) {
                    entry := add(entry, 0x60)
                } {
                    let stackRows := shl(sub(mload(add(entry, 0x20)), rowBits), 1)
                    switch mload(entry)
                    case 0 { given := add(given, shl(6, stackRows)) }
                    default { modelRows := add(modelRows, stackRows) }
                }
            }
            mstore(P_FIXED, fixedPoints)
            let folds := shr(1, add(rowBits, 1))

            // Statement: domain, model, context, hash of the public values, rows and mask. Then a word for the hash, D,
            // and the instances, of which the proof sends all but D and the public evaluation.
            let next := add(add(fixedPoints, shl(6, add(modelRows, 9))), 0x80)
            mstore(P_ROWS, next)
            let head := shl(6, add(rows, 1))
            next := add(next, head)
            // Behind the word of the hash: D, zeta, the public evaluation.
            mstore(P_INSTANCES, add(next, 0x20))
            let tail := add(next, 0x80)
            let advice := add(tail, shl(5, add(mload(KEY_ROUNDS), 2)))
            mstore(P_ADVICE, advice)
            // 12 commitments and 21 evaluations, W, W', beta, folds.
            let w := add(advice, 0x5a0)
            mstore(P_W, w)
            mstore(P_FOLDS, add(w, 0xa0))
            let foldValues := add(w, add(0x60, shl(6, folds)))
            mstore(P_FOLD_VALUES, foldValues)
            // Three values a fold, two fewer if the last one takes one coordinate.
            let wo := add(foldValues, sub(mul(0x60, folds), shl(6, and(rowBits, 1))))
            mstore(P_WO, wo)
            let end := add(wo, 0x80)

            mstore(P_FOLDING, end)
            mstore(P_ROW_SCALARS, add(end, mul(0xa0, folds)))
            let keyScalars := add(end, add(mul(0xa0, folds), shl(5, add(rows, 1))))
            mstore(P_KEY_SCALARS, keyScalars)
            let behind := add(keyScalars, shl(5, add(modelRows, 9)))
            mstore(P_GIVEN, behind)
            // Room for the given rows, with four words for each stack, of which there are at most 16.
            if given { behind := add(add(behind, given), 0x800) }
            mstore(0x40, behind)

            // The proof: given rows, which are copied elsewhere; rows, mask and zeta; everything behind zeta.
            ok := eq(proof.length, add(add(given, add(head, 0x20)), sub(end, tail)))
            if ok {
                let from := add(proof.offset, given)
                calldatacopy(sub(next, head), from, add(head, 0x20))
                mstore(add(next, 0x40), mload(next))
                calldatacopy(tail, add(add(from, head), 0x20), sub(end, tail))
                // The evaluations once more, at fixed addresses.
                mcopy(EV_A0, add(advice, 0x300), 0x2a0)
            }
        }
    }

    /// @dev Hashes the statement into the word before the instances and derives the instance D.
    /// @param publicDigest Keccak hash of the public values.
    /// @return state The first state of the transcript.
    function hashStatement(bytes32 modelId, bytes32 context, bytes32 publicDigest)
        internal
        pure
        returns (uint256 state)
    {
        bytes32 domain = DOMAIN;
        assembly ("memory-safe") {
            let start := sub(mload(P_ROWS), 0x80)
            mstore(start, domain)
            mstore(add(start, 0x20), modelId)
            mstore(add(start, 0x40), context)
            mstore(add(start, 0x60), publicDigest)
            let instances := mload(P_INSTANCES)
            state := keccak256(start, sub(sub(instances, 0x20), start))
            mstore(instances, mod(state, R))
        }
    }

    /// @dev One step of the transcript: absorbs memory from `start` to `end` (not empty) and returns the next state.
    function absorb(uint256 state, uint256 start, uint256 end) internal pure returns (uint256 next) {
        assembly ("memory-safe") {
            // The state is hashed from the word before, which is put back.
            start := sub(start, 0x20)
            let saved := mload(start)
            mstore(start, state)
            next := keccak256(start, sub(end, start))
            mstore(start, saved)
        }
    }

    /// @dev One step of the transcript with nothing absorbed.
    function squeeze(uint256 state) internal pure returns (uint256 next) {
        assembly ("memory-safe") {
            mstore(0x00, state)
            mstore8(0x20, 1)
            next := keccak256(0x00, 0x21)
        }
    }

    /// @dev Stores the challenge that goes with a state.
    function storeChallenge(uint256 slot, uint256 state) internal pure {
        assembly ("memory-safe") {
            mstore(slot, mod(state, R))
        }
    }

    /// @dev Replaces the words from INVERSES to `end` (an even number up to 34, not reduced) by their inverses mod R.
    /// @return ok False if one of them is zero.
    function invertAll(uint256 end) internal view returns (bool ok) {
        assembly ("memory-safe") {
            // PREFIXES[i] is the product of all words before the i-th. Two words at a time.
            let product := 1
            for { let p := INVERSES } lt(p, end) { p := add(p, 0x40) } {
                mstore(add(p, sub(PREFIXES, INVERSES)), product)
                product := mulmod(product, mload(p), R)
                mstore(add(p, add(sub(PREFIXES, INVERSES), 0x20)), product)
                product := mulmod(product, mload(add(p, 0x20)), R)
            }
            // product^(R - 2); the result is checked, so nothing is taken on trust from the precompile.
            mstore(MODEXP, 0x20)
            mstore(add(MODEXP, 0x20), 0x20)
            mstore(add(MODEXP, 0x40), 0x20)
            mstore(add(MODEXP, 0x60), product)
            mstore(add(MODEXP, 0x80), sub(R, 2))
            mstore(add(MODEXP, 0xa0), R)
            ok := staticcall(MODEXP_GAS, 5, MODEXP, 0xc0, 0x00, 0x20)
            let inverse := mload(0x00)
            ok := and(ok, eq(mulmod(inverse, product, R), 1))
            for { let p := end } gt(p, INVERSES) { } {
                p := sub(p, 0x40)
                let word := mload(add(p, 0x20))
                mstore(add(p, 0x20), mulmod(inverse, mload(add(p, add(sub(PREFIXES, INVERSES), 0x20))), R))
                inverse := mulmod(inverse, word, R)
                word := mload(p)
                mstore(p, mulmod(inverse, mload(add(p, sub(PREFIXES, INVERSES))), R))
                inverse := mulmod(inverse, word, R)
            }
        }
    }

    /// @dev Writes `scale` times eq(x, b) for all b in {0,1}^bits to memory from `table` on, where x are the `bits` words
    /// from `point` on and the first coordinate goes with the most significant bit of b.
    function equalityTable(uint256 table, uint256 point, uint256 bits, uint256 scale) internal pure {
        assembly ("memory-safe") {
            mstore(table, scale)
            // Each coordinate splits every entry in two, from the last to the first.
            for { let size := 0x20 } bits { bits := sub(bits, 1) } {
                let x := mload(point)
                point := add(point, 0x20)
                let to := add(table, shl(1, size))
                for { let from := add(table, size) } gt(from, table) { } {
                    from := sub(from, 0x20)
                    to := sub(to, 0x40)
                    let entry := mload(from)
                    let high := mulmod(entry, x, R)
                    mstore(to, addmod(entry, sub(R, high), R))
                    mstore(add(to, 0x20), high)
                }
                size := shl(1, size)
            }
        }
    }

    /// @dev Adds scalar_i point_i to MSM_SUM, for `count` points and scalars (any 256-bit words) from the two addresses on.
    /// @return ok False if a point or MSM_SUM is not on the curve, or a coordinate is not reduced.
    function addProducts(uint256 points, uint256 scalars, uint256 count) internal view returns (bool ok) {
        assembly ("memory-safe") {
            ok := 1
            for { let end := add(scalars, shl(5, count)) } and(ok, lt(scalars, end)) { } {
                mcopy(MSM_POINT, points, 0x40)
                mstore(MSM_SCALAR, mload(scalars))
                ok := staticcall(EC_MUL_GAS, 7, MSM_POINT, 0x60, MSM_POINT, 0x40)
                ok := and(ok, staticcall(EC_ADD_GAS, 6, MSM_SUM, 0x80, MSM_SUM, 0x40))
                scalars := add(scalars, 0x20)
                points := add(points, 0x40)
            }
        }
    }

    /// @dev As `addProducts`, for points that may be at infinity: the rows of a witness that nothing is laid out in. An addition checks
    /// MSM_SUM even so.
    function addRows(uint256 points, uint256 scalars, uint256 count) internal view returns (bool ok) {
        assembly ("memory-safe") {
            ok := 1
            for { let end := add(scalars, shl(5, count)) } and(ok, lt(scalars, end)) { } {
                mcopy(MSM_POINT, points, 0x40)
                if or(mload(MSM_POINT), mload(add(MSM_POINT, 0x20))) {
                    mstore(MSM_SCALAR, mload(scalars))
                    ok := staticcall(EC_MUL_GAS, 7, MSM_POINT, 0x60, MSM_POINT, 0x40)
                }
                ok := and(ok, staticcall(EC_ADD_GAS, 6, MSM_SUM, 0x80, MSM_SUM, 0x40))
                scalars := add(scalars, 0x20)
                points := add(points, 0x40)
            }
        }
    }

    /// @dev Whether e(MSM_SUM, [1]_2) = e(PAIR_POINT negated, [tau]_2); PAIR_TAU is filled here.
    function pairing() internal view returns (bool ok) {
        assembly ("memory-safe") {
            // EIP-197: imaginary part first.
            mstore(PAIR_GENERATOR, 0x198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2)
            mstore(add(PAIR_GENERATOR, 0x20), 0x1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed)
            mstore(add(PAIR_GENERATOR, 0x40), 0x090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b)
            mstore(add(PAIR_GENERATOR, 0x60), 0x12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa)
            mcopy(PAIR_TAU, KEY_TAU, 0x80)
            mstore(0x00, 0)
            ok := staticcall(PAIRING_GAS, 8, MSM_SUM, 0x180, 0x00, 0x20)
            ok := and(ok, eq(mload(0x00), 1))
        }
    }
}
