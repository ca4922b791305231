//! Commands of those who watch over a system, on a real node: what they do to the chain, and what they say to those who may not.

mod common;
#[path = "scenarios/support/mod.rs"]
#[allow(dead_code, reason = "the scenarios use the rest")]
mod support;

use assay_contracts::{
    Address, B256, Bytes, Rpc, U256,
    economy::{Deployment, Parameters, Status, amount, deploy},
    keccak256,
    sol_types::SolValue,
};
use common::{KEYS, digits};
use serde_json::{Value, json};
use support::{World, account, gift};

/// A world whose blocks are a second apart, whatever the machine's clock says: what is too early stays so.
fn world(name: &str) -> World {
    let w = World::new(name);
    w.node("anvil_setBlockTimestampInterval", &json!([1]));
    w
}

/// Lets so many seconds pass on the chain.
fn later(w: &World, seconds: u64) {
    let block = w.node("eth_getBlockByNumber", &json!(["latest", false]));
    let now = u64::from_str_radix(block["timestamp"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    w.node("evm_setNextBlockTimestamp", &json!([now + seconds]));
    w.node("evm_mine", &json!([]));
}

fn fails(w: &World, code: i32, args: &[&str], words: &[&str]) -> String {
    w.s.fails(code, &[args, &["--rpc", &w.node_url()]].concat(), words)
}

fn state(w: &World, id: &str) -> String {
    w.json(&["vote", "show", id])["state"].as_str().unwrap().to_owned()
}

fn paused(w: &World) -> bool {
    w.at.market().ledger().paused(&mut w.client(0)).unwrap()
}

/// The number of a proposal that this command makes, with votes of the first account.
fn proposed(w: &World, args: &[&str]) -> String {
    let votes = w.json(&["vote", "delegate"]);
    assert_ne!(votes["votes"], "0", "{votes}");
    later(w, 2);
    let made = w.json(args);
    made["proposal"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

/// From a proposal to what it decides.
fn carried(w: &World, id: &str) {
    later(w, 61);
    w.json(&["vote", "cast", id, "for"]);
    later(w, 601);
    w.json(&["vote", "queue", id]);
    later(w, 61);
    w.json(&["vote", "execute", id]);
    assert_eq!(state(w, id), "executed");
}

/// Calls a contract as somebody whose key nobody has.
fn as_if(w: &World, from: Address, to: Address, signature: &str, arguments: &[u8]) {
    let data: Bytes = [&keccak256(signature)[..4], arguments].concat().into();
    w.node("anvil_setBalance", &json!([from.to_string(), "0xde0b6b3a7640000"]));
    w.node("anvil_impersonateAccount", &json!([from.to_string()]));
    w.transact(&json!({ "from": from.to_string(), "to": to.to_string(), "data": data.to_string() }));
    w.node("anvil_stopImpersonatingAccount", &json!([from.to_string()]));
}

#[test]
fn the_guardian_pauses_and_votes_resume() {
    let mut w = world("govern-pause");
    let data = digits();
    let post = ["job", "post", "model", &data, "--max-price", "2", "--min-price", "2"];
    let open = w.json(&post)["job_id"].to_string();
    w.s.key = Some(KEYS[1]);
    fails(&w, 2, &["chain", "pause"], &["AccessManagedUnauthorized", "--propose"]);
    assert!(!paused(&w));
    w.s.key = Some(KEYS[0]);
    let done = w.json(&["chain", "pause"]);
    assert!(done["gas"].as_u64().is_some_and(|g| g > 20_000) && paused(&w), "{done}");
    fails(&w, 2, &["chain", "pause"], &["paused already"]);
    fails(&w, 2, &post, &["EnforcedPause"]);
    // The ways out stay open.
    w.json(&["job", "refund", &open]);
    assert_eq!(w.job(open.parse().unwrap()).status, Status::Closed);

    // Resuming takes a vote, and who asks for it without one is told what to propose.
    let refused = w.s.assay(&["chain", "unpause", "--json", "--rpc", &w.node_url()]);
    assert_eq!(refused.code, 2, "{refused:#?}");
    let market = w.at.contracts.market.to_string();
    let calldata = assay_contracts::economy::Ledger::pause_data(false).to_string();
    assert!(refused.stdout.contains(&market) && refused.stdout.contains(&calldata), "{refused:#?}");
    assert!(paused(&w));
    fails(&w, 2, &["chain", "unpause", "--propose", "enough"], &["assay vote delegate"]);
    let id = proposed(&w, &["chain", "unpause", "--propose", "enough"]);

    // Each step in its time and not before.
    assert_eq!(state(&w, &id), "pending");
    let cast = ["vote", "cast", &id, "for"];
    let early = |w: &World, what: &str| fails(w, 2, &["vote", what, &id], &["vote show"]);
    fails(&w, 2, &cast, &["GovernorUnexpectedProposalState", "vote show"]);
    later(&w, 61);
    assert_eq!(state(&w, &id), "active");
    early(&w, "queue");
    w.json(&cast);
    fails(&w, 2, &cast, &["GovernorAlreadyCastVote"]);
    let shown = w.json(&["vote", "show", &id]);
    assert_eq!((shown["description"].as_str(), shown["against"].as_str()), (Some("enough"), Some("0")));
    assert_eq!(shown["calls"][0]["target"].as_str(), Some(market.as_str()));
    let votes: U256 = shown["for"].as_str().unwrap().parse().unwrap();
    assert_eq!(votes, w.at.token().balance(&mut w.client(0), account(0)).unwrap());
    later(&w, 601);
    assert_eq!(state(&w, &id), "succeeded");
    early(&w, "execute");
    // Anybody may do the rest.
    w.s.key = Some(KEYS[3]);
    w.json(&["vote", "queue", &id]);
    assert_eq!(state(&w, &id), "queued");
    early(&w, "execute");
    assert!(paused(&w));
    later(&w, 61);
    w.json(&["vote", "execute", &id]);
    assert_eq!(state(&w, &id), "executed");
    assert!(!paused(&w));
    fails(&w, 2, &["chain", "unpause"], &["not paused already"]);
    w.s.key = Some(KEYS[0]);
    w.json(&post);
}

#[test]
fn votes_decide_both_ways() {
    let w = world("govern-votes");
    let market = w.at.contracts.market;
    let call = |bps: u16| {
        let data: Bytes = [&keccak256("setProtocolBps(uint16)")[..4], &bps.abi_encode()].concat().into();
        format!("{market}:{data}")
    };
    let rates = |w: &World| w.at.market().ledger().work_fee(&mut w.client(0), w.verifier()).unwrap();
    let before = rates(&w);
    let fee: Bytes = [&keccak256("setFeeRate(uint256)")[..4], &amount::whole(10).abi_encode()].concat().into();
    let fee = format!("{market}:{fee}");
    // Two calls, carried.
    let id = proposed(&w, &["vote", "propose", "--call", &call(100), "--call", &fee, "--why", "cheaper"]);
    carried(&w, &id);
    assert_eq!(rates(&w), before / 100);
    fails(&w, 2, &["vote", "execute", &id], &["vote show"]);
    // Voted down.
    let id = proposed(&w, &["vote", "propose", "--call", &call(1_000), "--why", "dearer"]);
    later(&w, 61);
    w.json(&["vote", "cast", &id, "against"]);
    later(&w, 601);
    assert_eq!(state(&w, &id), "defeated");
    fails(&w, 2, &["vote", "queue", &id], &["GovernorUnexpectedProposalState"]);
    // Not enough votes.
    let id = proposed(&w, &["vote", "propose", "--call", &call(1_000), "--why", "dearer again"]);
    later(&w, 61);
    w.s.assay(&["vote", "cast", &id, "abstain", "--rpc", &w.node_url()]);
    later(&w, 601);
    assert_eq!(state(&w, &id), "defeated");
    // What the market does not allow stays so.
    let id = proposed(&w, &["vote", "propose", "--call", &call(1_001), "--why", "too dear"]);
    later(&w, 61);
    w.json(&["vote", "cast", &id, "for"]);
    later(&w, 601);
    w.json(&["vote", "queue", &id]);
    later(&w, 61);
    fails(&w, 2, &["vote", "execute", &id], &["TooHigh"]);
    assert_eq!(state(&w, &id), "queued");

    fails(&w, 2, &["vote", "show", "7"], &["there is no proposal 7"]);
    let nonsense = w.s.assay(&["vote", "propose", "--call", "nonsense", "--why", "x", "--rpc", &w.node_url()]);
    assert!(nonsense.code == 2 && nonsense.stderr.contains("expected TARGET:DATA"), "{nonsense:#?}");
}

#[test]
fn a_verifier_is_ended_for_good() {
    let mut w = world("govern-tombstone");
    let id = w.post(&[])[0];
    let verifier = w.verifier();
    let name = verifier.to_string();
    let active = |w: &World| w.at.registry().is_active(&mut w.client(0), verifier).unwrap();
    w.s.key = Some(KEYS[2]);
    fails(&w, 2, &["model", "tombstone", &name], &["AccessManagedUnauthorized", "--propose"]);
    fails(&w, 2, &["model", "tombstone", &B256::repeat_byte(7).to_string()], &["UnknownVerifier"]);
    assert!(active(&w));
    w.s.key = Some(KEYS[0]);
    w.json(&["model", "tombstone", &name]);
    assert!(!active(&w));
    let data = digits();
    fails(&w, 2, &["job", "post", "model", &data, "--max-price", "2"], &["no verifier"]);
    // Anybody gives the requester everything back, at once.
    w.s.key = Some(KEYS[2]);
    w.json(&["job", "refund", &id.to_string()]);
    assert_eq!(w.job(id).status, Status::Closed);
}

#[test]
fn tokens_move_as_they_are_told() {
    let mut w = world("govern-token");
    w.s.key = Some(KEYS[1]);
    let (from, to) = (account(1), account(4));
    let has = |w: &World, who: Address| w.at.token().balance(&mut w.client(0), who).unwrap();
    assert_eq!(w.json(&["token", "balance"])["balance"].as_str(), Some(gift().to_string().as_str()));
    let before = has(&w, to);
    w.json(&["token", "transfer", &to.to_string(), "12.5"]);
    let moved = U256::from(12_500_000_000_000_000_000_u128);
    assert_eq!((has(&w, from), has(&w, to)), (gift() - moved, before + moved));
    let other = w.json(&["token", "balance", &to.to_string()]);
    assert_eq!(other["balance"].as_str(), Some((before + moved).to_string().as_str()));
    fails(&w, 2, &["token", "transfer", &to.to_string(), "10000"], &["ERC20InsufficientBalance"]);
    assert_eq!(has(&w, from), gift() - moved);
    for exactly in ["3", "1", "0"] {
        w.json(&["token", "approve", &to.to_string(), exactly]);
        let allowed = w.at.token().allowance(&mut w.client(0), from, to).unwrap();
        assert_eq!(allowed, amount::parse(exactly).unwrap());
    }
    // Votes follow the tokens once they are delegated.
    assert_eq!(w.json(&["token", "balance"])["votes"], "0");
    let delegated = w.json(&["vote", "delegate", &to.to_string()]);
    assert_eq!(delegated["votes"].as_str(), Some((gift() - moved).to_string().as_str()));
    w.json(&["token", "transfer", &account(0).to_string(), "1"]);
    let votes = w.at.token().votes(&mut w.client(0), to).unwrap();
    assert_eq!(votes, gift() - moved - amount::whole(1));
}

#[test]
fn a_check_tells_who_has_too_much() {
    let w = world("govern-check");
    let fine = w.json(&["chain", "check"]);
    assert_eq!((fine["valid"].as_bool(), fine["guardian"].as_str()), (Some(true), Some(&*account(0).to_string())));
    let (timelock, manager) = (w.at.contracts.timelock, w.at.contracts.manager);
    let stranger = account(5);
    let grant = (2_u64, stranger, 0_u32).abi_encode_params();
    as_if(&w, timelock, manager, "grantRole(uint64,address,uint32)", &grant);
    let text = fails(&w, 1, &["chain", "check"], &["guardian", "which the file does not say", "do not use"]);
    assert!(text.replace(['\n', '│', ' '], "").contains(&stranger.to_string()), "{text}");
    let revoke = (2_u64, stranger).abi_encode_params();
    as_if(&w, timelock, manager, "revokeRole(uint64,address)", &revoke);
    w.json(&["chain", "check"]);
    // The deployer has got his power back: nothing is done with such a system any more.
    let grant = (0_u64, account(0), 0_u32).abi_encode_params();
    as_if(&w, timelock, manager, "grantRole(uint64,address,uint32)", &grant);
    for args in [&["chain", "check"][..], &["job", "status"], &["chain", "pause"]] {
        fails(&w, 2, args, &["the deployer", "the role of admin"]);
    }
}

/// Another system on the node of a world, deployed by the first account, with a canary or none; its file's name.
fn second_system(w: &World, name: &str, canary: Option<&[u8]>) -> (String, Deployment) {
    let mut chain: Rpc = w.client(0);
    let p = Parameters::development(account(0));
    let at = deploy(&mut chain, &p, canary, false, &mut |_| {}).unwrap().deployment;
    w.s.write(name, at.to_json());
    (name.to_owned(), at)
}

#[test]
fn a_canary_is_named_by_votes_and_compared() {
    let w = world("govern-canary");
    let fine = w.json(&["chain", "canary"]);
    assert_eq!((fine["valid"].as_bool(), &fine["canary"]), (Some(true), &fine["expected"]));
    assert_eq!(fine["stopped"], false);
    let (named, srs) = (fine["canary"].as_str().unwrap(), fine["srs_hash"].as_str().unwrap());

    // None: nobody watches, which is no success. Naming it takes a vote.
    let (file, at) = second_system(&w, "second.json", None);
    let on = |args: &[&'static str]| -> Vec<String> {
        let own = args.iter().map(|a| (*a).to_owned());
        own.chain(["--deployment".to_owned(), file.clone()]).collect()
    };
    let of = |args: &[&'static str], f: &dyn Fn(&[&str]) -> Value| {
        let args = on(args);
        f(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let refuse = |words: &'static [&'static str]| {
        move |w: &World, args: &[&str]| {
            fails(w, 2, args, words);
            Value::Null
        }
    };
    of(&["chain", "canary"], &|a| refuse(&["no canary is named", "--propose"])(&w, a));
    of(&["chain", "canary", "--set"], &|a| refuse(&["AccessManagedUnauthorized", "--propose"])(&w, a));
    let canary = |at: &Deployment| {
        let srs: B256 = srs.parse().unwrap();
        at.registry().canary(&mut w.client(0), at.contracts.verifier, srs).unwrap().0
    };
    assert_eq!(canary(&at), None);
    of(&["vote", "delegate"], &|a| w.json(a));
    later(&w, 2);
    let made = of(&["chain", "canary", "--propose", "watch"], &|a| w.json(a));
    let id = made["proposal"].as_str().unwrap().to_owned();
    let step = |args: &[&str]| w.json(&[args, &["--deployment", "second.json"]].concat());
    later(&w, 61);
    step(&["vote", "cast", &id, "for"]);
    later(&w, 601);
    step(&["vote", "queue", &id]);
    later(&w, 61);
    step(&["vote", "execute", &id]);
    assert_eq!(canary(&at).map(|c| c.to_string()).as_deref(), Some(named));
    assert_eq!(step(&["chain", "canary"])["valid"], true);

    // Another key of the same form: two of its commitments have changed places, so nobody knows what satisfies it.
    let verifier = w.at.verifier();
    let key = verifier.key(&mut w.client(0), named.parse().unwrap()).unwrap();
    let mut wrong = key.to_vec();
    let (a, b) = (19 * 32, 21 * 32);
    let first = wrong[a..b].to_vec();
    wrong.copy_within(b..b + 64, a);
    wrong[b..b + 64].copy_from_slice(&first);
    assert_ne!(wrong, key.to_vec());
    second_system(&w, "third.json", Some(&wrong));
    let args = ["chain", "canary", "--deployment", "third.json"];
    fails(&w, 1, &args, &["the canary is", "do not post here"]);
}
