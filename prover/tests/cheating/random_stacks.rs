//! Lies about the stacks of training and evaluation, on networks drawn at random: a proof is about the values of the very stacks whose
//! ids it shows, each in its own place, and no other proof fits them.

use crate::{random_training, support};

use assay_circuits::{
    GraphError, Program, Tensor,
    eval::eval,
    stack::{NamedStack, Schema},
    train::reference,
};
use assay_prover::{
    Blinding, ProveError, ProvingKey, Recorder, SetupOptions, Stack, StackError, device::Cpu, prove_linked,
    setup_linked, witness::Witness,
};
use assay_verifier::{
    CoreProof, VerifyError,
    channel::{Check, ProtocolError},
    core::{check_registration, verify},
};
use proptest::prelude::*;
use random_training::{KINDS, Run, within};
use support::{Lcg, argued::argued, srs, transplant::options};

const REDUCTION: VerifyError = VerifyError::Protocol(ProtocolError::Check(Check::Reduction));

fn key(model: &assay_circuits::model::Model, stacks: &[NamedStack]) -> ProvingKey {
    let options = SetupOptions { row_bits: None, ..options() };
    let key = setup_linked(&Cpu::default(), model, stacks, 1, &srs(), options, &Recorder::default()).unwrap();
    check_registration(&key.verifying).unwrap();
    key
}

fn commit(schema: &Schema, values: &[Tensor]) -> Stack {
    Stack::commit(&Cpu::default(), schema, values.to_vec(), &srs(), Blinding::Random).unwrap()
}

/// The honest machinery on a run of `inputs` and `weights`, under the ids of `stacks`.
fn cheat(key: &ProvingKey, inputs: &[Tensor], weights: &[Tensor], stacks: &[Stack]) -> CoreProof {
    let program: Program = key.verifying.program(1).unwrap();
    let batched = |t: &Tensor| Tensor::new([&[1], &t.shape[..]].concat(), t.data.clone()).unwrap();
    let inputs: Vec<Tensor> = inputs.iter().map(batched).collect();
    let values = eval(&program.graph, weights, &inputs).unwrap();
    argued(key, Witness::build(&program, &values).unwrap(), &values, stacks)
}

/// The same values, one of them another within its width.
fn altered(rng: &mut Lcg, stack: &Stack) -> Stack {
    let mut values = stack.values().to_vec();
    let t = within(rng, 0, values.len() - 1);
    let at = within(rng, 0, values[t].data.len() - 1);
    values[t].data[at] ^= 1;
    commit(stack.schema(), &values)
}

fn refused(key: &ProvingKey, proof: &CoreProof, what: &str) -> Result<(), TestCaseError> {
    match verify(&key.verifying, proof) {
        Ok(_) => Err(TestCaseError::fail(format!("{what}: accepted"))),
        Err(_) => Ok(()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5, failure_persistence: None, ..Default::default() })]

    #[test]
    fn training_is_about_its_stacks(kind in 0..KINDS, seed: u64) {
        let run = Run::draw(kind, seed);
        let mut rng = Lcg(seed ^ 0xdead);
        let training = run.spec.training().unwrap();
        let named = training.stacks(8).unwrap();
        let key = key(&training.blank().unwrap(), &named);
        let (inputs, weights) = (&run.inputs[0], &run.model.weights);
        let head = commit(&named[0].schema, &run.initial);
        let data = commit(&named[2].schema, &weights[..2]);
        let base = named.get(3).map(|n| commit(&n.schema, &run.base));
        let given: Vec<Option<Stack>> =
            [Some(head.clone()), None, Some(data.clone())].into_iter().chain(base.iter().cloned().map(Some)).collect();
        let walk = vec![vec![run.spec.sampler().tensor()]];
        let linked = prove_linked(&Cpu::default(), &key, &walk, given.clone(), &Recorder::default()).unwrap();
        let shown = verify(&key.verifying, &linked.proved.proof).unwrap();
        let stacks = linked.stacks;
        prop_assert_eq!(&shown.stacks, &stacks.iter().map(|s| s.id().unwrap()).collect::<Vec<_>>());
        // What is shown as trained is what the plain trainer makes.
        let end = reference::train_over(&run.spec, run.initial.clone(), run.base.clone(), run.data(), run.targets());
        let end = end.unwrap();
        prop_assert_eq!(stacks[1].values(), &end.weights[..]);
        prop_assert_eq!(&shown.outputs[0].data, &end.losses);
        prop_assert_eq!(&shown.inputs[0].data, &walk[0][0].data);

        // A run of the true values under the id of others: head, trained weights, rows that were read or not, what stays.
        for place in 0..stacks.len() {
            let mut other = stacks.clone();
            other[place] = altered(&mut rng, &stacks[place]);
            let lie = verify(&key.verifying, &cheat(&key, inputs, weights, &other)).map(drop);
            prop_assert_eq!(lie, Err(REDUCTION), "another {}", named[place].name);
        }
        // The stacks of weights have one schema: in each other's place, and one in both.
        if stacks[0].values() != stacks[1].values() {
            for order in [[1, 0], [0, 0], [1, 1]] {
                let mut other = stacks.clone();
                (other[0], other[1]) = (stacks[order[0]].clone(), stacks[order[1]].clone());
                refused(&key, &cheat(&key, inputs, weights, &other), "stacks of weights in other places")?;
            }
        }
        // Trained weights of a step less, with what is public of the whole run.
        let less = assay_circuits::train::Spec { steps: run.spec.steps - 1, ..run.spec.clone() };
        let less = reference::train_over(&less, run.initial.clone(), run.base.clone(), run.data(), run.targets()).unwrap();
        if less.weights != end.weights {
            let mut other = stacks.clone();
            other[1] = commit(&named[1].schema, &less.weights);
            refused(&key, &cheat(&key, inputs, weights, &other), "trained weights of a step less")?;
            let mut given = given;
            given[1] = Some(other[1].clone());
            let told = prove_linked(&Cpu::default(), &key, &walk, given, &Recorder::default()).map(drop);
            prop_assert!(matches!(told, Err(ProveError::Stack(StackError::OtherOutput { .. }))), "{told:?}");
        }
        // The proof that there is, under other rows of commitments: of the same values committed to anew, or of its own witness.
        for (place, stack) in stacks.iter().enumerate() {
            let mut moved = linked.proved.proof.clone();
            moved.argument.given.rows[place] = commit(stack.schema(), stack.values()).rows().to_vec();
            refused(&key, &moved, "the same values under other factors")?;
        }
        let mut moved = linked.proved.proof.clone();
        moved.argument.given.rows.swap(0, 1);
        refused(&key, &moved, "rows of head and trained weights exchanged")?;
    }

    /// Losses of both sets of weights on all rows of the holdout, and of nothing else.
    #[test]
    fn evaluations_are_about_their_stacks(kind in 0..KINDS, seed: u64, rows in 1usize..6) {
        let run = Run::draw(kind, seed);
        let mut rng = Lcg(seed ^ 0xbeef);
        let evaluation = run.spec.evaluation(rows).unwrap();
        let named = evaluation.stacks(8).unwrap();
        let key = key(&evaluation.blank().unwrap(), &named);
        // Some rows again, where there are fewer.
        let cut = |t: &Tensor| {
            let width = t.data.len() / t.shape[0];
            let data = (0..rows * width).map(|i| t.data[i % t.data.len()]).collect();
            Tensor::new([&[rows], &t.shape[1..]].concat(), data).unwrap()
        };
        let holdout = [cut(run.data()), cut(run.targets())];
        let end = reference::train_over(&run.spec, run.initial.clone(), run.base.clone(), run.data(), run.targets());
        let sets = [run.initial.clone(), end.unwrap().weights];
        let losses = |sets: &[Vec<Tensor>; 2], holdout: &[Tensor; 2]| -> Vec<i64> {
            let one = |w: &Vec<Tensor>| {
                reference::evaluate_over(&run.spec, w, &run.base, &holdout[0], &holdout[1]).unwrap()
            };
            sets.iter().map(one).collect()
        };
        let stacks: Vec<Stack> = [
            commit(&named[0].schema, &sets[0]),
            commit(&named[1].schema, &sets[1]),
            commit(&named[2].schema, &holdout),
        ]
        .into_iter()
        .chain(named.get(3).map(|n| commit(&n.schema, &run.base)))
        .collect();
        let given = stacks.iter().cloned().map(Some).collect();
        let linked = prove_linked(&Cpu::default(), &key, &[vec![]], given, &Recorder::default()).unwrap();
        let shown = verify(&key.verifying, &linked.proved.proof).unwrap();
        prop_assert_eq!(&shown.outputs[0].data, &losses(&sets, &holdout));
        prop_assert!(shown.inputs.is_empty());

        let inputs = |sets: &[Vec<Tensor>; 2]| sets.concat();
        let weights = |holdout: &[Tensor; 2]| [&holdout[..], &run.base[..]].concat();
        for place in 0..stacks.len() {
            let mut other = stacks.clone();
            other[place] = altered(&mut rng, &stacks[place]);
            let lie = verify(&key.verifying, &cheat(&key, &inputs(&sets), &weights(&holdout), &other)).map(drop);
            prop_assert_eq!(lie, Err(REDUCTION), "another {}", named[place].name);
        }
        // Losses of the sets exchanged, of a label that is another, of rows that are all the first one: true ones, of other stacks.
        let swapped = [sets[1].clone(), sets[0].clone()];
        let mut label = holdout.clone();
        let at = within(&mut rng, 0, label[1].data.len() - 1);
        label[1].data[at] = 256 - label[1].data[at];
        let mut first = holdout.clone();
        for t in &mut first {
            let width = t.data.len() / rows;
            (width..t.data.len()).for_each(|i| t.data[i] = t.data[i % width]);
        }
        for (what, lies, held) in
            [("sets exchanged", &swapped, &holdout), ("another label", &sets, &label), ("one row for all", &sets, &first)]
        {
            if (lies, held) != (&sets, &holdout) {
                refused(&key, &cheat(&key, &inputs(lies), &weights(held), &stacks), what)?;
            }
        }
        // Other losses under the proof that there is.
        for (k, by) in [(0, 1), (1, -1), (1, 1 << 20)] {
            let mut lie = linked.proved.proof.clone();
            lie.public[0][k] += by;
            refused(&key, &lie, "another loss")?;
        }
        let mut lie = linked.proved.proof.clone();
        lie.public[0].swap(0, 1);
        if lie != linked.proved.proof {
            refused(&key, &lie, "losses exchanged")?;
        }
        // Weights are held as training's key has them: an id is of both.
        let training = run.spec.training().unwrap();
        prop_assert_eq!(&training.stacks(8).unwrap()[0].schema, &named[0].schema);
        // More rows than the holdout has are another graph, and its stack is none of this key's.
        let large = run.spec.evaluation(rows + 1).unwrap();
        prop_assert!(large.graph != evaluation.graph);
        let wide = large.stacks(8).unwrap()[2].clone();
        let roles = NamedStack { schema: wide.schema, ..named[2].clone() };
        let list: Vec<NamedStack> =
            named.iter().map(|n| if n.name == roles.name { roles.clone() } else { n.clone() }).collect();
        let told = Program::linked(&evaluation.graph, 1, options().visibility, &list).map(drop);
        prop_assert!(matches!(told, Err(GraphError::AtNode { .. })), "{told:?}");
    }
}
