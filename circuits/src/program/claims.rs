//! Which lookups and public values a graph asks for (docs/protocol.md#lookups).

use super::{
    Content, KeyTerm, LookupMode, NAMED, PublicTensor, Segment, Source, Visibility, WITNESS, builder::Builder,
    lookup_mode,
};
use crate::{
    error::GraphError,
    graph::NodeId,
    interval::Interval,
    ops::{Op, advice::Part},
    stack::{NamedStack, Role, is_named},
};

impl Builder {
    pub(super) fn registration(&mut self) -> Result<(), GraphError> {
        for i in 0..self.program.graph.nodes().len() {
            // A weight without a place is in a named stack, which is checked where it is used.
            let own = self.program.node_tensor[i].is_some();
            if let (Op::Weight(op), true) = (self.program.graph.node(NodeId(i)).op.clone(), own) {
                self.range_check(NodeId(i), op.bits);
            }
        }
        let tables = self
            .program
            .tensors
            .iter()
            .enumerate()
            .filter(|(_, t)| matches!(t.content, Content::TableValues(_) | Content::SideValues { .. }));
        let range = Interval::new(i128::from(i32::MIN), i128::from(i32::MAX));
        self.program.public =
            tables.map(|(i, t)| PublicTensor { source: Source::Tensor(i), shape: t.shape.clone(), range }).collect();
        Ok(())
    }

    pub(super) fn inference(&mut self, visibility: Visibility, stacks: &[NamedStack]) -> Result<(), GraphError> {
        for i in 0..self.program.graph.nodes().len() {
            let id = NodeId(i);
            match self.program.graph.node(id).op.clone() {
                Op::Input(op) => {
                    if self.program.node_tensor[i].is_none() {
                        let shape = self.program.graph.node(id).shape.clone();
                        let t = self.tensor(Content::Node(id), WITNESS, shape);
                        self.program.node_tensor[i] = Some(t);
                    }
                    self.range_check(id, op.bits);
                }
                // Nobody has checked the values of a named stack: its weights are range-checked like inputs.
                Op::Weight(op)
                    if self.program.node_tensor[i].is_some_and(|t| self.program.tensors[t].stack >= NAMED) =>
                {
                    self.range_check(id, op.bits);
                }
                Op::Lookup(_) => self.lookup(id)?,
                Op::Divide(_) | Op::Root(_) => self.advice(id)?,
                Op::Gather(_) => self.gather(id)?,
                _ => {}
            }
        }
        let graph = &self.program.graph;
        let mut public = Vec::new();
        let open = |list: &[NodeId], role: fn(usize) -> Role| -> Vec<NodeId> {
            let ids = list.iter().enumerate().filter(|(k, _)| !is_named(stacks, role(*k)));
            ids.map(|(_, id)| *id).collect()
        };
        if visibility.inputs {
            public.extend(open(graph.inputs(), Role::Input));
        }
        let outputs = open(graph.outputs(), Role::Output);
        if visibility.outputs {
            public.extend(outputs.iter().copied());
        }
        self.program.public = public
            .into_iter()
            .map(|node| {
                let n = graph.node(node);
                PublicTensor { source: Source::Node(node), shape: n.shape.clone(), range: n.range }
            })
            .collect();
        for o in &outputs {
            let n = graph.node(*o);
            if !visibility.outputs && self.program.node_tensor[o.0].is_none() {
                return Err(GraphError::Parameter(
                    "a private output must be committed: compile the model with a private output".to_owned(),
                )
                .at(&n.name, n.op.name()));
            }
        }
        Ok(())
    }

    /// The range checks of a node that commits advice, wide ones in limbs.
    fn advice(&mut self, id: NodeId) -> Result<(), GraphError> {
        let node = self.program.graph.node(id).clone();
        let shape = node.shape.clone();
        let value = self.tensor(Content::Node(id), WITNESS, shape.clone());
        self.program.node_tensor[id.0] = Some(value);
        let ranges: Vec<Interval> = node.inputs.iter().map(|i| self.program.graph.node(*i).range).collect();
        let of = |part: Part| match part {
            Part::Output => Ok(id),
            Part::Input(i) => {
                node.inputs.get(i).copied().ok_or(GraphError::Arity { expected: i + 1, got: node.inputs.len() })
            }
        };
        for (index, check) in node.op.checks(&ranges)?.into_iter().flatten().enumerate() {
            let mut key = Vec::with_capacity(check.terms.len());
            for m in &check.terms {
                let source = match m.times {
                    None => Source::Node(of(m.of)?),
                    Some(other) => Source::Product(of(m.of)?, of(other)?),
                };
                key.push(KeyTerm { source, coefficient: m.coefficient, exponent: 0 });
            }
            let segment = |key, key_constant, block| Segment {
                node: id,
                shape: shape.clone(),
                key,
                key_constant,
                value: None,
                block,
                side: None,
                leaf: 0,
            };
            let width = self.program.graph.limb_bits();
            let mut low = 0;
            while check.bits - low > width {
                let content = Content::Limb { node: id, check: index, low, bits: width };
                let limb = self.tensor(content, WITNESS, shape.clone());
                let block = self.range_block(width);
                let term = |coefficient, exponent| KeyTerm { source: Source::Tensor(limb), coefficient, exponent };
                self.segment(segment(vec![term(1, 0)], (0, 0), block));
                key.push(term(-1, low as i32));
                low += width;
            }
            // What is left is the highest limb, times 2^low.
            key.iter_mut().for_each(|k| k.exponent -= low as i32);
            let block = self.range_block(check.bits - low);
            self.segment(segment(key, (check.constant, -(low as i32)), block));
        }
        Ok(())
    }

    fn lookup(&mut self, id: NodeId) -> Result<(), GraphError> {
        let node = self.program.graph.node(id).clone();
        let Op::Lookup(op) = &node.op else { return Ok(()) };
        let table = op.table(self.program.graph.tables())?.clone();
        let source = node.inputs[0];
        let shape = node.shape.clone();
        let value = self.tensor(Content::Node(id), WITNESS, shape.clone());
        self.program.node_tensor[id.0] = Some(value);
        // t = (in + half - rem) / 2^shift
        let down = -(op.shift as i32);
        let mut key = vec![KeyTerm { source: Source::Node(source), coefficient: 1, exponent: down }];
        let key_constant = if op.shift == 0 { (0, 0) } else { (1, -1) };
        let mut low = 0;
        while low < op.shift {
            let bits = self.program.graph.limb_bits().min(op.shift - low);
            let limb = self.tensor(Content::Remainder { node: id, low, bits }, WITNESS, shape.clone());
            key.push(KeyTerm { source: Source::Tensor(limb), coefficient: -1, exponent: low as i32 + down });
            let block = self.range_block(bits);
            self.segment(Segment {
                node: id,
                shape: shape.clone(),
                key: vec![KeyTerm { source: Source::Tensor(limb), coefficient: 1, exponent: 0 }],
                key_constant: (0, 0),
                value: None,
                block,
                side: None,
                leaf: 0,
            });
            low += bits;
        }
        let values = self.table_values.get(&op.table.0).copied().unwrap_or(0);
        let (block, side) = match lookup_mode(&self.program.graph, id)? {
            LookupMode::Plain => (self.table_block(op.table, &table, values, false), None),
            LookupMode::Clamped { high } => {
                let k = table.key_bits() as i32;
                let hi = self.tensor(Content::High(id), WITNESS, shape.clone());
                let side = self.tensor(Content::Side(id), WITNESS, shape.clone());
                let side_block = self.side_block(high)?;
                self.segment(Segment {
                    node: id,
                    shape: shape.clone(),
                    key: vec![KeyTerm { source: Source::Tensor(hi), coefficient: 1, exponent: 0 }],
                    key_constant: (0, 0),
                    value: Some(side),
                    block: side_block,
                    side: None,
                    leaf: 0,
                });
                key.push(KeyTerm { source: Source::Tensor(hi), coefficient: -1, exponent: k });
                (self.table_block(op.table, &table, values, true), Some(side))
            }
        };
        self.segment(Segment { node: id, shape, key, key_constant, value: Some(value), block, side, leaf: 0 });
        Ok(())
    }
}
