//! Settled proofs: what decodes encodes to the same bytes, and is checked under a key without a panic. The input is the length
//! of a key file, the key file, and a proof file, so that the fuzzer can change both.
#![no_main]

use assay_verifier::settle::key::{SettledProof, SettlementKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    let Some((key, proof)) = rest.split_at_checked(length) else { return };
    if let Ok(proof) = SettledProof::from_bytes(proof) {
        assert_eq!(proof.to_bytes(), rest[length..]);
        if let Ok(key) = SettlementKey::from_bytes(key) {
            // The id is a hash; without this nothing behind it would be reached after a change of the key.
            let _ = key.verify(&SettledProof { id: key.id(), ..proof });
        }
    }
});
