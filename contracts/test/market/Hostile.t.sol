// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import { IJobMarket } from "../../sol/economy/IJobMarket.sol";
import { ILedger } from "../../sol/economy/ILedger.sol";
import { JobMarket } from "../../sol/economy/JobMarket.sol";
import { Token, Verifiers } from "./Doubles.sol";
import { MarketTest } from "./Market.sol";

/// @dev A token that misbehaves as told.
contract OddToken is Token {
    enum Oddity {
        None,
        KeepsOne, // the receiver gets one less
        TakesOneMore, // the sender loses one more
        BurnsNothing,
        SaysFalse,
        SaysNothing,
        Reverts,
        CallsBack
    }

    Oddity public oddity;
    address public target;
    bytes public call;
    bytes public answer;
    bool public succeeded;

    function become(Oddity oddity_) external {
        oddity = oddity_;
    }

    function callBack(address target_, bytes calldata call_) external {
        (oddity, target, call) = (Oddity.CallsBack, target_, call_);
        (answer, succeeded) = ("", false);
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return odd(super.transfer(to, amount));
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        return odd(super.transferFrom(from, to, amount));
    }

    function burn(uint256 amount) public override {
        if (oddity != Oddity.BurnsNothing) super.burn(amount);
        odd(true);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (oddity == Oddity.KeepsOne && to != address(0)) super._update(to, address(0), 1);
        if (oddity == Oddity.TakesOneMore && from != address(0)) super._update(from, address(0), 1);
    }

    function odd(bool usual) private returns (bool) {
        if (oddity == Oddity.SaysFalse) return false;
        if (oddity == Oddity.Reverts) revert("no");
        if (oddity == Oddity.CallsBack) {
            oddity = Oddity.None;
            (succeeded, answer) = target.call(call);
            oddity = Oddity.CallsBack;
        }
        if (oddity == Oddity.SaysNothing) {
            assembly {
                return(0, 0)
            }
        }
        return usual;
    }
}

/// @dev Answers as told, after trying to change something.
contract OddVerifier {
    address public market;
    bytes public answer;
    bool public burnsGas;

    function set(address market_, bytes calldata answer_, bool burnsGas_) external {
        (market, answer, burnsGas) = (market_, answer_, burnsGas_);
    }

    function verify(bytes32, bytes calldata, bytes32, bytes calldata) external returns (bool) {
        if (market != address(0)) {
            (bool ok,) = market.call(abi.encodeCall(ILedger.withdraw, (address(0x1002))));
            require(!ok, "entered");
        }
        while (burnsGas) { }
        bytes memory out = answer;
        assembly {
            return(add(out, 0x20), mload(out))
        }
    }
}

/// @dev Burns while it is told of a settlement.
contract EagerEmission {
    function record(address, uint256, uint256) external returns (uint256 epoch) {
        epoch = 0;
        IJobMarket(msg.sender).burnFees();
    }
}

contract HostileTest is MarketTest {
    OddToken private odd;

    function setUp() public override {
        super.setUp();
        odd = new OddToken();
        token = odd;
        market = deploy(address(odd), address(emission));
        address[3] memory rich = [REQUESTER, WORKER, OTHER];
        for (uint256 i = 0; i < rich.length; i++) {
            odd.mint(rich[i], 1e27);
            cheats.prank(rich[i]);
            odd.approve(address(market), type(uint256).max);
        }
    }

    /// Every call that takes tokens fails with `reason`, and leaves nothing behind.
    function takingFails(OddToken.Oddity oddity, bytes memory reason) private {
        uint256 id = post();
        odd.become(oddity);
        IJobMarket.Spec memory s = spec(SINGLE);
        cheats.prank(REQUESTER);
        cheats.expectRevert(reason);
        market.post(s, 0, "");
        cheats.prank(WORKER);
        cheats.expectRevert(reason);
        market.lease(list(id), WORKER, anyBond(1), 0);
        odd.become(OddToken.Oddity.None);
        equal(market.jobs(), id, "jobs");
        equal(market.job(id).held, 0, "held");
        balanced();
    }

    /// Every call that sends or burns tokens fails with `reason`; the debt stays.
    function sendingFails(OddToken.Oddity oddity, bytes memory reason) private {
        fulfil(post(), WORKER);
        uint256 due = market.claimable(WORKER);
        odd.become(oddity);
        cheats.expectRevert(reason);
        market.withdraw(WORKER);
        odd.become(OddToken.Oddity.None);
        equal(market.claimable(WORKER), due, "due");
        balanced();
        equal(market.withdraw(WORKER), due, "later");
    }

    function testTakesFeeOnTransfer() public {
        takingFails(OddToken.Oddity.KeepsOne, abi.encodeWithSelector(ILedger.OddToken.selector));
    }

    function testSendsMoreThanAsked() public {
        sendingFails(OddToken.Oddity.TakesOneMore, abi.encodeWithSelector(ILedger.OddToken.selector));
    }

    function testSaysFalse() public {
        bytes memory reason = abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(odd));
        takingFails(OddToken.Oddity.SaysFalse, reason);
        sendingFails(OddToken.Oddity.SaysFalse, reason);
    }

    function testReverts() public {
        bytes memory reason = abi.encodeWithSignature("Error(string)", "no");
        takingFails(OddToken.Oddity.Reverts, reason);
        sendingFails(OddToken.Oddity.Reverts, reason);
    }

    function testSaysNothing() public {
        odd.become(OddToken.Oddity.SaysNothing);
        uint256 id = post();
        lease(id, WORKER);
        fulfil(id, WORKER);
        check(market.withdraw(WORKER) > 0 && market.burnFees() > 0, "paid");
        balanced();
    }

    function testBurnsNothing() public {
        fulfil(post(), WORKER);
        odd.become(OddToken.Oddity.BurnsNothing);
        cheats.expectRevert(ILedger.OddToken.selector);
        market.burnFees();
        equal(market.unburned(), feeOf(UNITS), "still owed");
    }

    /// From within each kind of token movement, each entry of the market.
    function testNoEntryTwice() public {
        uint256 open = post();
        uint256 leased = post();
        lease(leased, WORKER);
        uint256 done = post();
        fulfil(done, WORKER);
        bytes[7] memory calls = [
            abi.encodeCall(IJobMarket.post, (spec(SINGLE), 0, "")),
            abi.encodeCall(IJobMarket.lease, (new uint256[](0), OTHER, new uint128[](0), 0)),
            abi.encodeCall(
                IJobMarket.fulfil,
                (list(leased), saltsOf(list(leased)), WORKER, valuesOf(list(leased)), proofOf(list(leased), WORKER))
            ),
            abi.encodeCall(IJobMarket.refund, (list(done))),
            abi.encodeCall(ILedger.withdraw, (WORKER)),
            abi.encodeCall(ILedger.collectRoyalties, (OFFER)),
            abi.encodeCall(ILedger.burnFees, ())
        ];
        for (uint256 i = 0; i < calls.length; i++) {
            odd.callBack(address(market), calls[i]);
            post();
            refused();
            odd.callBack(address(market), calls[i]);
            lease(open, OTHER);
            refused();
            cheats.warp(market.job(open).leaseEnd);
            odd.callBack(address(market), calls[i]);
            odd.become(OddToken.Oddity.None);
            fulfil(post(), WORKER);
            odd.become(OddToken.Oddity.CallsBack);
            market.withdraw(WORKER);
            refused();
            odd.callBack(address(market), calls[i]);
            market.burnFees();
            refused();
            balanced();
        }
    }

    function refused() private {
        bytes memory reason = abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        check(!odd.succeeded() && keccak256(odd.answer()) == keccak256(reason), "entered twice");
        odd.become(OddToken.Oddity.None);
    }

    function testVerifierCannotEnter() public {
        (uint256 id, OddVerifier bad) = oddVerifier();
        bad.set(address(market), abi.encode(true), false);
        fulfil(id, WORKER);
        equal(market.claimable(WORKER), workerPart(100e18), "once");
        balanced();
    }

    /// I10: nothing but a clean true is a verdict.
    function testVerifierWithoutVerdict() public {
        (uint256 id, OddVerifier bad) = oddVerifier();
        bytes[5] memory answers = [abi.encode(false), bytes(""), hex"01", abi.encode(2), abi.encode(1 << 255)];
        for (uint256 i = 0; i < answers.length; i++) {
            bad.set(address(0), answers[i], false);
            fulfilFails(list(id), WORKER, i == 0 ? abi.encodeWithSelector(IJobMarket.InvalidProof.selector) : bytes(""));
        }
        // Out of gas.
        bad.set(address(0), abi.encode(true), true);
        bytes memory call = abi.encodeCall(
            IJobMarket.fulfil, (list(id), saltsOf(list(id)), WORKER, valuesOf(list(id)), proofOf(list(id), WORKER))
        );
        (bool ok,) = address(market).call{ gas: 1_000_000 }(call);
        check(!ok, "paid without a verdict");
        balanced();
    }

    /// No code behind the entry: not a verdict either.
    function testVerifierWithoutCode() public {
        uint256 id = post();
        verifiers.add(SINGLE, Verifiers.Kept(true, address(0xdead), KEY, MODEL, 1, 2, 1, UNITS));
        fulfilFails(list(id), WORKER, "");
    }

    function oddVerifier() private returns (uint256 id, OddVerifier bad) {
        bad = new OddVerifier();
        bytes32 name = keccak256("odd");
        verifiers.add(name, Verifiers.Kept(true, address(bad), KEY, MODEL, 1, 2, 1, UNITS));
        id = post(spec(name));
    }

    function testEmissionCannotEnter() public {
        market = deploy(address(odd), address(new EagerEmission()));
        cheats.prank(REQUESTER);
        odd.approve(address(market), type(uint256).max);
        uint256 id = post();
        fulfilFails(
            list(id), WORKER, abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector)
        );
    }

    /// Little gas cannot make a settlement lose the worker's reward: all of it happens or nothing.
    function testLittleGas() public {
        uint256 id = post();
        bytes memory call = abi.encodeCall(
            IJobMarket.fulfil, (list(id), saltsOf(list(id)), WORKER, valuesOf(list(id)), proofOf(list(id), WORKER))
        );
        bool done;
        for (uint256 gas_ = 20_000; gas_ < 400_000; gas_ += 1_500) {
            (bool ok,) = address(market).call{ gas: gas_ }(call);
            if (ok) {
                done = true;
                break;
            }
            check(market.claimable(WORKER) == 0 && emission.calls() == 0, "half done");
        }
        check(done && market.claimable(WORKER) > 0 && emission.fees(WORKER) == feeOf(UNITS), "done");
    }
}
