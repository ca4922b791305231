// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import { SafeCast } from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import { ILedger } from "./ILedger.sol";
import { IModelRegistry } from "./IModelRegistry.sol";

/// @notice What the market needs of the token beyond ERC-20: its holder can destroy it.
interface IBurnable {
    function burn(uint256 amount) external;
}

/// @title What the market owes, and to whom.
/// @notice Everything is pulled: jobs only add to accounts here, so nobody's receiving address can stop a settlement. At all
/// times the market's balance is escrow and bonds of jobs + `claimable` + `royalties` + `unburned` (tokens that somebody sends
/// here unasked come on top and stay). Amounts are in the token's smallest unit, in 96 bits: the token's supply must stay
/// below 2^96.
abstract contract Ledger is ILedger, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// @dev One slot that every settlement writes. The number of jobs keeps it from ever being zero, which is what makes
    /// writing it cheap; for the same reason the treasury's share is here and not with the other accounts.
    struct Pot {
        uint96 unburned;
        uint96 treasury;
        uint64 jobs;
    }

    /// @dev An offer that a job was posted for: its terms, and what its owner and its data's recipient have not collected. One
    /// slot, which is never zero if anything is ever added to it.
    struct Royalties {
        uint16 ownerBps;
        uint16 dataBps;
        uint112 owner;
        uint112 data;
    }

    /// @dev In the slot of every account that was ever used: it is never zero again, which would make the next credit dear.
    uint256 private constant OPENED = 1 << 255;
    /// @dev Where fees, of 96 bits, and epoch, of 40, begin. Below is what can be withdrawn.
    uint256 private constant FEES = 112;
    uint256 private constant EPOCH = 208;

    IERC20 public immutable token;
    IModelRegistry public immutable models;
    /// @notice Gets the protocol's share of prices.
    address public immutable treasury;

    Pot internal _pot;
    /// @dev What each account can withdraw, and the fees of the work that it was paid for in an epoch, the last one with any: the
    /// emission adds these to what it has, and gets them for good with the first payment in a later epoch. One slot, so that
    /// a worker who was never seen makes one and not two.
    mapping(address account => uint256) private _accounts;
    mapping(bytes32 offerId => Royalties) internal _royalties;

    constructor(IERC20 token_, IModelRegistry models_, address treasury_) {
        token = token_;
        models = models_;
        treasury = treasury_;
        _requirePayable(treasury_);
    }

    /// @inheritdoc ILedger
    /// @dev Never pausable. Does nothing if nothing is owed. Raises `OddToken`.
    function withdraw(address account) external nonReentrant returns (uint256 amount) {
        amount = claimable(account);
        if (amount == 0) return 0;
        _accounts[account] &= ~uint256(type(uint112).max);
        if (account == treasury) _pot.treasury = 0;
        emit Withdrawn(account, amount);
        uint256 before = token.balanceOf(address(this));
        token.safeTransfer(account, amount);
        _requireMoved(before - amount);
    }

    /// @inheritdoc ILedger
    /// @dev Never pausable. Does nothing if nothing is owed.
    function collectRoyalties(bytes32 offerId) external nonReentrant {
        Royalties memory sums = _royalties[offerId];
        if (sums.owner == 0 && sums.data == 0) return;
        _royalties[offerId] = Royalties(sums.ownerBps, sums.dataBps, 0, 0);
        IModelRegistry.Offer memory offer = models.get(offerId);
        _credit(offer.owner, sums.owner);
        _credit(offer.dataRecipient, sums.data);
    }

    /// @inheritdoc ILedger
    /// @dev Never pausable. Does nothing if there is nothing to burn. Raises `OddToken`.
    function burnFees() external nonReentrant returns (uint256 amount) {
        amount = _pot.unburned;
        if (amount == 0) return 0;
        _pot.unburned = 0;
        emit FeesBurned(amount);
        uint256 before = token.balanceOf(address(this));
        IBurnable(address(token)).burn(amount);
        _requireMoved(before - amount);
    }

    /// @inheritdoc ILedger
    function claimable(address account) public view returns (uint256 amount) {
        amount = uint112(_accounts[account]);
        if (account == treasury) amount += _pot.treasury;
    }

    /// @inheritdoc ILedger
    function royalties(bytes32 offerId) external view returns (uint128 owner, uint128 data) {
        Royalties storage sums = _royalties[offerId];
        return (sums.owner, sums.data);
    }

    /// @inheritdoc ILedger
    function keptFees(address account) external view returns (uint256 epoch, uint256 fees) {
        uint256 kept = _accounts[account];
        return (uint40(kept >> EPOCH), uint96(kept >> FEES));
    }

    /// @inheritdoc ILedger
    function unburned() external view returns (uint256) {
        return _pot.unburned;
    }

    /// @dev Takes exactly `amount` from the caller. The last thing that its callers do.
    function _take(uint256 amount) internal {
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        _requireMoved(before + amount);
    }

    function _credit(address account, uint256 amount) internal {
        // Parts of tokens that are here, of which there are less than 2^96.
        if (amount != 0) _accounts[account] = (_accounts[account] | OPENED) + amount;
    }

    /// @dev Credits a worker, and keeps the fees of his work, which was done in `epoch`. What is kept of an epoch before is kept
    /// no longer: it belongs to the emission, which has read it.
    function _creditWork(address worker, uint256 amount, uint256 fees, uint256 epoch) internal {
        uint256 account = (_accounts[worker] | OPENED) + amount;
        if (fees != 0) {
            if (uint40(account >> EPOCH) == epoch) fees += uint96(account >> FEES);
            // The emission has refused what takes more than 96 bits, and an epoch is less than a block's time, which takes 40.
            account = OPENED | epoch << EPOCH | fees << FEES | uint112(account);
        }
        _accounts[worker] = account;
    }

    /// @dev Writes an account's slot before anything is credited, so that its first payment does not pay for it.
    function _open(address account) internal {
        if (_accounts[account] == 0) _accounts[account] = OPENED;
    }

    function _burnLater(uint256 amount) internal {
        if (amount != 0) _pot.unburned = (_pot.unburned + amount).toUint96();
    }

    function _creditRoyalties(bytes32 offerId, uint256 owner, uint256 data) internal {
        if (owner == 0 && data == 0) return;
        Royalties memory sums = _royalties[offerId];
        // Parts of tokens that are here, of which there are less than 2^96.
        sums.owner = (sums.owner + owner).toUint112();
        sums.data = (sums.data + data).toUint112();
        _royalties[offerId] = sums;
    }

    /// @dev Accounts that the token cannot be sent to, or that would pay the market itself, would hold what they get forever.
    function _requirePayable(address account) internal view {
        if (account == address(0) || account == address(this)) revert BadPayout();
    }

    function _requireMoved(uint256 expected) private view {
        if (token.balanceOf(address(this)) != expected) revert OddToken();
    }
}
