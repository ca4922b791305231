//! SVMRegressor and SVMClassifier: kernels of the row with every support vector, then their weighted sums.

use super::{
    Rule,
    builder::{Builder, Result},
    table,
    trees::{beside, labels},
};
use crate::onnx::{
    error::ImportError,
    own::{Kind, Label, Type},
};
use tract_onnx::pb::NodeProto;

/// Most weights of the sums for all pairs of classes.
const MAX_WEIGHTS: usize = 1 << 24;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(node, &[("SVMRegressor", regressor, true), ("SVMClassifier", classifier, true)])
}

/// The features as floats, and how many rows and columns they have.
fn features(b: &mut Builder<'_>) -> Result<(String, usize, usize)> {
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    let [rows, width] = shape[..] else {
        return Err(ImportError::unsupported(format!("features of shape {shape:?}; rows and columns are needed")));
    };
    let x = if b.kind(&x)?.is_float() { x } else { b.cast(&x, 1) };
    if b.text_or("post_transform", "NONE") != "NONE" {
        return Err(ImportError::unsupported("a post_transform; the plain value is supported"));
    }
    Ok((x, rows, width))
}

fn list(b: &Builder<'_>, name: &str) -> Vec<f32> {
    b.floats(name).unwrap_or_default().iter().map(|v| *v as f32).collect()
}

/// One value for each pair of classes, from the kernels of the vectors of both; each pair votes for one of them.
fn classifier(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, n, width) = features(b)?;
    let labels = labels(b, "classlabels_ints");
    let classes = labels.len();
    let (coefficients, vectors, rho) = (list(b, "coefficients"), list(b, "support_vectors"), list(b, "rho"));
    let sigmoids = (list(b, "prob_a"), list(b, "prob_b"));
    let likely = !sigmoids.0.is_empty() || !sigmoids.1.is_empty();
    let pairs = classes * classes.saturating_sub(1) / 2;
    if likely && (!(2..=3).contains(&classes) || sigmoids.0.len() != pairs || sigmoids.1.len() != pairs) {
        return Err(ImportError::unsupported(format!(
            "probabilities of {classes} classes from {} sigmoids; two or three classes are supported: train with probability=False",
            sigmoids.0.len()
        )));
    }
    let counts = b.ints("vectors_per_class").unwrap_or_default();
    let counts: Vec<usize> = counts.iter().map(|c| usize::try_from(*c).unwrap_or(usize::MAX)).collect();
    let Some(supports) = counts.iter().try_fold(0usize, |a, c| a.checked_add(*c)) else {
        return Err(ImportError::unsupported("a negative number of support vectors"));
    };
    if supports == 0 {
        if likely {
            return Err(ImportError::unsupported("probabilities of planes; train with probability=False"));
        }
        return linear_classifier(b, &x, (n, width), labels, (&coefficients, &rho));
    }
    let fits = classes > 1
        && counts.len() == classes
        && vectors.len().checked_div(width) == Some(supports)
        && vectors.len() % width == 0
        && coefficients.len() == (classes - 1) * supports
        && rho.len() == pairs;
    // Most of a row of weights is zero: there are more of them than numbers in the file.
    if fits && supports.checked_mul(pairs).is_none_or(|n| n > MAX_WEIGHTS) {
        return Err(ImportError::unsupported(format!("{supports} support vectors for {pairs} pairs of classes")));
    }
    if !fits {
        return Err(ImportError::unsupported(format!(
            "{} coefficients, {} entries of {supports} support vectors and {} offsets for {classes} classes",
            coefficients.len(),
            vectors.len(),
            rho.len()
        )));
    }
    let parameters = list(b, "kernel_params");
    let kernels = kernel(b, &x, width, supports, &vectors, &parameters)?;
    // Column (i, j) has the coefficients of the vectors of class i in row j - 1 and those of class j in row i.
    let first: Vec<usize> = (0..classes).map(|i| counts[..i].iter().sum()).collect();
    let each = || (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j))).enumerate();
    let mut columns = vec![0.0f32; supports * pairs];
    let (mut votes, mut without) = (vec![0.0f32; pairs * classes], vec![0.0f32; classes]);
    for (k, (i, j)) in each() {
        for (class, row) in [(i, j - 1), (j, i)] {
            for v in first[class]..first[class] + counts[class] {
                columns[v * pairs + k] = coefficients[row * supports + v];
            }
        }
        // A value above zero is a vote for the first class, any other one for the second.
        votes[k * classes + i] = 1.0;
        votes[k * classes + j] = -1.0;
        without[j] += 1.0;
    }
    let columns = b.tensor(&[supports, pairs], &columns);
    let rho = b.tensor(&[1, pairs], &rho);
    let sums = b.op("MatMul", &[&kernels, &columns], vec![]);
    let values = b.op("Add", &[&sums, &rho], vec![]);
    if classes == 2 {
        let kind = Kind::Label(Label::Above { column: 0, threshold: 0.0, labels: [labels[1], labels[0]] });
        let label = b.own(kind, &[&values], &[n], Type::Integer)?;
        if likely {
            return Ok(vec![label, probabilities(b, &values, &sigmoids, classes)]);
        }
        let other = b.op("Neg", &[&values], vec![]);
        return Ok(vec![label, beside(b, &[&other, &values])]);
    }
    let zero = b.float(0.0);
    let above = b.op("Greater", &[&values, &zero], vec![]);
    let above = b.cast(&above, 1);
    let (votes, without) = (b.tensor(&[pairs, classes], &votes), b.tensor(&[1, classes], &without));
    let votes = b.op("MatMul", &[&above, &votes], vec![]);
    let votes = b.op("Add", &[&votes, &without], vec![]);
    let label = b.own(Kind::Label(Label::Largest(labels)), &[&votes], &[n], Type::Integer)?;
    if likely {
        return Ok(vec![label, probabilities(b, &values, &sigmoids, classes)]);
    }
    Ok(vec![label, values])
}

/// Probabilities of two or three classes from those of their pairs: Wu, Lin and Weng (2004), second method.
///
/// `r_ij = 1 / (1 + exp(a v + b))` is how likely class `i` is among `i` and `j`. The probabilities make `sum (r_ji p_i - r_ij p_j)^2`
/// least; runtimes come near to them by an iteration, and here they are what it comes near to. Of two classes they are `r` itself. Of
/// three they are as `adj(Q) e` with `Q_ii = sum r_ji^2` and `Q_ij = -r_ij r_ji`.
fn probabilities(b: &mut Builder<'_>, values: &str, (a, c): &(Vec<f32>, Vec<f32>), classes: usize) -> String {
    let pairs = a.len();
    let (slopes, offsets) = (a.iter().map(|v| -v).collect::<Vec<_>>(), c.iter().map(|v| -v).collect::<Vec<_>>());
    let (slopes, offsets) = (b.tensor(&[1, pairs], &slopes), b.tensor(&[1, pairs], &offsets));
    let scaled = b.op("Mul", &[values, &slopes], vec![]);
    let scaled = b.op("Add", &[&scaled, &offsets], vec![]);
    let first = b.op("Sigmoid", &[&scaled], vec![]);
    let one = b.float(1.0);
    let second = b.op("Sub", &[&one, &first], vec![]);
    if classes == 2 {
        return b.concat(&[first, second], 1);
    }
    // Columns 01, 02 and 12; s belongs to a pair, D to a class.
    let both = b.op("Mul", &[&first, &second], vec![]);
    let s: Vec<String> = (0..3).map(|k| b.slice(&both, 1, k, k + 1)).collect();
    let [won, lost] = [&first, &second].map(|r| b.op("Mul", &[r, r], vec![]));
    let of_pair = |i: usize, j: usize| i + j - 1;
    let d: Vec<String> = (0..3)
        .map(|i| {
            let squares = (0..3).filter(|j| *j != i).map(|j| {
                // How likely the other one is.
                let (k, from) = (of_pair(i, j), if i < j { &lost } else { &won });
                b.slice(from, 1, k, k + 1)
            });
            let squares: Vec<String> = squares.collect();
            b.op("Add", &[&squares[0], &squares[1]], vec![])
        })
        .collect();
    let parts: Vec<String> = (0..3)
        .map(|i| {
            let (j, k) = ((i + 1) % 3, (i + 2) % 3);
            let (ij, ik, jk) = (&s[of_pair(i, j)], &s[of_pair(i, k)], &s[of_pair(j, k)]);
            // (D_j + s_ij) D_k + s_ik D_j + s_jk (s_ij + s_ik - s_jk)
            let near = b.op("Add", &[&d[j], ij], vec![]);
            let near = b.op("Mul", &[&near, &d[k]], vec![]);
            let far = b.op("Mul", &[ik, &d[j]], vec![]);
            let rest = b.op("Add", &[ij, ik], vec![]);
            let rest = b.op("Sub", &[&rest, jk], vec![]);
            let rest = b.op("Mul", &[&rest, jk], vec![]);
            let sum = b.op("Add", &[&near, &far], vec![]);
            b.op("Add", &[&sum, &rest], vec![])
        })
        .collect();
    let parts = b.concat(&parts, 1);
    let all = b.reduce("ReduceSum", &parts, &[1]);
    b.op("Div", &[&parts, &all], vec![])
}

/// A plane for each class, all with the same offset.
fn linear_classifier(
    b: &mut Builder<'_>,
    x: &str,
    (n, width): (usize, usize),
    labels: Vec<i64>,
    (coefficients, rho): (&[f32], &[f32]),
) -> Result<Vec<String>> {
    let classes = labels.len();
    if classes < 3 {
        // The runtime's label is then not that of the larger value.
        return Err(ImportError::unsupported("planes for two classes; LinearClassifier has them"));
    }
    let Some(offset) = rho.first().filter(|_| coefficients.len() == classes * width) else {
        return Err(ImportError::unsupported(format!(
            "{} coefficients and {} offsets for {classes} classes and {width} features",
            coefficients.len(),
            rho.len()
        )));
    };
    let turned: Vec<f32> = (0..width * classes).map(|i| coefficients[i % classes * width + i / classes]).collect();
    let planes = b.tensor(&[width, classes], &turned);
    let sums = b.op("MatMul", &[x, &planes], vec![]);
    let offset = b.float(*offset);
    let values = b.op("Add", &[&sums, &offset], vec![]);
    let label = b.own(Kind::Label(Label::Largest(labels)), &[&values], &[n], Type::Integer)?;
    Ok(vec![label, values])
}

fn regressor(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, _, width) = features(b)?;
    let (coefficients, vectors, rho) = (list(b, "coefficients"), list(b, "support_vectors"), list(b, "rho"));
    let parameters = list(b, "kernel_params");
    let supports = usize::try_from(b.int_or("n_supports", 0)).unwrap_or(0);
    let fits = if supports == 0 {
        coefficients.len() == width
    } else {
        coefficients.len() == supports && vectors.len() == supports * width
    };
    if !fits || rho.len() != 1 {
        return Err(ImportError::unsupported(format!(
            "{} coefficients and {} entries of support vectors for {supports} vectors of {width} features",
            coefficients.len(),
            vectors.len()
        )));
    }
    let features = if supports == 0 { x } else { kernel(b, &x, width, supports, &vectors, &parameters)? };
    let coefficients = b.tensor(&[coefficients.len(), 1], &coefficients);
    let sum = b.op("MatMul", &[&features, &coefficients], vec![]);
    let rho = b.float(rho[0]);
    let y = b.op("Add", &[&sum, &rho], vec![]);
    if b.int_or("one_class", 0) == 0 {
        return Ok(vec![y]);
    }
    let zero = b.float(0.0);
    let inside = b.op("Greater", &[&y, &zero], vec![]);
    let (one, other) = (b.float(1.0), b.float(-1.0));
    Ok(vec![b.op("Where", &[&inside, &one, &other], vec![])])
}

/// The kernel of each row with each support vector, `[rows, supports]`.
fn kernel(
    b: &mut Builder<'_>,
    x: &str,
    width: usize,
    supports: usize,
    vectors: &[f32],
    parameters: &[f32],
) -> Result<String> {
    let parameter = |k: usize, default: f32| parameters.get(k).copied().unwrap_or(default);
    let (gamma, offset, degree) = (parameter(0, 0.0), parameter(1, 0.0), parameter(2, 0.0));
    let kind = b.text_or("kernel_type", "LINEAR");
    let factor = match kind.as_str() {
        "LINEAR" => 1.0,
        "POLY" | "SIGMOID" => gamma,
        "RBF" => 2.0 * gamma,
        other => return Err(ImportError::unsupported(format!("kernel '{other}'"))),
    };
    let turned: Vec<f32> =
        (0..width * supports).map(|i| factor * vectors[i % supports * width + i / supports]).collect();
    let turned = b.tensor(&[width, supports], &turned);
    let product = b.op("MatMul", &[x, &turned], vec![]);
    let shifted = |b: &mut Builder<'_>, x: &str, v: f32| {
        let v = b.float(v);
        b.op("Add", &[x, &v], vec![])
    };
    Ok(match kind.as_str() {
        "LINEAR" => product,
        "POLY" => {
            let sum = shifted(b, &product, offset);
            let degree = b.float(degree);
            b.op("Pow", &[&sum, &degree], vec![])
        }
        "SIGMOID" => {
            let sum = shifted(b, &product, offset);
            b.op("Tanh", &[&sum], vec![])
        }
        _ => {
            // -gamma |x - v|^2
            let squares = b.op("Mul", &[x, x], vec![]);
            let squares = b.reduce("ReduceSum", &squares, &[1]);
            let scale = b.float(-gamma);
            let squares = b.op("Mul", &[&squares, &scale], vec![]);
            let own = |v: &[f32]| -gamma * v.iter().map(|v| v * v).sum::<f32>();
            let own: Vec<f32> = vectors.chunks(width).map(own).collect();
            let own = b.tensor(&[1, supports], &own);
            let sum = b.op("Add", &[&product, &own], vec![]);
            let sum = b.op("Add", &[&sum, &squares], vec![]);
            b.op("Exp", &[&sum], vec![])
        }
    })
}
