// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

/// @title Whether a chain can include the settlement of a full batch.
/// @notice Bounds from above for the transaction that calls `JobMarket.fulfil`, derived from a verifying key (format:
/// `VerifyingKey`) and the batch. What does not fit can be leased and proven, and never be paid on an ordinary node.
/// @dev The rates are bounds of what was measured (`contracts/test/economy/SettlementSize.t.sol` compares them with proofs of
/// real networks, of the largest and of the smallest shapes, and with the market's own costs for 1 and 32 jobs).
library SettlementSize {
    /// @notice What nodes take into their pools: 128 KiB, with signature and envelope.
    uint256 internal constant MAX_BYTES = 131_072;
    /// @notice The gas of one transaction (EIP-7825).
    uint256 internal constant MAX_GAS = 1 << 24;

    /// @notice A settlement of a full batch may take this many bytes or this much gas.
    error TooLarge(uint256 bytes_, uint256 gas);

    /// @dev Signature, fees, nonce, address, and the lengths around them.
    uint256 private constant ENVELOPE = 256;
    /// @dev Selector, five words of arguments, four lengths, padding of the values.
    uint256 private constant ARGUMENTS = 4 + 32 * 10;
    /// @dev Words of a proof but for rows, coordinates and folds: mask, zeta, gamma and e, 12 commitments, 21 evaluations, W, W',
    /// beta, Wo, Wo'.
    uint256 private constant PROOF_WORDS = 2 + 3 + 24 + 21 + 4 + 1 + 4;
    /// @dev Verification apart from what follows, with the pairing.
    uint256 private constant GAS_VERIFY = 360_000;
    /// @dev A point of the final sum: multiplication, addition, its scalar, hashing.
    uint256 private constant GAS_POINT = 7_000;
    /// @dev A fold or coordinate: challenges, inversions.
    uint256 private constant GAS_ROUND = 3_000;
    /// @dev A public value: range and evaluation; its copies to commitment, event and verifier are in `GAS_BYTE`.
    uint256 private constant GAS_VALUE = 150;
    /// @dev A byte of calldata costs 16 (EIP-2028), and copies, memory and events of values at most as much again. Alone, it
    /// costs at least 40 (EIP-7623).
    uint256 private constant GAS_BYTE = 32;
    uint256 private constant GAS_BYTE_FLOOR = 40;
    /// @dev The market's and the emission's, with all accounts fresh; and for each job more.
    uint256 private constant GAS_MARKET = 150_000;
    uint256 private constant GAS_JOB = 32_000;

    /// @notice Most bytes and gas of a settlement.
    /// @param rowBits Log2 of a row's length; the following two are the logs of witness and model.
    /// @param values Public values of the whole batch.
    function most(uint256 rowBits, uint256 witnessBits, uint256 modelBits, uint256 values, uint256 batch)
        internal
        pure
        returns (uint256 bytes_, uint256 gas)
    {
        uint256 rounds = witnessBits > modelBits ? witnessBits : modelBits;
        return most(rowBits, rounds, 1 << (witnessBits - rowBits), 1 << (modelBits - rowBits), values, batch);
    }

    /// @notice Most bytes and gas of a settlement, of a key with named stacks too.
    /// @param rounds Coordinates of the opening point.
    /// @param sent Rows that come with the proof: the witness's and those of given stacks.
    /// @param kept Rows of the key: the model's and those of pinned stacks.
    function most(uint256 rowBits, uint256 rounds, uint256 sent, uint256 kept, uint256 values, uint256 batch)
        internal
        pure
        returns (uint256 bytes_, uint256 gas)
    {
        uint256 folds = (rowBits + 1) / 2;
        bytes_ = ENVELOPE + ARGUMENTS + 64 * batch + 8 * values + 32 * (PROOF_WORDS + 2 * sent + rounds + 5 * folds);
        gas = 21_000 + GAS_VERIFY + GAS_POINT * (sent + kept + folds) + GAS_ROUND * rounds + GAS_VALUE * values
            + GAS_BYTE * bytes_ + GAS_MARKET + GAS_JOB * batch;
        uint256 floor = 21_000 + GAS_BYTE_FLOOR * bytes_;
        if (gas < floor) gas = floor;
    }

    /// @notice Raises `TooLarge`.
    function check(uint256 bytes_, uint256 gas) internal pure {
        if (bytes_ > MAX_BYTES || gas > MAX_GAS) revert TooLarge(bytes_, gas);
    }
}
