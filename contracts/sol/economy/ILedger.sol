// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

/// @title What a market owes, and how it leaves: by whoever calls, to whom it belongs, at any time.
interface ILedger {
    event Withdrawn(address indexed account, uint256 amount);
    event FeesBurned(uint256 amount);

    /// @notice The token moved another amount than it was asked to.
    error OddToken();
    /// @notice Nobody could withdraw from this account: it is zero or the market itself.
    error BadPayout();

    /// @notice Sends an account what it is owed. Anybody may call.
    function withdraw(address account) external returns (uint256 amount);

    /// @notice Splits the royalties of an offer between its owner and its data recipient, as credit to withdraw.
    function collectRoyalties(bytes32 offerId) external;

    /// @notice Burns fees of settled jobs and parts of lost bonds.
    function burnFees() external returns (uint256 amount);

    function claimable(address account) external view returns (uint256);
    function royalties(bytes32 offerId) external view returns (uint128 owner, uint128 data);
    function unburned() external view returns (uint256);

    /// @notice Fees of the work that an account was paid for in the last epoch in which it was paid for any. The market keeps
    /// them until a payment in a later epoch hands them to the emission, which counts them as its own all the while.
    function keptFees(address account) external view returns (uint256 epoch, uint256 fees);
}
