// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AssayVerifier } from "../../sol/AssayVerifier.sol";
import { IJobMarket } from "../../sol/economy/IJobMarket.sol";
import { IMarket } from "../../sol/economy/IMarket.sol";
import { Verifiers } from "./Doubles.sol";
import { MarketTest } from "./Market.sol";

interface Storage {
    function load(address target, bytes32 slot) external view returns (bytes32);
    function store(address target, bytes32 slot, bytes32 value) external;
}

/// A stored proof of the real prover, checked by the real verifier, paid by the market: its context names consumer 0x11..,
/// job 0x22.., recipient 0x33.. on chain 31337, so the market is put there.
contract RealProofTest is MarketTest {
    address private constant CONSUMER = 0x1111111111111111111111111111111111111111;
    uint256 private constant JOB = 0x2222222222222222222222222222222222222222222222222222222222222222;
    address private constant RECIPIENT = 0x3333333333333333333333333333333333333333;
    bytes32 private constant REAL = keccak256("real");
    uint32 private constant INPUTS = 36;
    uint32 private constant OUTPUTS = 15;

    Vector private v;
    IJobMarket private moved;

    function setUp() public override {
        super.setUp();
        v = parse("test/vectors/mlp_batch.json");
        AssayVerifier real = realVerifier();
        bytes32 key = real.register(v.key);
        check(real.contextFor(CONSUMER, bytes32(JOB), RECIPIENT) == v.context, "context of the vector");
        verifiers.add(REAL, Verifiers.Kept(true, address(real), key, MODEL, 1, INPUTS, OUTPUTS, UNITS));
    }

    /// @dev Puts a market there, with the vector's question as job 1, 2 and JOB.
    function place(address where) private {
        cheats.etch(where, address(market).code);
        moved = IJobMarket(where);
        cheats.prank(REQUESTER);
        token.approve(where, type(uint256).max);
        bytes memory input = inputOfVector();
        bytes32 commitment = keccak256(abi.encodePacked(saltOf(1), input));
        for (uint256 i = 0; i < 2; i++) {
            IJobMarket.Spec memory s = spec(REAL);
            s.inputCommitment = commitment;
            cheats.prank(REQUESTER);
            moved.post(s, saltOf(1), input);
        }
        copyJob(commitment);
    }

    /// @dev Gives job 1 the vector's number as well: finds the mapping by the commitment, the last of a job's six slots.
    function copyJob(bytes32 commitment) private {
        for (uint256 place_ = 0; place_ < 20; place_++) {
            uint256 from = uint256(keccak256(abi.encode(1, place_)));
            if (Storage(address(vm)).load(address(moved), bytes32(from + 5)) != commitment) continue;
            uint256 to = uint256(keccak256(abi.encode(JOB, place_)));
            for (uint256 i = 0; i < 6; i++) {
                bytes32 value = Storage(address(vm)).load(address(moved), bytes32(from + i));
                Storage(address(vm)).store(address(moved), bytes32(to + i), value);
            }
            return;
        }
        revert Failed("jobs not found");
    }

    function inputOfVector() private view returns (bytes memory input) {
        input = new bytes(INPUTS * 8);
        for (uint256 i = 0; i < input.length; i++) {
            input[i] = v.publicValues[i];
        }
    }

    function fails(uint256 id, address payout) private {
        bytes32[] memory salts = saltsOf(list(1));
        cheats.expectRevert(IMarket.InvalidProof.selector);
        moved.fulfil(list(id), salts, payout, v.publicValues, v.proof);
    }

    function testPays() public {
        place(CONSUMER);
        moved.fulfil(list(JOB), saltsOf(list(1)), RECIPIENT, v.publicValues, v.proof);
        equal(moved.claimable(RECIPIENT), 100e18 - 10e18 - 3.33e18, "worker");
    }

    function testNobodyElse() public {
        place(CONSUMER);
        fails(JOB, WORKER);
    }

    function testNoOtherJob() public {
        place(CONSUMER);
        fails(2, RECIPIENT);
    }

    function testNoOtherMarket() public {
        place(address(0x1112));
        fails(JOB, RECIPIENT);
    }

    function testNoOtherChain() public {
        place(CONSUMER);
        cheats.chainId(1);
        fails(JOB, RECIPIENT);
    }

    function testNoOtherOutput() public {
        place(CONSUMER);
        v.publicValues[v.publicValues.length - 1] ^= 0x01;
        fails(JOB, RECIPIENT);
    }

    /// The requester cannot commit to one input and have a proof about another paid, nor the worker the reverse.
    function testNoOtherInput() public {
        place(CONSUMER);
        v.publicValues[0] ^= 0x01;
        bytes32[] memory salts = saltsOf(list(1));
        cheats.expectRevert(abi.encodeWithSelector(IJobMarket.WrongInput.selector, JOB));
        moved.fulfil(list(JOB), salts, RECIPIENT, v.publicValues, v.proof);
    }
}
