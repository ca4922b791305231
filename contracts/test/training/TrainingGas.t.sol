// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

import { ITrainingMarket } from "../../sol/economy/ITrainingMarket.sol";
import { TrainingBase } from "./TrainingBase.sol";

/// @dev What a round costs without the verification of its proofs, whose answer costs nothing here: every slot is cold, the payments
/// are the first of their epoch, and the verifier's code is looked at for the first time. Written to snapshots/TrainingMarket.json.
contract TrainingGasTest is TrainingBase {
    bytes32 private one;
    uint256 private id;

    function setUp() external {
        deployTraining();
        one = register(DATA, "one", 1_000);
        id = open(spec());
    }

    function measured(address from, bytes memory call_, string memory name) private returns (uint256 gas) {
        address[6] memory all = [
            address(market), address(registry), address(emission), address(token), address(verifier), address(datasets)
        ];
        for (uint256 i = 0; i < 6; i++) {
            vm.cool(all[i]);
        }
        succeeds(from, address(market), call_, name);
        gas = cheats.snapshotGasLastCall("TrainingMarket", name);
    }

    function testRound() external {
        measured(SPONSOR, abi.encodeCall(ITrainingMarket.open, (spec(), "")), "open");
        measured(ANNE, leaseCall(id, one, ANNE), "lease");
        blocks.roll(market.round(id).pinned + 1);
        measured(ANNE, abi.encodeCall(ITrainingMarket.pinSeed, (id)), "pinSeed");
        bytes memory call_ = submitCall(id, "trained");
        vm.mockCall(address(verifier), abi.encodeWithSelector(verifier.verify.selector), abi.encode(true));
        check(measured(ANNE, call_, "submitTrain") < 250_000, "submitTrain");
        measured(SPONSOR, revealCall(id, 0), "reveal");
        call_ = evaluateCall(id, 500, 0);
        check(measured(ANNE, call_, "settleEval") < 150_000, "settleEval");
        measured(SPONSOR, abi.encodeCall(ITrainingMarket.refund, (id)), "refund");
    }

    /// A lease writes over what the round before left.
    function testNextLease() external {
        run(id, one, ANNE, "trained", 500, 100);
        check(measured(ANNE, leaseCall(id, one, ANNE), "lease, after a round") < 150_000, "lease");
    }

    function testOthers() external {
        cheats.prank(DATA);
        datasets.register(schemaOf(50), SRS, rowsOf(1, "two"), terms(100), "ipfs://two");
        cheats.snapshotGasLastCall("TrainingMarket", "DatasetRegistry.register, one row");
        vm.snapshotValue("TrainingMarket", "code size", address(market).code.length);
        vm.snapshotValue("TrainingMarket", "DatasetRegistry, bytes", address(datasets).code.length);
    }
}
