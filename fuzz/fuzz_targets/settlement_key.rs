//! Settlement key files: what decodes encodes to the same bytes, and is found valid or not without a panic.
#![no_main]

use assay_verifier::settle::key::SettlementKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(key) = SettlementKey::from_bytes(bytes) {
        assert_eq!(key.to_bytes().as_deref(), Ok(bytes));
        let _ = key.check();
        let _ = key.program();
    }
});
