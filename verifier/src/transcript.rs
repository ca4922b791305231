//! The Poseidon transcript of the core protocol (docs/protocol.md#transcript).
//!
//! A duplex sponge over Poseidon (Grassi et al., ePrint 2019/458) with width 3, rate 2, S-box x^5, 8 full and 57 partial
//! rounds and the constants of circomlib. The capacity holds a domain tag. The sequence of absorbed and drawn elements
//! is fixed by the verifying key, so partial blocks need no length padding.

use crate::Fr;
use ark_ff::{AdditiveGroup, Field};
use light_poseidon::parameters::bn254_x5::get_poseidon_parameters;

/// Width of the state.
pub const WIDTH: usize = 3;
/// Elements absorbed or drawn a permutation.
pub const RATE: usize = 2;
/// Full rounds.
pub const FULL_ROUNDS: usize = 8;
/// Partial rounds.
pub const PARTIAL_ROUNDS: usize = 57;

/// The Poseidon permutation of width 3.
#[derive(Clone, Debug)]
pub struct Permutation {
    /// Round constants, three a round.
    pub constants: Vec<[Fr; WIDTH]>,
    /// The MDS matrix, by rows.
    pub matrix: [[Fr; WIDTH]; WIDTH],
}

fn triple(v: &[Fr]) -> [Fr; WIDTH] {
    let mut out = [Fr::ZERO; WIDTH];
    out.iter_mut().zip(v).for_each(|(o, x)| *o = *x);
    out
}

impl Permutation {
    /// The standard parameters; `None` only if the parameter table of the library does not fit width 3.
    pub fn standard() -> Option<Self> {
        let p = get_poseidon_parameters::<Fr>(u8::try_from(WIDTH).ok()?).ok()?;
        let fits = p.full_rounds == FULL_ROUNDS
            && p.partial_rounds == PARTIAL_ROUNDS
            && p.ark.len() == WIDTH * (FULL_ROUNDS + PARTIAL_ROUNDS)
            && p.mds.len() == WIDTH
            && p.mds.iter().all(|r| r.len() == WIDTH);
        if !fits {
            return None;
        }
        let mut matrix = [[Fr::ZERO; WIDTH]; WIDTH];
        matrix.iter_mut().zip(&p.mds).for_each(|(row, r)| *row = triple(r));
        Some(Self { constants: p.ark.chunks(WIDTH).map(triple).collect(), matrix })
    }

    /// Applies the permutation.
    pub fn apply(&self, state: &mut [Fr; WIDTH]) {
        let half = FULL_ROUNDS / 2;
        for (round, constants) in self.constants.iter().enumerate() {
            let full = round < half || round >= half + PARTIAL_ROUNDS;
            for (i, (s, c)) in state.iter_mut().zip(constants).enumerate() {
                *s += c;
                if full || i == 0 {
                    let square = s.square();
                    *s *= square.square();
                }
            }
            let [a, b, c] = *state;
            for (s, [x, y, z]) in state.iter_mut().zip(&self.matrix) {
                *s = *x * a + *y * b + *z * c;
            }
        }
    }
}

/// The duplex sponge.
#[derive(Clone, Debug)]
pub struct Transcript {
    permutation: Permutation,
    state: [Fr; WIDTH],
    absorbed: usize,
    available: usize,
    permutations: usize,
}

/// The domain tag in the capacity: ASCII "assay.core.v1".
pub const DOMAIN: &[u8] = b"assay.core.v1";

/// ASCII as a big-endian number.
pub fn domain_tag(ascii: &[u8]) -> Fr {
    ascii.iter().fold(Fr::ZERO, |tag, b| tag * Fr::from(256u64) + Fr::from(*b))
}

impl Transcript {
    /// An empty transcript; `None` where the Poseidon parameters are missing.
    pub fn new() -> Option<Self> {
        let permutation = Permutation::standard()?;
        Some(Self {
            permutation,
            state: [domain_tag(DOMAIN), Fr::ZERO, Fr::ZERO],
            absorbed: 0,
            available: 0,
            permutations: 0,
        })
    }

    fn permute(&mut self) {
        self.permutation.apply(&mut self.state);
        self.permutations += 1;
    }

    /// Absorbs one element.
    pub fn absorb(&mut self, value: Fr) {
        self.available = 0;
        if self.absorbed == RATE {
            self.permute();
            self.absorbed = 0;
        }
        if let Some(s) = self.state.get_mut(1 + self.absorbed) {
            *s += value;
        }
        self.absorbed += 1;
    }

    /// Draws one element, which depends on everything absorbed so far.
    pub fn challenge(&mut self) -> Fr {
        if self.absorbed > 0 || self.available == 0 {
            self.permute();
            self.absorbed = 0;
            self.available = RATE;
        }
        let out = self.state.get(WIDTH - self.available).copied().unwrap_or(Fr::ZERO);
        self.available -= 1;
        out
    }

    /// Number of permutations so far: what settlement pays for.
    pub fn permutations(&self) -> usize {
        self.permutations
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::PrimeField;

    #[test]
    fn permutation_matches_circomlib() {
        // poseidon([1, 2]) of circomlib: the first output of the permutation of (0, 1, 2).
        let mut s = [Fr::ZERO, Fr::from(1u64), Fr::from(2u64)];
        Permutation::standard().unwrap().apply(&mut s);
        let expected = "7853200120776062878684798364095072458815029376092732009249414926327459813530";
        assert_eq!(s[0].into_bigint().to_string(), expected);
    }

    #[test]
    fn challenges_depend_on_everything_absorbed() {
        let run = |values: &[u64]| {
            let mut t = Transcript::new().unwrap();
            values.iter().for_each(|v| t.absorb(Fr::from(*v)));
            (t.challenge(), t.challenge(), t.challenge())
        };
        let base = run(&[1, 2, 3]);
        assert_ne!(base, run(&[1, 2, 4]));
        assert_ne!(base, run(&[2, 1, 3]));
        assert_ne!(base, run(&[1, 2, 3, 1]));
        assert!(base.0 != base.1 && base.1 != base.2);
    }
}
