//! Halo2's KZG with products computed by a device.
//!
//! Halo2 takes its commitment scheme as a type. This one is its own KZG but for `commit` and `commit_lagrange`, the same sums of the same points:
//! commitments to columns, permutation products, the quotient's pieces and, for keys, fixed columns. The two products of the multi-opening and the transforms
//! are inside of the library, with nothing in the place of which something else could be put.

use super::convert::{curve, point, scalar_back};
use crate::{
    device::{Cpu, Device},
    srs::Srs,
};
use assay_verifier::{Fr, G1Affine};
use halo2_proofs::{
    halo2curves::bn256::{self, Bn256},
    poly::{
        Coeff, LagrangeCoeff, Polynomial, ProverQuery,
        commitment::{Blind, CommitmentScheme, Params, ParamsProver, ParamsVerifier, Prover},
        kzg::{
            commitment::{KZGCommitmentScheme, ParamsKZG},
            msm::MSMKZG,
            multiopen::ProverSHPLONK,
        },
    },
    transcript::{EncodedChallenge, TranscriptWrite},
};
use rand::RngCore;
use std::{
    borrow::Cow,
    io,
    marker::PhantomData,
    sync::{Arc, Mutex},
};

/// Powers of tau for a domain of `2^k` rows, as Halo2 and as devices have them.
pub(super) struct Powers {
    /// Halo2's.
    pub(super) library: ParamsKZG<Bn256>,
    /// `[tau^i]_1`.
    monomial: Vec<G1Affine>,
    /// `[L_i(tau)]_1`.
    lagrange: Arc<Vec<G1Affine>>,
}

impl Powers {
    /// The first `2^k` powers; `None` when there are fewer.
    pub(super) fn new(srs: &Srs, k: u32) -> Option<Self> {
        let monomial = srs.g1_powers.get(..1 << k)?.to_vec();
        let lagrange = srs.lagrange(k);
        let points = |list: &[G1Affine]| list.iter().map(point).collect::<Vec<_>>();
        // The only public constructor is a method.
        let any = ParamsKZG::<Bn256>::setup(1, rand::rngs::OsRng);
        let (g2, tau_g2) = (super::convert::point_g2(&srs.g2), super::convert::point_g2(&srs.tau_g2));
        let library = any.from_parts(k, points(&monomial), Some(points(&lagrange)), g2, tau_g2);
        Some(Self { library, monomial, lagrange })
    }
}

/// The two bases.
#[derive(Clone, Copy)]
enum Basis {
    Monomial,
    Lagrange,
}

/// Something that computes commitments.
trait Commit: Sync {
    fn commit(&self, basis: Basis, scalars: &[Fr]) -> G1Affine;
}

/// Powers of tau in a device's memory.
pub(super) struct Uploaded<'p, D: Device> {
    device: &'p D,
    powers: &'p Powers,
    monomial: D::Points<'p>,
    lagrange: D::Points<'p>,
    /// Of several columns that Halo2 commits to at once, the one that the device is at work on.
    turn: Mutex<()>,
}

impl<'p, D: Device> Uploaded<'p, D> {
    pub(super) fn new(device: &'p D, powers: &'p Powers) -> Self {
        let (monomial, lagrange) = (device.points(&powers.monomial), device.points(&powers.lagrange));
        Self { device, powers, monomial, lagrange, turn: Mutex::new(()) }
    }

    /// What Halo2 takes.
    pub(super) fn params(&self) -> OnDevice<'_> {
        OnDevice { library: Cow::Borrowed(&self.powers.library), device: Some(self) }
    }
}

impl<D: Device> Commit for Uploaded<'_, D> {
    fn commit(&self, basis: Basis, scalars: &[Fr]) -> G1Affine {
        // Nobody waits: a thread that did so could be the one that the device's work is waiting for.
        let out = match self.turn.try_lock() {
            Ok(_turn) => {
                let points = match basis {
                    Basis::Monomial => &self.monomial,
                    Basis::Lagrange => &self.lagrange,
                };
                self.device.msm_rows(points, &[scalars])
            }
            Err(_) => {
                let points = match basis {
                    Basis::Monomial => &self.powers.monomial,
                    Basis::Lagrange => &*self.powers.lagrange,
                };
                Cpu::default().msm_rows(&&points[..], &[scalars])
            }
        };
        out.into_iter().next().unwrap_or_default()
    }
}

/// Halo2's parameters, whose commitments a device computes; without one, Halo2 does.
#[derive(Clone)]
pub(super) struct OnDevice<'d> {
    library: Cow<'d, ParamsKZG<Bn256>>,
    device: Option<&'d dyn Commit>,
}

impl OnDevice<'_> {
    /// The commitment to coefficients or values that fit the domain, or `None` without a device.
    fn on_device(&self, basis: Basis, scalars: &[bn256::Fr]) -> Option<bn256::G1> {
        let scalars: Vec<Fr> = scalars.iter().map(scalar_back).collect();
        Some(curve(&self.device?.commit(basis, &scalars)))
    }
}

impl<'params> Params<'params, bn256::G1Affine> for OnDevice<'_> {
    type MSM = MSMKZG<Bn256>;

    fn k(&self) -> u32 {
        self.library.k()
    }

    fn n(&self) -> u64 {
        self.library.n()
    }

    fn downsize(&mut self, k: u32) {
        self.library.to_mut().downsize(k);
        self.device = None;
    }

    fn empty_msm(&'params self) -> Self::MSM {
        self.library.empty_msm()
    }

    fn commit_lagrange(&self, poly: &Polynomial<bn256::Fr, LagrangeCoeff>, r: Blind<bn256::Fr>) -> bn256::G1 {
        self.on_device(Basis::Lagrange, poly).unwrap_or_else(|| self.library.commit_lagrange(poly, r))
    }

    fn write<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.library.write(writer)
    }

    fn read<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        Ok(Self { library: Cow::Owned(ParamsKZG::read(reader)?), device: None })
    }
}

impl ParamsVerifier<'_, bn256::G1Affine> for OnDevice<'_> {}

impl<'params> ParamsProver<'params, bn256::G1Affine> for OnDevice<'_> {
    type ParamsVerifier = Self;

    fn new(k: u32) -> Self {
        Self { library: Cow::Owned(ParamsKZG::new(k)), device: None }
    }

    fn commit(&self, poly: &Polynomial<bn256::Fr, Coeff>, r: Blind<bn256::Fr>) -> bn256::G1 {
        self.on_device(Basis::Monomial, poly).unwrap_or_else(|| self.library.commit(poly, r))
    }

    fn get_g(&self) -> &[bn256::G1Affine] {
        self.library.get_g()
    }

    fn verifier_params(&'params self) -> &'params Self {
        self
    }
}

/// KZG with [`OnDevice`].
#[derive(Debug)]
pub(super) struct Scheme<'d>(PhantomData<&'d ()>);

impl<'d> CommitmentScheme for Scheme<'d> {
    type Scalar = bn256::Fr;
    type Curve = bn256::G1Affine;
    type ParamsProver = OnDevice<'d>;
    type ParamsVerifier = OnDevice<'d>;

    fn new_params(k: u32) -> OnDevice<'d> {
        OnDevice::new(k)
    }

    fn read_params<R: io::Read>(reader: &mut R) -> io::Result<OnDevice<'d>> {
        OnDevice::read(reader)
    }
}

/// Halo2's own multi-opening.
#[derive(Debug)]
pub(super) struct Opener<'p>(ProverSHPLONK<'p, Bn256>);

type Own = KZGCommitmentScheme<Bn256>;

impl<'p, 'd> Prover<'p, Scheme<'d>> for Opener<'p> {
    const QUERY_INSTANCE: bool = <ProverSHPLONK<'p, Bn256> as Prover<'p, Own>>::QUERY_INSTANCE;

    fn new(params: &'p OnDevice<'d>) -> Self {
        Self(ProverSHPLONK::new(&params.library))
    }

    fn create_proof<'com, E, T, R, I>(&self, rng: R, transcript: &mut T, queries: I) -> io::Result<()>
    where
        E: EncodedChallenge<bn256::G1Affine>,
        T: TranscriptWrite<bn256::G1Affine, E>,
        I: IntoIterator<Item = ProverQuery<'com, bn256::G1Affine>> + Clone,
        R: RngCore,
    {
        <ProverSHPLONK<'p, Bn256> as Prover<'p, Own>>::create_proof(&self.0, rng, transcript, queries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Reference;
    use halo2_proofs::{halo2curves::ff::Field, poly::EvaluationDomain};
    use rand::{Rng, SeedableRng, rngs::StdRng};

    /// The commitments of a device and those of Halo2 itself, of random columns and polynomials: with zeros, small values, and
    /// several at once.
    #[test]
    fn commitments_are_those_of_the_library() {
        let srs = Srs::development(9, 1).expect("powers");
        for k in [1u32, 5, 9] {
            let powers = Powers::new(&srs, k).expect("enough powers");
            let domain = EvaluationDomain::<bn256::Fr>::new(3, k);
            let fast = Cpu::default();
            let cpu = Uploaded::new(&fast, &powers);
            let reference = Uploaded::new(&Reference, &powers);
            #[cfg(target_os = "linux")]
            let emulated = crate::device::cuda::emulated();
            #[cfg(target_os = "linux")]
            let card = Uploaded::new(&emulated, &powers);
            std::thread::scope(|s| {
                for thread in 0..3u64 {
                    let devices = [
                        cpu.params(),
                        reference.params(),
                        #[cfg(target_os = "linux")]
                        card.params(),
                    ];
                    let (powers, domain) = (&powers, &domain);
                    s.spawn(move || {
                        let mut rng = StdRng::seed_from_u64(thread + 10 * u64::from(k));
                        for kind in 0..4 {
                            let mut column = domain.empty_lagrange();
                            for v in column.iter_mut() {
                                *v = match kind {
                                    0 => bn256::Fr::zero(),
                                    1 => bn256::Fr::from(rng.gen_range(0..300)),
                                    2 if rng.r#gen() => bn256::Fr::zero(),
                                    _ => bn256::Fr::random(&mut rng),
                                };
                            }
                            let coefficients = domain.lagrange_to_coeff(column.clone());
                            let blind = Blind::default();
                            let expected = powers.library.commit_lagrange(&column, blind);
                            assert_eq!(powers.library.commit(&coefficients, blind), expected);
                            for params in &devices {
                                assert_eq!(params.commit_lagrange(&column, blind), expected, "{k} {kind}");
                                assert_eq!(params.commit(&coefficients, blind), expected, "{k} {kind}");
                            }
                        }
                    });
                }
            });
        }
    }
}
