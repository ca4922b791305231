// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { Base, Vm } from "../Base.sol";

/// @dev More of forge's cheat codes.
interface EconomyVm is Vm {
    function addr(uint256 privateKey) external pure returns (address);
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function deployCode(string calldata artifact) external returns (address);
    function expectEmit(address emitter) external;
    function expectRevert(bytes4 selector) external;
    function expectRevert() external;
    function getBlockTimestamp() external view returns (uint256);
    function getNonce(address account) external view returns (uint64);
    function prank(address sender) external;
    function revertToState(uint256 id) external returns (bool);
    function sign(uint256 privateKey, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function snapshotGasLastCall(string calldata group, string calldata name) external returns (uint256 gasUsed);
    function snapshotState() external returns (uint256 id);
    function startPrank(address sender) external;
    function stopPrank() external;
    function warp(uint256 time) external;
}

/// @dev What the tests of the economy share. Block time is read through `nowAt`: the compiler takes `block.timestamp` for
/// constant within a call, and `warp` changes it.
abstract contract EconomyBase is Base {
    EconomyVm internal constant cheats = EconomyVm(address(vm));

    function nowAt() internal view returns (uint256) {
        return cheats.getBlockTimestamp();
    }

    function skip(uint256 secondsLater) internal {
        cheats.warp(nowAt() + secondsLater);
    }

    /// @dev A value between `low` and `high`, both included.
    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        check(low <= high, "bound");
        if (value >= low && value <= high) return value;
        return low + (value % (high - low + 1));
    }

    /// @dev The call must revert with this selector (0: any reason).
    function fails(address from, address to, bytes memory data, bytes4 selector, string memory what) internal {
        cheats.prank(from);
        (bool ok, bytes memory out) = to.call(data);
        check(!ok, what);
        if (selector != 0) check(out.length >= 4 && bytes4(out) == selector, what);
    }

    function succeeds(address from, address to, bytes memory data, string memory what) internal returns (bytes memory) {
        cheats.prank(from);
        (bool ok, bytes memory out) = to.call(data);
        if (!ok && out.length > 0) {
            assembly ("memory-safe") {
                revert(add(out, 0x20), mload(out))
            }
        }
        check(ok, what);
        return out;
    }

    function list(uint256 one) internal pure returns (uint256[] memory all) {
        all = new uint256[](1);
        all[0] = one;
    }
}
