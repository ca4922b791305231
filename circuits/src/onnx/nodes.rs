//! The nodes of a file, and what is known of operators that cannot be compiled.

use std::collections::HashSet;
use tract_onnx::pb::GraphProto;

/// A node as the file has it.
#[derive(Clone, Debug)]
pub struct SourceNode {
    /// Its name, or that of its first output where it has none.
    pub name: String,
    /// The ONNX operator.
    pub op: String,
    /// Names of its outputs.
    pub outputs: Vec<String>,
    /// Whether its value depends on the model's inputs (and not just on their shapes).
    pub dynamic: bool,
    /// Whether the operator exists in the ONNX standard that tract knows.
    pub known: bool,
    /// Whether it was read as part of the operators that follow it.
    pub(crate) folded: bool,
}

/// Lists all nodes in the file's order.
pub(crate) fn list_nodes(graph: &GraphProto, inputs: &[(String, Vec<usize>)], opset: i64) -> Vec<SourceNode> {
    let mut dynamic: HashSet<&str> = inputs.iter().map(|(n, _)| n.as_str()).collect();
    let mut out = Vec::with_capacity(graph.node.len());
    let register = tract_onnx::onnx().op_register.0;
    for (i, n) in graph.node.iter().enumerate() {
        let first = n.output.iter().find(|o| !o.is_empty());
        let name = match (n.name.is_empty(), first) {
            (false, _) => n.name.clone(),
            (true, Some(o)) => o.clone(),
            (true, None) => format!("node {i}"),
        };
        let static_shape = matches!(n.op_type.as_str(), "Shape" | "Size");
        // A body reads what lies around it.
        let mut read: Vec<&str> = n.input.iter().map(String::as_str).collect();
        n.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs)).for_each(|g| mentioned(g, &mut read));
        let is_dynamic = !static_shape && read.iter().any(|x| dynamic.contains(x));
        if is_dynamic {
            dynamic.extend(n.output.iter().map(String::as_str));
        }
        out.push(SourceNode {
            name,
            op: n.op_type.clone(),
            outputs: n.output.clone(),
            dynamic: is_dynamic,
            known: register.contains_key(&n.op_type) || super::rewrite::knows(n, opset),
            folded: false,
        });
    }
    out
}

/// All names that a subgraph reads; some may be its own.
pub(crate) fn mentioned<'g>(graph: &'g GraphProto, out: &mut Vec<&'g str>) {
    out.extend(graph.output.iter().map(|o| o.name.as_str()));
    for n in &graph.node {
        out.extend(n.input.iter().map(String::as_str));
        n.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs)).for_each(|g| mentioned(g, out));
    }
}

/// What would help with an operator that is known not to work; `None` for all others.
pub(crate) fn blocked(node: &SourceNode) -> Option<&'static str> {
    let help = known_help(node);
    if !node.known {
        let help =
            help.unwrap_or("it is no operator of the ONNX standard that is known here; replace it by standard ones");
        return Some(help);
    }
    help.filter(|_| node.dynamic)
}

/// What would help with operators of the standard and of exporters that are often met.
fn known_help(node: &SourceNode) -> Option<&'static str> {
    Some(match node.op.as_str() {
        "NonZero" | "NonMaxSuppression" | "Unique" => {
            "its result depends on the order of the data; leave it to the program that reads the model's output"
        }
        "RoiAlign" | "MaxUnpool" => {
            "its places are computed in fractions; use Resize, or leave it to the program around"
        }
        "DynamicQuantizeLinear" if !node.folded => {
            "its integers leave it for more than a MatMulInteger or ConvInteger whose result becomes a float; \
             quantize statically, or export the float model"
        }
        "RandomNormal" | "RandomUniform" | "RandomNormalLike" | "RandomUniformLike" | "Multinomial" | "Bernoulli" => {
            "randomness cannot be proven; export the model for inference"
        }
        op if op.starts_with("Sequence") || op == "SplitToSequence" || op == "ConcatFromSequence" => {
            "sequences of tensors are no tensors; export each of them as an output of its own (zipmap=False)"
        }
        op if op.starts_with("String") || op.starts_with("Tokenizer") || op == "TfIdfVectorizer" => {
            "it works on texts; encode them before the model, and export what follows"
        }
        "PagedAttention" | "DecoderMaskedMultiHeadAttention" => {
            "its cache is laid out for a runtime; export the model with the standard's Attention, or attention written out"
        }
        "BeamSearch" | "GreedySearch" | "Sampling" => {
            "it runs a model in a loop that depends on data; export the model of one step, and search around it"
        }
        _ => return None,
    })
}
