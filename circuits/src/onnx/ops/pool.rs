//! Pooling.
//!
//! * Statement: the sum, mean or largest entry of a window that slides over the spatial axes.
//! * ONNX: AveragePool, GlobalAveragePool, LpPool of order 1 (tract: `SumPool`), MaxPool.
//! * Shapes: as tract computes them.
//! * Lowering: sums are one `Window` per axis; a mean divides the scale, or multiplies by integer reciprocals where windows
//!   at the border have fewer entries (`AxisScale`). Maxima go axis by axis, as a tree of `max(a, b) = a + relu(b - a)`.
//! * Lookups: none for sums and means; one for each pairwise maximum.
//! * Soundness: linear views; `relu(b - a)` is exact because its cap is the proven width of the input.
//! * Reference: docs/protocol.md#linear, docs/protocol.md#lookups.

use crate::{
    graph::NodeId,
    onnx::{
        error::ImportError,
        expr::Expr,
        lower::{Lazy, Lowering, Result, Value},
        requantize::relu_exact,
    },
    ops::{AxisScale, Op, Window},
};
use tract_onnx::{
    prelude::{OutletId, TypedNode, tensor0},
    tract_hir::tract_core::ops::{
        binary::TypedBinOp,
        cnn::{MaxPool, PaddingSpec, PoolSpec, SumPool},
        math,
    },
};

/// A sliding window along one axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) axis: usize,
    pub(crate) len: usize,
    pub(crate) stride: usize,
    pub(crate) kernel: usize,
    pub(crate) dilation: usize,
    pub(crate) pad: usize,
}

impl Span {
    /// Whether the only window is the axis itself.
    fn whole(&self, extent: usize) -> bool {
        self.len == 1 && self.kernel == extent && self.dilation == 1 && self.pad == 0
    }

    /// Number of entries of window `o` that lie in `[-before, extent + after)`.
    fn count(&self, o: usize, extent: usize, before: usize, after: usize) -> usize {
        (0..self.kernel)
            .filter(|t| {
                let p = (o * self.stride + t * self.dilation) as i64 - self.pad as i64;
                -(before as i64) <= p && p < (extent + after) as i64
            })
            .count()
    }
}

/// First spatial axis of a tensor; checks that the tensor has as many axes as the window asks for.
pub(crate) fn first_spatial_axis(spec: &PoolSpec, shape: &[usize]) -> Result<usize> {
    let first = spec.data_format.h_axis();
    let rank = first + spec.rank() + usize::from(spec.data_format.c_is_last());
    if shape.len() != rank {
        return Err(ImportError::unsupported(format!("a window of {} axes on shape {shape:?}", spec.rank())));
    }
    Ok(first)
}

fn spans(spec: &PoolSpec, in_shape: &[usize], out_shape: &[usize]) -> Result<Vec<Span>> {
    let first = first_spatial_axis(spec, in_shape)?;
    first_spatial_axis(spec, out_shape)?;
    let padding = spec.computed_padding(&in_shape[first..first + spec.rank()]);
    Ok((0..spec.rank())
        .map(|d| Span {
            axis: first + d,
            len: out_shape[first + d],
            stride: spec.stride(d),
            kernel: spec.kernel_shape[d],
            dilation: spec.dilation(d),
            pad: padding[d].pad_before,
        })
        .collect())
}

pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    let outlet = OutletId::new(node.id, 0);
    let out_shape = c.out_shape(node, 0);
    if let Some(op) = node.op_as::<MaxPool>() {
        if op.with_index_outputs.is_some() {
            return Err(ImportError::unsupported("the indices of the maxima; export without them"));
        }
        let l = from_smallest_maximum(c, c.lazy(node, 0)?, outlet)?;
        let bits = bits_for_maxima(c, &l, outlet);
        let mut root = c.operand_within(&l, bits)?;
        let range = c.g.node(root.node).range;
        if (range.hi - range.lo) >> bits != 0 {
            root = c.commit_within(&l, bits)?;
        }
        let spans = spans(&op.pool_spec, &c.shape(root.node), &out_shape)?;
        let id = max_windows(c, root.node, &spans)?;
        c.extrema.insert(outlet, root);
        return Ok(Some(vec![c.result(outlet, id, root.scale)]));
    }
    let Some(op) = node.op_as::<SumPool>() else { return Ok(None) };
    let l = c.lazy(node, 0)?;
    // Reciprocals add twelve bits an axis.
    let root = c.materialize_within(&l, 34)?;
    let in_shape = c.shape(root.node);
    let (mut id, mut scale) = (root.node, root.scale);
    for (d, s) in spans(&op.pool_spec, &in_shape, &out_shape)?.iter().enumerate() {
        let window = Window {
            axis: s.axis,
            len: s.len,
            stride: s.stride as i64,
            kernel: s.kernel,
            dilation: s.dilation as i64,
            offset: -(s.pad as i64),
        };
        id = c.push(Op::Window(window), &[id])?;
        if !op.normalize {
            continue;
        }
        let extent = in_shape[s.axis];
        let counts: Vec<usize> = (0..s.len)
            .map(|o| match (&op.pool_spec.padding, op.count_include_pad) {
                (_, false) => s.count(o, extent, 0, 0),
                (PaddingSpec::ExplicitOnnxPool(b, a, true), true) => s.count(o, extent, b[d], a[d]),
                _ => s.kernel,
            })
            .map(|n| n.max(1))
            .collect();
        if counts.iter().all(|n| *n == counts[0]) {
            scale /= counts[0] as f64;
        } else {
            // 2520 is a multiple of 1 to 10: exact for windows of up to ten entries per axis.
            let unit = 2520.0;
            let factors = counts.iter().map(|n| (unit / *n as f64).round() as i64).collect();
            id = c.push(Op::AxisScale(AxisScale { axis: s.axis, factors }), &[id])?;
            scale /= unit;
        }
    }
    Ok(Some(vec![c.result(outlet, id, scale)]))
}

/// Entries far below the smallest of all maxima never win (the masked ones of an attention, say): they are raised to it,
/// so that they do not set the scale.
pub(crate) fn from_smallest_maximum(c: &Lowering<'_>, l: Lazy, outlet: OutletId) -> Result<Lazy> {
    let (lo, hi) = c.range_of(outlet);
    let floor = lo - 0.25 * (hi - lo).max(hi.abs()).max(1e-3);
    if c.is_integer(&l) || l.range.0 >= floor - 4.0 * (hi - floor) {
        return Ok(l);
    }
    let bound = Expr::constant(&tensor0(floor as f32))?;
    let expr = Expr::apply(Box::new(TypedBinOp(Box::new(math::Max), None)), vec![l.expr.clone(), bound]);
    Ok(Lazy { root: l.root, expr, form: l.form.at_least(floor), range: (floor, l.range.1), outlet: None })
}

/// Most bits that a tensor has beyond the others because its maxima are much smaller.
const MAXIMA_BITS: f64 = 3.0;

/// The width of a tensor of which maxima are taken. Those may be much smaller than the largest entries of the tensor, which
/// are then negative ones: the step has to suit what is left, and all entries still have to fit.
pub(crate) fn bits_for_maxima(c: &Lowering<'_>, l: &Lazy, outlet: OutletId) -> u32 {
    let size = |(lo, hi): (f64, f64)| hi.max(-lo);
    let (before, behind) = (size(l.range), size(c.range_of(outlet)));
    let more = if before > 0.0 && behind > 0.0 { (before / behind).log2().ceil().clamp(0.0, MAXIMA_BITS) } else { 0.0 };
    c.widths.activation + more as u32
}

/// The largest entries along a whole axis: the front half against the back half, again and again. Both halves hold the entry in
/// the middle where their number is odd. As many lookups as a tree over single entries, but a node for each level only.
fn halved(c: &mut Lowering<'_>, node: NodeId, axis: usize, cap: i64) -> Result<NodeId> {
    let mut id = node;
    loop {
        let extent = c.shape(id)[axis];
        if extent == 1 {
            return Ok(id);
        }
        let half = extent.div_ceil(2);
        let front = c.push(Op::Window(Window::slice(axis, 0, 1, half)), &[id])?;
        let back = c.push(Op::Window(Window::slice(axis, (extent - half) as i64, 1, half)), &[id])?;
        id = larger(c, front, back, cap)?;
    }
}

/// `max(a, b) = a + relu(b - a)` of tensors that differ by at most `cap`.
fn larger(c: &mut Lowering<'_>, a: NodeId, b: NodeId, cap: i64) -> Result<NodeId> {
    let d = c.linear(&[(b, 1), (a, -1)], 0)?;
    let r = relu_exact(c, d, cap)?;
    c.linear(&[(a, 1), (r, 1)], 0)
}

/// Largest entries of windows, one axis after the other. Entries outside the tensor never win.
pub(crate) fn max_windows(c: &mut Lowering<'_>, node: NodeId, spans: &[Span]) -> Result<NodeId> {
    let range = c.g.node(node).range;
    let shape = c.shape(node);
    let reaches_out = spans
        .iter()
        .any(|s| s.pad > 0 || (s.len - 1) * s.stride + (s.kernel - 1) * s.dilation >= shape[s.axis] + s.pad);
    // Padding reads zero, which is to be the least entry that is possible.
    let base = if reaches_out { range.lo } else { 0 };
    let cap = i64::try_from(range.hi - range.lo).unwrap_or(i64::MAX);
    if cap >= 1 << 20 {
        return Err(ImportError::unsupported("maxima of values of more than 20 bits"));
    }
    let base = base as i64;
    let mut id = c.linear(&[(node, 1)], -base)?;
    for s in spans {
        if s.whole(shape[s.axis]) {
            id = halved(c, id, s.axis, cap)?;
            continue;
        }
        let mut level = Vec::with_capacity(s.kernel);
        for t in 0..s.kernel {
            let offset = (t * s.dilation) as i64 - s.pad as i64;
            level.push(c.push(Op::Window(Window::slice(s.axis, offset, s.stride as i64, s.len)), &[id])?);
        }
        while level.len() > 1 {
            let mut next = Vec::with_capacity(level.len().div_ceil(2));
            for pair in level.chunks(2) {
                next.push(match pair {
                    [a, b] => larger(c, *a, *b, cap)?,
                    _ => pair[0],
                });
            }
            level = next;
        }
        id = level[0];
    }
    c.linear(&[(id, 1)], base)
}
