//! Pipelines of scikit-learn over columns of unlike sizes, in inputs of their own or chosen from one, on held-out rows.
//! `benches/models/train_columns.py` makes them.

use crate::support::{npz, path};
use assay_circuits::{
    model::Model,
    onnx::{CompileOptions, FloatModel, compile, load},
};
use std::collections::BTreeMap;

/// Rows of a table, cut into the inputs of a model.
fn rows(model: &FloatModel, (shape, data): &(Vec<usize>, Vec<f32>)) -> Vec<Vec<Vec<f32>>> {
    let columns = shape[1];
    let cut = |row: &[f32]| {
        let mut row = row.to_vec();
        let one = |(_, shape): &(String, Vec<usize>)| row.drain(..shape.iter().product::<usize>()).collect();
        let inputs = model.inputs.iter().map(one).collect();
        assert!(row.is_empty(), "all columns are read");
        inputs
    };
    data.chunks(columns).map(cut).collect()
}

/// First outputs of the float and of the integer model for the held-out rows, and what they should be.
struct Held {
    float: Vec<f32>,
    proven: Vec<f32>,
    target: Vec<f32>,
}

/// Arrays by name: shape and values.
type Arrays = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// The float model, its compiled one, and its data.
fn compiled(table: &str, file: &str) -> (FloatModel, Model, Arrays) {
    let model = load(path(&format!("circuits/tests/tabular/columns_{file}.onnx"))).expect("the model loads");
    let data = npz(&format!("circuits/tests/tabular/{table}.npz"));
    let calibration = rows(&model, &data["calibration"]);
    let m = compile(&model, &CompileOptions::default(), Some(&calibration), &mut |_, _, _| {}).expect("it compiles");
    (model, m, data)
}

/// The gate refuses what columns do not carry yet; it does not pass for right.
fn is_refused(table: &str, file: &str) {
    let (_, m, _) = compiled(table, file);
    assert!(!m.report.passes(), "{file} is right now: {:?}", m.report.outputs);
}

fn held_out(table: &str, file: &str) -> Held {
    let (model, m, data) = compiled(table, file);
    assert!(m.report.passes(), "{file}: {:?}", m.report.outputs);
    let one = |m: &Model, x: &[Vec<f32>]| {
        let (q, _) = m.quantize_all(x).expect("finite");
        let got = m.eval(&q).expect("evaluates").outputs(&m.graph);
        m.dequantize(&m.outputs[0], &got[0]).expect("its shape")[0]
    };
    let held = rows(&model, &data["x"]);
    let float = held.iter().map(|x| model.run(x).expect("the float model runs")[0][0]).collect();
    Held { float, proven: held.iter().map(|x| one(&m, x)).collect(), target: data["y"].1.clone() }
}

/// A classifier's accuracy is that of float32 but for half a percent, or a single row where that is more.
fn classifies(table: &str, file: &str) {
    let h = held_out(table, file);
    let accuracy =
        |labels: &[f32]| labels.iter().zip(&h.target).filter(|(a, b)| a == b).count() as f64 / h.target.len() as f64;
    let (float, proven) = (accuracy(&h.float), accuracy(&h.proven));
    println!("{file}: float {float:.4}, proven {proven:.4}");
    let row = 1.0 / h.target.len() as f64;
    assert!((float - proven).abs() <= row.max(0.005) + 1e-9, "{file}: float {float}, proven {proven}");
    assert!(float > 0.9, "the fixture is a model worth proving");
}

/// A regression explains as much of the variance as float32 does, but for half a percent.
fn regresses(table: &str, file: &str) {
    let h = held_out(table, file);
    let mean = h.target.iter().map(|t| f64::from(*t)).sum::<f64>() / h.target.len() as f64;
    let square = |f: &dyn Fn(usize) -> f64| {
        h.target.iter().enumerate().map(|(i, t)| (f64::from(*t) - f(i)).powi(2)).sum::<f64>()
    };
    let score = |v: &[f32]| 1.0 - square(&|i| f64::from(v[i])) / square(&|_| mean);
    let (float, proven) = (score(&h.float), score(&h.proven));
    println!("{file}: R2 float {float:.4}, proven {proven:.4}");
    assert!((float - proven).abs() <= 0.005, "{file}: float {float}, proven {proven}");
}

macro_rules! pipelines {
    ($($name:ident: $how:ident($table:literal, $file:literal);)*) => {
        $(#[test]
        fn $name() {
            $how($table, $file);
        })*
    };
}

pipelines! {
    columns_scaled_together: classifies("wine", "wine_scaled");
    raw_columns: classifies("breast_cancer", "cancer_raw");
    columns_of_all_kinds_into_a_network: classifies("columns_wine_mixed", "wine_mixed_mlp");
    raw_integers_beside_scaled_columns: classifies("columns_wine_mixed", "wine_mixed_linear");
    a_forest_over_scaled_columns: is_refused("columns_wine_mixed", "wine_mixed_forest");
    categories_beside_raw_columns: regresses("diabetes", "diabetes_mixed");
    parts_of_one_input: classifies("breast_cancer", "cancer_parts");
    chosen_columns_behind_a_scaler: is_refused("breast_cancer", "cancer_best");
    chosen_raw_columns: classifies("breast_cancer", "cancer_best_raw");
    bagged_pipelines: classifies("breast_cancer", "cancer_bagged");
    bagged_trees: classifies("breast_cancer", "cancer_bagged_trees");
    bagged_regressions: regresses("diabetes", "diabetes_bagged");
}
