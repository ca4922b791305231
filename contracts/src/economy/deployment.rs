//! Where the contracts of a system are, as a file that others can use and check.

use super::{
    Datasets, Emission, Governor, Market, Models, Registry, Token, Training,
    abi::{AssayGovernor, AssayToken, EmissionController, JobMarket, ModelRegistry, TrainingMarket, VerifierRegistry},
    artifacts::Name,
    contract::Contract,
    parameters::Parameters,
};
use crate::{Error, Verifier, chain::Chain};
use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

/// The format's name.
pub(super) const FORMAT: &str = "assay.deployment.v2";
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
    pub datasets: Address,
    pub training: Address,
}

impl Addresses {
    /// Each contract with its address, in the order of creation.
    pub fn all(&self) -> [(Name, Address); 11] {
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
            (Name::DatasetRegistry, self.datasets),
            (Name::TrainingMarket, self.training),
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
    /// `assay.deployment.v2`.
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
        let fields: serde_json::Value = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
        // First: a file of another version has other fields, and what helps is to know that.
        if let Some(format) = fields.get("format").and_then(serde_json::Value::as_str).filter(|f| *f != FORMAT) {
            return Err(bad(format!("format '{format}', and this program reads '{FORMAT}'")));
        }
        serde_json::from_str(text).map_err(|e| bad(e.to_string()))
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
        // Whoever is named here has fees recorded, and so tokens minted.
        check!(emission, EmissionController::trainingCall {}, "market for training", a.training);
        check!(emission, EmissionController::authorityCall {}, "authority", a.manager);
        check!(self.registry().contract(), VerifierRegistry::authorityCall {}, "authority", a.manager);
        check!(self.models().contract(), ModelRegistry::verifiersCall {}, "verifier registry", a.registry);
        let training = self.training().contract();
        check!(training, TrainingMarket::tokenCall {}, "token", a.token);
        check!(training, TrainingMarket::verifiersCall {}, "verifier registry", a.registry);
        check!(training, TrainingMarket::datasetsCall {}, "dataset registry", a.datasets);
        check!(training, TrainingMarket::emissionCall {}, "emission controller", a.emission);
        check!(training, TrainingMarket::authorityCall {}, "authority", a.manager);
        check!(training, TrainingMarket::treasuryCall {}, "treasury", a.timelock);
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

    /// The market for inferences.
    pub const fn market(&self) -> Market {
        Market::at(self.contracts.market)
    }

    /// The registry of datasets.
    pub const fn datasets(&self) -> Datasets {
        Datasets::at(self.contracts.datasets)
    }

    /// The market for training.
    pub const fn training(&self) -> Training {
        Training::at(self.contracts.training)
    }
}
