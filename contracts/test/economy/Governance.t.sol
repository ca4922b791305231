// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IAccessManaged } from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import { IAccessControl } from "@openzeppelin/contracts/access/IAccessControl.sol";
import { IGovernor } from "@openzeppelin/contracts/governance/IGovernor.sol";
import { TimelockController } from "@openzeppelin/contracts/governance/TimelockController.sol";
import { AssayGovernor } from "../../sol/economy/AssayGovernor.sol";
import { AssayToken } from "../../sol/economy/AssayToken.sol";
import { IEmissionController } from "../../sol/economy/IEmissionController.sol";
import { EmissionBase } from "./EmissionBase.sol";

/// @dev From a proposal to what it does, and all the ways around it.
contract GovernanceTest is EmissionBase {
    AssayGovernor private governor;
    TimelockController private timelock;

    address[] private targets;
    uint256[] private values;
    bytes[] private calls;
    string private constant WHY = "public task";

    function setUp() external {
        start(defaults());
        (governor, timelock) = (system.governor, system.timelock);
        require(token.transfer(ALICE, 5_000_000e18) && token.transfer(BOB, 1_000_000e18));
        token.delegate(address(this));
        cheats.prank(ALICE);
        token.delegate(ALICE);
        cheats.prank(BOB);
        token.delegate(BOB);
        skip(1);
    }

    /// @dev A proposal with one call.
    function propose(address target, bytes memory data) private returns (uint256) {
        (targets, values, calls) = (new address[](1), new uint256[](1), new bytes[](1));
        (targets[0], calls[0]) = (target, data);
        cheats.prank(ALICE);
        return governor.propose(targets, values, calls, WHY);
    }

    function vote(address voter, uint256 id, uint8 support) private {
        cheats.prank(voter);
        governor.castVote(id, support);
    }

    function queue() private {
        governor.queue(targets, values, calls, keccak256(bytes(WHY)));
    }

    function execute() private {
        governor.execute(targets, values, calls, keccak256(bytes(WHY)));
    }

    function executeCall() private view returns (bytes memory) {
        return abi.encodeCall(governor.execute, (targets, values, calls, keccak256(bytes(WHY))));
    }

    /// @dev All the way, with the votes of ALICE.
    function pass(address target, bytes memory data) private {
        uint256 id = propose(target, data);
        skip(1 days + 1);
        vote(ALICE, id, 1);
        // Reaching the quorum late would extend the vote.
        skip(5 days + 1);
        queue();
        skip(2 days);
        execute();
        check(governor.state(id) == IGovernor.ProposalState.Executed, "executed");
    }

    function release(uint256 amount) private view returns (bytes memory) {
        return abi.encodeCall(emission.releasePublic, (BOB, amount));
    }

    function testSettings() external view {
        check(governor.votingDelay() == 1 days && governor.votingPeriod() == 5 days, "times");
        check(governor.proposalThreshold() == 100_000e18 && governor.quorumNumerator() == 4, "votes");
        check(governor.lateQuorumVoteExtension() == 2 days && governor.timelock() == address(timelock), "extension");
        check(governor.clock() == nowAt(), "clock");
        check(keccak256(bytes(governor.CLOCK_MODE())) == keccak256("mode=timestamp"), "clock mode");
        check(timelock.getMinDelay() == 2 days, "delay");
    }

    /// @dev The one way to the public pool, step by step; each step cannot be taken early.
    function testReleaseByVote() external {
        uint256 before = token.balanceOf(BOB);
        uint256 id = propose(address(emission), release(1000e18));
        bytes4 state = IGovernor.GovernorUnexpectedProposalState.selector;
        fails(ALICE, address(governor), abi.encodeCall(governor.castVote, (id, 1)), state, "vote before the snapshot");
        skip(1 days + 1);
        vote(ALICE, id, 1);
        fails(ALICE, address(governor), abi.encodeCall(governor.castVote, (id, 1)), 0, "two votes");
        vote(BOB, id, 0);
        bytes memory queueCall = abi.encodeCall(governor.queue, (targets, values, calls, keccak256(bytes(WHY))));
        fails(ALICE, address(governor), queueCall, state, "queued during the vote");
        fails(ALICE, address(governor), executeCall(), state, "executed during the vote");
        skip(5 days);
        check(governor.state(id) == IGovernor.ProposalState.Succeeded, "succeeded");
        fails(ALICE, address(governor), executeCall(), 0, "executed without the queue");
        queue();
        skip(2 days - 1);
        fails(ALICE, address(governor), executeCall(), 0, "executed before the delay");
        skip(1);
        execute();
        check(token.balanceOf(BOB) == before + 1000e18, "released");
        check(emission.stats(emission.currentEpoch()).released == 1000e18, "counted");
        fails(ALICE, address(governor), executeCall(), 0, "executed twice");
    }

    /// @dev A vote cannot release more than the epoch's pool, nor mint past the controller.
    function testVotesHaveLimits() external {
        uint256 id = propose(address(emission), release(500_001e18));
        skip(1 days + 1);
        vote(ALICE, id, 1);
        skip(5 days + 1);
        queue();
        skip(2 days);
        fails(ALICE, address(governor), executeCall(), IEmissionController.PublicBudget.selector, "beyond the pool");

        propose(address(token), abi.encodeCall(token.mint, (ALICE, 1)));
        id = governor.hashProposal(targets, values, calls, keccak256(bytes(WHY)));
        skip(1 days + 1);
        vote(ALICE, id, 1);
        skip(5 days + 1);
        queue();
        skip(2 days);
        fails(ALICE, address(governor), executeCall(), AssayToken.OnlyMinter.selector, "minted by vote");
    }

    function testVotesThatFail() external {
        uint256 id = propose(address(emission), release(1));
        skip(1 days + 1);
        vote(BOB, id, 1);
        skip(5 days);
        check(governor.state(id) == IGovernor.ProposalState.Defeated, "no quorum");
        fails(ALICE, address(governor), executeCall(), 0, "executed");

        id = propose(address(emission), release(2));
        skip(1 days + 1);
        vote(BOB, id, 1);
        vote(ALICE, id, 0);
        skip(5 days + 1);
        check(governor.state(id) == IGovernor.ProposalState.Defeated, "against");

        bytes memory call_ = abi.encodeCall(governor.propose, (targets, values, calls, "mine"));
        fails(
            address(0xBAD), address(governor), call_, IGovernor.GovernorInsufficientProposerVotes.selector, "proposed"
        );
    }

    /// @dev Tokens that change hands after the snapshot do not vote twice.
    function testTokensVoteOnce() external {
        uint256 id = propose(address(emission), release(1));
        skip(1 days + 1);
        vote(ALICE, id, 1);
        address next = address(0x2E);
        cheats.prank(ALICE);
        require(token.transfer(next, 5_000_000e18));
        cheats.prank(next);
        token.delegate(next);
        skip(1);
        vote(next, id, 1);
        (, uint256 forVotes,) = governor.proposalVotes(id);
        check(forVotes == 5_000_000e18, "counted once");
    }

    /// @dev Votes count as they are at the end of a second that is over. Tokens that are there within one second only, as with a
    /// loan that is paid back in the same transaction or block, neither propose nor vote.
    function testLoansDoNotVote() external {
        uint256 id = propose(address(emission), release(1));
        address borrower = address(0xB0);
        cheats.prank(borrower);
        token.delegate(borrower);
        cheats.warp(governor.proposalSnapshot(id));
        require(token.transfer(borrower, 50_000_000e18));
        bytes memory call_ = abi.encodeCall(governor.propose, (targets, values, calls, "with a loan"));
        fails(borrower, address(governor), call_, IGovernor.GovernorInsufficientProposerVotes.selector, "proposed");
        bytes4 state = IGovernor.GovernorUnexpectedProposalState.selector;
        fails(borrower, address(governor), abi.encodeCall(governor.castVote, (id, 1)), state, "voted at the snapshot");
        cheats.prank(borrower);
        require(token.transfer(address(this), 50_000_000e18));
        skip(1);
        // A loan after the snapshot is no use either.
        require(token.transfer(borrower, 50_000_000e18));
        vote(borrower, id, 1);
        (, uint256 forVotes,) = governor.proposalVotes(id);
        check(forVotes == 0, "a loan voted");
    }

    /// @dev What was voted happens: from the start of the vote nobody can cancel it, not even who proposed it. (Before, only he
    /// can.) There is no veto; the delay is there to leave.
    function testNobodyCancelsAVote() external {
        uint256 id = propose(address(emission), release(1));
        bytes memory cancel = abi.encodeCall(governor.cancel, (targets, values, calls, keccak256(bytes(WHY))));
        bytes4 unable = IGovernor.GovernorUnableToCancel.selector;
        address[5] memory all = [BOB, deployer, defaults().guardian, defaults().curator, address(timelock)];
        for (uint256 i = 0; i < all.length; i++) {
            fails(all[i], address(governor), cancel, unable, "cancelled before the vote");
        }
        skip(1 days + 1);
        vote(ALICE, id, 1);
        fails(ALICE, address(governor), cancel, unable, "cancelled during the vote");
        skip(5 days + 1);
        queue();
        bytes32 operation = timelock.hashOperationBatch(
            targets, values, calls, 0, bytes20(address(governor)) ^ keccak256(bytes(WHY))
        );
        check(timelock.isOperationPending(operation), "queued");
        bytes memory direct = abi.encodeCall(timelock.cancel, (operation));
        bytes4 missing = IAccessControl.AccessControlUnauthorizedAccount.selector;
        all[0] = ALICE;
        for (uint256 i = 0; i < all.length; i++) {
            fails(all[i], address(governor), cancel, unable, "cancelled in the queue");
            fails(all[i], address(timelock), direct, missing, "cancelled in the timelock");
        }
        skip(2 days);
        execute();
    }

    function testLateQuorumExtends() external {
        uint256 id = propose(address(emission), release(1));
        skip(1 days + 1);
        vote(BOB, id, 1);
        uint256 deadline = governor.proposalDeadline(id);
        cheats.warp(deadline - 1);
        vote(ALICE, id, 1);
        check(governor.proposalDeadline(id) == deadline - 1 + 2 days, "extended");
        cheats.warp(deadline + 1);
        check(governor.state(id) == IGovernor.ProposalState.Active, "others can answer");
        vote(address(this), id, 0);
        cheats.warp(deadline + 2 days);
        check(governor.state(id) == IGovernor.ProposalState.Defeated, "and did");
    }

    /// @dev Nobody gets into the timelock but through the governor.
    function testTimelockIsClosed() external {
        address[5] memory others = [deployer, ALICE, defaults().guardian, defaults().curator, system.market];
        bytes memory data = release(1);
        bytes memory schedule =
            abi.encodeCall(timelock.schedule, (address(emission), 0, data, bytes32(0), bytes32(0), 2 days));
        bytes memory grant = abi.encodeCall(timelock.grantRole, (timelock.PROPOSER_ROLE(), ALICE));
        bytes memory delay = abi.encodeCall(timelock.updateDelay, (0));
        bytes4 missing = IAccessControl.AccessControlUnauthorizedAccount.selector;
        for (uint256 i = 0; i < others.length; i++) {
            fails(others[i], address(timelock), schedule, missing, "scheduled");
            fails(others[i], address(timelock), grant, missing, "granted");
            fails(others[i], address(timelock), delay, TimelockController.TimelockUnauthorizedCaller.selector, "delay");
            bytes memory own = abi.encodeCall(governor.setVotingDelay, (0));
            fails(others[i], address(governor), own, IGovernor.GovernorOnlyExecutor.selector, "settings");
        }
        // What was never scheduled cannot be executed, though execution is open to all.
        bytes memory run = abi.encodeCall(timelock.execute, (address(emission), 0, data, bytes32(0), bytes32(0)));
        fails(ALICE, address(timelock), run, TimelockController.TimelockUnexpectedOperationState.selector, "executed");
    }

    function testVotesChangeRoles() external {
        pass(address(system.manager), abi.encodeCall(system.manager.revokeRole, (GUARDIAN, defaults().guardian)));
        bytes4 unauthorized = IAccessManaged.AccessManagedUnauthorized.selector;
        fails(defaults().guardian, address(market), abi.encodeCall(market.pause, ()), unauthorized, "paused");
    }

    function testVotesUnpause() external {
        cheats.prank(defaults().guardian);
        market.pause();
        pass(address(market), abi.encodeCall(market.unpause, ()));
        check(!market.paused(), "open again");
    }
}
