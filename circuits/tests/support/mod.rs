//! Random numbers, tensors and functionals for tests of the pullback.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use ark_bn254::Fr;
use assay_circuits::{
    Factor, Functional, Op, Tensor,
    ops::{AxisExpr, Contraction},
    ring::index_bits,
};

/// A small deterministic generator.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n.max(1)
    }

    /// A number of a closed range.
    pub fn within(&mut self, lo: i64, hi: i64) -> i64 {
        lo + (self.next() % (hi - lo + 1) as u64) as i64
    }

    pub fn field(&mut self) -> Fr {
        Fr::from(self.next()) * Fr::from(self.next()) + Fr::from(self.next())
    }

    pub fn point(&mut self, bits: usize) -> Vec<Fr> {
        (0..bits).map(|_| self.field()).collect()
    }

    pub fn tensor(&mut self, shape: &[usize]) -> Tensor {
        let n = shape.iter().product();
        Tensor::new(shape.to_vec(), (0..n).map(|_| (self.next() % 128) as i64 - 64).collect()).unwrap()
    }

    pub fn weights(&mut self, n: usize) -> Vec<Fr> {
        (0..n).map(|_| self.field()).collect()
    }

    /// A random order of `0..n`.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut out: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            out.swap(i, self.below(i + 1));
        }
        out
    }

    /// A factor over one axis: an eq table cut to the extent, or any weights.
    pub fn factor(&mut self, axis: usize, extent: usize) -> Factor<Fr> {
        if self.below(3) == 0 {
            return Factor::dense(vec![axis], self.weights(extent));
        }
        let point = self.point(index_bits(extent));
        Factor::eq(axis, &point, extent)
    }

    /// A functional on a shape, in the structures that occur: eq tables, dense weights, and with `joint` factors that span
    /// several axes in any order, some of them products of eq tables.
    pub fn functional(&mut self, shape: &[usize], joint: bool) -> Functional<Fr> {
        let mut axes = self.permutation(shape.len());
        let mut factors = Vec::new();
        while let Some(first) = axes.pop() {
            let mut members = vec![first];
            while joint && !axes.is_empty() && self.below(3) == 0 {
                members.extend(axes.pop());
            }
            if members.len() > 1 && self.below(2) == 0 {
                let n = members.iter().map(|a| shape[*a]).product();
                factors.push(Factor::dense(members, self.weights(n)));
            } else {
                let parts: Vec<Factor<Fr>> = members.iter().map(|a| self.factor(*a, shape[*a])).collect();
                factors.push(if parts.len() == 1 {
                    parts[0].clone()
                } else {
                    Factor::join(&parts.iter().collect::<Vec<_>>())
                });
            }
        }
        Functional { factors }.sorted()
    }

    /// Extents whose product is `n`, with some of one.
    pub fn factorization(&mut self, mut n: usize) -> Vec<usize> {
        let mut out = vec![];
        for p in [2, 3, 5, 7] {
            while n.is_multiple_of(p) {
                out.push(p);
                n /= p;
            }
        }
        if n > 1 {
            out.push(n);
        }
        while out.len() > 1 && self.below(2) == 0 {
            let k = self.below(out.len() - 1);
            out[k] *= out.remove(k + 1);
        }
        for _ in 0..self.below(3) {
            let k = self.below(out.len() + 1);
            out.insert(k, 1);
        }
        out
    }
}

/// A random contraction with affine axes, and shapes that it may have; operand axes end before, at or behind what the
/// expressions reach.
pub fn draw_contraction(rng: &mut Rng) -> (Contraction, [Vec<usize>; 2]) {
    loop {
        let n = 1 + rng.below(4);
        let extents: Vec<usize> = (0..n).map(|_| [1, 1, 2, 3, 4, 5][rng.below(6)]).collect();
        let mut shapes = [vec![], vec![]];
        let mut axes = [vec![], vec![]];
        for side in 0..2 {
            let mut indices: Vec<usize> = rng.permutation(n);
            indices.truncate(n - rng.below(n));
            while let Some(first) = indices.pop() {
                let mut terms = vec![(first, [1, 1, 1, 1, 2, 3, -1, -2, 0][rng.below(9)])];
                if rng.below(3) == 0
                    && let Some(second) = indices.pop()
                {
                    terms.push((second, rng.within(-2, 3)));
                }
                let offset = if rng.below(2) == 0 { 0 } else { rng.within(-2, 5) };
                let exact = extents[first];
                shapes[side].push(if rng.below(2) == 0 { exact } else { 1 + rng.below(7) });
                axes[side].push(AxisExpr { terms, offset });
            }
            if rng.below(6) == 0 {
                axes[side].push(AxisExpr::unit());
                shapes[side].push(1);
            }
        }
        let mut out = Vec::new();
        for i in rng.permutation(n) {
            if rng.below(3) > 0 {
                out.push(AxisExpr::index(i));
            }
        }
        if rng.below(4) == 0 {
            out.push(AxisExpr::unit());
        }
        if out.len() > 1 && rng.below(4) == 0 {
            // Two indices in one axis, as mixed-radix digits.
            let (a, b) = (out.pop().unwrap_or_else(AxisExpr::unit), out.pop().unwrap_or_else(AxisExpr::unit));
            if let (Some(a), Some(b)) = (a.terms.first(), b.terms.first()) {
                out.push(AxisExpr { terms: vec![(a.0, extents[b.0] as i64), (b.0, 1)], offset: 0 });
            }
        }
        let [lhs, rhs] = axes;
        let c = Contraction { extents, lhs, rhs, out };
        if Op::Contraction(c.clone()).infer(&[&shapes[0], &shapes[1]], &[]).is_ok() {
            return (c, shapes);
        }
    }
}
