// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IDatasetRegistry } from "./IDatasetRegistry.sol";
import { StackId } from "./StackId.sol";

/// @title The list of datasets. Nobody owns it; entries are never changed or removed, only retired by their owner.
contract DatasetRegistry is IDatasetRegistry {
    /// @dev In 1/10000: whoever does the work gets at least half.
    uint256 private constant MAX_ROYALTY_BPS = 5000;

    mapping(bytes32 datasetId => Dataset) private _datasets;
    bytes32[] private _ids;

    /// @inheritdoc IDatasetRegistry
    function register(
        bytes calldata schema,
        bytes32 srsHash,
        bytes calldata rows,
        Terms calldata terms,
        string calldata uri
    ) external returns (bytes32 datasetId) {
        StackId.Shape memory shape = StackId.shape(schema);
        bytes32 stackId = StackId.digest(shape, srsHash, rows);
        datasetId = _write(stackId, shape, terms);
        emit Registered(datasetId, stackId, msg.sender, terms, schema, uri);
    }

    /// @inheritdoc IDatasetRegistry
    function retire(bytes32 datasetId) external {
        Dataset storage dataset = _datasets[datasetId];
        if (dataset.since == 0) revert UnknownDataset(datasetId);
        if (dataset.owner != msg.sender) revert NotOwner(dataset.owner);
        if (dataset.retired != 0) revert AlreadyRetired(datasetId);
        dataset.retired = uint40(block.timestamp);
        emit Retired(datasetId);
    }

    /// @inheritdoc IDatasetRegistry
    function get(bytes32 datasetId) external view returns (Dataset memory found) {
        found = _datasets[datasetId];
        if (found.since == 0) revert UnknownDataset(datasetId);
    }

    /// @inheritdoc IDatasetRegistry
    function count() external view returns (uint256) {
        return _ids.length;
    }

    /// @inheritdoc IDatasetRegistry
    function idAt(uint256 index) external view returns (bytes32) {
        return _ids[index];
    }

    function _write(bytes32 stackId, StackId.Shape memory shape, Terms calldata terms)
        private
        returns (bytes32 datasetId)
    {
        if (terms.royaltyBps > MAX_ROYALTY_BPS) revert BadRoyalty();
        if ((terms.royaltyBps > 0) != (terms.recipient != address(0))) revert BadRoyalty();
        if (terms.licenceHash == 0) revert NoLicence();
        datasetId = keccak256(abi.encode(stackId, msg.sender, terms.licenceHash, terms.royaltyBps, terms.recipient));
        if (_datasets[datasetId].since != 0) revert AlreadyRegistered(datasetId);
        _datasets[datasetId] = Dataset({
            owner: msg.sender,
            royaltyBps: terms.royaltyBps,
            since: uint40(block.timestamp),
            retired: 0,
            recipient: terms.recipient,
            // At most 2^22 and 2^30, which `StackId` checks.
            examples: uint32(shape.examples),
            values: uint64(shape.values),
            stackId: stackId,
            licenceHash: terms.licenceHash
        });
        _ids.push(datasetId);
    }
}
