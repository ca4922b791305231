// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

/// @title New tokens for proven work.
/// @notice Two pools an epoch:
///   F  a rebate of fees that were burned: a worker's part is  fees(worker) * min(kappa * burned, budget) / burned,  where fees
///      are linear in proven work units. So splitting an identity or a job changes nothing, and whoever pays himself loses at
///      least 1 - kappa of the fee.
///   P  a pool for public tasks, released by vote, at most `publicBudget(epoch)`.
/// Budgets decay by a fixed factor an epoch. Minting for an epoch never exceeds min(kappa * burned, budget) + public.
interface IEmissionController {
    /// @notice Statistics of one epoch, readable by anybody and by contracts.
    struct Stats {
        uint256 fees; // of settled jobs
        uint256 units; // proven multiply-adds
        uint256 workers; // with fees > 0
        uint256 minted; // of pool F, so far
        uint256 released; // of pool P
    }

    event Recorded(uint256 indexed epoch, address indexed worker, uint256 fee, uint256 units);
    event Rewarded(uint256 indexed epoch, address indexed worker, uint256 amount);
    event Released(uint256 indexed epoch, address indexed to, uint256 amount);

    error OnlyMarket();
    error EpochNotOver(uint256 epoch);
    error PublicBudget(uint256 epoch, uint256 left);
    /// @notice The given workers are not all workers of the epoch in rising order.
    error BadOrder();
    /// @notice Of the constructor: 0 token's minter, 1 token's cap, 2 market, 3 kappa, 4 length, 5 start, 6 decay.
    error BadParameter(uint256 index);

    /// @notice Called by the market for each settlement; the market owes the burning of `fee`. The market keeps the fee with the
    /// worker's account afterwards, where `feesOf` finds it (`ILedger.keptFees`). What it kept for him of an epoch before is
    /// handed over by this call, if `fee` is not 0.
    /// @return epoch The present one, which the fee is to be kept with.
    function record(address worker, uint256 fee, uint256 units) external returns (uint256 epoch);

    /// @notice Mints the rewards of epochs that are over to `worker`; anybody may call. Burns what the market owes first.
    /// Epochs without a reward, or already rewarded, add nothing. If the token's cap leaves less room than that, it mints what
    /// there is room for, in the given order, and the rest stays claimable. Reverts with `EpochNotOver`.
    function claim(address worker, uint256[] calldata epochs) external returns (uint256 amount);

    /// @notice What a worker is owed for an epoch that is over and has not been paid; the present epoch's current estimate
    /// otherwise. `claim` mints it if the token's cap leaves room.
    function reward(uint256 epoch, address worker) external view returns (uint256);

    /// @notice Mints from the public pool of the present epoch; what an epoch does not release is never minted. Restricted: the
    /// timelock, so by vote. Reverts with `PublicBudget`, or with the token's error if its cap leaves no room.
    function releasePublic(address to, uint256 amount) external;

    function currentEpoch() external view returns (uint256);
    function budget(uint256 epoch) external view returns (uint256);
    function publicBudget(uint256 epoch) external view returns (uint256);
    /// @notice Reward of an epoch that has been minted to a worker.
    function paidOf(uint256 epoch, address worker) external view returns (uint256);
    /// @notice Fees of the work that a worker was paid for in an epoch, whoever keeps them.
    function feesOf(uint256 epoch, address worker) external view returns (uint256);
    function stats(uint256 epoch) external view returns (Stats memory);

    /// @notice How an epoch's fees are spread: the Gini coefficient in 1/10000, the largest worker's fees, and the sum of the
    /// squares of all workers' fees (fees^2 / sumOfSquares is the effective number of workers). The caller sorts; the contract
    /// checks that all workers are there: strictly by (fees, address), as many as the epoch has. Nothing of this is kept, so no
    /// payment pays for it.
    function inequality(uint256 epoch, address[] calldata workersByFees)
        external
        view
        returns (uint256 gini, uint256 largest, uint256 sumOfSquares);
}
