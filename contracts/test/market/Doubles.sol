// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { ERC20 } from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import { ERC20Burnable } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import { ILedger } from "../../sol/economy/ILedger.sol";
import { IModelRegistry } from "../../sol/economy/IModelRegistry.sol";
import { IVerifierRegistry } from "../../sol/economy/IVerifierRegistry.sol";

/// @dev A token that behaves.
contract Token is ERC20Burnable {
    constructor() ERC20("Test", "T") { }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// @dev The parts of IVerifierRegistry that the market calls.
contract Verifiers {
    struct Kept {
        bool active;
        address verifier;
        bytes32 settlementId;
        bytes32 modelId;
        uint32 batch;
        uint32 inputValues;
        uint32 outputValues;
        uint64 workUnits;
    }

    mapping(bytes32 => Kept) public kept;

    function add(bytes32 id, Kept calldata what) external {
        kept[id] = what;
    }

    function tombstone(bytes32 id) external {
        kept[id].active = false;
    }

    function isActive(bytes32 id) external view returns (bool) {
        return kept[id].active;
    }

    mapping(bytes32 => uint256[2]) private _settlements;

    function setSettlement(bytes32 id, uint256 bytes_, uint256 gas) external {
        _settlements[id] = [bytes_, gas];
    }

    function settlement(bytes32 id) external view returns (uint256, uint256) {
        return (_settlements[id][0], _settlements[id][1]);
    }

    function entry(bytes32 id) external view returns (IVerifierRegistry.Entry memory e) {
        Kept storage k = kept[id];
        if (k.verifier == address(0)) revert IVerifierRegistry.UnknownVerifier(id);
        e.verifier = k.verifier;
        e.batch = k.batch;
        e.inputValues = k.inputValues;
        e.outputValues = k.outputValues;
        e.settlementId = k.settlementId;
        e.modelId = k.modelId;
        e.workUnits = k.workUnits;
    }

    function terms(bytes32 id) external view returns (bool, address, bytes32, uint32, uint32, uint32, uint64) {
        Kept storage k = kept[id];
        return (k.active, k.verifier, k.settlementId, k.batch, k.inputValues, k.outputValues, k.workUnits);
    }
}

/// @dev The part of IModelRegistry that the market calls.
contract Models {
    mapping(bytes32 => IModelRegistry.Offer) private _offers;

    function set(bytes32 id, IModelRegistry.Offer calldata offer) external {
        _offers[id] = offer;
    }

    function get(bytes32 id) external view returns (IModelRegistry.Offer memory offer) {
        offer = _offers[id];
        if (offer.since == 0) revert IModelRegistry.UnknownOffer(id);
    }
}

/// @dev What was recorded, in epochs of a day.
contract Emission {
    mapping(address => uint256) public fees;
    /// @dev What the market keeps no longer.
    mapping(address => uint256) public handed;
    uint256 public totalFees;
    uint256 public totalUnits;
    uint256 public calls;
    bool public broken;

    function breakDown() external {
        broken = true;
    }

    function currentEpoch() public view returns (uint256) {
        return block.timestamp / 1 days;
    }

    function record(address worker, uint256 fee, uint256 units) external returns (uint256) {
        require(!broken);
        (uint256 epoch, uint256 kept) = ILedger(msg.sender).keptFees(worker);
        require(epoch <= currentEpoch());
        if (fee != 0 && epoch != currentEpoch()) handed[worker] += kept;
        fees[worker] += fee;
        totalFees += fee;
        totalUnits += units;
        ++calls;
        return currentEpoch();
    }
}

/// @dev As cheap as recording can be: measures the market alone.
contract NoEmission {
    function record(address, uint256, uint256) external pure returns (uint256) {
        return 0;
    }
}

/// @dev A proof of this verifier is the hash of everything that a real proof is bound to. So it can be made for any
/// statement, and no other statement accepts it.
contract ExactVerifier {
    function verify(bytes32 modelId, bytes calldata publicValues, bytes32 context, bytes calldata proof)
        external
        pure
        returns (bool)
    {
        return keccak256(proof) == keccak256(prove(modelId, publicValues, context));
    }

    function prove(bytes32 modelId, bytes calldata publicValues, bytes32 context) public pure returns (bytes memory) {
        return abi.encode(keccak256(abi.encode(modelId, keccak256(publicValues), context)));
    }

    function contextFor(address consumer, bytes32 job, address recipient) external view returns (bytes32) {
        return keccak256(abi.encode(keccak256("assay.context.v1"), block.chainid, consumer, job, recipient));
    }
}

/// @dev Accepts everything, to measure what the market adds.
contract YesVerifier {
    function verify(bytes32, bytes calldata, bytes32, bytes calldata) external pure returns (bool) {
        return true;
    }
}
