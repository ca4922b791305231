//! Confidential jobs: what the chain sees of them, and what workers make of what requesters, or others, put into their inbox.

use crate::{
    common::digits,
    support::{PATIENCE, Running, World},
};
use assay_circuits::{Tensor, model::Model};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

/// Seconds of the chain after which a worker looks again at a job that it could not take.
const LATER: u64 = 6;

/// What the plain model gives for a sample: input and output as integers, and the output as floats.
struct Plain {
    input: Tensor,
    output: Tensor,
    floats: Vec<f32>,
}

/// The outputs of an answer.
fn floats(answer: &Value) -> Vec<f32> {
    let all = answer["outputs"].as_array().unwrap();
    all.iter().flat_map(|o| o.as_array().unwrap()).map(|v| v.as_f64().unwrap() as f32).collect()
}

fn model(w: &World) -> Model {
    Model::from_bytes(&w.s.read("model")).unwrap()
}

/// The plain run of a sample, on the integers and by the command.
fn plain(w: &World, sample: usize) -> Plain {
    let model = model(w);
    let from = sample.to_string();
    let stack = format!("plain-{sample}.stack");
    // The program's own reading and quantization of the sample.
    w.s.ok(&["stack", "commit", &digits(), "--model", "model", "--from", &from, "--batch", "1", "-o", &stack]);
    let stack = assay_prover::Stack::from_bytes(&w.s.read(&stack)).unwrap();
    let input = Tensor::new(model.inputs[0].shape.clone(), stack.values()[0].data.clone()).unwrap();
    let output = model.eval(std::slice::from_ref(&input)).unwrap().outputs(&model.graph).remove(0);
    let floats = model.outputs[0].dequantize(&output).unwrap();
    Plain { input, output, floats }
}

fn mkdir(w: &World, name: &str) -> PathBuf {
    let path = w.s.path(name);
    std::fs::create_dir(&path).unwrap();
    path
}

/// Posts confidential jobs; their ids and the files of their openings.
fn post(w: &World, more: &[&str]) -> (Vec<u64>, Vec<PathBuf>) {
    let data = digits();
    let post = ["job", "post", "model", &data, "--max-price", "2", "--confidential", "--inbox", "mine"];
    let posted = w.json(&[&post[..], more].concat());
    assert_eq!(posted["confidential"], true);
    let ids = posted["job_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
    let files = posted["openings"].as_array().unwrap().iter().map(|p| w.s.path(p.as_str().unwrap())).collect();
    (ids, files)
}

/// All calldata and all logs there ever were, as bytes.
fn everything(w: &World) -> Vec<u8> {
    let bytes = |v: &Value| v.as_str().unwrap_or("0x").parse::<assay_contracts::Bytes>().unwrap().to_vec();
    let head = u64::from_str_radix(&w.node("eth_blockNumber", &json!([])).as_str().unwrap()[2..], 16).unwrap();
    let mut all = Vec::new();
    for number in 0..=head {
        let block = w.node("eth_getBlockByNumber", &json!([format!("0x{number:x}"), true]));
        for t in block["transactions"].as_array().unwrap() {
            all.extend(bytes(&t["input"]));
        }
    }
    let logs = w.node("eth_getLogs", &json!([{ "fromBlock": "0x0", "toBlock": "latest" }]));
    for log in logs.as_array().unwrap() {
        all.extend(bytes(&log["data"]));
        log["topics"].as_array().unwrap().iter().for_each(|t| all.extend(bytes(t)));
    }
    all
}

/// Parts of a tensor as a chain would show it: four values in a row, of which three differ.
fn parts(t: &Tensor) -> Vec<Vec<u8>> {
    let distinct = |w: &&[i64]| w.iter().collect::<std::collections::BTreeSet<_>>().len() >= 3;
    let parts: Vec<Vec<u8>> =
        t.data.windows(4).filter(distinct).map(|w| w.iter().flat_map(|v| v.to_be_bytes()).collect()).collect();
    assert!(!parts.is_empty(), "something to look for");
    parts
}

/// How many of the parts are somewhere in there.
fn found(all: &[u8], parts: &[Vec<u8>]) -> usize {
    parts.iter().filter(|part| all.windows(part.len()).any(|w| w == part.as_slice())).count()
}

/// The reasons for which the worker does nothing, until one has this word.
fn refuses(worker: &mut Running, word: &str) {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let said = worker.wait_for("no_opening");
        if said["reason"].as_str().unwrap().contains(word) {
            return;
        }
    }
    panic!("nothing was said of '{word}'");
}

/// As a mail program would: the whole file at once, under its name.
fn put(bytes: &[u8], target: &Path) {
    let part = target.with_extension("part");
    std::fs::write(&part, bytes).unwrap();
    std::fs::rename(part, target).unwrap();
}

#[test]
fn neither_input_nor_output_is_on_the_chain() {
    let w = World::new("confidential");
    let expected = plain(&w, 0);
    w.json(&["model", "register", "model", "--confidential"]);
    mkdir(&w, "mine");
    let theirs = mkdir(&w, "theirs");
    let (ids, files) = post(&w, &["--count", "2"]);
    let (job, other) = (ids[0], ids[1]);
    #[cfg(unix)]
    for file in &files {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    w.json(&["job", "refund", &other.to_string()]);
    let good = std::fs::read(&files[0]).unwrap();
    let target = theirs.join(files[0].file_name().unwrap());
    let mut worker = w.worker(1, &["--inbox", "theirs", "--jobs", "2"]);
    refuses(&mut worker, "not in the inbox");
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let mut longer = good.clone();
    longer.resize(good.len() + (1 << 21), 0);
    let cases = [
        (good[..good.len() - 1].to_vec(), "announces"),
        (good[..7].to_vec(), "ASSAYSTK"),
        (flipped(9), "version"),
        (flipped(good.len() / 2), "checksum"),
        (longer, "at most"),
        (std::fs::read(&files[1]).unwrap(), "is of the stack"),
        (w.s.read("plain-0.stack"), "other tensors"),
        (vec![], "ASSAYSTK"),
    ];
    for (bytes, word) in cases {
        put(&bytes, &target);
        w.pass(LATER);
        refuses(&mut worker, word);
        assert_eq!(w.counts(), (0, 0, 0), "no lease: {word}");
    }
    put(&good, &target);
    w.pass(LATER);
    assert_eq!(worker.wait_for("paid")["job_ids"], json!([job]));
    // What the chain has of it.
    let all = everything(&w);
    let (input, output) = (parts(&expected.input), parts(&expected.output));
    assert_eq!((found(&all, &input), found(&all, &output)), (0, 0), "words of input and output");
    let id = target.file_stem().unwrap().to_string_lossy().parse::<assay_contracts::B256>().unwrap();
    assert_eq!(found(&all, &[id.to_vec()]), 1, "the id is there");
    // What the requester has.
    let job = job.to_string();
    let result = ["job", "result", &job, "model", "--inbox", "mine"];
    assert_eq!(floats(&w.json(&result)), expected.floats);
    assert_eq!(w.json(&["job", "status", &job, "--model", "model"])["masked"], true);
    // A stranger without the file, with another one, or with another model has nothing.
    mkdir(&w, "empty");
    let rpc = ["--rpc", &w.node_url()];
    w.s.fails(2, &[&["job", "result", &job, "model", "--inbox", "empty"], &rpc[..]].concat(), &["without the file"]);
    let renamed = w.s.path("empty").join(files[0].file_name().unwrap());
    std::fs::copy(&files[1], renamed).unwrap();
    w.s.fails(1, &[&["job", "result", &job, "model", "--inbox", "empty"], &rpc[..]].concat(), &["not what job"]);
    // The plain way, by the same worker: what was looked for would have been found.
    w.post(&[]);
    worker.wait_for("paid");
    let all = everything(&w);
    assert_eq!((found(&all, &input), found(&all, &output)), (input.len(), output.len()));
    assert_eq!(worker.ends().0, 0);
    // Nor does the worker say it, or have it in its journal.
    let said =
        worker.seen.iter().map(Value::to_string).collect::<String>() + &String::from_utf8_lossy(&w.s.read("journal-1"));
    let shown = |values: &[f32]| values.windows(2).filter(|v| said.contains(&format!("{},{}", v[0], v[1]))).count();
    assert_eq!(shown(&expected.floats), 0);
}

/// One proof for jobs whose inputs are in different stacks, and each requester reads his own output.
#[test]
fn jobs_of_different_stacks_in_one_proof() {
    let w = World::new("confidential-batch");
    let new = w.json(&["model", "register", "model", "--confidential", "--batch", "3"]);
    mkdir(&w, "mine");
    let (ids, _) = post(&w, &["--count", "2"]);
    let mut worker = w.worker(1, &["--inbox", "mine", "--fill", "1s", "--once"]);
    assert_eq!(worker.wait_for("paid")["job_ids"], json!(ids));
    assert_eq!(worker.ends().0, 0);
    assert_eq!(w.counts(), (2, 0, 2));
    let (first, second) = (plain(&w, 0), plain(&w, 1));
    assert_ne!(first.floats, second.floats);
    for (id, expected) in ids.iter().zip([first, second]) {
        let result = w.json(&["job", "result", &id.to_string(), "model", "--inbox", "mine"]);
        assert_eq!(floats(&result), expected.floats, "job {id}");
    }
    let known = w.json(&["job", "status", &ids[0].to_string()]);
    assert_eq!(known["verifier_id"], new["verifier_id"]);
}

/// By hand, for a verifier that was registered for it: nothing else takes its jobs.
#[test]
fn a_confidential_job_by_hand() {
    let w = World::new("confidential-by-hand");
    mkdir(&w, "mine");
    let data = digits();
    let rpc = ["--rpc", &w.node_url()];
    let ask = ["job", "post", "model", &data, "--max-price", "2", "--confidential", "--inbox", "mine"];
    w.s.fails(2, &[&ask[..], &rpc[..]].concat(), &["no verifier of model"]);
    assert_eq!(std::fs::read_dir(w.s.path("mine")).unwrap().count(), 0, "nothing was written");
    w.json(&["model", "register", "model", "--confidential", "--public-weights"]);
    let named = w.verifier().to_string();
    w.s.fails(2, &[&ask[..], &["--verifier", &named], &rpc[..]].concat(), &["for another model"]);
    let (ids, _) = post(&w, &[]);
    let job = ids[0].to_string();
    w.json(&["job", "lease", &job]);
    let prove = ["job", "prove", &job, "model", "-o", "proof", "--public-weights"];
    w.s.fails(2, &[&prove[..], &rpc[..]].concat(), &["for another model", "--inbox"]);
    let proven = w.json(&[&prove[..], &["--inbox", "mine"]].concat());
    assert_eq!((&proven["confidential"], &proven["outputs"]), (&json!(true), &json!([])));
    w.json(&["job", "fulfil", "proof"]);
    let result = w.json(&["job", "result", &job, "model", "--inbox", "mine"]);
    assert_eq!(floats(&result), plain(&w, 0).floats);
}

/// Weights in a stack that the key pins: whoever proves has the stack, and the registry takes no other for the same model.
#[test]
fn weights_that_the_key_pins() {
    let w = World::new("confidential-pinned");
    mkdir(&w, "mine");
    let stack = |name: &str| w.s.ok(&["stack", "commit", "model", "--row-bits", "10", "-o", name]);
    stack("weights.stack");
    stack("others.stack");
    w.json(&["model", "register", "model", "--confidential", "--weights", "weights.stack"]);
    let register = ["model", "register", "model", "--confidential", "--weights", "others.stack"];
    w.s.fails(2, &[&register[..], &["--rpc", &w.node_url()]].concat(), &["OtherWeights", "--weights"]);
    let (ids, _) = post(&w, &[]);
    let mut worker = w.worker(1, &["--inbox", "mine", "--weights", "weights.stack", "--once"]);
    assert_eq!(worker.wait_for("paid")["job_ids"], json!(ids));
    assert_eq!(worker.ends().0, 0);
    let result = w.json(&["job", "result", &ids[0].to_string(), "model", "--inbox", "mine"]);
    assert_eq!(floats(&result), plain(&w, 0).floats);
}
