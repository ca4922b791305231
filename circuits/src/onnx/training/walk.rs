//! From a file's nodes to layers: rows, residual branches, and smooth functions in whichever operators they are written.

use super::{ROW, Rule, chain::Chain, floats, title};
use crate::train::{Activation, Layer};
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// Most nodes that one smooth function is written in.
const MAX_FUNCTION: usize = 16;
/// Most branches inside branches.
const MAX_DEPTH: usize = 8;

/// Reads a graph from its input on.
pub(super) struct Walk<'a> {
    pub(super) nodes: &'a [NodeProto],
    /// The version of the operators that the file uses.
    pub(super) opset: i64,
    pub(super) constants: &'a HashMap<&'a str, &'a TensorProto>,
    /// Which nodes read a value, once for each reader.
    pub(super) readers: HashMap<&'a str, Vec<usize>>,
    pub(super) output: &'a str,
    /// Of every node that was read, what stands against it.
    seen: HashMap<usize, Option<String>>,
}

/// Where a row of layers ends.
#[derive(PartialEq, Eq)]
enum End {
    /// At the graph's output.
    Output,
    /// At a node of two data inputs.
    Join(usize),
    /// Before or at something without a rule.
    Lost,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        graph: &'a GraphProto,
        constants: &'a HashMap<&'a str, &'a TensorProto>,
        output: &'a str,
        opset: i64,
    ) -> Self {
        let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (i, node) in graph.node.iter().enumerate() {
            let mut names: Vec<&str> = node.input.iter().map(String::as_str).collect();
            names.sort_unstable();
            names.dedup();
            names.iter().filter(|n| !n.is_empty()).for_each(|n| readers.entry(n).or_default().push(i));
        }
        Self { nodes: &graph.node, opset, constants, readers, output, seen: HashMap::new() }
    }

    /// Everything behind the graph's input; nothing where a node has no rule.
    pub(super) fn all(&mut self, input: &'a str, shape: &[usize]) -> Option<Chain<'a>> {
        let mut chain = Chain::new(self.constants, Some(shape.to_vec()));
        let end = self.row(&mut chain, input, 0);
        chain.close();
        // What was not reached is judged by its operator alone; parts of branches and functions cannot be.
        const PARTS: [&str; 10] = ["Add", "Sub", "Mul", "Div", "Pow", "Erf", "Exp", "Neg", "Tanh", "Sigmoid"];
        for i in 0..self.nodes.len() {
            if !self.seen.contains_key(&i) {
                let node = &self.nodes[i];
                let part = end == End::Lost && PARTS.contains(&node.op_type.as_str());
                let help = Chain::new(self.constants, None).node(node).err().filter(|_| !part);
                let beside = || format!("it does not read what the node before it gives, and that alone; {ROW}");
                let help = help.or_else(|| (end != End::Lost).then(beside));
                self.seen.insert(i, help);
            }
        }
        (end == End::Output).then_some(chain)
    }

    /// What stands against every node, in the file's order.
    pub(super) fn rules(&self) -> Vec<Rule> {
        let rule = |(i, n): (usize, &NodeProto)| Rule {
            name: title(n),
            op: n.op_type.clone(),
            help: self.seen.get(&i).cloned().flatten(),
        };
        self.nodes.iter().enumerate().map(rule).collect()
    }

    pub(super) fn data<'b>(&'b self, node: &'b NodeProto) -> impl Iterator<Item = &'b str> {
        node.input.iter().map(String::as_str).filter(|i| !i.is_empty() && !self.constants.contains_key(i))
    }

    fn refuse(&mut self, i: usize, why: String) -> End {
        self.seen.insert(i, Some(why));
        End::Lost
    }

    /// Layers from this value on, until two values meet.
    fn row(&mut self, chain: &mut Chain<'a>, from: &'a str, depth: usize) -> End {
        let mut current = from;
        loop {
            let readers = self.readers.get(current).cloned().unwrap_or_default();
            if current == self.output {
                return match readers.first() {
                    None => End::Output,
                    Some(i) => self.refuse(*i, "it reads the output of the network".to_owned()),
                };
            }
            if let Some((activation, nodes, exit)) = self.function(current) {
                nodes.into_iter().for_each(|i| {
                    self.seen.insert(i, None);
                });
                chain.close();
                if chain.push(Layer::Smooth(activation)).is_err() {
                    return End::Lost;
                }
                current = exit;
                continue;
            }
            if let Some(shape) = chain.shape.clone()
                && let Some(region) = self.attention(current, &shape)
            {
                region.nodes.into_iter().for_each(|i| {
                    self.seen.insert(i, None);
                });
                chain.close();
                if chain.push(region.layer).is_err() {
                    return End::Lost;
                }
                current = region.exit;
                continue;
            }
            current = match readers[..] {
                [] => return End::Lost,
                [i] => {
                    let node = &self.nodes[i];
                    if self.data(node).count() > 1 {
                        return End::Join(i);
                    }
                    let why = chain.node(node).err();
                    let lost = why.is_some();
                    self.seen.insert(i, why);
                    if lost {
                        return End::Lost;
                    }
                    node.output.first().map_or("", String::as_str)
                }
                [a, b] => match self.branches(chain, current, [a, b], depth) {
                    Ok(exit) => exit,
                    Err(end) => return end,
                },
                [i, ..] => return self.refuse(i, format!("more than two nodes read '{current}'; {ROW}")),
            };
        }
    }

    /// Two branches that read one value, and what joins them.
    fn branches(
        &mut self,
        chain: &mut Chain<'a>,
        from: &'a str,
        readers: [usize; 2],
        depth: usize,
    ) -> Result<&'a str, End> {
        chain.close();
        let mut ends = vec![];
        let mut rows = vec![];
        for i in readers {
            let mut row = chain.branch();
            let node = &self.nodes[i];
            let end = if self.data(node).count() > 1 {
                End::Join(i)
            } else if depth == MAX_DEPTH {
                self.refuse(i, format!("more than {MAX_DEPTH} branches inside each other"))
            } else {
                match row.node(node) {
                    Ok(()) => {
                        self.seen.insert(i, None);
                        let next = node.output.first().map_or("", String::as_str);
                        self.row(&mut row, next, depth + 1)
                    }
                    Err(why) => self.refuse(i, why),
                }
            };
            row.close();
            ends.push(end);
            rows.push(row);
        }
        let (Some(second), Some(first)) = (rows.pop(), rows.pop()) else { return Err(End::Lost) };
        match ends[..] {
            [End::Join(a), End::Join(b)] if a == b && self.nodes[a].op_type == "Add" => {
                let (body, shortcut) = if first.layers.is_empty() { (second, first) } else { (first, second) };
                let why = chain.residual(body, shortcut).err();
                let lost = why.is_some();
                self.seen.insert(a, why);
                if lost { Err(End::Lost) } else { Ok(self.nodes[a].output.first().map_or("", String::as_str)) }
            }
            [End::Join(i), _] | [_, End::Join(i)] => {
                let op = &self.nodes[i].op_type;
                Err(self.refuse(i, format!("{op} of two branches of '{from}' has no gradient rule; {ROW}")))
            }
            _ => Err(End::Lost),
        }
    }

    /// The smooth function that the nodes behind a value write, those nodes, and its value. Nodes are added until only one of their
    /// values is read elsewhere; what they compute there is compared with all functions that have a rule.
    fn function(&self, from: &'a str) -> Option<(Activation, Vec<usize>, &'a str)> {
        const POINTS: [f64; 13] = [-7.3, -4.1, -2.6, -1.7, -0.9, -0.35, -0.02, 0.11, 0.6, 1.3, 2.2, 3.9, 6.7];
        let mut values: HashMap<&str, Vec<f64>> = HashMap::from([(from, POINTS.to_vec())]);
        let mut inside: Vec<usize> = vec![];
        let start = *self.readers.get(from)?.iter().min()?;
        for (i, node) in self.nodes.iter().enumerate().skip(start) {
            let reads = self.data(node).any(|n| values.contains_key(n));
            let (true, [output]) = (reads, node.output.as_slice()) else { continue };
            let Some(value) = self.apply(node, &values) else { continue };
            values.insert(output, value);
            inside.push(i);
            if inside.len() > MAX_FUNCTION {
                return None;
            }
            let members: HashSet<usize> = inside.iter().copied().collect();
            let within = |name: &str| {
                name != self.output && self.readers.get(name).is_some_and(|r| r.iter().all(|i| members.contains(i)))
            };
            if values.keys().all(|name| *name == output.as_str() || within(name))
                && let Some(got) = values.get(output.as_str())
                && let Some(a) = Activation::ALL.into_iter().find(|a| a.is(&POINTS, got))
            {
                return Some((a, inside, output));
            }
        }
        None
    }

    /// An elementwise node of known values and single constants.
    fn apply(&self, node: &NodeProto, values: &HashMap<&str, Vec<f64>>) -> Option<Vec<f64>> {
        let operand = |i: usize| -> Option<Vec<f64>> {
            let name = node.input.get(i)?.as_str();
            match self.constants.get(name) {
                Some(t) => match floats(t).ok()?.1[..] {
                    [v] => Some(vec![v.into()]),
                    _ => None,
                },
                None => values.get(name).cloned(),
            }
        };
        let one = |f: &dyn Fn(f64) -> f64| Some(operand(0)?.into_iter().map(f).collect());
        let two = |f: &dyn Fn(f64, f64) -> f64| {
            let (a, b) = (operand(0)?, operand(1)?);
            let n = a.len().max(b.len());
            Some((0..n).map(|i| f(a[i % a.len()], b[i % b.len()])).collect())
        };
        match node.op_type.as_str() {
            _ if !node.attribute.is_empty() => None,
            "Add" => two(&|a, b| a + b),
            "Sub" => two(&|a, b| a - b),
            "Mul" => two(&|a, b| a * b),
            "Div" => two(&|a, b| a / b),
            "Pow" => two(&libm::pow),
            "Erf" => one(&libm::erf),
            "Exp" => one(&libm::exp),
            "Neg" => one(&|v| -v),
            "Tanh" => one(&libm::tanh),
            "Sigmoid" => one(&|v| 1.0 / (1.0 + libm::exp(-v))),
            _ => None,
        }
    }
}
