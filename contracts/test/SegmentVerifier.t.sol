// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AssayVerifier } from "../sol/AssayVerifier.sol";
import { IAssayVerifier } from "../sol/IAssayVerifier.sol";
import { ISegmentVerifier } from "../sol/ISegmentVerifier.sol";
import { Base, Vm } from "./Base.sol";

/// Two stored proofs of the real prover that share a stack: the first makes features, the second reads them.
contract SegmentVerifierTest is Base {
    /// @dev What the stored proofs are bound to, on chain 31337.
    address private constant CONSUMER = 0x1111111111111111111111111111111111111111;
    bytes32 private constant JOB = 0x2222222222222222222222222222222222222222222222222222222222222222;
    address private constant RECIPIENT = 0x3333333333333333333333333333333333333333;

    AssayVerifier private real;
    ISegmentVerifier private segments;
    Vector private first;
    Vector private second;
    Vector private stranger;

    function setUp() public {
        first = parse("test/vectors/stacks/features.json");
        second = parse("test/vectors/stacks/classes.json");
        stranger = parse("test/vectors/stacks/one_row.json");
        real = AssayVerifier(deployed("AssayVerifier", abi.encode(true)));
        segments = ISegmentVerifier(deployed("SegmentVerifier", abi.encode(address(real))));
        real.register(first.key);
        real.register(second.key);
        real.register(stranger.key);
    }

    function plan() private view returns (ISegmentVerifier.Segment[] memory all) {
        all = new ISegmentVerifier.Segment[](2);
        all[0] = ISegmentVerifier.Segment(keccak256(first.key), hex"00");
        all[1] = ISegmentVerifier.Segment(keccak256(second.key), hex"00");
    }

    function two(bytes memory a, bytes memory b) private pure returns (bytes[] memory all) {
        all = new bytes[](2);
        all[0] = a;
        all[1] = b;
    }

    function values() private view returns (bytes[] memory) {
        return two(first.publicValues, second.publicValues);
    }

    function proofs() private view returns (bytes[] memory) {
        return two(first.proof, second.proof);
    }

    function refused(
        ISegmentVerifier.Segment[] memory p,
        bytes[] memory v,
        bytes32 context,
        bytes[] memory q,
        string memory what
    ) private view {
        check(!segments.verify(p, v, context, q), what);
    }

    function test_proofs_that_share_their_boundary_are_accepted() public view {
        check(address(segments.verifier()) == address(real), "the verifier");
        check(segments.verify(plan(), values(), first.context, proofs()), "accepted");
    }

    function test_gas_is_that_of_the_proofs_and_little_more() public view {
        uint256 start = gasleft();
        check(real.verify(keccak256(first.key), first.publicValues, first.context, first.proof), "first");
        check(real.verify(keccak256(second.key), second.publicValues, second.context, second.proof), "second");
        uint256 apart = start - gasleft();
        ISegmentVerifier.Segment[] memory p = plan();
        (bytes[] memory v, bytes[] memory q) = (values(), proofs());
        start = gasleft();
        check(segments.verify(p, v, first.context, q), "both");
        check(start - gasleft() < apart + 60_000, "gas");
    }

    function test_the_plan_id_names_ids_order_and_boundaries() public view {
        ISegmentVerifier.Segment[] memory p = plan();
        bytes32 id = segments.planId(p);
        (p[0], p[1]) = (p[1], p[0]);
        check(segments.planId(p) != id, "order");
        p = plan();
        p[1].boundaries = hex"01";
        check(segments.planId(p) != id, "boundaries");
        p = plan();
        p[1].modelId ^= bytes32(uint256(1));
        check(segments.planId(p) != id, "ids");
    }

    function test_proofs_in_another_order_are_refused() public view {
        refused(plan(), values(), first.context, two(second.proof, first.proof), "proofs");
        bytes[] memory v = two(second.publicValues, first.publicValues);
        refused(plan(), v, first.context, two(second.proof, first.proof), "proofs and values");
    }

    function test_one_proof_twice_is_refused() public view {
        bytes[] memory v = two(first.publicValues, first.publicValues);
        refused(plan(), v, first.context, two(first.proof, first.proof), "the first twice");
        v = two(second.publicValues, second.publicValues);
        refused(plan(), v, first.context, two(second.proof, second.proof), "the second twice");
    }

    function test_a_missing_segment_is_refused() public view {
        bytes[] memory one = new bytes[](1);
        one[0] = first.publicValues;
        bytes[] memory proof = new bytes[](1);
        proof[0] = first.proof;
        refused(plan(), one, first.context, proof, "the last is missing");
        refused(plan(), values(), first.context, proof, "a proof is missing");
        refused(plan(), one, first.context, proofs(), "values are missing");
        refused(plan(), new bytes[](0), first.context, new bytes[](0), "nothing");
        refused(plan(), two("", second.publicValues), first.context, proofs(), "no id");
    }

    function test_another_boundary_is_refused() public view {
        bytes memory v = second.publicValues;
        for (uint256 i = 0; i < 32; i++) {
            v[i] ^= 0x01;
            refused(plan(), two(first.publicValues, v), first.context, proofs(), "one id");
            // Where both say the same other id, the proofs are about another.
            bytes memory w = first.publicValues;
            w[i] ^= 0x01;
            refused(plan(), two(w, v), first.context, proofs(), "both ids");
            v[i] ^= 0x01;
        }
    }

    function test_the_proof_of_another_key_is_refused() public {
        refused(
            plan(),
            two(first.publicValues, stranger.publicValues),
            first.context,
            two(first.proof, stranger.proof),
            "proof"
        );
        // A plan with that key is another plan, and the stacks differ.
        ISegmentVerifier.Segment[] memory p = plan();
        p[1].modelId = keccak256(stranger.key);
        check(segments.planId(p) != segments.planId(plan()), "id");
        refused(
            p, two(first.publicValues, stranger.publicValues), first.context, two(first.proof, stranger.proof), "plan"
        );
        p[1].modelId = bytes32(uint256(5));
        vm.expectRevert(abi.encodeWithSelector(IAssayVerifier.UnknownModel.selector, p[1].modelId));
        segments.verify(p, values(), first.context, proofs());
    }

    function test_another_context_is_refused() public view {
        refused(plan(), values(), first.context ^ bytes32(uint256(1)), proofs(), "context");
    }

    function test_every_part_of_a_proof_counts(uint256 place, uint8 bit) public view {
        bytes memory proof = second.proof;
        proof[place % proof.length] ^= bytes1(uint8(1) << (bit % 8));
        refused(plan(), values(), first.context, two(first.proof, proof), "altered");
    }

    function test_what_is_no_plan_reverts() public {
        bytes[4] memory seconds_ = [bytes(hex"01"), hex"02", hex"", hex"0001"];
        for (uint256 i = 0; i < seconds_.length; i++) {
            ISegmentVerifier.Segment[] memory p = plan();
            p[1].boundaries = seconds_[i];
            // Long enough for two ids.
            bytes[] memory v = two(first.publicValues, abi.encodePacked(second.publicValues, second.publicValues));
            vm.expectRevert(abi.encodeWithSelector(ISegmentVerifier.InvalidPlan.selector, 1));
            segments.verify(p, v, first.context, proofs());
        }
        ISegmentVerifier.Segment[] memory none = plan();
        none[0].boundaries = hex"";
        vm.expectRevert(abi.encodeWithSelector(ISegmentVerifier.InvalidPlan.selector, 0));
        segments.verify(none, values(), first.context, proofs());
        none = new ISegmentVerifier.Segment[](1);
        vm.expectRevert(abi.encodeWithSelector(ISegmentVerifier.InvalidPlan.selector, 1));
        segments.verify(none, new bytes[](1), first.context, new bytes[](1));
        none = new ISegmentVerifier.Segment[](65);
        vm.expectRevert(abi.encodeWithSelector(ISegmentVerifier.InvalidPlan.selector, 65));
        segments.verify(none, new bytes[](65), first.context, new bytes[](65));
    }

    function test_submission_is_for_this_contract_alone() public {
        // The stored proofs are bound to another consumer.
        vm.expectRevert(abi.encodeWithSelector(ISegmentVerifier.InvalidProofs.selector));
        segments.submit(plan(), values(), JOB, RECIPIENT, proofs());
        check(real.contextFor(CONSUMER, JOB, RECIPIENT) == first.context, "context of the vector");
        vm.etch(CONSUMER, address(segments).code);
        vm.recordLogs();
        ISegmentVerifier(CONSUMER).submit(plan(), values(), JOB, RECIPIENT, proofs());
        Vm.Log[] memory logs = vm.getRecordedLogs();
        equal(logs.length, 1, "events");
        check(logs[0].topics[1] == segments.planId(plan()), "plan");
        check(abi.decode(logs[0].data, (bytes32)) == keccak256(abi.encode(values())), "values");
    }
}
