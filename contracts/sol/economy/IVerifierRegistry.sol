// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

/// @title Which verifiers may release rewards.
/// @notice Append-only. An entry is one key of one model in one verifier contract. Its id is
///   keccak256(abi.encode(verifier, codeHash, settlementId, modelId, srsHash)),
/// so nothing behind an id can change. An entry ends for good, never by replacement: the guardian tombstones it, or anybody
/// stops its verifier by proving the impossible claim.
interface IVerifierRegistry {
    /// @notice Two slots are all that paying for a proof reads.
    struct Entry {
        address verifier;
        /// Inferences in one proof.
        uint32 batch;
        /// Public values of one inference: the input's, then the output's. Derived from the key.
        uint32 inputValues;
        uint32 outputValues;
        /// The verifier contract's model id: Keccak of the key.
        bytes32 settlementId;
        /// Identity of graph and weights off chain; cannot be derived from the key, so it is checked during the timelock's delay.
        bytes32 modelId;
        /// Keccak of [tau]_2 (four words, as in the key). Derived from the key.
        bytes32 srsHash;
        /// Keccak of the verifier contract's code. Derived.
        bytes32 codeHash;
        /// Keccak of the key's commitments to the rows of the model. Derived from the key.
        bytes32 weightCommitment;
        /// Multiply-adds of the integer graph for one inference.
        uint64 workUnits;
        uint64 addedAt;
    }

    event Added(
        bytes32 indexed verifierId,
        bytes32 indexed modelId,
        address indexed verifier,
        bytes32 settlementId,
        uint64 workUnits
    );
    event Tombstoned(bytes32 indexed verifierId);
    event CanarySet(address indexed verifier, bytes32 indexed srsHash, bytes32 settlementId);
    /// @notice The impossible was proven: every entry with this verifier and these powers of tau has ended.
    event Stopped(address indexed verifier, bytes32 indexed srsHash, address by);

    error AlreadyAdded(bytes32 verifierId);
    error UnknownVerifier(bytes32 verifierId);
    error NoKey(address verifier, bytes32 settlementId);
    /// @notice The key's public tensors are not one input and one output, or their sizes are no multiple of the batch.
    error PublicTensors();
    error BadEntry();
    error CanaryExists();
    error NoCanary();
    error NotImpossible();

    /// @notice Adds an entry. Restricted: the timelock.
    function add(address verifier, bytes32 settlementId, bytes32 modelId, uint32 batch, uint64 workUnits)
        external
        returns (bytes32 verifierId);

    /// @notice Ends an entry for good. Restricted: the guardian.
    function tombstone(bytes32 verifierId) external;

    /// @notice Names the canary of a verifier and of the powers of tau of `settlementId`: a key of the canary graph, which has
    /// one public output that is always 0, in a range that also holds 1. Once for each pair. Restricted: the timelock.
    function setCanary(address verifier, bytes32 settlementId) external;

    /// @notice Stops a verifier with a proof that the canary's output is 1, made for the context
    /// `IAssayVerifier.contextFor(this registry, "assay.impossible", this registry)`.
    /// @param publicValues The canary's public values; the last one must be 1.
    function stop(address verifier, bytes32 srsHash, bytes calldata publicValues, bytes calldata proof) external;

    /// @notice Whether proofs for this id may release rewards.
    function isActive(bytes32 verifierId) external view returns (bool);

    /// @notice The entry; reverts with `UnknownVerifier` if there is none.
    function entry(bytes32 verifierId) external view returns (Entry memory);

    /// @notice What paying for a proof needs, in one cheap call.
    function terms(bytes32 verifierId)
        external
        view
        returns (
            bool active,
            address verifier,
            bytes32 settlementId,
            uint32 batch,
            uint32 inputValues,
            uint32 outputValues,
            uint64 workUnits
        );

    /// @notice All ids in the order of their addition.
    function count() external view returns (uint256);
    function idAt(uint256 index) external view returns (bytes32);
}
