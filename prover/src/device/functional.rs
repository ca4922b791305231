//! Linear functionals on a stack, kept as sums of products of small vectors.

use super::dispatch::{self, Vector};
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

impl FunctionalFactor {
    /// The last place.
    fn last(&self) -> usize {
        self.offsets.iter().copied().max().unwrap_or(0)
    }
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
    /// By increasing piece.
    groups: Vec<Group>,
}

/// The places of a factor within one piece.
struct Group {
    piece: usize,
    places: Vec<usize>,
    weights: Vec<Fr>,
}

impl Group {
    /// Whether the places follow each other without a gap.
    fn is_run(&self) -> bool {
        self.places.iter().zip(&self.places[1..]).all(|(a, b)| a + 1 == *b)
    }
}

/// log2 of the length of a dense low product, at most: one multiplication of the outer factors is shared by so many entries
/// that vectors do nearly all the work.
const LOW_BITS: usize = 14;

/// log2 of the length up to which low factors are multiplied out even where few places of the outer factors share the product.
const CHEAP_BITS: usize = 11;

/// log2 of how often a longer product is used, at least: making and keeping it is at most a sixteenth of the term then.
const SHARED_BITS: usize = 4;

/// `out[i] += sum_k scale_k * data_k[i]`, with vectors as far as they reach.
pub(super) fn add_products(vector: Option<Vector>, out: &mut [Fr], terms: &[(&[Fr], Fr)]) {
    let (head, tail) = out.split_at_mut(out.len() / 8 * 8);
    let start = head.len();
    dispatch::add_products(vector, head, 0, terms);
    dispatch::add_products(None, tail, start, terms);
}

/// The dense product of `low` and a factor.
fn multiplied_out(vector: Option<Vector>, low: &[Fr], factor: &FunctionalFactor) -> Vec<Fr> {
    let last = factor.last();
    let mut out = vec![Fr::ZERO; last + low.len()];
    match low {
        [one] if factor.offsets.iter().copied().eq(0..=last) => {
            add_products(vector, &mut out[..=last], &[(&factor.weights, *one)]);
        }
        _ => {
            for (offset, weight) in factor.offsets.iter().zip(&factor.weights) {
                add_products(vector, &mut out[*offset..offset + low.len()], &[(low, *weight)]);
            }
        }
    }
    out
}

/// log2 of the length of what is multiplied out of a term of `2^bits` entries, at most.
pub fn low_bits(bits: usize) -> usize {
    bits.saturating_sub(SHARED_BITS).clamp(CHEAP_BITS, LOW_BITS).min(bits)
}

impl PreparedTerm {
    /// Prepares a term for pieces of `2^piece_bits` entries.
    pub(super) fn new(vector: Option<Vector>, term: &FunctionalTerm, piece_bits: usize) -> Self {
        let limit = 1 << low_bits(term.bits).min(piece_bits);
        let (mut inner, outer): (Vec<_>, Vec<_>) = term.factors.iter().partition(|factor| factor.last() < limit);
        // The smallest first: what it is multiplied by is long then.
        inner.sort_by_key(|factor| factor.last());
        let mut low = vec![term.coefficient];
        for factor in inner {
            low = multiplied_out(vector, &low, factor);
        }
        let mut factors: Vec<PreparedFactor> = outer.into_iter().map(|f| PreparedFactor::new(f, piece_bits)).collect();
        // Of the factors that are left, those with the smallest places are multiplied in last.
        let second = |f: &PreparedFactor| f.groups.first().and_then(|g| g.places.get(1)).copied().unwrap_or(0);
        factors.sort_by_key(|f| core::cmp::Reverse(second(f)));
        Self { offset: term.offset, bits: term.bits, low, factors }
    }

    /// Calls `add(at, scale, low)` for each part of piece `piece` of the block: `scale * low` belongs at place `at` of it,
    /// where `low` is dense. Gives nothing for a piece of zeros.
    pub(super) fn parts<'a>(&'a self, piece: usize, scale: Fr, add: &mut impl FnMut(usize, Fr, &'a [Fr])) {
        // Index bits that no factor uses are zero in every place.
        if piece & !self.factors.iter().fold(0, |mask, factor| mask | factor.mask) != 0 {
            return;
        }
        let mut groups = Vec::with_capacity(self.factors.len());
        for factor in &self.factors {
            let Ok(found) = factor.groups.binary_search_by_key(&(piece & factor.mask), |group| group.piece) else {
                return;
            };
            groups.push(&factor.groups[found]);
        }
        // Without low factors, the weights of a last group without gaps are the dense ones.
        let (low, scale, start) = match (self.low.as_slice(), groups.last()) {
            ([one], Some(group)) if group.places.len() > 1 && group.is_run() => {
                let found = (group.weights.as_slice(), scale * one, group.places[0]);
                groups.pop();
                found
            }
            _ => (self.low.as_slice(), scale, 0),
        };
        let mut outer = vec![(start, scale)];
        for group in groups {
            let mut next = Vec::with_capacity(outer.len() * group.places.len());
            for (at, c) in outer {
                next.extend(group.places.iter().zip(&group.weights).map(|(place, weight)| (at + place, c * weight)));
            }
            outer = next;
        }
        outer.into_iter().for_each(|(at, c)| add(at, c, low));
    }
}

impl PreparedFactor {
    /// Groups the places of a factor.
    fn new(factor: &FunctionalFactor, piece_bits: usize) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        let mut entries: Vec<(&usize, &Fr)> = factor.offsets.iter().zip(&factor.weights).collect();
        entries.sort_unstable_by_key(|(offset, _)| **offset);
        for (offset, weight) in entries {
            let (piece, place) = (offset >> piece_bits, offset & ((1 << piece_bits) - 1));
            match groups.last_mut().filter(|last| last.piece == piece) {
                Some(last) => {
                    last.places.push(place);
                    last.weights.push(*weight);
                }
                None => groups.push(Group { piece, places: vec![place], weights: vec![*weight] }),
            }
        }
        let mask = groups.iter().fold(0, |mask, group| mask | group.piece);
        Self { mask, groups }
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
