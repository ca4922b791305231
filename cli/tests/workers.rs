//! Real workers on a real node: they compete, one is killed in the middle of a proof, nothing is lost or paid twice.

mod common;
#[path = "scenarios/support/proxy.rs"]
#[allow(dead_code, reason = "the scenarios use the rest")]
mod proxy;

use assay_contracts::{
    Address, Chain, Embedded, Filter, U256,
    economy::{Status, abi::JobMarket, amount},
    sol_types::SolEvent,
};
use common::{
    MarketOf, digits,
    running::{PATIENCE, Running},
    worth,
};
use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

/// Events of one kind since the deployment.
fn events<E: SolEvent>(chain: &mut dyn Chain, market: Address) -> Vec<E> {
    let to = chain.head().unwrap().number;
    let filter = Filter { address: market, from: 0, to, topics: vec![Some(E::SIGNATURE_HASH)] };
    chain.events(&filter).unwrap().iter().map(|e| E::decode_log_data_validate(&e.log.data).unwrap()).collect()
}

#[test]
fn three_workers_share_twenty_jobs_and_one_is_killed() {
    const JOBS: u64 = 20;
    let m = MarketOf::new("three-workers");
    m.json(&["model", "register", "model"]);
    let data = digits();
    let post = ["job", "post", "model", &data, "--max-price", "2", "--min-price", "2", "--bond", "0.5"];
    let posted = m.json(&[&post[..], &["--count", "20"]].concat());
    assert_eq!(posted["job_ids"].as_array().map(Vec::len), Some(20));

    // The proof of the first one does not get through before it is killed.
    let proxy = proxy::Proxy::new(m.node.url());
    proxy.rule(|a| if a.sends::<JobMarket::fulfilCall>() { proxy::Fault::DropRequest } else { proxy::Fault::None });
    let mut first = Running::worker(&m.s, proxy.url(), 1, &[]);
    let others = [Running::worker(&m.s, m.node.url(), 2, &[]), Running::worker(&m.s, m.node.url(), 3, &[])];
    // In the middle of its first proof.
    let proving = first.wait_for("proving");
    let killed_job = proving["job_ids"][0].as_u64().unwrap();
    first.kill();
    let mut again = Running::worker(&m.s, m.node.url(), 1, &[]);
    let resumed = again.wait_for("resumed");
    assert_eq!(resumed["job_ids"][0].as_u64(), Some(killed_job), "{resumed}");

    let (mut chain, at) = m.client();
    let market = at.market();
    let start = Instant::now();
    for id in 1..=JOBS {
        while market.job(&mut chain, id).unwrap().status != Status::Fulfilled {
            assert!(start.elapsed() < PATIENCE, "job {id} is not done");
            thread::sleep(Duration::from_millis(300));
        }
    }
    drop((again, others));

    // Each job was leased once, paid once, to whoever leased it; no bond was lost.
    let leased = events::<JobMarket::Leased>(&mut chain, at.contracts.market);
    let paid = events::<JobMarket::Fulfilled>(&mut chain, at.contracts.market);
    assert!(events::<JobMarket::LeaseLost>(&mut chain, at.contracts.market).is_empty());
    let by_job = |list: Vec<(U256, Address)>| {
        let map: BTreeMap<U256, Address> = list.iter().copied().collect();
        assert_eq!((list.len() as u64, map.len() as u64), (JOBS, JOBS), "{list:?}");
        map
    };
    let who_leased = by_job(leased.iter().map(|e| (e.jobId, e.payout)).collect());
    let who_was_paid = by_job(paid.iter().map(|e| (e.jobId, e.payout)).collect());
    assert_eq!(who_leased, who_was_paid);
    assert_eq!(who_was_paid.get(&U256::from(killed_job)), Some(&Embedded::ACCOUNTS[1]));

    // Every worker has what he began with and his parts of the prices, withdrawn or still in the market.
    let part = U256::from(2_000_000_000_000_000_000_u128 * 93 / 100);
    let mut all = 0;
    for account in &Embedded::ACCOUNTS[1..4] {
        let jobs = who_was_paid.values().filter(|a| *a == account).count();
        println!("{account} did {jobs} jobs");
        all += jobs;
        assert_eq!(worth(&mut chain, &at, *account), amount::whole(10_000) + part * U256::from(jobs), "{account}");
    }
    assert_eq!(all as u64, JOBS);
}

#[test]
fn one_worker_does_fifty_jobs_in_batches() {
    const JOBS: u64 = 50;
    let m = MarketOf::new("fifty-jobs");
    let registered = m.json(&["model", "register", "model", "--batch", "16"]);
    assert_eq!(registered["batch"], 16);
    let data = digits();
    let post =
        ["job", "post", "model", &data, "--max-price", "1", "--min-price", "1", "--count", "50", "--lease", "30m"];
    m.json(&post);
    let mut worker = Running::worker(&m.s, m.node.url(), 1, &["--fill", "1s", "--jobs", "50"]);
    let result = worker.wait_for("result");
    assert_eq!(result["jobs_paid"].as_u64(), Some(JOBS), "{result}");
    assert_eq!(result["jobs_given_up"], 0);
    // Three full proofs and one of two jobs and fourteen slots that nobody pays for.
    assert_eq!(result["batches"], 4);
    let (mut chain, at) = m.client();
    let paid = events::<JobMarket::Fulfilled>(&mut chain, at.contracts.market);
    let mut ids: Vec<u64> = paid.iter().map(|e| e.jobId.to()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=JOBS).collect::<Vec<_>>());
    assert!(events::<JobMarket::LeaseLost>(&mut chain, at.contracts.market).is_empty());
    let part = U256::from(1_000_000_000_000_000_000_u128 * 93 / 100);
    let balance = at.token().balance(&mut chain, Embedded::ACCOUNTS[1]).unwrap();
    assert_eq!(balance, amount::whole(10_000) + part * U256::from(JOBS));
}

#[test]
fn a_payment_before_a_crash_is_noticed_and_not_repeated() {
    let m = MarketOf::new("paid-before-crash");
    m.json(&["model", "register", "model"]);
    let data = digits();
    m.json(&["job", "post", "model", &data, "--max-price", "2", "--min-price", "2"]);
    let result = Running::worker(&m.s, m.node.url(), 1, &["--once"]).wait_for("result");
    assert_eq!(result["jobs_paid"], 1);
    // As if it had been killed after the market paid, and before it could note that.
    let journal = String::from_utf8(m.s.read("journal-1")).unwrap();
    let (before, paid) = journal.split_at(journal.find("{\"step\":\"paid\"").unwrap());
    assert!(paid.contains("\"final\"") && before.contains("\"proven\""), "{journal}");
    m.s.write("journal-1", before);
    let mut again = Running::worker(&m.s, m.node.url(), 1, &["--once"]);
    let noticed = again.wait_for("paid");
    assert!(noticed["gas"].is_null() && noticed["to_worker"] == "2060000000000000000", "{noticed}");
    assert_eq!(again.wait_for("result")["jobs_paid"], 1);
    // A third start has nothing to do: the journal says that it is over.
    assert!(String::from_utf8(m.s.read("journal-1")).unwrap().contains("\"paid\""));
    let (mut chain, at) = m.client();
    assert_eq!(events::<JobMarket::Leased>(&mut chain, at.contracts.market).len(), 1);
    assert_eq!(events::<JobMarket::Fulfilled>(&mut chain, at.contracts.market).len(), 1);
    let balance = at.token().balance(&mut chain, Embedded::ACCOUNTS[1]).unwrap();
    assert_eq!(balance, amount::whole(10_000) + U256::from(1_860_000_000_000_000_000_u128));
}
