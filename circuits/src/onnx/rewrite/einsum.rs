//! Einsum of one tensor, or of more than two, or with an index that occurs twice in one: diagonals and sums first, then products
//! of two at a time.

use super::{
    Rule,
    builder::{Builder, Result},
};
use crate::onnx::{
    error::ImportError,
    own::{Kind, Remap, Type},
};
use tract_onnx::pb::{AttributeProto, NodeProto};

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    if node.op_type != "Einsum" {
        return None;
    }
    let equation = node.attribute.iter().find(|a| a.name == "equation")?;
    let equation = String::from_utf8_lossy(&equation.s);
    let inputs = equation.split("->").next().unwrap_or_default();
    let twice = |term: &str| {
        let letters: Vec<char> = term.chars().filter(|c| c.is_alphabetic()).collect();
        (1..letters.len()).any(|i| letters[..i].contains(&letters[i]))
    };
    (node.input.len() != 2 || inputs.split(',').any(twice)).then_some((einsum as Rule, true))
}

/// A tensor with an index for each axis.
struct Operand {
    name: String,
    axes: Vec<(char, usize)>,
}

impl Operand {
    fn has(&self, index: char) -> bool {
        self.axes.iter().any(|(i, _)| *i == index)
    }
}

/// Indices that stand for the axes of an ellipsis, from the last one on.
fn ellipsis(k: usize) -> Result<char> {
    // Beyond the letters that an equation may use.
    u32::try_from(k)
        .ok()
        .and_then(|k| char::from_u32(0x3b1 + k))
        .filter(|_| k < 24)
        .ok_or_else(|| ImportError::unsupported(format!("an ellipsis of {k} axes")))
}

/// The indices of a term, its ellipsis spelled out over `hidden` axes.
fn spell(term: &str, hidden: usize) -> Result<Vec<char>> {
    let mut out = Vec::new();
    for (i, part) in term.split("...").enumerate() {
        if i > 0 {
            for k in (0..hidden).rev() {
                out.push(ellipsis(k)?);
            }
        }
        out.extend(part.chars());
    }
    match out.iter().find(|c| !c.is_alphabetic()) {
        Some(c) => Err(ImportError::unsupported(format!("'{c}' in its equation"))),
        None => Ok(out),
    }
}

fn einsum(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let equation: String = b.text_or("equation", "").chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match equation.split_once("->") {
        Some((l, r)) => (l.to_owned(), Some(r.to_owned())),
        None => (equation.clone(), None),
    };
    let terms: Vec<&str> = left.split(',').collect();
    if terms.len() != b.node.input.len() {
        let what = format!("{} terms for {} tensors in '{equation}'", terms.len(), b.node.input.len());
        return Err(ImportError::unsupported(what));
    }
    let mut operands = Vec::new();
    let mut widest = 0;
    for (i, term) in terms.iter().enumerate() {
        let name = b.need(i)?;
        let shape = b.shape(&name)?;
        let named = term.chars().filter(|c| c.is_alphabetic()).count();
        let hidden = shape.len().saturating_sub(named);
        let letters = spell(term, if term.contains("...") { hidden } else { 0 })?;
        if letters.len() != shape.len() {
            return Err(ImportError::unsupported(format!("term '{term}' for a tensor of shape {shape:?}")));
        }
        if term.contains("...") {
            widest = widest.max(hidden);
        }
        operands.push(Operand { name, axes: letters.into_iter().zip(shape).collect() });
    }
    let result = match right {
        Some(r) => spell(&r, widest)?,
        None => implicit(&operands, widest)?,
    };
    let extents = extents(&mut operands)?;
    let mut shape = Vec::new();
    for index in &result {
        let extent = extents.iter().find(|(i, _)| i == index).map(|(_, n)| *n);
        shape.push(extent.ok_or_else(|| ImportError::unsupported(format!("'{index}' comes from no tensor")))?);
    }
    let mut made = Vec::with_capacity(operands.len());
    for (i, operand) in operands.iter().enumerate() {
        let others = operands.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, o)| o);
        let needed: Vec<char> = others.flat_map(|o| o.axes.iter().map(|(i, _)| *i)).chain(result.clone()).collect();
        made.push(simplify(b, operand, &needed)?);
    }
    let mut rest = made.into_iter();
    let Some(mut acc) = rest.next() else { return Err(ImportError::unsupported("it has no tensor")) };
    let rest: Vec<Operand> = rest.collect();
    for (k, next) in rest.iter().enumerate() {
        let later = |i: char| result.contains(&i) || rest[k + 1..].iter().any(|o| o.has(i));
        acc = multiply(b, &acc, next, &later)?;
    }
    // The order of the result, and axes of extent one that no tensor has.
    let perm: Vec<usize> = result.iter().filter_map(|i| acc.axes.iter().position(|(a, _)| a == i)).collect();
    let y = if perm.windows(2).all(|w| w[0] < w[1]) { acc.name } else { b.transpose(&acc.name, &perm) };
    Ok(vec![b.reshape(&y, &shape)])
}

/// The result of an equation without an arrow: the ellipsis, then what occurs once, in the order of letters.
fn implicit(operands: &[Operand], widest: usize) -> Result<Vec<char>> {
    let all: Vec<char> = operands.iter().flat_map(|o| o.axes.iter().map(|(i, _)| *i)).collect();
    let mut out = (0..widest).rev().map(ellipsis).collect::<Result<Vec<_>>>()?;
    let mut once: Vec<char> =
        all.iter().copied().filter(|c| c.is_ascii() && all.iter().filter(|d| *d == c).count() == 1).collect();
    once.sort_unstable();
    out.extend(once);
    Ok(out)
}

/// The extent of every index; axes of extent one that broadcast are taken off.
fn extents(operands: &mut [Operand]) -> Result<Vec<(char, usize)>> {
    let mut all: Vec<(char, usize)> = Vec::new();
    for (index, n) in operands.iter().flat_map(|o| &o.axes) {
        match all.iter_mut().find(|(i, _)| i == index) {
            Some((_, m)) if *m == 1 || *n == 1 || m == n => *m = (*m).max(*n),
            Some((_, m)) => return Err(ImportError::unsupported(format!("extents {m} and {n} of '{index}'"))),
            None => all.push((*index, *n)),
        }
    }
    Ok(all)
}

/// Diagonals of indices that occur twice, and sums over those that nothing else needs; extents of one are taken off.
fn simplify(b: &mut Builder<'_>, operand: &Operand, needed: &[char]) -> Result<Operand> {
    let mut axes: Vec<(char, usize)> = operand.axes.iter().copied().filter(|(_, n)| *n > 1).collect();
    let mut y = operand.name.clone();
    if axes.len() != operand.axes.len() {
        y = b.reshape(&y, &axes.iter().map(|a| a.1).collect::<Vec<_>>());
    }
    while let Some(second) = (1..axes.len()).find(|i| axes[..*i].iter().any(|a| a.0 == axes[*i].0)) {
        let (index, n) = axes[second];
        let Some(first) = axes.iter().position(|a| a.0 == index) else { break };
        let mut perm: Vec<usize> = (0..axes.len()).filter(|i| *i != first && *i != second).collect();
        perm.extend([first, second]);
        y = b.transpose(&y, &perm);
        axes = perm[..perm.len() - 2].iter().map(|i| axes[*i]).collect();
        let mut shape: Vec<usize> = axes.iter().map(|a| a.1).collect();
        shape.push(n * n);
        y = b.reshape(&y, &shape);
        if let Some(last) = shape.last_mut() {
            *last = n;
        }
        let diagonal = Remap::select(axes.len(), (0..n).map(|i| Some(i * (n + 1))));
        y = b.own(Kind::Remap(diagonal), &[&y], &shape, Type::Same)?;
        axes.push((index, n));
    }
    let gone: Vec<i64> = (0..axes.len()).filter(|i| !needed.contains(&axes[*i].0)).map(|i| i as i64).collect();
    if !gone.is_empty() {
        y = b.reduce("ReduceSum", &y, &gone);
        axes.retain(|a| needed.contains(&a.0));
        y = b.reshape(&y, &axes.iter().map(|a| a.1).collect::<Vec<_>>());
    }
    Ok(Operand { name: y, axes })
}

/// The product of two, summed over what is not needed later.
fn multiply(b: &mut Builder<'_>, x: &Operand, y: &Operand, later: &dyn Fn(char) -> bool) -> Result<Operand> {
    let mut axes: Vec<(char, usize)> = Vec::new();
    let both = x.axes.iter().chain(&y.axes);
    for (index, n) in both.clone() {
        if later(*index) && !axes.iter().any(|(i, _)| i == index) {
            axes.push((*index, *n));
        }
    }
    // Letters that every engine takes.
    let mut letters: Vec<char> = Vec::new();
    both.for_each(|(i, _)| {
        if !letters.contains(i) {
            letters.push(*i);
        }
    });
    let plain = |i: char| letters.iter().position(|l| *l == i).and_then(|k| u8::try_from(k).ok()).filter(|k| *k < 26);
    let spelled = |axes: &[(char, usize)]| -> Result<String> {
        let letter = |i: char| plain(i).map(|k| char::from(b'a' + k));
        let all: Option<String> = axes.iter().map(|(i, _)| letter(*i)).collect();
        all.ok_or_else(|| ImportError::unsupported("more than 26 indices in a product"))
    };
    let equation = format!("{},{}->{}", spelled(&x.axes)?, spelled(&y.axes)?, spelled(&axes)?);
    let s = equation.into_bytes();
    let attribute = AttributeProto { name: "equation".to_owned(), r#type: 3, s, ..AttributeProto::default() };
    let name = b.op("Einsum", &[&x.name, &y.name], vec![attribute]);
    Ok(Operand { name, axes })
}
