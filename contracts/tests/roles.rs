//! A deployment with one wrong role is refused, and the role is named: each change is made by those who could, on a system that was
//! right before.

use assay_contracts::{
    Address, B256, Bytes, Call, Chain, Embedded, Error, U256,
    economy::{ADMIN, CURATOR, Deployment, GUARDIAN, Parameters, deploy},
    sol_types::SolValue,
};

const DEPLOYER: Address = Embedded::ACCOUNTS[0];
const OTHER: Address = Embedded::ACCOUNTS[4];
const DAY: u64 = 86_400;
const PUBLIC: u64 = u64::MAX;

/// Whose call it is.
#[derive(Clone, Copy, Debug)]
enum To {
    Manager,
    Timelock,
}

fn keccak(text: &str) -> B256 {
    assay_contracts::keccak256(text)
}

fn call(signature: &str, arguments: Vec<u8>) -> Bytes {
    [&keccak(signature)[..4], &arguments].concat().into()
}

fn selectors(signature: &str) -> Vec<[u8; 4]> {
    vec![keccak(signature)[..4].try_into().expect("four bytes")]
}

/// As a vote would change it: scheduled as the governor, executed by anybody after the delay.
fn by_vote(chain: &mut Embedded, at: &Deployment, to: To, data: Bytes) {
    let (governor, timelock) = (at.contracts.governor, at.contracts.timelock);
    let target = match to {
        To::Manager => at.contracts.manager,
        To::Timelock => timelock,
    };
    let delay = u64::from(at.parameters.timelock_seconds);
    let send = |chain: &mut Embedded, data: Bytes| {
        let place = chain.place().to_owned();
        chain.send(&Call::new(timelock, data)).and_then(|r| r.success(&place)).expect("the change");
    };
    let operation = (target, U256::ZERO, data, B256::ZERO, B256::ZERO);
    let (target, value, data, before, salt) = operation.clone();
    let scheduled = (target, value, data, before, salt, U256::from(delay)).abi_encode_params();
    // Only accounts without code send transactions.
    let code = chain.code(governor).expect("a governor");
    chain.set_code(governor, Bytes::new());
    chain.set_sender(governor);
    send(chain, call("schedule(address,uint256,bytes,bytes32,bytes32,uint256)", scheduled));
    chain.set_code(governor, code);
    chain.set_sender(OTHER);
    chain.advance(delay);
    send(chain, call("execute(address,uint256,bytes,bytes32,bytes32)", operation.abi_encode_params()));
}

fn world(parameters: &Parameters) -> (Embedded, Deployment) {
    let mut chain = Embedded::new();
    let at = deploy(&mut chain, parameters, None, false, &mut |_| {}).expect("a deployment").deployment;
    at.check(&mut chain).expect("as it is");
    at.check_roles(&mut chain).expect("as it is");
    (chain, at)
}

fn refused(result: Result<(), Error>, words: &[&str], what: &str) {
    let e = result.expect_err(what);
    assert!(matches!(e, Error::NotAsDeclared { .. }), "{what}: {e}");
    let text = e.to_string();
    for word in words {
        assert!(text.contains(word), "{what} does not say '{word}': {text}");
    }
}

fn grant(role: u64, account: Address, delay: u32) -> Bytes {
    call("grantRole(uint64,address,uint32)", (role, account, delay).abi_encode_params())
}

fn timelock_role(method: &str, role: &str, account: Address) -> Bytes {
    let id = if role.is_empty() { B256::ZERO } else { keccak(role) };
    call(&format!("{method}(bytes32,address)"), (id, account).abi_encode_params())
}

#[test]
fn each_function_has_its_role() {
    let p = Parameters::development(DEPLOYER);
    let (_, at) = world(&p);
    let c = at.contracts;
    let functions = [
        (c.registry, "add(address,bytes32,bytes32,uint32,uint64)", "adding verifiers", "curator"),
        (c.registry, "tombstone(bytes32)", "ending verifiers", "guardian"),
        (c.registry, "setCanary(address,bytes32)", "naming canaries", "admin"),
        (c.market, "pause()", "pausing", "guardian"),
        (c.market, "unpause()", "unpausing", "admin"),
        (c.market, "setProtocolBps(uint16)", "the treasury's part", "admin"),
        (c.market, "setFeeRate(uint256)", "the work fee", "admin"),
        (c.training, "pause()", "pausing training", "guardian"),
        (c.training, "unpause()", "unpausing training", "admin"),
        (c.training, "setProtocolBps(uint16)", "the treasury's part of training", "admin"),
        (c.training, "setFeeRate(uint256)", "the work fee of training", "admin"),
        (c.emission, "releasePublic(address,uint256)", "releasing the public pool", "admin"),
    ];
    for (target, signature, what, role) in functions {
        // For anybody, and for each role that it is not for.
        for wrong in [PUBLIC, ADMIN, CURATOR, GUARDIAN] {
            let name = ["admin", "curator", "guardian"].get(wrong as usize).copied().unwrap_or("anybody");
            if name == role {
                continue;
            }
            let (mut chain, at) = world(&p);
            let arguments = (target, selectors(signature), wrong).abi_encode_params();
            by_vote(&mut chain, &at, To::Manager, call("setTargetFunctionRole(address,bytes4[],uint64)", arguments));
            at.check(&mut chain).expect("an old deployment may be so");
            let found = format!("role of {name}");
            refused(at.check_roles(&mut chain), &[what, &found, &format!("not of {role}")], signature);
        }
    }
}

#[test]
fn nothing_is_closed() {
    let p = Parameters::development(DEPLOYER);
    let (_, at) = world(&p);
    let c = at.contracts;
    let targets =
        [(c.registry, "registry"), (c.market, "market"), (c.training, "market for training"), (c.emission, "emission")];
    for (target, name) in targets {
        let (mut chain, at) = world(&p);
        let data = call("setTargetClosed(address,bool)", (target, true).abi_encode_params());
        by_vote(&mut chain, &at, To::Manager, data);
        refused(at.check_roles(&mut chain), &[name, "closed"], name);
    }
}

#[test]
fn roles_are_given_and_watched_by_those_who_should() {
    let p = Parameters::development(DEPLOYER);
    for (signature, role, to, words) in [
        ("setRoleAdmin(uint64,uint64)", CURATOR, GUARDIAN, ["role of curator is given by guardian", "not admin"]),
        ("setRoleAdmin(uint64,uint64)", GUARDIAN, CURATOR, ["role of guardian is given by curator", "not admin"]),
        ("setRoleGuardian(uint64,uint64)", CURATOR, CURATOR, ["watched by curator", "not guardian"]),
        ("setRoleGuardian(uint64,uint64)", GUARDIAN, CURATOR, ["watched by curator", "not admin"]),
    ] {
        let (mut chain, at) = world(&p);
        by_vote(&mut chain, &at, To::Manager, call(signature, (role, to).abi_encode_params()));
        refused(at.check_roles(&mut chain), &words, signature);
    }
}

#[test]
fn nobody_has_a_role_but_those_who_are_named() {
    let p = Parameters { curator: Address::ZERO, ..Parameters::development(DEPLOYER) };
    let other = OTHER.to_string();
    for (role, name) in [(ADMIN, "admin"), (CURATOR, "curator"), (GUARDIAN, "guardian"), (7, "number 7")] {
        let (mut chain, at) = world(&p);
        by_vote(&mut chain, &at, To::Manager, grant(role, OTHER, 5));
        refused(at.check_roles(&mut chain), &[&other, "has", name], name);
        // Who has it no more does not matter.
        let data = call("revokeRole(uint64,address)", (role, OTHER).abi_encode_params());
        by_vote(&mut chain, &at, To::Manager, data);
        at.check_roles(&mut chain).expect("revoked");
    }
    for (role, account, name) in [(GUARDIAN, p.guardian, "guardian"), (CURATOR, Address::ZERO, "curator")] {
        let (mut chain, at) = world(&p);
        let account = if account.is_zero() { at.contracts.timelock } else { account };
        let data = call("revokeRole(uint64,address)", (role, account).abi_encode_params());
        by_vote(&mut chain, &at, To::Manager, data);
        refused(at.check_roles(&mut chain), &[&account.to_string(), "lacks", name], name);
    }
}

/// A grant that comes into force later is no member today, and will be one.
#[test]
fn a_role_that_is_on_its_way_counts() {
    let p = Parameters { curator: Address::ZERO, guardian: OTHER, ..Parameters::development(DEPLOYER) };
    for role in [CURATOR, GUARDIAN] {
        let (mut chain, at) = world(&p);
        let data = call("setGrantDelay(uint64,uint32)", (role, 30 * DAY as u32).abi_encode_params());
        by_vote(&mut chain, &at, To::Manager, data);
        // Five days until such a delay is in force.
        chain.advance(6 * DAY);
        by_vote(&mut chain, &at, To::Manager, grant(role, DEPLOYER, 0));
        let deployer = DEPLOYER.to_string();
        refused(at.check(&mut chain), &[&deployer, "will from"], "the deployer's");
        let (mut chain, at) = world(&p);
        let data = call("setGrantDelay(uint64,uint32)", (role, 30 * DAY as u32).abi_encode_params());
        by_vote(&mut chain, &at, To::Manager, data);
        chain.advance(6 * DAY);
        let third = Embedded::ACCOUNTS[5];
        by_vote(&mut chain, &at, To::Manager, grant(role, third, 0));
        at.check(&mut chain).expect("an old deployment may be so");
        refused(at.check_roles(&mut chain), &[&third.to_string(), "will from"], "somebody's");
    }
}

#[test]
fn a_curator_waits_as_long_as_the_file_says() {
    for curator in [DEPLOYER, OTHER] {
        let p = Parameters { curator, curator_seconds: 3_600, ..Parameters::development(DEPLOYER) };
        let (mut chain, at) = world(&p);
        // Less takes as long as the difference, and is seen at once.
        by_vote(&mut chain, &at, To::Manager, grant(CURATOR, curator, 60));
        let words = [curator.to_string(), "60 seconds, not 3600".to_owned()];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        refused(at.check_roles(&mut chain), &words, "on its way");
        chain.advance(3_600);
        refused(at.check_roles(&mut chain), &words, "in force");
        assert_eq!(at.check(&mut chain).is_err(), curator == DEPLOYER);
    }
}

#[test]
fn the_deployer_keeps_nothing() {
    let p = Parameters { curator: Address::ZERO, guardian: OTHER, ..Parameters::development(DEPLOYER) };
    let deployer = DEPLOYER.to_string();
    for (role, name) in [(ADMIN, "admin"), (CURATOR, "curator"), (GUARDIAN, "guardian")] {
        let (mut chain, at) = world(&p);
        by_vote(&mut chain, &at, To::Manager, grant(role, DEPLOYER, 0));
        refused(at.check(&mut chain), &[&deployer, "has", name], name);
    }
    for role in ["PROPOSER_ROLE", "CANCELLER_ROLE", ""] {
        let (mut chain, at) = world(&p);
        by_vote(&mut chain, &at, To::Timelock, timelock_role("grantRole", role, DEPLOYER));
        let name = if role.is_empty() { "admin role" } else { role };
        refused(at.check(&mut chain), &[&deployer, name], name);
    }
}

#[test]
fn the_votes_have_what_is_theirs() {
    let p = Parameters::development(DEPLOYER);
    for role in ["PROPOSER_ROLE", "CANCELLER_ROLE"] {
        let (mut chain, at) = world(&p);
        by_vote(&mut chain, &at, To::Timelock, timelock_role("revokeRole", role, at.contracts.governor));
        refused(at.check(&mut chain), &["governor lacks", role], role);
    }
    let (mut chain, at) = world(&p);
    let data = call("updateDelay(uint256)", U256::from(1).abi_encode());
    by_vote(&mut chain, &at, To::Timelock, data);
    refused(at.check(&mut chain), &["delay is 1 seconds", "60"], "delay");
    // An admin that has to wait, or none.
    let (mut chain, at) = world(&p);
    by_vote(&mut chain, &at, To::Manager, grant(ADMIN, at.contracts.timelock, 60));
    refused(at.check(&mut chain), &["timelock", "not its admin"], "a delayed admin");
    let (mut chain, at) = world(&p);
    let data = call("renounceRole(uint64,address)", (ADMIN, at.contracts.timelock).abi_encode_params());
    by_vote(&mut chain, &at, To::Manager, data);
    refused(at.check(&mut chain), &["timelock", "not its admin"], "no admin");
}

/// Whoever could once propose past the votes may have left something in the timelock.
#[test]
fn nobody_proposes_past_the_votes() {
    let p = Parameters::development(DEPLOYER);
    let other = OTHER.to_string();
    for (role, word) in [("PROPOSER_ROLE", "proposes"), ("CANCELLER_ROLE", "cancels"), ("", "gives its roles")] {
        let (mut chain, at) = world(&p);
        by_vote(&mut chain, &at, To::Timelock, timelock_role("grantRole", role, OTHER));
        refused(at.check_roles(&mut chain), &[&other, word], word);
        by_vote(&mut chain, &at, To::Timelock, timelock_role("revokeRole", role, OTHER));
        refused(at.check_roles(&mut chain), &[&other, word], word);
    }
}
