use assay_circuits::onnx::*;
fn main(){ for p in std::env::args().skip(1) { println!("== {p}"); match load(&p) { Ok(m)=> m.dump(), Err(e)=>println!("ERR {e}") } } }
