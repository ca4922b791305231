//! Files of powers of tau.
#![no_main]

use assay_prover::srs::Srs;
use assay_verifier::opening::VerifierSrs;
use libfuzzer_sys::fuzz_target;
use std::io::Cursor;

fuzz_target!(|bytes: &[u8]| {
    let _ = Srs::read(&mut Cursor::new(bytes), 10);
    if let Ok(srs) = VerifierSrs::from_bytes(bytes) {
        assert_eq!(srs.to_bytes(), bytes);
    }
});
