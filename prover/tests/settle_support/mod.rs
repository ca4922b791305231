//! Settled proofs step by step, so that tests can change what happens between the steps; what each half of a settled proof
//! says on its own; and Halo2's own verifier.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, BigInt, Field, PrimeField as _, UniformRand};
use assay_circuits::{
    Program, Tensor, Visibility,
    eval::{Values, eval},
    model::Model,
    program::{MODEL, WITNESS},
};
use assay_prover::{
    Recorder,
    device::Cpu,
    msm::{commit_rows, msm},
    opening,
    prove::{Mask, Task, messages},
    settle::{
        Optimize, SettlementOptions, SettlementProver,
        halo2::{CircuitProver, SettlementCircuit},
        setup_settlement,
    },
    srs::Srs,
    witness::{Witness, model_stack, public_values},
};
use assay_verifier::{
    Fr, G1Affine, G2Affine,
    channel::{Channel, Check, ProtocolError},
    core::Kind,
    curve::{Reader, g1_to_bytes},
    keccak::{KeccakTranscript, digest_to_fr, keccak256},
    native::public_sum,
    opening::{combine_rows, verify as verify_opening},
    protocol::{self, Mode, OpeningClaim, padded_bits},
    settle::{
        self, Run,
        argument::{Halo2Proof, SettledArgument},
        check::{Coefficients, SettleError, check, coefficients, statement},
        descriptor::Descriptor,
        key::{Context, registration_descriptor},
        layout::Rows,
        tape::instance,
    },
    transcript::Transcript as Sponge,
};
use halo2_proofs::{
    dev::{MockProver, VerifyFailure},
    halo2curves::{
        bn256::{self, Bn256, Fq2},
        ff::PrimeField as _,
        group::prime::PrimeCurveAffine,
    },
    plonk::{VerifyingKey, keygen_vk, verify_proof},
    poly::kzg::{
        commitment::{KZGCommitmentScheme, ParamsKZG},
        multiopen::VerifierSHPLONK,
        strategy::SingleStrategy,
    },
    transcript::{EncodedChallenge, Transcript, TranscriptRead},
};
use rand::rngs::OsRng;
use std::io;

/// What all contexts of the tests differ from in one field or other.
pub fn context() -> Context {
    Context { chain_id: 31337, consumer: [1; 20], job: [2; 32], recipient: [3; 20] }
}

/// A layout, what its rows are committed with, and Halo2's keys.
#[derive(Debug)]
pub struct Side {
    pub program: Program,
    pub descriptor: Descriptor,
    pub circuit: CircuitProver,
    /// The model stack in whole rows.
    pub stack: Vec<i32>,
    /// Its blinding factors.
    pub blinds: Vec<Fr>,
    pub bases: Vec<G1Affine>,
    /// Halo2's verifying key, from its own key generator.
    params: ParamsKZG<Bn256>,
    oracle: VerifyingKey<bn256::G1Affine>,
}

/// A key and everything that its maker knows.
#[derive(Debug)]
pub struct Lab {
    pub model: Model,
    pub srs: Srs,
    pub options: SettlementOptions,
    pub prover: SettlementProver,
    pub inference: Side,
    pub registration: Side,
}

/// Blinding factors of the model rows, by their documented derivation.
pub fn model_blinds(secret: &[u8; 32], srs: &Srs, stack: &[i32], row_bits: usize) -> Vec<Fr> {
    let size = 1 << row_bits;
    let plain = commit_rows(&srs.g1_powers[..size], stack, size);
    let bytes: Vec<u8> = plain.iter().flat_map(g1_to_bytes).collect();
    let seed = keccak256(&[b"assay/blind/v2", secret, &srs.hash, &keccak256(&[&bytes])]);
    let half = |row: usize, tag: u8| digest_to_fr(&keccak256(&[&seed, &(row as u64).to_be_bytes(), &[tag]]));
    (0..plain.len()).map(|i| half(i, 0) * Fr::from(1u128 << 127) + half(i, 1)).collect()
}

impl Side {
    pub fn new(srs: &Srs, program: Program, descriptor: Descriptor, stack: Vec<i32>, blinds: Vec<Fr>) -> Self {
        let rows = settle::circuit(&program, descriptor.row_bits, None).unwrap();
        let circuit = CircuitProver::new(srs, &rows).unwrap();
        let (params, oracle) = oracle(srs, &rows);
        let bases = srs.g1_powers[..1 << descriptor.row_bits].to_vec();
        Self { program, descriptor, circuit, stack, blinds, bases, params, oracle }
    }

    pub fn row_bits(&self) -> usize {
        self.descriptor.row_bits
    }
}

impl Lab {
    pub fn new(model: Model, srs: Srs, batch: u32, row_bits: usize, visibility: Visibility) -> Self {
        let options = SettlementOptions {
            visibility,
            batch,
            row_bits: Some(row_bits),
            optimize: Optimize::Gas,
            stacks: vec![],
            secret: [7; 32],
        };
        let prover = setup_settlement(&Cpu::default(), &model, &srs, &options, &Recorder::default()).unwrap();
        let descriptor = prover.key.descriptor.clone();
        let program = prover.key.program().unwrap();
        let stack = padded_model(&program, &model, row_bits);
        let rows = descriptor.model_rows.len();
        let blinds = if visibility.weights {
            vec![Fr::ZERO; rows]
        } else {
            model_blinds(&options.secret, &srs, &stack, row_bits)
        };
        let registration =
            registration_descriptor(&model.graph, &[], &descriptor, &prover.key.registration_circuit).unwrap();
        let inference = Side::new(&srs, program, descriptor, stack.clone(), blinds.clone());
        let program = Program::registration(&model.graph).unwrap();
        let registration = Side::new(&srs, program, registration, stack, blinds);
        Self { model, srs, options, prover, inference, registration }
    }

    /// The true claim about inputs, one list for each inference.
    pub fn claim(&self, inputs: &[Vec<Tensor>]) -> Claim {
        inference_claim(&self.inference.program, &self.model, inputs)
    }

    /// Checks that the truth about inputs is accepted, and that it is refused where the first entries of the named nodes are off
    /// by so much, the first node's committed value too, and all else is as in the truth.
    pub fn tells_apart(&self, inputs: &[Vec<Tensor>], lie: &[(&str, i64)]) {
        let side = &self.inference;
        let check = |claim| {
            let made = side.prove(claim);
            side.check(&made.committed.claim, &made.argument)
        };
        check(self.claim(inputs)).unwrap();
        let mut claim = self.claim(inputs);
        let at = |name: &str| side.program.graph.nodes().iter().position(|n| n.name == name).unwrap();
        for (name, delta) in lie {
            claim.values.0[at(name)].to_mut().data[0] += delta;
        }
        let (name, delta) = lie[0];
        let tensor = &side.program.tensors[side.program.node_tensor[at(name)].unwrap()];
        claim.witness.stack[tensor.offset] += i32::try_from(delta).unwrap();
        claim.public = side.program.graph.outputs().iter().map(|o| claim.values.of(*o).data.clone()).collect();
        check(claim).unwrap_err();
    }

    /// What a registration claims.
    pub fn registration_claim(&self) -> Claim {
        registration_claim(&self.registration.program, &self.model)
    }
}

/// The true claim about inputs, one list for each inference.
pub fn inference_claim(program: &Program, model: &Model, inputs: &[Vec<Tensor>]) -> Claim {
    let ids = program.graph.inputs().iter().enumerate();
    let stacked: Vec<Tensor> = ids
        .map(|(k, id)| {
            let data = inputs.iter().flat_map(|one| one[k].data.clone()).collect();
            Tensor::new(program.graph.node(*id).shape.clone(), data).unwrap()
        })
        .collect();
    let values = eval(&program.graph, &model.weights, &stacked).unwrap().into_owned();
    let public = public_values(program, &values);
    let witness = Witness::build(program, &values).unwrap();
    Claim { values, witness, public, context: context().digest() }
}

/// What a registration claims.
pub fn registration_claim(program: &Program, model: &Model) -> Claim {
    let values = Values::of_weights(&program.graph, &model.weights).into_owned();
    let witness = Witness::build(program, &values).unwrap();
    Claim { values, witness, public: program.registration_public(), context: [0; 32] }
}

/// The model stack in whole rows.
pub fn padded_model(program: &Program, model: &Model, row_bits: usize) -> Vec<i32> {
    let mut stack = model_stack(program, &model.weights).unwrap();
    stack.resize(1 << padded_bits(program.stack_bits(MODEL), row_bits), 0);
    stack
}

/// The witness stack in whole rows.
pub fn padded_witness(program: &Program, witness: &Witness, row_bits: usize) -> Vec<i32> {
    let mut stack = witness.stack.clone();
    stack.resize(1 << padded_bits(program.stack_bits(WITNESS), row_bits), 0);
    stack
}

/// The prover's messages about stacks in whole rows; it believes everything.
pub fn speak(
    program: &Program,
    row_bits: usize,
    claim: &Claim,
    [witness, model]: [&[i32]; 2],
    mask_row: &[Fr],
    statement: Fr,
) -> Vec<Fr> {
    let task = Task {
        program,
        kind: Kind::Inference,
        key_digest: [0; 32],
        batch: 1,
        public: &claim.public,
        row_bits,
        bases: &[],
        model,
        stacks: &[],
        model_rows: &[],
    };
    let witness = Witness { stack: witness.to_vec(), ..claim.witness.clone() };
    let mask = Mask { salt: random(), row: mask_row };
    let device = Cpu::default();
    messages(&device, &task, &witness, &claim.values, statement, Some(&mask), &Recorder::default()).unwrap().0
}

/// A statement with a witness, true or not.
#[derive(Clone, Debug)]
pub struct Claim {
    pub values: Values<'static>,
    pub witness: Witness,
    pub public: Vec<Vec<i64>>,
    pub context: [u8; 32],
}

/// Rows that are committed, with what hides them.
#[derive(Clone, Debug)]
pub struct Committed {
    pub claim: Claim,
    pub stack: Vec<i32>,
    /// Of the witness rows.
    pub blinds: Vec<Fr>,
    pub mask_row: Vec<Fr>,
    pub mask_blind: Fr,
    pub rows: Vec<G1Affine>,
    pub mask: G1Affine,
    /// The statement's digest.
    pub digest: [u8; 32],
}

/// A run of the protocol over committed rows.
#[derive(Clone, Debug)]
pub struct Talk {
    pub messages: Vec<Fr>,
    pub claim: OpeningClaim<Fr>,
    pub filled: Rows,
}

/// Everything that goes into an argument.
#[derive(Clone, Debug)]
pub struct Made {
    pub committed: Committed,
    pub talk: Talk,
    pub argument: SettledArgument,
}

/// What the two halves of a settled proof say when each is checked on its own, with the challenges of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halves {
    pub halo2: bool,
    pub opening: bool,
}

pub fn random() -> Fr {
    Fr::rand(&mut OsRng)
}

impl Side {
    /// Commits to a claim.
    pub fn commit(&self, claim: Claim) -> Committed {
        let size = 1usize << self.row_bits();
        let stack = padded_witness(&self.program, &claim.witness, self.row_bits());
        let plain = commit_rows(&self.bases, &stack, size);
        let blinds: Vec<Fr> = plain.iter().map(|_| random()).collect();
        let mask_row: Vec<Fr> = (0..size).map(|_| random()).collect();
        let mask_blind = random();
        let rows = plain.iter().zip(&blinds).map(|(p, b)| self.blind(*p, *b)).collect();
        let mask = self.blind(msm(&self.bases, &mask_row).into_affine(), mask_blind);
        let mut out = Committed { claim, stack, blinds, mask_row, mask_blind, rows, mask, digest: [0; 32] };
        self.digest(&mut out);
        out
    }

    pub fn blind(&self, p: G1Affine, b: Fr) -> G1Affine {
        (self.descriptor.blinder * b + p).into_affine()
    }

    /// The digest of what is committed.
    pub fn digest(&self, c: &mut Committed) {
        c.digest = statement(&self.descriptor.id(), &c.claim.context, &[], &c.claim.public, &c.rows, &c.mask);
    }

    /// The prover's messages; it believes everything.
    pub fn messages(&self, c: &Committed) -> Vec<Fr> {
        let stacks = [c.stack.as_slice(), &self.stack];
        speak(&self.program, self.row_bits(), &c.claim, stacks, &c.mask_row, digest_to_fr(&c.digest))
    }

    /// The circuit over messages.
    pub fn fill(&self, c: &Committed, messages: Vec<Fr>) -> Talk {
        let statement = digest_to_fr(&c.digest);
        let run = Run { statement, messages: &messages, public: &c.claim.public };
        let filled = settle::circuit(&self.program, self.row_bits(), Some(run)).unwrap();
        let heard = listen(&self.program, self.row_bits(), statement, &messages, &c.claim.public);
        Talk { messages, claim: heard.claim, filled }
    }

    pub fn talk(&self, c: &Committed) -> Talk {
        self.fill(c, self.messages(c))
    }

    /// Coefficients of the rows in the commitment that is opened.
    pub fn coefficients(&self, point: &[Fr], gamma: Fr) -> Coefficients {
        coefficients(&self.descriptor, point, gamma, Fr::ZERO)
    }

    /// The row that is opened, and the blinding factor of its commitment.
    pub fn combined(&self, c: &Committed, point: &[Fr], gamma: Fr) -> (Vec<Fr>, Fr) {
        let size = 1usize << self.row_bits();
        let k = self.coefficients(point, gamma);
        let mut h: Vec<Fr> = c.mask_row.iter().map(|s| k.mask * s).collect();
        for (stack, k) in [(&c.stack, &k.witness), (&self.stack, &k.model)] {
            for (row, k) in stack.chunks(size).zip(k) {
                h.iter_mut().zip(row).for_each(|(h, v)| *h += *k * fr(i64::from(*v)));
            }
        }
        let blind = k.witness.iter().zip(&c.blinds).map(|(k, b)| *k * b).sum::<Fr>()
            + k.model.iter().zip(&self.blinds).map(|(k, b)| *k * b).sum::<Fr>()
            + k.mask * c.mask_blind;
        (h, blind)
    }

    /// Both halves of a proof for rows of the circuit, whatever they hold: everything that is sent follows from `filled`,
    /// and `open` gives the row and the blinding factor from the point and gamma.
    pub fn conclude(
        &self,
        c: &Committed,
        filled: &Rows,
        open: impl FnOnce(&[Fr], Fr, Fr) -> (Vec<Fr>, Fr),
    ) -> SettledArgument {
        let mut transcript = KeccakTranscript::from_state(c.digest);
        let halo2 = self.circuit.prove(&assay_prover::device::Cpu::default(), filled, &mut transcript).unwrap();
        let i = &filled.instances;
        let [zeta, gamma, value] = [instance::ZETA, instance::GAMMA, instance::VALUE].map(|n| i[n]);
        let point = i[instance::POINT..].to_vec();
        let (h, beta) = open(&point, gamma, value);
        let opening = self.open(&h, beta, &point, &mut transcript);
        let (rows, mask) = (c.rows.clone(), c.mask);
        SettledArgument { given: vec![], rows, mask, zeta, gamma, value, point, halo2, beta, opening }
    }

    /// The opening of a row, after the blinding factor.
    pub fn open(
        &self,
        h: &[Fr],
        beta: Fr,
        point: &[Fr],
        transcript: &mut KeccakTranscript,
    ) -> assay_verifier::opening::OpeningProof {
        transcript.absorb_fr(&beta);
        let low = &point[point.len() - self.row_bits()..];
        opening::open(&assay_prover::device::Cpu::default(), &&self.bases[..], h, low, transcript).unwrap().proof
    }

    /// The honest prover.
    pub fn prove(&self, claim: Claim) -> Made {
        let committed = self.commit(claim);
        let talk = self.talk(&committed);
        self.finish(committed, talk)
    }

    pub fn finish(&self, committed: Committed, talk: Talk) -> Made {
        let argument =
            self.conclude(&committed, &talk.filled, |point, gamma, _| self.combined(&committed, point, gamma));
        Made { committed, talk, argument }
    }

    /// The native check.
    pub fn check(&self, c: &Claim, argument: &SettledArgument) -> Result<(), SettleError> {
        check(&self.descriptor, &c.public, &c.context, argument).map(drop)
    }

    /// The circuit's public inputs, as the check computes them.
    pub fn instances(&self, c: &Claim, a: &SettledArgument) -> Vec<Fr> {
        let digest = statement(&self.descriptor.id(), &c.context, &[], &c.public, &a.rows, &a.mask);
        let mut out = vec![digest_to_fr(&digest), a.zeta, public_sum(&c.public, &a.zeta), a.gamma, a.value];
        out.extend_from_slice(&a.point);
        out
    }

    /// Each half on its own.
    pub fn halves(&self, c: &Claim, a: &SettledArgument) -> Halves {
        let digest = statement(&self.descriptor.id(), &c.context, &[], &c.public, &a.rows, &a.mask);
        let (halo2, transcript) = self.oracle(digest, &self.instances(c, a), &a.halo2);
        let mut transcript = transcript.unwrap_or_else(|| KeccakTranscript::from_state(digest));
        transcript.absorb_fr(&a.beta);
        let k = coefficients(&self.descriptor, &a.point, a.gamma, a.beta);
        let points: Vec<G1Affine> = a.rows.iter().chain(&self.descriptor.model_rows).copied().collect();
        let scalars: Vec<Fr> = k.witness.into_iter().chain(k.model).collect();
        let rows = combine_rows(&points, &scalars).unwrap();
        let commitment = (rows + a.mask * k.mask + self.descriptor.blinder * k.blinder).into_affine();
        let low = &a.point[a.point.len() - self.row_bits()..];
        let mut srs = assay_verifier::opening::VerifierSrs {
            g1: G1Affine::generator(),
            g2: G2Affine::generator(),
            tau_g2: self.descriptor.tau_g2,
            insecure_dev: self.descriptor.insecure_dev,
            srs_hash: [0; 32],
        };
        srs.srs_hash = assay_verifier::opening::VerifierSrs::identity(&srs.g2, &srs.tau_g2, srs.insecure_dev);
        let opening = verify_opening(&srs, commitment, low, a.value, &a.opening, &mut transcript).is_ok();
        Halves { halo2, opening }
    }

    /// Halo2's own verifier. The transcript comes back where the opening begins, if all of the proof was read.
    pub fn oracle(&self, digest: [u8; 32], instances: &[Fr], proof: &Halo2Proof) -> (bool, Option<KeccakTranscript>) {
        let mut bytes = Vec::new();
        proof.write(&mut bytes);
        let instances: Vec<bn256::Fr> = instances.iter().map(scalar).collect();
        let mut reader =
            Listener { transcript: KeccakTranscript::from_state(digest), reader: Reader::new(&bytes), key_seen: false };
        let verdict =
            verify_proof::<
                KZGCommitmentScheme<Bn256>,
                VerifierSHPLONK<'_, Bn256>,
                Drawn,
                Listener<'_>,
                SingleStrategy<'_, Bn256>,
            >(&self.params, &self.oracle, SingleStrategy::new(&self.params), &[&[&instances]], &mut reader);
        let done = reader.reader.remaining() == 0;
        (verdict.is_ok(), done.then_some(reader.transcript))
    }

    /// What `MockProver` says.
    pub fn mock(&self, rows: &Rows) -> Result<(), Vec<VerifyFailure>> {
        mock(rows)
    }
}

/// What `MockProver` says of rows with their own public inputs.
pub fn mock(rows: &Rows) -> Result<(), Vec<VerifyFailure>> {
    let instances = rows.instances.iter().map(scalar).collect();
    MockProver::run(rows.k(), &SettlementCircuit(rows), vec![instances]).unwrap().verify_par()
}

pub fn fr(v: i64) -> Fr {
    <Fr as assay_circuits::Ring>::from_i128(i128::from(v))
}

/// What a run of the protocol computes when equations are written down rather than checked.
#[derive(Clone, Debug)]
pub struct Heard {
    pub claim: OpeningClaim<Fr>,
    pub equations: Vec<(Check, Fr)>,
    pub zeta: Fr,
    pub public: Fr,
}

struct Ear<'a> {
    sponge: Sponge,
    messages: core::slice::Iter<'a, Fr>,
    public: &'a [Vec<i64>],
    equations: Vec<(Check, Fr)>,
    zeta: Fr,
}

impl Channel for Ear<'_> {
    type Elem = Fr;

    fn observe(&mut self, _: &'static str, value: &Fr) -> Result<(), ProtocolError> {
        self.sponge.absorb(*value);
        Ok(())
    }

    fn receive(&mut self, label: &'static str) -> Result<Fr, ProtocolError> {
        let value = *self.messages.next().ok_or(ProtocolError::MissingMessage(label))?;
        self.sponge.absorb(value);
        Ok(value)
    }

    fn challenge(&mut self, _: &'static str) -> Result<Fr, ProtocolError> {
        Ok(self.sponge.challenge())
    }

    fn public(&mut self, zeta: &Fr) -> Result<Fr, ProtocolError> {
        self.zeta = *zeta;
        Ok(public_sum(self.public, zeta))
    }

    fn invert(&mut self, label: &'static str, value: &Fr) -> Result<Fr, ProtocolError> {
        value.inverse().ok_or(ProtocolError::ZeroInverse(label))
    }

    fn assert_zero(&mut self, check: Check, value: Fr) -> Result<(), ProtocolError> {
        self.equations.push((check, value));
        Ok(())
    }
}

/// Runs the verifier's side over messages.
pub fn listen(program: &Program, row_bits: usize, statement: Fr, messages: &[Fr], public: &[Vec<i64>]) -> Heard {
    let mut ear =
        Ear { sponge: Sponge::new().unwrap(), messages: messages.iter(), public, equations: vec![], zeta: Fr::ZERO };
    let claim = protocol::verify(&mut ear, program, row_bits, Mode::Hiding, &statement).unwrap();
    assert_eq!(ear.messages.len(), 0);
    let public = public_sum(public, &ear.zeta);
    Heard { claim, equations: ear.equations, zeta: ear.zeta, public }
}

impl Side {
    /// Messages with the `f(x)` that makes the last equation hold, whatever was committed. The rest must hold already.
    pub fn lie(&self, c: &Committed, mut messages: Vec<Fr>) -> Vec<Fr> {
        let at = messages.len() - 3;
        let statement = digest_to_fr(&c.digest);
        let residue = |messages: &[Fr]| {
            let heard = listen(&self.program, self.row_bits(), statement, messages, &c.claim.public);
            let (last, others) = heard.equations.split_last().unwrap();
            assert!(others.iter().all(|(_, v)| *v == Fr::ZERO));
            assert_eq!(last.0, Check::Reduction);
            last.1
        };
        let start = residue(&messages);
        let old = messages[at];
        messages[at] += Fr::ONE;
        let slope = residue(&messages) - start;
        messages[at] = old - start / slope;
        assert_eq!(residue(&messages), Fr::ZERO);
        messages
    }
}

pub fn scalar(x: &Fr) -> bn256::Fr {
    bn256::Fr::from_raw(x.into_bigint().0)
}

fn limbs(bytes: &[u8]) -> BigInt<4> {
    let mut out = [0u64; 4];
    for (limb, chunk) in out.iter_mut().zip(bytes.chunks_exact(8)) {
        *limb = u64::from_le_bytes(chunk.try_into().unwrap());
    }
    BigInt(out)
}

fn scalar_back(x: &bn256::Fr) -> Fr {
    Fr::from_bigint(limbs(x.to_repr().as_ref())).unwrap()
}

fn base(x: &ark_bn254::Fq) -> bn256::Fq {
    bn256::Fq::from_raw(x.into_bigint().0)
}

fn base_back(x: &bn256::Fq) -> ark_bn254::Fq {
    ark_bn254::Fq::from_bigint(limbs(x.to_repr().as_ref())).unwrap()
}

fn to_halo2(p: &G1Affine) -> bn256::G1Affine {
    p.xy().map_or_else(bn256::G1Affine::identity, |(x, y)| bn256::G1Affine { x: base(&x), y: base(&y) })
}

fn from_halo2(p: &bn256::G1Affine) -> G1Affine {
    if bool::from(p.is_identity()) { G1Affine::zero() } else { G1Affine::new(base_back(&p.x), base_back(&p.y)) }
}

fn to_halo2_g2(p: &G2Affine) -> bn256::G2Affine {
    let (x, y) = p.xy().unwrap();
    let pair = |c: &ark_bn254::Fq2| Fq2::new(base(&c.c0), base(&c.c1));
    bn256::G2Affine { x: pair(&x), y: pair(&y) }
}

fn oracle(srs: &Srs, rows: &Rows) -> (ParamsKZG<Bn256>, VerifyingKey<bn256::G1Affine>) {
    let k = rows.k();
    let powers = srs.g1_powers[..1 << k].iter().map(to_halo2).collect();
    let lagrange = srs.lagrange(k).iter().map(to_halo2).collect();
    let params = ParamsKZG::<Bn256>::setup(1, OsRng).from_parts(
        k,
        powers,
        Some(lagrange),
        to_halo2_g2(&srs.g2),
        to_halo2_g2(&srs.tau_g2),
    );
    let key = keygen_vk(&params, &SettlementCircuit(rows)).unwrap();
    (params, key)
}

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

/// Halo2's reader over our transcript. Its first scalar is a digest of the key, which the statement's digest stands for.
struct Listener<'a> {
    transcript: KeccakTranscript,
    reader: Reader<'a>,
    key_seen: bool,
}

fn invalid(e: impl std::fmt::Display) -> io::Error {
    io::Error::other(e.to_string())
}

impl Transcript<bn256::G1Affine, Drawn> for Listener<'_> {
    fn squeeze_challenge(&mut self) -> Drawn {
        Drawn(scalar(&self.transcript.challenge()))
    }

    fn common_point(&mut self, p: bn256::G1Affine) -> io::Result<()> {
        self.transcript.absorb_point(&from_halo2(&p));
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

impl TranscriptRead<bn256::G1Affine, Drawn> for Listener<'_> {
    fn read_point(&mut self) -> io::Result<bn256::G1Affine> {
        let p = to_halo2(&self.reader.g1().map_err(invalid)?);
        self.common_point(p)?;
        Ok(p)
    }

    fn read_scalar(&mut self) -> io::Result<bn256::Fr> {
        let s = scalar(&self.reader.fr().map_err(invalid)?);
        self.common_scalar(s)?;
        Ok(s)
    }
}
