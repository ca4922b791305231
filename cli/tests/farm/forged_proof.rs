//! Somebody hands in what is no proof of the job: noise, a proof of another input, a file that is not there. Nothing of it is accepted,
//! and the job is done by somebody honest.

use crate::{
    common::digits,
    support::{Farm, client::Client, nats},
};
use assay_contracts::keccak256;
use serde_json::json;

#[test]
fn nothing_is_accepted_that_is_not_of_the_job() {
    if !nats() {
        return;
    }
    let mut farm = Farm::new("forged", &[]);
    farm.send(1);
    let args = farm.submission(1, &["--json"]);
    let sent = farm.s.ok(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let job = sent.stdout.lines().find_map(|l| {
        let v: serde_json::Value = serde_json::from_str(l).unwrap();
        (v["event"] == "submitted").then(|| v["job"].as_str().unwrap().to_owned())
    });
    let (job, client) = (job.unwrap(), Client::new(&farm.url()));
    farm.s.ok(&["prove", "model", &digits(), "--from", "3", "--batch", "1", "--key", "key", "-o", "other"]);
    let mut honest = farm.s.read("other");
    let other = honest.clone();
    let middle = honest.len() / 2;
    honest[middle] ^= 1;
    let forgeries = [
        (b"no proof".to_vec(), "not a proof file"),
        (other, "other outputs than those of the job's inputs"),
        (honest, ""),
    ];
    for (run, (bytes, why)) in forgeries.iter().enumerate() {
        let hash = keccak256(bytes).to_string();
        client.put(&hash, bytes);
        let mut record = client.record(&job);
        assert_eq!(record["run"], run);
        record["at"] = json!({ "state": "proven", "worker": "mallory", "proof": hash, "millis": 1 });
        client.publish(&format!("assay.main.job.{}", &job[2..]), record.to_string().into_bytes());
        client.publish("assay.main.queue.check", json!({ "job": job, "run": run }).to_string().into_bytes());
        let refused = farm.up.wait_for("refused");
        assert_eq!((&refused["worker"], &refused["job"]), (&"mallory".into(), &job.as_str().into()));
        assert!(refused["why"].as_str().unwrap().to_lowercase().contains(why), "{refused:#}");
    }
    assert_eq!(farm.status()["accepted"], 0);
    let _worker = farm.worker("honest", &[]);
    let all = farm.collect(1);
    assert_eq!(all["workers"], json!({ "honest": 1 }));
    farm.check(1);
    // A keeper that lies is found out by whoever collects.
    let mut record = client.record(&job);
    let bytes = farm.s.read("other");
    let hash = keccak256(&bytes).to_string();
    client.put(&hash, &bytes);
    record["at"]["proof"] = json!(hash);
    client.publish(&format!("assay.main.job.{}", &job[2..]), record.to_string().into_bytes());
    let args = farm.submission(1, &["--output", "lied"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    farm.s.fails(1, &args, &["the farm accepted a proof", "do not trust"]);
    assert!(!farm.s.path("lied/digits_test-00000.proof").exists());
}
