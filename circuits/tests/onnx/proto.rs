//! A minimal writer of ONNX protobufs.

/// Bytes of a protobuf message.
#[derive(Clone, Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    fn varint(&mut self, mut v: u64) {
        while v > 127 {
            self.0.push(v as u8 | 128);
            v >>= 7;
        }
        self.0.push(v as u8);
    }

    /// An integer field.
    pub(crate) fn int(mut self, field: u64, v: i64) -> Self {
        self.varint(field << 3);
        self.varint(v as u64);
        self
    }

    /// A float field.
    pub(crate) fn float(mut self, field: u64, v: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(v.to_le_bytes());
        self
    }

    /// A field of bytes, text or a message.
    pub(crate) fn bytes(mut self, field: u64, v: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(v.len() as u64);
        self.0.extend(v);
        self
    }
}

/// A float tensor with a name.
pub(crate) fn tensor(name: &str, dims: &[i64], data: &[f32]) -> Message {
    let raw: Vec<u8> = data.iter().flat_map(|v| v.to_le_bytes()).collect();
    let m = dims.iter().fold(Message::default(), |m, d| m.int(1, *d));
    m.int(2, 1).bytes(8, name.as_bytes()).bytes(9, &raw)
}

/// A tensor of 64-bit integers.
pub(crate) fn integers(name: &str, data: &[i64]) -> Message {
    let raw: Vec<u8> = data.iter().flat_map(|v| v.to_le_bytes()).collect();
    Message::default().int(1, data.len() as i64).int(2, 7).bytes(8, name.as_bytes()).bytes(9, &raw)
}

fn value(name: &str, dims: &[i64], kind: i64) -> Message {
    let shape = dims.iter().fold(Message::default(), |m, d| m.bytes(1, &Message::default().int(1, *d).0));
    let kind = Message::default().int(1, kind).bytes(2, &shape.0);
    Message::default().bytes(1, name.as_bytes()).bytes(2, &Message::default().bytes(1, &kind.0).0)
}

/// An attribute with integers.
pub(crate) fn ints(name: &str, v: &[i64]) -> Message {
    let m = Message::default().bytes(1, name.as_bytes());
    v.iter().fold(m, |m, x| m.int(8, *x)).int(20, 7)
}

/// An attribute with one integer.
pub(crate) fn int(name: &str, v: i64) -> Message {
    Message::default().bytes(1, name.as_bytes()).int(3, v).int(20, 2)
}

/// An attribute with one float.
pub(crate) fn float(name: &str, v: f32) -> Message {
    Message::default().bytes(1, name.as_bytes()).float(2, v).int(20, 1)
}

/// An attribute with a text.
pub(crate) fn text(name: &str, v: &str) -> Message {
    Message::default().bytes(1, name.as_bytes()).bytes(4, v.as_bytes()).int(20, 3)
}

/// An attribute with texts.
pub(crate) fn texts(name: &str, v: &[&str]) -> Message {
    let m = Message::default().bytes(1, name.as_bytes());
    v.iter().fold(m, |m, x| m.bytes(9, x.as_bytes())).int(20, 8)
}

/// A constant of an ONNX type by its bytes.
pub(crate) fn raw(name: &str, dims: &[i64], kind: i64, bytes: &[u8]) -> Message {
    let m = dims.iter().fold(Message::default(), |m, d| m.int(1, *d));
    m.int(2, kind).bytes(8, name.as_bytes()).bytes(9, bytes)
}

/// A node.
pub(crate) fn node(
    domain: &str,
    op: &str,
    name: &str,
    inputs: &[&str],
    outputs: &[&str],
    attributes: &[Message],
) -> Message {
    let m = inputs.iter().fold(Message::default(), |m, i| m.bytes(1, i.as_bytes()));
    let m = outputs.iter().fold(m, |m, o| m.bytes(2, o.as_bytes()));
    let m = m.bytes(3, name.as_bytes()).bytes(4, op.as_bytes());
    let m = attributes.iter().fold(m, |m, a| m.bytes(5, &a.0));
    if domain.is_empty() { m } else { m.bytes(7, domain.as_bytes()) }
}

/// A function of a file, of the same operators as [`Model::finish`], as a field to append to a file.
pub(crate) fn function(
    (domain, name): (&str, &str),
    inputs: &[&str],
    outputs: &[&str],
    attributes: &[&str],
    nodes: &[Message],
) -> Vec<u8> {
    let m = Message::default().bytes(1, name.as_bytes()).bytes(10, domain.as_bytes());
    let m = inputs.iter().fold(m, |m, i| m.bytes(4, i.as_bytes()));
    let m = outputs.iter().fold(m, |m, o| m.bytes(5, o.as_bytes()));
    let m = attributes.iter().fold(m, |m, a| m.bytes(6, a.as_bytes()));
    let m = nodes.iter().fold(m, |m, n| m.bytes(7, &n.0));
    Message::default().bytes(25, &m.bytes(9, &Message::default().int(2, 17).0).0).0
}

/// A model in the making.
#[derive(Clone, Default)]
pub(crate) struct Model {
    graph: Message,
    nodes: usize,
}

impl Model {
    /// Adds a node with one output and returns its name.
    pub(crate) fn node(&mut self, op: &str, inputs: &[&str], attributes: &[Message]) -> String {
        self.node_of("", op, inputs, attributes)
    }

    /// [`Self::node`] of another domain than the standard.
    pub(crate) fn node_of(&mut self, domain: &str, op: &str, inputs: &[&str], attributes: &[Message]) -> String {
        self.nodes += 1;
        let name = format!("{}_{}", op.to_lowercase(), self.nodes);
        let m = node(domain, op, &name, inputs, &[&name], attributes);
        self.graph = std::mem::take(&mut self.graph).bytes(1, &m.0);
        name
    }

    /// Adds a node as it is.
    pub(crate) fn add(&mut self, node: &Message) {
        self.graph = std::mem::take(&mut self.graph).bytes(1, &node.0);
    }

    /// Adds a constant.
    pub(crate) fn initializer(&mut self, t: &Message) {
        self.graph = std::mem::take(&mut self.graph).bytes(5, &t.0);
    }

    /// The file, with inputs and an output.
    pub(crate) fn finish(self, inputs: &[(&str, &[i64])], output: &str) -> Vec<u8> {
        let floats: Vec<_> = inputs.iter().map(|(n, d)| (*n, *d, 1)).collect();
        self.finish_typed(&floats, output)
    }

    /// The file, with inputs of given element types and an output.
    pub(crate) fn finish_typed(self, inputs: &[(&str, &[i64], i64)], output: &str) -> Vec<u8> {
        let g = inputs.iter().fold(self.graph, |g, (n, d, k)| g.bytes(11, &value(n, d, *k).0));
        let g = g.bytes(2, b"test").bytes(12, &Message::default().bytes(1, output.as_bytes()).0);
        let opset = Message::default().int(2, 17);
        Message::default().int(1, 8).bytes(8, &opset.0).bytes(7, &g.0).0
    }
}
