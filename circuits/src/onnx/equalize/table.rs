//! Inputs whose columns are chosen or put side by side: what becomes part of their quantization, column by column.
//!
//! What constants make of a column that nothing else reads first is taken out of the model, as it is for an input that is read
//! whole. Then columns that meet others of unlike sizes get a power of two and an offset each, and constants that are still on
//! their way become part of the weights behind them. Integers are read as they are; a column of integers is divided by a power
//! of two behind its `Cast`, which is a change of units and costs nothing.

use super::{
    Along, Entries, Equalized, INPUT_SPREAD, MAX_FEATURES, MAX_OFFSET, add_constant, channel_bounds,
    columns::{Edit, Ways, replaced},
    constant, engine,
    path::Consumer,
    set_constant, shape_of,
};
use crate::{
    model::Features,
    onnx::{load::FloatModel, lower::Result, ops::einsum::floats},
};
use tract_onnx::{
    prelude::*,
    tract_hir::tract_core::ops::{binary::TypedBinOp, cast::Cast, math, source::TypedSource},
};

/// Scale and offset of each column that is to be rewritten.
type Wanted = Vec<Option<(f64, f64)>>;

/// Any factor that no constant of a model undoes.
const SOME: f64 = 1.372_861_9;

/// The columns of an input.
struct Table {
    start: OutletId,
    axis: usize,
    shape: Vec<usize>,
    order: Vec<usize>,
}

impl Table {
    /// The columns of a tensor, if something chooses among them or puts others beside them.
    fn of(model: &TypedModel, start: OutletId) -> Result<Option<(Self, Ways)>> {
        let shape = shape_of(model, start);
        let order = model.eval_order().map_err(engine)?;
        for axis in (0..shape.len()).rev() {
            if shape[axis] == 0 || shape[axis] > MAX_FEATURES {
                continue;
            }
            let ways = Ways::explore(model, &order, start, axis, &vec![Some((1.0, 0.0)); shape[axis]]);
            if !ways.joints.is_empty() {
                return Ok(Some((Self { start, axis, shape, order }, ways)));
            }
        }
        Ok(None)
    }

    fn ways(&self, model: &TypedModel, wanted: &Wanted) -> Ways {
        Ways::explore(model, &self.order, self.start, self.axis, wanted)
    }

    /// Drops what some reader of a column does not allow: its offset first, then the column.
    fn settle(&self, model: &TypedModel, wanted: &mut Wanted) {
        loop {
            let stuck = self.ways(model, wanted).stuck;
            if !stuck.contains(&true) {
                return;
            }
            for (w, _) in wanted.iter_mut().zip(stuck).filter(|(_, stuck)| *stuck) {
                *w = w.filter(|(_, offset)| *offset != 0.0).map(|(scale, _)| (scale, 0.0));
            }
        }
    }

    /// Sizes of an outlet's positions that are not always zero: the least and the largest.
    fn spread(model: &TypedModel, entries: &Entries, (outlet, axis): (OutletId, usize)) -> Option<f64> {
        let shape = shape_of(model, outlet);
        let n = *shape.get(axis)?;
        let (lo, hi) = channel_bounds(entries, &shape, outlet, Along { axis, inner: 1 }, n)?;
        let sizes = lo.iter().zip(&hi).map(|(lo, hi)| lo.abs().max(hi.abs())).filter(|s| *s > 0.0);
        let (least, most) = sizes.fold((f64::INFINITY, 0.0f64), |(l, m), s| (l.min(s), m.max(s)));
        Some(most / least)
    }
}

impl Equalized {
    /// Takes what constants make of an input's columns out of the model.
    pub(super) fn fold_columns(&mut self, source: &FloatModel, k: usize) -> Result<()> {
        let Some(start) = self.source_outlet(source, k) else { return Ok(()) };
        let Some((table, ways)) = Table::of(&self.model, start)? else { return Ok(()) };
        let usable = |(a, b): &(f64, f64)| a.is_normal() && (1e-30..1e30).contains(&a.abs()) && b.abs() <= MAX_OFFSET;
        let inverse = |c: &Option<(f64, f64)>| c.filter(usable).map(|(a, b)| (1.0 / a, -b / a));
        let mut wanted: Wanted = ways.chains.iter().map(inverse).collect();
        let before = wanted.clone();
        table.settle(&self.model, &mut wanted);
        // A chain is undone as a whole or not at all.
        for (w, _) in wanted.iter_mut().zip(&before).filter(|(w, before)| w != before) {
            *w = None;
        }
        self.rewrite_columns(k, &table, &wanted, &mut Entries::new())
    }

    /// Divides columns of unlike sizes that meet, and moves what constants make of them into the weights behind them.
    pub(super) fn equalize_columns(&mut self, source: &FloatModel, k: usize, entries: &mut Entries) -> Result<()> {
        let whole = self.whole_column(source, k);
        let Some(start) = self.source_outlet(source, k).or(whole) else { return Ok(()) };
        let Some((table, ways)) = Table::of(&self.model, start)? else { return Ok(()) };
        let n = table.shape[table.axis];
        let along = Along { axis: table.axis, inner: 1 };
        let Some((lo, hi)) = channel_bounds(entries, &table.shape, start, along, n) else { return Ok(()) };
        let centre = |j: usize| {
            let (half, middle) = ((hi[j] - lo[j]) / 2.0, (hi[j] + lo[j]) / 2.0);
            // Integers stay integers.
            let middle = if whole.is_some() { middle.round() } else { middle };
            if hi[j] > lo[j] && middle.abs() > half { middle } else { 0.0 }
        };
        let mut wanted: Wanted = (0..n).map(|j| Some((SOME, centre(j)))).collect();
        table.settle(&self.model, &mut wanted);
        let size = |j: usize, offset: f64| (hi[j] - offset).abs().max((lo[j] - offset).abs());
        let far = |(j, w): (usize, &Option<(f64, f64)>)| {
            w.is_some_and(|(_, o)| o != 0.0 && o.abs() > INPUT_SPREAD * size(j, o))
        };
        let apart = |joint: &(OutletId, usize)| {
            Table::spread(&self.model, entries, *joint).is_some_and(|spread| spread >= INPUT_SPREAD)
        };
        if !ways.constants && !wanted.iter().enumerate().any(far) && !ways.joints.iter().any(apart) {
            return Ok(());
        }
        // Columns that something reads as they are keep their size, and set that of the others; without such, it is one.
        let power = |v: f64| v.log2().floor().clamp(-60.0, 60.0).exp2();
        let kept = wanted.iter().enumerate().filter(|(_, w)| w.is_none()).map(|(j, _)| size(j, 0.0));
        let top = kept.fold(0.0f64, f64::max);
        let top = if top > 0.0 { power(top) } else { 1.0 };
        for (j, w) in wanted.iter_mut().enumerate() {
            if let Some((scale, offset)) = w {
                let size = size(j, *offset);
                *scale = if size > 0.0 { power(size) / top } else { 1.0 };
            }
        }
        if n == 1 && wanted[0].is_some() {
            self.columns[k] = true;
        }
        self.rewrite_columns(k, &table, &wanted, entries)
    }

    /// The float column that a `Cast` makes of an input of one integer.
    fn whole_column(&self, source: &FloatModel, k: usize) -> Option<OutletId> {
        let name = &source.inputs[k].0;
        let node = self.model.nodes().iter().find(|n| n.op_is::<TypedSource>() && n.name == *name)?;
        let outlet = OutletId::new(node.id, 0);
        let kind = node.outputs[0].fact.datum_type;
        let [only] = *self.model.outlet_successors(outlet) else { return None };
        let cast = &self.model.nodes()[only.node];
        let float = cast.op_is::<Cast>() && cast.outputs[0].fact.datum_type == DatumType::F32;
        let one = shape_of(&self.model, outlet).iter().product::<usize>() == 1;
        (float && one && kind.is_integer() && !self.model.outputs.contains(&outlet)).then(|| OutletId::new(cast.id, 0))
    }

    /// Rewrites the model for columns that hold `(x - offset) / scale`.
    fn rewrite_columns(&mut self, k: usize, table: &Table, wanted: &Wanted, entries: &mut Entries) -> Result<()> {
        let ways = table.ways(&self.model, wanted);
        let same = wanted.iter().all(|w| w.is_none_or(|w| w == (1.0, 0.0))) && ways.edits.is_empty();
        if same || ways.stuck.contains(&true) {
            return Ok(());
        }
        let of = |j: usize| wanted[j].unwrap_or((1.0, 0.0));
        let n = wanted.len();
        if self.model.nodes()[table.start.node].op_is::<TypedSource>() {
            let inner = self.inputs[k].as_ref();
            if inner.is_some_and(|f| f.axis != table.axis && f.scale.len() != 1) {
                return Ok(());
            }
            let (scale, offset) = (0..n).map(of).unzip();
            let new = Features { axis: table.axis, scale, offset };
            let features = inner.map_or_else(|| new.clone(), |f| f.of(&new));
            if features.check(&table.shape).is_err() {
                return Ok(());
            }
            self.inputs[k] = Some(features);
        } else {
            self.shift(table.start, of(0))?;
        }
        for edit in ways.edits {
            self.apply(edit, entries)?;
        }
        self.changed = true;
        Ok(())
    }

    fn apply(&mut self, edit: Edit, entries: &mut Entries) -> Result<()> {
        match edit {
            Edit::Neutral { inlet, axis, positions, value } => {
                let operand = self.model.nodes()[inlet.node].inputs[inlet.slot];
                let Some(t) = constant(&self.model, operand) else { return Ok(()) };
                let new = replaced(&t, axis, &positions, value)?;
                let nothing = floats(&new)?.iter().all(|v| *v == f64::from(value));
                set_constant(&mut self.model, inlet, new)?;
                let node = OutletId::new(inlet.node, 0);
                if nothing && !self.model.outputs.contains(&node) {
                    self.bypass(inlet)?;
                }
                Ok(())
            }
            Edit::Weights { node, slot, along, from, scale, offset } => {
                let along = Along { axis: along, inner: 1 };
                self.move_offset(&Consumer { node, slot, along, from, direct: true }, &offset, entries)?;
                self.scale_operand(InletId::new(node, slot), along, &scale)
            }
        }
    }

    /// Takes a sum with zeros, or a product with ones, out of the model; `neutral` is the constant's inlet.
    fn bypass(&mut self, neutral: InletId) -> Result<()> {
        let slot = 1 - neutral.slot;
        let from = self.model.nodes()[neutral.node].inputs[slot];
        for inlet in self.model.outlet_successors(OutletId::new(neutral.node, 0)).to_vec() {
            self.model.add_edge(from, inlet).map_err(engine)?;
        }
        // Nothing reads the node any more; that it reads something must not count.
        let gone = InletId::new(neutral.node, slot);
        self.model.nodes[from.node].outputs[from.slot].successors.retain(|i| *i != gone);
        Ok(())
    }

    /// Subtracts a whole number from a tensor and divides by a power of two, for all of its readers.
    fn shift(&mut self, start: OutletId, (scale, offset): (f64, f64)) -> Result<()> {
        let ones = vec![1; shape_of(&self.model, start).len()];
        let mut last = start;
        let readers = self.model.outlet_successors(start).to_vec();
        let centre = ("centred", TypedBinOp(Box::new(math::Sub), None), offset, offset != 0.0);
        let divide = ("scaled", TypedBinOp(Box::new(math::Mul), None), 1.0 / scale, scale != 1.0);
        for (what, op, value, _) in [centre, divide].into_iter().filter(|step| step.3) {
            let name = format!("{}.{what}", self.model.nodes()[start.node].name);
            let fact = self.model.nodes()[start.node].outputs[start.slot].fact.without_value();
            let op = Box::new(op) as Box<dyn TypedOp>;
            let id = self.model.add_node(name.clone(), op, tvec!(fact)).map_err(engine)?;
            let value = Tensor::from_shape(&ones, &[value as f32]).map_err(engine)?;
            let value = add_constant(&mut self.model, format!("{name}.value"), value)?;
            self.model.add_edge(last, InletId::new(id, 0)).map_err(engine)?;
            self.model.add_edge(value, InletId::new(id, 1)).map_err(engine)?;
            last = OutletId::new(id, 0);
        }
        for inlet in readers {
            self.model.add_edge(last, inlet).map_err(engine)?;
        }
        Ok(())
    }
}
