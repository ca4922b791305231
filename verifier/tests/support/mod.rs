//! Graphs by hand, for tests of the verifier without a prover.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use ark_ec::{AffineRepr, CurveGroup};
use assay_circuits::{Graph, GraphBuilder, Op, Table, Visibility, model::TensorSpec, ops::Contraction};
use assay_verifier::{
    Fr, G1Affine, G2Affine, VerifyingKey,
    opening::{OpeningProof, VerifierSrs, evaluation_count},
    proof::Argument,
};

/// A small deterministic generator.
pub struct Lcg(pub u64);

impl Lcg {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.next() as usize % items.len()]
    }
}

/// Two contractions of different lengths, a clamped lookup and a linear output.
pub fn two_layers() -> Graph {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[1, 3], 4).unwrap();
    let w = g.weight("w", &[3, 2], 3).unwrap();
    let v = g.weight("v", &[2, 1], 3).unwrap();
    let h = g.push("product", Op::Contraction(Contraction::matmul(&[], 1, 3, 2)), &[x, w]).unwrap();
    let a = g.lookup("act", h, 5, Table::relu(-2, 2, 1)).unwrap();
    let y = g.push("dot", Op::Contraction(Contraction::matmul(&[], 1, 2, 1)), &[a, v]).unwrap();
    let y = g.linear("y", &[(y, 3)], 1).unwrap();
    g.finish(vec![x], vec![y]).unwrap()
}

/// One lookup, no contraction and no weight.
pub fn one_lookup() -> Graph {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[2], 4).unwrap();
    let y = g.lookup("y", x, 0, Table::relu(-8, 4, 7)).unwrap();
    g.finish(vec![x], vec![y]).unwrap()
}

/// The smallest graph there is: its registration has nothing to show, so its tree has two empty leaves.
pub fn identity() -> Graph {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[], 1).unwrap();
    g.finish(vec![x], vec![x]).unwrap()
}

/// An argument of the right form that proves nothing.
pub fn empty_argument(row_bits: usize) -> Argument {
    let zero = G1Affine::identity();
    let opening = OpeningProof {
        folds: vec![zero; OpeningProof::fold_commitments(row_bits)],
        evaluations: vec![Fr::from(0u8); evaluation_count(row_bits)],
        quotient: zero,
        linearised: zero,
    };
    Argument { row_bits, rows: vec![zero], given: Default::default(), messages: vec![Fr::from(1u8); 8], opening }
}

/// A key that nobody has registered.
pub fn unregistered(graph: Graph) -> VerifyingKey {
    let spec = |ids: &[assay_circuits::NodeId]| {
        ids.iter()
            .map(|id| {
                let node = graph.node(*id);
                TensorSpec::uniform(&node.name, &node.shape, 0)
            })
            .collect::<Vec<_>>()
    };
    let (inputs, outputs) = (spec(graph.inputs()), spec(graph.outputs()));
    let g2 = G2Affine::generator();
    let tau_g2 = (g2 * Fr::from(5u8)).into_affine();
    let srs_hash = VerifierSrs::identity(&g2, &tau_g2, true);
    let srs = VerifierSrs { g1: G1Affine::generator(), g2, tau_g2, insecure_dev: true, srs_hash };
    VerifyingKey {
        graph,
        visibility: Visibility::default(),
        weights_digest: [0; 32],
        stacks: vec![],
        inputs,
        outputs,
        row_bits: 4,
        rows: vec![G1Affine::identity()],
        srs,
        registration: empty_argument(4),
    }
}
