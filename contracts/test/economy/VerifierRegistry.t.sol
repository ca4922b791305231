// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IAccessManaged } from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import { IAssayVerifier } from "../../sol/IAssayVerifier.sol";
import { IVerifierRegistry } from "../../sol/economy/IVerifierRegistry.sol";
import { Vm } from "../Base.sol";
import { GarbageVerifier, MockVerifier, ReenteringVerifier } from "./MockVerifier.sol";
import { RegistryBase } from "./RegistryBase.sol";

contract VerifierRegistryTest is RegistryBase {
    MockVerifier private verifier;
    bytes private key;
    bytes32 private settlementId;

    function setUp() external {
        start();
        verifier = new MockVerifier();
        key = modelKey(12, 6, 1, 1);
        settlementId = verifier.register(key);
    }

    /// @dev The curator's `add` must fail.
    function refused(address verifier_, bytes32 id, uint32 batch, bytes4 selector, string memory what) private {
        fails(curator, address(registry), addCall(verifier_, id, batch), selector, what);
        check(registry.count() == 0, what);
    }

    function refusedKey(bytes memory other, bytes4 selector, string memory what) private {
        refused(address(verifier), verifier.register(other), 1, selector, what);
    }

    function testAdd() external {
        bytes32 id = add(address(verifier), settlementId, "model", 3);
        bytes32 expected = keccak256(
            abi.encode(address(verifier), address(verifier).codehash, settlementId, bytes32("model"), srsOf(key))
        );
        check(id == expected && registry.count() == 1 && registry.idAt(0) == id, "id");
        IVerifierRegistry.Entry memory e = registry.entry(id);
        check(e.verifier == address(verifier) && e.batch == 3, "verifier, batch");
        check(e.inputValues == 4 && e.outputValues == 2, "values of one inference");
        check(e.settlementId == settlementId && e.modelId == "model", "ids");
        check(e.srsHash == srsOf(key) && e.codeHash == address(verifier).codehash, "hashes");
        check(e.weightCommitment == keccak256(slice(key, 32 * 40, key.length)), "weights");
        check(e.workUnits == 1_000_000 && e.addedAt == nowAt(), "work, time");
        (bool active, address at_, bytes32 sid, uint32 b, uint32 i, uint32 o, uint64 w) = registry.terms(id);
        check(active && registry.isActive(id) && at_ == e.verifier && sid == settlementId, "terms");
        check(b == 3 && i == 4 && o == 2 && w == 1_000_000, "numbers of terms");
    }

    function testUnknown(bytes32 id) external {
        add(address(verifier), settlementId, "model", 1);
        if (id == registry.idAt(0)) id = 0;
        check(!registry.isActive(id), "active");
        (bool active, address at_, bytes32 sid, uint32 b,,, uint64 w) = registry.terms(id);
        check(!active && at_ == address(0) && sid == 0 && b == 0 && w == 0, "terms");
        cheats.expectRevert(abi.encodeWithSelector(IVerifierRegistry.UnknownVerifier.selector, id));
        registry.entry(id);
        bytes memory call_ = abi.encodeCall(registry.tombstone, (id));
        fails(guardian, address(registry), call_, IVerifierRegistry.UnknownVerifier.selector, "tombstone");
    }

    function testRestricted(address from) external {
        bytes4 unauthorized = IAccessManaged.AccessManagedUnauthorized.selector;
        bytes32 id = add(address(verifier), settlementId, "model", 1);
        bytes32 canary = verifier.register(canaryKey(1));
        if (from == curator) from = guardian;
        bytes memory call_ = abi.encodeCall(registry.add, (address(verifier), settlementId, "other", 1, 1));
        // The curator with a delay has to schedule first.
        bytes4 reason = from == defaults().curator ? bytes4(0) : unauthorized;
        fails(from, address(registry), call_, reason, "added");
        call_ = abi.encodeCall(registry.setCanary, (address(verifier), canary));
        fails(from, address(registry), call_, reason, "canary");
        if (from == guardian) from = curator;
        fails(from, address(registry), abi.encodeCall(registry.tombstone, (id)), unauthorized, "tombstone");
        check(registry.isActive(id), "active");
    }

    function testAddRefuses() external {
        bytes4 bad = IVerifierRegistry.BadEntry.selector;
        refused(address(verifier), settlementId, 0, bad, "no batch");
        bytes memory call_ = abi.encodeCall(registry.add, (address(verifier), settlementId, 0, 1, 1));
        fails(curator, address(registry), call_, bad, "no model");
        call_ = abi.encodeCall(registry.add, (address(verifier), settlementId, "model", 1, 0));
        fails(curator, address(registry), call_, bad, "no work");

        bytes4 tensors = IVerifierRegistry.PublicTensors.selector;
        refused(address(verifier), settlementId, 4, tensors, "batch does not divide the output");
        refused(address(verifier), settlementId, 5, tensors, "batch divides neither");
        refused(address(verifier), settlementId, type(uint32).max, tensors, "huge batch");
        refusedKey(keyWith(new Tensor[](0), 1, 1), tensors, "no tensor");
        refusedKey(canaryKey(1), tensors, "one tensor");
        Tensor[] memory three = new Tensor[](3);
        three[0] = three[1] = three[2] = Tensor(6, 0, 1);
        refusedKey(keyWith(three, 1, 1), tensors, "three tensors");
    }

    function testNoKey() external {
        bytes4 none = IVerifierRegistry.NoKey.selector;
        refused(address(verifier), "unknown", 1, none, "unknown key");
        refused(address(0x1234), settlementId, 1, none, "no code");
        refused(address(new MockVerifier()), settlementId, 1, none, "key of another verifier");
        verifier.pretendAt("self", address(verifier));
        refused(address(verifier), "self", 1, none, "code that is no key");
        verifier.pretend("other", key);
        refused(address(verifier), "other", 1, none, "hash of another key");
        verifier.pretend(settlementId, bytes.concat(key, hex"00"));
        refused(address(verifier), settlementId, 1, none, "a byte more");
    }

    /// @dev Keys that a verifier might have without checking them: reading must stay within.
    function testMalformedKeys() external {
        bytes4 none = IVerifierRegistry.NoKey.selector;
        refusedKey(slice(key, 0, key.length - 32), none, "a word less");
        refusedKey(slice(key, 0, 32 * 16), none, "header only");
        refusedKey(slice(key, 0, 31), none, "less than a word");
        refusedKey(bytes.concat(key, bytes32(0)), none, "a word more");
        refusedWord(0, 0, "no version");
        refusedWord(0, 3, "version");
        refusedWord(0, 2, "a list of stacks that is none");
        refusedWord(6, 12, "model shorter than a row");
        refusedWord(8, 12, "more rows than there are");
        refusedWord(8, 10, "fewer rows than there are");
        refusedWord(8, type(uint256).max, "huge number of rows");
        refusedWord(8, 10 + 256, "shift beyond the word");
        refusedWord(9, 1, "fewer tensors");
        refusedWord(9, 3, "more tensors");
        refusedWord(9, type(uint256).max / 3, "tensors that wrap");
        refusedWord(9, type(uint256).max, "huge number of tensors");
        refusedWord(16, 0, "empty tensor");
        refusedWord(16, (1 << 24) + 1, "large tensor");
        refusedWord(19, 1 << 32, "wraps to nothing");
    }

    function refusedWord(uint256 index, uint256 value, string memory what) private {
        bytes memory other = key;
        setWord(other, index, value);
        refusedKey(other, IVerifierRegistry.NoKey.selector, what);
    }

    function testDevelopmentKeys() external {
        bytes memory marked = key;
        setWord(marked, 1, 1);
        settlementId = verifier.register(marked);
        cheats.chainId(1);
        refused(address(verifier), settlementId, 1, IAssayVerifier.DevelopmentSrs.selector, "development");
        cheats.chainId(31_337);
        check(registry.isActive(add(address(verifier), settlementId, "model", 1)), "on a local chain");
    }

    function testHostileVerifiers() external {
        bytes memory again = addCall(address(verifier), settlementId, 1);
        refused(address(new ReenteringVerifier(address(registry), again)), settlementId, 1, 0, "reentered");
        refused(address(new GarbageVerifier("")), settlementId, 1, 0, "empty answer");
        refused(address(new GarbageVerifier(hex"01")), settlementId, 1, 0, "short answer");
        refused(address(new GarbageVerifier(abi.encode(type(uint256).max))), settlementId, 1, 0, "no address");
        refused(address(new GarbageVerifier(abi.encode(1))), settlementId, 1, 0, "an address without code");
        refused(address(new GarbageVerifier(new bytes(100_000))), settlementId, 1, 0, "long answer");
    }

    function testAppendOnly() external {
        bytes32 id = add(address(verifier), settlementId, "model", 3);
        bytes4 already = IVerifierRegistry.AlreadyAdded.selector;
        fails(curator, address(registry), addCall(address(verifier), settlementId, 3), already, "twice");
        // The batch is not part of the id, so it cannot be changed either.
        fails(curator, address(registry), addCall(address(verifier), settlementId, 1), already, "another batch");
        cheats.prank(guardian);
        registry.tombstone(id);
        fails(curator, address(registry), addCall(address(verifier), settlementId, 3), already, "after its end");
        check(!registry.isActive(id) && registry.count() == 1 && registry.entry(id).batch == 3, "stays as it was");
        (bool active, address at_,,,,,) = registry.terms(id);
        check(!active && at_ == address(verifier), "terms of an ended entry");
    }

    function testTombstone() external {
        bytes32 id = add(address(verifier), settlementId, "model", 1);
        bytes32 other = add(address(verifier), settlementId, "other", 1);
        vm.recordLogs();
        cheats.prank(guardian);
        registry.tombstone(id);
        cheats.prank(guardian);
        registry.tombstone(id);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        check(logs.length == 1 && logs[0].topics[0] == IVerifierRegistry.Tombstoned.selector, "one event");
        check(!registry.isActive(id) && registry.isActive(other), "this entry only");
    }

    function testChangedCode() external {
        bytes32 id = add(address(verifier), settlementId, "model", 1);
        bytes memory code = address(verifier).code;
        vm.etch(address(verifier), address(new GarbageVerifier("")).code);
        (bool active,,,,,,) = registry.terms(id);
        check(!active && !registry.isActive(id), "other code");
        vm.etch(address(verifier), "");
        check(!registry.isActive(id), "no code");
        vm.etch(address(verifier), bytes.concat(code, hex"00"));
        check(!registry.isActive(id), "a byte more");
        bytes32 next = verifier.register(modelKey(1, 1, 1, 2));
        bytes4 ended = IVerifierRegistry.SetupEnded.selector;
        fails(curator, address(registry), addCall(address(verifier), next, 1), ended, "added to changed code");
        vm.etch(address(verifier), code);
        check(registry.isActive(id), "what was reviewed");
    }
}
