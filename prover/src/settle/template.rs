//! Settlement keys and proofs of the right shape and no meaning. A contract does with them what it does with real ones, up to
//! the verdict of the last pairing, so what they cost on chain, and how long they are, is what real ones cost: `estimate`
//! asks them before anything is proven.

use super::{
    SettleFailure,
    key::{Optimize, choose_row_bits, filled_rows, least_row_bits},
};
use ark_ec::{AffineRepr, CurveGroup};
use assay_circuits::{Graph, Program, Visibility, model::TensorSpec, program::NAMED, stack::NamedStack};
use assay_verifier::{
    Fr, G1Affine, G2Affine,
    opening::{OpeningProof, evaluation_count},
    protocol::padded_bits,
    settle::{
        self,
        argument::{EVALUATIONS, Halo2Proof, SettledArgument},
        descriptor::{CircuitKey, DescribedStack, Descriptor},
        key::{SettlementKey, registration_descriptor, shape},
    },
};

/// A key of the shape that [`super::setup_settlement`] would give, and what it takes to make it.
#[derive(Clone, Debug)]
pub struct Template {
    /// The key. Nothing in it but its shape is true.
    pub key: SettlementKey,
    /// The layout of an inference.
    pub program: Program,
    /// The layout of the registration.
    pub registration: Program,
}

/// Numbers that look like field elements of a proof: all bytes are used.
fn scalar(i: u64) -> Fr {
    let mut x = Fr::from(i + 3);
    for _ in 0..12 {
        x = x * x + Fr::from(i + 1);
    }
    x
}

/// A few points, over and over: what is done with them does not depend on their values.
struct Points {
    pool: Vec<G1Affine>,
    next: usize,
}

impl Points {
    fn new() -> Self {
        let pool = (0..16).map(|i| (G1Affine::generator() * scalar(100 + i)).into_affine()).collect();
        Self { pool, next: 0 }
    }

    fn one(&mut self) -> G1Affine {
        self.next += 1;
        self.pool[self.next % self.pool.len()]
    }

    fn many(&mut self, n: usize) -> Vec<G1Affine> {
        (0..n).map(|_| self.one()).collect()
    }

    fn circuit(&mut self, k: usize) -> CircuitKey {
        CircuitKey { k, fixed: core::array::from_fn(|_| self.one()), permutation: core::array::from_fn(|_| self.one()) }
    }
}

impl Template {
    /// The shape of the settlement key of a graph whose inputs and outputs are described so, about named stacks, of which each is
    /// pinned or not. `insecure_dev` is a flag in the key and changes nothing else.
    ///
    /// # Errors
    /// A graph without layout or circuit, and stacks that do not fit it.
    pub fn new(
        graph: &Graph,
        specs: (&[TensorSpec], &[TensorSpec]),
        visibility: Visibility,
        batch: u32,
        row_bits: Option<usize>,
        optimize: Optimize,
        stacks: &[(NamedStack, bool)],
    ) -> Result<Self, SettleFailure> {
        let named: Vec<NamedStack> = stacks.iter().map(|(n, _)| n.clone()).collect();
        let program = Program::linked(graph, usize::try_from(batch).unwrap_or(usize::MAX), visibility, &named)?;
        let registration = Program::registration_beside(graph, &named)?;
        let of_stacks = named.first().map(|n| usize::from(n.schema.row_bits));
        let row_bits = of_stacks.or(row_bits).unwrap_or_else(|| choose_row_bits(&program, &registration, optimize));
        let least = least_row_bits(&program, &registration);
        if row_bits < least {
            return Err(SettleFailure::TooManyRows { row_bits, least });
        }
        let k = |program: &Program| settle::circuit(program, row_bits, None).map(|rows| rows.k() as usize);
        let mut points = Points::new();
        let (witness_bits, model_bits, public) = shape(&program, row_bits)?;
        let mut descriptor = Descriptor {
            insecure_dev: true,
            program: [0xa5; 32],
            circuit: points.circuit(k(&program)?),
            row_bits,
            witness_bits,
            model_bits,
            blinder: points.one(),
            tau_g2: (G2Affine::generator() * scalar(7)).into_affine(),
            public,
            stacks: Vec::with_capacity(stacks.len()),
            model_rows: Vec::new(),
        };
        let rows = settle::descriptor::rows(model_bits, row_bits);
        descriptor.model_rows = points.many(rows);
        for ((n, pinned), laid_out) in stacks.iter().zip(program.stacks.iter().skip(NAMED)) {
            let bits = padded_bits(laid_out.bits, row_bits);
            let rows = pinned.then(|| points.many(settle::descriptor::rows(bits, row_bits)));
            descriptor.stacks.push(DescribedStack { bits, schema: n.schema.digest()?, pinned: rows });
        }
        let registration_circuit = points.circuit(k(&registration)?);
        let registered = registration_descriptor(graph, &named, &descriptor, &registration_circuit)?;
        let argument = argument(&registered, filled_rows(&registration, row_bits));
        let key = SettlementKey {
            graph: graph.clone(),
            visibility,
            inputs: specs.0.to_vec(),
            outputs: specs.1.to_vec(),
            batch,
            stacks: named,
            descriptor,
            registration_circuit,
            registration: argument,
        };
        Ok(Self { key, program, registration })
    }

    /// Public values within their ranges, and a proof: what a contract is given.
    pub fn proof(&self) -> (Vec<Vec<i64>>, SettledArgument) {
        let d = &self.key.descriptor;
        let public = d.public.iter().map(|p| vec![(-1).clamp(p.lo, p.hi); p.count]).collect();
        let argument = argument(d, filled_rows(&self.program, d.row_bits));
        (public, argument)
    }
}

/// A proof whose witness holds something in the first `filled` rows.
fn argument(d: &Descriptor, filled: usize) -> SettledArgument {
    let mut points = Points::new();
    let mut count = 0;
    let mut next = || {
        count += 1;
        scalar(count)
    };
    SettledArgument {
        given: d.given_rows().into_iter().map(|n| points.many(n)).collect(),
        rows: (0..d.witness_rows()).map(|i| if i < filled { points.one() } else { G1Affine::zero() }).collect(),
        mask: points.one(),
        zeta: next(),
        gamma: next(),
        value: next(),
        point: (0..d.rounds()).map(|_| next()).collect(),
        halo2: Halo2Proof {
            advice: core::array::from_fn(|_| points.one()),
            product: points.one(),
            random: points.one(),
            quotient: core::array::from_fn(|_| points.one()),
            evaluations: core::array::from_fn::<_, EVALUATIONS, _>(|_| next()),
            w: points.one(),
            w_prime: points.one(),
        },
        beta: next(),
        opening: OpeningProof {
            folds: points.many(OpeningProof::fold_commitments(d.row_bits)),
            evaluations: (0..evaluation_count(d.row_bits)).map(|_| next()).collect(),
            quotient: points.one(),
            linearised: points.one(),
        },
    }
}
