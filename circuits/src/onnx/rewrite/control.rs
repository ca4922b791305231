//! If with a constant condition, Loop with a known number of trips, and Scan: their bodies, written out.
//!
//! Recurrent operators of the standard become one cell whatever the number of steps (`recurrent`); a body of any nodes is
//! repeated for each step.

use super::{
    Rule, axis,
    builder::{Builder, Result, int},
    table,
};
use crate::onnx::error::ImportError;
use prost::Message;
use std::collections::HashMap;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(node, &[("If", branch, true), ("Loop", repeat, true), ("Scan", scan, true)])
}

/// Most nodes that one operator is written out in.
const MAX_NODES: usize = 1 << 13;

fn body(b: &Builder<'_>, name: &str) -> Result<GraphProto> {
    let graph = b.node.attribute.iter().find(|a| a.name == name).and_then(|a| a.g.clone());
    graph.ok_or_else(|| ImportError::unsupported(format!("it has no '{name}'")))
}

/// Most bytes of the nodes that one operator is written out in.
const MAX_BYTES: usize = 1 << 27;

/// Refuses a body that would be written out too often.
fn within_bounds(graph: &GraphProto, runs: usize) -> Result<()> {
    // Cutting a step's tensors out and joining them takes a few nodes as well.
    let nodes = graph.node.len() + 2 * (graph.input.len() + graph.output.len()) + 1;
    let bytes: usize = graph.node.iter().map(Message::encoded_len).sum();
    if nodes.saturating_mul(runs) > MAX_NODES || bytes.saturating_mul(runs) > MAX_BYTES {
        let what = format!(
            "{runs} steps of {} nodes are too many to write out; use RNN, LSTM or GRU, or fewer steps",
            graph.node.len()
        );
        return Err(ImportError::unsupported(what));
    }
    Ok(())
}

/// One run of a body.
struct Run<'r> {
    graph: &'r GraphProto,
    /// Names of the body's constants, which all runs share.
    constants: &'r HashMap<String, String>,
    /// In front of the names of its nodes and tensors.
    prefix: String,
}

/// Adds the constants of a body: their names.
fn constants(b: &mut Builder<'_>, graph: &GraphProto, prefix: &str) -> HashMap<String, String> {
    let mut names = HashMap::new();
    for t in &graph.initializer {
        let name = format!("{prefix}.{}", t.name);
        names.insert(t.name.clone(), name.clone());
        b.constants.push(TensorProto { name, ..t.clone() });
    }
    names
}

impl Run<'_> {
    /// Adds the body's nodes with `inputs` in place of its inputs: the names of its outputs.
    fn inline(&self, b: &mut Builder<'_>, inputs: &[String]) -> Result<Vec<String>> {
        if inputs.len() != self.graph.input.len() {
            let what = format!("{} tensors for a body with {} inputs", inputs.len(), self.graph.input.len());
            return Err(ImportError::unsupported(what));
        }
        let mut names: HashMap<String, String> = self.constants.clone();
        names.extend(self.graph.input.iter().map(|i| i.name.clone()).zip(inputs.iter().cloned()));
        for (k, node) in self.graph.node.iter().enumerate() {
            let mut node = node.clone();
            let label = if node.name.is_empty() { format!("node{k}") } else { node.name.clone() };
            node.name = format!("{}.{label}#{k}", self.prefix);
            rename(&mut node, &names);
            for o in node.output.iter_mut().filter(|o| !o.is_empty()) {
                let new = format!("{}.{o}", self.prefix);
                names.insert(o.clone(), new.clone());
                *o = new;
            }
            b.nodes.push(node);
        }
        Ok(self.graph.output.iter().map(|o| names.get(&o.name).unwrap_or(&o.name).clone()).collect())
    }
}

/// Renames what a node and its subgraphs read.
pub(super) fn rename(node: &mut NodeProto, names: &HashMap<String, String>) {
    for i in &mut node.input {
        if let Some(new) = names.get(i) {
            i.clone_from(new);
        }
    }
    for graph in node.attribute.iter_mut().flat_map(|a| a.g.iter_mut().chain(&mut a.graphs)) {
        // What the subgraph defines itself hides outer names.
        let mut inner = names.clone();
        let own = graph.input.iter().map(|i| &i.name).chain(graph.initializer.iter().map(|t| &t.name));
        for name in own.chain(graph.node.iter().flat_map(|n| &n.output)) {
            inner.remove(name);
        }
        graph.node.iter_mut().for_each(|n| rename(n, &inner));
        for o in &mut graph.output {
            if let Some(new) = inner.get(&o.name) {
                o.name.clone_from(new);
            }
        }
    }
}

fn branch(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let condition = b.need(0)?;
    let value = b.values(&condition).and_then(|v| v.first().copied()).ok_or_else(|| {
        ImportError::unsupported(
            "its condition depends on data; where it is an input that never changes, name it: --set NAME=NUMBER; otherwise compute both branches and choose with Where",
        )
    })?;
    let graph = body(b, if value != 0.0 { "then_branch" } else { "else_branch" })?;
    within_bounds(&graph, 1)?;
    let prefix = format!("{}.branch", b.node.name);
    let constants = constants(b, &graph, &prefix);
    Run { graph: &graph, constants: &constants, prefix }.inline(b, &[])
}

/// Whether a body's condition stays what it was when it came in, or is always true.
fn keeps_going(graph: &GraphProto, came_in: &str, outer: &Builder<'_>) -> bool {
    let Some(mut name) = graph.output.first().map(|o| o.name.clone()) else { return false };
    for _ in 0..=graph.node.len() {
        if name == came_in {
            return true;
        }
        let truth = |t: &TensorProto| {
            t.data_type == 9 && (t.raw_data.iter().any(|v| *v != 0) || t.int32_data.iter().any(|v| *v != 0))
        };
        if graph.initializer.iter().any(|t| t.name == name && truth(t)) {
            return true;
        }
        let Some(node) = graph.node.iter().find(|n| n.output.contains(&name)) else {
            return outer.values(&name).is_some_and(|v| v.iter().all(|v| *v != 0.0));
        };
        match (node.op_type.as_str(), node.input.first()) {
            ("Identity" | "Cast", Some(before)) => name.clone_from(before),
            ("Constant", _) => return node.attribute.iter().filter_map(|a| a.t.as_ref()).any(truth),
            _ => return false,
        }
    }
    false
}

/// A scalar constant of a type, by ONNX number.
fn scalar(b: &mut Builder<'_>, data_type: i32, raw_data: Vec<u8>) -> String {
    let name = b.fresh();
    b.constants.push(TensorProto { name: name.clone(), data_type, raw_data, ..TensorProto::default() });
    name
}

/// Attributes of a Loop all of whose trips are written out: how many they are, and how many tensors each hands on. What is left of it
/// is the choice of the trip after which it ends.
const WRITTEN: [&str; 2] = ["written_trips", "written_state"];

fn on_data() -> ImportError {
    ImportError::unsupported("its condition depends on data; only a known number of trips can be proven")
}

/// The end of a Loop whose conditions are computed: after the first trip that makes a false one. They are constants where they count
/// trips, as recurrent layers of TensorFlow do. The inputs are the conditions that the trips make, what they hand on, and what each
/// adds to the collected outputs.
fn end(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let [trips, carried] = WRITTEN.map(|name| usize::try_from(b.int_or(name, 0)).unwrap_or(0));
    let lost = || ImportError::unsupported("it has too few inputs");
    let node = b.node;
    let inputs = &node.input;
    let mut last = trips;
    for (t, condition) in inputs.get(..trips).ok_or_else(lost)?.iter().enumerate() {
        let goes = b.values(condition).and_then(|v| v.first().copied()).ok_or_else(on_data)?;
        if goes == 0.0 {
            last = t + 1;
            break;
        }
    }
    let (states, pieces) = inputs[trips..].split_at_checked(trips.saturating_mul(carried)).ok_or_else(lost)?;
    let state = last.checked_sub(1).and_then(|t| states.get(t * carried..(t + 1) * carried)).ok_or_else(lost)?;
    let mut out = state.to_vec();
    let lists: Vec<Vec<String>> = pieces.chunks_exact(trips).map(|list| list[..last].to_vec()).collect();
    out.extend(lists.iter().map(|list| b.concat(list, 0)));
    Ok(out)
}

fn repeat(b: &mut Builder<'_>) -> Result<Vec<String>> {
    if b.node.attribute.iter().any(|a| a.name == WRITTEN[0]) {
        return end(b);
    }
    let graph = body(b, "body")?;
    let trips = match b.input(0) {
        Some(m) => b.values(&m).and_then(|v| v.first().copied()),
        None => None,
    };
    let trips = trips.ok_or_else(|| ImportError::unsupported("its number of trips must be a constant"))?;
    let goes = match b.input(1) {
        Some(c) => b.values(&c).and_then(|v| v.first().copied()),
        None => Some(1.0),
    };
    let came_in = graph.input.get(1).map(|i| i.name.clone()).unwrap_or_default();
    let goes = goes.ok_or_else(on_data)?;
    let counted = keeps_going(&graph, &came_in, b);
    let trips = if goes == 0.0 { 0 } else { trips.max(0.0) as usize };
    within_bounds(&graph, trips)?;
    let mut state: Vec<String> = b.node.input.get(2..).unwrap_or_default().to_vec();
    let outputs = graph.output.len().checked_sub(1 + state.len());
    let collected =
        outputs.ok_or_else(|| ImportError::unsupported("its body has fewer outputs than it carries tensors"))?;
    if collected > 0 && trips == 0 {
        return Err(ImportError::unsupported("no trips: its result is empty"));
    }
    let prefix = b.node.name.clone();
    let constants = constants(b, &graph, &format!("{prefix}.body"));
    let going = scalar(b, 9, vec![1]);
    let mut all: Vec<Vec<String>> = vec![vec![]; collected];
    let (mut conditions, mut states) = (Vec::new(), Vec::new());
    for t in 0..trips {
        let number = scalar(b, 7, (t as i64).to_le_bytes().to_vec());
        let mut inputs = vec![number, going.clone()];
        inputs.extend(state.iter().cloned());
        let run = Run { graph: &graph, constants: &constants, prefix: format!("{prefix}.trip{t}") };
        let made = run.inline(b, &inputs)?;
        let carried = state.len();
        state = made[1..=carried].to_vec();
        conditions.push(made[0].clone());
        states.extend(state.iter().cloned());
        for (list, one) in all.iter_mut().zip(&made[1 + carried..]) {
            list.push(b.unsqueeze(one, 0));
        }
    }
    if !counted && trips > 0 {
        let outputs: Vec<String> = (0..state.len() + collected).map(|k| format!("{prefix}.end.{k}")).collect();
        let sizes = [trips, state.len()];
        b.nodes.push(NodeProto {
            input: conditions.into_iter().chain(states).chain(all.concat()).collect(),
            output: outputs.clone(),
            name: format!("{prefix}.end"),
            op_type: "Loop".to_owned(),
            attribute: WRITTEN.iter().zip(sizes).map(|(name, n)| int(name, n as i64)).collect(),
            ..NodeProto::default()
        });
        return Ok(outputs);
    }
    let joined: Vec<String> = all.iter().map(|list| b.concat(list, 0)).collect();
    state.extend(joined);
    Ok(state)
}

fn scan(b: &mut Builder<'_>) -> Result<Vec<String>> {
    if b.opset < 9 {
        return Err(ImportError::unsupported("Scan of operator set 8; convert the model to a newer one"));
    }
    let graph = body(b, "body")?;
    let read = usize::try_from(b.int_or("num_scan_inputs", 0)).unwrap_or(0);
    let carried = b.node.input.len().checked_sub(read);
    let carried = carried.ok_or_else(|| ImportError::unsupported("it has fewer inputs than it scans"))?;
    let collected = graph.output.len().checked_sub(carried);
    let collected = collected.ok_or_else(|| ImportError::unsupported("its body has fewer outputs than states"))?;
    let list = |name: &str, n: usize| -> Result<Vec<i64>> {
        let values = b.ints(name).unwrap_or_else(|| vec![0; n]);
        if values.len() == n {
            Ok(values)
        } else {
            Err(ImportError::unsupported(format!("{} of {n} {name}", values.len())))
        }
    };
    let (in_axes, in_turns) = (list("scan_input_axes", read)?, list("scan_input_directions", read)?);
    let (out_axes, out_turns) = (list("scan_output_axes", collected)?, list("scan_output_directions", collected)?);
    let mut state: Vec<String> = b.node.input[..carried].to_vec();
    let mut sources = Vec::with_capacity(read);
    for (k, at) in in_axes.iter().enumerate() {
        let name = b.need(carried + k)?;
        let shape = b.shape(&name)?;
        let at = axis(*at, shape.len())?;
        sources.push((name, at, shape[at], in_turns[k] != 0));
    }
    let Some(steps) = sources.first().map(|s| s.2) else {
        return Err(ImportError::unsupported("it scans no tensor"));
    };
    if sources.iter().any(|s| s.2 != steps) || steps == 0 {
        return Err(ImportError::unsupported("tensors of different lengths are scanned"));
    }
    within_bounds(&graph, steps)?;
    let prefix = b.node.name.clone();
    let constants = constants(b, &graph, &format!("{prefix}.body"));
    let mut all: Vec<Vec<String>> = vec![vec![]; collected];
    for t in 0..steps {
        let mut inputs = state.clone();
        for (name, at, _, turned) in &sources {
            let i = if *turned { steps - 1 - t } else { t };
            let one = b.slice(name, *at, i, i + 1);
            inputs.push(b.squeeze(&one, &[*at as i64]));
        }
        let run = Run { graph: &graph, constants: &constants, prefix: format!("{prefix}.step{t}") };
        let made = run.inline(b, &inputs)?;
        state = made[..carried].to_vec();
        for (k, one) in made[carried..].iter().enumerate() {
            all[k].push(b.unsqueeze(one, out_axes[k]));
        }
    }
    for (k, mut list) in all.into_iter().enumerate() {
        if out_turns[k] != 0 {
            list.reverse();
        }
        state.push(b.concat(&list, out_axes[k]));
    }
    Ok(state)
}
