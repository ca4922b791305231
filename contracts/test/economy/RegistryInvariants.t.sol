// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IVerifierRegistry } from "../../sol/economy/IVerifierRegistry.sol";
import { VerifierRegistry } from "../../sol/economy/VerifierRegistry.sol";
import { MockVerifier } from "./MockVerifier.sol";
import { RegistryBase } from "./RegistryBase.sol";

/// @dev Entries in a few setups, ended in all ways there are.
contract RegistryHandler is RegistryBase {
    MockVerifier[2] private verifiers;

    /// @dev What was once true of an id.
    mapping(bytes32 id => bool) public ended;
    mapping(bytes32 id => bytes32) public contents;
    bytes32[] public order;

    constructor(VerifierRegistry registry_, address curator_, address guardian_) {
        (registry, curator, guardian) = (registry_, curator_, guardian_);
        verifiers = [new MockVerifier(), new MockVerifier()];
    }

    function added() external view returns (uint256) {
        return order.length;
    }

    function addEntry(uint256 which, uint256 tau, uint256 seed, uint256 model) external {
        MockVerifier verifier = verifiers[which % 2];
        bytes32 key = verifier.register(modelKey(4, 2, tau % 2, seed % 3));
        cheats.prank(curator);
        (bool ok, bytes memory out) =
            address(registry).call(abi.encodeCall(registry.add, (address(verifier), key, bytes32(1 + model % 2), 2, 7)));
        if (!ok) return;
        bytes32 id = abi.decode(out, (bytes32));
        check(contents[id] == 0, "I6: added twice");
        contents[id] = keccak256(abi.encode(registry.entry(id)));
        order.push(id);
        check(registry.isActive(id), "active at first");
    }

    function tombstone(uint256 index) external {
        if (order.length == 0) return;
        bytes32 id = order[index % order.length];
        cheats.prank(guardian);
        registry.tombstone(id);
        ended[id] = true;
    }

    function setCanary(uint256 which, uint256 tau) external {
        MockVerifier verifier = verifiers[which % 2];
        bytes32 key = verifier.register(canaryKey(tau % 2));
        (bytes32 before,) = registry.canaryOf(address(verifier), srsOf(canaryKey(tau % 2)));
        cheats.prank(curator);
        (bool ok,) = address(registry).call(abi.encodeCall(registry.setCanary, (address(verifier), key)));
        check(!ok || before == 0, "canary replaced");
    }

    /// @dev Seldom, as it ends much.
    function stop(uint256 which, uint256 tau, uint256 chance) external {
        if (chance % 8 != 0) return;
        MockVerifier verifier = verifiers[which % 2];
        bytes32 srs = srsOf(canaryKey(tau % 2));
        (bytes memory values, bytes memory proof) = forge_(verifier, keccak256(canaryKey(tau % 2)));
        (bool ok,) = address(registry).call(abi.encodeCall(registry.stop, (address(verifier), srs, values, proof)));
        if (!ok) return;
        for (uint256 i = 0; i < order.length; i++) {
            IVerifierRegistry.Entry memory e = registry.entry(order[i]);
            if (e.verifier == address(verifier) && e.srsHash == srs) ended[order[i]] = true;
        }
    }

    /// @dev Nobody else ends or adds anything.
    function attack(address from, uint256 index, uint256 which) external {
        if (from == curator || from == guardian) return;
        if (order.length > 0) {
            bytes32 id = order[index % order.length];
            fails(from, address(registry), abi.encodeCall(registry.tombstone, (id)), 0, "tombstone by anybody");
        }
        MockVerifier verifier = verifiers[which % 2];
        bytes32 key = verifier.register(modelKey(8, 2, 3, 3));
        fails(from, address(registry), addCall(address(verifier), key, 2), 0, "added by anybody");
        bytes memory one = abi.encodePacked(uint64(1));
        bytes memory call_ = abi.encodeCall(registry.stop, (address(verifier), srsOf(canaryKey(0)), one, bytes("no")));
        fails(from, address(registry), call_, 0, "stopped without a proof");
    }
}

/// forge-config: soak.invariant.runs = 4000
/// forge-config: soak.invariant.depth = 60
/// forge-config: soak.invariant.fail-on-revert = true
contract RegistryInvariantsTest is RegistryBase {
    RegistryHandler private handler;

    function setUp() external {
        start();
        handler = new RegistryHandler(registry, curator, guardian);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev I6: append-only, unchanged, and what has ended stays so; what has not ended is active.
    function invariantAppendOnly() external view {
        equal(registry.count(), handler.added(), "I6: number of entries");
        for (uint256 i = 0; i < registry.count(); i++) {
            bytes32 id = registry.idAt(i);
            check(id == handler.order(i), "I6: order");
            check(keccak256(abi.encode(registry.entry(id))) == handler.contents(id), "I6: contents");
            check(registry.isActive(id) != handler.ended(id), "I6: ended for good, and only by those who may");
            (bool active,,,,,,) = registry.terms(id);
            check(active == registry.isActive(id), "one answer");
        }
    }
}
