// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

/// @title Who is paid for the use of a model.
/// @notice An offer is a model with its owner and royalties. Offers are immutable and their ids contain everything:
///   offerId = keccak256(abi.encode(modelId, owner, royaltyBps, dataRecipient, dataBps)).
/// Anybody may make an offer for any model; which offer is used is the requester's choice, so nobody can take a name from
/// somebody else, and terms cannot change under a posted job.
interface IModelRegistry {
    struct Offer {
        address owner;
        /// Parts of the price in 1/10000.
        uint16 royaltyBps;
        uint16 dataBps;
        /// Block time, 0 if there is no such offer.
        uint48 since;
        /// Paid for the data that the model was trained on.
        address dataRecipient;
        bytes32 modelId;
        /// From the verifier that the offer was made with.
        bytes32 weightCommitment;
    }

    event Offered(
        bytes32 indexed offerId,
        bytes32 indexed modelId,
        address indexed owner,
        uint16 royaltyBps,
        address dataRecipient,
        uint16 dataBps,
        string uri
    );

    error UnknownOffer(bytes32 offerId);
    error AlreadyOffered(bytes32 offerId);
    /// @notice Royalties may take at most half of the price; a recipient is needed exactly if there is a part for it.
    error BadRoyalty();

    /// @notice Makes an offer of the caller for the model of a verifier that is active. `uri` says where to read about it.
    function offer(bytes32 verifierId, uint16 royaltyBps, address dataRecipient, uint16 dataBps, string calldata uri)
        external
        returns (bytes32 offerId);

    /// @notice The offer; reverts with `UnknownOffer` if there is none.
    function get(bytes32 offerId) external view returns (Offer memory);

    function count() external view returns (uint256);
    function idAt(uint256 index) external view returns (bytes32);
}
