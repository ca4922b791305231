// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AccessManager } from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import { AssayVerifier } from "../../sol/AssayVerifier.sol";
import { IVerifierRegistry } from "../../sol/economy/IVerifierRegistry.sol";
import { VerifierRegistry } from "../../sol/economy/VerifierRegistry.sol";
import { EconomyBase } from "./Cheats.sol";

interface Storage {
    function store(address target, bytes32 slot, bytes32 value) external;
}

/// @dev The impossible claim, really proven: somebody who knows tau, which is public for development powers, made the proof in
/// `impossible.json`. It is bound to a registry at 0x11.. on chain 31337, so the registry is put there.
contract RealStopTest is EconomyBase {
    address private constant REGISTRY = 0x1111111111111111111111111111111111111111;
    address private constant ANYBODY = address(0xA4B0D);

    VerifierRegistry private registry;
    AssayVerifier private verifier;
    Vector private v;
    bytes32 private srs;
    bytes32 private id;

    function setUp() external {
        verifier = AssayVerifier(deployed("AssayVerifier", abi.encode(true)));
        v = parse("test/vectors/impossible.json");
        registry = place(REGISTRY);
        bytes32 canary = verifier.register(v.key);
        registry.setCanary(address(verifier), canary);
        Vector memory model = parse("test/vectors/mlp_batch.json");
        id = registry.add(address(verifier), verifier.register(model.key), "model", 3, 1);
        srs = registry.entry(id).srsHash;
        (bytes32 key,) = registry.canaryOf(address(verifier), srs);
        check(key == canary, "same powers of tau");
    }

    /// @dev A registry whose admin is this contract.
    function place(address where) private returns (VerifierRegistry out) {
        AccessManager manager = AccessManager(deployed("AccessManager", abi.encode(this)));
        cheats.etch(where, deployed("VerifierRegistry", abi.encode(manager)).code);
        // The authority is the first variable.
        Storage(address(vm)).store(where, 0, bytes32(uint256(uint160(address(manager)))));
        out = VerifierRegistry(where);
        check(out.authority() == address(manager), "authority");
    }

    function refused(bytes memory values, bytes memory proof) private {
        bytes memory data = abi.encodeCall(registry.stop, (address(verifier), srs, values, proof));
        fails(ANYBODY, address(registry), data, 0, "stopped");
        check(registry.isActive(id), "active");
    }

    function testAnybodyStopsAVerifierWhosePowersAreKnown() external {
        check(registry.isActive(id), "before");
        cheats.prank(ANYBODY);
        registry.stop(address(verifier), srs, v.publicValues, v.proof);
        check(!registry.isActive(id), "after");
        (, bool stopped) = registry.canaryOf(address(verifier), srs);
        check(stopped, "stopped");
    }

    function testNothingElseStopsIt() external {
        bytes memory proof = v.proof;
        proof[proof.length - 1] ^= 0x01;
        refused(v.publicValues, proof);
        refused(new bytes(8), v.proof);
        refused(v.publicValues, "");
        cheats.chainId(1);
        refused(v.publicValues, v.proof);
    }

    function testTheProofIsForOneRegistry() external {
        registry = place(address(0x1112));
        registry.setCanary(address(verifier), keccak256(v.key));
        Vector memory model = parse("test/vectors/mlp_batch.json");
        id = registry.add(address(verifier), keccak256(model.key), "model", 3, 1);
        bytes memory data = abi.encodeCall(registry.stop, (address(verifier), srs, v.publicValues, v.proof));
        fails(ANYBODY, address(registry), data, IVerifierRegistry.NotImpossible.selector, "another registry");
    }
}
