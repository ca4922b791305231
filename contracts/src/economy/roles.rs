//! Who may do what in a deployed system, compared with what its file says.

use super::{
    ADMIN, CURATOR, Deployment, GUARDIAN,
    abi::{AccessManager, EmissionController, JobMarket, TimelockController, TrainingMarket, VerifierRegistry},
    artifacts::Name,
    contract::Contract,
};
use crate::{Error, chain::Chain};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolCall;

/// The timelock's roles besides the one of its admin, which is zero.
const PROPOSER: &str = "PROPOSER_ROLE";
const CANCELLER: &str = "CANCELLER_ROLE";

/// A role of the manager in words.
fn named(role: u64) -> String {
    match role {
        ADMIN => "admin".to_owned(),
        CURATOR => "curator".to_owned(),
        GUARDIAN => "guardian".to_owned(),
        u64::MAX => "anybody".to_owned(),
        other => format!("number {other}"),
    }
}

/// The timelock's id of a role.
fn timelock_role(name: &str) -> B256 {
    if name.is_empty() { B256::ZERO } else { keccak256(name) }
}

/// What somebody has of a role.
struct Access {
    /// In seconds since 1970; zero for nothing. A grant may lie in the future.
    since: u64,
    now: u64,
    /// The least of the delays in force and to come.
    delay: u32,
}

impl Access {
    const fn is_member(&self) -> bool {
        self.since != 0 && self.since <= self.now
    }

    /// Has it, or will.
    const fn is_any(&self) -> bool {
        self.since != 0
    }

    fn verb(&self) -> String {
        if self.is_member() { "has".to_owned() } else { format!("will from {} on have", self.since) }
    }
}

impl Deployment {
    fn manager(&self) -> Contract {
        Contract { address: self.contracts.manager, name: Name::AccessManager.as_str() }
    }

    fn timelock(&self) -> Contract {
        Contract { address: self.contracts.timelock, name: Name::TimelockController.as_str() }
    }

    fn access(&self, chain: &mut dyn Chain, role: u64, account: Address) -> Result<Access, Error> {
        let a = self.manager().ask(chain, &AccessManager::getAccessCall { roleId: role, account })?;
        let now = chain.head()?.timestamp;
        let coming = if a.effect.to::<u64>() > now { a.pendingDelay } else { u32::MAX };
        Ok(Access { since: a.since.to(), now, delay: a.currentDelay.min(coming) })
    }

    /// Whoever deployed has kept no power but what the file says, and the votes have theirs.
    pub(super) fn check_deployer(&self, chain: &mut dyn Chain) -> Result<(), Error> {
        let (a, p) = (&self.contracts, &self.parameters);
        let (manager, timelock) = (self.manager(), self.timelock());
        let votes = self.access(chain, ADMIN, a.timelock)?;
        if !votes.is_member() || votes.delay != 0 {
            return Err(manager.unexpected(chain, "the timelock, and so the votes, is not its admin"));
        }
        let declared = [(ADMIN, false), (CURATOR, p.curator == self.deployer), (GUARDIAN, p.guardian == self.deployer)];
        for (role, allowed) in declared {
            let access = self.access(chain, role, self.deployer)?;
            let text = format!("the deployer {} {} the role of {}", self.deployer, access.verb(), named(role));
            if access.is_any() && !allowed {
                return Err(manager.unexpected(chain, &text));
            }
            if access.is_any() && role == CURATOR && access.delay < p.curator_seconds {
                let delay = format!("{text}, with a delay of {} seconds, not {}", access.delay, p.curator_seconds);
                return Err(manager.unexpected(chain, &delay));
            }
        }
        let held = |chain: &mut dyn Chain, role: &str, account: Address| {
            timelock.ask(chain, &TimelockController::hasRoleCall { role: timelock_role(role), account })
        };
        for role in [PROPOSER, CANCELLER] {
            if !held(chain, role, a.governor)? {
                return Err(timelock.unexpected(chain, &format!("the governor lacks its {role}")));
            }
        }
        for role in ["", PROPOSER, CANCELLER] {
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

    /// Checks who may call what: the role of each restricted function, admins and guardians of roles, that nothing is closed, that
    /// those whom the file names have their roles, and, from the events since the deployment, that nobody else has one or will
    /// get one, in the timelock neither. A vote can change all of it, so this describes a new deployment;
    /// [`check`](Self::check) holds for an old one too.
    ///
    /// # Errors
    ///
    /// [`Error::NotAsDeclared`], or what the chain says.
    pub fn check_roles(&self, chain: &mut dyn Chain) -> Result<(), Error> {
        self.check_functions(chain)?;
        self.check_members(chain)?;
        self.check_timelock(chain)
    }

    fn check_functions(&self, chain: &mut dyn Chain) -> Result<(), Error> {
        let (a, manager) = (&self.contracts, self.manager());
        let functions = [
            (a.registry, VerifierRegistry::addCall::SELECTOR, CURATOR, "adding verifiers"),
            (a.registry, VerifierRegistry::tombstoneCall::SELECTOR, GUARDIAN, "ending verifiers"),
            (a.registry, VerifierRegistry::setCanaryCall::SELECTOR, ADMIN, "naming canaries"),
            (a.market, JobMarket::pauseCall::SELECTOR, GUARDIAN, "pausing"),
            (a.market, JobMarket::unpauseCall::SELECTOR, ADMIN, "unpausing"),
            (a.market, JobMarket::setProtocolBpsCall::SELECTOR, ADMIN, "the treasury's part"),
            (a.market, JobMarket::setFeeRateCall::SELECTOR, ADMIN, "the work fee"),
            (a.training, TrainingMarket::pauseCall::SELECTOR, GUARDIAN, "pausing training"),
            (a.training, TrainingMarket::unpauseCall::SELECTOR, ADMIN, "unpausing training"),
            (a.training, TrainingMarket::setProtocolBpsCall::SELECTOR, ADMIN, "the treasury's part of training"),
            (a.training, TrainingMarket::setFeeRateCall::SELECTOR, ADMIN, "the work fee of training"),
            (a.emission, EmissionController::releasePublicCall::SELECTOR, ADMIN, "releasing the public pool"),
        ];
        for (target, selector, role, what) in functions {
            let call = AccessManager::getTargetFunctionRoleCall { target, selector: selector.into() };
            let found = manager.ask(chain, &call)?;
            if found != role {
                let text = format!("{what} is for the role of {}, not of {}", named(found), named(role));
                return Err(manager.unexpected(chain, &text));
            }
        }
        let targets = [
            ("registry", a.registry),
            ("market", a.market),
            ("market for training", a.training),
            ("emission", a.emission),
        ];
        for (name, target) in targets {
            if manager.ask(chain, &AccessManager::isTargetClosedCall { target })? {
                return Err(manager.unexpected(chain, &format!("the {name} {target} is closed")));
            }
        }
        for role in [CURATOR, GUARDIAN] {
            let admin = manager.ask(chain, &AccessManager::getRoleAdminCall { roleId: role })?;
            let guardian = manager.ask(chain, &AccessManager::getRoleGuardianCall { roleId: role })?;
            let expected = if role == CURATOR { GUARDIAN } else { ADMIN };
            if admin != ADMIN || guardian != expected {
                let text = format!(
                    "the role of {} is given by {}, not {}, and watched by {}, not {}",
                    named(role),
                    named(admin),
                    named(ADMIN),
                    named(guardian),
                    named(expected)
                );
                return Err(manager.unexpected(chain, &text));
            }
        }
        Ok(())
    }

    fn check_members(&self, chain: &mut dyn Chain) -> Result<(), Error> {
        let (a, p, manager) = (&self.contracts, &self.parameters, self.manager());
        let curator = (!p.curator.is_zero()).then_some((CURATOR, p.curator, p.curator_seconds));
        let declared = [(ADMIN, a.timelock, 0), (CURATOR, a.timelock, 0), (GUARDIAN, p.guardian, 0)];
        let declared: Vec<(u64, Address, u32)> = declared.into_iter().chain(curator).collect();
        for (role, account, delay) in &declared {
            let access = self.access(chain, *role, *account)?;
            if !access.is_member() {
                let text = format!("{account} lacks the role of {}, which the file gives it", named(*role));
                return Err(manager.unexpected(chain, &text));
            }
            if access.delay < *delay {
                let text =
                    format!("{account} is {} with a delay of {} seconds, not {delay}", named(*role), access.delay);
                return Err(manager.unexpected(chain, &text));
            }
        }
        let head = chain.head()?.number;
        for (_, e) in manager.events::<AccessManager::RoleGranted>(chain, (self.block, head), &[])? {
            if declared.iter().any(|(role, account, _)| (*role, *account) == (e.roleId, e.account)) {
                continue;
            }
            let access = self.access(chain, e.roleId, e.account)?;
            if access.is_any() {
                let text = format!(
                    "{} {} the role of {}, which the file does not say",
                    e.account,
                    access.verb(),
                    named(e.roleId)
                );
                return Err(manager.unexpected(chain, &text));
            }
        }
        Ok(())
    }

    /// Only votes propose and cancel. Whoever ever could, even if not any more, may have left something that waits for its time.
    fn check_timelock(&self, chain: &mut dyn Chain) -> Result<(), Error> {
        let (a, timelock) = (&self.contracts, self.timelock());
        let head = chain.head()?.number;
        for (_, e) in timelock.events::<TimelockController::RoleGranted>(chain, (self.block, head), &[])? {
            let who = match e.role {
                role if role == timelock_role(PROPOSER) => ("proposes to it", a.governor),
                role if role == timelock_role(CANCELLER) => ("cancels what waits in it", a.governor),
                role if role == timelock_role("") => ("gives its roles", a.timelock),
                // Anybody may execute what was voted for.
                _ => continue,
            };
            let (what, expected) = who;
            if e.account != expected {
                let text = format!("{} {what}, or did, and not {expected} alone", e.account);
                return Err(timelock.unexpected(chain, &text));
            }
        }
        Ok(())
    }
}
