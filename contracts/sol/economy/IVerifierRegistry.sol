// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

/// @title Which verifiers may release rewards.
/// @notice Append-only. An entry is one key of one model in one verifier contract. Its id is
///   keccak256(abi.encode(verifier, codeHash, settlementId, modelId, srsHash)),
/// so nothing behind an id can change. An entry ends for good, never by replacement: the guardian tombstones it, or anybody
/// stops its verifier by proving the impossible claim. Whoever adds an entry has to know that the verifier's code is that of an
/// honest verifier: a proxy would be pinned with its code, not with what stands behind it.
interface IVerifierRegistry {
    /// @notice What `entry` returns.
    struct Entry {
        address verifier;
        /// Inferences in one proof.
        uint32 batch;
        /// Public values of one inference: the input's, then the output's. Derived from the key. The ids of stacks that are given
        /// with each proof count with the input, four values each.
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
    /// @notice What the key shows is not one input and one output for each inference of the batch. The output is a public tensor;
    /// the input is another public tensor, or ids of given stacks (as many for each inference), or for a batch of one both.
    error PublicTensors();
    /// @notice The first entry of this model with the same powers of tau and length of a row pins other weights.
    error OtherWeights(bytes32 modelId, bytes32 expected, bytes32 got);
    /// @notice Batch, work or model id is zero.
    error BadEntry();
    /// @notice The verifier has been stopped for these powers of tau, or its code is not what it was.
    error SetupEnded(address verifier, bytes32 srsHash);
    /// @notice The key is not the canary graph's: its program, sizes or range are others.
    error BadCanary();
    error CanaryExists();
    error NoCanary();
    /// @notice The last public value is not 1, or the proof is not valid.
    error NotImpossible();

    /// @notice Adds an entry. Restricted: the curator. Keys with development powers of tau are refused, with
    /// `IAssayVerifier.DevelopmentSrs`, on every chain but the local one (31337); keys whose settlement no transaction can hold with
    /// `SettlementSize.TooLarge`.
    function add(address verifier, bytes32 settlementId, bytes32 modelId, uint32 batch, uint64 workUnits)
        external
        returns (bytes32 verifierId);

    /// @notice Ends an entry for good; one that has ended stays as it is. Restricted: the guardian.
    function tombstone(bytes32 verifierId) external;

    /// @notice Names the canary of a verifier and of the powers of tau of `settlementId`: the key of the canary graph, which has
    /// one public output that is always 0, in a range that also holds 1. Once for each pair. The contract checks that program,
    /// sizes and range are the canonical ones; that the key's commitments are those of that program follows from the powers of tau
    /// alone, and is for everybody to recompute. Whoever names a key with other commitments can end all entries of the
    /// pair, so naming is for those who can end entries anyway. Restricted: the admin, so by vote; deploying names the first.
    function setCanary(address verifier, bytes32 settlementId) external;

    /// @notice Stops a verifier with a proof that the canary's output is 1, made for the context
    /// `IAssayVerifier.contextFor(this registry, "assay.impossible", this registry)`.
    /// @param publicValues The canary's public values; the last one must be 1.
    function stop(address verifier, bytes32 srsHash, bytes calldata publicValues, bytes calldata proof) external;

    /// @notice The canary of a verifier and powers of tau (0: none), and whether they have been stopped.
    function canaryOf(address verifier, bytes32 srsHash) external view returns (bytes32 settlementId, bool stopped);

    /// @notice Whether proofs for this id may release rewards: it was added, has no tombstone, its verifier was not stopped for
    /// its powers of tau, and the verifier's code is what it was. False for an unknown id.
    function isActive(bytes32 verifierId) external view returns (bool);

    /// @notice The entry; reverts with `UnknownVerifier` if there is none.
    function entry(bytes32 verifierId) external view returns (Entry memory);

    /// @notice What paying for a proof needs, in one cheap call. All zero for an unknown id.
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

    /// @notice Most bytes and gas of a transaction that settles a full batch; reverts with `UnknownVerifier` if there is no entry.
    function settlement(bytes32 verifierId) external view returns (uint256 bytes_, uint256 gas);

    /// @notice How many named stacks come with each proof, whose ids are the first public values; reverts with `UnknownVerifier` if
    /// there is no entry. The same number of public values can be ids, integers or some of each.
    function givenStacks(bytes32 verifierId) external view returns (uint256);

    /// @notice All ids in the order of their addition.
    function count() external view returns (uint256);
    function idAt(uint256 index) external view returns (bytes32);
}
