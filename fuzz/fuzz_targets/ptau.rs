//! Ceremony files: what is imported passes the pairing check.
#![no_main]

use assay_prover::srs::import_ptau;
use libfuzzer_sys::fuzz_target;
use std::io::Cursor;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(ceremony) = import_ptau(Cursor::new(bytes), 6) {
        ceremony.srs.verify().expect("checked on import");
    }
});
