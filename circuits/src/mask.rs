//! Masked outputs: a graph that shows `output + pad` modulo a power of two in place of its output.
//!
//! * Statement: for an output `y` with worst-case values `lo..=hi` and `k = ceil(log2(hi - lo + 1))` (at least 1), the masked
//!   graph shows `z` in `[-2^(k-1), 2^(k-1))` with `z = y + pad - lo - 2^(k-1)` modulo `2^k`, where the pad is made of inputs:
//!   `pad = sum_j 2^(s_j) p_j`, `p_j` of `w_j` bits, `s_j` the sum of the widths before.
//! * Hiding: each `p_j` takes all values of `[-2^(w_j - 1), 2^(w_j - 1))`, so `pad` takes each residue modulo `2^k` exactly once.
//!   If the pad is drawn uniformly, once, and apart from everything else, `z` is uniform whatever `y` is: what is hidden is
//!   hidden perfectly, by the masked value alone. Not hidden are the shape and `lo`, `hi`, which follow from the graph.
//!   Whoever knows two masked values under one pad knows the difference of the outputs: a pad is for one proof.
//! * Recovery: `hi - lo < 2^k`, so `z - pad` modulo `2^k` has one value in `lo..=hi`, and [`MaskedOutput::unmask`] gives it.
//! * Soundness: `p_j` are inputs, range-checked as such. With `t = y + pad - lo - 2^(k-1)`, which is from `-2^(k+1)` to `2^k`, the
//!   carry is a lookup `q = floor((t + 2^(k-1)) / 2^k)` of values -1, 0 and 1, whose remainder is range-checked, so `q` and
//!   `z = t - 2^k q` are unique. The range that interval analysis gives `z` is wider than `z`'s.
//! * Reference: the one-time pad over `Z / 2^k` (docs/protocol.md#masked-outputs).

use crate::{
    error::GraphError,
    graph::{Graph, GraphBuilder},
    ops::lookup::MAX_SHIFT,
    table::Table,
    tensor::Tensor,
};

/// How one output is masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskedOutput {
    /// Log2 of the modulus.
    pub bits: u32,
    /// The smallest value that the output can take.
    pub lo: i64,
    /// The largest one.
    pub hi: i64,
    /// Extents of the output, and of each part of its pad.
    pub shape: Vec<usize>,
    /// Widths of the parts of the pad in bits, the lowest first.
    pub widths: Vec<u32>,
    /// Place of the first part among the masked graph's inputs; the others follow.
    pub first_input: usize,
}

/// The graph whose outputs are those of `graph`, masked, and how. Inputs are those of `graph`, then the pads.
///
/// # Errors
/// An output whose values need more than 48 bits, and what [`GraphBuilder`] refuses.
pub fn masked(graph: &Graph) -> Result<(Graph, Vec<MaskedOutput>), GraphError> {
    let mut b = GraphBuilder::from_graph(graph);
    let mut inputs = graph.inputs().to_vec();
    let mut outputs = Vec::new();
    let mut how = Vec::new();
    for (k, output) in graph.outputs().iter().enumerate() {
        let node = graph.node(*output);
        let mask = MaskedOutput::new((node.range.lo, node.range.hi), &node.shape, inputs.len(), graph.limb_bits())
            .map_err(|e| e.at(&node.name, node.op.name()))?;
        let mut terms = vec![(*output, 1)];
        let mut shift = 0u32;
        for (j, width) in mask.widths.iter().enumerate() {
            let part = b.input(&format!("pad {k}, part {j}"), &mask.shape, *width)?;
            terms.push((part, 1i64 << shift));
            inputs.push(part);
            shift += width;
        }
        let sum = b.linear(&format!("padded {k}"), &terms, -mask.lo - mask.half())?;
        let carry = b.lookup(&format!("carry {k}"), sum, mask.bits, Table::tabulate("carry", -1, 2, |t| t as i32))?;
        outputs.push(b.linear(&format!("masked {k}"), &[(sum, 1), (carry, -2 * mask.half())], 0)?);
        how.push(mask);
    }
    Ok((b.finish(inputs, outputs)?, how))
}

impl MaskedOutput {
    /// Parts are cut as the remainder of the carry is, so that both are looked up in the same range tables.
    fn new((lo, hi): (i128, i128), shape: &[usize], first_input: usize, limb_bits: u32) -> Result<Self, GraphError> {
        let bits = (128 - (hi - lo).leading_zeros()).max(1);
        if bits > MAX_SHIFT {
            return Err(GraphError::Parameter(format!(
                "an output with values in [{lo}, {hi}] cannot be masked: {bits} bits; at most {MAX_SHIFT}"
            )));
        }
        let narrow =
            |v: i128| i64::try_from(v).map_err(|_| GraphError::Overflow { lo, hi, limit: i128::from(i64::MAX) });
        let (lo, hi) = (narrow(lo)?, narrow(hi)?);
        let part = limb_bits.max(1);
        let widths = (0..bits.div_ceil(part)).map(|j| part.min(bits - j * part)).collect();
        Ok(Self { bits, lo, hi, shape: shape.to_vec(), widths, first_input })
    }

    /// Half of the modulus.
    fn half(&self) -> i64 {
        1 << (self.bits - 1)
    }

    /// A pad, one tensor a part. `draw` gives an integer whose lowest bits, as many as it is asked for (1 to 16), are uniform;
    /// it is called once for each entry of each part.
    pub fn pad(&self, mut draw: impl FnMut(u32) -> u32) -> Vec<Tensor> {
        let n: usize = self.shape.iter().product();
        let part = |width: &u32| {
            let modulus = 1i64 << width;
            let data = (0..n).map(|_| i64::from(draw(*width)) % modulus - modulus / 2).collect();
            Tensor { shape: self.shape.clone(), data }
        };
        self.widths.iter().map(part).collect()
    }

    /// The output behind a masked one.
    ///
    /// # Errors
    /// Parts of another number, shape or range, a masked value out of range, and a result that the output cannot take: then
    /// pad and masked value are not of one proof.
    pub fn unmask(&self, masked: &Tensor, pad: &[Tensor]) -> Result<Tensor, GraphError> {
        if pad.len() != self.widths.len() {
            return Err(GraphError::Arity { expected: self.widths.len(), got: pad.len() });
        }
        self.check(masked, self.bits)?;
        let mut sums = vec![0i64; masked.data.len()];
        let mut shift = 0u32;
        for (part, width) in pad.iter().zip(&self.widths) {
            self.check(part, *width)?;
            for (sum, v) in sums.iter_mut().zip(&part.data) {
                *sum += v << shift;
            }
            shift += width;
        }
        let out = |(z, pad): (&i64, &i64)| {
            let above = (z - pad + self.half()).rem_euclid(2 * self.half());
            // `above` is what the output lies above `lo`; compared before it is added, so nothing wraps.
            if above > self.hi - self.lo {
                let (lo, hi) = (i128::from(self.lo), i128::from(self.hi));
                let value = self.lo.saturating_add(above);
                return Err(GraphError::OutOfRange { value, lo, hi });
            }
            Ok(self.lo + above)
        };
        let data = masked.data.iter().zip(&sums).map(out).collect::<Result<_, _>>()?;
        Ok(Tensor { shape: self.shape.clone(), data })
    }

    /// Shape, length, and a signed width of `bits`.
    fn check(&self, tensor: &Tensor, bits: u32) -> Result<(), GraphError> {
        if tensor.shape != self.shape {
            return Err(GraphError::Shape { expected: self.shape.clone(), got: tensor.shape.clone() });
        }
        let expected: usize = self.shape.iter().product();
        if tensor.data.len() != expected {
            return Err(GraphError::Length { expected, got: tensor.data.len() });
        }
        let half = 1i64 << (bits - 1);
        match tensor.data.iter().find(|v| !(-half..half).contains(v)) {
            Some(value) => {
                Err(GraphError::OutOfRange { value: *value, lo: -i128::from(half), hi: i128::from(half) - 1 })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
