//! `assay job result`: the output of a confidential job.

use crate::{
    App,
    args::QuantArgs,
    economy::{
        EconomyArgs, System, inbox,
        work::{Offered, masked_outputs},
    },
    error::{Failure, Outcome},
    flow, stacks,
};
use assay_contracts::{B256, economy::Job};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct ResultArgs {
    /// The job
    #[arg(value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    /// The model that it was posted for
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The folder that `assay job post --confidential` wrote to
    #[arg(long, value_name = "FOLDER")]
    inbox: PathBuf,
    #[command(flatten)]
    quant: QuantArgs,
    #[command(flatten)]
    economy: EconomyArgs,
}

pub(crate) fn run(app: &App, args: &ResultArgs) -> Outcome<()> {
    let o = &app.output;
    let mut system = args.economy.connect(false)?;
    let model = flow::load_model(app, &args.model, &args.quant, false)?.model;
    let offered = Offered::confidential(&model)?;
    let Offered::Confidential(of) = &offered else {
        return Err(Failure::new("a plain model where a confidential one was made").bug());
    };
    let id = args.id;
    let job = system.job(id)?;
    let entry = system.at.registry().entry(system.chain.as_mut(), job.verifierId)?;
    if entry.modelId.0 != of.model.model_id()? {
        return Err(Failure::new(format!("job {id} is not a confidential one of this model"))
            .help("pass the model that it was posted for; the answer of a job that is not confidential is on the chain: assay job status ID --model MODEL"));
    }
    let stack_id = posted_stack(&mut system, id, &job)?;
    let path = inbox::path(&args.inbox, stack_id);
    let stack = stacks::read(&path)
        .map_err(|f| f.help("without the file that was written when it was posted nobody can unmask the output"))?;
    if B256::from(stack.id()?) != stack_id || stack.schema() != &of.schema(stack.schema().row_bits)? {
        return Err(Failure::new(format!("'{}' is not what job {id} was posted with", path.display()))
            .help("name the folder that `assay job post --confidential` wrote to")
            .invalid());
    }
    let head = system.chain.head()?.number;
    let paid = system.at.market().payments(system.chain.as_mut(), Some(id), system.at.block, head)?;
    let paid = paid.first().ok_or_else(|| {
        Failure::new(format!("job {id} has no result yet")).help(format!("`assay job status {id}` tells where it is"))
    })?;
    let shown = masked_outputs(of, &paid.output);
    let outputs = shown.and_then(|shown| of.unmask(&shown, stack.values()).ok()).ok_or_else(|| {
        Failure::new(format!("what job {id} was paid for is no output under this pad"))
            .help("the verifier's entry is not for this model: do not use it")
            .invalid()
    })?;
    let specs = of.plain_outputs();
    let floats = specs.iter().zip(&outputs).map(|(s, t)| s.dequantize(t)).collect::<Result<Vec<_>, _>>()?;
    flow::say_outputs(app, specs, std::slice::from_ref(&floats), "answer");
    o.result(json!({
        "job_id": id,
        "stack_id": stack_id.to_string(),
        "outputs": flow::samples_json(&[floats]),
        "transaction": paid.transaction.to_string(),
    }));
    Ok(())
}

/// The stack that a job is about, as it was posted.
fn posted_stack(system: &mut System, id: u64, job: &Job) -> Outcome<B256> {
    let secret = super::prove::secret_of(system, &Default::default(), id, job)?;
    B256::try_from(&secret.input[..]).map_err(|_| {
        Failure::new(format!("job {id} was posted without the id of a stack")).help("it is not a confidential job")
    })
}
