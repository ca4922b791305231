//! The embedded EVM: results, reverts, gas, and that it is the same every time.

mod support;

use assay_contracts::{Address, Call, Chain, Embedded, Error, Revert, U256, calldata_floor, calldata_gas};
use support::{caller, creation, logger, looper, pairing_input, returner, reverter, storer};

/// Deploys code; gives its address.
fn deploy(chain: &mut dyn Chain, code: &[u8]) -> Address {
    let receipt = chain.send(&Call::create(creation(code))).expect("a deployment");
    assert_eq!(receipt.revert, None);
    let address = receipt.created.expect("a contract");
    assert_eq!(chain.code(address).expect("code").as_ref(), code);
    address
}

#[test]
fn the_account_has_funds_and_a_nonce() {
    let mut chain = Embedded::new();
    assert_eq!((chain.chain_id(), chain.sender()), (31337, Some(Embedded::ACCOUNT)));
    assert_eq!(chain.balance(Embedded::ACCOUNT).expect("a balance").to_string(), "10000000000000000000000");
    assert_eq!(chain.nonce(Embedded::ACCOUNT), Ok(0));
    deploy(&mut chain, &returner());
    assert_eq!(chain.nonce(Embedded::ACCOUNT), Ok(1));
    let other = Address::repeat_byte(3);
    assert_eq!((chain.balance(other), chain.nonce(other)), (Ok(U256::ZERO), Ok(0)));
    assert!(chain.code(other).expect("code").is_empty());
    chain.set_sender(other);
    deploy(&mut chain, &returner());
    assert_eq!(chain.nonce(other), Ok(1));
}

#[test]
fn addresses_are_those_of_development_tools() {
    let address = deploy(&mut Embedded::new(), &returner());
    assert_eq!(address.to_string(), "0x5FbDB2315678afecb367f032d93F642f64180aa3");
}

#[test]
fn calls_return_and_change_nothing() {
    let mut chain = Embedded::new();
    let echo = deploy(&mut chain, &returner());
    assert_eq!(chain.call(&Call::new(echo, vec![1, 2, 3])).expect("a call").as_ref(), [1, 2, 3]);
    assert!(chain.call(&Call::new(Address::repeat_byte(8), vec![1])).expect("no code").is_empty());
    assert_eq!(chain.nonce(Embedded::ACCOUNT), Ok(1));
    let store = deploy(&mut chain, &storer());
    let one = Call::new(store, vec![1; 32]);
    let first = chain.gas(&one).expect("gas");
    chain.call(&one).expect("a call");
    assert_eq!(chain.gas(&one), Ok(first), "the call was not undone");
    assert_eq!(chain.send(&one).expect("a transaction").gas_used, first);
    assert!(chain.gas(&one).expect("gas") < first, "the transaction was undone");
}

#[test]
fn reverts_are_read_and_not_sent() {
    let mut chain = Embedded::new();
    let address = deploy(&mut chain, &reverter());
    let data = vec![0xde, 0xad, 0xbe, 0xef];
    let call = Call::new(address, data.clone());
    let expected = Error::Reverted {
        action: "a call",
        address,
        place: "the embedded EVM".to_owned(),
        revert: Revert::Unknown(data.into()),
    };
    assert_eq!(chain.call(&call), Err(expected.clone()));
    assert_eq!(chain.gas(&call), Err(expected.clone()));
    assert_eq!(chain.send(&call), Err(expected));
    assert_eq!(chain.nonce(Embedded::ACCOUNT), Ok(1), "it was sent");
    // With a gas limit it is sent all the same, and charged.
    let receipt = chain.send(&Call { gas_limit: Some(100_000), ..call }).expect("a receipt");
    assert!(receipt.revert.is_some() && receipt.gas_used > 21_000);
    assert!(matches!(receipt.success("here"), Err(Error::Failed { .. })));
    assert_eq!(chain.nonce(Embedded::ACCOUNT), Ok(2));
}

#[test]
fn running_out_of_gas_is_not_a_revert_by_the_contract() {
    let mut chain = Embedded::new();
    let address = deploy(&mut chain, &looper());
    let call = Call { gas_limit: Some(50_000), ..Call::new(address, vec![]) };
    let receipt = chain.send(&call).expect("a receipt");
    assert_eq!((receipt.revert, receipt.gas_used), (Some(Revert::Halted("out of gas".to_owned())), 50_000));
    let e = chain.call(&call).expect_err("stopped");
    assert!(e.to_string().contains("out of gas"), "{e}");
    // Less than the transaction itself costs.
    let e = chain.send(&Call { gas_limit: Some(20_000), ..call }).expect_err("too little");
    assert!(matches!(e, Error::Rejected { .. }), "{e:?}");
    // More than a transaction may cost: a million bytes of calldata.
    let e = chain.send(&Call::new(address, vec![1; 1_000_000])).expect_err("too much");
    assert!(matches!(e, Error::GasLimit { limit: 16_777_216, .. }), "{e:?}");
}

#[test]
fn events_are_kept_in_order() {
    let mut chain = Embedded::new();
    let address = deploy(&mut chain, &logger());
    let receipt = chain.send(&Call::new(address, vec![1, 2, 3])).expect("a receipt");
    assert_eq!(receipt.logs.len(), 1);
    let log = &receipt.logs[0];
    assert_eq!((log.address, log.data.data.as_ref()), (address, [1, 2, 3].as_slice()));
    assert_eq!(U256::from_be_bytes(log.data.topics()[0].0), U256::from(7));
}

#[test]
fn value_that_is_not_there_cannot_be_sent() {
    let mut chain = Embedded::new();
    let call = Call { value: U256::MAX >> 1, ..Call::new(Address::repeat_byte(1), vec![]) };
    let e = chain.send(&call).expect_err("too much");
    assert!(matches!(e, Error::InsufficientFunds { account: Embedded::ACCOUNT, .. }), "{e:?}");
}

#[test]
fn calldata_costs_what_the_rules_say() {
    let mut chain = Embedded::new();
    let nobody = Address::repeat_byte(0x77);
    for data in [vec![], vec![0; 100], vec![7; 100], [vec![0; 1000], vec![1; 1000]].concat()] {
        let gas = chain.send(&Call::new(nobody, data.clone())).expect("a receipt").gas_used;
        assert_eq!(gas, (21_000 + calldata_gas(&data)).max(calldata_floor(&data)));
    }
}

#[test]
fn the_precompiles_of_bn254_are_there() {
    let mut chain = Embedded::new();
    let precompile = |n: u8| Address::with_last_byte(n);
    let input = pairing_input();
    let one = U256::from(1).to_be_bytes::<32>();
    assert_eq!(chain.call(&Call::new(precompile(8), input.clone())).expect("a pairing").as_ref(), one);
    // The second pair's point doubled: not one any more.
    let sum = |n: &[u8], m: &[u8]| [n, m].concat();
    let generator = &input[..64];
    let double = chain.call(&Call::new(precompile(6), sum(generator, generator))).expect("an addition");
    let scalar = U256::from(2).to_be_bytes::<32>();
    assert_eq!(chain.call(&Call::new(precompile(7), sum(generator, &scalar))).expect("a multiplication"), double);
    let mut other = input.to_vec();
    other[..64].copy_from_slice(&double);
    assert_eq!(chain.call(&Call::new(precompile(8), other)).expect("a pairing").as_ref(), [0; 32]);
    // A point that is not on the curve is refused: all gas is gone, and a contract sees a failed call.
    let mut off = input.to_vec();
    off[63] ^= 1;
    assert!(chain.call(&Call::new(precompile(8), off.clone())).is_err());
    let contract = deploy(&mut chain, &caller(8));
    assert_eq!(chain.call(&Call::new(contract, input)).expect("a pairing").as_ref(), one);
    let e = chain.call(&Call::new(contract, off)).expect_err("a call that failed");
    assert!(matches!(e, Error::Reverted { revert: Revert::Empty, .. }), "{e:?}");
}

#[test]
fn two_runs_are_the_same() {
    let run = || {
        let mut chain = Embedded::new();
        let store = deploy(&mut chain, &storer());
        let log = deploy(&mut chain, &logger());
        (chain.send(&Call::new(store, vec![9; 32])), chain.send(&Call::new(log, vec![1])), chain.code(store))
    };
    assert_eq!(run(), run());
}
