// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

/// @title Settlement of Assay proofs.
/// @notice A model is a verifying key for one network, batch size and visibility of its tensors. Its id is the Keccak
/// hash of the key. The contract proves statements relative to an id: whether the id belongs to the network somebody
/// has in mind (the key follows from its graph, its weights are in range, its powers of tau come from a ceremony) is
/// checked off chain, by whoever chooses to trust the id.
interface IAssayVerifier {
    /// @notice A key is stored. `developmentSrs`: its powers of tau have a public secret, and anybody can forge proofs.
    event Registered(bytes32 indexed modelId, address data, bool developmentSrs);

    /// @notice A proof was accepted. `publicDigest` is the Keccak hash of the public values.
    event Verified(bytes32 indexed modelId, bytes32 indexed job, address indexed recipient, bytes32 publicDigest);

    /// @notice The key does not follow the format; `word` is the index of the first word that is wrong.
    error InvalidKey(uint256 word);

    /// @notice The key was made with development powers of tau, which this deployment does not accept.
    error DevelopmentSrs();

    /// @notice No key is registered under this id.
    error UnknownModel(bytes32 modelId);

    /// @notice The proof is not valid for this model, public values, job, recipient, contract and chain.
    error InvalidProof();

    /// @notice The call data is valid but not the one encoding of its arguments (gaps, padding or trailing bytes).
    error NonCanonicalCalldata();

    /// @notice The gas given may be why the check failed. Never raised for a valid proof with enough gas.
    error InsufficientGas();

    /// @notice Stores a verifying key; anybody may. A key that is already stored is left as it is.
    /// @param key The key (format: `VerifyingKey`).
    /// @return modelId The Keccak hash of `key`.
    function register(bytes calldata key) external returns (bytes32 modelId);

    /// @notice The contract whose code, after one zero byte, is the key; zero if the id is unknown.
    function keyOf(bytes32 modelId) external view returns (address);

    /// @notice Checks a proof. False for every invalid proof, whatever is wrong with it; reverts for an unknown model.
    /// @param modelId The key's id.
    /// @param publicValues Ids of the given stacks, 32 bytes each (`NamedStacks`; none for keys of version 1), then all public
    /// tensors in the key's order, 8 bytes a value (big-endian two's complement).
    /// @param context What the proof is bound to, for example `contextFor`.
    /// @param proof The proof.
    function verify(bytes32 modelId, bytes calldata publicValues, bytes32 context, bytes calldata proof)
        external
        view
        returns (bool);

    /// @notice The context of a proof for one job and recipient, to be consumed by one contract on this chain.
    function contextFor(address consumer, bytes32 job, address recipient) external view returns (bytes32);

    /// @notice Checks a proof whose context is `contextFor(address(this), job, recipient)` and emits `Verified`; reverts
    /// with `InvalidProof` if it is not valid. Keeps no record: the same proof can be submitted again.
    function submit(bytes32 modelId, bytes calldata publicValues, bytes32 job, address recipient, bytes calldata proof)
        external;
}
