//! x
use assay_circuits::onnx::*;
use std::time::Instant;
fn main() {
    let mut o = CompileOptions::default();
    let mut verbose = true;
    for p in std::env::args().skip(1) {
        if let Some(b) = p.strip_prefix("-b") { let b: u32 = b.parse().unwrap(); o.weight_bits = Some(b); o.activation_bits = Some(b); continue; }
        if p == "-q" { verbose = false; continue; }
        println!("== {p}");
        let t = Instant::now();
        let m = load(&p).unwrap();
        println!("load {:?}", t.elapsed());
        let i = inspect(&m);
        println!("inspect {:?} params {} macs {} {}", t.elapsed(), i.parameters, i.multiply_adds, i.supported());
        let cal = p.replace(".onnx", "_calibration.npz");
        let data = npyz::npz::NpzArchive::open(&cal).ok().map(|mut a| a.by_name("x").unwrap().unwrap().into_vec::<f32>().unwrap());
        let n: usize = m.inputs[0].1.iter().product();
        let samples: Option<Vec<Vec<Vec<f32>>>> = data.map(|d| d.chunks(n).map(|c| vec![c.to_vec()]).collect());
        let mut last = String::new();
        match compile(&m, &o, samples.as_deref(), &mut |s, d, n| { let l = format!("{s} {d}/{n}"); if l != last && (verbose || n < 4) { println!("    {l} {:?}", t.elapsed()); last = l; } }) {
            Ok(m) => {
                println!("compile {:?}", t.elapsed());
                if verbose { for (i, n) in m.graph.nodes().iter().enumerate() {
                    let op = format!("{:?}", n.op);
                    println!("  {i} {} {} <- {:?} {:?} [{}, {}] {}", n.name, n.op.name(), n.inputs.iter().map(|i| i.0).collect::<Vec<_>>(), n.shape, n.range.lo, n.range.hi, if op.len() < 120 { &op } else { "" });
                } }
                for t in m.graph.tables() {
                    println!("  table {} {} {}", t.name, t.key_min, t.key_bits());
                }
                println!("  limb {} {:?}", m.graph.limb_bits(), m.report);
                let t = Instant::now();
                let b = m.to_bytes().unwrap();
                println!("  {} bytes {:?}", b.len(), t.elapsed());
                let t = Instant::now();
                assay_circuits::model::Model::from_bytes(&b).unwrap();
                println!("  decoded {:?}", t.elapsed());
            }
            Err(e) => println!("  ERR {e}"),
        }
    }
}
