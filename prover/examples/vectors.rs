//! Writes the golden vectors that native check, circuit and contract are tested on: `cargo run -p assay-prover --example
//! vectors -- FOLDER`. Blinding is random, so every run gives others; the committed ones are as good as any.

#[path = "../tests/support/mod.rs"]
mod support;

use assay_circuits::Visibility;
use assay_prover::{
    Recorder,
    device::Cpu,
    settle::{Optimize, SettlementOptions, settle, setup_settlement},
    srs::{DEVELOPMENT_SEED, Srs},
};
use assay_verifier::{core::hex, settle::key::Context};
use support::{cnn, inputs, mlp, model};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: vectors FOLDER")?;
    let srs = Srs::development(15, DEVELOPMENT_SEED)?;
    let open = Visibility { inputs: true, weights: true, outputs: true };
    let shown = Visibility { inputs: true, ..Visibility::default() };
    let cases = [
        ("mlp", mlp(), 1, None, Visibility::default()),
        ("mlp_batch", mlp(), 3, None, shown),
        ("mlp_short_rows", mlp(), 1, Some(7), open),
        ("cnn", cnn(), 1, Some(13), Visibility::default()),
    ];
    for (name, graph, batch, row_bits, visibility) in cases {
        let model = model(graph, 5);
        let options = SettlementOptions { visibility, batch, row_bits, optimize: Optimize::Gas, secret: [7; 32] };
        let recorder = Recorder::default();
        let prover = setup_settlement(&Cpu::default(), &model, &srs, &options, &recorder)?;
        let context = Context { chain_id: 31337, consumer: [0x11; 20], job: [0x22; 32], recipient: [0x33; 20] };
        let inputs = inputs(&model, batch as usize, 9);
        let settled = settle(&Cpu::default(), &prover, &inputs, context, &recorder)?;
        prover.key.verify(&settled.proof)?;
        let d = &prover.key.descriptor;
        eprintln!(
            "{name}: k {} row bits {} witness {} model {}",
            d.circuit.k, d.row_bits, d.witness_bits, d.model_bits
        );
        let p = &settled.proof;
        let field = |name: &str, bytes: &[u8]| format!("  \"{name}\": \"0x{}\"", hex(bytes));
        let lines = [
            field("key", &d.to_bytes()),
            field("publicValues", &p.public),
            field("context", &p.context.digest()),
            field("proof", &p.argument),
        ];
        std::fs::write(format!("{folder}/{name}.json"), format!("{{\n{}\n}}\n", lines.join(",\n")))?;
    }
    Ok(())
}
