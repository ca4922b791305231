// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

/// @title Data that training can be paid for.
/// @notice A dataset is a named stack, with the licence and the royalty that its registrant asks for. Its id contains everything:
///   datasetId = keccak256(abi.encode(stackId, owner, licenceHash, royaltyBps, recipient)).
/// Anybody may register any stack. Which entry is used is the choice of whoever leases and of the task that allows it, so nobody
/// can take data from somebody else by being first, and terms cannot change under a running lease. That the registrant has
/// the data, may use it, or that it is not a copy, is not shown.
interface IDatasetRegistry {
    struct Dataset {
        address owner;
        /// Part in 1/10000 of what training on it is paid.
        uint16 royaltyBps;
        /// Block time, 0 if there is no such dataset.
        uint40 since;
        /// Block time from which on it takes no new lease; 0: not retired.
        uint40 retired;
        address recipient;
        /// Derived from the schema, as all numbers here: its examples, and its values without padding.
        uint32 examples;
        uint64 values;
        bytes32 stackId;
        bytes32 licenceHash;
    }

    /// @notice What a registrant asks for.
    struct Terms {
        /// Keccak of the licence's text.
        bytes32 licenceHash;
        /// Part in 1/10000 of what training on the data is paid, and who gets it.
        uint16 royaltyBps;
        address recipient;
    }

    event Registered(
        bytes32 indexed datasetId, bytes32 indexed stackId, address indexed owner, Terms terms, bytes schema, string uri
    );
    event Retired(bytes32 indexed datasetId);

    error UnknownDataset(bytes32 datasetId);
    error AlreadyRegistered(bytes32 datasetId);
    error AlreadyRetired(bytes32 datasetId);
    error NotOwner(address owner);
    /// @notice A royalty takes at most half of the pay; a recipient is needed exactly if there is one.
    error BadRoyalty();
    /// @notice No hash of a licence: who asks for nothing says so in a licence.
    error NoLicence();

    /// @notice Registers a stack for the caller. Its id and its sizes follow from what is given: nobody can register data that
    /// has another number of examples than he says.
    /// @param schema Canonical bytes of the stack's schema; its tensors have their first extent in common, the examples.
    /// @param srsHash Keccak of [tau]_2, four words.
    /// @param rows The commitments to its rows, 64 bytes each.
    /// @param uri Says where to read about it. Reverts with `StackId.BadSchema`, `StackId.WrongRows`.
    function register(
        bytes calldata schema,
        bytes32 srsHash,
        bytes calldata rows,
        Terms calldata terms,
        string calldata uri
    ) external returns (bytes32 datasetId);

    /// @notice Ends new leases on a dataset, for good; those that run go on. For its owner.
    function retire(bytes32 datasetId) external;

    /// @notice The dataset; reverts with `UnknownDataset` if there is none.
    function get(bytes32 datasetId) external view returns (Dataset memory);

    function count() external view returns (uint256);
    function idAt(uint256 index) external view returns (bytes32);
}
