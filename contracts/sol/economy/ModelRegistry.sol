// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IModelRegistry } from "./IModelRegistry.sol";
import { IVerifierRegistry } from "./IVerifierRegistry.sol";

/// @title The list of offers. Nobody owns it, and nothing in it can be changed or removed.
contract ModelRegistry is IModelRegistry {
    IVerifierRegistry public immutable verifiers;

    /// @dev In 1/10000 of the price, royalty and data together: whoever does the work gets at least half.
    uint256 private constant MAX_ROYALTIES_BPS = 5000;

    mapping(bytes32 offerId => Offer) private _offers;
    bytes32[] private _ids;

    constructor(IVerifierRegistry verifiers_) {
        verifiers = verifiers_;
    }

    /// @inheritdoc IModelRegistry
    function offer(bytes32 verifierId, uint16 royaltyBps, address dataRecipient, uint16 dataBps, string calldata uri)
        external
        returns (bytes32 offerId)
    {
        if (uint256(royaltyBps) + dataBps > MAX_ROYALTIES_BPS) revert BadRoyalty();
        if ((dataBps > 0) != (dataRecipient != address(0))) revert BadRoyalty();
        if (!verifiers.isActive(verifierId)) revert IVerifierRegistry.UnknownVerifier(verifierId);
        IVerifierRegistry.Entry memory entry = verifiers.entry(verifierId);

        offerId = keccak256(abi.encode(entry.modelId, msg.sender, royaltyBps, dataRecipient, dataBps));
        if (_offers[offerId].since != 0) revert AlreadyOffered(offerId);
        _offers[offerId] = Offer({
            owner: msg.sender,
            royaltyBps: royaltyBps,
            dataBps: dataBps,
            since: uint48(block.timestamp),
            dataRecipient: dataRecipient,
            modelId: entry.modelId,
            weightCommitment: entry.weightCommitment
        });
        _ids.push(offerId);
        emit Offered(offerId, entry.modelId, msg.sender, royaltyBps, dataRecipient, dataBps, uri);
    }

    /// @inheritdoc IModelRegistry
    function get(bytes32 offerId) external view returns (Offer memory found) {
        found = _offers[offerId];
        if (found.since == 0) revert UnknownOffer(offerId);
    }

    /// @inheritdoc IModelRegistry
    function count() external view returns (uint256) {
        return _ids.length;
    }

    /// @inheritdoc IModelRegistry
    function idAt(uint256 index) external view returns (bytes32) {
        return _ids[index];
    }
}
