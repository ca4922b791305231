// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AccessManager } from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import { IAccessManaged } from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import { IAccessManager } from "@openzeppelin/contracts/access/manager/IAccessManager.sol";
import { AssayToken } from "../../sol/economy/AssayToken.sol";
import { MockMarket } from "./MockMarket.sol";
import { MockVerifier } from "./MockVerifier.sol";
import { RegistryBase } from "./RegistryBase.sol";

/// @dev Who can do what after the deployment: the table of `Deployment`, and nothing else.
contract AccessTest is RegistryBase {
    bytes4 private constant UNAUTHORIZED = IAccessManaged.AccessManagedUnauthorized.selector;
    bytes4 private constant NO_ROLE = IAccessManager.AccessManagerUnauthorizedAccount.selector;

    AccessManager private manager;
    MockMarket private market;
    MockVerifier private verifier;
    bytes32 private key;
    address private delayed; // curator with a delay

    function setUp() external {
        start();
        manager = system.manager;
        market = MockMarket(system.market);
        verifier = new MockVerifier();
        key = verifier.register(modelKey(4, 2, 1, 1));
        delayed = defaults().curator;
    }

    function member(uint64 role, address account, uint32 delay) private view {
        (bool is_, uint32 execution) = manager.hasRole(role, account);
        check(is_ && execution == delay, "member");
    }

    function stranger(uint64 role, address account) private view {
        (bool is_,) = manager.hasRole(role, account);
        check(!is_, "no member");
    }

    function testTable() external view {
        address timelock = address(system.timelock);
        member(ADMIN, timelock, 0);
        member(CURATOR, timelock, 0);
        member(CURATOR, delayed, 3 days);
        member(GUARDIAN, guardian, 0);
        address[3] memory others = [deployer, address(system.governor), system.market];
        for (uint256 i = 0; i < others.length; i++) {
            for (uint64 role = ADMIN; role <= GUARDIAN; role++) {
                stranger(role, others[i]);
            }
        }
        stranger(ADMIN, guardian);
        stranger(CURATOR, guardian);
        stranger(ADMIN, delayed);
        stranger(GUARDIAN, delayed);
        stranger(GUARDIAN, timelock);
        check(manager.getRoleGuardian(CURATOR) == GUARDIAN, "guardian of the curators");
        check(manager.getRoleAdmin(CURATOR) == ADMIN && manager.getRoleAdmin(GUARDIAN) == ADMIN, "admin");
    }

    /// @dev No account but the timelock can change anything in the manager.
    function closed(address from) private {
        address m = address(manager);
        fails(from, m, abi.encodeCall(manager.grantRole, (ADMIN, from, 0)), NO_ROLE, "admin");
        fails(from, m, abi.encodeCall(manager.grantRole, (CURATOR, from, 0)), NO_ROLE, "curator");
        fails(from, m, abi.encodeCall(manager.grantRole, (GUARDIAN, from, 0)), NO_ROLE, "guardian");
        fails(from, m, abi.encodeCall(manager.revokeRole, (GUARDIAN, guardian)), NO_ROLE, "revoke");
        fails(from, m, abi.encodeCall(manager.setTargetClosed, (address(registry), true)), NO_ROLE, "close");
        fails(from, m, abi.encodeCall(manager.updateAuthority, (address(registry), m)), NO_ROLE, "authority");
        fails(from, m, abi.encodeCall(manager.setTargetAdminDelay, (system.market, 0)), NO_ROLE, "delay");
        bytes4[] memory all = new bytes4[](1);
        all[0] = system.emission.releasePublic.selector;
        bytes memory open = abi.encodeCall(manager.setTargetFunctionRole, (address(system.emission), all, 2));
        fails(from, m, open, NO_ROLE, "function");
        fails(from, address(registry), abi.encodeCall(registry.setAuthority, (from)), UNAUTHORIZED, "set authority");

        bytes memory mint = abi.encodeCall(system.token.mint, (from, 1));
        fails(from, address(system.token), mint, AssayToken.OnlyMinter.selector, "mint");
        bytes memory release = abi.encodeCall(system.emission.releasePublic, (from, 1));
        fails(from, address(system.emission), release, UNAUTHORIZED, "release");
        fails(from, m, abi.encodeCall(manager.execute, (address(system.emission), release)), 0, "release by manager");
        fails(from, address(market), abi.encodeCall(market.unpause, ()), UNAUTHORIZED, "unpause");
    }

    /// @dev A false canary could end entries, so naming one is not for whoever adds them.
    function testCuratorNamesNoCanary() external {
        bytes memory call_ = abi.encodeCall(registry.setCanary, (address(verifier), verifier.register(canaryKey(1))));
        fails(delayed, address(registry), call_, UNAUTHORIZED, "a curator's canary");
        fails(
            delayed, address(manager), abi.encodeCall(manager.schedule, (address(registry), call_, 0)), 0, "scheduled"
        );
        succeeds(address(system.timelock), address(registry), call_, "a vote's canary");
    }

    function testDeployerHasNoPower() external {
        closed(deployer);
        fails(deployer, address(registry), addCall(address(verifier), key, 1), UNAUTHORIZED, "add");
        fails(deployer, address(market), abi.encodeCall(market.pause, ()), UNAUTHORIZED, "pause");
    }

    function testGuardianOnlyEnds() external {
        bytes32 id = add(address(verifier), key, "model", 1);
        closed(guardian);
        fails(guardian, address(registry), addCall(address(verifier), key, 1), UNAUTHORIZED, "add");
        bytes memory canary = abi.encodeCall(registry.setCanary, (address(verifier), key));
        fails(guardian, address(registry), canary, UNAUTHORIZED, "canary");
        succeeds(guardian, address(registry), abi.encodeCall(registry.tombstone, (id)), "tombstone");
        succeeds(guardian, address(market), abi.encodeCall(market.pause, ()), "pause");
    }

    function testCuratorWaits() external {
        closed(delayed);
        bytes memory call_ = addCall(address(verifier), key, 1);
        fails(delayed, address(registry), call_, 0, "added at once");
        fails(delayed, address(manager), abi.encodeCall(manager.execute, (address(registry), call_)), 0, "executed");
        bytes memory early = abi.encodeCall(manager.schedule, (address(registry), call_, uint48(nowAt() + 1 days)));
        fails(delayed, address(manager), early, 0, "scheduled early");
        bytes memory schedule = abi.encodeCall(manager.schedule, (address(registry), call_, 0));
        succeeds(delayed, address(manager), schedule, "scheduled");
        skip(3 days - 1);
        fails(delayed, address(registry), call_, 0, "added before its time");
        skip(1);
        fails(delayed, address(registry), addCall(address(verifier), key, 2), 0, "something else than was scheduled");
        succeeds(delayed, address(registry), call_, "added");
        check(registry.count() == 1, "listed");
        fails(delayed, address(registry), call_, 0, "scheduled once, added twice");
    }

    function testGuardianCancelsCurators() external {
        bytes memory call_ = addCall(address(verifier), key, 1);
        bytes memory schedule = abi.encodeCall(manager.schedule, (address(registry), call_, 0));
        succeeds(delayed, address(manager), schedule, "scheduled");
        bytes memory cancel = abi.encodeCall(manager.cancel, (delayed, address(registry), call_));
        fails(address(0xBAD), address(manager), cancel, 0, "cancelled by anybody");
        succeeds(guardian, address(manager), cancel, "cancelled");
        skip(4 days);
        fails(delayed, address(registry), call_, 0, "added");
    }

    /// @dev After five days the delays of targets are in force, and even the timelock has to schedule.
    function testAdminDelays() external {
        address[3] memory targets = [address(registry), address(system.emission), system.market];
        skip(5 days);
        address timelock = address(system.timelock);
        for (uint256 i = 0; i < targets.length; i++) {
            check(manager.getTargetAdminDelay(targets[i]) == 3 days, "in force");
            bytes memory call_ = abi.encodeCall(manager.setTargetClosed, (targets[i], true));
            fails(timelock, address(manager), call_, 0, "closed at once");
            succeeds(timelock, address(manager), abi.encodeCall(manager.schedule, (address(manager), call_, 0)), "late");
        }
        skip(3 days);
        bytes memory close = abi.encodeCall(manager.setTargetClosed, (address(system.emission), true));
        succeeds(timelock, address(manager), close, "closed in time");
        // Closing a target reaches restricted functions only: workers are paid all the same.
        bytes memory release = abi.encodeCall(system.emission.releasePublic, (guardian, 1));
        fails(timelock, address(system.emission), release, UNAUTHORIZED, "released");
        system.token.approve(address(market), 100);
        market.settle(guardian, 100, 1);
        skip(7 days);
        check(system.emission.claim(guardian, list(1)) == 50, "paid");
    }
}
