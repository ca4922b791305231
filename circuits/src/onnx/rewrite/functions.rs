//! Functions that a file defines, written out where they are called.
//!
//! A call becomes the function's nodes. Its inputs and outputs are those of the call, other tensors get the call's name in front of
//! theirs, and attributes that refer to an attribute of the call get its value. Calls in functions and in bodies are written out too.

use super::{control::rename, opset};
use crate::onnx::error::ImportError;
use prost::Message;
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::{FunctionProto, ModelProto, NodeProto};

type Result<T> = std::result::Result<T, ImportError>;

/// Deepest chain of calls.
const MAX_DEPTH: usize = 32;
/// Most nodes and calls of a model whose calls are written out.
const MAX_NODES: usize = 1 << 16;
/// Most bytes of the nodes of all calls.
const MAX_BYTES: usize = 1 << 27;

fn malformed(reason: String) -> ImportError {
    ImportError::Malformed { reason }
}

/// Writes out all calls of a model's own functions.
///
/// # Errors
/// A function that calls itself or is of another operator set than the model; an attribute whose default is not known; more nodes than
/// are possible.
pub(crate) fn inline(proto: &mut ModelProto) -> Result<()> {
    let functions = std::mem::take(&mut proto.functions);
    if functions.is_empty() {
        return Ok(());
    }
    let version = opset(proto);
    for f in &functions {
        let own = f.opset_import.iter().find(|o| matches!(o.domain.as_str(), "" | "ai.onnx"));
        if own.is_some_and(|o| o.version != version) {
            return Err(malformed(format!(
                "its function '{}' is of another operator set than the model; inline it (onnx.inliner.inline_local_functions)",
                f.name()
            )));
        }
    }
    let named = functions.iter().map(|f| ((f.domain(), f.name()), f)).collect();
    let mut calls = Calls { functions: named, made: 0, nodes: 0, bytes: 0 };
    if let Some(graph) = &mut proto.graph {
        let nodes = std::mem::take(&mut graph.node);
        calls.write_out(nodes, 0, &mut graph.node)?;
    }
    Ok(())
}

struct Calls<'f> {
    functions: HashMap<(&'f str, &'f str), &'f FunctionProto>,
    /// Calls that are written out, by which names differ.
    made: usize,
    nodes: usize,
    bytes: usize,
}

impl Calls<'_> {
    fn write_out(&mut self, nodes: Vec<NodeProto>, depth: usize, out: &mut Vec<NodeProto>) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(malformed(format!("its functions call each other more than {MAX_DEPTH} deep")));
        }
        for mut node in nodes {
            for g in node.attribute.iter_mut().flat_map(|a| a.g.iter_mut().chain(&mut a.graphs)) {
                let body = std::mem::take(&mut g.node);
                self.write_out(body, depth + 1, &mut g.node)?;
            }
            match self.functions.get(&(node.domain.as_str(), node.op_type.as_str())).copied() {
                Some(f) => {
                    let body = self.body(f, &node)?;
                    self.write_out(body, depth + 1, out)?;
                }
                None => {
                    out.push(node);
                    self.nodes += 1;
                    self.bounded()?;
                }
            }
        }
        Ok(())
    }

    fn bounded(&self) -> Result<()> {
        if self.nodes + self.made > MAX_NODES || self.bytes > MAX_BYTES {
            return Err(malformed(format!(
                "more than {MAX_NODES} nodes, or {MAX_BYTES} bytes, when its functions are written out"
            )));
        }
        Ok(())
    }

    /// The nodes of a call.
    fn body(&mut self, f: &FunctionProto, call: &NodeProto) -> Result<Vec<NodeProto>> {
        self.made += 1;
        self.bytes += f.node.iter().map(Message::encoded_len).sum::<usize>();
        self.bounded()?;
        let label = if call.name.is_empty() { call.op_type.as_str() } else { call.name.as_str() };
        let prefix = format!("{label}.call{}", self.made);
        let at = |names: &[String], i: usize| names.get(i).cloned().unwrap_or_default();
        let mut names: HashMap<String, String> =
            f.input.iter().enumerate().map(|(i, name)| (name.clone(), at(&call.input, i))).collect();
        let made: HashSet<&str> = f.node.iter().flat_map(|n| &n.output).map(String::as_str).collect();
        let mut out = Vec::with_capacity(f.node.len());
        // Outputs that are inputs.
        for (i, name) in f.output.iter().enumerate().filter(|(_, name)| !made.contains(name.as_str())) {
            let (from, to) = (names.get(name).cloned().unwrap_or_default(), at(&call.output, i));
            if !to.is_empty() {
                out.push(NodeProto {
                    name: format!("{prefix}.output{i}"),
                    op_type: "Identity".to_owned(),
                    input: vec![from],
                    output: vec![to],
                    ..NodeProto::default()
                });
            }
        }
        for (i, name) in f.output.iter().enumerate().filter(|(_, name)| made.contains(name.as_str())) {
            names.insert(name.clone(), at(&call.output, i));
        }
        for (k, node) in f.node.iter().enumerate() {
            let mut node = node.clone();
            bind(&mut node, f, call)?;
            let label = if node.name.is_empty() { format!("node{k}") } else { node.name.clone() };
            node.name = format!("{prefix}.{label}");
            for o in node.output.iter().filter(|o| !o.is_empty()) {
                let new = names.get(o).filter(|new| !new.is_empty()).cloned();
                names.insert(o.clone(), new.unwrap_or_else(|| format!("{prefix}.{o}")));
            }
            rename(&mut node, &names);
            node.output.iter_mut().for_each(|o| {
                if let Some(new) = names.get(o) {
                    o.clone_from(new);
                }
            });
            out.push(node);
        }
        Ok(out)
    }
}

/// Gives a node of a function the attributes of a call that it refers to.
fn bind(node: &mut NodeProto, f: &FunctionProto, call: &NodeProto) -> Result<()> {
    let attributes = std::mem::take(&mut node.attribute);
    for mut a in attributes {
        if !a.ref_attr_name.is_empty() {
            let given = call.attribute.iter().find(|g| g.name == a.ref_attr_name);
            match given {
                Some(given) => {
                    let name = std::mem::take(&mut a.name);
                    a = given.clone();
                    a.name = name;
                }
                // One that may be left out is left out here too; others have a default, which the reader of the format drops.
                None if f.attribute.contains(&a.ref_attr_name) => continue,
                None => {
                    return Err(malformed(format!(
                        "a call of its function '{}' leaves out '{}'; inline it (onnx.inliner.inline_local_functions)",
                        f.name(),
                        a.ref_attr_name
                    )));
                }
            }
        }
        for n in a.g.iter_mut().chain(&mut a.graphs).flat_map(|g| &mut g.node) {
            bind(n, f, call)?;
        }
        node.attribute.push(a);
    }
    Ok(())
}
