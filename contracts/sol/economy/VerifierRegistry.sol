// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AccessManaged } from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import { IAssayVerifier } from "../IAssayVerifier.sol";
import { IVerifierRegistry } from "./IVerifierRegistry.sol";
import { SettlementSize } from "./SettlementSize.sol";
import { SettlementKey } from "./SettlementKey.sol";

/// @title The append-only list of verifiers.
/// @notice `terms` reads two slots of the entry and two of its setup (a verifier with the powers of tau of one ceremony), and
/// compares the verifier's code hash. The comparison costs one slot more: whoever pays for a proof calls the verifier anyway, so
/// its account is warm then. It makes the promise that nothing behind an id can change independent of what a chain does with
/// self-destruction and delegated accounts.
/// @dev A verifier is called with STATICCALL only (all its functions used here are views), so it cannot reenter to any effect.
contract VerifierRegistry is IVerifierRegistry, AccessManaged {
    using SettlementKey for bytes;

    /// @dev A verifier and the powers of tau of some of its keys.
    struct Setup {
        address verifier;
        bool stopped;
        bytes32 codeHash;
        bytes32 srsHash;
        bytes32 canary;
    }

    struct Record {
        uint32 setup;
        uint32 batch;
        uint32 inputValues;
        uint32 outputValues;
        uint64 workUnits;
        uint40 addedAt;
        bool tombstoned;
        uint8 givenStacks;
        bytes32 settlementId;
        bytes32 modelId;
        bytes32 weightCommitment;
        uint128 settlementBytes;
        uint128 settlementGas;
    }

    bytes32 private constant IMPOSSIBLE = "assay.impossible";

    /// @dev A mapping, since reading an array reads its length too. The first has number 1.
    mapping(uint256 number => Setup) private _setups;
    uint256 private _setupCount;
    /// @dev By verifier and hash of powers: the number in `_setups`.
    mapping(address verifier => mapping(bytes32 srsHash => uint256)) private _setupAt;
    mapping(bytes32 verifierId => Record) private _records;
    bytes32[] private _ids;
    /// @dev By hash of model, powers of tau and length of a row: the commitment to what the model's first key with pinned stacks
    /// pins.
    mapping(bytes32 place => bytes32 commitment) private _pinned;

    /// @param manager Authority over `add` (curator), `tombstone` (guardian) and `setCanary` (admin).
    constructor(address manager) AccessManaged(manager) { }

    /// @inheritdoc IVerifierRegistry
    function add(address verifier, bytes32 settlementId, bytes32 modelId, uint32 batch, uint64 workUnits)
        external
        restricted
        returns (bytes32 verifierId)
    {
        if (batch == 0 || workUnits == 0 || modelId == 0) revert BadEntry();
        bytes memory key = SettlementKey.load(verifier, settlementId);
        (bool ok, uint256 inputs, uint256 outputs) = key.inputAndOutput(batch);
        if (!ok) revert PublicTensors();

        (uint256 bytes_, uint256 gas) = key.settlement(batch);
        SettlementSize.check(bytes_, gas);
        bytes32 srsHash = key.srsHash();
        verifierId = keccak256(abi.encode(verifier, verifier.codehash, settlementId, modelId, srsHash));
        if (_records[verifierId].addedAt != 0) revert AlreadyAdded(verifierId);
        _pin(key, modelId, srsHash);
        _records[verifierId] = Record({
            setup: uint32(_setupFor(verifier, srsHash)),
            batch: batch,
            // At most 2^24.
            inputValues: uint32(inputs / batch),
            outputValues: uint32(outputs / batch),
            workUnits: workUnits,
            addedAt: uint40(block.timestamp),
            tombstoned: false,
            // At most 16.
            givenStacks: uint8(key.givenStacks()),
            settlementId: settlementId,
            modelId: modelId,
            weightCommitment: key.weightCommitment(),
            // Checked above.
            settlementBytes: uint128(bytes_),
            settlementGas: uint128(gas)
        });
        _ids.push(verifierId);
        emit Added(verifierId, modelId, verifier, settlementId, workUnits);
    }

    /// @inheritdoc IVerifierRegistry
    function tombstone(bytes32 verifierId) external restricted {
        Record storage record = _known(verifierId);
        if (record.tombstoned) return;
        record.tombstoned = true;
        emit Tombstoned(verifierId);
    }

    /// @inheritdoc IVerifierRegistry
    function setCanary(address verifier, bytes32 settlementId) external restricted {
        bytes memory key = SettlementKey.load(verifier, settlementId);
        if (!key.isCanary()) revert BadCanary();
        bytes32 srsHash = key.srsHash();
        Setup storage setup = _setups[_setupFor(verifier, srsHash)];
        if (setup.canary != 0) revert CanaryExists();
        setup.canary = settlementId;
        emit CanarySet(verifier, srsHash, settlementId);
    }

    /// @inheritdoc IVerifierRegistry
    function stop(address verifier, bytes32 srsHash, bytes calldata publicValues, bytes calldata proof) external {
        uint256 place = _setupAt[verifier][srsHash];
        if (place == 0) revert NoCanary();
        Setup storage setup = _setups[place];
        bytes32 canary = setup.canary;
        if (canary == 0) revert NoCanary();
        if (setup.stopped) revert SetupEnded(verifier, srsHash);
        uint256 length = publicValues.length;
        if (length < 8 || bytes8(publicValues[length - 8:]) != bytes8(uint64(1))) revert NotImpossible();
        bytes32 context = IAssayVerifier(verifier).contextFor(address(this), IMPOSSIBLE, address(this));
        if (!IAssayVerifier(verifier).verify(canary, publicValues, context, proof)) revert NotImpossible();
        setup.stopped = true;
        emit Stopped(verifier, srsHash, msg.sender);
    }

    /// @inheritdoc IVerifierRegistry
    function isActive(bytes32 verifierId) external view returns (bool) {
        Record storage record = _records[verifierId];
        return record.addedAt != 0 && !record.tombstoned && _runs(_setups[record.setup]);
    }

    /// @inheritdoc IVerifierRegistry
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
        )
    {
        Record storage record = _records[verifierId];
        if (record.addedAt == 0) return (false, address(0), 0, 0, 0, 0, 0);
        Setup storage setup = _setups[record.setup];
        active = !record.tombstoned && _runs(setup);
        verifier = setup.verifier;
        settlementId = record.settlementId;
        batch = record.batch;
        inputValues = record.inputValues;
        outputValues = record.outputValues;
        workUnits = record.workUnits;
    }

    /// @inheritdoc IVerifierRegistry
    function entry(bytes32 verifierId) external view returns (Entry memory) {
        Record storage record = _known(verifierId);
        Setup storage setup = _setups[record.setup];
        return Entry({
            verifier: setup.verifier,
            batch: record.batch,
            inputValues: record.inputValues,
            outputValues: record.outputValues,
            settlementId: record.settlementId,
            modelId: record.modelId,
            srsHash: setup.srsHash,
            codeHash: setup.codeHash,
            weightCommitment: record.weightCommitment,
            workUnits: record.workUnits,
            addedAt: record.addedAt
        });
    }

    /// @inheritdoc IVerifierRegistry
    function canaryOf(address verifier, bytes32 srsHash) external view returns (bytes32 settlementId, bool stopped) {
        uint256 place = _setupAt[verifier][srsHash];
        if (place == 0) return (0, false);
        return (_setups[place].canary, _setups[place].stopped);
    }

    /// @inheritdoc IVerifierRegistry
    function settlement(bytes32 verifierId) external view returns (uint256 bytes_, uint256 gas) {
        Record storage record = _known(verifierId);
        return (record.settlementBytes, record.settlementGas);
    }

    /// @inheritdoc IVerifierRegistry
    function givenStacks(bytes32 verifierId) external view returns (uint256) {
        return _known(verifierId).givenStacks;
    }

    /// @inheritdoc IVerifierRegistry
    function count() external view returns (uint256) {
        return _ids.length;
    }

    /// @inheritdoc IVerifierRegistry
    function idAt(uint256 index) external view returns (bytes32) {
        return _ids[index];
    }

    /// @dev The number of a setup that has not ended; a new one if there is none.
    function _setupFor(address verifier, bytes32 srsHash) private returns (uint256 number) {
        number = _setupAt[verifier][srsHash];
        if (number == 0) {
            number = ++_setupCount;
            _setupAt[verifier][srsHash] = number;
            _setups[number] = Setup(verifier, false, verifier.codehash, srsHash, 0);
        } else if (!_runs(_setups[number])) {
            revert SetupEnded(verifier, srsHash);
        }
    }

    /// @dev What is pinned is compared with what the first entry of this model pinned, for good, even if that entry has ended:
    /// others with the same weights may live. Commitments depend on powers of tau and on the length of a row, so entries that
    /// differ in those are not compared.
    function _pin(bytes memory key, bytes32 modelId, bytes32 srsHash) private {
        bytes32 got = key.pinnedCommitment();
        if (got == 0) return;
        bytes32 place = keccak256(abi.encode(modelId, srsHash, key.rowBits()));
        bytes32 first = _pinned[place];
        if (first == 0) _pinned[place] = got;
        else if (first != got) revert OtherWeights(modelId, first, got);
    }

    function _runs(Setup storage setup) private view returns (bool) {
        return !setup.stopped && setup.verifier.codehash == setup.codeHash;
    }

    function _known(bytes32 verifierId) private view returns (Record storage record) {
        record = _records[verifierId];
        if (record.addedAt == 0) revert UnknownVerifier(verifierId);
    }
}
