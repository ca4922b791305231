//! Every closed form is that of the dense weights. The verifier evaluates a factor by its `eq` where it has one and the
//! prover by its weights; were the two different, claims about another tensor would be accepted. So for every operator
//! with a pullback, on random strides (negative, zero, above one), offsets, extents, paddings, dilations and structures of the
//! functional: closed forms against weights, and the pulled-back claim against the adjoint, entry by entry.

mod support;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use assay_circuits::{
    Factor, Functional, GraphError, Op, Tensor,
    ops::{AxisExpr, AxisScale, Concat, Contraction, Linear, Remap, Reshape, Transpose, Window, contraction::Side},
    ring::{eq_table, index_bits},
    tensor::strides,
};
use proptest::prelude::*;
use support::{Rng, draw_contraction};

/// Panics unless every closed form of a functional is its weights, the way the verifier uses it: one axis, a point (or the squares of
/// powers) of the axis' index bits, the table cut to the extent.
fn assert_closed_forms(f: &Functional<Fr>, shape: &[usize], what: &str) {
    f.validate(shape).unwrap();
    for factor in &f.factors {
        if let Some(squares) = &factor.powers {
            let [axis] = factor.axes.as_slice() else { panic!("{what}: powers over axes {:?}", factor.axes) };
            assert_eq!(squares.len(), index_bits(shape[*axis]), "{what}: squares of axis {axis} of {shape:?}");
            assert!(factor.eq.is_none(), "{what}: two closed forms of axis {axis}");
            let table =
                squares.iter().fold(vec![Fr::ONE], |t: Vec<Fr>, s| t.iter().flat_map(|v| [*v, *v * s]).collect());
            assert_eq!(table[..factor.weights.len()], factor.weights, "{what}: powers along axis {axis} of {shape:?}");
        }
        let Some(point) = &factor.eq else { continue };
        if let [axis] = factor.axes.as_slice() {
            assert_eq!(point.len(), index_bits(shape[*axis]), "{what}: coordinates of axis {axis} of {shape:?}");
        }
        let table = eq_table(point);
        assert!(table.len() >= factor.weights.len(), "{what}: {:?} of {shape:?}", factor.axes);
        assert_eq!(table[..factor.weights.len()], factor.weights, "{what}: axes {:?} of {shape:?}", factor.axes);
    }
}

/// All weights of a functional, entry by entry, row-major.
fn dense(f: &Functional<Fr>, shape: &[usize]) -> Vec<Fr> {
    let st = strides(shape);
    (0..shape.iter().product())
        .map(|e: usize| {
            f.factors.iter().fold(Fr::ONE, |w, factor| {
                let at = factor.axes.iter().fold(0, |k, a| k * shape[*a] + e / st[*a] % shape[*a]);
                w * factor.weights[at]
            })
        })
        .collect()
}

/// A claim that a reshape has tied together may be refused; everything else is a failure.
fn refused(e: &GraphError) -> bool {
    matches!(e, GraphError::Pullback(_))
}

/// Checks a linear operator: the pieces' weights are those of the adjoint, found by evaluating on unit vectors.
fn linear(op: &Op, shapes: &[&[usize]], f: &Functional<Fr>) -> Result<(), GraphError> {
    let shape = op.infer(shapes, &[]).unwrap();
    let pulled = match op.pullback(shapes, &shape, f) {
        Err(e) if refused(&e) => return Ok(()),
        other => other?,
    };
    let zeros: Vec<Tensor> =
        shapes.iter().map(|s| Tensor::new(s.to_vec(), vec![0; s.iter().product()]).unwrap()).collect();
    let run =
        |inputs: &[Tensor]| f.pair_integers(&shape, &op.eval(&inputs.iter().collect::<Vec<_>>(), &shape, &[])?.data);
    let constant = run(&zeros)?;
    assert_eq!(constant, pulled.constant.unwrap_or(Fr::ZERO), "{op:?}");
    for (input, s) in shapes.iter().enumerate() {
        let mut weights = vec![Fr::ZERO; s.iter().product()];
        for p in pulled.pieces.iter().filter(|p| p.input == input) {
            assert_closed_forms(&p.functional, s, &format!("{op:?}"));
            let c: Fr = assay_circuits::Ring::from_i128(i128::from(p.coefficient));
            weights.iter_mut().zip(dense(&p.functional, s)).for_each(|(w, d)| *w += c * d);
        }
        for (e, w) in weights.into_iter().enumerate() {
            let mut inputs = zeros.clone();
            inputs[input].data[e] = 1;
            assert_eq!(run(&inputs)? - constant, w, "{op:?}, entry {e} of input {input}");
        }
    }
    Ok(())
}

/// Checks a contraction: at random points of the sumcheck closed forms are weights, weights are multilinear in the point,
/// and at the corners the operands' values multiply and add up to the claim.
fn contraction(c: &Contraction, shapes: [&[usize]; 2], rng: &mut Rng) -> Result<(), GraphError> {
    let op = Op::Contraction(c.clone());
    let shape = op.infer(&shapes, &[])?;
    let f = rng.functional(&shape, false);
    let operands = shapes.map(|s| rng.tensor(s));
    let out = op.eval(&[&operands[0], &operands[1]], &shape, &[])?;
    let claimed = f.pair_integers(&shape, &out.data)?;
    let rows = match (c.rows(Side::Lhs, shapes[0], &f), c.rows(Side::Rhs, shapes[1], &f)) {
        (Err(e), _) | (_, Err(e)) if refused(&e) => return Ok(()),
        (l, r) => [l?, r?],
    };
    let bits = c.rounds();
    let corner = |x: usize| (0..bits).rev().map(|b| Fr::from((x >> b & 1) as u64)).collect::<Vec<Fr>>();
    let weights = |side: usize, point: &[Fr]| {
        let functional = c.operand_functional(&rows[side], point);
        assert_closed_forms(&functional, shapes[side], &format!("{c:?} of {shapes:?}, operand {side}"));
        dense(&functional, shapes[side])
    };
    let pair = |side: usize, w: &[Fr]| -> Fr {
        w.iter()
            .zip(&operands[side].data)
            .map(|(w, v)| *w * <Fr as assay_circuits::Ring>::from_i128(i128::from(*v)))
            .sum()
    };
    let sides: Vec<[Vec<Fr>; 2]> = (0..1usize << bits).map(|x| [0, 1].map(|s| weights(s, &corner(x)))).collect();
    let sum: Fr = sides.iter().map(|[a, b]| pair(0, a) * pair(1, b)).sum();
    assert_eq!(sum, claimed, "{c:?} of {shapes:?}");
    let point = rng.point(bits);
    let eq = eq_table(&point);
    for side in 0..2 {
        let mut expected = vec![Fr::ZERO; operands[side].data.len()];
        for (e, x) in eq.iter().zip(&sides) {
            expected.iter_mut().zip(&x[side]).for_each(|(a, w)| *a += *e * w);
        }
        assert_eq!(weights(side, &point), expected, "{c:?} of {shapes:?}, operand {side} at a point");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..Default::default() })]

    #[test]
    fn of_contractions(seed: u64) {
        let mut rng = Rng(seed);
        let (c, shapes) = draw_contraction(&mut rng);
        contraction(&c, [&shapes[0], &shapes[1]], &mut rng).unwrap();
    }

    #[test]
    fn of_convolutions(
        channels in prop::array::uniform2(1usize..4),
        hw in prop::array::uniform2(1usize..6),
        kernel in prop::array::uniform2(1usize..4),
        stride in prop::array::uniform2(1i64..4),
        dilation in prop::array::uniform2(1i64..3),
        pad in prop::array::uniform2(-1i64..3),
        extra in prop::array::uniform2(0i64..3),
        drop_units: bool,
        seed: u64,
    ) {
        // As the importer writes them: indices of extent one may be left out.
        let mut extents = channels.to_vec();
        let mut lhs = vec![AxisExpr::index(0)];
        let mut rhs = vec![AxisExpr::index(1), AxisExpr::index(0)];
        let mut out = vec![AxisExpr::index(1)];
        for k in 0..2 {
            let len = (hw[k] as i64 + pad[k] + extra[k] - dilation[k] * (kernel[k] as i64 - 1) - 1) / stride[k] + 1;
            prop_assume!(len > 0);
            let o = extents.len();
            extents.push(len as usize);
            let mut terms = vec![(o, stride[k])];
            if kernel[k] > 1 || !drop_units {
                extents.push(kernel[k]);
                terms.push((o + 1, dilation[k]));
                rhs.push(AxisExpr::index(o + 1));
            } else {
                rhs.push(AxisExpr::unit());
            }
            lhs.push(AxisExpr { terms, offset: -pad[k] });
            out.push(AxisExpr::index(o));
        }
        let c = Contraction { extents, lhs, rhs, out };
        let shapes = [vec![channels[0], hw[0], hw[1]], vec![channels[1], channels[0], kernel[0], kernel[1]]];
        contraction(&c, [&shapes[0], &shapes[1]], &mut Rng(seed)).unwrap();
    }

    #[test]
    fn of_linear_operators(
        d in prop::collection::vec(prop::sample::select(vec![1usize, 1, 2, 3, 4, 5, 8]), 1..4),
        pick: usize,
        stride in -2i64..4,
        kernel in 1usize..4,
        dilation in -1i64..3,
        offset in -3i64..4,
        len in 1usize..6,
        seed: u64,
        joint: bool,
    ) {
        let mut rng = Rng(seed);
        let axis = pick % d.len();
        let factors: Vec<i64> = (0..d[axis] as i64).map(|i| 3 * i - 4).collect();
        let total: usize = d.iter().product();
        let ops = [
            Op::Window(Window { axis, len, stride, kernel, dilation, offset }),
            Op::Window(Window::slice(axis, d[axis] as i64 - 1, -1, d[axis])),
            Op::Window(Window::slice(axis, 0, 1, d[axis])),
            Op::Transpose(Transpose { permutation: rng.permutation(d.len()) }),
            Op::AxisScale(AxisScale { axis, factors }),
            Op::Remap(Remap::select(axis, (0..d[axis] as u32).map(Some))),
            Op::Remap(Remap { axis, rows: (0..len).map(|o| vec![((o % d[axis]) as u32, o as i64 - 1)]).collect() }),
            Op::Reshape(Reshape { shape: rng.factorization(total) }),
            Op::Reshape(Reshape { shape: rng.factorization(total) }),
            Op::Reshape(Reshape { shape: vec![total] }),
        ];
        for op in ops {
            let shape = op.infer(&[&d], &[]).unwrap();
            let f = rng.functional(&shape, joint);
            assert_closed_forms(&f, &shape, "drawn");
            linear(&op, &[&d], &f).unwrap();
        }
        let mut other = d.clone();
        other[axis] = 1 + rng.below(4);
        let join = Op::Concat(Concat { axis });
        let shapes = [d.as_slice(), &other, &d];
        let f = rng.functional(&join.infer(&shapes, &[]).unwrap(), joint);
        linear(&join, &shapes, &f).unwrap();
        let sum = Op::Linear(Linear { coefficients: vec![3, 0, -5], offset: 7 });
        let f = rng.functional(&d, joint);
        linear(&sum, &[&d, &d, &d], &f).unwrap();
    }
}

/// A random operator on a tensor of this shape, one of whose axes is long.
fn draw_operator(rng: &mut Rng, d: &[usize]) -> Op {
    let axis = rng.below(d.len());
    let total: usize = d.iter().product();
    match rng.below(9) {
        0 => Op::Transpose(Transpose { permutation: rng.permutation(d.len()) }),
        1 | 2 => Op::Reshape(Reshape { shape: rng.factorization(total) }),
        3 => Op::Reshape(Reshape { shape: [&[1], d, &[1]].concat() }),
        4 => Op::Reshape(Reshape { shape: vec![total] }),
        5 => Op::AxisScale(AxisScale { axis, factors: (0..d[axis]).map(|_| rng.within(-3, 3)).collect() }),
        6 => Op::Window(Window::slice(axis, d[axis] as i64 - 1, -1, d[axis])),
        7 => {
            let (len, stride) = (1 + rng.below(300), rng.within(-1, 2));
            Op::Window(Window { axis, len, stride, kernel: 1 + rng.below(2), dilation: 1, offset: rng.within(-2, 2) })
        }
        _ => Op::Remap(Remap::select(axis, (0..d[axis] as u32).rev().map(|p| (p % 3 != 0).then_some(p)))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    /// Powers of a challenge weigh public values, links and gathered rows; along a long axis the verifier takes their closed form.
    #[test]
    fn of_powers_through_operators(
        long in prop_oneof![Just(256usize), Just(512), 250usize..600],
        beside in prop::collection::vec(1usize..3, 0..3),
        at: usize,
        count in 1usize..4,
        seed: u64,
    ) {
        let mut rng = Rng(seed);
        let mut shapes = vec![beside];
        let at = at % (shapes[0].len() + 1);
        shapes[0].insert(at, long);
        let x = rng.tensor(&shapes[0]);
        let (mut ops, mut y) = (vec![], x.clone());
        for k in 0..count {
            let op = draw_operator(&mut rng, &shapes[k]);
            let shape = op.infer(&[&shapes[k]], &[]).unwrap();
            y = op.eval(&[&y], &shape, &[]).unwrap();
            shapes.push(shape);
            ops.push(op);
        }
        let last = &shapes[count];
        let mut known = 0;
        let factors = (0..last.len()).map(|axis| {
            if rng.below(4) == 0 {
                return rng.factor(axis, last[axis]);
            }
            let powers = Factor::powers(axis, &rng.field(), last[axis]).0;
            known += usize::from(powers.powers.is_some());
            powers
        });
        let f = Functional { factors: factors.collect() };
        prop_assert!(known <= last.iter().filter(|d| **d >= assay_circuits::functional::LONG_POWERS).count());
        assert_closed_forms(&f, last, "drawn");
        let expected = f.pair_integers(last, &y.data).unwrap();
        let (mut terms, mut constant) = (vec![(1i64, f)], Fr::ZERO);
        for k in (0..count).rev() {
            let mut before = vec![];
            for (c, f) in terms {
                let pulled = match ops[k].pullback(&[&shapes[k]], &shapes[k + 1], &f) {
                    Err(e) if refused(&e) => return Ok(()),
                    other => other.unwrap(),
                };
                constant += pulled.constant.unwrap_or(Fr::ZERO);
                for p in pulled.pieces {
                    assert_closed_forms(&p.functional, &shapes[k], &format!("{:?} of {:?}", ops[k], shapes[k]));
                    before.push((c * p.coefficient, p.functional));
                }
            }
            terms = before;
        }
        let got = terms.iter().fold(constant, |sum, (c, f)| {
            let c: Fr = assay_circuits::Ring::from_i128(i128::from(*c));
            sum + c * f.pair_integers(&shapes[0], &x.data).unwrap()
        });
        prop_assert_eq!(got, expected, "{:?} on {:?}", ops, shapes);
    }

    /// The same of a long axis of an operand: what a contraction makes of powers is no closed form, or that of its weights.
    #[test]
    fn of_powers_through_contractions(long in 250usize..600, stride in -1i64..3, offset in -2i64..3, reach in 0usize..3, seed: u64) {
        let mut rng = Rng(seed);
        let extent = long + reach;
        let c = Contraction {
            extents: vec![long, 2],
            lhs: vec![AxisExpr { terms: vec![(0, stride)], offset }, AxisExpr::index(1)],
            rhs: vec![AxisExpr::index(1)],
            out: vec![AxisExpr::index(0)],
        };
        let operands = [rng.tensor(&[extent, 2]), rng.tensor(&[2])];
        let op = Op::Contraction(c.clone());
        let out = op.eval(&[&operands[0], &operands[1]], &[long], &[]).unwrap();
        let f = Functional { factors: vec![Factor::powers(0, &rng.field(), long).0] };
        let expected = f.pair_integers(&[long], &out.data).unwrap();
        let mut sum = Fr::ZERO;
        for x in 0..2u64 {
            let product = [(Side::Lhs, 0), (Side::Rhs, 1)].map(|(side, k)| {
                let shape = &operands[k].shape;
                let rows = c.rows(side, shape, &f).unwrap();
                let functional = c.operand_functional(&rows, &[Fr::from(x)]);
                assert_closed_forms(&functional, shape, &format!("{c:?}, operand {k}"));
                functional.pair_integers(shape, &operands[k].data).unwrap()
            });
            sum += product[0] * product[1];
        }
        prop_assert_eq!(sum, expected, "{:?}", c);
    }
}

/// The forgery that these tests were written for: on a reversed, shifted or strided axis the weights are not the axis' own.
#[test]
fn an_axis_is_the_identity_only_with_stride_one_from_zero() {
    for (stride, offset, extent) in [(-1, 3, 4), (2, 0, 4), (1, 1, 4), (1, -1, 4), (0, 0, 4), (3, 0, 4), (1, 0, 4)] {
        let axis = AxisExpr { terms: vec![(0, stride)], offset };
        let c = Contraction {
            extents: vec![4],
            lhs: vec![axis],
            rhs: vec![AxisExpr::unit()],
            out: vec![AxisExpr::index(0)],
        };
        let mut rng = Rng(5);
        let f = Functional { factors: vec![assay_circuits::Factor::eq(0, &rng.point(2), 4)] };
        let rows = c.rows(Side::Lhs, &[extent], &f).unwrap();
        let functional = c.operand_functional(&rows, &[]);
        assert_eq!(functional.factors[0].eq.is_some(), (stride, offset) == (1, 0), "{stride} {offset}");
        contraction(&c, [&[extent], &[1]], &mut rng).unwrap();
    }
}
