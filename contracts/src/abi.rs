//! The interface of the contract: calls, events, errors, and what revert data says.

use crate::{
    economy::{self, abi::EconomyError},
    segments::{self, SegmentError},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolInterface, SolValue};
use std::fmt;

pub use generated::AssayVerifier;

// The macro writes items without documentation.
#[allow(missing_docs)]
mod generated {
    alloy_sol_types::sol! {
        #[derive(Debug, PartialEq, Eq)]
        contract AssayVerifier {
            constructor(bool acceptDevelopmentSrs);

            event Registered(bytes32 indexed modelId, address data, bool developmentSrs);
            event Verified(
                bytes32 indexed modelId, bytes32 indexed job, address indexed recipient, bytes32 publicDigest
            );

            error InvalidKey(uint256 word);
            error DevelopmentSrs();
            error UnknownModel(bytes32 modelId);
            error InvalidProof();
            error NonCanonicalCalldata();
            error InsufficientGas();
            error FailedDeployment();
            error InsufficientBalance(uint256 balance, uint256 needed);
            error Create2EmptyBytecode();
            error Create3EmptyBytecode();

            function acceptsDevelopmentSrs() view returns (bool);
            function register(bytes key) returns (bytes32);
            function keyOf(bytes32 modelId) view returns (address);
            function verify(bytes32 modelId, bytes publicValues, bytes32 context, bytes proof) view returns (bool);
            function contextFor(address consumer, bytes32 job, address recipient) view returns (bytes32);
            function submit(bytes32 modelId, bytes publicValues, bytes32 job, address recipient, bytes proof);
        }
    }
}

/// What is hashed into every context before the rest.
pub const CONTEXT_DOMAIN: &str = "assay.context.v1";

/// What a proof is bound to: the chain, the contract that consumes it, the job and who is paid.
///
/// `keccak256(abi.encode(keccak256("assay.context.v1"), chain_id, consumer, job, recipient))`, as `contextFor` computes
/// it.
pub fn context(chain_id: u64, consumer: Address, job: B256, recipient: Address) -> [u8; 32] {
    let domain = keccak256(CONTEXT_DOMAIN.as_bytes());
    keccak256((domain, U256::from(chain_id), consumer, job, recipient).abi_encode()).0
}

/// Why a call or a transaction reverted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revert {
    /// An error that the contract declares.
    Contract(Box<ContractError>),
    /// An error that the contracts of the economy declare.
    Economy(Box<EconomyError>),
    /// An error of the market for training.
    Training(Box<EconomyError>),
    /// An error of the contract that takes segments together.
    Segments(Box<SegmentError>),
    /// `Error(string)`: `require` or `revert` with a text. Control characters are replaced and the text is cut to
    /// [`MAX_TEXT`] characters: whoever wrote the contract chose it.
    Message(String),
    /// `Panic(uint256)`: the compiler's own checks, by code.
    Panic(U256),
    /// Data of no known form.
    Unknown(Bytes),
    /// No data.
    Empty,
    /// It did not revert but was stopped: out of gas, an invalid instruction, and the like, as the EVM or the node
    /// calls it.
    Halted(String),
}

/// An error of the contract's interface.
pub type ContractError = AssayVerifier::AssayVerifierErrors;

/// Longest text taken over from a contract or a node, in characters.
pub const MAX_TEXT: usize = 300;
/// Most bytes of unknown revert data that are shown.
const SHOWN: usize = 68;

/// Selector of `Error(string)`.
const ERROR: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
/// Selector of `Panic(uint256)`.
const PANIC: [u8; 4] = [0x4e, 0x48, 0x7b, 0x71];

impl Revert {
    /// Reads revert data. Never fails: data of no known form is [`Revert::Unknown`].
    pub fn decode(data: &[u8]) -> Self {
        if data.is_empty() {
            return Self::Empty;
        }
        if let Ok(e) = ContractError::abi_decode_validate(data) {
            return Self::Contract(Box::new(e));
        }
        if let Ok(e) = EconomyError::abi_decode_validate(data) {
            return Self::Economy(Box::new(e));
        }
        if let Ok(e) = SegmentError::abi_decode_validate(data) {
            return Self::Segments(Box::new(e));
        }
        match data.split_first_chunk::<4>() {
            Some((&ERROR, rest)) => {
                if let Ok(text) = String::abi_decode_validate(rest) {
                    return Self::Message(printable(&text));
                }
            }
            Some((&PANIC, rest)) => {
                if let Ok(code) = U256::abi_decode_validate(rest) {
                    return Self::Panic(code);
                }
            }
            _ => {}
        }
        Self::Unknown(Bytes::copy_from_slice(data))
    }
}

impl fmt::Display for Revert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contract(e) => contract_error(e, f),
            Self::Economy(e) => economy::sentence(e, f),
            Self::Training(e) => economy::task_sentence(e, f),
            Self::Segments(e) => segments::sentence(e, f),
            Self::Message(text) => write!(f, "\"{text}\""),
            Self::Panic(code) => write!(f, "Panic({code:#x}): {}", panic_meaning(*code)),
            Self::Unknown(data) if data.len() <= SHOWN => write!(f, "unknown error {data}"),
            Self::Unknown(data) => {
                let head = Bytes::copy_from_slice(data.get(..SHOWN).unwrap_or_default());
                write!(f, "unknown error {head}... ({} bytes)", data.len())
            }
            Self::Empty => f.write_str("no reason given"),
            Self::Halted(reason) => write!(f, "stopped: {reason}"),
        }
    }
}

/// An error as it is declared, and what it means.
fn contract_error(e: &ContractError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match e {
        ContractError::InvalidKey(e) => write!(f, "InvalidKey({}): word {0} of the key is wrong", e.word),
        ContractError::DevelopmentSrs(_) => {
            f.write_str("DevelopmentSrs(): this contract takes no keys for development powers of tau")
        }
        ContractError::UnknownModel(e) => write!(f, "UnknownModel({}): its key is not registered", e.modelId),
        ContractError::InvalidProof(_) => {
            f.write_str("InvalidProof(): not valid for this model, public values, job, recipient, contract and chain")
        }
        ContractError::NonCanonicalCalldata(_) => {
            f.write_str("NonCanonicalCalldata(): not the encoding of its arguments")
        }
        ContractError::InsufficientGas(_) => f.write_str("InsufficientGas(): give it more gas"),
        ContractError::FailedDeployment(_) => f.write_str("FailedDeployment(): the key could not be stored"),
        ContractError::InsufficientBalance(e) => write!(f, "InsufficientBalance({}, {})", e.balance, e.needed),
        ContractError::Create2EmptyBytecode(_) => f.write_str("Create2EmptyBytecode()"),
        ContractError::Create3EmptyBytecode(_) => f.write_str("Create3EmptyBytecode()"),
    }
}

/// The meaning of Solidity's panic codes.
fn panic_meaning(code: U256) -> &'static str {
    match u64::try_from(code) {
        Ok(0x01) => "a failed assertion",
        Ok(0x11) => "arithmetic overflow",
        Ok(0x12) => "division by zero",
        Ok(0x21) => "a value outside its enumeration",
        Ok(0x31) => "pop of an empty array",
        Ok(0x32) => "an index out of bounds",
        Ok(0x41) => "too much memory asked for",
        Ok(0x51) => "a call of an uninitialised function",
        _ => "an unknown code",
    }
}

/// Text from elsewhere made fit to print: control characters replaced, cut to [`MAX_TEXT`] characters.
pub(crate) fn printable(text: &str) -> String {
    let mut out: String = text.chars().take(MAX_TEXT).map(|c| if plain(c) { c } else { '\u{fffd}' }).collect();
    if text.chars().nth(MAX_TEXT).is_some() {
        out.push_str("...");
    }
    out
}

/// Neither a control character nor one that reorders or hides what stands around it.
fn plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_sol_types::SolError;

    fn message(text: &str) -> Vec<u8> {
        [ERROR.as_slice(), &text.to_owned().abi_encode()].concat()
    }

    #[test]
    fn selectors_are_the_hashes_of_the_signatures() {
        assert_eq!(ERROR, keccak256("Error(string)")[..4]);
        assert_eq!(PANIC, keccak256("Panic(uint256)")[..4]);
    }

    #[test]
    fn errors_read_as_they_are_declared() {
        let id = B256::repeat_byte(0xab);
        let data = AssayVerifier::UnknownModel { modelId: id }.abi_encode();
        assert_eq!(Revert::decode(&data).to_string(), format!("UnknownModel({id}): its key is not registered"));
        let key = AssayVerifier::InvalidKey { word: U256::from(7) }.abi_encode();
        assert_eq!(Revert::decode(&key).to_string(), "InvalidKey(7): word 7 of the key is wrong");
        for (data, starts) in [
            (AssayVerifier::InvalidProof {}.abi_encode(), "InvalidProof()"),
            (AssayVerifier::DevelopmentSrs {}.abi_encode(), "DevelopmentSrs()"),
            (AssayVerifier::NonCanonicalCalldata {}.abi_encode(), "NonCanonicalCalldata()"),
            (AssayVerifier::InsufficientGas {}.abi_encode(), "InsufficientGas()"),
        ] {
            assert!(Revert::decode(&data).to_string().starts_with(starts), "{starts}");
        }
        assert_eq!(Revert::decode(&message("not today")).to_string(), "\"not today\"");
        let panic = [PANIC.as_slice(), &U256::from(0x11).abi_encode()].concat();
        assert_eq!(Revert::decode(&panic).to_string(), "Panic(0x11): arithmetic overflow");
        assert_eq!(Revert::decode(&[]), Revert::Empty);
    }

    #[test]
    fn data_that_is_cut_short_or_too_long_is_unknown() {
        let data = AssayVerifier::UnknownModel { modelId: B256::ZERO }.abi_encode();
        assert_eq!(Revert::decode(&data[..35]), Revert::Unknown(Bytes::copy_from_slice(&data[..35])));
        let text = message("x");
        let cut = &text[..text.len() - 32];
        assert_eq!(Revert::decode(cut), Revert::Unknown(Bytes::copy_from_slice(cut)));
        // A length of 2^256 - 1 must not be believed.
        let mut long = message("x");
        long[36..68].fill(0xff);
        assert!(matches!(Revert::decode(&long), Revert::Unknown(_)));
        let many = vec![0x77; 1 << 20];
        let shown = Revert::decode(&many).to_string();
        assert!(shown.len() < 300 && shown.ends_with("(1048576 bytes)"), "{shown}");
    }

    #[test]
    fn a_contract_cannot_write_to_the_terminal() {
        let shown = Revert::decode(&message("\u{1b}[2Jok\n\u{202e}fake")).to_string();
        assert!(!shown.contains(['\u{1b}', '\n', '\u{202e}']), "{shown:?}");
        let long = Revert::decode(&message(&"a".repeat(100_000))).to_string();
        assert!(long.len() < MAX_TEXT + 10);
    }

    #[test]
    fn a_context_depends_on_everything_it_names() {
        let (consumer, recipient) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let job = B256::repeat_byte(3);
        let base = context(1, consumer, job, recipient);
        assert_ne!(base, context(2, consumer, job, recipient));
        assert_ne!(base, context(1, recipient, job, consumer));
        assert_ne!(base, context(1, consumer, B256::ZERO, recipient));
        // The encoding is five words: domain, chain, consumer, job, recipient.
        let mut words = keccak256("assay.context.v1").to_vec();
        words.extend(U256::from(1).to_be_bytes::<32>());
        words.extend([[0; 12].as_slice(), consumer.as_slice()].concat());
        words.extend(job);
        words.extend([[0; 12].as_slice(), recipient.as_slice()].concat());
        assert_eq!(base, keccak256(words).0);
    }
}
