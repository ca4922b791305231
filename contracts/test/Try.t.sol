// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;
import { AssayVerifier } from "../sol/AssayVerifier.sol";
import { Base } from "./Base.sol";
contract TryTest is Base {
    event Log(string, bool, uint256);
    function testAll() external {
        AssayVerifier v = new AssayVerifier(true);
        Vector[] memory all = vectors();
        for (uint256 i; i < all.length; i++) {
            bytes32 id = v.register(all[i].key);
            vm.cool(v.keyOf(id)); vm.cool(address(v));
            uint256 g = gasleft();
            bool ok = v.verify(id, all[i].publicValues, all[i].context, all[i].proof);
            emit Log(all[i].name, ok, g - gasleft());
        }
    }
}
