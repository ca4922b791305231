//! Rearrangements: SpaceToDepth in both orders, Tile, ConstantOfShape with its standard type.

use super::{
    Rule,
    builder::{Builder, Result},
    table,
};
use crate::onnx::error::ImportError;
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    let bare = node.op_type == "ConstantOfShape" && !node.attribute.iter().any(|a| a.name == "value");
    if bare {
        return Some((constant, false));
    }
    table(node, &[("SpaceToDepth", space_to_depth, true), ("Tile", tile, true)])
}

/// Without a value the standard says float32; tract would take float64.
fn constant(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let shape = b.need(0)?;
    let zero = TensorProto { dims: vec![1], data_type: 1, raw_data: vec![0; 4], ..TensorProto::default() };
    let value = AttributeProto { name: "value".to_owned(), r#type: 4, t: Some(zero), ..AttributeProto::default() };
    Ok(vec![b.op("ConstantOfShape", &[&shape], vec![value])])
}

fn space_to_depth(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    let block = usize::try_from(b.int_or("blocksize", 0)).unwrap_or(0);
    let [n, c, h, w] = shape[..] else {
        return Err(ImportError::unsupported(format!("shape {shape:?}; four axes are needed")));
    };
    if block == 0 || h % block != 0 || w % block != 0 {
        return Err(ImportError::unsupported(format!("blocks of {block} on shape {shape:?}")));
    }
    let perm = match b.text_or("mode", "DCR").as_str() {
        "DCR" => [0, 3, 5, 1, 2, 4],
        "CRD" => [0, 1, 3, 5, 2, 4],
        other => return Err(ImportError::unsupported(format!("mode '{other}'"))),
    };
    let y = b.reshape(&x, &[n, c, h / block, block, w / block, block]);
    let y = b.transpose(&y, &perm);
    Ok(vec![b.reshape(&y, &[n, c * block * block, h / block, w / block])])
}

/// Longest axis of a repeated tensor.
const MAX_TILED: usize = 1 << 20;

/// The tensor, repeated along its axes.
fn tile(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (mut y, repeats) = (b.need(0)?, b.need(1)?);
    let mut shape = b.shape(&y)?;
    let repeats = b.constant(&repeats)?;
    if repeats.len() != shape.len() {
        return Err(ImportError::unsupported(format!("{} repeats of a tensor of shape {shape:?}", repeats.len())));
    }
    for (axis, times) in repeats.iter().enumerate() {
        let n = shape[axis];
        let total = (*times as usize).saturating_mul(n);
        if *times < 1.0 || total > MAX_TILED {
            return Err(ImportError::unsupported(format!(
                "{n} entries {times} times; at most {MAX_TILED}, and not none"
            )));
        }
        y = super::border::select(b, y, &mut shape, axis, (0..total).map(|i| Some(i % n)).collect())?;
    }
    Ok(vec![y])
}
