//! Model files, whose length and checksum are made good so that the fuzzer gets behind them.
#![no_main]

use assay_circuits::{canonical, model::Model};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let _ = Model::from_bytes(payload);
    let mut file = b"ASSAYMOD\0\x01".to_vec();
    file.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    file.extend_from_slice(payload);
    let sum = canonical::digest("assay.model-file", &[&file]);
    file.extend_from_slice(&sum);
    if let Ok(model) = Model::from_bytes(&file) {
        assert_eq!(model.to_bytes(), Ok(file));
    }
});
