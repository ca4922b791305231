//! TreeEnsembleClassifier, TreeEnsembleRegressor and TreeEnsemble of `ai.onnx.ml`.
//!
//! Labels and what a classifier with one column of weights makes of its score are onnxruntime's: the ONNX text leaves them open.

use super::{
    Rule,
    builder::{Builder, Result, int},
    table,
};
use crate::onnx::{
    error::ImportError,
    own::{Kind, Label, Next, Split, Trees, Type},
};
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::NodeProto;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(
        node,
        &[
            ("TreeEnsembleClassifier", classifier, true),
            ("TreeEnsembleRegressor", regressor, true),
            ("TreeEnsemble", ensemble, true),
        ],
    )
}

fn unfit(what: &str) -> ImportError {
    ImportError::unsupported(format!("its trees are broken: {what}"))
}

/// Rows and features of the input.
fn rows(b: &Builder<'_>) -> Result<(String, usize, usize)> {
    let x = b.need(0)?;
    match b.shape(&x)?[..] {
        [rows, width] => Ok((x, rows, width)),
        ref other => Err(ImportError::unsupported(format!("features of shape {other:?}; rows and columns are needed"))),
    }
}

/// A comparison of a feature with a threshold.
struct Mode {
    strict: bool,
    /// Whether its sides change places.
    swapped: bool,
    /// Whether it is an equality.
    equal: bool,
}

fn mode(name: &str) -> Result<Mode> {
    let (strict, swapped, equal) = match name {
        "BRANCH_LEQ" => (false, false, false),
        "BRANCH_LT" => (true, false, false),
        // `x > t` is not `x <= t`, `x >= t` not `x < t`.
        "BRANCH_GT" => (false, true, false),
        "BRANCH_GTE" => (true, true, false),
        "BRANCH_EQ" => (false, false, true),
        "BRANCH_NEQ" => (false, true, true),
        other => {
            return Err(ImportError::unsupported(format!(
                "decisions of the mode {other}; <, <=, >, >=, = and != are supported"
            )));
        }
    };
    Ok(Mode { strict, swapped, equal })
}

/// Most splits of an ensemble whose equalities are written out.
const MAX_SPLITS: usize = 1 << 16;

/// Features and the least and largest values that are left of them.
type Bounds = Vec<(u32, f32, f32)>;

/// A split, and whether its `yes` side is meant.
type Side = (usize, bool);

/// The ensemble with two comparisons for every equality. Of a chain of equalities of one feature, as categories are written, those
/// that an earlier one has decided are left out, so that its length grows with the chain and not exponentially.
fn without_equalities(trees: &Trees, equal: &[bool]) -> Result<Trees> {
    trees.check()?;
    let n = trees.targets as usize;
    let mut out = Trees { roots: vec![], splits: vec![], leaves: vec![], ..trees.clone() };
    // Nodes with what is known of features there, and the split and side where their copies belong.
    let mut todo: Vec<(Next, Bounds, Option<Side>)> = trees.roots.iter().rev().map(|r| (*r, vec![], None)).collect();
    while let Some((node, bounds, parent)) = todo.pop() {
        let at = out.splits.len();
        let copy = match node {
            Next::Leaf(l) => {
                out.leaves.extend_from_slice(&trees.leaves[l as usize * n..(l as usize + 1) * n]);
                Next::Leaf((out.leaves.len() / n - 1) as u32)
            }
            Next::Split(i) if !equal[i as usize] => {
                let split = trees.splits[i as usize];
                out.splits.push(split);
                todo.push((split.no, bounds.clone(), Some((at, false))));
                todo.push((split.yes, bounds, Some((at, true))));
                Next::Split(at as u32)
            }
            Next::Split(i) => {
                let split = trees.splits[i as usize];
                let (feature, t) = (split.feature, split.threshold);
                let known = bounds.iter().find(|(f, _, _)| *f == feature);
                let (low, high) = known.map_or((f32::NEG_INFINITY, f32::INFINITY), |(_, l, h)| (*l, *h));
                if t < low || t > high || low == high {
                    let only = if low <= t && t <= high { split.yes } else { split.no };
                    todo.push((only, bounds, parent));
                    continue;
                }
                let within = |low: f32, high: f32| -> Bounds {
                    let others = bounds.iter().copied().filter(|(f, _, _)| *f != feature);
                    others.chain([(feature, low, high)]).collect()
                };
                // `x <= t`, and on its `yes` side `x < t`.
                out.splits.push(Split { strict: false, yes: Next::Split(at as u32 + 1), ..split });
                out.splits.push(Split { strict: true, ..split });
                todo.push((split.no, within(t.next_up(), high), Some((at, false))));
                todo.push((split.yes, within(t, t), Some((at + 1, false))));
                todo.push((split.no, within(low, t.next_down()), Some((at + 1, true))));
                Next::Split(at as u32)
            }
        };
        match parent {
            None => out.roots.push(copy),
            Some((i, true)) => out.splits[i].yes = copy,
            Some((i, false)) => out.splits[i].no = copy,
        }
        if out.splits.len() > MAX_SPLITS {
            return Err(ImportError::unsupported(format!(
                "more than {MAX_SPLITS} splits when equalities are written out"
            )));
        }
    }
    Ok(out)
}

/// The ensemble of the older two operators; `kind` is `class` or `target`.
fn read(b: &Builder<'_>, width: usize, kind: &str, targets: usize, divisor: impl Fn(usize) -> f32) -> Result<Trees> {
    let list = |name: &str| b.ints(name).unwrap_or_default();
    let (trees, ids) = (list("nodes_treeids"), list("nodes_nodeids"));
    let (yes, no) = (list("nodes_truenodeids"), list("nodes_falsenodeids"));
    let (features, modes) = (list("nodes_featureids"), b.texts("nodes_modes"));
    let values = b.floats("nodes_values").ok_or_else(|| unfit("no nodes_values"))?;
    let n = trees.len();
    if [ids.len(), yes.len(), no.len(), features.len(), modes.len(), values.len()].iter().any(|l| *l != n) || n == 0 {
        return Err(unfit("attributes of different lengths"));
    }
    let index: HashMap<(i64, i64), usize> = (0..n).map(|i| ((trees[i], ids[i]), i)).collect();
    if index.len() != n {
        return Err(unfit("two nodes of one number"));
    }
    // Places among splits and among leaves.
    let (mut next, mut splits, mut leaves) = (Vec::with_capacity(n), 0u32, 0u32);
    for m in &modes {
        let slot = if m == "LEAF" { (Next::Leaf(leaves), &mut leaves) } else { (Next::Split(splits), &mut splits) };
        next.push(slot.0);
        *slot.1 += 1;
    }
    let mut child = vec![false; n];
    let mut equal = Vec::with_capacity(splits as usize);
    let mut out = Trees {
        features: width as u32,
        targets: targets as u32,
        roots: vec![],
        splits: vec![],
        leaves: vec![0.0; leaves as usize * targets],
        base: vec![],
    };
    for i in (0..n).filter(|i| modes[*i] != "LEAF") {
        let mode = mode(&modes[i])?;
        let mut to = |id: i64| {
            let at = *index.get(&(trees[i], id)).ok_or_else(|| unfit("a child that does not exist"))?;
            child[at] = true;
            Ok::<_, ImportError>(next[at])
        };
        let (mut yes, mut no) = (to(yes[i])?, to(no[i])?);
        if mode.swapped {
            (yes, no) = (no, yes);
        }
        let feature = u32::try_from(features[i]).map_err(|_| unfit("a negative feature"))?;
        out.splits.push(Split { feature, threshold: values[i] as f32, strict: mode.strict, yes, no });
        equal.push(mode.equal);
    }
    out.roots = (0..n).filter(|i| !child[*i]).map(|i| next[i]).collect();
    let divisor = divisor(out.roots.len());
    let (of, at) = (list(&format!("{kind}_treeids")), list(&format!("{kind}_nodeids")));
    let columns = list(&format!("{kind}_ids"));
    let weights = b.floats(&format!("{kind}_weights")).unwrap_or_default();
    if [of.len(), at.len(), columns.len()].iter().any(|l| *l != weights.len()) {
        return Err(unfit("weights of different lengths"));
    }
    let mut given = vec![false; leaves as usize];
    for (k, w) in weights.iter().enumerate() {
        let place = index.get(&(of[k], at[k])).map(|i| next[*i]);
        let (Some(Next::Leaf(leaf)), Ok(column)) = (place, usize::try_from(columns[k])) else {
            return Err(unfit("a weight of a node that is no leaf"));
        };
        // One column holds the only class that has weights, whatever its number.
        let column = if targets == 1 { 0 } else { column };
        let slot = out.leaves.get_mut(leaf as usize * targets + column);
        let slot = slot.ok_or_else(|| unfit("a weight of a target that does not exist"))?;
        let w = *w as f32 / divisor;
        // Of several weights for the only target onnxruntime takes one, the ONNX reference their sum. A converter that repeats the
        // number of a leaf for every class means one.
        if kind == "target" && targets == 1 && std::mem::replace(&mut given[leaf as usize], true) {
            if *slot != w {
                let help = "a leaf with several weights for its only target, of which runtimes make different things; add them up";
                return Err(ImportError::unsupported(help));
            }
            continue;
        }
        *slot += w;
    }
    if equal.contains(&true) {
        out = without_equalities(&out, &equal)?;
    }
    Ok(out)
}

/// Applies the function that ends an ensemble or a linear model.
pub(super) fn post(b: &mut Builder<'_>, scores: String) -> Result<String> {
    Ok(match b.text_or("post_transform", "NONE").as_str() {
        "NONE" => scores,
        "LOGISTIC" => b.op("Sigmoid", &[&scores], vec![]),
        "SOFTMAX" => b.op("Softmax", &[&scores], vec![int("axis", 1)]),
        other => return Err(ImportError::unsupported(format!("post_transform '{other}'"))),
    })
}

/// Labels of classes as integers: those of the file, or their places where they are texts.
pub(super) fn labels(b: &Builder<'_>, name: &str) -> Vec<i64> {
    match b.ints(name).filter(|l| !l.is_empty()) {
        Some(labels) => labels,
        None => (0..b.texts("classlabels_strings").len() as i64).collect(),
    }
}

/// Columns side by side.
pub(super) fn beside(b: &mut Builder<'_>, parts: &[&str]) -> String {
    b.op("Concat", parts, vec![int("axis", 1)])
}

fn classifier(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, n, width) = rows(b)?;
    let labels = labels(b, "classlabels_int64s");
    let classes = labels.len();
    let list = |name: &str| b.ints(name).unwrap_or_default();
    let (of, at, ids) = (list("class_treeids"), list("class_nodeids"), list("class_ids"));
    let mut used = ids.clone();
    used.sort_unstable();
    used.dedup();
    let single = classes <= 2 && used.len() == 1;
    if classes < 2 || used.is_empty() {
        return Err(ImportError::unsupported(format!("{classes} classes with weights for {} of them", used.len())));
    }
    if single && used != [0] {
        let help = "weights for the second of two classes only, of which runtimes make different things; write them for the first";
        return Err(ImportError::unsupported(help));
    }
    let targets = if single { 1 } else { classes };
    let mut trees = read(b, width, "class", targets, |_| 1.0)?;
    let base: Vec<f32> = b.floats("base_values").unwrap_or_default().iter().map(|v| *v as f32).collect();
    if !base.is_empty() && base.len() != targets {
        return Err(ImportError::unsupported(format!("{} base values for {targets} columns of weights", base.len())));
    }
    trees.base = base;
    trees.check()?;
    let positive = trees.leaves.iter().all(|w| *w >= 0.0);
    let given: HashSet<(i64, i64, i64)> = of.iter().zip(&at).zip(&ids).map(|((t, n), c)| (*t, *n, *c)).collect();
    let leaves = b.texts("nodes_modes").iter().filter(|m| *m == "LEAF").count();
    let opposite = trees.leaves.chunks_exact(2).all(|w| w[0] == -w[1]) && trees.base.is_empty();
    let opposite = opposite && given.len() == 2 * leaves;
    let scores = b.own(Kind::Trees(trees), &[&x], &[n, targets], Type::Float)?;
    if classes == 2 && !single {
        // onnxruntime compares the second score with zero and gives 0 or 1, the ONNX reference takes the class of the larger one.
        if !opposite || labels != [0, 1] {
            let help = "two classes with weights for both, whose labels runtimes choose in different ways unless the weights are \
                        opposite numbers and the labels 0 and 1; write the weights for the first class only";
            return Err(ImportError::unsupported(help));
        }
        let kind = Kind::Label(Label::Above { column: 1, threshold: 0.0, labels: [0, 1] });
        let label = b.own(kind, &[&scores], &[n], Type::Integer)?;
        return Ok(vec![label, post(b, scores)?]);
    }
    if !single {
        let label = b.own(Kind::Label(Label::Largest(labels)), &[&scores], &[n], Type::Integer)?;
        return Ok(vec![label, post(b, scores)?]);
    }
    // With weights that are all positive, the score counts as a probability.
    let threshold = if positive { 0.5 } else { 0.0 };
    let kind = Kind::Label(Label::Above { column: 0, threshold, labels: [labels[0], labels[1]] });
    let label = b.own(kind, &[&scores], &[n], Type::Integer)?;
    let logistic = match b.text_or("post_transform", "NONE").as_str() {
        "NONE" => false,
        "LOGISTIC" => true,
        name => return Err(ImportError::unsupported(format!("post_transform '{name}' of one column"))),
    };
    let other = if positive && !logistic {
        let one = b.float(1.0);
        b.op("Sub", &[&one, &scores], vec![])
    } else {
        b.op("Neg", &[&scores], vec![])
    };
    let both = beside(b, &[&other, &scores]);
    Ok(vec![label, if logistic { b.op("Sigmoid", &[&both], vec![]) } else { both }])
}

/// What the weights of each tree are divided by.
fn divisor(function: &str) -> Result<impl Fn(usize) -> f32 + use<>> {
    let average = match function {
        "SUM" => false,
        "AVERAGE" => true,
        other => {
            return Err(ImportError::unsupported(format!(
                "aggregate_function '{other}'; SUM and AVERAGE are supported"
            )));
        }
    };
    Ok(move |n: usize| if average { n as f32 } else { 1.0 })
}

fn regressor(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, n, width) = rows(b)?;
    let targets = usize::try_from(b.int_or("n_targets", 1)).ok().filter(|t| (1..=1 << 16).contains(t));
    let targets = targets.ok_or_else(|| unfit("n_targets"))?;
    let function = b.text_or("aggregate_function", "SUM");
    let mut trees = read(b, width, "target", targets, divisor(&function)?)?;
    trees.base = b.floats("base_values").unwrap_or_default().iter().map(|v| *v as f32).collect();
    trees.check()?;
    let scores = b.own(Kind::Trees(trees), &[&x], &[n, targets], Type::Float)?;
    Ok(vec![post(b, scores)?])
}

/// The newer operator, whose leaves are a list of their own.
fn ensemble(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, n, width) = rows(b)?;
    let targets = usize::try_from(b.int_or("n_targets", 1)).ok().filter(|t| (1..=1 << 16).contains(t));
    let targets = targets.ok_or_else(|| unfit("n_targets"))?;
    let list = |name: &str| b.ints(name).unwrap_or_default();
    let (features, roots) = (list("nodes_featureids"), list("tree_roots"));
    let (yes, no) = (list("nodes_truenodeids"), list("nodes_falsenodeids"));
    let (yes_leaf, no_leaf) = (list("nodes_trueleafs"), list("nodes_falseleafs"));
    let numbers = |name: &str| b.numbers(name).ok_or_else(|| unfit("an attribute that is missing"));
    let (values, modes) = (numbers("nodes_splits")?, numbers("nodes_modes")?);
    let (weights, ids) = (numbers("leaf_weights")?, list("leaf_targetids"));
    let k = features.len();
    let sizes = [yes.len(), no.len(), yes_leaf.len(), no_leaf.len(), values.len(), modes.len()];
    if sizes.iter().any(|l| *l != k) || ids.len() != weights.len() {
        return Err(unfit("attributes of different lengths"));
    }
    let function = match b.int_or("aggregate_function", 1) {
        0 => "AVERAGE",
        1 => "SUM",
        _ => "MIN or MAX",
    };
    let average = divisor(function)?(roots.len());
    // A leaf may be shared here: every use gets one of its own.
    let mut leaves: Vec<f32> = Vec::new();
    let mut to = |leaf: i64, at: i64| -> Result<Next> {
        if leaf == 0 {
            return Ok(Next::Split(u32::try_from(at).map_err(|_| unfit("a negative node"))?));
        }
        let at =
            usize::try_from(at).ok().filter(|at| *at < ids.len()).ok_or_else(|| unfit("a leaf that does not exist"))?;
        let target = usize::try_from(ids[at]).ok().filter(|t| *t < targets).ok_or_else(|| unfit("no such target"))?;
        let mut row = vec![0.0; targets];
        row[target] = weights[at] as f32 / average;
        leaves.extend(row);
        Ok(Next::Leaf((leaves.len() / targets - 1) as u32))
    };
    let (mut splits, mut equal) = (Vec::with_capacity(k), Vec::with_capacity(k));
    for i in 0..k {
        let names = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];
        let mode = mode(names.get(modes[i] as usize).copied().unwrap_or("BRANCH_MEMBER"))?;
        let (mut yes, mut no) = (to(yes_leaf[i], yes[i])?, to(no_leaf[i], no[i])?);
        if mode.swapped {
            (yes, no) = (no, yes);
        }
        let feature = u32::try_from(features[i]).map_err(|_| unfit("a negative feature"))?;
        splits.push(Split { feature, threshold: values[i] as f32, strict: mode.strict, yes, no });
        equal.push(mode.equal);
    }
    let roots = roots.iter().map(|r| u32::try_from(*r).map(Next::Split).map_err(|_| unfit("a negative root")));
    let roots = roots.collect::<Result<Vec<_>>>()?;
    let mut trees = Trees { features: width as u32, targets: targets as u32, roots, splits, leaves, base: vec![] };
    if equal.contains(&true) {
        trees = without_equalities(&trees, &equal)?;
    }
    trees.check()?;
    let scores = b.own(Kind::Trees(trees), &[&x], &[n, targets], Type::Float)?;
    let done = match b.int_or("post_transform", 0) {
        0 => scores,
        1 => b.op("Softmax", &[&scores], vec![int("axis", 1)]),
        2 => b.op("Sigmoid", &[&scores], vec![]),
        other => return Err(ImportError::unsupported(format!("post_transform {other}"))),
    };
    Ok(vec![done])
}
