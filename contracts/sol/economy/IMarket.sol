// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { ILedger } from "./ILedger.sol";

/// @title What markets for proven work have in common, whatever is proven.
interface IMarket is ILedger {
    event ProtocolBps(uint16 bps);
    event FeeRate(uint256 perBillionUnits);

    error BadSpec(uint256 field);
    error VerifierEnded(bytes32 verifierId);
    error InvalidProof();
    error TooHigh(uint256 highest);

    /// @notice What work for this verifier that is posted now would pay on top of its price.
    function workFee(bytes32 verifierId) external view returns (uint128);

    /// @notice For what is posted now: the treasury's part of prices in 1/10000, and the fee for 10^9 multiply-adds.
    function rates() external view returns (uint16 protocolBps, uint256 feePerBillionUnits);
}
