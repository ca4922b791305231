//! Layers in a row, node by node.

use super::{Constant, ROW, attributes::Attributes, floats, integers, title};
use crate::train::{Activation, Layer};
use std::collections::HashMap;
use tract_onnx::pb::{NodeProto, TensorProto};

/// Layers in a row while they are read.
pub(super) struct Chain<'a> {
    constants: &'a HashMap<&'a str, &'a TensorProto>,
    /// Shape of what the last layer gives, without the batch; `None` behind a node that has no rule.
    pub(super) shape: Option<Vec<usize>>,
    pub(super) layers: Vec<Layer>,
    pub(super) weights: Vec<Vec<f32>>,
    /// Names of the nodes of dense layers, in their order.
    pub(super) titles: Vec<String>,
    /// Outputs of a MatMul that still waits for its bias.
    open: Option<usize>,
    pub(super) tail: Option<String>,
}

impl<'a> Chain<'a> {
    pub(super) fn new(constants: &'a HashMap<&'a str, &'a TensorProto>, shape: Option<Vec<usize>>) -> Self {
        Self { constants, shape, layers: vec![], weights: vec![], titles: vec![], open: None, tail: None }
    }

    /// A chain that goes on from here.
    pub(super) fn branch(&self) -> Self {
        Self::new(self.constants, self.shape.clone())
    }

    /// Gives a MatMul without a bias one of zeros.
    pub(super) fn close(&mut self) {
        if let Some(outputs) = self.open.take() {
            self.weights.push(vec![0.0; outputs]);
        }
    }

    /// Two branches that an Add joins.
    pub(super) fn residual(&mut self, body: Self, shortcut: Self) -> Result<(), String> {
        self.push(Layer::Residual { body: body.layers, shortcut: shortcut.layers })?;
        self.weights.extend(body.weights);
        self.weights.extend(shortcut.weights);
        self.titles.extend(body.titles);
        self.titles.extend(shortcut.titles);
        Ok(())
    }

    fn constant(&self, node: &NodeProto, i: usize) -> Result<Option<Constant>, String> {
        let Some(name) = node.input.get(i).filter(|n| !n.is_empty()) else { return Ok(None) };
        let t = self.constants.get(name.as_str()).ok_or("its weights must be constants of the file")?;
        floats(t).map(Some)
    }

    pub(super) fn push(&mut self, layer: Layer) -> Result<(), String> {
        if let Some(shape) = &self.shape {
            self.shape = Some(layer.apply(shape)?);
        }
        self.layers.push(layer);
        Ok(())
    }

    /// Extents of the image that is read.
    fn image(&self) -> Result<[usize; 3], String> {
        match self.shape.as_deref() {
            Some([c, h, w]) => Ok([*c, *h, *w]),
            Some(other) => Err(format!("needs [channels, height, width], its input is {other:?}")),
            None => Ok([1; 3]),
        }
    }

    fn dense(&mut self, (shape, values): Constant, transposed: bool) -> Result<usize, String> {
        let [rows, columns] = shape[..] else { return Err(format!("weights of shape {shape:?}; two axes are needed")) };
        let (inputs, outputs) = if transposed { (columns, rows) } else { (rows, columns) };
        self.push(Layer::Dense { inputs, outputs })?;
        let at = |i: usize, o: usize| if transposed { o * inputs + i } else { i * outputs + o };
        let w = (0..inputs * outputs).map(|k| values.get(at(k / outputs, k % outputs)).copied().unwrap_or(0.0));
        self.weights.push(w.collect());
        Ok(outputs)
    }

    fn bias(&mut self, given: Option<Constant>, outputs: usize) -> Result<(), String> {
        let (shape, values) = given.unwrap_or_else(|| (vec![outputs], vec![0.0; outputs]));
        if values.len() != outputs || shape.last().is_some_and(|n| *n != outputs) {
            return Err(format!("a bias of shape {shape:?} for {outputs} outputs"));
        }
        self.weights.push(values);
        Ok(())
    }

    fn token_norm(&mut self, node: &NodeProto, epsilon: f32) -> Result<(), String> {
        let (shape, gain) = self.constant(node, 1)?.ok_or("it has no scale")?;
        let [width] = shape[..] else {
            return Err(format!("a scale of shape {shape:?}; one value for each index of the last axis is needed"));
        };
        let epsilon = (f64::from(epsilon) * f64::from(1u32 << 20)).round() as u32;
        self.push(Layer::TokenNorm { width, epsilon })?;
        self.weights.push(gain);
        let given = self.constant(node, 2)?;
        self.bias(given, width)
    }

    fn norm(&mut self, node: &NodeProto, groups: usize, epsilon: f32) -> Result<(), String> {
        let (shape, gain) = self.constant(node, 1)?.ok_or("it has no scale")?;
        let [channels] = shape[..] else {
            return Err(format!("a scale of shape {shape:?}; one value a channel is needed"));
        };
        // Compared as the layer counts it.
        let epsilon = (f64::from(epsilon) * f64::from(1u32 << 20)).round() as u32;
        self.push(Layer::Norm { channels, groups, epsilon })?;
        self.weights.push(gain);
        let given = self.constant(node, 2)?;
        self.bias(given, channels)
    }

    /// The next node.
    ///
    /// # Errors
    /// Why it cannot be trained.
    pub(super) fn node(&mut self, node: &NodeProto) -> Result<(), String> {
        let op = node.op_type.as_str();
        let mut a = Attributes::of(node);
        if self.tail.is_some() {
            return Err("nothing may come behind Softmax".to_owned());
        }
        if let Some(outputs) = self.open {
            let other = usize::from(self.constant(node, 0).map_or(true, |c| c.is_none()));
            if op == "Add"
                && let Ok(given) = self.constant(node, other)
            {
                self.open = None;
                return self.bias(given, outputs);
            }
            self.close();
        }
        match op {
            "Gemm" => {
                a.one("alpha")?;
                a.one("beta")?;
                if a.int("transA", 0) != 0 {
                    return Err("transA must be 0".to_owned());
                }
                let transposed = a.int("transB", 0) != 0;
                let w = self.constant(node, 1)?.ok_or("it has no weights")?;
                let outputs = self.dense(w, transposed)?;
                self.titles.push(title(node));
                let given = self.constant(node, 2)?;
                self.bias(given, outputs)?;
            }
            "MatMul" => {
                let w = self.constant(node, 1)?.ok_or("it has no weights")?;
                self.open = Some(self.dense(w, false)?);
                self.titles.push(title(node));
            }
            "Conv" => {
                a.explicit_pads()?;
                a.all("dilations", 1)?;
                let strides = a.ints("strides", &[1, 1]);
                let strides: Vec<usize> = strides.iter().filter_map(|s| usize::try_from(*s).ok()).collect();
                let strides = <[usize; 2]>::try_from(strides).map_err(|_| "two strides of one or more are needed")?;
                if a.int("group", 1) != 1 {
                    return Err("groups cannot be trained".to_owned());
                }
                a.ints("kernel_shape", &[]);
                let (shape, values) = self.constant(node, 1)?.ok_or("it has no weights")?;
                let [outputs, inputs, kh, kw] = shape[..] else {
                    return Err(format!("kernels of shape {shape:?}; convolutions of images have four axes"));
                };
                let pads = a.ints("pads", &[0; 4]);
                let pads: Vec<usize> = pads.iter().filter_map(|p| usize::try_from(*p).ok()).collect();
                let pads = <[usize; 4]>::try_from(pads).map_err(|_| "four pads of zero or more are needed")?;
                self.push(Layer::Conv { inputs, outputs, kernel: [kh, kw], pads, strides })?;
                self.weights.push(values);
                let given = self.constant(node, 2)?;
                self.bias(given, outputs)?;
            }
            "Relu" => self.push(Layer::Relu)?,
            "AveragePool" => self.push(Layer::AveragePool { size: squares(&mut a)? })?,
            "MaxPool" => {
                a.int("storage_order", 0);
                if node.output.len() > 1 && !node.output[1].is_empty() {
                    return Err("its indices cannot be trained".to_owned());
                }
                self.push(Layer::MaxPool { size: squares(&mut a)? })?;
            }
            "GlobalAveragePool" => match self.image()? {
                [_, h, w] if h == w => self.push(Layer::AveragePool { size: h })?,
                _ => return Err("it must average a square".to_owned()),
            },
            "Gelu" => match a.text("approximate", "none").as_str() {
                "none" => self.push(Layer::Smooth(Activation::Gelu))?,
                "tanh" => self.push(Layer::Smooth(Activation::GeluTanh))?,
                other => return Err(format!("approximate '{other}' is not known")),
            },
            "LayerNormalization" => {
                a.int("stash_type", 1);
                let axis = a.int("axis", -1);
                let axes = self.shape.as_ref().map_or(1, Vec::len);
                if axes > 2 || !(axis == -1 || usize::try_from(axis) == Ok(axes)) {
                    return Err(
                        "layer normalization of the last axis, of tokens or of all values, can be trained; of \
                        images, GroupNormalization"
                            .to_owned(),
                    );
                }
                let epsilon = a.float("epsilon", 1e-5);
                if axes == 2 { self.token_norm(node, epsilon)? } else { self.norm(node, 1, epsilon)? }
            }
            "GroupNormalization" => {
                a.int("stash_type", 1);
                let groups = usize::try_from(a.int("num_groups", 0)).unwrap_or(0);
                let epsilon = a.float("epsilon", 1e-5);
                self.norm(node, groups, epsilon)?;
            }
            "InstanceNormalization" => {
                let [channels, ..] = self.image()?;
                let epsilon = a.float("epsilon", 1e-5);
                self.norm(node, channels, epsilon)?;
            }
            "BatchNormalization" => {
                return Err(
                    "its statistics go over the batch: export the model in eval mode, which folds it into the layer \
                    before, or use GroupNormalization"
                        .to_owned(),
                );
            }
            "Flatten" => {
                if a.int("axis", 1) != 1 {
                    return Err("axis must be 1".to_owned());
                }
                self.push(Layer::Flatten)?;
            }
            "Reshape" => {
                a.int("allowzero", 0);
                let shape = node.input.get(1).and_then(|n| self.constants.get(n.as_str())).map(|t| integers(t));
                let n = self.shape.as_ref().map(|s| s.iter().product::<usize>());
                let all = |v: i64| v == -1 || n.is_none_or(|n| usize::try_from(v) == Ok(n));
                let flat = |s: &[i64]| s.len() == 2 && all(s[1]) && s[0] <= 1;
                if !shape.is_some_and(|s| flat(&s)) {
                    return Err("only a reshape to [batch, values] can be trained".to_owned());
                }
                self.push(Layer::Flatten)?;
            }
            "Identity" => {}
            "Dropout" => {
                a.ignore();
            }
            "Softmax" | "LogSoftmax" => {
                if !matches!(a.int("axis", -1), -1 | 1) {
                    return Err("it must go over the last axis".to_owned());
                }
                self.tail = Some(op.to_owned());
            }
            _ => return Err(format!("it has no gradient rule; {ROW}")),
        }
        a.end()
    }
}

/// Side of the squares of a pool.
fn squares(a: &mut Attributes<'_>) -> Result<usize, String> {
    a.explicit_pads()?;
    a.all("dilations", 1)?;
    a.all("pads", 0)?;
    a.int("count_include_pad", 0);
    if a.int("ceil_mode", 0) != 0 {
        return Err("ceil_mode must be 0".to_owned());
    }
    let kernel = a.ints("kernel_shape", &[]);
    if a.ints("strides", &[1, 1]) != kernel || kernel.len() != 2 || kernel[0] != kernel[1] {
        return Err("pools of squares that do not overlap can be trained".to_owned());
    }
    Ok(usize::try_from(kernel[0]).unwrap_or(0))
}
