//! `assay demo`: real test images, a real network, a proof, a forgery that fails, and a market that pays.

use crate::{
    App, accuracy,
    args::{KeyArgs, QuantArgs, ShapeArgs},
    art,
    chain::merge,
    demo_confidential,
    demo_data::{self, Network, SIDE},
    demo_training,
    economy::{story::Story, work},
    error::{Failure, Outcome},
    flow,
    output::{bytes, count, peak_memory_bytes, seconds},
    settlement,
};
use assay_circuits::model::{Model, TensorSpec};
use assay_verifier::core::{hex, verify};
use clap::Args;
use serde_json::json;

/// Images drawn side by side.
const DRAWN: usize = 4;

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Which network
    #[arg(long, value_enum, default_value = "cnn")]
    model: Network,
    /// Number of test images, proven together
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=360))]
    images: u16,
    /// Tell of training instead: a sponsor, two contributors on data of their own, gains that are proven and paid, and cheats
    #[arg(long)]
    train: bool,
    /// Tell it on this local node instead of the EVM inside of this program; needs accounts that every local node has
    #[arg(long, value_name = "URL", requires = "train")]
    rpc: Option<String>,
}

pub(crate) fn run(app: &App, args: &DemoArgs) -> Outcome<()> {
    if args.train {
        return demo_training::run(app, args.rpc.as_deref());
    }
    let o = &app.output;
    let name = args.model.name();
    let (images, labels) = (demo_data::images()?, demo_data::labels()?);
    if images.len() != labels.len() {
        return Err(Failure::new("the demo's data is damaged").bug());
    }
    // A stride coprime to the number of images visits all of them, and different digits early.
    let chosen: Vec<usize> = (0..usize::from(args.images)).map(|i| (i * 47 + 3) % images.len()).collect();

    let (float, samples) = args.model.load()?;
    let options = QuantArgs::default().options(false);
    let (model, compile_seconds) = flow::timed(|| flow::compile(app, &float, &options, Some(&samples)));
    let model: Model = model?;
    let parameters = model.graph.parameters();
    o.say(format!(
        "{name}: a digit classifier with {} parameters, trained on scikit-learn's handwritten digits",
        count(parameters as u64)
    ));
    o.say(format!("model   {}", hex(&model.model_id()?)));
    accuracy::lines(&model).iter().for_each(|l| o.say(l));

    let prepared = flow::prepare(app, &model, &KeyArgs::default(), true)?;
    let inputs = chosen.iter().map(|i| vec![images[*i].clone()]).collect();
    let proven = flow::prove(app, &model, &prepared.key, &inputs)?;
    let checked = flow::check(app, &prepared.key.verifying, &proven.proof)?;
    let answers = flow::by_sample(&model.outputs, &checked.verified.outputs, chosen.len())?;
    let predictions: Vec<usize> = answers.iter().map(|a| a.first().map_or(0, |v| flow::argmax(v))).collect();
    let truth: Vec<usize> = chosen.iter().map(|i| labels[*i]).collect();

    o.say("");
    for (k, group) in chosen.chunks(DRAWN).take(2).enumerate() {
        let pictures: Vec<&[f32]> = group.iter().map(|i| images[*i].as_slice()).collect();
        art::side_by_side(&pictures, SIDE).iter().for_each(|l| o.say(l));
        let caption = |j: usize| format!("proven: {}  is: {}", predictions[k * DRAWN + j], truth[k * DRAWN + j]);
        o.say(art::captions(&(0..group.len()).map(caption).collect::<Vec<_>>(), SIDE));
        o.say("");
    }
    let correct = predictions.iter().zip(&truth).filter(|(a, b)| a == b).count();
    o.say(format!(
        "{correct} of {} test images classified correctly; every answer is proven to be what the model computes",
        truth.len()
    ));
    o.say(format!("compile {}", seconds(compile_seconds)));
    flow::say_proven(app, &prepared, &proven);
    o.say(format!("memory  {} at most", bytes(peak_memory_bytes().unwrap_or(0))));

    let forged = forge(&model.outputs, &proven);
    let rejected = match verify(&prepared.key.verifying, &forged) {
        Ok(_) => return Err(Failure::new("a forged answer was accepted").bug()),
        Err(e) => e.to_string(),
    };
    o.say(format!("forgery one answer changed in the proof: rejected ({rejected})"));
    o.say("");
    // The market splits public values into jobs, so here the images are public; weights stay hidden.
    let shape = ShapeArgs { public_inputs: true, ..ShapeArgs::default() };
    let settlement = settlement::prepare_once(app, &model, inputs.len(), &shape, vec![])?;
    let tensors = flow::quantize(app, &model, &inputs)?;
    let posted: Vec<Vec<u8>> = tensors.iter().map(|t| work::input_bytes(t)).collect();
    let mut story = Story::begin(&model, &settlement, &posted)?;
    let settled = settlement::prove_tensors(app, &model, &settlement.prover, &tensors, story.context())?;
    let mut other = settled.proof.public.clone();
    if let Some(v) = other.last_mut() {
        *v ^= 1;
    }
    if story.accepts(&other, &settled)? {
        return Err(Failure::new("the contract accepted a forged answer").bug());
    }
    let told = story.end(&settled)?;
    let answer = flow::argmax(&told.answer(&model)?);
    settlement::say(app, &settlement, &settled);
    o.say("forgery one answer changed in the calldata: rejected by the contract");
    told.say(app, answer);
    o.say("");
    let first = tensors.first().ok_or_else(|| Failure::new("the demo has no image").bug())?;
    let secret = demo_confidential::run(app, &model, first)?;
    o.say("");
    o.say("What this is not: the powers of tau are DEVELOPMENT ones, whose secret is public: real settlements use a");
    o.say(
        "ceremony's. The core proof above is NOT hiding; the settled ones hide the weights, and the last one its image.",
    );
    o.say("The market is a development system on a chain of its own, gone when this ends. See the README.");

    let mut result = flow::proven_json(&model, &prepared, &proven)?;
    result["compile_seconds"] = json!(compile_seconds);
    result["registration_seconds"] = json!(checked.registration_seconds);
    result["predictions"] = json!(predictions);
    result["labels"] = json!(truth);
    result["forgery_rejected"] = json!(true);
    result["report"] = accuracy::to_json(&model);
    merge(&mut result, settlement::json(&settlement, &settled));
    merge(&mut result, told.json(answer));
    result["confidential"] = secret;
    o.result(result);
    Ok(())
}

/// The proof with its first public output raised by one step.
fn forge(outputs: &[TensorSpec], proven: &flow::Proven) -> assay_verifier::CoreProof {
    let mut forged = proven.proof.clone();
    let at = forged.public.len().saturating_sub(outputs.len());
    if let Some(v) = forged.public.get_mut(at).and_then(|t| t.first_mut()) {
        *v += if *v > 0 { -1 } else { 1 };
    }
    forged
}
