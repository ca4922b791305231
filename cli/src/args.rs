//! Commands and the options that several of them share.

#[cfg(test)]
mod tests;

use crate::{
    cmd,
    device::Choice,
    error::{Failure, Outcome},
    settlement::parse_hex,
};
use assay_circuits::{
    Visibility,
    onnx::{CompileOptions, LoadOptions},
};
use assay_prover::settle::Optimize;
use assay_verifier::settle::key::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Prove that an output is what a committed neural network computes, and check such proofs in milliseconds.
///
/// Core proofs are sound but NOT hiding: they may reveal information about inputs and weights to whoever holds them.
#[derive(Debug, Parser)]
#[command(name = "assay", version, arg_required_else_help = true, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, a checked proof is valid; 1 a checked proof is not valid; 2 nothing could be \
                        checked.\nStart with: assay demo"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: Global,
}

/// Options of every command.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Print JSON lines; the last one is the result or the error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print nothing but errors and what was asked for
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Number of threads [default: one for each core]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// What proves: auto, cpu, cuda or cuda:N [default: auto, a card for large work if there is one]
    #[arg(long, global = true, value_name = "DEVICE")]
    pub(crate) device: Option<Choice>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Prove and verify digit inferences on real test images, with nothing else needed
    Demo(cmd::demo::DemoArgs),
    /// List the operators of an ONNX model, and what would help with those that cannot be proven
    Inspect(cmd::inspect::InspectArgs),
    /// Quantize an ONNX model and report how far the result is from it
    Compile(cmd::compile::CompileArgs),
    /// Cut a model into segments that are proven apart, on one machine or by many
    Split(cmd::split::SplitArgs),
    /// Commit to a model, once: writes the verifying key
    Setup(cmd::setup::SetupArgs),
    /// Prove inferences
    Prove(cmd::prove::ProveArgs),
    /// Prove inferences for a chain: constant size, zero-knowledge
    Settle(cmd::settle::SettleCommand),
    /// Check a proof: exit code 0 valid, 1 not valid, 2 could not check
    Verify(cmd::verify::VerifyArgs),
    /// Compile, set up, prove and verify in one go
    Run(cmd::run::RunArgs),
    /// Train a network in integers, and prove that the trained weights are what the steps make of the first ones
    Train(cmd::train::TrainArgs),
    /// Prove the losses of a training run's weights, before and after, on held-out rows
    Evaluate(cmd::evaluate::EvaluateArgs),
    /// Start a chain with the whole market on it; deploy the verifier contract, register keys, check proofs on chain
    Chain(cmd::chain::ChainCommand),
    /// Put a model on the market
    Model(cmd::model::ModelCommand),
    /// Post jobs, work on them, and get paid
    Job(cmd::job::JobCommand),
    /// Put data on the market, for training
    Dataset(cmd::dataset::DatasetCommand),
    /// Have a network trained, and train for others: paid for proven gains
    Task(cmd::task::TaskCommand),
    /// Decide by vote: propose, vote, queue, execute
    Vote(cmd::govern::VoteCommand),
    /// Tokens: balance, transfer, approve
    Token(cmd::govern::TokenCommand),
    /// Watch the market and work on its jobs until stopped
    Worker(Box<cmd::worker::WorkerArgs>),
    /// Prove many inferences, on this machine or on many: a queue, workers, and a check of all that comes back
    Farm(cmd::farm::FarmCommand),
    /// Serve a page on this machine about the models, jobs, proofs and payouts of a market
    Explorer(cmd::explorer::ExplorerArgs),
    /// Measure how fast this machine proves
    Bench(cmd::bench::BenchArgs),
    /// Predict size, time, memory and gas of a proof
    Estimate(cmd::estimate::EstimateArgs),
    /// Make, import or check powers of tau
    Srs(cmd::srs::SrsArgs),
    /// Commit to tensors once, for any number of proofs
    Stack(cmd::stack::StackArgs),
    /// Describe a file of Assay's: model, key, proof, stack or powers of tau
    Show(cmd::show::ShowArgs),
    /// Report what this machine offers
    Doctor(cmd::doctor::DoctorArgs),
    /// Print completions for a shell
    Completions(cmd::completions::CompletionsArgs),
}

/// How to read an ONNX file.
#[derive(Clone, Debug, Default, PartialEq, Args)]
#[command(next_help_heading = "ONNX")]
pub(crate) struct ReadArgs {
    /// Leave out a Softmax or LogSoftmax at the end: what is proven are the logits that go into it
    #[arg(long)]
    pub(crate) drop_softmax: bool,

    /// Extent of a symbolic axis: `height=320`, or `x:2=320` for axis 2 of input x where it has no name
    #[arg(long = "dim", value_name = "NAME=NUMBER", value_parser = dim)]
    pub(crate) dims: Vec<(String, usize)>,

    /// A symbolic leading axis that counts independent samples although its name does not say so
    #[arg(long = "batch-axis", value_name = "NAME")]
    pub(crate) batch_axes: Vec<String>,

    /// An input that is a constant of the model, all of its entries that number: `sr=16000`
    #[arg(long = "set", value_name = "NAME=NUMBER", value_parser = constant)]
    pub(crate) values: Vec<(String, f64)>,
}

/// Reads `name=number`.
fn dim(text: &str) -> Result<(String, usize), String> {
    let wrong = || format!("'{text}' is not of the form NAME=NUMBER, as in height=320");
    let (name, number) = text.rsplit_once('=').ok_or_else(wrong)?;
    let number: usize = number.trim().parse().map_err(|_| wrong())?;
    if name.trim().is_empty() || number == 0 {
        return Err(wrong());
    }
    Ok((name.trim().to_owned(), number))
}

/// Reads `name=number`, any number.
fn constant(text: &str) -> Result<(String, f64), String> {
    let wrong = || format!("'{text}' is not of the form NAME=NUMBER, as in sr=16000");
    let (name, number) = text.rsplit_once('=').ok_or_else(wrong)?;
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    if name.trim().is_empty() || !number.is_finite() {
        return Err(wrong());
    }
    Ok((name.trim().to_owned(), number))
}

impl ReadArgs {
    pub(crate) fn options(&self) -> LoadOptions {
        LoadOptions {
            dims: self.dims.clone(),
            batch: self.batch_axes.clone(),
            values: self.values.clone(),
            drop_softmax: self.drop_softmax,
        }
    }

    fn is_used(&self) -> bool {
        self.drop_softmax || !self.dims.is_empty() || !self.batch_axes.is_empty() || !self.values.is_empty()
    }
}

/// How to quantize.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Quantization")]
pub(crate) struct QuantArgs {
    /// Sample inputs that fix the ranges of all tensors: .npz, .npy or JSON [default: made-up samples]
    #[arg(long, value_name = "DATA")]
    pub(crate) calibrate: Option<PathBuf>,
    /// Width of weights, 2 to 16 [default: the smallest that is accurate]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=16))]
    pub(crate) weight_bits: Option<u32>,
    /// Width of activations, 4 to 14 [default: the smallest that is accurate]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(4..=14))]
    pub(crate) activation_bits: Option<u32>,
    /// Width of a remainder's limb, 4 to 16 [default: the cheapest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(4..=16))]
    pub(crate) limb_bits: Option<u32>,
    /// Go on although the quantized model is not as accurate as it should be
    #[arg(long)]
    pub(crate) accept_accuracy: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

impl QuantArgs {
    pub(crate) fn options(&self, private_output: bool) -> CompileOptions {
        CompileOptions {
            weight_bits: self.weight_bits,
            activation_bits: self.activation_bits,
            limb_bits: self.limb_bits,
            private_output,
            ..CompileOptions::default()
        }
    }

    /// Whether anything was asked for: only possible with an ONNX model.
    pub(crate) fn is_used(&self) -> bool {
        self.calibrate.is_some()
            || self.weight_bits.is_some()
            || self.activation_bits.is_some()
            || self.limb_bits.is_some()
            || self.accept_accuracy
            || self.read.is_used()
    }
}

/// What a key fixes besides the model.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Key")]
pub(crate) struct KeyArgs {
    /// Powers of tau [default: development ones, INSECURE]
    #[arg(long, value_name = "SRS")]
    pub(crate) srs: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// What a key fixes besides model and powers of tau.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Key")]
pub(crate) struct ShapeArgs {
    /// Proofs show the inputs
    #[arg(long)]
    pub(crate) public_inputs: bool,
    /// Proofs do not show the outputs
    #[arg(long, alias = "private-output")]
    pub(crate) private_outputs: bool,
    /// The weights are public
    #[arg(long)]
    pub(crate) public_weights: bool,
    /// log2 of the length of a committed row [default: the cheapest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=28))]
    pub(crate) row_bits: Option<u8>,
}

impl ShapeArgs {
    pub(crate) fn visibility(&self) -> Visibility {
        Visibility { inputs: self.public_inputs, weights: self.public_weights, outputs: !self.private_outputs }
    }
}

/// How settled proofs are made.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Settlement")]
pub(crate) struct SettleArgs {
    /// What the row length is chosen for: the seconds of settling, or the gas of verification
    #[arg(long, value_enum, default_value = "gas", value_name = "WHAT")]
    pub(crate) optimize: OptimizeFor,
    /// File with 32 bytes in hexadecimal from which the factors that blind the weights follow; the same secret gives the same
    /// settlement id [default: one kept in the cache folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) secret: Option<PathBuf>,
}

/// See [`SettleArgs`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OptimizeFor {
    /// Shorter rows, more of them
    Time,
    /// Fewer, longer rows
    #[default]
    Gas,
}

impl From<OptimizeFor> for Optimize {
    fn from(o: OptimizeFor) -> Self {
        match o {
            OptimizeFor::Time => Self::Time,
            OptimizeFor::Gas => Self::Gas,
        }
    }
}

/// What a settled proof is bound to.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What the proof is for")]
pub(crate) struct ContextArgs {
    /// EIP-155 id of the chain
    #[arg(long, value_name = "ID", default_value_t = LOCAL_CHAIN)]
    pub(crate) chain_id: u64,
    /// Address of the contract that acts on the proof
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) consumer: Option<String>,
    /// The job: 32 bytes in hexadecimal
    #[arg(long, value_name = "HEX")]
    pub(crate) job: Option<String>,
    /// Address that is paid
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) recipient: Option<String>,
}

/// Chain id of the embedded EVM and of anvil.
pub(crate) const LOCAL_CHAIN: u64 = 31337;

impl ContextArgs {
    pub(crate) fn context(&self) -> Outcome<Context> {
        fn bytes<const N: usize>(text: Option<&String>, flag: &str) -> Outcome<[u8; N]> {
            let Some(text) = text else { return Ok([0; N]) };
            parse_hex(text).ok_or_else(|| {
                Failure::new(format!("{flag} must be {N} bytes in hexadecimal, got '{text}'"))
                    .help(format!("write 0x and {} hexadecimal digits", 2 * N))
            })
        }
        Ok(Context {
            chain_id: self.chain_id,
            consumer: bytes(self.consumer.as_ref(), "--consumer")?,
            job: bytes(self.job.as_ref(), "--job")?,
            recipient: bytes(self.recipient.as_ref(), "--recipient")?,
        })
    }
}

/// Which samples of the input file are proven.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Batch")]
pub(crate) struct BatchArgs {
    /// Number of inferences in the proof [default: all samples of the file]
    #[arg(long, value_name = "N")]
    pub(crate) batch: Option<usize>,
    /// First sample to take
    #[arg(long, value_name = "I", default_value_t = 0)]
    pub(crate) from: usize,
    /// Refuse values outside of the calibrated range, of inputs and inside, instead of clamping them
    #[arg(long)]
    pub(crate) strict: bool,
}
