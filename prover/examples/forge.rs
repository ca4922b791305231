//! Forges a settled proof under development powers of tau, whose tau is public: `cargo run -p assay-prover --example forge --
//! KEY_JSON CONTEXT_HEX [PUBLIC_VALUES_HEX]`. KEY_JSON is a file with the contract's key in a field "key", as in
//! contracts/test/vectors; the public values are all 1 if none are given. What it prints is a file of the same form.

#[path = "../tests/settle_forge/mod.rs"]
mod settle_forge;

use assay_prover::srs::DEVELOPMENT_SEED;
use assay_verifier::{
    core::hex,
    settle::{
        check::{check, public_bytes, public_from_bytes},
        descriptor::Descriptor,
    },
};
use std::error::Error;

fn bytes(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return Err(format!("not hexadecimal: {text}").into());
    }
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16);
    Ok((0..digits.len()).step_by(2).map(byte).collect::<Result<_, _>>()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: forge KEY_JSON CONTEXT_HEX [PUBLIC_VALUES_HEX]";
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, context, public @ ..] = arguments.as_slice() else { return Err(usage.into()) };
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let key = bytes(json["key"].as_str().ok_or("the file has no field \"key\"")?)?;
    let context: [u8; 32] = bytes(context)?.try_into().map_err(|_| "a context has 32 bytes")?;
    let descriptor = Descriptor::from_bytes(&key)?;
    let public = match public {
        [] => descriptor.public.iter().map(|p| vec![1; p.count]).collect(),
        [text] => public_from_bytes(&descriptor, &bytes(text)?).ok_or("public values of another number")?.1,
        _ => return Err(usage.into()),
    };
    let tau = settle_forge::development_tau(DEVELOPMENT_SEED);
    if !settle_forge::is_tau(&descriptor, &tau) {
        return Err("the key was not made with the development powers of tau".into());
    }
    let forged = settle_forge::forge(&descriptor, &public, &context, tau);
    check(&descriptor, &public, &context, &forged)?;
    let fields = [
        ("key", key),
        ("publicValues", public_bytes(&public)),
        ("context", context.to_vec()),
        ("proof", forged.to_bytes()),
    ];
    let lines: Vec<String> = fields.iter().map(|(name, b)| format!("  \"{name}\": \"0x{}\"", hex(b))).collect();
    println!("{{\n{}\n}}", lines.join(",\n"));
    Ok(())
}
