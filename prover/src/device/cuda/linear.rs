//! Linear maps on the card.

use super::super::{AxisMatrix, Functional};
use super::engine::{Argument, Array, CudaError, Engine, grid, launch};
use super::{Accelerated, Scalars, SmallIntegers, Words};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

/// Outputs below which a block computes one of them, when rows are at least as long as a block is wide.
const FEW_OUTPUTS: usize = 1 << 12;

/// A functional's terms on the card.
struct Terms<E: Engine> {
    first: Words<E>,
    lens: Words<E>,
    offsets: Words<E>,
    weights: Scalars<E>,
    /// For each term its factors: the first and how many, and the number of its entries.
    terms: Vec<(usize, usize, usize)>,
}

/// Lengths and places as kernels count them.
fn word(x: usize) -> u32 {
    u32::try_from(x).unwrap_or_else(|_| panic!("{x} entries are more than a kernel counts"))
}

fn words(values: &[usize]) -> Vec<u32> {
    values.iter().map(|x| word(*x)).collect()
}

impl<E: Engine> Accelerated<E> {
    /// `kernels` is the one for a thread an output, and the one for a block.
    pub(super) fn axis_map(
        &self,
        kernels: [&'static str; 2],
        data: Argument<'static>,
        outer: usize,
        inner: usize,
        m: &AxisMatrix,
    ) -> Result<Scalars<E>, CudaError> {
        let e = &self.engine;
        let (mut starts, mut columns, mut weights) = (vec![0], vec![], vec![]);
        for row in &m.rows {
            columns.extend(row.iter().map(|(column, _)| word(*column)));
            weights.extend(row.iter().map(|(_, weight)| *weight));
            starts.push(word(columns.len()));
        }
        let outputs = outer * m.rows.len() * inner;
        let out = Scalars::<E>::zeros(e, outputs)?;
        let long = outputs < FEW_OUTPUTS && columns.len() >= 128 * m.rows.len();
        let blocks = if long { word(outputs.max(1)).min(e.blocks()) } else { grid(e, outputs) };
        let starts = Words::<E>::from_host(e, &starts)?;
        let columns = Words::<E>::from_host(e, &columns)?;
        let weights = Scalars::<E>::from_host(e, &weights)?;
        let arguments = [
            data,
            starts.at(e, 0),
            columns.at(e, 0),
            weights.at(e, 0),
            outer.into(),
            m.len.into(),
            m.rows.len().into(),
            inner.into(),
            out.at(e, 0),
        ];
        // SAFETY: the caller checked the data's length; every column is below `m.len`.
        unsafe { launch(e, kernels[usize::from(long)], [blocks, 1], &arguments)? };
        Ok(out)
    }

    pub(super) fn try_rearrange(
        &self,
        data: &Scalars<E>,
        source: &[usize],
        target: &[usize],
        len: usize,
    ) -> Result<Scalars<E>, CudaError> {
        assert_eq!(source.len(), target.len(), "a target for each source");
        assert!(source.iter().all(|s| *s < data.len) && target.iter().all(|t| *t < len), "places within the arrays");
        let e = &self.engine;
        let out = Scalars::<E>::zeros(e, len)?;
        let from = Words::<E>::from_host(e, &words(source))?;
        let to = Words::<E>::from_host(e, &words(target))?;
        let arguments = [data.at(e, 0), from.at(e, 0), to.at(e, 0), source.len().into(), out.at(e, 0)];
        // SAFETY: all places were checked.
        unsafe { self.over(source.len(), "rearrange", &arguments)? };
        Ok(out)
    }

    fn terms(&self, omega: &Functional) -> Result<Terms<E>, CudaError> {
        let (mut first, mut lens, mut offsets, mut weights) = (vec![], vec![], vec![], vec![]);
        let mut terms = Vec::new();
        for term in &omega.terms {
            let begin = lens.len();
            for factor in &term.factors {
                assert_eq!(factor.offsets.len(), factor.weights.len(), "a weight for each place");
                first.push(word(offsets.len()));
                lens.push(word(factor.offsets.len()));
                offsets.extend(words(&factor.offsets));
                weights.extend_from_slice(&factor.weights);
            }
            let highest: usize = term.factors.iter().filter_map(|f| f.offsets.iter().max()).sum();
            assert!(term.offset + highest < 1 << omega.bits, "a term outside of its stack");
            let entries = term.factors.iter().map(|factor| factor.weights.len()).product();
            terms.push((begin, term.factors.len(), entries));
        }
        let e = &self.engine;
        Ok(Terms {
            first: Array::from_host(e, &first)?,
            lens: Array::from_host(e, &lens)?,
            offsets: Array::from_host(e, &offsets)?,
            weights: Array::from_host(e, &weights)?,
            terms,
        })
    }

    /// Adds `scale` times row `row` of the functional.
    fn expand(
        &self,
        omega: &Functional,
        terms: &Terms<E>,
        row: usize,
        scale: &Fr,
        out: &Scalars<E>,
    ) -> Result<(), CudaError> {
        let e = &self.engine;
        let begin = row * out.len;
        for (term, &(first, factors, entries)) in omega.terms.iter().zip(&terms.terms) {
            if term.offset >= begin + out.len || term.offset + (1 << term.bits) <= begin {
                continue;
            }
            let coefficient = term.coefficient * scale;
            let arguments = [
                entries.into(),
                factors.into(),
                terms.first.at(e, first),
                terms.lens.at(e, first),
                terms.offsets.at(e, 0),
                terms.weights.at(e, 0),
                (&coefficient).into(),
                term.offset.into(),
                begin.into(),
                out.len.into(),
                out.at(e, 0),
            ];
            // SAFETY: the kernel writes the places from `begin` on that the output holds, and no others.
            unsafe { self.over(entries, "functional_expand", &arguments)? };
        }
        Ok(())
    }

    pub(super) fn try_functional_products(
        &self,
        f: &SmallIntegers<E>,
        omega: &Functional,
        leading: usize,
    ) -> Result<Vec<Fr>, CudaError> {
        assert_eq!(f.len, 1 << omega.bits, "a functional on the integers");
        let e = &self.engine;
        let (side, row_len) = (1usize << leading, f.len >> leading);
        let terms = self.terms(omega)?;
        let blocks = grid(e, row_len) as usize;
        let mut sums = vec![Fr::ZERO; side * side];
        for c in 0..side {
            let dense = Scalars::<E>::zeros(e, row_len)?;
            self.expand(omega, &terms, c, &Fr::ONE, &dense)?;
            let out = Scalars::<E>::zeros(e, side * blocks)?;
            let arguments = [f.at(e, 0), row_len.into(), dense.at(e, 0), row_len.into(), out.at(e, 0)];
            // SAFETY: `side` rows are within the integers, and there is an output for each of them and each block.
            unsafe { launch(e, "inner_product_integers", [word(blocks), word(side)], &arguments)? };
            for (b, parts) in out.to_host(e)?.chunks(blocks).enumerate() {
                sums[b * side + c] = parts.iter().sum();
            }
        }
        Ok(sums)
    }

    pub(super) fn try_functional_bind(&self, omega: &Functional, point: &[Fr]) -> Result<Scalars<E>, CudaError> {
        let e = &self.engine;
        let terms = self.terms(omega)?;
        let weights = self.try_eq_table(point)?.to_host(e)?;
        let out = Scalars::<E>::zeros(e, 1 << (omega.bits - point.len()))?;
        for (row, weight) in weights.iter().enumerate() {
            self.expand(omega, &terms, row, weight, &out)?;
        }
        Ok(out)
    }
}
