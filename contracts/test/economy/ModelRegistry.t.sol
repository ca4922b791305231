// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IModelRegistry } from "../../sol/economy/IModelRegistry.sol";
import { IVerifierRegistry } from "../../sol/economy/IVerifierRegistry.sol";
import { ModelRegistry } from "../../sol/economy/ModelRegistry.sol";
import { MockVerifier } from "./MockVerifier.sol";
import { RegistryBase } from "./RegistryBase.sol";

contract ModelRegistryTest is RegistryBase {
    address private constant OWNER = address(0x0143);
    address private constant DATA = address(0xDA7A);

    ModelRegistry private models;
    bytes32 private verifierId;

    function setUp() external {
        start();
        models = system.models;
        MockVerifier verifier = new MockVerifier();
        verifierId = add(address(verifier), verifier.register(modelKey(4, 2, 1, 1)), "model", 1);
    }

    function offer(address owner, uint16 royalty, address to, uint16 data) private returns (bytes32) {
        cheats.prank(owner);
        return models.offer(verifierId, royalty, to, data, "ipfs://model");
    }

    function refused(bytes32 verifier, uint16 royalty, address to, uint16 data, bytes4 selector, string memory what)
        private
    {
        bytes memory call_ = abi.encodeCall(models.offer, (verifier, royalty, to, data, ""));
        fails(OWNER, address(models), call_, selector, what);
    }

    function testOffer(address owner, uint16 royalty, uint16 data) external {
        royalty = uint16(bound(royalty, 0, 5000));
        data = uint16(bound(data, 0, 5000 - royalty));
        address to = data == 0 ? address(0) : DATA;
        bytes32 id = offer(owner, royalty, to, data);
        check(id == keccak256(abi.encode(bytes32("model"), owner, royalty, to, data)), "the id contains everything");
        IModelRegistry.Offer memory o = models.get(id);
        check(o.owner == owner && o.royaltyBps == royalty && o.dataRecipient == to && o.dataBps == data, "terms");
        check(o.modelId == "model" && o.since == nowAt(), "model, time");
        check(o.weightCommitment == registry.entry(verifierId).weightCommitment, "weights");
        check(models.count() == 1 && models.idAt(0) == id, "listed");
        bytes memory again = abi.encodeCall(models.offer, (verifierId, royalty, to, data, "elsewhere"));
        fails(owner, address(models), again, IModelRegistry.AlreadyOffered.selector, "twice");
    }

    /// @dev Offers of others for the same model stand beside the first one; nobody can make one in somebody else's name.
    function testNobodyTakesANameAway() external {
        bytes32 first = offer(OWNER, 1000, address(0), 0);
        bytes32 second = offer(address(0xE711), 1000, address(0), 0);
        check(first != second && models.get(first).owner == OWNER && models.count() == 2, "both");
        check(models.get(second).owner == address(0xE711), "the caller's own");
    }

    function testRoyalties() external {
        bytes4 bad = IModelRegistry.BadRoyalty.selector;
        refused(verifierId, 5001, address(0), 0, bad, "owner takes more than half");
        refused(verifierId, 2501, DATA, 2500, bad, "both take more than half");
        refused(verifierId, 0, DATA, 5001, bad, "data takes more than half");
        refused(verifierId, type(uint16).max, DATA, type(uint16).max, bad, "a sum that would wrap");
        refused(verifierId, 1, DATA, type(uint16).max, bad, "a sum that would wrap to nothing");
        refused(verifierId, 0, address(0), 1, bad, "a part for nobody");
        refused(verifierId, 0, DATA, 0, bad, "a recipient of nothing");
    }

    function testVerifiers(bytes32 unknown) external {
        bytes4 selector = IVerifierRegistry.UnknownVerifier.selector;
        if (unknown != verifierId) refused(unknown, 0, address(0), 0, selector, "unknown");
        bytes32 id = offer(OWNER, 1000, address(0), 0);
        cheats.prank(guardian);
        registry.tombstone(verifierId);
        refused(verifierId, 1, address(0), 0, selector, "ended");
        check(models.get(id).owner == OWNER, "offers outlive verifiers");
    }

    function testUnknown(bytes32 id) external {
        cheats.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownOffer.selector, id));
        models.get(id);
    }
}
