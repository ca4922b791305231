//! Listing a model: what it needs, and which operators stand in the way.

use super::{
    calibrate::Stats,
    compile::rehearse,
    equalize::Equalized,
    error::ImportError,
    guard::guarded,
    load::FloatModel,
    lower::Widths,
    nodes::blocked,
    rounded::Rounded,
    tables::Plan,
    walk::{Settings, lower_model},
};
use std::collections::HashMap;

/// One node of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its name.
    pub name: String,
    /// The ONNX operator.
    pub op: String,
    /// Shape of its first output with a batch of one; `None` where it was merged into another node, or is unknown.
    pub shape: Option<Vec<usize>>,
    /// Whether it can be compiled.
    pub supported: bool,
    /// What would help where it cannot.
    pub help: Option<String>,
}

/// What a model consists of.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// Names and shapes of the inputs, batch 1.
    pub inputs: Vec<(String, Vec<usize>)>,
    /// Names of the outputs, with their shapes where they are known.
    pub outputs: Vec<(String, Option<Vec<usize>>)>,
    /// All nodes, in the file's order.
    pub nodes: Vec<NodeInfo>,
    /// Number of float constants in the file.
    pub parameters: u64,
    /// Multiply-adds of all contractions that could be lowered.
    pub multiply_adds: u128,
    /// A problem of the model as a whole that is no fault of one node.
    pub problem: Option<ImportError>,
    /// Remarks made while reading.
    pub notes: Vec<String>,
}

impl Inspection {
    /// Whether the model can be compiled.
    pub fn supported(&self) -> bool {
        self.problem.is_none() && self.nodes.iter().all(|n| n.supported)
    }
}

/// Lists a model. What the list says can be proven was compiled, with widths of 8 bits and made-up samples.
pub fn inspect(model: &FloatModel) -> Inspection {
    let mut helps: HashMap<String, String> = HashMap::new();
    let mut shapes: HashMap<String, Vec<usize>> = HashMap::new();
    let mut problem = None;
    let mut multiply_adds = 0;
    let mut outputs: Vec<(String, Option<Vec<usize>>)> = model.outputs.iter().map(|n| (n.clone(), None)).collect();
    for n in &model.nodes {
        if let Some(help) = blocked(n) {
            helps.insert(n.name.clone(), help.to_owned());
        }
    }
    match &model.refused {
        Some(ImportError::Unsupported { node, help, .. }) => {
            helps.entry(node.clone()).or_insert_with(|| help.clone());
        }
        Some(e) => problem = Some(e.clone()),
        None => {}
    }
    match &model.typed {
        Ok(typed) => {
            for node in typed.nodes() {
                if let Some(s) = node.outputs.first().and_then(|o| o.fact.shape.as_concrete()) {
                    shapes.insert(model.origin(&node.name, "").0.to_owned(), s.to_vec());
                }
            }
            for (out, outlet) in outputs.iter_mut().zip(&typed.outputs) {
                let fact = &typed.nodes()[outlet.node].outputs[outlet.slot].fact;
                out.1 = fact.shape.as_concrete().map(<[usize]>::to_vec);
            }
            let widths = Widths { weight: 8, activation: 8, limb: 8 };
            let (plan, rounded) = (Plan::default(), Rounded::default());
            let settings = Settings { widths, private_output: false, plan: &plan, rounded: &rounded };
            let lowered = guarded("lowering the model", || {
                lower_model(model, &Equalized::plain(model, typed), &Stats::default(), settings, &mut |_, _, e| {
                    if let ImportError::Unsupported { node, help, .. } = &e {
                        helps.entry(node.clone()).or_insert_with(|| help.clone());
                    } else {
                        problem.get_or_insert(e);
                    }
                    Ok(())
                })
            });
            match lowered {
                Ok(l) if helps.is_empty() => multiply_adds = l.graph.multiply_adds(),
                Ok(l) => multiply_adds = l.lowered_multiply_adds,
                Err(e) => problem = Some(e),
            }
        }
        Err(e) => {
            for (name, shape) in &model.shapes {
                shapes.insert(model.origin(name, "").0.to_owned(), shape.clone());
            }
            match e {
                ImportError::Unsupported { node, help, .. } => {
                    helps.entry(node.clone()).or_insert_with(|| help.clone());
                }
                // What nodes are to blame for has been said.
                _ if !helps.is_empty() => {}
                e => problem = Some(e.clone()),
            }
        }
    }
    if helps.is_empty() && problem.is_none() {
        // Every operator is known; whether they go together is seen by doing it.
        match rehearse(model) {
            Ok(_) => {}
            Err(ImportError::Unsupported { node, help, .. }) if model.nodes.iter().any(|n| n.name == node) => {
                helps.insert(node, help);
            }
            Err(e) => problem = Some(e),
        }
    }
    let nodes = model
        .nodes
        .iter()
        .map(|n| NodeInfo {
            name: n.name.clone(),
            op: n.op.clone(),
            shape: shapes.get(&n.name).cloned(),
            supported: !helps.contains_key(&n.name),
            help: helps.get(&n.name).cloned(),
        })
        .collect();
    Inspection {
        inputs: model.inputs.clone(),
        outputs,
        nodes,
        parameters: model.parameters,
        multiply_adds,
        problem,
        notes: model.notes.clone(),
    }
}
