// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { ERC20 } from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import { ERC20Burnable } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import { ERC20Capped } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Capped.sol";
import { ERC20Permit } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import { ERC20Votes } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import { Nonces } from "@openzeppelin/contracts/utils/Nonces.sol";
import { Time } from "@openzeppelin/contracts/utils/types/Time.sol";

/// @title The token that pays for proven work and votes: 18 decimals, no owner, no pause, no upgrade.
/// @notice The supply never exceeds `cap`; what is burned may be minted again. Amounts are in units of 10^-18 tokens. Votes
/// count once they are delegated (to oneself, too), and their clock is the block time in seconds.
contract AssayToken is ERC20, ERC20Burnable, ERC20Capped, ERC20Permit, ERC20Votes {
    /// @notice The only account that can mint, for good: the emission controller.
    address public immutable minter;

    error OnlyMinter();
    error ZeroMinter();

    /// @param genesisHolder Who gets the first tokens; nobody can do that again.
    /// @param genesisAmount At most `supplyCap`.
    /// @param supplyCap Highest supply.
    /// @param minter_ The emission controller. It takes the token in its constructor, so the deployer predicts its address.
    constructor(address genesisHolder, uint256 genesisAmount, uint256 supplyCap, address minter_)
        ERC20("Assay", "ASSAY")
        ERC20Capped(supplyCap)
        ERC20Permit("Assay")
    {
        if (minter_ == address(0)) revert ZeroMinter();
        minter = minter_;
        _mint(genesisHolder, genesisAmount);
    }

    /// @notice Reverts with `OnlyMinter` for anybody else, with `ERC20ExceededCap` if there is no room.
    function mint(address to, uint256 amount) external {
        if (msg.sender != minter) revert OnlyMinter();
        _mint(to, amount);
    }

    /// @notice Block time in seconds (ERC-6372).
    function clock() public view override returns (uint48) {
        return Time.timestamp();
    }

    function CLOCK_MODE() public pure override returns (string memory) {
        return "mode=timestamp";
    }

    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Capped, ERC20Votes) {
        super._update(from, to, value);
    }
}
