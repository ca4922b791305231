// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IVerifierRegistry } from "../../sol/economy/IVerifierRegistry.sol";
import { MockVerifier } from "./MockVerifier.sol";
import { RegistryBase } from "./RegistryBase.sol";

/// @dev The canary, and who can stop what with it.
contract StopTest is RegistryBase {
    address private constant ANYBODY = address(0xA4B0D);

    MockVerifier private verifier;
    bytes32 private canary;
    bytes32 private srs;
    bytes32 private id;

    function setUp() external {
        start();
        verifier = new MockVerifier();
        canary = verifier.register(canaryKey(1));
        srs = srsOf(canaryKey(1));
        id = add(address(verifier), verifier.register(modelKey(4, 2, 1, 1)), "model", 1);
    }

    function set(address verifier_, bytes32 key) private {
        cheats.prank(curator);
        registry.setCanary(verifier_, key);
    }

    function stopFails(bytes memory values, bytes memory proof, bytes4 selector, string memory what) private {
        bytes memory call_ = abi.encodeCall(registry.stop, (address(verifier), srs, values, proof));
        fails(ANYBODY, address(registry), call_, selector, what);
        check(registry.isActive(id), what);
    }

    function testStop() external {
        set(address(verifier), canary);
        bytes32 second = add(address(verifier), verifier.register(modelKey(4, 2, 1, 2)), "second", 1);
        bytes32 otherSrs = add(address(verifier), verifier.register(modelKey(4, 2, 2, 1)), "model", 1);
        MockVerifier twin = new MockVerifier();
        bytes32 otherVerifier = add(address(twin), twin.register(modelKey(4, 2, 1, 1)), "model", 1);

        (bytes memory values, bytes memory proof) = forge_(verifier, canary);
        vm.recordLogs();
        cheats.prank(ANYBODY);
        registry.stop(address(verifier), srs, values, proof);
        check(vm.getRecordedLogs().length == 1, "one event");
        check(!registry.isActive(id) && !registry.isActive(second), "all entries of the setup");
        check(registry.isActive(otherSrs) && registry.isActive(otherVerifier), "and no others");
        (bool active,,,,,,) = registry.terms(id);
        (bytes32 key, bool stopped) = registry.canaryOf(address(verifier), srs);
        check(!active && key == canary && stopped, "readable");

        // For good: nothing can be added to it, and it cannot be stopped again.
        bytes4 ended = IVerifierRegistry.SetupEnded.selector;
        bytes32 next = verifier.register(modelKey(1, 1, 1, 3));
        fails(curator, address(registry), addCall(address(verifier), next, 1), ended, "added");
        bytes memory call_ = abi.encodeCall(registry.setCanary, (address(verifier), canary));
        fails(curator, address(registry), call_, ended, "another canary");
        call_ = abi.encodeCall(registry.stop, (address(verifier), srs, values, proof));
        fails(ANYBODY, address(registry), call_, ended, "again");
    }

    function testNoCanary() external {
        (bytes memory values, bytes memory proof) = forge_(verifier, canary);
        bytes4 none = IVerifierRegistry.NoCanary.selector;
        stopFails(values, proof, none, "no canary yet");
        bytes memory call_ = abi.encodeCall(registry.stop, (address(0x1234), srs, values, proof));
        fails(ANYBODY, address(registry), call_, none, "unknown verifier");
        set(address(verifier), verifier.register(canaryKey(2)));
        stopFails(values, proof, none, "canary of another setup");
        (bytes32 key, bool stopped) = registry.canaryOf(address(verifier), srs);
        check(key == 0 && !stopped, "none");
    }

    /// @dev Every statement here is one that the verifier accepts, but not the impossible one.
    function testNotImpossible() external {
        set(address(verifier), canary);
        bytes4 not_ = IVerifierRegistry.NotImpossible.selector;
        bytes32 context = impossible(verifier);
        bytes memory one = abi.encodePacked(uint64(1));
        stopFails(one, "proof", not_, "not proven");

        bytes[7] memory values = [
            abi.encodePacked(uint64(0)),
            abi.encodePacked(uint64(2)),
            abi.encodePacked(uint64(1 << 63) | 1),
            abi.encodePacked(uint64(1), uint64(0)),
            bytes(hex"01"),
            bytes(hex"00000000000001"),
            bytes("")
        ];
        for (uint256 i = 0; i < values.length; i++) {
            verifier.accept(canary, values[i], context, "true");
            stopFails(values[i], "true", not_, "the canary's output is not 1");
        }
        // A true statement of a model whose output is 1.
        verifier.accept(registry.entry(id).settlementId, one, context, "model");
        stopFails(one, "model", not_, "another key");
        // Made for a job, for somebody else's registry, for another chain, for another verifier.
        verifier.accept(canary, one, verifier.contextFor(system.market, "assay.impossible", address(registry)), "job");
        stopFails(one, "job", not_, "another consumer");
        verifier.accept(canary, one, verifier.contextFor(address(registry), bytes32(uint256(1)), ANYBODY), "job");
        stopFails(one, "job", not_, "another job");
        cheats.chainId(5);
        context = impossible(verifier);
        cheats.chainId(31_337);
        verifier.accept(canary, one, context, "chain");
        stopFails(one, "chain", not_, "another chain");
        MockVerifier twin = new MockVerifier();
        twin.accept(twin.register(canaryKey(1)), one, impossible(twin), "twin");
        stopFails(one, "twin", not_, "another verifier");
        bytes memory call_ = abi.encodeCall(registry.stop, (address(twin), srs, one, bytes("twin")));
        fails(ANYBODY, address(registry), call_, IVerifierRegistry.NoCanary.selector, "a verifier nobody listed");
    }

    function testBrokenVerifier() external {
        set(address(verifier), canary);
        bytes memory one = abi.encodePacked(uint64(1));
        vm.mockCallRevert(address(verifier), abi.encodeWithSelector(verifier.verify.selector), "out of gas");
        stopFails(one, "", 0, "a revert is no proof");
        vm.mockCall(address(verifier), abi.encodeWithSelector(verifier.verify.selector), "");
        stopFails(one, "", 0, "nothing is no proof");
        vm.mockCall(address(verifier), abi.encodeWithSelector(verifier.verify.selector), abi.encode(2));
        stopFails(one, "", 0, "no boolean");
    }

    function refusedCanary(Tensor[] memory tensors, string memory what) private {
        bytes32 key = verifier.register(keyWith(tensors, 1, 5));
        bytes memory call_ = abi.encodeCall(registry.setCanary, (address(verifier), key));
        fails(curator, address(registry), call_, IVerifierRegistry.BadCanary.selector, what);
    }

    function testCanaryShape() external {
        refusedCanary(new Tensor[](0), "nothing public");
        Tensor[] memory tensors = new Tensor[](1);
        tensors[0] = Tensor(2, 0, 1);
        refusedCanary(tensors, "two values");
        tensors[0] = Tensor(1, 0, 0);
        refusedCanary(tensors, "1 is out of range");
        tensors[0] = Tensor(1, 1, 1);
        refusedCanary(tensors, "0 is out of range");
        tensors[0] = Tensor(1, -5, -1);
        refusedCanary(tensors, "both are out of range");
        bytes memory call_ = abi.encodeCall(registry.setCanary, (address(verifier), "unknown"));
        fails(curator, address(registry), call_, IVerifierRegistry.NoKey.selector, "unknown key");

        // Every word that is the same for all powers of tau.
        uint8[11] memory pinned = [2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 18];
        for (uint256 i = 0; i < pinned.length; i++) {
            bytes memory other = canaryKey(1);
            setWord(other, pinned[i], word(other, pinned[i]) ^ 1);
            call_ = abi.encodeCall(registry.setCanary, (address(verifier), verifier.register(other)));
            // Another number of tensors or rows is no key of that length either.
            fails(curator, address(registry), call_, 0, "another program, size or range");
        }
        set(address(verifier), canary);
        call_ = abi.encodeCall(registry.setCanary, (address(verifier), canary));
        fails(curator, address(registry), call_, IVerifierRegistry.CanaryExists.selector, "a second one");
    }

    /// @dev A canary can come before the entries it ends.
    function testStopBeforeAdding() external {
        MockVerifier fresh = new MockVerifier();
        set(address(fresh), fresh.register(canaryKey(1)));
        (bytes memory values, bytes memory proof) = forge_(fresh, canary);
        registry.stop(address(fresh), srs, values, proof);
        bytes32 key = fresh.register(modelKey(4, 2, 1, 1));
        bytes4 ended = IVerifierRegistry.SetupEnded.selector;
        fails(curator, address(registry), addCall(address(fresh), key, 1), ended, "added to a stopped setup");
    }
}
