//! The settlement circuit for `halo2_proofs` (KZG, SHPLONK): columns, gates, keys and proofs.

use super::{
    convert::{point, point_back, scalar, scalar_back},
    scheme::{Opener, Powers, Scheme, Uploaded},
};
use crate::{
    device::{AnyDevice, Cpu},
    srs::Srs,
};
use assay_circuits::Ring;
use assay_verifier::{
    Fr, G1Affine,
    curve::Reader,
    keccak::KeccakTranscript,
    settle::{
        argument::Halo2Proof,
        descriptor::CircuitKey,
        gates::{ADVICE, COPYABLE, FIXED, GateElement, NAMES, Row, gates},
        layout::Rows,
    },
    transcript::Permutation,
};
use halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner, Value},
    halo2curves::bn256,
    plonk::{
        Advice, Circuit, Column, ConstraintSystem, Error, Expression, Fixed, Instance, ProvingKey, VerifyingKey,
        VirtualCells, create_proof_from_advice, keygen_pk, keygen_vk, permutation,
    },
    poly::{EvaluationDomain, Rotation, commitment::Params},
    transcript::{EncodedChallenge, Transcript, TranscriptWrite},
};
use std::{
    io,
    ops::{Add, Mul, Sub},
};

/// An expression of Halo2, with the operations that gates use.
#[derive(Clone, Debug)]
struct Symbol(Expression<bn256::Fr>);

impl Add for Symbol {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Symbol {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Mul for Symbol {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self(match (self.0, other.0) {
            // A scaled expression has no larger degree; a product with a constant would be evaluated as one.
            (Expression::Constant(c), e) | (e, Expression::Constant(c)) => e * c,
            (a, b) => a * b,
        })
    }
}

impl Ring for Symbol {
    fn from_i128(value: i128) -> Self {
        Self::constant(Fr::from_i128(value))
    }

    fn pow2(exponent: i32) -> Self {
        Self::constant(Fr::pow2(exponent))
    }
}

impl GateElement for Symbol {
    fn constant(value: Fr) -> Self {
        Self(Expression::Constant(scalar(&value)))
    }
}

/// The columns.
#[derive(Clone, Debug)]
pub struct Columns {
    advice: [Column<Advice>; ADVICE],
    fixed: [Column<Fixed>; FIXED],
    instance: Column<Instance>,
}

/// Rows as a Halo2 circuit. The witness goes through `synthesize` in `MockProver` alone; proofs are made from columns.
#[derive(Clone, Copy, Debug)]
pub struct SettlementCircuit<'a>(pub &'a Rows);

impl Circuit<bn256::Fr> for SettlementCircuit<'_> {
    type Config = Columns;
    type FloorPlanner = SimpleFloorPlanner;

    fn without_witnesses(&self) -> Self {
        *self
    }

    fn configure(meta: &mut ConstraintSystem<bn256::Fr>) -> Columns {
        let advice: [Column<Advice>; ADVICE] = std::array::from_fn(|_| meta.advice_column());
        let fixed: [Column<Fixed>; FIXED] = std::array::from_fn(|_| meta.fixed_column());
        let instance = meta.instance_column();
        meta.create_gate("settlement", |cells: &mut VirtualCells<'_, bn256::Fr>| {
            let row = Row {
                a: advice.map(|c| Symbol(cells.query_advice(c, Rotation::cur()))),
                next: [0, 1, 2].map(|i: usize| Symbol(cells.query_advice(advice[i], Rotation::next()))),
                fixed: fixed.map(|c| Symbol(cells.query_fixed(c, Rotation::cur()))),
                instance: Symbol(cells.query_instance(instance, Rotation::cur())),
            };
            let permutation = Permutation::standard().expect("the library has parameters of width 3");
            let all = gates(&permutation, &row).into_iter().map(|g| g.0);
            NAMES.into_iter().zip(all).collect::<Vec<_>>()
        });
        for c in COPYABLE {
            meta.enable_equality(advice[c]);
        }
        Columns { advice, fixed, instance }
    }

    fn synthesize(&self, columns: Columns, mut layouter: impl Layouter<bn256::Fr>) -> Result<(), Error> {
        let rows = self.0;
        layouter.assign_region(
            || "settlement",
            |mut region| {
                let mut cells = Vec::with_capacity(rows.advice.len());
                for (at, (advice, fixed)) in rows.advice.iter().zip(&rows.fixed).enumerate() {
                    for (column, v) in columns.fixed.iter().zip(fixed) {
                        region.assign_fixed(*column, at, scalar(v));
                    }
                    cells.push(std::array::from_fn::<_, ADVICE, _>(|c| {
                        region.assign_advice(columns.advice[c], at, Value::known(scalar(&advice[c]))).cell()
                    }));
                }
                for ((row, column), (other_row, other_column)) in &rows.copies {
                    region.constrain_equal(cells[*row][*column], cells[*other_row][*other_column]);
                }
                Ok(())
            },
        )?;
        // The column of public inputs is queried by the gates; nothing is copied from it.
        let _ = columns.instance;
        Ok(())
    }
}

/// Public inputs for Halo2.
pub fn instances(rows: &Rows) -> Vec<bn256::Fr> {
    rows.instances.iter().map(scalar).collect()
}

/// A challenge: the transcript's scalar as it is.
#[derive(Clone, Copy, Debug)]
struct Drawn(bn256::Fr);

impl EncodedChallenge<bn256::G1Affine> for Drawn {
    type Input = bn256::Fr;

    fn new(input: &bn256::Fr) -> Self {
        Self(*input)
    }

    fn get_scalar(&self) -> bn256::Fr {
        self.0
    }
}

/// Halo2's messages into our transcript. Halo2 starts with a digest of its key, which the statement's digest covers.
struct Writer<'a> {
    transcript: &'a mut KeccakTranscript,
    bytes: Vec<u8>,
    key_seen: bool,
}

impl Transcript<bn256::G1Affine, Drawn> for Writer<'_> {
    fn squeeze_challenge(&mut self) -> Drawn {
        crate::cancel::point();
        Drawn(scalar(&self.transcript.challenge()))
    }

    fn common_point(&mut self, p: bn256::G1Affine) -> io::Result<()> {
        crate::cancel::point();
        self.transcript.absorb_point(&point_back(&p));
        Ok(())
    }

    fn common_scalar(&mut self, s: bn256::Fr) -> io::Result<()> {
        if self.key_seen {
            self.transcript.absorb_fr(&scalar_back(&s));
        }
        self.key_seen = true;
        Ok(())
    }
}

impl TranscriptWrite<bn256::G1Affine, Drawn> for Writer<'_> {
    fn write_point(&mut self, p: bn256::G1Affine) -> io::Result<()> {
        self.common_point(p)?;
        self.bytes.extend_from_slice(&assay_verifier::curve::g1_to_bytes(&point_back(&p)));
        Ok(())
    }

    fn write_scalar(&mut self, s: bn256::Fr) -> io::Result<()> {
        self.common_scalar(s)?;
        self.bytes.extend_from_slice(&assay_verifier::curve::fr_to_bytes(&scalar_back(&s)));
        Ok(())
    }
}

/// Why Halo2 gave no key or proof.
#[derive(Debug, thiserror::Error)]
pub enum CircuitError {
    /// The powers of tau are too few for the circuit's domain.
    #[error("the settlement circuit has 2^{k} rows and needs as many powers of tau; there are {got}")]
    SrsTooSmall {
        /// log2 of what is needed.
        k: u32,
        /// Powers present.
        got: usize,
    },
    /// Halo2.
    #[error("settlement circuit: {0}")]
    Halo2(String),
    /// A proof of another form than the circuit's.
    #[error("settlement circuit: a proof of unexpected form: {0}")]
    Form(#[from] assay_verifier::curve::CodecError),
}

impl From<Error> for CircuitError {
    fn from(e: Error) -> Self {
        Self::Halo2(format!("{e:?}"))
    }
}

/// Powers of tau and proving key of one circuit.
pub struct CircuitProver {
    powers: Powers,
    key: ProvingKey<bn256::G1Affine>,
    /// Rows that are filled.
    rows: usize,
}

impl std::fmt::Debug for CircuitProver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CircuitProver").field("k", &self.k()).field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// The powers of tau for a domain of 2^k rows.
fn powers(srs: &Srs, k: u32) -> Result<Powers, CircuitError> {
    Powers::new(srs, k).ok_or(CircuitError::SrsTooSmall { k, got: srs.g1_powers.len() })
}

/// What the verifier needs to know of a circuit, without a proving key.
///
/// # Errors
/// Too few powers of tau.
pub fn circuit_key(srs: &Srs, rows: &Rows) -> Result<CircuitKey, CircuitError> {
    let powers = powers(srs, rows.k())?;
    let cpu = Cpu::default();
    let uploaded = Uploaded::new(&cpu, &powers);
    Ok(words(&keygen_vk(&uploaded.params(), &SettlementCircuit(rows))?, rows.k()))
}

fn words(vk: &VerifyingKey<bn256::G1Affine>, k: u32) -> CircuitKey {
    let get = |list: &[bn256::G1Affine], i: usize| list.get(i).map(point_back).unwrap_or_default();
    CircuitKey {
        k: usize::try_from(k).unwrap_or(0),
        fixed: std::array::from_fn(|i| get(vk.fixed_commitments(), i)),
        permutation: std::array::from_fn(|i| get(vk.permutation().commitments(), i)),
    }
}

/// The verifying key with these commitments.
fn verifying_key(key: &CircuitKey, k: u32) -> VerifyingKey<bn256::G1Affine> {
    let mut cs = ConstraintSystem::default();
    SettlementCircuit::configure(&mut cs);
    // The widest constraint has a degree of a few dozen at most.
    let domain = EvaluationDomain::new(cs.degree() as u32, k);
    let points = |list: &[G1Affine]| list.iter().map(point).collect::<Vec<_>>();
    let permutation = permutation::VerifyingKey::from_commitments(points(&key.permutation));
    VerifyingKey::from_parts(domain, points(&key.fixed), permutation, cs, vec![], false)
}

impl CircuitProver {
    /// Keys of a circuit whose commitments are known, which are most of the work. They are not checked: with wrong ones,
    /// proofs do not verify.
    ///
    /// # Errors
    /// Too few powers of tau; a key for another number of rows.
    pub fn with_commitments(srs: &Srs, rows: &Rows, key: &CircuitKey) -> Result<Self, CircuitError> {
        let k = rows.k();
        if usize::try_from(k).ok() != Some(key.k) {
            return Err(CircuitError::Halo2(format!("a key for 2^{} rows, the circuit has 2^{k}", key.k)));
        }
        let powers = powers(srs, k)?;
        let key = keygen_pk(&powers.library, verifying_key(key, k), &SettlementCircuit(rows))?;
        Ok(Self { powers, key, rows: rows.fixed.len() })
    }

    /// Keys of a circuit: a function of its rows and of the powers of tau.
    ///
    /// # Errors
    /// Too few powers of tau.
    pub fn new(srs: &Srs, rows: &Rows) -> Result<Self, CircuitError> {
        let k = rows.k();
        let powers = powers(srs, k)?;
        let circuit = SettlementCircuit(rows);
        let key = {
            let cpu = Cpu::default();
            let uploaded = Uploaded::new(&cpu, &powers);
            let verifying = keygen_vk(&uploaded.params(), &circuit)?;
            keygen_pk(&uploaded.params(), verifying, &circuit)?
        };
        Ok(Self { powers, key, rows: rows.fixed.len() })
    }

    /// What the verifier needs of the keys.
    pub fn circuit_key(&self) -> CircuitKey {
        words(self.key.get_vk(), self.k())
    }

    fn k(&self) -> u32 {
        self.powers.library.k()
    }

    /// Proves that the rows satisfy the circuit. The transcript starts from the statement's digest.
    ///
    /// # Errors
    /// Rows of another circuit.
    pub fn prove<'d>(
        &self,
        device: impl Into<AnyDevice<'d>>,
        rows: &Rows,
        transcript: &mut KeccakTranscript,
    ) -> Result<Halo2Proof, CircuitError> {
        self.prove_on(&device.into(), rows, transcript)
    }

    fn prove_on(
        &self,
        device: &AnyDevice<'_>,
        rows: &Rows,
        transcript: &mut KeccakTranscript,
    ) -> Result<Halo2Proof, CircuitError> {
        if rows.fixed.len() != self.rows {
            return Err(CircuitError::Halo2("the witness is that of another circuit".to_owned()));
        }
        let n = 1usize << self.k();
        let mut advice = vec![vec![bn256::Fr::zero(); n]; ADVICE];
        for (at, row) in rows.advice.iter().enumerate() {
            for (column, v) in advice.iter_mut().zip(row) {
                column[at] = scalar(v);
            }
        }
        let instances = instances(rows);
        let mut writer = Writer { transcript, bytes: Vec::new(), key_seen: false };
        let uploaded = Uploaded::new(device, &self.powers);
        let params = uploaded.params();
        create_proof_from_advice::<Scheme<'_>, Opener<'_>, _, _, _>(
            &params,
            &self.key,
            &[&instances],
            advice,
            rand::rngs::OsRng,
            &mut writer,
        )?;
        let mut reader = Reader::new(&writer.bytes);
        let proof = Halo2Proof::read(&mut reader)?;
        reader.finish()?;
        Ok(proof)
    }
}
