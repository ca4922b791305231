//! Graphs: what decodes encodes to the same bytes, and is laid out, and verified on shapes, within the bounds of a layout.
#![no_main]

use assay_circuits::{Graph, Program, Visibility};
use assay_verifier::{meter::measure, protocol::Mode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((batch, bytes)) = bytes.split_first() else { return };
    if let Ok(graph) = Graph::from_bytes(bytes) {
        assert_eq!(graph.to_bytes().as_deref(), Ok(bytes));
        let layouts =
            [Program::registration(&graph), Program::inference(&graph, usize::from(*batch), Visibility::default())];
        for program in layouts.into_iter().flatten() {
            measure(&program, 8, Mode::Core).expect("a rehearsed layout");
        }
    }
});
