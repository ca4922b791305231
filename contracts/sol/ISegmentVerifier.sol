// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IAssayVerifier } from "./IAssayVerifier.sol";

/// @title A model that is proven in segments (docs/protocol.md, segments).
/// @notice A *plan* lists the settlement ids of all segments in order and says which boundaries the first given stacks of a
/// segment's key are; stacks of inputs and outputs of the whole come behind them. Boundary k, counted from zero, is what segment k
/// writes and later ones read; the stacks at a boundary are the same if their ids are. A settlement id says what a key's stacks hold but not which of them are outputs: whether a plan is that of the
/// network somebody has in mind is checked off chain, as for ids, by whoever chooses to trust the plan's id.
interface ISegmentVerifier {
    /// @param modelId The settlement id of the segment.
    /// @param boundaries For each boundary among the given stacks of its key, which are the first ones, in order, one byte: its
    /// number.
    struct Segment {
        bytes32 modelId;
        bytes boundaries;
    }

    /// @notice Proofs of all segments were accepted. `publicDigest` is the Keccak hash of the ABI encoding of all public values.
    event SegmentsVerified(
        bytes32 indexed planId, bytes32 indexed job, address indexed recipient, bytes32 publicDigest
    );

    /// @notice Not a plan: fewer than 2 or more than 64 segments, or a segment that reads a boundary which no earlier one writes,
    /// reads none, or writes none but is not the last. `segment` is its number, or how many there are.
    error InvalidPlan(uint256 segment);

    /// @notice The proofs are none of this plan, these public values and this purpose.
    error InvalidProofs();

    /// @notice What checks the proofs.
    function verifier() external view returns (IAssayVerifier);

    /// @notice The hash of a plan, which is what a consumer trusts.
    function planId(Segment[] calldata plan) external pure returns (bytes32);

    /// @notice Checks one proof for each segment, all of one context, and that they are about the same boundaries. False for
    /// every invalid proof; reverts for what is no plan and for settlement ids that are not registered.
    /// @param publicValues Of each segment, as `IAssayVerifier.verify` takes them: the ids of its stacks come first.
    function verify(Segment[] calldata plan, bytes[] calldata publicValues, bytes32 context, bytes[] calldata proofs)
        external
        view
        returns (bool);

    /// @notice Checks proofs whose context is that of this contract as consumer, and emits `SegmentsVerified`; reverts with
    /// `InvalidProofs` if they are not valid. Keeps no record: the same proofs can be submitted again.
    function submit(
        Segment[] calldata plan,
        bytes[] calldata publicValues,
        bytes32 job,
        address recipient,
        bytes[] calldata proofs
    ) external;
}
