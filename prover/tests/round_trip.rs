//! Honest proofs verify, whatever the operators, the batch and the visibility.

mod support;

use assay_circuits::Visibility;
use assay_prover::SetupOptions;
use support::{cnn, mixed, mlp, model, round_trip};

#[test]
fn mlp_with_clamps() {
    round_trip(&model(mlp(), 1), 1, SetupOptions::default());
}

#[test]
fn cnn_of_all_shapes() {
    round_trip(&model(cnn(), 2), 1, SetupOptions::default());
}

#[test]
fn two_inputs_two_outputs() {
    round_trip(&model(mixed(), 3), 1, SetupOptions::default());
}

#[test]
fn batches_share_the_key() {
    for batch in [2, 3] {
        round_trip(&model(mlp(), 1), batch, SetupOptions::default());
        round_trip(&model(cnn(), 1), batch, SetupOptions::default());
        round_trip(&model(mixed(), 1), batch, SetupOptions::default());
    }
}

#[test]
fn public_inputs_and_row_lengths() {
    let visibility = Visibility { inputs: true, weights: true, outputs: true };
    for row_bits in [3, 10] {
        round_trip(&model(mixed(), 5), 2, SetupOptions { visibility, row_bits: Some(row_bits) });
        round_trip(&model(mlp(), 5), 1, SetupOptions { visibility, row_bits: Some(row_bits) });
    }
}
