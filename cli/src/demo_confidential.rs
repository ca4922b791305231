//! The demo's last part: one of the images again, as a confidential job. The chain sees the id of a stack and a masked answer.

use crate::{
    App,
    args::ShapeArgs,
    economy::{
        confidential::Sealer,
        story::Story,
        work::{Offered, confidential_row_bits, given, masked_outputs},
    },
    error::{Failure, Outcome},
    flow::{argmax, timed},
    output::{count, seconds},
    settlement,
};
use assay_circuits::{Tensor, model::Model};
use assay_contracts::B256;
use assay_prover::settle::Optimize;
use serde_json::{Value, json};

/// Posts, proves, pays and unmasks one job, and compares the answer with the plain run.
pub(crate) fn run(app: &App, model: &Model, input: &[Tensor]) -> Outcome<Value> {
    let o = &app.output;
    let damaged = |what: &str| Failure::new(format!("the confidential job {what}")).bug();
    let offered = Offered::confidential(model)?;
    let Offered::Confidential(of) = &offered else { return Err(damaged("is none")) };
    let shape = ShapeArgs { public_inputs: true, ..ShapeArgs::default() };
    let row_bits = confidential_row_bits(of, 1, &shape, Optimize::default())?;
    let prepared = settlement::prepare_once(app, &of.model, 1, &shape, given(of, row_bits, 1)?)?;
    let stack = Sealer::development(app, of, &prepared.prover.key.descriptor)?.seal(app, input)?;
    let id = stack.id()?;
    let story = Story::begin(&of.model, &prepared, &[id.to_vec()])?;
    let values = stack.values().to_vec();
    let (proven, took) = timed(|| {
        let stacks = vec![Some(stack)];
        settlement::prove_integers(app, &of.model, &prepared.prover, &[vec![]], stacks, story.context())
    });
    let (settled, _, _) = proven?;
    let told = story.end(&settled)?;
    let shown = masked_outputs(of, told.output()?).ok_or_else(|| damaged("shows no masked output"))?;
    let outputs = of.unmask(&shown, &values).map_err(|_| damaged("cannot be unmasked"))?;
    if outputs != model.eval(input)?.outputs(&model.graph) {
        return Err(damaged("has another answer than the plain run"));
    }
    let largest =
        |t: &[Tensor]| -> usize { argmax(&t.iter().flat_map(|t| &t.data).map(|v| *v as f32).collect::<Vec<_>>()) };
    let (masked, answer) = (largest(&shown), largest(&outputs));
    o.say("confidential: the first image once more, this time in a stack that the chain never opens");
    o.say(format!("posted   the id of a stack, {}, that holds image and pad", B256::from(id)));
    o.say(format!("proven   in {}, paid for {} gas", seconds(took), count(told.fulfil_gas())));
    o.say(format!("on chain a masked answer, largest at {masked}: uniform whatever the answer is"));
    o.say(format!("unmasked by the requester: {answer}, as in the plain run"));
    Ok(json!({
        "stack_id": B256::from(id).to_string(),
        "seconds": took,
        "setup_seconds": prepared.seconds,
        "fulfil_gas": told.fulfil_gas(),
        "answer": answer,
    }))
}
