//! Failures: what is wrong, where, and what to do about it.

use crate::{
    abi::{ContractError, Revert},
    economy::abi::EconomyError,
};
use alloy_primitives::{Address, B256, U256};
use std::path::PathBuf;

/// Why something on a chain could not be done. Addresses of nodes are shown without user names, passwords, paths and
/// queries, which may hold secrets; private keys and passwords never appear.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not an address of a node.
    #[error("not the address of a node: {0}; give one like http://127.0.0.1:8545 or https://host/path")]
    Url(String),
    /// No connection, or it broke.
    #[error("the node at {endpoint} cannot be reached: {reason}; check that it runs and that the address is right")]
    Unreachable {
        /// The node.
        endpoint: String,
        /// What the connection says.
        reason: String,
    },
    /// A request was not answered in time.
    #[error("the node at {endpoint} did not answer within {seconds} s; try again, or use another node")]
    Timeout {
        /// The node.
        endpoint: String,
        /// The limit.
        seconds: u64,
    },
    /// Not a success in HTTP.
    #[error("the node at {endpoint} answered with HTTP status {status}{}", http_hint(*.status))]
    Status {
        /// The node.
        endpoint: String,
        /// Three digits.
        status: u16,
    },
    /// An answer longer than is read.
    #[error("the node at {endpoint} sent an answer of more than {limit} bytes; no answer to assay is that long")]
    TooLarge {
        /// The node.
        endpoint: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// An answer that makes no sense.
    #[error("the node at {endpoint} sent a bad answer: {what}; is it an Ethereum JSON-RPC node?")]
    BadAnswer {
        /// The node.
        endpoint: String,
        /// What is wrong with it.
        what: String,
    },
    /// The node refused a request.
    #[error("the node at {endpoint} refused {method}: {message} (code {code})")]
    Refused {
        /// The node.
        endpoint: String,
        /// The JSON-RPC method.
        method: &'static str,
        /// The JSON-RPC error code.
        code: i64,
        /// What the node says.
        message: String,
    },
    /// Another chain than the one that was asked for.
    #[error("the node at {endpoint} is on chain {found}, not {expected}; use a node of chain {expected}")]
    WrongChain {
        /// The node.
        endpoint: String,
        /// The chain that was asked for.
        expected: u64,
        /// The chain it is on.
        found: u64,
    },
    /// A call reverted, or a transaction would.
    #[error("{action} at {address} on {place} reverts: {revert}")]
    Reverted {
        /// What was tried.
        action: &'static str,
        /// The contract; the zero address for a deployment.
        address: Address,
        /// The chain.
        place: String,
        /// The reason.
        revert: Revert,
    },
    /// A transaction that is part of the chain has failed.
    #[error("transaction {hash} on {place} was included and reverted: {revert}; its gas ({gas_used}) is spent")]
    Failed {
        /// The transaction.
        hash: B256,
        /// The chain.
        place: String,
        /// The reason.
        revert: Revert,
        /// Gas charged.
        gas_used: u64,
    },
    /// The account cannot pay.
    #[error("account {account} on {place} has {balance} wei and needs up to {needed}; send it more")]
    InsufficientFunds {
        /// Who sends.
        account: Address,
        /// The chain.
        place: String,
        /// What the account has.
        balance: U256,
        /// Value and the most the gas can cost.
        needed: U256,
    },
    /// A lease that no job can give was asked for.
    #[error("a lease of at least {asked} seconds was asked for, and the longest is {longest}")]
    LeaseTooLong {
        /// Seconds.
        asked: u64,
        /// Seconds.
        longest: u64,
    },
    /// The node asks more for gas than is allowed.
    #[error("the node at {endpoint} asks {asked} wei per gas and at most {limit} is allowed; wait, or raise the limit")]
    FeeTooHigh {
        /// The node.
        endpoint: String,
        /// Wei per gas.
        asked: u128,
        /// Wei per gas.
        limit: u128,
    },
    /// A transaction needs more gas than the chain allows for one.
    #[error("a transaction on {place} needs more than {limit} gas; the chain allows no more in one transaction")]
    GasLimit {
        /// The chain.
        place: String,
        /// The limit.
        limit: u64,
    },
    /// A transaction that the EVM does not take.
    #[error("{place} does not take the transaction: {reason}")]
    Rejected {
        /// The chain.
        place: String,
        /// Why.
        reason: String,
    },
    /// Sent, and no receipt in time.
    #[error(
        "transaction {hash} was sent to the node at {endpoint} and is not included after {seconds} s; \
         it may still be: look it up before sending again{}",
        .last.as_ref().map(|l| format!(" (last answer: {l})")).unwrap_or_default()
    )]
    Pending {
        /// The transaction.
        hash: B256,
        /// The node.
        endpoint: String,
        /// How long was waited.
        seconds: u64,
        /// Why the last question for the receipt failed, if it did.
        last: Option<Box<Error>>,
    },
    /// The connection broke while a transaction was sent.
    #[error("transaction {hash} may have been sent, or not: {reason}; look it up before sending again")]
    Unsure {
        /// The transaction.
        hash: B256,
        /// What went wrong.
        reason: Box<Error>,
    },
    /// Sent, and replaced by a transaction that does nothing because it was not included in time.
    #[error(
        "transaction {hash} on {place} was not included within {seconds} s and was withdrawn: nothing happened; try again"
    )]
    Withdrawn {
        /// The transaction.
        hash: B256,
        /// The chain.
        place: String,
        /// How long was waited.
        seconds: u64,
    },
    /// Another transaction of the account has taken its place.
    #[error(
        "another transaction of account {account} took the place of {hash} on {place}; does something else send from this \
         account? give each sender its own"
    )]
    Displaced {
        /// The transaction.
        hash: B256,
        /// Who sends.
        account: Address,
        /// The chain.
        place: String,
    },
    /// Nothing to sign with.
    #[error(
        "sending a transaction to {place} needs a key: set ASSAY_PRIVATE_KEY, or give a keystore file and its password \
         in ASSAY_KEYSTORE_PASSWORD or a password file"
    )]
    NoSigner {
        /// The chain.
        place: String,
    },
    /// The private key in the environment.
    #[error("ASSAY_PRIVATE_KEY is not a private key: expected 64 hexadecimal digits of a number in range")]
    PrivateKey,
    /// A keystore or password file.
    #[error("'{}': {reason}", .path.display())]
    Keystore {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No password for a keystore.
    #[error("a keystore needs its password: set ASSAY_KEYSTORE_PASSWORD or give a password file")]
    NoPassword,
    /// Nothing at an address.
    #[error("there is no contract at {address} on {place}; check the address and the chain")]
    NoContract {
        /// The address.
        address: Address,
        /// The chain.
        place: String,
    },
    /// Another contract at an address.
    #[error("the contract at {address} on {place} is not the {name} of this version; check the address")]
    OtherContract {
        /// The contract that should be there.
        name: &'static str,
        /// The address.
        address: Address,
        /// The chain.
        place: String,
    },
    /// The contract does not answer as its interface says.
    #[error("the contract at {address} on {place} does not behave like {name}: {what}; check the address")]
    Unexpected {
        /// The contract that should be there.
        name: &'static str,
        /// The contract.
        address: Address,
        /// The chain.
        place: String,
        /// What it did.
        what: String,
    },
    /// Another contract than a deployment says.
    #[error(
        "the contract at {address} on {place} is not the {name} of this version; the deployment file is of another \
         version or another chain"
    )]
    OtherCode {
        /// The contract that should be there.
        name: &'static str,
        /// The address.
        address: Address,
        /// The chain.
        place: String,
    },
    /// A contract of the economy does not answer as its interface says.
    #[error("{name} at {address} on {place} does not behave as declared: {what}; check the deployment file")]
    NotAsDeclared {
        /// The contract that should be there.
        name: &'static str,
        /// The address.
        address: Address,
        /// The chain.
        place: String,
        /// What it did.
        what: String,
    },
    /// A deployment file of another form.
    #[error("not a deployment file: {0}; `assay chain up` writes one")]
    DeploymentFile(String),
    /// A deployment on another chain.
    #[error("the deployment is on chain {expected}, and {place} is chain {found}; use a node of chain {expected}")]
    DeploymentChain {
        /// Where it was looked for.
        place: String,
        /// Its chain.
        expected: u64,
        /// The chain there.
        found: u64,
    },
    /// The account sent something else during a deployment.
    #[error(
        "account {account} on {place} sent other transactions during the deployment, so its contracts do not find each \
         other; deploy again, with an account that does nothing else"
    )]
    NonceMoved {
        /// Who deploys.
        account: Address,
        /// The chain.
        place: String,
    },
    /// No model under an identity.
    #[error("the contract at {address} on {place} has no model {model}; register its key first")]
    UnknownModel {
        /// The contract.
        address: Address,
        /// The chain.
        place: String,
        /// keccak256 of the key.
        model: B256,
    },
    /// A key that cannot be stored as one contract's code.
    #[error("a key of {bytes} bytes cannot be registered: a contract holds at most {limit}")]
    KeySize {
        /// Its length.
        bytes: usize,
        /// The longest.
        limit: usize,
    },
    /// More events than are read at once.
    #[error("{place} has more than {limit} events in the blocks asked for; ask for fewer blocks")]
    TooManyEvents {
        /// The chain.
        place: String,
        /// The limit.
        limit: usize,
    },
    /// Insecure powers of tau on a chain where something is at stake.
    #[error(
        "chain {chain_id} is not a local one, and these are development powers of tau: their secret is public, so \
         anyone can forge proofs; use powers of tau from a ceremony, or accept that with --allow-insecure-development-srs"
    )]
    DevelopmentSrs {
        /// The chain.
        chain_id: u64,
    },
    /// Called from within an asynchronous runtime.
    #[error("calls to a node block and cannot be made inside an asynchronous runtime; use a thread of its own")]
    InsideRuntime,
    /// The system refuses what is needed to talk to a node.
    #[error("cannot set up connections: {0}")]
    Setup(String),
}

impl Error {
    /// The error of the contract behind a call or transaction that reverted, if it is one that the contract declares.
    pub fn contract(&self) -> Option<&ContractError> {
        match self {
            Self::Reverted { revert: Revert::Contract(e), .. } | Self::Failed { revert: Revert::Contract(e), .. } => {
                Some(e)
            }
            _ => None,
        }
    }

    /// The error of a contract of the economy behind a call or transaction that reverted, if it is one they declare.
    pub fn economy(&self) -> Option<&EconomyError> {
        match self {
            Self::Reverted { revert, .. } | Self::Failed { revert, .. } => match revert {
                Revert::Economy(e) | Revert::Training(e) => Some(e),
                _ => None,
            },
            _ => None,
        }
    }

    /// The same where a call to the market for training reverted: it has tasks where the other market has jobs.
    pub(crate) fn of_training(mut self) -> Self {
        if let Self::Reverted { revert, .. } | Self::Failed { revert, .. } = &mut self
            && let Revert::Economy(e) = revert
        {
            *revert = Revert::Training(e.clone());
        }
        self
    }

    /// Why a call or transaction reverted, if it did.
    pub fn revert(&self) -> Option<&Revert> {
        match self {
            Self::Reverted { revert, .. } | Self::Failed { revert, .. } => Some(revert),
            _ => None,
        }
    }

    /// Whether the same may work a moment later, because of the network or a node and not of what was asked.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::BadAnswer { .. } | Self::FeeTooHigh { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
            Self::Refused { .. } | Self::Pending { .. } | Self::Unsure { .. } => true,
            Self::Withdrawn { .. } | Self::Displaced { .. } | Self::TooLarge { .. } => true,
            _ => false,
        }
    }
}

fn http_hint(status: u16) -> &'static str {
    match status {
        401 | 403 => ": it does not let us in; check the credentials in its address",
        404 => ": check the path in its address",
        413 => ": the request is too large for it; use another node",
        429 => ": too many requests; wait, or use another node",
        500..=599 => ": it is in trouble; try again later, or use another node",
        _ => ": is it an Ethereum JSON-RPC node?",
    }
}
