// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { IJobMarket } from "../../sol/economy/IJobMarket.sol";
import { ILedger } from "../../sol/economy/ILedger.sol";
import { MarketTest } from "./Market.sol";

contract LedgerTest is MarketTest {
    function testWithdrawSendsToTheAccountOnly() public {
        fulfil(post(), WORKER);
        uint256 owedNow = market.claimable(WORKER);
        uint256 before = token.balanceOf(WORKER);
        cheats.expectEmit(address(market));
        emit ILedger.Withdrawn(WORKER, owedNow);
        cheats.prank(OTHER);
        equal(market.withdraw(WORKER), owedNow, "amount");
        equal(token.balanceOf(WORKER) - before, owedNow, "received");
        equal(market.withdraw(WORKER), 0, "twice");
        equal(market.withdraw(OTHER), 0, "nothing owed");
        balanced();
    }

    /// The treasury's shares are kept apart from what it earns like anybody else; both leave together.
    function testTreasuryAsWorker() public {
        fulfil(post(), TREASURY);
        equal(market.claimable(TREASURY), workerPart(100e18) + 2.5e18, "claimable");
        balanced();
        equal(market.withdraw(TREASURY), workerPart(100e18) + 2.5e18, "withdrawn");
        equal(market.claimable(TREASURY), 0, "none left");
        balanced();
    }

    function testRoyalties() public {
        uint256[] memory ids = list(post(), post(), post(), post());
        fulfil(ids[0], WORKER);
        fulfil(ids[1], WORKER);
        market.collectRoyalties(OFFER);
        equal(market.claimable(OWNER), 20e18, "owner");
        equal(market.claimable(CURATOR), 6.66e18, "data");
        market.collectRoyalties(OFFER);
        equal(market.claimable(OWNER), 20e18, "once");
        fulfil(ids[2], WORKER);
        market.collectRoyalties(OFFER);
        equal(market.claimable(OWNER), 30e18, "again");
        market.collectRoyalties(keccak256("unknown"));
        balanced();
    }

    function testOfferWithoutRoyalties() public {
        IJobMarket.Spec memory s = spec(SINGLE);
        s.offerId = OFFER_FREE;
        fulfil(post(s), WORKER);
        equal(market.claimable(WORKER), 97.5e18, "worker");
        market.collectRoyalties(OFFER_FREE);
        balanced();
    }

    function testBurns() public {
        fulfil(post(), WORKER);
        uint256 supply = token.totalSupply();
        cheats.expectEmit(address(market));
        emit ILedger.FeesBurned(feeOf(UNITS));
        cheats.prank(OTHER);
        equal(market.burnFees(), feeOf(UNITS), "burned");
        equal(supply - token.totalSupply(), feeOf(UNITS), "supply");
        equal(market.burnFees(), 0, "once");
        balanced();
    }

    /// Tokens that somebody sends here are nobody's; they disturb no account.
    function testDonation() public {
        cheats.prank(OTHER);
        token.transfer(address(market), 5);
        uint256 id = post();
        lease(id, WORKER);
        fulfil(id, WORKER);
        refund(id, OTHER);
        market.withdraw(WORKER);
        market.burnFees();
        equal(token.balanceOf(address(market)), owed() + 5, "on top");
    }

    function testCodeSize() public view {
        check(address(market).code.length < 24_576, "EIP-170");
    }
}
