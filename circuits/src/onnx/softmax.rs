//! A model without the softmax at its end.

use tract_onnx::pb::GraphProto;

/// Turns a Softmax or LogSoftmax that computes an output of the model, and nothing else, into the identity: the output is what
/// went into it. Names stay what they are. Returns a remark for each, which says what is proven then.
pub(super) fn drop_last(graph: &mut GraphProto) -> Vec<String> {
    let outputs: Vec<String> = graph.output.iter().map(|o| o.name.clone()).collect();
    let read: Vec<String> = graph.node.iter().flat_map(|n| n.input.iter().cloned()).collect();
    let mut notes = Vec::new();
    for node in &mut graph.node {
        let last = node.output.first().is_some_and(|o| outputs.contains(o) && !read.contains(o));
        if !last || !matches!(node.op_type.as_str(), "Softmax" | "LogSoftmax") {
            continue;
        }
        notes.push(format!(
            "output '{}': its {} is dropped. What is proven are the values that went into it (logits): the same one is the \
             largest, but they are no probabilities; whoever needs those applies {} to the proven output",
            node.output.first().map_or("", String::as_str),
            node.op_type,
            if node.op_type == "Softmax" { "softmax" } else { "log_softmax" },
        ));
        node.op_type = "Identity".to_owned();
        node.attribute.clear();
    }
    notes
}
