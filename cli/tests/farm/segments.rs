//! The segments of one inference are proven side by side; a worker that dies, and a segment that kills its workers, concern that segment
//! alone, and what is collected is a proof of the whole.

use crate::{
    common::{Sandbox, digits, joined, parts},
    support::{Farm, nats, proven},
};
use assay_verifier::keccak::keccak256;
use serde_json::Value;

fn split_farm(name: &str, more: &[&str]) -> Farm {
    let farm = Farm::new(name, more);
    farm.s.ok(&["split", "model", "--segments", "2", "-o", "cut"]);
    farm
}

fn submit(farm: &Farm, count: usize, more: &[&str]) -> Vec<String> {
    let (url, count) = (farm.url(), count.to_string());
    let fixed = ["farm", "submit", "cut", &digits(), "--nats", &url, "--count", &count];
    fixed.iter().chain(more).map(|a| (*a).to_owned()).collect()
}

fn run(farm: &Farm, args: &[String]) -> Value {
    farm.s.json(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn they_are_proven_side_by_side_and_verified_as_one() {
    if !nats() {
        return;
    }
    let farm = split_farm("segments", &[]);
    let mut first = farm.stuck("first");
    let sent = run(&farm, &submit(&farm, 3, &[]));
    assert_eq!((&sent["jobs"], &sent["known"]), (&6.into(), &0.into()));
    let job = first.wait_for("leased")["job"].as_str().unwrap().to_owned();
    first.kill();
    let mut workers = [farm.worker("a", &[]), farm.worker("b", &[])];
    // The boundaries were kept: the same command is the same jobs.
    let all = run(&farm, &submit(&farm, 3, &["--output", "out", "--timeout", "400s"]));
    assert_eq!((&all["jobs"], &all["known"], &all["accepted"]), (&6.into(), &6.into(), &3.into()), "{all:#}");
    let one = farm.job(&job);
    assert_eq!(one["state"], "accepted");
    assert!(one["record"]["at"]["worker"] != "first" && one["attempts"].as_u64() >= Some(2), "{one:#}");
    proven(&mut workers, 6);
    let status = farm.status();
    let split = status["split"].as_array().unwrap();
    assert_eq!(split.len(), 3, "{status:#}");
    assert!(split.iter().all(|w| (&w["segments"], &w["accepted"]) == (&2.into(), &2.into())), "{status:#}");
    for i in 0..3 {
        let file = format!("out/digits_test-0000{i}.proofs");
        let v = farm.s.json(&["verify", &file, "--key", "out/key"]);
        assert_eq!((&v["valid"], &v["segments"]), (&true.into(), &2.into()));
        let from = i.to_string();
        let whole =
            farm.s.json(&["prove", "model", &digits(), "--key", "key", "-o", "w", "--batch", "1", "--from", &from]);
        assert_eq!(v["outputs"], whole["outputs"]);
    }
}

/// An entry with a right checksum whose content this program cannot read, as another version of it may have left one.
#[test]
fn kept_boundaries_that_cannot_be_read_are_made_anew() {
    if !nats() {
        return;
    }
    let mut farm = split_farm("segments-unreadable", &[]);
    farm.s.use_cache(farm.s.path("cache"));
    let sent = run(&farm, &submit(&farm, 1, &[]));
    assert_eq!((&sent["jobs"], &sent["known"]), (&2.into(), &0.into()));
    let entries = std::fs::read_dir(farm.s.cache()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let [entry] = entries.filter(|name| name.starts_with("boundary-")).collect::<Vec<_>>().try_into().unwrap();
    let payload = b"a boundary of another time";
    let sum = keccak256(&[&(entry.len() as u64).to_be_bytes(), entry.as_bytes(), payload]);
    farm.s.write(&format!("cache/{entry}"), [b"ASSAYCCH".as_slice(), &sum, payload].concat());
    let args = submit(&farm, 1, &[]);
    let ran = farm.s.ok(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(ran.stderr.contains("is damaged; it is made again"), "{ran:#?}");
    // They are kept again.
    let again = run(&farm, &args);
    assert_eq!((&again["jobs"], &again["known"]), (&2.into(), &2.into()));
}

#[test]
fn a_poisoned_segment_is_named() {
    if !nats() {
        return;
    }
    // Whoever is healthy has time; the lease is short for the one that dies alone.
    let (patient, short) = (["--tries", "1", "--lease", "1h"], ["--tries", "1", "--lease", "1s"]);
    let mut farm = split_farm("segments-poisoned", &patient);
    run(&farm, &submit(&farm, 1, &[]));
    assert_eq!(farm.worker("first", &["--jobs", "1"]).ends().0, 0);
    farm.until("accepted", 1);
    farm.kill();
    farm.again_with(&short);
    let mut victim = farm.stuck("victim");
    let job = victim.wait_for("leased")["job"].as_str().unwrap().to_owned();
    victim.kill();
    assert_eq!(farm.job(&job)["state"], "leased");
    let status = {
        // It comes back to whoever looks for work, and is given up.
        let _next = farm.worker("next", &[]);
        farm.until("failed", 1)
    };
    farm.kill();
    farm.again_with(&patient);
    let _healthy = farm.worker("healthy", &[]);
    let name = status["failures"][0]["name"].as_str().unwrap().to_owned();
    assert_eq!(status["failures"][0]["job"], job);
    assert!(name.starts_with("digits_test-00000-segment-"), "{name}");
    let whole = &farm.status()["split"][0];
    let segment: u64 = name.rsplit('-').next().unwrap().parse().unwrap();
    assert_eq!((&whole["accepted"], &whole["failed"]), (&1.into(), &vec![segment].into()), "{whole:#}");
    let args = submit(&farm, 1, &["--output", "out"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    farm.s.fails(2, &args, &["1 of 2 jobs failed", &name, "--retry"]);
    let again = farm.s.json(&[&args[..], &["--retry"]].concat());
    assert_eq!((&again["retried"], &again["accepted"]), (&1.into(), &1.into()));
    farm.s.ok(&["verify", "out/digits_test-00000.proofs", "--key", "out/key"]);
}

/// What a contract and this program say of the settled proofs of two inferences, and of such that were put together from both.
fn takes_them_together(s: &Sandbox) {
    for i in ["0", "1"] {
        let file = format!("out/digits_test-0000{i}.proofs");
        let v = s.json(&["verify", &file, "--key", "out/key"]);
        assert_eq!((&v["hiding"], &v["segments"], &v["batch"]), (&true.into(), &2.into(), &1.into()));
        let fixed = ["prove", "model", &digits(), "--key", "key", "-o", "w", "--batch", "1", "--from", i];
        assert_eq!(v["outputs"], s.json(&fixed)["outputs"]);
        let chain = s.json(&["chain", "verify", &file, "--key", "out/key"]);
        assert_eq!((&chain["accepted"], &chain["split_id"]), (&true.into(), &v["split_id"]));
        println!("inference {i}: {} gas for 2 segments", chain["gas"]);
        assert!(chain["gas"].as_u64() > Some(500_000), "{chain}");
    }
    let [a, b] = ["0", "1"].map(|i| s.read(&format!("out/digits_test-0000{i}.proofs")));
    s.write("cheat", joined(&a, &[&parts(&a)[0], &parts(&b)[1]]));
    s.fails(1, &["verify", "cheat", "--key", "out/key"], &["another boundary"]);
    s.fails(1, &["chain", "verify", "cheat", "--key", "out/key"], &["does not accept"]);
}

#[test]
fn settled_segments_are_collected_and_taken_together() {
    let s = crate::support::sandbox("segments-settled");
    s.ok(&["split", "model", "--segments", "2", "-o", "cut"]);
    let all = s.json(&["farm", "submit", "cut", &digits(), "--count", "2", "--settle", "-o", "out"]);
    assert_eq!((&all["jobs"], &all["accepted"], &all["hiding"]), (&4.into(), &2.into(), &true.into()), "{all:#}");
    takes_them_together(&s);
}

#[test]
fn settled_segments_of_a_farm_are_for_the_purpose_of_their_submission() {
    if !nats() {
        return;
    }
    let farm = split_farm("segments-settled-farm", &[]);
    let _worker = farm.worker("one", &["--jobs", "4"]);
    let purpose = ["--settle", "--recipient", "0x5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b", "--job", &"07".repeat(32)];
    let all = run(&farm, &submit(&farm, 2, &[&["--output", "out", "--timeout", "400s"][..], &purpose].concat()));
    assert_eq!((&all["jobs"], &all["known"], &all["accepted"]), (&4.into(), &0.into(), &2.into()), "{all:#}");
    let v = farm.s.json(&["verify", "out/digits_test-00000.proofs", "--key", "out/key"]);
    assert_eq!((&v["recipient"], &v["job"]), (&"5b".repeat(20).into(), &"07".repeat(32).into()));
    takes_them_together(&farm.s);
    // The same inferences for another purpose are other jobs.
    let other = run(&farm, &submit(&farm, 2, &["--settle"]));
    assert_eq!((&other["jobs"], &other["known"]), (&4.into(), &0.into()));
}

#[test]
fn threads_of_one_process_do_it_too() {
    let s = crate::support::sandbox("segments-local");
    s.ok(&["split", "model", "--segments", "2", "-o", "cut"]);
    let all =
        s.json(&["farm", "submit", "cut", &digits(), "--count", "2", "--batch", "2", "--workers", "2", "-o", "out"]);
    assert_eq!((&all["jobs"], &all["accepted"]), (&4.into(), &2.into()), "{all:#}");
    for i in ["0", "2"] {
        let v = s.json(&["verify", &format!("out/digits_test-0000{i}.proofs"), "--key", "out/key"]);
        assert_eq!(v["batch"], 2);
    }
}
