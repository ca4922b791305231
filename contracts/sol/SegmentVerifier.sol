// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IAssayVerifier } from "./IAssayVerifier.sol";
import { ISegmentVerifier } from "./ISegmentVerifier.sol";

/// @title Settled proofs of the segments of one model, as one. No owner, no upgrade, no funds, no storage.
contract SegmentVerifier is ISegmentVerifier {
    /// @inheritdoc ISegmentVerifier
    IAssayVerifier public immutable verifier;

    uint256 private constant MAX_SEGMENTS = 64;
    bytes32 private constant PLAN_DOMAIN = keccak256("assay.plan.v1");

    constructor(IAssayVerifier verifier_) {
        verifier = verifier_;
    }

    /// @inheritdoc ISegmentVerifier
    function planId(Segment[] calldata plan) public pure returns (bytes32) {
        return keccak256(abi.encode(PLAN_DOMAIN, plan));
    }

    /// @inheritdoc ISegmentVerifier
    function verify(Segment[] calldata plan, bytes[] calldata publicValues, bytes32 context, bytes[] calldata proofs)
        external
        view
        returns (bool)
    {
        return _verify(plan, publicValues, context, proofs);
    }

    /// @inheritdoc ISegmentVerifier
    function submit(
        Segment[] calldata plan,
        bytes[] calldata publicValues,
        bytes32 job,
        address recipient,
        bytes[] calldata proofs
    ) external {
        bytes32 context = verifier.contextFor(address(this), job, recipient);
        if (!_verify(plan, publicValues, context, proofs)) revert InvalidProofs();
        emit SegmentsVerified(planId(plan), job, recipient, keccak256(abi.encode(publicValues)));
    }

    /// @dev Cheap comparisons come first: no proof is checked of segments that do not hang together.
    function _verify(Segment[] calldata plan, bytes[] calldata publicValues, bytes32 context, bytes[] calldata proofs)
        private
        view
        returns (bool)
    {
        uint256 count = plan.length;
        if (count < 2 || count > MAX_SEGMENTS) revert InvalidPlan(count);
        if (publicValues.length != count || proofs.length != count) return false;
        if (!_joined(plan, publicValues)) return false;
        for (uint256 k = 0; k < count; k++) {
            if (!verifier.verify(plan[k].modelId, publicValues[k], context, proofs[k])) return false;
        }
        return true;
    }

    /// @dev Whether all segments that name a boundary are about the same stack.
    function _joined(Segment[] calldata plan, bytes[] calldata publicValues) private pure returns (bool same) {
        uint256 count = plan.length;
        bytes32[] memory written = new bytes32[](count);
        same = true;
        for (uint256 k = 0; k < count; k++) {
            bytes calldata boundaries = plan[k].boundaries;
            bytes calldata ids = publicValues[k];
            if (ids.length < 32 * boundaries.length) return false;
            bool reads = k == 0;
            bool writes = k == count - 1;
            for (uint256 i = 0; i < boundaries.length; i++) {
                uint256 boundary = uint8(boundaries[i]);
                bytes32 id = bytes32(ids[32 * i:32 * i + 32]);
                if (boundary < k) {
                    reads = true;
                    same = same && written[boundary] == id;
                } else if (boundary == k && !writes) {
                    writes = true;
                    written[k] = id;
                } else {
                    revert InvalidPlan(k);
                }
            }
            if (!reads || !writes) revert InvalidPlan(k);
        }
    }
}
