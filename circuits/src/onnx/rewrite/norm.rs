//! Batch normalization with computed parameters.

use super::{
    Rule,
    builder::{Builder, Result},
    table,
};
use tract_onnx::pb::NodeProto;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    let training = node.attribute.iter().any(|a| a.name == "training_mode" && a.i != 0);
    table(node, &[("BatchNormalization", batch, true)]).filter(|_| !node.name.ends_with(".kept") && !training)
}

/// tract's own for constant parameters, `(x - mean) scale / sqrt(var + eps) + bias` otherwise.
fn batch(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let names: Vec<String> = (0..5).map(|i| b.need(i)).collect::<Result<_>>()?;
    let eps = b.float_or("epsilon", 1e-5);
    let x = &names[0];
    let rank = b.shape(x)?.len();
    let constant = names[1..].iter().all(|n| b.values(n).is_some());
    if constant {
        let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
        let attributes = b.node.attribute.clone();
        let out = b.op("BatchNormalization", &inputs, attributes);
        if let Some(last) = b.nodes.last_mut() {
            last.name.push_str(".kept");
        }
        return Ok(vec![out]);
    }
    let mut params = Vec::new();
    for n in &names[1..] {
        let mut along = vec![1; rank];
        if rank > 1 {
            along[1] = b.shape(n)?.iter().product();
        }
        params.push(b.reshape(n, &along));
    }
    let eps = b.float(eps);
    let var = b.op("Add", &[&params[3], &eps], vec![]);
    let deviation = b.op("Sqrt", &[&var], vec![]);
    let factor = b.op("Div", &[&params[0], &deviation], vec![]);
    let centred = b.op("Sub", &[x, &params[2]], vec![]);
    let scaled = b.op("Mul", &[&centred, &factor], vec![]);
    Ok(vec![b.op("Add", &[&scaled, &params[1]], vec![])])
}
