//! Records, notes and files that are none: an error that says so, or nothing at all.

use crate::support::{Farm, client::Client, nats};
use serde_json::json;

#[test]
fn it_is_noticed() {
    if !nats() {
        return;
    }
    let farm = Farm::new("nonsense", &[]);
    let sent = farm.submission(1, &["--json"]);
    let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
    farm.s.ok(&sent);
    let client = Client::new(&farm.url());
    // Notes that are none hold nobody up.
    for queue in ["core", "check"] {
        client.publish(&format!("assay.main.queue.{queue}"), b"\xff\x00 no note".to_vec());
        let stranger = json!({ "job": format!("0x{}", "ab".repeat(32)), "run": 0 });
        client.publish(&format!("assay.main.queue.{queue}"), stranger.to_string().into_bytes());
    }
    // Records that are none are not counted.
    client.publish("assay.main.job.zz", vec![b'{'; 100_000]);
    assert_eq!(farm.status()["queued"], 1);
    {
        let _worker = farm.worker("a", &[]);
        farm.until("accepted", 1);
    }
    // The model's file is another one.
    let ran = farm.s.ok(&sent);
    let job = ran
        .stdout
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap())
        .find(|v| v["event"] == "submitted");
    let job = job.unwrap()["job"].as_str().unwrap().to_owned();
    let proof = client.record(&job)["at"]["proof"].as_str().unwrap().to_owned();
    client.put(&proof, b"something else");
    client.publish(&format!("assay.main.job.{}", &job[2..]), b"[1, 2]".to_vec());
    farm.s.fails(
        2,
        &["farm", "status", "--nats", &farm.url(), "--job", &job],
        &["makes no sense", "the record of job"],
    );
}
