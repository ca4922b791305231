//! "Verify here": what a market was paid for goes from calldata to the page that runs the contract's code, and that page judges.

use super::{
    browser::Browser,
    common::{Sandbox, image, mlp, npy},
    program::Explorer,
    stub::{
        Stub, World, milli,
        sol::{IJobMarket as Market, IVerifier, IVerifierRegistry as Verifiers},
    },
    verify_page::next,
    world::{FIRST_BLOCK, MARKET, REGISTRY, VERIFIER, add_job, add_offer, add_verifier, base, hash, job, who},
};
use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use alloy_sol_types::SolValue;
use assay_circuits::train::Sampler;
use assay_verifier::settle::key::{SettledProof, SettlementKey};
use serde_json::{Value, json};
use std::{
    io::Write,
    process::{Command, Stdio},
};

const PAYOUT: u8 = 20;
/// Where the verifier contract keeps the key.
const KEY_AT: Address = Address::repeat_byte(0x61);

/// What the page's module reads out of records.
fn read(records: &[Value]) -> Option<Vec<Value>> {
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/verify/assay-verify.js");
    let script = format!(
        "const {{ readHanded }} = await import('file://{module}');
         const hex = (b) => Buffer.from(b).toString('hex');
         const records = JSON.parse(require('fs').readFileSync(0));
         const one = (c) => ({{ job: hex(c.context.job), values: hex(c.publicValues) }});
         console.log(JSON.stringify(records.map((r) => one(readHanded(JSON.stringify(r))))));"
    );
    let child = Command::new("node")
        .args(["-e", &format!("(async () => {{ {script} }})()")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        let _ =
            writeln!(std::io::stderr(), "\nSKIPPED: what is handed over is read with node, which is not on the path\n");
        return None;
    };
    child.stdin.take().unwrap().write_all(Value::from(records.to_vec()).to_string().as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    Some(serde_json::from_slice(&out.stdout).unwrap())
}

#[test]
fn contexts_and_public_values_are_the_markets() {
    let mut state = 7;
    let mut records = Vec::new();
    let mut expected = Vec::new();
    let common = json!({
        "format": "assay.handed.v1", "chainId": 31337, "market": MARKET, "payout": who(1), "transaction": B256::ZERO,
        "settlementId": B256::ZERO, "key": "0x", "proof": "0x",
    });
    let mut add = |more: Value, job: B256, values: Vec<u8>| {
        let mut record = common.clone();
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        records.push(record);
        expected.push(json!({ "job": hex::encode(job), "values": hex::encode(values) }));
    };
    for round in 0..200_u32 {
        let mut word = || keccak256(next(&mut state).to_be_bytes());
        let (head, trained, third, seed) = (word(), word(), word(), word());
        let values = word().to_vec();
        let jobs: Vec<U256> =
            (0..=round % 5).map(|_| U256::from_be_bytes(word().0) >> (round as usize % 200)).collect();
        let task = U256::from_be_bytes(word().0) >> (round as usize % 250);
        let (heads, number) = (u32::try_from(next(&mut state) & 0xffff_ffff).unwrap(), round);
        // As `JobMarket.contextJob`.
        let batch = keccak256(("assay.batch.v1".to_owned(), jobs.clone()).abi_encode_params());
        let one = B256::from(jobs[0]);
        let text: Vec<String> = jobs.iter().map(U256::to_string).collect();
        let record =
            json!({ "kind": "job", "job": text[0], "jobs": text, "publicValues": hex::encode_prefixed(&values) });
        add(record, if jobs.len() == 1 { one } else { batch }, values.clone());
        // As `TaskBook._roundContext` and `TrainingMarket._trainValues`.
        let bound = |what: &str| keccak256((what.to_owned(), task, heads, number).abi_encode_params());
        let examples =
            1 + (next(&mut state) as u64 & 0xffff_ffff) % [1, 7, 360, 1 << 22, 0xffff_fffe][round as usize % 5];
        let walk = Sampler::new(&seed, examples);
        let about = json!({ "task": task.to_string(), "round": number.to_string(), "heads": heads.to_string(), "head": head, "trained": trained });
        let with = |kind: &str, more: Value| {
            let mut all = about.clone();
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all["kind"] = json!(kind);
            all
        };
        let more = json!({ "dataset": third, "seed": seed, "examples": examples.to_string(), "losses": hex::encode_prefixed(&values) });
        let public = (head, trained, third, walk.factor, walk.start, Bytes::from(values)).abi_encode_packed();
        add(with("training", more), bound("assay.train.v1"), public);
        let (before, later) = (next(&mut state) as u64, next(&mut state) as u64);
        let more = json!({ "shard": third, "before": before.to_string(), "later": later.to_string() });
        let public = (head, trained, third, before, later).abi_encode_packed();
        add(with("evaluation", more), bound("assay.evaluate.v1"), public);
    }
    let Some(found) = read(&records) else { return };
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found, expected, "{}", records[i]);
    }
    assert_eq!(found.len(), 600);
}

/// A settled proof of one inference for job 1 of the market that the stub's deployment names.
fn settled(name: &str) -> (Sandbox, SettlementKey, SettledProof) {
    let s = Sandbox::new(name);
    let rows: Vec<f32> = (0..4).flat_map(image).collect();
    s.write("samples.npy", npy("(4, 64)", &rows));
    let fixed = ["--weight-bits=8", "--activation-bits=8", "--accept-accuracy"];
    s.ok(&[&["compile", &mlp(), "--calibrate", "samples.npy", "-o", "model"], &fixed[..]].concat());
    let (consumer, payout) = (format!("{MARKET:#x}"), format!("{:#x}", who(PAYOUT)));
    let number = format!("{:064x}", 1);
    let context = ["--chain-id=31337", "--consumer", &consumer, "--job", &number, "--recipient", &payout];
    let settle = ["settle", "model", "samples.npy", "--batch=1", "--public-inputs", "-o", "proof", "--key-out", "key"];
    s.ok(&[&settle[..], &context[..]].concat());
    let key = SettlementKey::from_bytes(&s.read("key")).unwrap();
    let proof = SettledProof::from_bytes(&s.read("proof")).unwrap();
    (s, key, proof)
}

/// What the transaction of the payment says.
fn fulfil(proof: &SettledProof) -> Market::fulfilCall {
    Market::fulfilCall {
        jobIds: vec![U256::from(1)],
        salts: vec![hash("salt")],
        payout: who(PAYOUT),
        publicValues: proof.public.clone().into(),
        proof: proof.argument.clone().into(),
    }
}

/// What the registry says of the verifier.
fn entry(w: &World, settlement: B256) -> Verifiers::Entry {
    Verifiers::Entry {
        verifier: VERIFIER,
        batch: 1,
        inputValues: 64,
        outputValues: 10,
        settlementId: settlement,
        modelId: hash("digits"),
        srsHash: hash("tau"),
        codeHash: hash("code"),
        weightCommitment: hash("weights"),
        workUnits: 109_184,
        addedAt: w.time,
    }
}

/// A chain that says that job 1 was proven and paid.
fn world(key: &SettlementKey, proof: &SettledProof) -> (World, B256) {
    let mut w = World::new(FIRST_BLOCK + 100);
    base(&mut w, "ASSAY");
    w.result(VERIFIER, &IVerifier::acceptsDevelopmentSrsCall {}, &true);
    let verifier = add_verifier(&mut w, "digits", "digits", 1, true);
    let named = entry(&w, proof.id.into());
    w.result(REGISTRY, &Verifiers::entryCall { verifierId: verifier }, &named);
    w.result(VERIFIER, &IVerifier::keyOfCall { modelId: proof.id.into() }, &KEY_AT);
    w.code(KEY_AT, [&[0], &key.descriptor.to_bytes()[..]].concat());
    let offer = add_offer(&mut w, "digits", 2, 500, 0, "");
    let mut paid = job(&w, verifier, offer);
    paid.status = Market::Status::Fulfilled;
    (paid.price, paid.payout) = (milli(2_000), who(PAYOUT));
    add_job(&mut w, 1, FIRST_BLOCK + 10, &paid, proof.public[..512].to_vec().into());
    let done = Market::Fulfilled {
        jobId: U256::from(1),
        payout: who(PAYOUT),
        price: paid.price,
        toWorker: paid.price,
        output: proof.public[512..].to_vec().into(),
    };
    let transaction = w.event(MARKET, FIRST_BLOCK + 12, &done);
    w.send(transaction, MARKET, &fulfil(proof));
    (w, transaction)
}

#[test]
fn the_verdict_on_a_paid_job_is_the_pages_and_not_the_chains() {
    let Some(mut b) = Browser::start("the_verdict_on_a_paid_job_is_the_pages_and_not_the_chains") else { return };
    let (s, key, proof) = settled("verify-here");
    let (w, transaction) = world(&key, &proof);
    let stub = Stub::start(w);
    let e = Explorer::start("explorer-verify-here", &stub.url);
    let mut visits = 0;
    let mut checked = |b: &mut Browser| {
        // A fresh page each time.
        visits += 1;
        b.goto(&format!("{}/?{visits}#job-1", e.url));
        b.wait("[data-view=job]", "proven and paid");
        b.click("[data-verify='job 1']");
    };
    // The same page without anything from the explorer.
    b.goto(&format!("{}/verify.html#handed", e.url));
    b.wait("#notes", "Nothing was handed over");

    checked(&mut b);
    b.wait("#result h2", "Valid, but anybody could have made it");
    assert_eq!(b.evaluate("location.pathname + location.hash"), json!("/verify.html#handed"));
    assert!(b.attribute("#result > *", "id").contains(&Some("development".to_owned())));
    let text = b.text("#result").join("\n");
    let (id, payout) = (hex::encode(proof.id), hex::encode(who(PAYOUT)));
    let (market, sent) = (hex::encode(MARKET), hex::encode(transaction));
    for words in [&*id, &payout, &market, &sent, "output of job 1", "input of job 1", "recomputes"] {
        assert!(text.contains(words), "no '{words}' in {text}");
    }
    let value = |at: usize| i64::from_be_bytes(proof.public[at..at + 8].try_into().unwrap()).to_string();
    let shown: Vec<String> = b.text("#result .values span");
    let outputs: Vec<String> = (0..10).map(|i| value(512 + 8 * i)).collect();
    assert_eq!(shown[shown.len() - 10..], outputs);
    b.shots("verify-here");
    b.resize(1280, 900);
    // A reload shows the same; files take its place.
    b.goto(&format!("{}/verify.html?again#handed", e.url));
    b.wait("#handed", "job 1");
    b.drop_files(&[("proof", &s.read("proof")), ("key", &s.read("key"))]);
    b.wait("#result", "assay verify recomputes them");
    b.wait("#proof-name", "proof");
    assert!(b.text("#handed").is_empty());

    // The chain still says that the job was paid. Each of these the page must not take.
    let altered = |change: &dyn Fn(&mut Market::fulfilCall)| {
        let mut call = fulfil(&proof);
        change(&mut call);
        stub.world.lock().unwrap().send(transaction, MARKET, &call);
    };
    let flip = |bytes: &Bytes, at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        Bytes::from(bytes)
    };
    let last = proof.argument.len() - 1;
    let cheats: [&dyn Fn(&mut Market::fulfilCall); 6] = [
        &|c| c.proof = flip(&c.proof, last),
        &|c| c.publicValues = flip(&c.publicValues, 519),
        &|c| c.payout = who(PAYOUT + 1),
        &|c| c.jobIds = vec![U256::from(1), U256::from(2)],
        &|c| c.publicValues = c.publicValues[8..].to_vec().into(),
        &|c| c.proof = Bytes::new(),
    ];
    for cheat in cheats {
        altered(cheat);
        checked(&mut b);
        b.wait("#result h2", "NOT valid");
        assert!(b.text("#result .values").is_empty());
    }
    altered(&|_| ());

    // Another key than the registry names, and a registry that names another one.
    let mut words = key.descriptor.to_bytes();
    words[70] ^= 1;
    stub.world.lock().unwrap().code(KEY_AT, [&[0], &words[..]].concat());
    checked(&mut b);
    b.wait("#result h2", "Could not be checked");
    b.wait("#result", "not the one that the market's registry names");
    let other = keccak256(&words);
    {
        let mut w = stub.world.lock().unwrap();
        let named = entry(&w, other);
        w.result(REGISTRY, &Verifiers::entryCall { verifierId: hash("digits") }, &named);
        w.result(VERIFIER, &IVerifier::keyOfCall { modelId: other }, &KEY_AT);
    }
    checked(&mut b);
    b.wait("#result h2", "NOT valid");
    {
        let mut w = stub.world.lock().unwrap();
        let named = entry(&w, proof.id.into());
        w.result(REGISTRY, &Verifiers::entryCall { verifierId: hash("digits") }, &named);
        w.code(KEY_AT, [&[0], &key.descriptor.to_bytes()[..]].concat());
    }

    // What cannot be handed over is said where the button is.
    altered(&|c| c.jobIds = vec![U256::from(2)]);
    checked(&mut b);
    b.wait(".check", "paid other jobs");
    stub.world.lock().unwrap().send(transaction, MARKET, &Market::jobsCall {});
    checked(&mut b);
    b.wait(".check", "is not what the market takes");
    stub.world.lock().unwrap().send(transaction, VERIFIER, &fulfil(&proof));
    checked(&mut b);
    b.wait(".check", "was sent to another contract");
    stub.world.lock().unwrap().code(KEY_AT, vec![]);
    altered(&|_| ());
    checked(&mut b);
    b.wait(".check", "does not give its key");
    b.clean(&e.url);
}
