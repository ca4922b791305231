//! A verifier contract that accepts what a test has prepared: for tests of what happens around a proof. It is no toy of a verifier but
//! none at all, so nothing about proofs is shown with it.

use assay_contracts::{
    Address, B256, Bytes, Call, Chain,
    economy::{Deployment, NewEntry},
    keccak256,
    sol_types::SolValue,
};

/// A verifier with one key, registered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StandIn {
    /// keccak256 of the key.
    pub(crate) settlement_id: B256,
    /// Its entry in the registry.
    pub(crate) verifier_id: B256,
}

fn create(chain: &mut dyn Chain, code: &[u8]) -> Address {
    let length = u16::try_from(code.len()).expect("a short contract").to_be_bytes();
    // PUSH2 length, DUP1, PUSH1 10, PUSH0, CODECOPY, PUSH0, RETURN
    let init = [&[0x61, length[0], length[1], 0x80, 0x60, 0x0a, 0x5f, 0x39, 0x5f, 0xf3], code].concat();
    let place = chain.place().to_owned();
    let receipt = chain.send(&Call::create(init)).and_then(|r| r.success(&place)).expect("a contract");
    receipt.created.expect("an address")
}

/// Values of 8 bytes that the ids of three given stacks take.
const IDS: u64 = 12;

/// A settlement key about three given stacks that has the right form and no meaning: ids and first public tensor have so many values
/// together, the last public tensor so many.
fn key(inputs: u64, outputs: u64, salt: u64) -> Vec<u8> {
    let shown = inputs.checked_sub(IDS).expect("three ids");
    let tensors: &[u64] = if shown == 0 { &[outputs] } else { &[shown, outputs] };
    let mut words = [2, 0, salt, 15, 0, 8, 8, 8, 8, tensors.len() as u64, 0, 0, 0, 0, 0, 0].to_vec();
    tensors.iter().for_each(|count| words.extend([*count, 0, 0]));
    words.push(3);
    (1..=3).for_each(|schema| words.extend([0, 8, schema]));
    // Nine columns and one row.
    words.extend([0; 20]);
    words.iter().flat_map(|w| B256::left_padding_from(&w.to_be_bytes()).0).collect()
}

impl StandIn {
    /// Deploys and registers one; the sender must be a curator. `values` are those of ids and first tensor, and of the last one; `salt`
    /// tells keys apart.
    pub(crate) fn new(chain: &mut dyn Chain, at: &Deployment, values: (u64, u64), units: u64, salt: u64) -> Self {
        let key = key(values.0, values.1, salt);
        let data = create(chain, &[&[0], &key[..]].concat());
        let selector = &keccak256("keyOf(bytes32)")[..4];
        // keyOf gives the address of the key; all else is `verify`: whether the last word of the calldata is the hash of what is between
        // the selector and it.
        let code = [
            &[0x5f, 0x35, 0x60, 0xe0, 0x1c, 0x63][..],
            selector,
            &[0x14, 0x60, 0x25, 0x57],
            &[0x60, 0x24, 0x36, 0x03, 0x80, 0x60, 0x04, 0x5f, 0x37, 0x5f, 0x20],
            &[0x60, 0x20, 0x36, 0x03, 0x35, 0x14, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3],
            &[0x5b, 0x73],
            data.as_slice(),
            &[0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3],
        ];
        let verifier = create(chain, &code.concat());
        let settlement_id = keccak256(&key);
        let entry =
            NewEntry { verifier, settlement_id, model_id: keccak256(salt.to_be_bytes()), batch: 1, work_units: units };
        let (verifier_id, _) = at.registry().add(chain, &entry).expect("an entry");
        Self { settlement_id, verifier_id }
    }

    /// What it accepts for exactly this statement.
    pub(crate) fn proof(&self, values: &[u8], context: B256) -> Vec<u8> {
        let values = Bytes::copy_from_slice(values);
        let call = (self.settlement_id, values, context, Bytes::from(vec![0; 32])).abi_encode_params();
        keccak256(&call[..call.len() - 32]).to_vec()
    }
}
