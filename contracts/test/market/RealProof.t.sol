// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { AssayVerifier } from "../../sol/AssayVerifier.sol";
import { IEmissionController } from "../../sol/economy/IEmissionController.sol";
import { IJobMarket } from "../../sol/economy/IJobMarket.sol";
import { IModelRegistry } from "../../sol/economy/IModelRegistry.sol";
import { IVerifierRegistry } from "../../sol/economy/IVerifierRegistry.sol";
import { JobMarket } from "../../sol/economy/JobMarket.sol";
import { Verifiers } from "./Doubles.sol";
import { MarketTest } from "./Market.sol";

/// @dev A market in which jobs can be given any id: the stored proof names a job that is no small number.
contract Renumbering is JobMarket {
    constructor(
        IERC20 token_,
        IVerifierRegistry verifiers_,
        IModelRegistry models_,
        IEmissionController emission_,
        address treasury_
    ) JobMarket(address(1), token_, verifiers_, models_, emission_, treasury_, 0, 0) { }

    function copy(uint256 from, uint256 to) external {
        _lots[to] = _lots[from];
    }
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

    function setUp() public override {
        super.setUp();
        v = parse("test/vectors/mlp_batch.json");
        AssayVerifier real = realVerifier();
        bytes32 key = real.register(v.key);
        check(real.contextFor(CONSUMER, bytes32(JOB), RECIPIENT) == v.context, "context of the vector");
        verifiers.add(REAL, Verifiers.Kept(true, address(real), key, MODEL, 1, INPUTS, OUTPUTS, UNITS));
    }

    function place(address where) private returns (Renumbering moved) {
        bytes memory arguments = abi.encode(token, verifiers, models, emission, TREASURY);
        address template = cheats.deployCode("test/market/RealProof.t.sol:Renumbering", arguments);
        cheats.etch(where, template.code);
        cheats.prank(REQUESTER);
        token.approve(where, type(uint256).max);
        moved = Renumbering(where);
        IJobMarket.Spec memory s = spec(REAL);
        bytes memory input = inputOfVector();
        s.inputCommitment = keccak256(abi.encodePacked(saltOf(1), input));
        for (uint256 i = 0; i < 2; i++) {
            cheats.prank(REQUESTER);
            moved.post(s, saltOf(1), input);
        }
        moved.copy(1, JOB);
    }

    function inputOfVector() private view returns (bytes memory input) {
        input = new bytes(INPUTS * 8);
        for (uint256 i = 0; i < input.length; i++) {
            input[i] = v.publicValues[i];
        }
    }

    function fails(Renumbering moved, uint256 id, address payout) private {
        bytes32[] memory salts = saltsOf(list(1));
        cheats.expectRevert(IJobMarket.InvalidProof.selector);
        moved.fulfil(list(id), salts, payout, v.publicValues, v.proof);
    }

    function testPays() public {
        Renumbering moved = place(CONSUMER);
        moved.fulfil(list(JOB), saltsOf(list(1)), RECIPIENT, v.publicValues, v.proof);
        equal(moved.claimable(RECIPIENT), 100e18 - 10e18 - 3.33e18, "worker");
    }

    function testNobodyElse() public {
        fails(place(CONSUMER), JOB, WORKER);
    }

    function testNoOtherJob() public {
        fails(place(CONSUMER), 2, RECIPIENT);
    }

    function testNoOtherMarket() public {
        fails(place(address(0x1112)), JOB, RECIPIENT);
    }

    function testNoOtherChain() public {
        Renumbering moved = place(CONSUMER);
        cheats.chainId(1);
        fails(moved, JOB, RECIPIENT);
    }

    function testNoOtherOutput() public {
        Renumbering moved = place(CONSUMER);
        v.publicValues[v.publicValues.length - 1] ^= 0x01;
        fails(moved, JOB, RECIPIENT);
    }

    /// The requester cannot commit to one input and have a proof about another paid, nor the worker the reverse.
    function testNoOtherInput() public {
        Renumbering moved = place(CONSUMER);
        v.publicValues[0] ^= 0x01;
        bytes32[] memory salts = saltsOf(list(1));
        cheats.expectRevert(abi.encodeWithSelector(IJobMarket.WrongInput.selector, JOB));
        moved.fulfil(list(JOB), salts, RECIPIENT, v.publicValues, v.proof);
    }
}
