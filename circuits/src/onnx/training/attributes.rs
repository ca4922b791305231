//! Attributes of nodes that are read for training: what nobody asks for is an error.

use std::collections::HashMap;
use tract_onnx::pb::{AttributeProto, NodeProto};

/// Attributes of a node, each of which has to be asked for.
pub(super) struct Attributes<'a>(HashMap<&'a str, &'a AttributeProto>);

impl<'a> Attributes<'a> {
    pub(super) fn of(node: &'a NodeProto) -> Self {
        Self(node.attribute.iter().map(|a| (a.name.as_str(), a)).collect())
    }

    pub(super) fn int(&mut self, name: &str, default: i64) -> i64 {
        self.0.remove(name).map_or(default, |a| a.i)
    }

    pub(super) fn ints(&mut self, name: &str, default: &[i64]) -> Vec<i64> {
        self.0.remove(name).map_or_else(|| default.to_vec(), |a| a.ints.clone())
    }

    pub(super) fn one(&mut self, name: &str) -> Result<(), String> {
        match self.0.remove(name) {
            Some(a) if a.f.to_bits() != 1f32.to_bits() => Err(format!("{name} must be 1; fold it into the weights")),
            _ => Ok(()),
        }
    }

    pub(super) fn explicit_pads(&mut self) -> Result<(), String> {
        match self.0.remove("auto_pad") {
            Some(a) if !matches!(a.s.as_slice(), b"NOTSET" | b"") => Err("give its pads as numbers".to_owned()),
            _ => Ok(()),
        }
    }

    pub(super) fn all(&mut self, name: &str, wanted: i64) -> Result<(), String> {
        match self.0.remove(name) {
            Some(a) if a.ints.iter().any(|v| *v != wanted) => {
                Err(format!("{name} other than {wanted} cannot be trained"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn float(&mut self, name: &str, default: f32) -> f32 {
        self.0.remove(name).map_or(default, |a| a.f)
    }

    pub(super) fn text(&mut self, name: &str, default: &str) -> String {
        self.0.remove(name).map_or_else(|| default.to_owned(), |a| String::from_utf8_lossy(&a.s).into_owned())
    }

    /// Leaves the rest out of account.
    pub(super) fn ignore(&mut self) {
        self.0.clear();
    }

    pub(super) fn end(self) -> Result<(), String> {
        self.0.keys().next().map_or(Ok(()), |name| Err(format!("its attribute {name} is not known here")))
    }
}
