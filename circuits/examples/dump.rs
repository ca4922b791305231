//! x
use assay_circuits::onnx::*;
fn main() {
    for p in std::env::args().skip(1) {
        println!("== {p}");
        match load(&p).and_then(|m| compile(&m, &CompileOptions::default(), None, &mut |_, _, _| {})) {
            Ok(m) => {
                for (i, n) in m.graph.nodes().iter().enumerate() {
                    let op = format!("{:?}", n.op);
                    println!("  {i} {} {} <- {:?} {:?} [{}, {}] {}", n.name, n.op.name(), n.inputs.iter().map(|i| i.0).collect::<Vec<_>>(), n.shape, n.range.lo, n.range.hi, if op.len() < 120 { &op } else { "" });
                }
                for t in m.graph.tables() {
                    println!("  table {} {} {}", t.name, t.key_min, t.key_bits());
                }
                println!("  limb {} {:?}", m.graph.limb_bits(), m.report);
            }
            Err(e) => println!("  ERR {e}"),
        }
    }
}
