// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { AssayVerifier } from "../../sol/AssayVerifier.sol";
import { IVerifierRegistry } from "../../sol/economy/IVerifierRegistry.sol";
import { SettlementSize } from "../../sol/economy/SettlementSize.sol";
import { MockVerifier } from "./MockVerifier.sol";
import { RegistryBase } from "./RegistryBase.sol";

/// Settlements that no transaction can hold are refused when their entry is added.
contract SettlementSizeTest is RegistryBase {
    MockVerifier private verifier;
    uint256 private keys;

    function setUp() external {
        start();
        verifier = new MockVerifier();
    }

    /// @dev Whether a key of two rows of the model is added, with its bounds.
    function tried(uint256 inputs, uint32 batch) private returns (bool added, uint256 bytes_, uint256 gas) {
        bytes32 key = verifier.register(modelKey(inputs, batch, 1, ++keys));
        cheats.prank(curator);
        (bool ok, bytes memory out) = address(registry).call(addCall(address(verifier), key, batch));
        if (ok) {
            (bytes_, gas) = registry.settlement(abi.decode(out, (bytes32)));
            return (true, bytes_, gas);
        }
        check(bytes4(out) == SettlementSize.TooLarge.selector, "reason");
        (bytes_, gas) = abi.decode(slice(out, 4, out.length), (uint256, uint256));
    }

    /// @dev The last number of inputs that fits, and the first that does not; between them lies one value.
    function testBytesAtTheBound() external {
        (, uint256 least,) = tried(1, 1);
        uint256 last = 1 + (SettlementSize.MAX_BYTES - least) / 8;
        (bool ok, uint256 bytes_, uint256 gas) = tried(last, 1);
        check(ok && bytes_ <= SettlementSize.MAX_BYTES && bytes_ + 8 > SettlementSize.MAX_BYTES, "the last that fits");
        check(gas <= SettlementSize.MAX_GAS, "its gas");
        (ok, bytes_,) = tried(last + 1, 1);
        check(!ok && bytes_ > SettlementSize.MAX_BYTES, "the first that does not");
        (ok,,) = tried(65_536, 1);
        check(!ok, "65,536 inputs");
    }

    function testGasAtTheBound() external {
        uint32 low = 1;
        uint32 high = 4_096;
        while (high - low > 1) {
            uint32 middle = (low + high) / 2;
            (bool ok,,) = tried(middle, middle);
            if (ok) low = middle;
            else high = middle;
        }
        (bool fits, uint256 bytes_, uint256 gas) = tried(low, low);
        check(fits && gas <= SettlementSize.MAX_GAS && bytes_ <= SettlementSize.MAX_BYTES, "the last batch that fits");
        (fits, bytes_, gas) = tried(high, high);
        check(!fits && gas > SettlementSize.MAX_GAS && bytes_ <= SettlementSize.MAX_BYTES, "the first that does not");
        check(low >= 256, "batches of 256 fit");
    }

    function testUnknown() external {
        bytes memory call_ = abi.encodeCall(registry.settlement, ("nobody"));
        fails(address(this), address(registry), call_, IVerifierRegistry.UnknownVerifier.selector, "unknown");
    }

    /// @dev What real proofs take is below the bounds, and the bounds are not far above.
    function testRealProofs() external {
        AssayVerifier real = AssayVerifier(deployed("AssayVerifier", abi.encode(true)));
        Vector[] memory all = vectors();
        uint256 compared;
        for (uint256 i = 0; i < all.length; i++) {
            Vector memory v = all[i];
            bytes32 id = real.register(v.key);
            uint256 values = v.publicValues.length / 8;
            (uint256 bytes_, uint256 gas) =
                SettlementSize.most(word(v.key, 6), word(v.key, 7), word(v.key, 8), values, 1);
            // Selector, five arguments, four lengths, one job and its salt, padding.
            uint256 exact = 4 + 32 * 11 + (v.publicValues.length + 31) / 32 * 32 + v.proof.length;
            check(exact + 128 <= bytes_ && bytes_ <= exact + 512, v.name);
            check(real.verify(id, v.publicValues, v.context, v.proof), v.name);
            uint256 used = vm.lastCallGas().gasTotalUsed;
            // The market's own, measured with everything fresh, and 16 for each byte.
            uint256 all_ = 21_000 + used + 120_000 + 16 * exact;
            check(all_ <= gas, string.concat("more than the bound: ", v.name));
            check(gas <= 2 * all_, string.concat("far above: ", v.name));
            ++compared;
        }
        check(compared > 5, "vectors");
    }
}
