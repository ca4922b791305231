//! Networks that can be trained, from ONNX files and back: layers in a row, each with a gradient rule.
//!
//! Read: Gemm, MatMul with Add, Conv, Relu, AveragePool, GlobalAveragePool, Flatten, Reshape to one axis, Identity and Dropout, and
//! a Softmax or LogSoftmax at the end, which belongs to the loss. Everything else is refused by name.

use super::{
    check::check_graph,
    convert::{self, Converted},
    error::ImportError,
    external,
    load::{MAX_FILE_BYTES, decode},
    prune,
};
use crate::train::{Layer, Network};
use prost::Message;
use std::{collections::HashMap, io::Read, path::Path};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto,
    tensor_shape_proto::dimension::Value as Dim, type_proto,
};

/// A network of a file, with its weights.
#[derive(Clone, Debug)]
pub struct Trainable {
    /// Its layers.
    pub network: Network,
    /// Weights and biases in the order and shapes of [`Network::weights`].
    pub weights: Vec<Vec<f32>>,
    /// Operator at the end that belongs to the loss: `Softmax` or `LogSoftmax`.
    pub tail: Option<String>,
    input: ValueInfoProto,
    output: ValueInfoProto,
}

/// A node of a file, and why it cannot be trained where it cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Name of the node, or of its first output.
    pub name: String,
    /// The ONNX operator.
    pub op: String,
    /// What would help; `None` where there is a gradient rule.
    pub help: Option<String>,
}

const ROW: &str =
    "networks that can be trained are layers in a row: Gemm, MatMul with Add, Conv, Relu, AveragePool, Flatten";

fn malformed(reason: impl Into<String>) -> ImportError {
    ImportError::Malformed { reason: reason.into() }
}

fn title(n: &NodeProto) -> String {
    let first = n.output.iter().find(|o| !o.is_empty());
    if n.name.is_empty() { first.cloned().unwrap_or_default() } else { n.name.clone() }
}

fn read(path: &Path) -> Result<GraphProto, ImportError> {
    let failed = |e: std::io::Error| ImportError::Read { path: path.display().to_string(), reason: e.to_string() };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    let mut proto = decode(&bytes)?;
    external::read(&mut proto, path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    let mut graph = proto.graph.take().ok_or_else(|| malformed("it holds no graph"))?;
    if !proto.functions.is_empty() {
        return Err(malformed("it defines functions of its own; inline them (onnx.inliner.inline_local_functions)"));
    }
    prune::unused(&mut graph);
    check_graph(&graph, 0)?;
    convert::convert(&mut graph, &mut Converted::default())?;
    // Constants that are nodes become initializers.
    for n in &graph.node {
        if n.op_type == "Constant"
            && let (Some(name), Some(value)) =
                (n.output.first(), n.attribute.iter().find(|a| a.name == "value").and_then(|a| a.t.as_ref()))
        {
            graph.initializer.push(TensorProto { name: name.clone(), ..value.clone() });
        }
    }
    graph.node.retain(|n| n.op_type != "Constant");
    Ok(graph)
}

/// A float constant: shape and values.
type Constant = (Vec<usize>, Vec<f32>);

fn floats(t: &TensorProto) -> Result<Constant, String> {
    let shape = t.dims.iter().map(|d| usize::try_from(*d).unwrap_or(0)).collect::<Vec<_>>();
    let bytes = |b: &[u8]| <[u8; 4]>::try_from(b).map(f32::from_le_bytes).unwrap_or(f32::NAN);
    let values: Vec<f32> =
        if t.raw_data.is_empty() { t.float_data.clone() } else { t.raw_data.chunks(4).map(bytes).collect() };
    let fits = t.data_type == 1 && Some(values.len()) == shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    if !fits || values.iter().any(|v| !v.is_finite()) {
        return Err(format!("its constant '{}' must hold finite floats", t.name));
    }
    Ok((shape, values))
}

fn integers(t: &TensorProto) -> Vec<i64> {
    let bytes = |b: &[u8]| <[u8; 8]>::try_from(b).map(i64::from_le_bytes).unwrap_or(0);
    if t.raw_data.is_empty() { t.int64_data.clone() } else { t.raw_data.chunks(8).map(bytes).collect() }
}

/// Attributes of a node, each of which has to be asked for.
struct Attributes<'a>(HashMap<&'a str, &'a AttributeProto>);

impl<'a> Attributes<'a> {
    fn of(node: &'a NodeProto) -> Self {
        Self(node.attribute.iter().map(|a| (a.name.as_str(), a)).collect())
    }

    fn int(&mut self, name: &str, default: i64) -> i64 {
        self.0.remove(name).map_or(default, |a| a.i)
    }

    fn ints(&mut self, name: &str, default: &[i64]) -> Vec<i64> {
        self.0.remove(name).map_or_else(|| default.to_vec(), |a| a.ints.clone())
    }

    fn one(&mut self, name: &str) -> Result<(), String> {
        match self.0.remove(name) {
            Some(a) if a.f.to_bits() != 1f32.to_bits() => Err(format!("{name} must be 1; fold it into the weights")),
            _ => Ok(()),
        }
    }

    fn explicit_pads(&mut self) -> Result<(), String> {
        match self.0.remove("auto_pad") {
            Some(a) if !matches!(a.s.as_slice(), b"NOTSET" | b"") => Err("give its pads as numbers".to_owned()),
            _ => Ok(()),
        }
    }

    fn all(&mut self, name: &str, wanted: i64) -> Result<(), String> {
        match self.0.remove(name) {
            Some(a) if a.ints.iter().any(|v| *v != wanted) => {
                Err(format!("{name} other than {wanted} cannot be trained"))
            }
            _ => Ok(()),
        }
    }

    fn end(self) -> Result<(), String> {
        self.0.keys().next().map_or(Ok(()), |name| Err(format!("its attribute {name} is not known here")))
    }
}

/// The chain while it is read.
struct Chain<'a> {
    constants: HashMap<&'a str, &'a TensorProto>,
    /// Shape of what the last layer gives, without the batch.
    shape: Vec<usize>,
    layers: Vec<Layer>,
    weights: Vec<Vec<f32>>,
    /// Whether a MatMul still waits for its bias.
    open: bool,
    tail: Option<String>,
}

impl Chain<'_> {
    fn constant(&self, node: &NodeProto, i: usize) -> Result<Option<Constant>, String> {
        let Some(name) = node.input.get(i).filter(|n| !n.is_empty()) else { return Ok(None) };
        let t = self.constants.get(name.as_str()).ok_or("its weights must be constants of the file")?;
        floats(t).map(Some)
    }

    fn push(&mut self, layer: Layer) -> Result<(), String> {
        let network = Network { input: self.shape.clone(), layers: vec![layer.clone()] };
        self.shape = network.shape_behind()?;
        self.layers.push(layer);
        Ok(())
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

    fn node(&mut self, node: &NodeProto) -> Result<(), String> {
        let op = node.op_type.as_str();
        let mut a = Attributes::of(node);
        if self.tail.is_some() {
            return Err("nothing may come behind Softmax".to_owned());
        }
        if std::mem::take(&mut self.open) {
            let outputs = self.shape.first().copied().unwrap_or(0);
            if op == "Add" {
                let other = usize::from(self.constant(node, 0).map_or(true, |c| c.is_none()));
                let given = self.constant(node, other)?;
                return self.bias(given, outputs);
            }
            self.bias(None, outputs)?;
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
                let given = self.constant(node, 2)?;
                self.bias(given, outputs)?;
            }
            "MatMul" => {
                let w = self.constant(node, 1)?.ok_or("it has no weights")?;
                self.dense(w, false)?;
                self.open = true;
            }
            "Conv" => {
                a.explicit_pads()?;
                a.all("dilations", 1)?;
                a.all("strides", 1)?;
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
                self.push(Layer::Conv { inputs, outputs, kernel: [kh, kw], pads })?;
                self.weights.push(values);
                let given = self.constant(node, 2)?;
                self.bias(given, outputs)?;
            }
            "Relu" => self.push(Layer::Relu)?,
            "AveragePool" => {
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
                self.push(Layer::AveragePool { size: usize::try_from(kernel[0]).unwrap_or(0) })?;
            }
            "GlobalAveragePool" => match self.shape[..] {
                [_, h, w] if h == w => self.push(Layer::AveragePool { size: h })?,
                _ => return Err("it must average a square".to_owned()),
            },
            "Flatten" => {
                if a.int("axis", 1) != 1 {
                    return Err("axis must be 1".to_owned());
                }
                self.push(Layer::Flatten)?;
            }
            "Reshape" => {
                a.int("allowzero", 0);
                let shape = node.input.get(1).and_then(|n| self.constants.get(n.as_str())).map(|t| integers(t));
                let n: usize = self.shape.iter().product();
                let flat = |s: &[i64]| s.len() == 2 && (s[1] == -1 || usize::try_from(s[1]) == Ok(n)) && s[0] <= 1;
                if !shape.is_some_and(|s| flat(&s)) {
                    return Err("only a reshape to [batch, values] can be trained".to_owned());
                }
                self.push(Layer::Flatten)?;
            }
            "Identity" => {}
            "Dropout" => {
                a.0.clear();
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

/// What the nodes of a file are to training, in the file's order, and the network where all have a rule.
///
/// # Errors
/// A file that cannot be read, or that does not have one input and one output.
pub fn trainable(path: impl AsRef<Path>) -> Result<(Vec<Rule>, Option<Trainable>), ImportError> {
    let graph = read(path.as_ref())?;
    let constants: HashMap<&str, &TensorProto> = graph.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
    let inputs: Vec<&ValueInfoProto> =
        graph.input.iter().filter(|i| !constants.contains_key(i.name.as_str())).collect();
    let ([input], [output]) = (inputs.as_slice(), graph.output.as_slice()) else {
        return Err(malformed(format!(
            "{} inputs and {} outputs; training needs one of each",
            inputs.len(),
            graph.output.len()
        )));
    };
    let shape = sample_shape(input)?;
    let mut chain = Chain { constants, shape: shape.clone(), layers: vec![], weights: vec![], open: false, tail: None };
    let mut rules = vec![];
    let mut current = input.name.as_str();
    for node in &graph.node {
        let reads = node.input.iter().filter(|i| !i.is_empty() && !chain.constants.contains_key(i.as_str()));
        let result = if reads.clone().count() != 1 || reads.clone().any(|i| i != current) {
            Err(format!("it does not read what the node before it gives, and that alone; {ROW}"))
        } else {
            chain.node(node)
        };
        current = node.output.first().map_or("", String::as_str);
        rules.push(Rule { name: title(node), op: node.op_type.clone(), help: result.err() });
    }
    if rules.iter().any(|r| r.help.is_some()) {
        return Ok((rules, None));
    }
    if current != output.name {
        return Err(malformed(format!("its output '{}' is not what the last node gives", output.name)));
    }
    if chain.open {
        let outputs = chain.shape.first().copied().unwrap_or(0);
        chain.bias(None, outputs).map_err(malformed)?;
    }
    let network = Network { input: shape, layers: chain.layers };
    network.shapes().map_err(|e| malformed(e.to_string()))?;
    let (input, output) = ((*input).clone(), output.clone());
    Ok((rules, Some(Trainable { network, weights: chain.weights, tail: chain.tail, input, output })))
}

/// Extents of one sample: all axes but the first, which is the batch.
fn sample_shape(input: &ValueInfoProto) -> Result<Vec<usize>, ImportError> {
    let error = |reason: &str| ImportError::Tensor { tensor: input.name.clone(), reason: reason.to_owned() };
    let Some(type_proto::Value::TensorType(t)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        return Err(error("an input must be a tensor"));
    };
    let dims = t.shape.as_ref().map(|s| s.dim.as_slice()).unwrap_or_default();
    let extent = |d: &Option<Dim>| match d {
        Some(Dim::DimValue(n)) => usize::try_from(*n).ok().filter(|n| *n > 0),
        _ => None,
    };
    match dims.split_first() {
        Some((_, rest)) if !rest.is_empty() => {
            rest.iter().map(|d| extent(&d.value).ok_or_else(|| error("all axes but the first must be fixed"))).collect()
        }
        _ => Err(error("an input must have a batch axis and one more")),
    }
}

impl Trainable {
    /// Moves a standardization `(x - mean) / scale` of the data out of the first layer (`into` false: the weights are then for
    /// standardized data and compute the same) or back into it.
    ///
    /// # Errors
    /// A first layer that is not dense: its weights do not belong to single features.
    pub fn standardize(&self, weights: &mut [Vec<f32>], mean: &[f32], scale: &[f32], into: bool) -> Result<(), String> {
        let first = self.network.layers.iter().find(|l| l.weights().is_some());
        let (Some(Layer::Dense { inputs, outputs }), [w, b, ..]) = (first, weights) else {
            return Err("only networks that begin with a dense layer can take data that is standardized".to_owned());
        };
        if mean.len() != *inputs || scale.len() != *inputs {
            return Err(format!("{} means and {} scales for {inputs} features", mean.len(), scale.len()));
        }
        for o in 0..*outputs {
            let mut shift = 0f64;
            for (i, (m, s)) in mean.iter().zip(scale).enumerate() {
                let (m, s, w) = (f64::from(*m), f64::from(*s), &mut w[i * outputs + o]);
                if into {
                    *w = (f64::from(*w) / s) as f32;
                    shift -= f64::from(*w) * m;
                } else {
                    shift += f64::from(*w) * m;
                    *w = (f64::from(*w) * s) as f32;
                }
            }
            b[o] = (f64::from(b[o]) + shift) as f32;
        }
        Ok(())
    }

    /// An ONNX file of the same network with other weights.
    pub fn write(&self, weights: &[Vec<f32>]) -> Vec<u8> {
        let mut graph = GraphProto { name: "trained".to_owned(), ..GraphProto::default() };
        let mut current = self.input.name.clone();
        let mut all = weights.iter().zip(self.network.weights());
        let count = self.network.layers.len() + usize::from(self.tail.is_some());
        let ints = |name: &str, v: &[usize]| AttributeProto {
            name: name.to_owned(),
            r#type: 7,
            ints: v.iter().map(|n| *n as i64).collect(),
            ..AttributeProto::default()
        };
        let operators = self.network.layers.iter().map(|l| match l {
            Layer::Dense { .. } => ("Gemm", vec![]),
            Layer::Conv { kernel, pads, .. } => ("Conv", vec![ints("kernel_shape", kernel), ints("pads", pads)]),
            Layer::Relu => ("Relu", vec![]),
            Layer::AveragePool { size } => {
                ("AveragePool", vec![ints("kernel_shape", &[*size; 2]), ints("strides", &[*size; 2])])
            }
            Layer::Flatten => ("Flatten", vec![]),
        });
        let layers = self.network.layers.iter().map(Some).chain([None]);
        let operators = operators.chain(self.tail.iter().map(|t| (t.as_str(), vec![])));
        for (i, ((op, attribute), layer)) in operators.zip(layers).enumerate() {
            let next = if i + 1 == count { self.output.name.clone() } else { format!("trained.{i}.out") };
            let mut input = vec![current];
            if layer.is_some_and(|l| l.weights().is_some()) {
                for (kind, (values, shape)) in ["weight", "bias"].iter().zip(all.by_ref()) {
                    let name = format!("trained.{i}.{kind}");
                    graph.initializer.push(TensorProto {
                        name: name.clone(),
                        dims: shape.iter().map(|d| *d as i64).collect(),
                        data_type: 1,
                        raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
                        ..TensorProto::default()
                    });
                    input.push(name);
                }
            }
            graph.node.push(NodeProto {
                name: format!("trained.{i}"),
                op_type: op.to_owned(),
                input,
                output: vec![next.clone()],
                attribute,
                ..NodeProto::default()
            });
            current = next;
        }
        graph.input = vec![self.input.clone()];
        graph.output = vec![self.output.clone()];
        let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
        let model =
            ModelProto { ir_version: 8, opset_import: vec![opset], graph: Some(graph), ..ModelProto::default() };
        model.encode_to_vec()
    }
}
