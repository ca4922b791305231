//! Adapters of low rank on a network whose own weights stay as they are.

use super::Trainable;
use crate::train::Layer;

/// What adapters are like.
#[derive(Clone, Debug)]
pub struct Adapters {
    /// Their rank.
    pub rank: usize,
    /// log2 of what their part is multiplied by.
    pub scale_bits: u32,
    /// Names of the nodes whose matrices get one; empty for all matrices with more rows and more columns than the rank.
    pub nodes: Vec<String>,
}

/// What is left to turn, and what came of it.
struct Turning<'a> {
    adapters: &'a Adapters,
    titles: std::slice::Iter<'a, String>,
    unit: &'a mut dyn FnMut() -> f32,
    weights: Vec<Vec<f32>>,
    found: Vec<String>,
}

impl Turning<'_> {
    fn row(&mut self, layers: &[Layer]) -> Vec<Layer> {
        layers.iter().map(|l| self.one(l)).collect()
    }

    fn one(&mut self, layer: &Layer) -> Layer {
        let fixed = || Layer::Fixed { layer: Box::new(layer.clone()) };
        match layer {
            Layer::Dense { inputs, outputs } => {
                let title = self.titles.next().cloned().unwrap_or_default();
                let a = self.adapters;
                let chosen =
                    if a.nodes.is_empty() { *inputs > a.rank && *outputs > a.rank } else { a.nodes.contains(&title) };
                if !chosen {
                    return fixed();
                }
                self.found.push(title);
                // What goes down begins anywhere, what goes up at zero: at the start the adapter adds nothing.
                let limit = 1.0 / (*inputs as f32).sqrt();
                self.weights.push((0..inputs * a.rank).map(|_| limit * (self.unit)()).collect());
                self.weights.push(vec![0.0; a.rank * outputs]);
                Layer::Adapted { inputs: *inputs, outputs: *outputs, rank: a.rank, scale_bits: a.scale_bits }
            }
            Layer::Conv { .. } | Layer::Norm { .. } | Layer::TokenNorm { .. } => fixed(),
            Layer::Residual { body, shortcut } => {
                Layer::Residual { body: self.row(body), shortcut: self.row(shortcut) }
            }
            other => other.clone(),
        }
    }
}

impl Trainable {
    /// The network with adapters; all that the file holds stays as it is. `unit` gives numbers from -1 to 1.
    ///
    /// # Errors
    /// A node that has no matrix, or none that gets an adapter.
    pub fn adapt(&self, adapters: &Adapters, unit: &mut dyn FnMut() -> f32) -> Result<Self, String> {
        let mut t = Turning { adapters, titles: self.titles.iter(), unit, weights: vec![], found: vec![] };
        let layers = t.row(&self.network.layers);
        let Turning { weights, found, .. } = t;
        if let Some(missing) = adapters.nodes.iter().find(|n| !found.contains(n)) {
            return Err(format!("no matrix belongs to a node '{missing}'; those that do: {}", self.titles.join(", ")));
        }
        if found.is_empty() {
            return Err(format!("no matrix has more than {} rows and columns", adapters.rank));
        }
        let mut out = self.clone();
        out.network.layers = layers;
        out.base = std::mem::replace(&mut out.weights, weights);
        out.network.shapes().map_err(|e| e.to_string())?;
        Ok(out)
    }
}
