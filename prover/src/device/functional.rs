//! Linear functionals on a stack, kept as sums of products of small vectors.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

/// `omega(x) = sum_t omega_t(x)` over `2^bits` entries.
#[derive(Clone, Debug, Default)]
pub struct Functional {
    /// log2 of the number of entries.
    pub bits: usize,
    /// The summands, which may overlap.
    pub terms: Vec<FunctionalTerm>,
}

/// A rank-one tensor in a block of a stack: entry `offset + sum_k offsets_k[i_k]` is `coefficient * prod_k weights_k[i_k]`, and
/// all others are zero.
#[derive(Clone, Debug)]
pub struct FunctionalTerm {
    /// Where the block begins: a multiple of its size.
    pub offset: usize,
    /// log2 of the block's size.
    pub bits: usize,
    /// What all entries are multiplied by.
    pub coefficient: Fr,
    /// The factors. The index bits that different factors use are disjoint.
    pub factors: Vec<FunctionalFactor>,
}

/// One factor of a term.
#[derive(Clone, Debug)]
pub struct FunctionalFactor {
    /// Places relative to the block, in increasing order.
    pub offsets: Vec<usize>,
    /// One weight for each place.
    pub weights: Vec<Fr>,
}

impl Functional {
    /// All entries.
    pub(super) fn expand(&self) -> Vec<Fr> {
        let mut out = vec![Fr::ZERO; 1 << self.bits];
        for term in &self.terms {
            let mut entries = vec![(term.offset, term.coefficient)];
            for FunctionalFactor { offsets, weights } in &term.factors {
                let of_entry = |(at, c)| offsets.iter().zip(weights).map(move |(o, w): (&usize, &Fr)| (at + o, c * w));
                entries = entries.into_iter().flat_map(of_entry).collect();
            }
            entries.into_iter().for_each(|(at, c): (usize, Fr)| out[at] += c);
        }
        out
    }
}

/// A term that can be expanded a piece at a time: the factors of the lowest index bits are multiplied out once.
pub(super) struct PreparedTerm {
    pub(super) offset: usize,
    pub(super) bits: usize,
    /// The dense product of the coefficient and the low factors.
    low: Vec<Fr>,
    factors: Vec<PreparedFactor>,
}

/// A factor whose places are grouped by the piece that they fall into.
struct PreparedFactor {
    /// Index bits of pieces that this factor uses.
    mask: usize,
    /// `(piece, places within it, weights)`, by increasing piece.
    groups: Vec<(usize, Vec<(usize, Fr)>)>,
}

/// log2 of the length of a dense low product: it stays in the first-level cache.
const LOW_BITS: usize = 9;

impl PreparedTerm {
    /// Prepares a term for pieces of `2^piece_bits` entries.
    pub(super) fn new(term: &FunctionalTerm, piece_bits: usize) -> Self {
        let limit = 1 << LOW_BITS.min(piece_bits).min(term.bits);
        let mut low_entries = vec![(0, term.coefficient)];
        let mut low_len = 1usize;
        let mut factors = Vec::new();
        for FunctionalFactor { offsets, weights } in &term.factors {
            let last = offsets.iter().copied().max().unwrap_or(0);
            if last < limit {
                low_len = low_len.max((last + 1).next_power_of_two());
                let of_entry = |(at, c)| offsets.iter().zip(weights).map(move |(o, w): (&usize, &Fr)| (at + o, c * w));
                low_entries = low_entries.into_iter().flat_map(of_entry).collect();
                continue;
            }
            let mut entries: Vec<(usize, Fr)> = offsets.iter().copied().zip(weights.iter().copied()).collect();
            entries.sort_unstable_by_key(|(offset, _)| *offset);
            let mut groups: Vec<(usize, Vec<(usize, Fr)>)> = Vec::new();
            for (offset, weight) in entries {
                let (piece, place) = (offset >> piece_bits, offset & ((1 << piece_bits) - 1));
                match groups.last_mut() {
                    Some((last, group)) if *last == piece => group.push((place, weight)),
                    _ => groups.push((piece, vec![(place, weight)])),
                }
            }
            let mask = groups.iter().fold(0, |mask, (piece, _)| mask | piece);
            factors.push(PreparedFactor { mask, groups });
        }
        // Of the factors that are left, those with the smallest places are multiplied in last.
        factors.sort_by_key(|f| core::cmp::Reverse(f.groups.first().and_then(|(_, g)| g.get(1)).map_or(0, |e| e.0)));
        let mut low = vec![Fr::ZERO; low_len];
        low_entries.into_iter().for_each(|(at, c): (usize, Fr)| low[at] += c);
        Self { offset: term.offset, bits: term.bits, low, factors }
    }

    /// Calls `add(at, scale, low)` for each part of piece `piece` of the block: `scale * low` belongs at place `at` of it,
    /// where `low` is dense. Gives nothing for a piece of zeros.
    pub(super) fn parts(&self, piece: usize, scale: Fr, add: &mut impl FnMut(usize, Fr, &[Fr])) {
        // Index bits that no factor uses are zero in every place.
        if piece & !self.factors.iter().fold(0, |mask, factor| mask | factor.mask) != 0 {
            return;
        }
        let mut outer = vec![(0usize, scale)];
        for factor in &self.factors {
            let Ok(found) = factor.groups.binary_search_by_key(&(piece & factor.mask), |(piece, _)| *piece) else {
                return;
            };
            let group = &factor.groups[found].1;
            outer = match group.as_slice() {
                [(place, weight)] => outer.into_iter().map(|(at, c)| (at + place, c * weight)).collect(),
                _ => outer.iter().flat_map(|(at, c)| group.iter().map(move |(o, w)| (at + o, *c * w))).collect(),
            };
        }
        outer.into_iter().for_each(|(at, c)| add(at, c, &self.low));
    }
}

/// The first rounds of a sumcheck of `sum_x f(x) omega(x)`, from the sums `g[b][c] = sum_x f(b, x) omega(c, x)` over all
/// pairs of leading bits.
#[derive(Clone, Debug)]
pub(crate) struct LeadingRounds {
    /// Row by row.
    sums: Vec<Fr>,
    side: usize,
}

impl LeadingRounds {
    /// Starts from the output of [`super::Device::functional_products`].
    pub(crate) fn new(sums: Vec<Fr>) -> Self {
        let side = sums.len().isqrt();
        assert_eq!(side * side, sums.len(), "a square of sums");
        Self { sums, side }
    }

    /// The whole sum.
    pub(crate) fn total(&self) -> Fr {
        (0..self.side).map(|b| self.sums[b * self.side + b]).sum()
    }

    /// `[h(0), h(inf)]` of the first variable that is not bound; zeros when none is left.
    pub(crate) fn round(&self) -> [Fr; 2] {
        let half = self.side / 2;
        let g = |b: usize, c: usize| self.sums[b * self.side + c];
        let mut h = [Fr::ZERO; 2];
        for s in 0..half {
            h[0] += g(s, s);
            h[1] += g(s + half, s + half) - g(s, s + half) - g(s + half, s) + g(s, s);
        }
        h
    }

    /// Binds that variable.
    pub(crate) fn bind(&mut self, r: Fr) {
        let half = self.side / 2;
        let g = |b: usize, c: usize| self.sums[b * self.side + c];
        let (low, high) = (Fr::ONE - r, r);
        let mut sums = Vec::with_capacity(half * half);
        for b in 0..half {
            for c in 0..half {
                let with_c = |b: usize| low * g(b, c) + high * g(b, c + half);
                sums.push(low * with_c(b) + high * with_c(b + half));
            }
        }
        (self.sums, self.side) = (sums, half);
    }
}
