// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { ITrainingMarket } from "../../sol/economy/ITrainingMarket.sol";
import { TrainingBase } from "./TrainingBase.sol";

/// @dev A world in which data holds facts, each worth a fall of the loss, which is the same on all shards. Weights know facts; training on
/// data adds those of the data, or is careless and forgets. Two tasks on the same terms see the same rounds at the same times: in one of them one
/// contributor does all of them, in the other four names share them. Data is copied: the same rows registered by somebody else, and
/// the same facts in rows of their own.
contract TrainingGainsHandler is TrainingBase {
    struct Data {
        bytes32 id;
        bytes32 rows;
        uint256 facts;
    }

    uint256 private constant FACTS = 12;
    uint64 private constant WORST = 10_000;

    address[4] private names = [address(0xA0), address(0xA1), address(0xA2), address(0xA3)];
    Data[] private all;
    /// @dev What weights know.
    mapping(bytes32 stack => uint256 facts) private known;
    /// @dev The task of one contributor, and that of four names.
    uint256[2] private ids;
    /// @dev Gains that were paid for since both tasks were opened.
    uint256[2] public gains;
    /// @dev Facts of all data that was trained on since then.
    uint256 private tried;
    uint256[2] private claimed;
    uint256 private nonce;
    /// @dev Rounds that gained, and rounds on data that held nothing new.
    uint256 public gained;
    uint256 public repeated;

    function setUp() external {
        deployTraining();
        for (uint256 i = 0; i < 4; i++) {
            require(token.transfer(names[i], RICH / 4));
            cheats.prank(names[i]);
            token.approve(address(market), type(uint256).max);
        }
        add("rows", 7, 0);
        anew();
    }

    // Moves.

    function doRound(uint256 seed) external {
        ITrainingMarket.Task memory t = market.task(ids[0]);
        if (t.used == SHARDS || nowAt() + 1 hours >= t.deadline) anew();
        Data memory data = all[(seed >> 8) % all.length];
        bytes32 trained = keccak256(abi.encode(++nonce));
        uint256 learned = known[market.task(ids[0]).head] | data.facts;
        if (seed % 4 == 0) learned &= seed >> 128;
        known[trained] = learned;
        tried |= data.facts;
        lease(ids[0], data.id, ANNE);
        lease(ids[1], data.id, names[(seed >> 16) % 4]);
        uint256 end = (seed >> 24) % 12;
        if (end == 0) return finish(1 hours);
        for (uint256 i = 0; i < 2; i++) {
            pin(ids[i]);
        }
        for (uint256 i = 0; i < 2; i++) {
            submit(ids[i], trained);
        }
        if (end == 1) return finish(2 hours);
        for (uint256 i = 0; i < 2; i++) {
            reveal(ids[i]);
        }
        if (end == 2) return finish(3 hours);
        for (uint256 i = 0; i < 2; i++) {
            settle(i, learned);
        }
    }

    /// @dev Rows that are registered once more, their facts in rows of their own, a part of them, or others.
    function doCopy(uint256 seed) external {
        if (all.length == 16) return;
        Data memory data = all[(seed >> 8) % all.length];
        uint16 royalty = uint16((seed >> 16) % 5_001);
        bytes32 other = keccak256(abi.encode(++nonce));
        if (seed % 4 == 0) add(data.rows, data.facts, royalty);
        else if (seed % 4 == 1) add(other, data.facts, royalty);
        else if (seed % 4 == 2) add(other, data.facts & (seed >> 64), royalty);
        else add(other, (seed >> 64) % (1 << FACTS), royalty);
    }

    function doWithdraw(uint256 seed) external {
        market.withdraw(seed % 2 == 0 ? ANNE : names[(seed >> 8) % 4]);
    }

    function doClaim(uint256 seed) external {
        uint256 current = emission.currentEpoch();
        if (current == 0) return;
        uint256 epoch = (seed >> 8) % current;
        if (seed % 2 == 0) claimed[0] += emission.claim(ANNE, list(epoch));
        else claimed[1] += emission.claim(names[(seed >> 128) % 4], list(epoch));
    }

    function doWait(uint256 seed) external {
        skip(seed % 2 days);
    }

    // What holds.

    /// @dev Gains follow from head to head: all of them together are paid as the way from the first weights to the last ones, and facts
    /// that are in many datasets are paid once.
    function checkGains() external view {
        uint256 way = worth(known[market.task(ids[0]).head]);
        check(way <= worth(tried), "the world");
        for (uint256 i = 0; i < 2; i++) {
            check(gains[i] * ETA <= RATE * way, "more is paid than the way down");
        }
    }

    /// @dev I12: four names together get what one contributor gets for the same rounds, in pay, bonds and rebates.
    function checkSplitting() external view {
        uint256 parts;
        for (uint256 i = 0; i < 4; i++) {
            parts += has(names[i]);
        }
        equal(parts - claimed[1], has(ANNE) - claimed[0], "I12: names change the pay");
        for (uint256 epoch = 0; epoch < emission.currentEpoch(); epoch++) {
            uint256 whole = rebate(epoch, ANNE);
            parts = 0;
            for (uint256 i = 0; i < 4; i++) {
                parts += rebate(epoch, names[i]);
            }
            check(parts <= whole && whole - parts < 4, "I12: names change the rebate");
        }
    }

    // Helpers.

    function settle(uint256 i, uint256 learned) private {
        ITrainingMarket.Task memory t = market.task(ids[i]);
        uint256 held = uint256(t.escrow) + market.round(ids[i]).reserved;
        uint256 knew = known[t.head];
        evaluate(ids[i], uint64(WORST - worth(knew)), uint64(WORST - worth(learned)));
        uint256 gain = held - market.task(ids[i]).escrow - t.evaluateFee;
        gains[i] += gain;
        if (gain > 0) gained++;
        if (learned | knew == knew) {
            repeated++;
            check(gain == 0 && market.task(ids[i]).head == t.head, "what is known is paid again");
        }
    }

    /// @dev Ends both rounds once their time has passed.
    function finish(uint256 wait) private {
        skip(wait);
        market.finish(ids[0]);
        market.finish(ids[1]);
    }

    /// @dev Two tasks anew, from weights that know nothing.
    function anew() private {
        if (ids[0] != 0) {
            for (uint256 i = 0; i < 2; i++) {
                cheats.prank(SPONSOR);
                market.refund(ids[i]);
            }
            market.withdraw(SPONSOR);
        }
        ids = [open(spec()), open(spec())];
        gains = [uint256(0), 0];
        tried = 0;
    }

    /// @dev Each registration has an owner of its own.
    function add(bytes32 rows, uint256 facts, uint16 royalty) private {
        address owner = address(uint160(0xB000 + all.length));
        all.push(Data(register(owner, rows, royalty), rows, facts));
    }

    /// @dev Not a multiple of `ETA` each.
    function worth(uint256 facts) private pure returns (uint256 sum) {
        for (uint256 i = 0; i < FACTS; i++) {
            if ((facts >> i) & 1 == 1) sum += 37 + 61 * i;
        }
    }

    function has(address who) private view returns (uint256) {
        return token.balanceOf(who) + market.claimable(who);
    }

    function rebate(uint256 epoch, address who) private view returns (uint256) {
        return emission.reward(epoch, who) + emission.paidOf(epoch, who);
    }
}
