// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IAssayVerifier } from "../../sol/IAssayVerifier.sol";

/// @dev Stores keys without looking at them, and accepts the statements it was told to.
contract MockVerifier is IAssayVerifier {
    mapping(bytes32 modelId => address) public keyOf;
    mapping(bytes32 statement => bool) private accepted;

    function register(bytes calldata key) external returns (bytes32 modelId) {
        modelId = keccak256(key);
        keyOf[modelId] = store(key);
    }

    /// @dev Claims that `key` is behind an id that it does not have.
    function pretend(bytes32 modelId, bytes calldata key) external {
        keyOf[modelId] = store(key);
    }

    function pretendAt(bytes32 modelId, address data) external {
        keyOf[modelId] = data;
    }

    function accept(bytes32 modelId, bytes calldata publicValues, bytes32 context, bytes calldata proof) external {
        accepted[keccak256(abi.encode(modelId, publicValues, context, proof))] = true;
    }

    function verify(bytes32 modelId, bytes calldata publicValues, bytes32 context, bytes calldata proof)
        external
        view
        returns (bool)
    {
        return accepted[keccak256(abi.encode(modelId, publicValues, context, proof))];
    }

    function contextFor(address consumer, bytes32 job, address recipient) external view returns (bytes32) {
        return keccak256(abi.encode(keccak256("assay.context.v1"), block.chainid, consumer, job, recipient));
    }

    function submit(bytes32, bytes calldata, bytes32, address, bytes calldata) external pure {
        revert InvalidProof();
    }

    function store(bytes memory key) private returns (address data) {
        bytes memory creation = abi.encodePacked(hex"61", uint16(key.length + 1), hex"80600a5f395ff3", hex"00", key);
        assembly ("memory-safe") {
            data := create(0, add(creation, 0x20), mload(creation))
        }
        require(data != address(0));
    }
}

/// @dev Tries to act while it is asked for a key.
contract ReenteringVerifier {
    address private immutable target;
    bytes private call_;

    constructor(address target_, bytes memory data) {
        target = target_;
        call_ = data;
    }

    function keyOf(bytes32) external returns (address) {
        (bool ok, bytes memory out) = target.call(call_);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(out, 0x20), mload(out))
            }
        }
        return address(this);
    }
}

/// @dev Answers every call with the same bytes.
contract GarbageVerifier {
    bytes private answer;

    constructor(bytes memory answer_) {
        answer = answer_;
    }

    fallback(bytes calldata) external returns (bytes memory) {
        return answer;
    }
}
