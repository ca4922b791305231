//! Key files: what decodes encodes to the same bytes, and is found registered or not without a panic.
#![no_main]

use assay_verifier::{VerifyingKey, core::check_registration};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(key) = VerifyingKey::from_bytes(bytes) {
        assert_eq!(key.to_bytes().as_deref(), Ok(bytes));
        let _ = check_registration(&key);
        let _ = key.program(2);
    }
});
