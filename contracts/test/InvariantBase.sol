// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { Base } from "./Base.sol";

/// @dev What forge asks a suite of invariants for: whom it calls, and with what.
abstract contract InvariantBase is Base {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = _target();
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(_target(), _moves());
    }

    /// @dev The handler.
    function _target() internal view virtual returns (address);

    /// @dev Its functions that are called. What happens often in life is there more than once.
    function _moves() internal pure virtual returns (bytes4[] memory moves);
}
