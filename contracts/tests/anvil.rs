//! A real node: what is charged, returned and reported there is what the embedded EVM says.

mod support;

use assay_contracts::{
    Address, Bytes, Call, Chain, Embedded, Error, Receipt, Revert, Rpc, RpcOptions, U256, anvil::Anvil, is_local,
};
use support::{caller, creation, logger, looper, pairing_input, returner, reverter, storer};

fn node() -> (Anvil, Rpc) {
    let anvil = Anvil::start().unwrap_or_else(|e| panic!("{e}"));
    let rpc = anvil.connect().unwrap_or_else(|e| panic!("{e}"));
    (anvil, rpc)
}

/// Runs the same on both; they agree on everything but the hash.
fn both<T: PartialEq + std::fmt::Debug>(chains: &mut [&mut dyn Chain; 2], f: impl Fn(&mut dyn Chain) -> T) -> T {
    let [a, b] = chains;
    let (a, b) = (f(*a), f(*b));
    assert_eq!(a, b, "the embedded EVM and the node do not agree");
    a
}

/// Everything of a receipt that does not depend on signatures.
fn seen(receipt: Result<Receipt, Error>) -> (u64, Option<Address>, usize, Option<Revert>) {
    let r = receipt.unwrap_or_else(|e| panic!("{e}"));
    for log in &r.logs {
        assert_eq!(log.data.topics().len(), 1);
    }
    (r.gas_used, r.created, r.logs.iter().map(|l| l.data.data.len()).sum(), r.revert)
}

#[test]
fn both_charge_the_same_gas() {
    let (_anvil, mut rpc) = node();
    assert!(is_local(rpc.chain_id()));
    let mut embedded = Embedded::new();
    let chains = &mut [&mut embedded as &mut dyn Chain, &mut rpc];
    let deploy = |chains: &mut [&mut dyn Chain; 2], code: Vec<u8>| {
        let call = Call::create(creation(&code));
        both(chains, |c| seen(c.send(&call))).1.expect("a contract")
    };
    let echo = deploy(chains, returner());
    let revert = deploy(chains, reverter());
    let log = deploy(chains, logger());
    let store = deploy(chains, storer());
    let spin = deploy(chains, looper());
    let pairing = deploy(chains, caller(8));
    let big: Vec<u8> = (0..20_000_u32).map(|i| (i % 7) as u8).collect();
    let zero = vec![0; 32];
    let word = vec![5; 32];
    for call in [
        Call::new(echo, vec![]),
        Call::new(echo, big.clone()),
        Call::new(echo, vec![0; 5000]),
        Call::new(log, vec![1, 2, 3]),
        Call::new(log, big),
        // Fresh, unchanged, changed back, with the refund that this gives, and fresh again.
        Call::new(store, word.clone()),
        Call::new(store, word.clone()),
        Call::new(store, zero),
        Call::new(store, word),
        Call::new(pairing, pairing_input()),
        Call::new(Address::with_last_byte(8), pairing_input()),
        Call::new(Address::with_last_byte(6), vec![0; 128]),
        Call { value: U256::from(1), ..Call::new(Address::repeat_byte(0x55), vec![]) },
        Call { gas_limit: Some(60_000), ..Call::new(spin, vec![]) },
        Call { gas_limit: Some(60_000), ..Call::new(revert, vec![0xde, 0xad, 0xbe, 0xef]) },
        // Creation code that fails, and one that leaves nothing.
        Call { gas_limit: Some(80_000), ..Call::create(vec![0xfe]) },
        Call::create(Bytes::new()),
    ] {
        let (gas, created, logged, failed) = both(chains, |c| match seen(c.send(&call)) {
            // The words for a stop differ.
            (gas, created, logged, Some(Revert::Halted(_))) => (gas, created, logged, Some(None)),
            (gas, created, logged, revert) => (gas, created, logged, revert.map(Some)),
        });
        println!("{gas:>8} gas, created {created:?}, {logged} bytes of events, failure {failed:?}");
    }
    let state = both(chains, |c| (c.nonce(Embedded::ACCOUNT), c.code(echo), c.balance(Address::repeat_byte(0x55))));
    assert_eq!(state, (Ok(23), Ok(returner().into()), Ok(U256::from(1))));
}

#[test]
fn both_return_and_revert_alike() {
    let (_anvil, mut rpc) = node();
    let mut embedded = Embedded::new();
    let chains = &mut [&mut embedded as &mut dyn Chain, &mut rpc];
    let deploy = |chains: &mut [&mut dyn Chain; 2], code: Vec<u8>| {
        let call = Call::create(creation(&code));
        both(chains, |c| seen(c.send(&call))).1.expect("a contract")
    };
    let echo = deploy(chains, returner());
    let revert = deploy(chains, reverter());
    let pairing = deploy(chains, caller(8));
    assert_eq!(both(chains, |c| c.call(&Call::new(echo, vec![1, 2, 3]))).expect("a call").as_ref(), [1, 2, 3]);
    let nobody = Address::repeat_byte(8);
    assert_eq!(
        both(chains, |c| (c.call(&Call::new(nobody, vec![1])), c.code(nobody))),
        (Ok(Bytes::new()), Ok(Bytes::new()))
    );
    let one = U256::from(1).to_be_bytes::<32>();
    assert_eq!(both(chains, |c| c.call(&Call::new(pairing, pairing_input()))).expect("a pairing").as_ref(), one);
    let text = [vec![0x08, 0xc3, 0x79, 0xa0], vec![0; 31], vec![32], vec![0; 31], vec![2], b"no".to_vec(), vec![0; 30]];
    let panic = [vec![0x4e, 0x48, 0x7b, 0x71], vec![0; 31], vec![0x12]];
    for (data, expected) in [
        (text.concat(), Revert::Message("no".to_owned())),
        (panic.concat(), Revert::Panic(U256::from(0x12))),
        (vec![1, 2, 3, 4, 5], Revert::Unknown(vec![1, 2, 3, 4, 5].into())),
        (vec![], Revert::Empty),
    ] {
        let call = Call::new(revert, data);
        for action in [
            (|c, call| c.call(call).map(|_| ())) as fn(&mut dyn Chain, &Call) -> Result<(), Error>,
            |c, call| c.gas(call).map(|_| ()),
            |c, call| c.send(call).map(|_| ()),
        ] {
            let found = both(chains, |c| match action(c, &call) {
                Err(Error::Reverted { address, revert, .. }) => (address, revert),
                other => panic!("{other:?}"),
            });
            assert_eq!(found, (revert, expected.clone()));
        }
    }
    assert_eq!(both(chains, |c| c.nonce(Embedded::ACCOUNT)), Ok(3), "a transaction that reverts was sent");
}

#[test]
fn estimates_are_enough() {
    let (_anvil, mut rpc) = node();
    let code = caller(8);
    let address = rpc.send(&Call::create(creation(&code))).expect("a receipt").created.expect("a contract");
    let call = Call::new(address, pairing_input());
    let estimate = rpc.gas(&call).expect("an estimate");
    let receipt = rpc.send(&Call { gas_limit: Some(estimate), ..call }).expect("a receipt");
    assert_eq!(receipt.revert, None);
    assert!(receipt.gas_used <= estimate, "{} > {estimate}", receipt.gas_used);
}

#[test]
fn transactions_without_dynamic_fees() {
    let anvil = Anvil::start_with(&["--block-base-fee-per-gas", "0"]).unwrap_or_else(|e| panic!("{e}"));
    let mut rpc = anvil.connect().expect("a node");
    let receipt = rpc.send(&Call::create(creation(&returner()))).expect("a receipt");
    assert_eq!(receipt.created.map(|a| rpc.code(a)), Some(Ok(returner().into())));
}

#[test]
fn another_chain_is_noticed() {
    let anvil = Anvil::start_with(&["--chain-id", "11155111"]).unwrap_or_else(|e| panic!("{e}"));
    let e = Rpc::connect(RpcOptions { chain_id: Some(1), ..RpcOptions::new(anvil.url()) }, None).expect_err("refused");
    assert!(matches!(e, Error::WrongChain { expected: 1, found: 11_155_111, .. }), "{e:?}");
    let rpc = anvil.connect().expect("a node");
    assert!(!is_local(rpc.chain_id()));
}

#[test]
fn a_transaction_that_nobody_mines_is_reported_with_its_hash() {
    let anvil = Anvil::start_with(&["--no-mining"]).unwrap_or_else(|e| panic!("{e}"));
    let key = assay_contracts::anvil::signer();
    let options = RpcOptions { receipt_timeout: std::time::Duration::from_secs(1), ..RpcOptions::new(anvil.url()) };
    let mut rpc = Rpc::connect(options, Some(key)).expect("a node");
    let e = rpc.send(&Call::create(creation(&returner()))).expect_err("not mined");
    assert!(matches!(e, Error::Pending { last: None, .. }), "{e:?}");
    // The next one comes after it instead of replacing it.
    let again = rpc.send(&Call::create(creation(&returner()))).expect_err("not mined");
    let (Error::Pending { hash: first, .. }, Error::Pending { hash: second, .. }) = (e, again) else { panic!() };
    assert_ne!(first, second);
}

#[test]
fn a_node_that_is_gone_is_reported() {
    let (anvil, mut rpc) = node();
    rpc.balance(Embedded::ACCOUNT).expect("a balance");
    drop(anvil);
    let e = rpc.balance(Embedded::ACCOUNT).expect_err("gone");
    assert!(matches!(e, Error::Unreachable { .. }), "{e:?}");
}

#[test]
fn accounts_without_funds_are_told_before_anything_is_sent() {
    let anvil = Anvil::start_with(&["--balance", "0"]).unwrap_or_else(|e| panic!("{e}"));
    let mut rpc = anvil.connect().expect("a node");
    let e = rpc.send(&Call::create(creation(&returner()))).expect_err("no funds");
    assert!(matches!(e, Error::InsufficientFunds { account: Embedded::ACCOUNT, .. }), "{e:?}");
}
