//! A prover of false statements about named stacks: the honest machinery on contents of its choice, whose blinding factors it knows.

use assay_circuits::{NodeId, Op, Program, Tensor, eval::Values, program::Source};
use assay_prover::{
    ProvingKey, Recorder, Stack,
    device::Cpu,
    prove::{Task, argue},
    witness::Witness,
};
use assay_verifier::{CoreProof, core::Kind};
use std::borrow::Cow;

/// The public values of a run.
pub fn public_of(program: &Program, values: &Values<'_>) -> Vec<Vec<i64>> {
    let of = |s: Source| if let Source::Node(id) = s { values.of(id).data.clone() } else { unreachable!() };
    program.public.iter().map(|p| of(p.source)).collect()
}

/// Computes again what follows from inputs and weights, whatever their ranges are: the interpreter refuses those outside of them.
pub fn recompute(program: &Program, values: &mut Values<'_>) {
    for id in (0..program.graph.nodes().len()).map(NodeId) {
        let n = program.graph.node(id);
        if !matches!(n.op, Op::Input(_) | Op::Weight(_)) {
            let of: Vec<&Tensor> = n.inputs.iter().map(|i| values.of(*i)).collect();
            values.0[id.0] = Cow::Owned(n.op.eval(&of, &n.shape, program.graph.tables()).unwrap());
        }
    }
}

/// What is proven of one inference.
pub fn task<'a>(key: &'a ProvingKey, program: &'a Program, public: &'a [Vec<i64>], stacks: &'a [Stack]) -> Task<'a> {
    Task {
        program,
        kind: Kind::Inference,
        key_digest: key.digest,
        batch: 1,
        public,
        row_bits: key.verifying.row_bits,
        bases: &key.bases,
        model: &key.model_stack,
        model_rows: &key.verifying.rows,
        stacks,
    }
}

/// A proof on a witness of one set of values, while public values and operands are those of another.
pub fn argued(key: &ProvingKey, witness: Witness, values: &Values<'_>, stacks: &[Stack]) -> CoreProof {
    let program = key.verifying.program(1).unwrap();
    let public = public_of(&program, values);
    let argument =
        argue(&Cpu::default(), &task(key, &program, &public, stacks), witness, values, &Recorder::default()).unwrap();
    CoreProof { key_digest: key.digest, batch: 1, public, argument }
}
