//! Deploys and wires the whole system from one account. The order and the roles are those of
//! `contracts/test/economy/Deployment.sol`, with the contracts for training behind them.

use super::{
    abi::{
        AccessManager, AssayGovernor, AssayToken, EmissionController, JobMarket, ModelRegistry, TimelockController,
        TrainingMarket, VerifierRegistry,
    },
    artifacts::Name,
    contract::{Contract, Done},
    deployment::{Addresses, Canary, Deployment, FORMAT},
    parameters::Parameters,
};
use crate::{
    Error,
    chain::{Call, Chain, guard_development},
};
use alloy_primitives::{Address, FixedBytes, U256, aliases::U40, aliases::U48, aliases::U96};
use alloy_sol_types::{SolCall, SolConstructor};

/// Members may change who may call what.
pub const ADMIN: u64 = 0;
/// Members add verifiers.
pub const CURATOR: u64 = 1;
/// Members end verifiers and pause entries.
pub const GUARDIAN: u64 = 2;

/// A contract that was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// Which.
    pub name: Name,
    /// Where.
    pub address: Address,
    /// Gas charged.
    pub gas_used: u64,
    /// Bytes of its code.
    pub code_bytes: usize,
}

/// A system and what it cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// Where it is.
    pub deployment: Deployment,
    /// Its contracts, in the order of creation.
    pub created: Vec<Created>,
    /// Gas of the calls that wire roles and hand over.
    pub wiring_gas: u64,
}

/// Transactions of a deployment: contracts and, at most, calls.
pub const STEPS: usize = 11 + 2 + 17;

/// Deploys the system. `canary` is the key of the canary graph under the powers of tau that entries will use: it is registered
/// and named before the deployer gives its rights away, afterwards it takes a vote. Without one nobody can stop a broken setup by proof. A development system is refused on a chain that is not local unless `allow_development` is set.
/// `progress` hears of each step before it is taken.
///
/// # Errors
///
/// [`Error::DevelopmentSrs`], [`Error::NoSigner`], [`Error::NonceMoved`] if the account sends something else meanwhile, or
/// what the chain says.
pub fn deploy(
    chain: &mut dyn Chain,
    parameters: &Parameters,
    canary: Option<&[u8]>,
    allow_development: bool,
    progress: &mut dyn FnMut(&str),
) -> Result<Deployed, Error> {
    guard_development(chain.chain_id(), parameters.development, allow_development)?;
    let place = chain.place().to_owned();
    let deployer = chain.sender().ok_or(Error::NoSigner { place })?;
    let head = chain.head()?;
    let nonce = chain.nonce(deployer)?;
    let predicted = |i: u64| deployer.create(nonce + i);
    let contracts = Addresses {
        verifier: predicted(0),
        manager: predicted(1),
        registry: predicted(2),
        models: predicted(3),
        token: predicted(4),
        emission: predicted(5),
        market: predicted(6),
        timelock: predicted(7),
        governor: predicted(8),
        datasets: predicted(9),
        training: predicted(10),
    };
    let mut created = Vec::with_capacity(Name::ALL.len());
    for (name, address) in contracts.all() {
        progress(name.as_str());
        let data = [name.creation_code().to_vec(), arguments(name, &contracts, parameters, deployer, head.timestamp)];
        let receipt = chain.send(&Call::create(data.concat()))?.success(chain.place())?;
        if receipt.created != Some(address) {
            return Err(Error::NonceMoved { account: deployer, place: chain.place().to_owned() });
        }
        let code_bytes = chain.code(address)?.len();
        created.push(Created { name, address, gas_used: receipt.gas_used, code_bytes });
    }
    let mut wiring_gas = 0;
    let named = match canary {
        None => None,
        Some(key) => {
            progress("key of the canary");
            let verifier = crate::Verifier::at_unchecked(contracts.verifier);
            let stored = verifier.register(chain, key)?;
            wiring_gas += stored.transaction.map_or(0, |t| t.measured.gas_used);
            progress("canary");
            let registry = super::Registry::at(contracts.registry);
            wiring_gas += registry.set_canary(chain, contracts.verifier, stored.model_id)?.gas_used;
            let srs_hash = super::srs_hash(key).unwrap_or_default();
            Some(Canary { srs_hash, settlement_id: stored.model_id })
        }
    };
    let manager = Contract { address: contracts.manager, name: Name::AccessManager.as_str() };
    for (what, data) in wiring(&contracts, parameters, deployer) {
        progress(what);
        let call = Call::new(manager.address, data);
        let done = Done::from(&chain.send(&call)?.success(chain.place())?);
        wiring_gas += done.gas_used;
    }
    let deployment = Deployment {
        format: FORMAT.to_owned(),
        chain_id: chain.chain_id(),
        block: head.number,
        deployer,
        contracts,
        canary: named,
        parameters: parameters.clone(),
    };
    deployment.check(chain)?;
    deployment.check_roles(chain)?;
    Ok(Deployed { deployment, created, wiring_gas })
}

/// A constructor's arguments.
fn arguments(name: Name, a: &Addresses, p: &Parameters, deployer: Address, now: u64) -> Vec<u8> {
    match name {
        Name::AssayVerifier => {
            crate::abi::AssayVerifier::constructorCall { acceptDevelopmentSrs: p.development }.abi_encode()
        }
        Name::AccessManager => AccessManager::constructorCall { initialAdmin: deployer }.abi_encode(),
        Name::VerifierRegistry => VerifierRegistry::constructorCall { manager: a.manager }.abi_encode(),
        Name::ModelRegistry => ModelRegistry::constructorCall { verifiers: a.registry }.abi_encode(),
        Name::AssayToken => AssayToken::constructorCall {
            genesisHolder: p.genesis_holder,
            genesisAmount: p.genesis_amount,
            supplyCap: p.cap,
            minter: a.emission,
        }
        .abi_encode(),
        Name::EmissionController => EmissionController::constructorCall {
            manager: a.manager,
            token: a.token,
            market: a.market,
            training: a.training,
            kappaBps: U256::from(p.kappa_bps),
            schedule: EmissionController::Schedule {
                start: U40::from(now),
                length: p.epoch_seconds,
                budget: p.budget.saturating_to::<U96>(),
                publicBudget: p.public_budget.saturating_to::<U96>(),
                decay: u64::from(p.decay_bps) * 100_000_000_000_000,
            },
        }
        .abi_encode(),
        Name::JobMarket => JobMarket::constructorCall {
            manager: a.manager,
            token: a.token,
            verifiers: a.registry,
            models: a.models,
            emission: a.emission,
            treasury: a.timelock,
            protocolBps: p.protocol_bps,
            feePerBillionUnits: p.fee_per_billion_units,
        }
        .abi_encode(),
        Name::TimelockController => TimelockController::constructorCall {
            minDelay: U256::from(p.timelock_seconds),
            proposers: vec![a.governor],
            // Anybody may execute what was voted for.
            executors: vec![Address::ZERO],
            admin: Address::ZERO,
        }
        .abi_encode(),
        Name::AssayGovernor => AssayGovernor::constructorCall {
            token: a.token,
            timelock: a.timelock,
            settings: AssayGovernor::Settings {
                votingDelay: U48::from(p.voting_delay),
                votingPeriod: p.voting_period,
                proposalThreshold: p.proposal_threshold,
                quorumPercent: U256::from(p.quorum_percent),
                lateExtension: U48::from(p.late_extension),
            },
        }
        .abi_encode(),
        Name::DatasetRegistry => Vec::new(),
        Name::TrainingMarket => TrainingMarket::constructorCall {
            manager: a.manager,
            token: a.token,
            verifiers: a.registry,
            datasets: a.datasets,
            emission: a.emission,
            treasury: a.timelock,
            protocolBps: p.protocol_bps,
            feePerBillionUnits: p.fee_per_billion_units,
        }
        .abi_encode(),
    }
}

/// The calls to the manager: functions, delays, members, and in the end the admin role goes to the timelock.
fn wiring(a: &Addresses, p: &Parameters, deployer: Address) -> Vec<(&'static str, Vec<u8>)> {
    let role = |target: Address, selectors: &[[u8; 4]], role_id: u64| {
        let selectors = selectors.iter().map(FixedBytes::<4>::from).collect();
        AccessManager::setTargetFunctionRoleCall { target, selectors, roleId: role_id }.abi_encode()
    };
    let delay =
        |target: Address| AccessManager::setTargetAdminDelayCall { target, newDelay: p.admin_seconds }.abi_encode();
    let label = |role_id: u64, label: &str| {
        AccessManager::labelRoleCall { roleId: role_id, label: label.to_owned() }.abi_encode()
    };
    let grant = |role_id: u64, account: Address, seconds: u32| {
        AccessManager::grantRoleCall { roleId: role_id, account, executionDelay: seconds }.abi_encode()
    };
    let curated = [VerifierRegistry::addCall::SELECTOR];
    let mut calls = vec![
        ("role of adding verifiers", role(a.registry, &curated, CURATOR)),
        ("role of ending verifiers", role(a.registry, &[VerifierRegistry::tombstoneCall::SELECTOR], GUARDIAN)),
        ("role of pausing", role(a.market, &[JobMarket::pauseCall::SELECTOR], GUARDIAN)),
        ("role of pausing training", role(a.training, &[TrainingMarket::pauseCall::SELECTOR], GUARDIAN)),
        ("role of releasing", role(a.emission, &[EmissionController::releasePublicCall::SELECTOR], ADMIN)),
        ("delays of the registry", delay(a.registry)),
        ("delays of the emission", delay(a.emission)),
        ("delays of the market", delay(a.market)),
        ("delays of the market for training", delay(a.training)),
        ("label of curators", label(CURATOR, "CURATOR")),
        ("label of guardians", label(GUARDIAN, "GUARDIAN")),
        (
            "guardian of curators",
            AccessManager::setRoleGuardianCall { roleId: CURATOR, guardian: GUARDIAN }.abi_encode(),
        ),
        ("curator: the timelock", grant(CURATOR, a.timelock, 0)),
    ];
    if p.curator != Address::ZERO {
        calls.push(("curator", grant(CURATOR, p.curator, p.curator_seconds)));
    }
    calls.push(("guardian", grant(GUARDIAN, p.guardian, 0)));
    calls.push(("admin: the timelock", grant(ADMIN, a.timelock, 0)));
    let renounce = AccessManager::renounceRoleCall { roleId: ADMIN, callerConfirmation: deployer };
    calls.push(("hand-over", renounce.abi_encode()));
    calls
}
