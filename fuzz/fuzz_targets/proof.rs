//! Proof files: what decodes encodes to the same bytes.
#![no_main]

use assay_verifier::CoreProof;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(proof) = CoreProof::from_bytes(bytes) {
        assert_eq!(proof.to_bytes(), bytes);
    }
});
