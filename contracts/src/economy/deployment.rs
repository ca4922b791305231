//! Where the contracts of a system are, as a file that others can use and check.

use super::{
    ADMIN, CURATOR, Emission, GUARDIAN, Governor, Market, Models, Registry, Token,
    abi::{
        AccessManager, AssayGovernor, AssayToken, EmissionController, JobMarket, ModelRegistry, TimelockController,
        VerifierRegistry,
    },
    artifacts::Name,
    contract::Contract,
    parameters::Parameters,
};
use crate::{Error, Verifier, chain::Chain};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolCall;
use serde::{Deserialize, Serialize};

/// The format's name.
pub(super) const FORMAT: &str = "assay.deployment.v1";
/// The usual file name.
pub const FILE: &str = "assay-deployment.json";
/// Longest file, in bytes.
pub const MAX_BYTES: usize = 1 << 16;

/// The addresses of the contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Addresses {
    pub verifier: Address,
    pub manager: Address,
    pub registry: Address,
    pub models: Address,
    pub token: Address,
    pub emission: Address,
    pub market: Address,
    pub timelock: Address,
    pub governor: Address,
}

impl Addresses {
    /// Each contract with its address, in the order of creation.
    pub fn all(&self) -> [(Name, Address); 9] {
        [
            (Name::AssayVerifier, self.verifier),
            (Name::AccessManager, self.manager),
            (Name::VerifierRegistry, self.registry),
            (Name::ModelRegistry, self.models),
            (Name::AssayToken, self.token),
            (Name::EmissionController, self.emission),
            (Name::JobMarket, self.market),
            (Name::TimelockController, self.timelock),
            (Name::AssayGovernor, self.governor),
        ]
    }
}

/// The key whose impossible proof stops all verifiers under some powers of tau.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// Keccak of `[tau]_2`.
    pub srs_hash: B256,
    /// Its settlement id.
    pub settlement_id: B256,
}

/// A deployed system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// `assay.deployment.v1`.
    pub format: String,
    /// EIP-155 id of the chain.
    pub chain_id: u64,
    /// The last block before it: no event of it is older.
    pub block: u64,
    /// Who deployed it.
    pub deployer: Address,
    /// The contracts.
    pub contracts: Addresses,
    /// The canary that deploying named; none if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// How they were set up.
    pub parameters: Parameters,
}

impl Deployment {
    /// The file's text, the same for the same deployment.
    ///
    /// # Panics
    ///
    /// Never: all of it can be written as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain fields") + "\n"
    }

    /// Reads a file. What it says is not believed before [`check`](Self::check).
    ///
    /// # Errors
    ///
    /// [`Error::DeploymentFile`].
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let bad = |what: String| Error::DeploymentFile(crate::abi::printable(&what));
        if text.len() > MAX_BYTES {
            return Err(bad(format!("more than {MAX_BYTES} bytes")));
        }
        let this: Self = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
        if this.format != FORMAT {
            return Err(bad(format!("format '{}', and this program reads '{FORMAT}'", this.format)));
        }
        Ok(this)
    }

    /// Checks that a chain has these contracts: their code, what the constructors filled in apart, and that they refer to
    /// each other as they should.
    ///
    /// # Errors
    ///
    /// [`Error::DeploymentChain`], [`Error::NoContract`], [`Error::OtherCode`], [`Error::NotAsDeclared`], or what the chain
    /// says.
    pub fn check(&self, chain: &mut dyn Chain) -> Result<(), Error> {
        if chain.chain_id() != self.chain_id {
            let place = chain.place().to_owned();
            return Err(Error::DeploymentChain { place, expected: self.chain_id, found: chain.chain_id() });
        }
        for (name, address) in self.contracts.all() {
            let code = chain.code(address)?;
            if code.is_empty() {
                return Err(Error::NoContract { address, place: chain.place().to_owned() });
            }
            if !name.is_code(&code) {
                return Err(Error::OtherCode { name: name.as_str(), address, place: chain.place().to_owned() });
            }
        }
        self.check_references(chain)
    }

    /// Code is checked without what constructors filled in: these are the addresses among it.
    fn check_references(&self, chain: &mut dyn Chain) -> Result<(), Error> {
        let a = &self.contracts;
        let refers = |of: Contract, what: &str, found: Address, expected: Address, chain: &dyn Chain| {
            let text = format!("its {what} is {found}, not {expected}");
            if found == expected { Ok(()) } else { Err(of.unexpected(chain, &text)) }
        };
        macro_rules! check {
            ($of:expr, $call:expr, $what:literal, $expected:expr) => {
                let found = $of.ask(chain, &$call)?;
                refers($of, $what, found, $expected, chain)?;
            };
        }
        let (market, token) = (self.market().contract(), self.token().contract());
        check!(market, JobMarket::tokenCall {}, "token", a.token);
        check!(market, JobMarket::verifiersCall {}, "verifier registry", a.registry);
        check!(market, JobMarket::modelsCall {}, "model registry", a.models);
        check!(market, JobMarket::emissionCall {}, "emission controller", a.emission);
        check!(market, JobMarket::authorityCall {}, "authority", a.manager);
        check!(market, JobMarket::treasuryCall {}, "treasury", a.timelock);
        check!(token, AssayToken::minterCall {}, "minter", a.emission);
        let emission = self.emission().contract();
        check!(emission, EmissionController::tokenCall {}, "token", a.token);
        check!(emission, EmissionController::marketCall {}, "market", a.market);
        check!(emission, EmissionController::authorityCall {}, "authority", a.manager);
        check!(self.registry().contract(), VerifierRegistry::authorityCall {}, "authority", a.manager);
        check!(self.models().contract(), ModelRegistry::verifiersCall {}, "verifier registry", a.registry);
        let governor = Contract { address: a.governor, name: Name::AssayGovernor.as_str() };
        check!(governor, AssayGovernor::tokenCall {}, "token", a.token);
        check!(governor, AssayGovernor::timelockCall {}, "timelock", a.timelock);
        if let Some(c) = self.canary {
            let (found, _) = self.registry().canary(chain, a.verifier, c.srs_hash)?;
            if found != Some(c.settlement_id) {
                let found = found.map_or("none".to_owned(), |f| f.to_string());
                let text = format!("its canary is {found}, not {}", c.settlement_id);
                return Err(self.registry().contract().unexpected(chain, &text));
            }
        }
        self.check_deployer(chain)
    }

    /// Whoever deployed has kept no power but what the file says, and the votes have theirs.
    fn check_deployer(&self, chain: &mut dyn Chain) -> Result<(), Error> {
        let (a, p) = (&self.contracts, &self.parameters);
        let manager = Contract { address: a.manager, name: Name::AccessManager.as_str() };
        let timelock = Contract { address: a.timelock, name: Name::TimelockController.as_str() };
        let member = |chain: &mut dyn Chain, role: u64, account: Address| {
            let call = AccessManager::hasRoleCall { roleId: role, account };
            manager.ask(chain, &call).map(|r| (r.isMember, r.executionDelay))
        };
        if member(chain, ADMIN, a.timelock)? != (true, 0) {
            return Err(manager.unexpected(chain, "the timelock, and so the votes, is not its admin"));
        }
        let declared = [(ADMIN, false), (CURATOR, p.curator == self.deployer), (GUARDIAN, p.guardian == self.deployer)];
        for (role, allowed) in declared {
            let (is_member, delay) = member(chain, role, self.deployer)?;
            let text = format!("the deployer {} still has the role {role}", self.deployer);
            if is_member && !allowed {
                return Err(manager.unexpected(chain, &text));
            }
            if is_member && role == CURATOR && delay < p.curator_seconds {
                let delay = format!("{text}, with a delay of {delay} seconds, not {}", p.curator_seconds);
                return Err(manager.unexpected(chain, &delay));
            }
        }
        let held = |chain: &mut dyn Chain, role: &str, account: Address| {
            let role = if role.is_empty() { B256::ZERO } else { keccak256(role) };
            timelock.ask(chain, &TimelockController::hasRoleCall { role, account })
        };
        for role in ["PROPOSER_ROLE", "CANCELLER_ROLE"] {
            if !held(chain, role, a.governor)? {
                return Err(timelock.unexpected(chain, &format!("the governor lacks its {role}")));
            }
        }
        for role in ["", "PROPOSER_ROLE", "CANCELLER_ROLE"] {
            if held(chain, role, self.deployer)? {
                let role = if role.is_empty() { "admin role" } else { role };
                let text = format!("the deployer {} still has its {role}", self.deployer);
                return Err(timelock.unexpected(chain, &text));
            }
        }
        let delay = timelock.ask(chain, &TimelockController::getMinDelayCall {})?;
        if delay < U256::from(p.timelock_seconds) {
            let text = format!("its delay is {delay} seconds, less than the {} of the file", p.timelock_seconds);
            return Err(timelock.unexpected(chain, &text));
        }
        Ok(())
    }

    /// Checks who may call what: the role of each restricted function, admins and guardians of roles, that nothing is closed,
    /// and, from the events since the deployment, that nobody has a role but those whom the file names. A vote can change all
    /// of it, so this describes a new deployment; [`check`](Self::check) holds for an old one too.
    ///
    /// # Errors
    ///
    /// [`Error::NotAsDeclared`], or what the chain says.
    pub fn check_roles(&self, chain: &mut dyn Chain) -> Result<(), Error> {
        let (a, p) = (&self.contracts, &self.parameters);
        let manager = Contract { address: a.manager, name: Name::AccessManager.as_str() };
        let functions = [
            (a.registry, VerifierRegistry::addCall::SELECTOR, CURATOR, "adding verifiers"),
            (a.registry, VerifierRegistry::tombstoneCall::SELECTOR, GUARDIAN, "ending verifiers"),
            (a.registry, VerifierRegistry::setCanaryCall::SELECTOR, ADMIN, "naming canaries"),
            (a.market, JobMarket::pauseCall::SELECTOR, GUARDIAN, "pausing"),
            (a.market, JobMarket::unpauseCall::SELECTOR, ADMIN, "unpausing"),
            (a.market, JobMarket::setProtocolBpsCall::SELECTOR, ADMIN, "the treasury's part"),
            (a.market, JobMarket::setFeeRateCall::SELECTOR, ADMIN, "the work fee"),
            (a.emission, EmissionController::releasePublicCall::SELECTOR, ADMIN, "releasing the public pool"),
        ];
        for (target, selector, role, what) in functions {
            let call = AccessManager::getTargetFunctionRoleCall { target, selector: selector.into() };
            let found = manager.ask(chain, &call)?;
            if found != role {
                return Err(manager.unexpected(chain, &format!("{what} is for role {found}, not {role}")));
            }
        }
        for target in [a.registry, a.market, a.emission] {
            if manager.ask(chain, &AccessManager::isTargetClosedCall { target })? {
                return Err(manager.unexpected(chain, &format!("{target} is closed")));
            }
        }
        for role in [CURATOR, GUARDIAN] {
            let admin = manager.ask(chain, &AccessManager::getRoleAdminCall { roleId: role })?;
            let guardian = manager.ask(chain, &AccessManager::getRoleGuardianCall { roleId: role })?;
            let expected = if role == CURATOR { GUARDIAN } else { ADMIN };
            if admin != ADMIN || guardian != expected {
                let text = format!("role {role} has admin {admin} and guardian {guardian}");
                return Err(manager.unexpected(chain, &text));
            }
        }
        let head = chain.head()?.number;
        let granted = manager.events::<AccessManager::RoleGranted>(chain, (self.block, head), &[])?;
        for (_, e) in granted {
            let call = AccessManager::hasRoleCall { roleId: e.roleId, account: e.account };
            let declared = match e.roleId {
                ADMIN => e.account == a.timelock,
                CURATOR => e.account == a.timelock || (e.account == p.curator && !p.curator.is_zero()),
                GUARDIAN => e.account == p.guardian,
                _ => false,
            };
            if !declared && manager.ask(chain, &call)?.isMember {
                let text = format!("{} has role {}, which the file does not say", e.account, e.roleId);
                return Err(manager.unexpected(chain, &text));
            }
        }
        Ok(())
    }

    /// The governor.
    pub const fn governor(&self) -> Governor {
        Governor::at(self.contracts.governor)
    }

    /// The contract that checks proofs.
    pub const fn verifier(&self) -> Verifier {
        Verifier::at_unchecked(self.contracts.verifier)
    }

    /// The registry of verifiers.
    pub const fn registry(&self) -> Registry {
        Registry::at(self.contracts.registry)
    }

    /// The registry of models.
    pub const fn models(&self) -> Models {
        Models::at(self.contracts.models)
    }

    /// The token.
    pub const fn token(&self) -> Token {
        Token::at(self.contracts.token)
    }

    /// The emission controller.
    pub const fn emission(&self) -> Emission {
        Emission::at(self.contracts.emission)
    }

    /// The market.
    pub const fn market(&self) -> Market {
        Market::at(self.contracts.market)
    }
}
