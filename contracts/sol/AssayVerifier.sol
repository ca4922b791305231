// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { Create3 } from "@openzeppelin/contracts/utils/Create3.sol";
import { CoreOpening } from "./CoreOpening.sol";
import "./Frame.sol";
import { Halo2Verifier } from "./Halo2Verifier.sol";
import { IAssayVerifier } from "./IAssayVerifier.sol";
import { NamedStacks } from "./NamedStacks.sol";
import { PublicValues } from "./PublicValues.sol";
import { VerifyingKey } from "./VerifyingKey.sol";

/// @title The verifier of settlement proofs. No owner, no upgrade, no funds.
/// @notice A proof, in words of 32 bytes (points take two):
///   rows of given stacks | witness rows, mask | zeta, gamma, e, x
///   Halo2: a0..a5, z, random, h0..h3 | 21 evaluations (EV_* in Frame.sol) | W, W'
///   opening: beta | fold commitments | their values | Wo, Wo'
contract AssayVerifier is IAssayVerifier {
    /// @notice Whether keys with development powers of tau can be registered: true only in tests and demonstrations.
    bool public immutable acceptsDevelopmentSrs;

    bytes32 private constant CONTEXT_DOMAIN = keccak256("assay.context.v1");

    constructor(bool acceptDevelopmentSrs) {
        acceptsDevelopmentSrs = acceptDevelopmentSrs;
    }

    /// @inheritdoc IAssayVerifier
    function register(bytes calldata key) external returns (bytes32 modelId) {
        modelId = keccak256(key);
        if (keyOf(modelId) != address(0)) return modelId;
        bool development = VerifyingKey.validate(key);
        if (development && !acceptsDevelopmentSrs) revert DevelopmentSrs();
        // Creation code that returns what follows it: a zero byte (STOP) and the key.
        bytes memory creation = abi.encodePacked(hex"61", uint16(key.length + 1), hex"80600a5f395ff3", hex"00", key);
        // The address follows from the id, so that verification needs no storage.
        emit Registered(modelId, Create3.deploy(0, modelId, creation), development);
    }

    /// @inheritdoc IAssayVerifier
    function keyOf(bytes32 modelId) public view returns (address data) {
        data = Create3.computeAddress(modelId);
        if (data.code.length == 0) data = address(0);
    }

    /// @inheritdoc IAssayVerifier
    function verify(bytes32 modelId, bytes calldata publicValues, bytes32 context, bytes calldata proof)
        external
        view
        returns (bool)
    {
        _requireCanonical(4, publicValues, proof);
        return _verify(modelId, publicValues, context, proof);
    }

    /// @inheritdoc IAssayVerifier
    function contextFor(address consumer, bytes32 job, address recipient) public view returns (bytes32) {
        return keccak256(abi.encode(CONTEXT_DOMAIN, block.chainid, consumer, job, recipient));
    }

    /// @inheritdoc IAssayVerifier
    function submit(bytes32 modelId, bytes calldata publicValues, bytes32 job, address recipient, bytes calldata proof)
        external
    {
        _requireCanonical(5, publicValues, proof);
        if (!_verify(modelId, publicValues, contextFor(address(this), job, recipient), proof)) revert InvalidProof();
        emit Verified(modelId, job, recipient, keccak256(publicValues));
    }

    /// @dev Reverts unless the call data is what an encoder makes of its arguments: the two byte strings directly behind the
    /// `words` words of the head, padding zero, nothing behind. So no byte of a valid call can be changed or added.
    function _requireCanonical(uint256 words, bytes calldata publicValues, bytes calldata proof) private pure {
        bool canonical;
        assembly ("memory-safe") {
            canonical := eq(publicValues.offset, add(0x24, shl(5, words)))
            let rest := and(publicValues.length, 31)
            let end := add(publicValues.offset, publicValues.length)
            if rest {
                canonical := and(canonical, iszero(shr(shl(3, rest), calldataload(end))))
                end := add(end, sub(32, rest))
            }
            canonical := and(canonical, eq(proof.offset, add(end, 0x20)))
            // A valid proof is made of words, so it has no padding.
            canonical := and(canonical, eq(calldatasize(), add(proof.offset, proof.length)))
        }
        if (!canonical) revert NonCanonicalCalldata();
    }

    /// @dev The check behind `verify` and `submit`.
    function _verify(bytes32 modelId, bytes calldata publicValues, bytes32 context, bytes calldata proof)
        private
        view
        returns (bool valid)
    {
        address data = Create3.computeAddress(modelId);
        uint256 size = data.code.length;
        if (size == 0) revert UnknownModel(modelId);
        valid = Frame.load(data, size, proof) && _check(modelId, publicValues, context, proof);
        // A call that runs out of gas must not look like an invalid proof.
        if (!valid && gasleft() < Frame.FAILURE_RESERVE) revert InsufficientGas();
    }

    /// @dev Everything after key and proof are in memory.
    function _check(bytes32 modelId, bytes calldata publicValues, bytes32 context, bytes calldata proof)
        private
        view
        returns (bool ok)
    {
        uint256 state = Frame.hashStatement(modelId, context, keccak256(publicValues));
        bool stacks = NamedStacks.listed();
        if (stacks) {
            (ok, publicValues) = NamedStacks.identify(publicValues, proof);
            if (!ok) return false;
        }
        if (!_publicInstance(publicValues)) return false;

        // All challenges first, so that all inversions take one modular exponentiation.
        (ok, state) = Halo2Verifier.challenges(state);
        if (!ok || !CoreOpening.challenges(state)) return false;
        if (!Halo2Verifier.denominators()) return false;
        if (!Frame.invertAll(CoreOpening.denominators())) return false;

        Halo2Verifier.scalars(Halo2Verifier.quotient());
        if (!CoreOpening.scalars()) return false;
        if (stacks) NamedStacks.scalars();
        return _checkPairing(stacks);
    }

    /// @dev Evaluates the public values at zeta into the instance behind it.
    function _publicInstance(bytes calldata publicValues) private pure returns (bool ok) {
        uint256 zetaAt;
        uint256 tensors;
        uint256 zeta;
        assembly ("memory-safe") {
            zetaAt := add(mload(P_INSTANCES), 0x20)
            zeta := mload(zetaAt)
            tensors := mload(KEY_TENSORS)
        }
        uint256 sum;
        (ok, sum) = PublicValues.evaluate(publicValues, KEY_RANGES, tensors, zeta);
        assembly ("memory-safe") {
            mstore(add(zetaAt, 0x20), sum)
        }
    }

    /// @dev e(L + rho Lo, [1]_2) = e(W' + rho Wo', [tau]_2), where the scalars of L and rho Lo have been written.
    /// @param stacks Whether there are rows of named stacks.
    function _checkPairing(bool stacks) private view returns (bool) {
        uint256 advice;
        uint256 w;
        uint256 wo;
        assembly ("memory-safe") {
            advice := mload(P_ADVICE)
            w := mload(P_W)
            wo := mload(P_WO)
            // The right side, negated: (0, 0) stays what it is.
            mcopy(MSM_SUM, add(w, 0x40), 0x40)
        }
        if (!Frame.addProducts(wo + 0x40, CH_RHO, 1)) return false;
        uint256 rows;
        uint256 rowScalars;
        uint256 fixedPoints;
        uint256 keyScalars;
        uint256 folds;
        uint256 foldValues;
        assembly ("memory-safe") {
            mstore(PAIR_POINT, mload(MSM_SUM))
            mstore(add(PAIR_POINT, 0x20), mod(sub(Q, mload(add(MSM_SUM, 0x20))), Q))
            // The left side starts with a0, whose scalar is 1.
            mcopy(MSM_SUM, advice, 0x40)
            mstore(GENERATOR, 1)
            mstore(add(GENERATOR, 0x20), 2)
            rows := mload(P_ROWS)
            rowScalars := mload(P_ROW_SCALARS)
            keyScalars := mload(P_KEY_SCALARS)
            fixedPoints := mload(P_FIXED)
            folds := mload(P_FOLDS)
            foldValues := mload(P_FOLD_VALUES)
        }
        unchecked {
            return Frame.addProducts(advice + 0x40, SC_ADVICE + 0x20, 11)
                && Frame.addRows(rows, rowScalars, (keyScalars - rowScalars) / 32)
                && Frame.addProducts(fixedPoints, keyScalars, (rows - 0x80 - fixedPoints) / 64)
                && Frame.addProducts(w, SC_W, 2) && Frame.addProducts(folds, SC_FOLDS, (foldValues - folds) / 64)
                && Frame.addProducts(wo, SC_WO, 2) && Frame.addProducts(KEY_T, SC_T, 1)
                && (!stacks || NamedStacks.addGiven()) && Frame.addProducts(GENERATOR, V_GENERATOR, 1)
                && Frame.pairing();
        }
    }
}
