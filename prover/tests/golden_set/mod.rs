//! The golden set: proofs in `contracts/test/vectors` that are accepted, and in its folder `refused` that are not. A file
//! names what it proves (a case of this list), and holds what a verifier is given and, for `MockProver`, the prover's messages.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use crate::support::{cnn, inputs, mlp, model, toy};
use assay_circuits::{Program, Tensor, Visibility, model::Model};
use assay_prover::{
    settle::choose_row_bits,
    srs::{DEVELOPMENT_SEED, Srs},
};
use assay_verifier::{Fr, core::hex, curve::Reader};
use std::{fs, path::PathBuf};

/// What a vector is about.
pub struct Case {
    pub name: &'static str,
    pub model: Model,
    pub inputs: Vec<Vec<Tensor>>,
    pub visibility: Visibility,
    pub row_bits: usize,
}

impl Case {
    pub fn batch(&self) -> u32 {
        u32::try_from(self.inputs.len()).unwrap()
    }

    pub fn program(&self) -> Program {
        Program::inference(&self.model.graph, self.inputs.len(), self.visibility).unwrap()
    }
}

pub fn srs() -> Srs {
    Srs::development(15, DEVELOPMENT_SEED).unwrap()
}

/// The model that tests of single messages and cells look at, with inputs that reach both clamps and the table itself.
pub fn toy_model() -> (Model, Vec<Vec<Tensor>>) {
    let mut m = model(toy(), 1);
    m.weights[0].data = vec![3, -4, 2, 1, -4, 3];
    m.weights[1].data = vec![2, -3];
    let rows = [[7, 7, -8], [-8, -8, 7], [1, 2, 3]];
    (m, rows.map(|r| vec![Tensor::new(vec![1, 3], r.to_vec()).unwrap()]).to_vec())
}

pub fn cases() -> Vec<Case> {
    let open = Visibility { inputs: true, weights: true, outputs: true };
    let shown = Visibility { inputs: true, ..Visibility::default() };
    let random = |name, graph, batch, row_bits: Option<usize>, visibility| {
        let model = model(graph, 5);
        let inputs = inputs(&model, batch, 9);
        let program = Program::inference(&model.graph, batch, visibility).unwrap();
        let row_bits = row_bits.unwrap_or_else(|| {
            choose_row_bits(&program, &Program::registration(&model.graph).unwrap(), Default::default())
        });
        Case { name, model, inputs, visibility, row_bits }
    };
    let (toy, toy_inputs) = toy_model();
    vec![
        random("mlp", mlp(), 1, None, Visibility::default()),
        random("mlp_batch", mlp(), 3, None, shown),
        random("mlp_short_rows", mlp(), 1, Some(7), open),
        random("cnn", cnn(), 1, Some(13), Visibility::default()),
        Case { name: "toy", model: toy, inputs: toy_inputs, visibility: Visibility::default(), row_bits: 3 },
    ]
}

pub fn case(name: &str) -> Case {
    cases().into_iter().find(|c| c.name == name).unwrap_or_else(|| panic!("no case {name}"))
}

/// A file of the set.
#[derive(Clone)]
pub struct Vector {
    /// Name of the file.
    pub name: String,
    /// Name of the case.
    pub case: String,
    pub key: Vec<u8>,
    pub public_values: Vec<u8>,
    pub context: [u8; 32],
    pub proof: Vec<u8>,
    /// The prover's messages, which a settled proof hides.
    pub messages: Vec<Fr>,
    /// The checks that the messages break.
    pub broken: Vec<String>,
}

pub fn folder(refused: bool) -> PathBuf {
    let vectors = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/test/vectors"));
    if refused { vectors.join("refused") } else { vectors }
}

pub fn bytes(json: &serde_json::Value, name: &str) -> Option<Vec<u8>> {
    let text = json[name].as_str()?.strip_prefix("0x")?;
    let digit = |c: &[u8]| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap();
    Some(text.as_bytes().chunks(2).map(digit).collect())
}

/// All files of a folder that hold messages.
pub fn vectors(refused: bool) -> Vec<Vector> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder(refused)).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "json"));
    paths.sort();
    paths.into_iter().filter_map(|p| read(&p)).collect()
}

fn read(path: &std::path::Path) -> Option<Vector> {
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let messages = bytes(&json, "messages")?;
    let mut reader = Reader::new(&messages);
    let messages = reader.frs(messages.len() / 32).unwrap();
    let text = |v: &serde_json::Value| v.as_str().unwrap().to_owned();
    let field = |name| bytes(&json, name).unwrap();
    Some(Vector {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        case: text(&json["case"]),
        key: field("key"),
        public_values: field("publicValues"),
        context: field("context").try_into().unwrap(),
        proof: field("proof"),
        messages,
        broken: json["broken"].as_array().map(|a| a.iter().map(text).collect()).unwrap_or_default(),
    })
}

/// What a contract's test reads.
pub fn json(fields: &[(&str, String)]) -> String {
    let lines: Vec<String> = fields.iter().map(|(name, value)| format!("  \"{name}\": {value}")).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

pub fn text(bytes: &[u8]) -> String {
    format!("\"0x{}\"", hex(bytes))
}

impl Vector {
    pub fn write(&self, folder: &std::path::Path) {
        let messages: Vec<u8> = self.messages.iter().flat_map(assay_verifier::curve::fr_to_bytes).collect();
        let mut fields = vec![
            ("key", text(&self.key)),
            ("publicValues", text(&self.public_values)),
            ("context", text(&self.context)),
            ("proof", text(&self.proof)),
            ("case", format!("\"{}\"", self.case)),
            ("messages", text(&messages)),
        ];
        if !self.broken.is_empty() {
            let names: Vec<String> = self.broken.iter().map(|n| format!("\"{n}\"")).collect();
            fields.push(("broken", format!("[{}]", names.join(", "))));
        }
        fs::write(folder.join(format!("{}.json", self.name)), json(&fields)).unwrap();
    }
}
