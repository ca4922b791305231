#[path = "../tests/support/mod.rs"]
mod support;
use assay_circuits::*;
use assay_circuits::ops::*;
use assay_prover::{*, device::Cpu, srs::Srs};
use std::time::Instant;
fn mlp() -> Graph {
    let mut g = GraphBuilder::new(9);
    let x = g.input("x", &[1, 784], 9).unwrap();
    let mut h = x;
    let dims = [784usize, 256, 128, 10];
    for l in 0..3 {
        let w = g.weight("w", &[dims[l], dims[l + 1]], 8).unwrap();
        let b = g.weight("b", &[1, dims[l + 1]], 16).unwrap();
        h = g.push("fc", Op::Contraction(Contraction::matmul(&[], 1, dims[l], dims[l + 1])), &[h, w]).unwrap();
        h = g.linear("bias", &[(h, 1), (b, 1)], 0).unwrap();
        if l < 2 { h = g.lookup("relu", h, 9, Table::relu(-1024, 11, 1023)).unwrap(); }
    }
    g.finish(vec![x], vec![h]).unwrap()
}
fn convnet(c: usize, hw: usize) -> Graph {
    let mut g = GraphBuilder::new(9);
    let x = g.input("x", &[1, c, hw, hw], 9).unwrap();
    let mut h = x;
    let mut ci = c;
    for co in [32usize, 64] {
        let w = g.weight("w", &[co, ci, 3, 3], 8).unwrap();
        let n = g.node(h).shape[2];
        h = g.push("conv", Op::Contraction(support::conv([1, ci, co], n, 3, 1, 1, 1)), &[h, w]).unwrap();
        h = g.lookup("relu", h, 9, Table::relu(-1024, 11, 1023)).unwrap();
        for a in [2, 3] {
            let n = g.node(h).shape[a] / 2;
            let even = g.push("even", Op::Window(Window::slice(a, 0, 2, n)), &[h]).unwrap();
            let odd = g.push("odd", Op::Window(Window::slice(a, 1, 2, n)), &[h]).unwrap();
            let d = g.linear("difference", &[(odd, 1), (even, -1)], 0).unwrap();
            let d = g.lookup("max", d, 0, Table::relu(-1024, 11, 1023)).unwrap();
            h = g.linear("maximum", &[(even, 1), (d, 1)], 0).unwrap();
        }
        ci = co;
    }
    let n: usize = g.node(h).shape.iter().product();
    let h = g.push("flat", Op::Reshape(Reshape { shape: vec![1, n] }), &[h]).unwrap();
    let w = g.weight("w", &[n, 60], 8).unwrap();
    let h = g.push("fc", Op::Contraction(Contraction::matmul(&[], 1, n, 60)), &[h, w]).unwrap();
    g.finish(vec![x], vec![h]).unwrap()
}
fn main() {
    let which = std::env::args().nth(1).unwrap_or("mlp".into());
    let rb = std::env::args().nth(2).and_then(|s| s.parse().ok());
    let graph = match which.as_str() { "mlp" => mlp(), _ => convnet(3, 32) };
    let m = support::model(graph, 3);
    let t = Instant::now();
    let srs = Srs::development(15, 1).unwrap();
    println!("srs {:?}", t.elapsed());
    let dev = Cpu::default();
    for _ in 0..2 {
    let t = Instant::now();
    let rec = Recorder::default();
    let key = setup(&dev, &m, &srs, SetupOptions { row_bits: rb, ..Default::default() }, &rec).unwrap();
    println!("setup {:?} row_bits {} rows {} {:?}", t.elapsed(), key.verifying.row_bits, key.verifying.rows.len(), rec.seconds());
    let p = key.verifying.program(1).unwrap();
    println!("witness_bits {} model_bits {} leaf_bits {} lookups {} table rows {}", p.witness_bits, p.model_bits, p.leaf_bits, p.lookups(), p.table_rows());
    let t = Instant::now();
    assay_verifier::core::check_registration(&key.verifying).unwrap();
    println!("registration check {:?}", t.elapsed());
    let inputs = support::inputs(&m, 1, 5);
    for _ in 0..2 {
    let rec = Recorder::default();
    let t = Instant::now();
    let proved = prove(&dev, &key, &inputs, &rec).unwrap();
    println!("prove {:?}", t.elapsed());
    for (s, x) in rec.seconds() { println!("   {:12} {:.1} ms", s.name(), x * 1e3); }
    let t = Instant::now();
    assay_verifier::core::verify(&key.verifying, &proved.proof).unwrap();
    println!("verify {:?} bytes {} messages {} {:?}", t.elapsed(), proved.proof.to_bytes().len(), proved.proof.argument.messages.len(), assay_verifier::meter::measure(&p, key.verifying.row_bits).unwrap().0);
    }}
}
