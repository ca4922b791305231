//! What helps with the errors of chains and nodes.

use super::Failure;
use assay_contracts::Error;

const NODE: &str = "pass the address of a running node with --rpc URL; `assay chain up` starts one on this machine";
const ADDRESS: &str =
    "check the address and the chain; `assay chain deploy --rpc URL` deploys a verifier, `assay chain up` everything";
const DEPLOYMENT: &str = "pass the file that `assay chain up` wrote for this chain: --deployment FILE";
const AGAIN: &str = "wait a moment and try again, or use another node";

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        let help = match &e {
            Error::Url(_) | Error::Unreachable { .. } => NODE,
            Error::Timeout { .. } | Error::Status { .. } | Error::Refused { .. } => AGAIN,
            Error::TooLarge { .. } | Error::BadAnswer { .. } => {
                "use a node that speaks Ethereum's JSON-RPC, such as anvil, geth or reth"
            }
            Error::WrongChain { .. } => "pass a node of that chain, or another --expect-chain",
            Error::Reverted { .. } => {
                "nothing was sent; look at what the contract says, and whether the addresses are of this deployment"
            }
            Error::Failed { .. } => "something changed between asking and sending: look at the state and try again",
            Error::InsufficientFunds { .. } => "send the account some of the chain's own coin, for gas",
            Error::FeeTooHigh { .. } => "wait until gas is cheaper",
            Error::GasLimit { .. } => "settle with longer rows (--optimize gas) or a smaller batch",
            Error::Rejected { .. } => "look at the reason; try again if the account sent something meanwhile",
            Error::Pending { .. } | Error::Unsure { .. } => {
                "look the transaction up before sending again, so that nothing is paid twice"
            }
            Error::LeaseTooLong { .. } => "ask for less: a lease lasts at most seven days",
            Error::Withdrawn { .. } => "try again; a transaction waits when others offer more for gas",
            Error::Displaced { .. } => "give each process that sends an account of its own, then try again",
            Error::NoSigner { .. } => "set ASSAY_PRIVATE_KEY, or pass --keystore FILE",
            Error::PrivateKey => "set it to 0x and the 64 hexadecimal digits of the key, without quotes or spaces",
            Error::Keystore { .. } => "pass a keystore file as geth, foundry (`cast wallet`) or clef write it",
            Error::NoPassword => "set ASSAY_KEYSTORE_PASSWORD, or pass --password-file FILE",
            Error::NoContract { .. } | Error::OtherContract { .. } | Error::Unexpected { .. } => ADDRESS,
            Error::OtherCode { .. }
            | Error::NotAsDeclared { .. }
            | Error::DeploymentFile(_)
            | Error::DeploymentChain { .. } => DEPLOYMENT,
            Error::NonceMoved { .. } => "deploy again with an account that does nothing else meanwhile",
            Error::UnknownModel { .. } => "register its key: assay chain register KEY --rpc URL --contract ADDRESS",
            Error::KeySize { .. } => "make the key with a larger --row-bits, or of a smaller model",
            Error::TooManyEvents { .. } => "use a node of your own, or ask for fewer blocks",
            Error::DevelopmentSrs { .. } => {
                "import a ceremony's powers of tau (assay srs import) and pass them with --srs"
            }
            Error::InsideRuntime => super::BUG,
            Error::Setup(_) => "check that this process may open network connections and files",
        };
        Self::new(e).help(help)
    }
}
