//! Datasets and tasks of training on the page: states that a test makes up, strings of strangers, and a round that was really paid.

use super::{
    browser::Browser,
    program::Explorer,
    stub::{Stub, World, sol::IDatasetRegistry as Datasets},
    tasks_world::{AT, REGISTRY, add_dataset, add_task, lease, task, train, training},
    training_world::{self, SPONSOR, WORKER, find},
    world::{FIRST_BLOCK, TOKEN, base, hash, lively, who},
};
use alloy_primitives::{Bytes, U256, keccak256};
use assay_contracts::economy::abi::TrainingMarket as Training;
use serde_json::{Value, json};

fn holds(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no '{word}' in {text}");
    }
    assert!(!text.contains("undefined") && !text.contains("NaN") && !text.contains("[object"), "{text}");
}

#[test]
fn the_page_shows_datasets_tasks_and_rounds() {
    let Some(mut b) = Browser::start("the_page_shows_datasets_tasks_and_rounds") else { return };
    let stub = Stub::start(training());
    let e = Explorer::start("explorer-training", &stub.url);
    let visit = |b: &mut Browser, place: &str, view: &str, title: &str| {
        b.goto(&format!("{}/{place}", e.url));
        b.wait(&format!("[data-view={view}] .detail"), title);
        b.text(&format!("[data-view={view}]")).join("\n")
    };
    b.goto(&e.url);
    b.wait("[data-view=tasks]", "waits for a shard");
    holds(&b.text("body").join("\n"), &["Rounds of training paid", "Tasks of training use it", "3.25"]);
    let rows = b.text("[data-view=tasks] tbody tr");
    for (row, words) in [
        (0, ["open", "0 of 8"]),
        (1, ["expired, can be refunded", "0 of 8"]),
        (2, ["closed", "none"]),
        (3, ["trained, waits for a shard", "4 of 8"]),
    ] {
        holds(&rows[row], &words);
    }
    let sets = b.text("[data-view=datasets] tbody tr");
    let flat = |t: &str| t.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat(&sets[0]).contains("retired") && flat(&sets[0]).ends_with("1 0"), "{sets:#?}");
    assert!(flat(&sets[1]).contains("360 26,640 10 %") && flat(&sets[1]).ends_with("4 4"), "{sets:#?}");

    let text = visit(&mut b, "#task-1", "task", "Task 1");
    let (sponsor, head) = (format!("{:#x}", who(72)), hash("head 1").to_string());
    let words = [
        &*sponsor,
        &*head,
        "https://tasks.example/1",
        "4 used, of which 2 revealed; 4 nobody",
        "any that is registered",
    ];
    holds(&text, &words);
    // 40 for four proofs, 4 and 60 for gains; 4 times 0.5 and 2 times 0.25 burned, and half of a bond.
    holds(
        &text,
        &[
            "10.5 ASSAY now",
            "40 ASSAY for training, 64 ASSAY for gains",
            "2.5 ASSAY of work fees, 0.5 ASSAY of lost bonds",
        ],
    );
    holds(
        &text,
        &["421 ASSAY left; set aside for the present round 60.25 ASSAY; paid in 600 ASSAY", "has to reveal shard 3 in"],
    );
    let rounds = b.text("[data-view=task] tbody tr");
    for (row, words) in [
        (0, ["trained, waits for a shard", "3, sealed"]),
        (1, ["paid, gained nothing", "4,750 → 4,700"]),
        (2, ["the sponsor revealed no shard", "60"]),
        (3, ["lease lost", "not paid"]),
        (4, ["paid, and gained", "2 steps"]),
    ] {
        holds(&rounds[row], &words);
    }
    let heads = b.text("[data-view=task] ol.story li").join("\n");
    holds(&heads, &[&hash("head 0").to_string(), "of the sponsor", &hash("head 1").to_string(), "of round 1"]);

    let text = visit(&mut b, "#task-1-round-1", "task", "Task 1, round 1");
    let (seed, trained, shard) = (hash("seed").to_string(), hash("head 1").to_string(), hash("shard 0").to_string());
    holds(
        &text,
        &[
            &seed,
            &trained,
            &shard,
            "Seed's block\n142",
            "8.8 ASSAY",
            "0.5 ASSAY",
            "ipfs://weights",
            &hash("stack of digits").to_string(),
        ],
    );
    holds(
        &text,
        &[
            "loss of the head 5,000, of the trained weights 4,750",
            "2 steps of 100: 4 ASSAY",
            "the head is the trained weights now",
        ],
    );
    assert_eq!(b.attribute("[data-view=task] [data-verify]", "data-verify").len(), 2);
    holds(&visit(&mut b, "#task-1-round-2", "task", "round 2"), &["0.5 ASSAY burned, 0.5 ASSAY for the next proof"]);
    assert!(b.attribute("[data-view=task] [data-verify]", "data-verify").is_empty());
    holds(&visit(&mut b, "#task-1-round-3", "task", "round 3"), &["paid 60 ASSAY, the most", "number 1: sealed"]);
    holds(&visit(&mut b, "#task-1-round-4", "task", "round 4"), &["0 steps of 100: 0 ASSAY; the head stays"]);
    holds(&visit(&mut b, "#task-1-round-9", "task", "round 9"), &["no such round", "1 to 5"]);
    holds(
        &visit(&mut b, "#task-2", "task", "Task 2"),
        &["closed", "600 ASSAY to the sponsor", "Nobody has leased a round yet"],
    );
    holds(&visit(&mut b, "#task-5", "task", "Task 5"), &["There is no task 5. Tasks so far: 1 to 4."]);
    holds(&visit(&mut b, "#task-0-round-0", "task", "Task 0"), &["There is no task 0."]);

    let (id, stack) = (hash("digits").to_string(), hash("stack of digits").to_string());
    let text = visit(&mut b, &format!("#dataset-{id}"), "dataset", "Dataset");
    holds(
        &text,
        &[
            &id,
            &stack,
            "360, 26,640 values",
            "10 % of what training on it is paid",
            "https://data.example/digits",
            "active",
        ],
    );
    holds(&text, &[&hash("licence").to_string(), "task 1 round 5, task 1 round 4, task 1 round 3, task 1 round 1"]);
    let old = hash("old");
    holds(&visit(&mut b, &format!("#dataset-{old}"), "dataset", "retired"), &["takes no new lease", "task 1 round 2"]);
    let none = hash("none");
    holds(&visit(&mut b, &format!("#dataset-{none}"), "dataset", "There is no dataset"), &["Registered so far: 2"]);
    b.resize(360, 740);
    assert_eq!(b.evaluate("document.documentElement.scrollWidth"), 360);
    b.goto(&format!("{}/#task-1-round-1", e.url));
    b.shots("training");
    b.clean(&e.url);
}

#[test]
fn a_deployment_without_training_says_so() {
    let Some(mut b) = Browser::start("a_deployment_without_training_says_so") else { return };
    // Nothing answers at the addresses; the rest of the page is as ever.
    let stub = Stub::start(lively());
    let e = Explorer::start("explorer-untrained", &stub.url);
    b.goto(&format!("{}/#task-1", e.url));
    b.wait("[data-view=task]", "This deployment has no market for training");
    b.wait("[data-view=tasks]", "This deployment has no market for training");
    b.wait("[data-view=datasets]", "This deployment has no registry of datasets");
    b.wait("[data-view=jobs]", "leased");
    b.goto(&format!("{}/#dataset-{}", e.url, hash("x")));
    b.wait("[data-view=dataset]", "This deployment has no registry of datasets");
    // With both, and nothing in them yet.
    let mut empty = World::new(FIRST_BLOCK + 5);
    empty.history = 3;
    base(&mut empty, "ASSAY");
    empty.result(AT, &Training::tasksCall {}, &U256::ZERO);
    empty.result(REGISTRY, &Datasets::countCall {}, &U256::ZERO);
    *stub.world.lock().unwrap() = empty;
    b.wait("[data-view=tasks]", "No task has been opened yet");
    b.wait("[data-view=datasets]", "No dataset has been registered yet");
    b.goto(&format!("{}/#task-7", e.url));
    b.wait("[data-view=task]", "There is no task 7. No task has been opened yet.");
    b.clean(&e.url);
}

#[test]
fn what_strangers_say_of_training_stays_text() {
    let Some(mut b) = Browser::start("what_strangers_say_of_training_stays_text") else { return };
    let mut w = training();
    let image = "<img src=x onerror=\"document.title='owned'\">";
    add_dataset(&mut w, "evil", 1, "javascript:alert(1)");
    let open = task(&w, hash("t"), hash("e"));
    add_task(&mut w, 5, &open, image);
    add_task(&mut w, 6, &open, "data:text/html,<script>alert(1)</script>");
    // Results that are not of their type, losses that are no values, an event cut short, and numbers at their ends.
    w.raw_result(AT, &Training::taskCall { taskId: U256::from(6) }, &[0xff; 26 * 32]);
    lease(&mut w, 6, 25, "head 1", hash("digits"));
    train(&mut w, 6, 25, u32::MAX, Bytes::from_static(&[1, 2, 3]), image);
    let topic = keccak256("Seeded(uint256,uint32,bytes32)");
    w.raw(AT, FIRST_BLOCK + 90, hash("cut"), vec![topic], Bytes::new());
    let most = Training::Evaluated {
        taskId: U256::from(1),
        round: 6,
        payout: who(1),
        before: u64::MAX,
        later: 0,
        gain: u128::MAX,
        head: hash("head 6"),
    };
    w.event(AT, FIRST_BLOCK + 91, &most);
    let stub = Stub::start(w);
    let e = Explorer::start("explorer-strangers", &stub.url);
    b.goto(&e.url);
    b.wait("#status", "1 events could not be read");
    for (place, view, words) in [
        ("#task-5".to_owned(), "task", image),
        ("#task-6".to_owned(), "task", "is no task"),
        ("#task-1-round-6".to_owned(), "task", image),
        ("#task-1-round-6".to_owned(), "task", "3 bytes that are no values"),
        (format!("#dataset-{}", hash("evil")), "dataset", "javascript:alert(1)"),
        (
            "#task-115792089237316195423570985008687907853269984665640564039457584007913129639935".to_owned(),
            "task",
            "There is no task",
        ),
    ] {
        b.goto(&format!("{}/{place}", e.url));
        b.wait(&format!("[data-view={view}]"), words);
    }
    for place in ["#task-1-round-99999999999", "#dataset-0x12", "#task-<img src=x>", "#task-1-round-"] {
        b.goto(&format!("{}/{place}", e.url));
        b.refreshed(1);
        assert!(b.text("[data-view=task] .detail, [data-view=dataset] .detail").is_empty(), "{place}");
    }
    assert_eq!(b.evaluate("document.querySelectorAll('main img, main script, main iframe').length"), 0);
    assert_ne!(b.evaluate("document.title"), "owned");
    b.clean(&e.url);
}

/// Everything real: a task, a proof of training and one of evaluation, both paid, and the page's own verdict on both.
#[test]
fn a_real_round_of_training_is_shown_and_checked_here() {
    let Some(mut b) = Browser::start("a_real_round_of_training_is_shown_and_checked_here") else { return };
    let mut w = training_world::World::new("explorer-trained");
    let (code, events) = w.work(&["--rounds", "1"]);
    assert_eq!(code, Some(0), "{events:#?}");
    let trained = find(&events, "paid")["trained"].as_str().unwrap().to_owned();
    w.m.s.key = Some(SPONSOR);
    let revealed = w.m.json(&["task", "reveal", &w.task, "--sealed", "sealed.json"]);
    w.m.s.key = Some(WORKER);
    let (code, events) = w.work(&["--once", "--min-price", "11"]);
    assert_eq!(code, Some(0), "{events:#?}");
    let gained: Value = find(&events, "gained").clone();
    let training_world::World { m, .. } = w;
    m.s.write("deployment.json", m.s.read("assay-deployment.json"));
    let e = Explorer::of(m.s, m.node.url());
    b.goto(&format!("{}/#task-1", e.url));
    b.wait("[data-view=task] h3", "Task 1");
    let moved = gained["before"].as_u64() > gained["after"].as_u64();
    let outcome = if moved { "paid, and gained" } else { "paid, gained nothing" };
    b.wait("[data-view=task] tbody", outcome);
    b.goto(&format!("{}/#task-1-round-1", e.url));
    b.wait("[data-view=task] h3", "Task 1, round 1");
    let text = b.text("[data-view=task]").join("\n");
    let shard = revealed["stack_id"].as_str().unwrap_or_else(|| panic!("{revealed}")).to_owned();
    holds(&text, &[&trained, &shard, outcome]);
    b.shots("trained");
    for (what, words) in
        [("training 1 1", "losses of the steps"), ("evaluation 1 1", "losses of the head and of the trained weights")]
    {
        b.goto(&format!("{}/#task-1-round-1", e.url));
        b.wait("[data-view=task] h3", "Task 1, round 1");
        b.click(&format!("[data-verify='{what}']"));
        b.wait("#result h2", "Valid, but anybody could have made it");
        let text = b.text("#result").join("\n");
        holds(&text, &[trained.trim_start_matches("0x"), "Stack: head", "Stack: trained weights", words]);
        let third = if what.starts_with("training") { "Stack: dataset" } else { shard.trim_start_matches("0x") };
        holds(&text, &[third]);
    }
    b.shots("trained-verdict");
    // Nothing that the page was handed may be changed and still be found valid: roles, numbers, round, payee, chain.
    let record = b.evaluate("sessionStorage.getItem('assay.handed')");
    let record: Value = serde_json::from_str(record.as_str().unwrap()).unwrap();
    let mut changed = Vec::new();
    for (name, value) in [
        ("head", record["trained"].clone()),
        ("trained", record["head"].clone()),
        ("shard", record["head"].clone()),
        ("before", json!("1")),
        ("later", json!("1")),
        ("round", json!("2")),
        ("heads", json!("1")),
        ("task", json!("2")),
        ("payout", json!(who(1))),
        ("market", json!(TOKEN)),
        ("chainId", json!(1)),
    ] {
        let mut other = record.clone();
        other[name] = value;
        changed.push(other.to_string());
    }
    changed.push(record.to_string());
    let script = format!(
        "(async () => {{ const out = []; for (const t of {}) out.push((await assay.verifyHanded(t)).verdict); return out; }})()",
        json!(changed)
    );
    let mut expected = vec!["invalid"; 11];
    expected.push("valid");
    assert_eq!(b.evaluate(&script), json!(expected));
    b.clean(&e.url);
}
