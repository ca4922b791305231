// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { ERC20Capped } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Capped.sol";
import { ERC20Permit } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import { AssayToken } from "../../sol/economy/AssayToken.sol";
import { EconomyBase } from "./Cheats.sol";

contract AssayTokenTest is EconomyBase {
    uint256 private constant CAP = 1000e18;
    uint256 private constant GENESIS = 400e18;
    address private constant HOLDER = address(0x401D);
    address private constant OTHER = address(0x0744);

    AssayToken private immutable token = AssayToken(deployed("AssayToken", abi.encode(HOLDER, GENESIS, CAP, this)));

    function testGenesis() external view {
        check(token.balanceOf(HOLDER) == GENESIS && token.totalSupply() == GENESIS, "genesis");
        check(token.cap() == CAP && token.minter() == address(this) && token.decimals() == 18, "constants");
        check(token.clock() == nowAt(), "clock");
        check(keccak256(bytes(token.CLOCK_MODE())) == keccak256("mode=timestamp"), "clock mode");
    }

    function testConstructorRefuses() external {
        cheats.expectRevert(abi.encodeWithSelector(ERC20Capped.ERC20ExceededCap.selector, CAP + 1, CAP));
        deployed("AssayToken", abi.encode(HOLDER, CAP + 1, CAP, this));
        cheats.expectRevert(abi.encodeWithSelector(ERC20Capped.ERC20InvalidCap.selector, 0));
        deployed("AssayToken", abi.encode(HOLDER, 0, 0, this));
        cheats.expectRevert(AssayToken.ZeroMinter.selector);
        deployed("AssayToken", abi.encode(HOLDER, GENESIS, CAP, address(0)));
    }

    /// @dev Nobody but the minter can mint; not the genesis holder, not to himself, not nothing.
    function testOnlyMinter(address from, address to, uint256 amount) external {
        if (from == address(this)) from = HOLDER;
        fails(from, address(token), abi.encodeCall(token.mint, (to, amount)), AssayToken.OnlyMinter.selector, "minted");
    }

    function testCap(uint256 amount) external {
        amount = bound(amount, 0, CAP);
        if (amount <= CAP - GENESIS) {
            token.mint(OTHER, amount);
            check(token.totalSupply() == GENESIS + amount, "supply");
        } else {
            bytes memory call_ = abi.encodeCall(token.mint, (OTHER, amount));
            fails(address(this), address(token), call_, ERC20Capped.ERC20ExceededCap.selector, "beyond the cap");
        }
    }

    function testBurningMakesRoom() external {
        token.mint(OTHER, CAP - GENESIS);
        fails(address(this), address(token), abi.encodeCall(token.mint, (OTHER, 1)), 0, "full");
        cheats.prank(HOLDER);
        token.burn(5);
        token.mint(OTHER, 5);
        fails(address(this), address(token), abi.encodeCall(token.mint, (OTHER, 1)), 0, "full again");
        // The minter cannot burn what others have.
        fails(address(this), address(token), abi.encodeCall(token.burnFrom, (HOLDER, 1)), 0, "no allowance");
    }

    function testVotes() external {
        check(token.getVotes(HOLDER) == 0, "not delegated");
        cheats.prank(HOLDER);
        token.delegate(HOLDER);
        check(token.getVotes(HOLDER) == GENESIS, "delegated");
        uint256 then_ = nowAt();
        skip(10);
        cheats.prank(HOLDER);
        require(token.transfer(OTHER, GENESIS));
        check(token.getVotes(HOLDER) == 0 && token.getVotes(OTHER) == 0, "votes leave with tokens");
        check(token.getPastVotes(HOLDER, then_) == GENESIS, "past votes");
        check(token.getPastTotalSupply(then_) == GENESIS, "past supply");
        // Votes of the moment can still change, so they cannot be read as past ones.
        cheats.expectRevert();
        token.getPastVotes(HOLDER, nowAt());
    }

    function testPermit() external {
        uint256 secret = 0xA11CE;
        address owner = cheats.addr(secret);
        token.mint(owner, 10);
        uint256 deadline = nowAt() + 100;
        bytes32 typehash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 inner = keccak256(abi.encode(typehash, owner, OTHER, 7, 0, deadline));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), inner));
        (uint8 v, bytes32 r, bytes32 s) = cheats.sign(secret, digest);

        bytes memory more = abi.encodeCall(token.permit, (owner, OTHER, 8, deadline, v, r, s));
        fails(OTHER, address(token), more, ERC20Permit.ERC2612InvalidSigner.selector, "another amount");
        bytes memory redirected = abi.encodeCall(token.permit, (owner, HOLDER, 7, deadline, v, r, s));
        fails(OTHER, address(token), redirected, ERC20Permit.ERC2612InvalidSigner.selector, "another spender");
        bytes memory right = abi.encodeCall(token.permit, (owner, OTHER, 7, deadline, v, r, s));
        cheats.chainId(5);
        fails(OTHER, address(token), right, ERC20Permit.ERC2612InvalidSigner.selector, "another chain");
        cheats.chainId(31_337);
        succeeds(OTHER, address(token), right, "permit");
        check(token.allowance(owner, OTHER) == 7 && token.nonces(owner) == 1, "allowance");
        fails(OTHER, address(token), right, ERC20Permit.ERC2612InvalidSigner.selector, "replayed");
        skip(101);
        fails(OTHER, address(token), right, ERC20Permit.ERC2612ExpiredSignature.selector, "expired");
    }
}
