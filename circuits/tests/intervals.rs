//! Worst-case intervals hold every value that can be reached, and are no wider than they have to be.

use assay_circuits::{
    eval,
    graph::{GraphBuilder, NodeId},
    interval::Interval,
    ops::{Divide, Op, Window},
    table::Table,
    tensor::Tensor,
};
use proptest::prelude::*;

/// The values of a node for all values of two inputs of `bits` bits, and its interval.
fn reached(bits: u32, build: impl Fn(&mut GraphBuilder, NodeId, NodeId) -> NodeId) -> (Vec<i64>, Interval) {
    let n = 1usize << (2 * bits);
    let mut g = GraphBuilder::new(8);
    let (a, b) = (g.input("a", &[n], bits).unwrap(), g.input("b", &[n], bits).unwrap());
    let out = build(&mut g, a, b);
    let range = g.node(out).range;
    let graph = g.finish(vec![a, b], vec![out]).unwrap();
    let half = 1i64 << (bits - 1);
    let column = |shift: u32| (0..n as i64).map(|i| (i >> shift & (2 * half - 1)) - half).collect();
    let inputs = [column(0), column(bits)].map(|v| Tensor::new(vec![n], v).unwrap());
    let values = eval::eval(&graph, &[], &inputs).unwrap();
    (values.outputs(&graph)[0].data.clone(), range)
}

fn hull(values: &[i64]) -> Interval {
    Interval::new(i128::from(*values.iter().min().unwrap()), i128::from(*values.iter().max().unwrap()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn intervals_hold_all_that_combinations_of_ramps_reach(
        table in prop_oneof![
            (-40i64..8, 1usize..7, 0i32..40).prop_map(|(low, bits, cap)| Table::relu(low, bits, cap)),
            (-9i64..5, prop::collection::vec(-3i32..9, 8)).prop_map(|(key_min, values)| {
                Table { name: "any".to_owned(), key_min, values }
            }),
            (-20i64..3).prop_map(|low| Table::tabulate("half", low, 6, |t| (t.max(0) / 2) as i32)),
        ],
        inner in (-2i64..3, -2i64..3, -6i64..7),
        outer in (-2i64..3, -2i64..3, -3i64..4, -6i64..7),
        again in any::<bool>(),
    ) {
        let combined = |g: &mut GraphBuilder, a: NodeId, b: NodeId| {
            let d = g.linear("d", &[(a, inner.0), (b, inner.1)], inner.2).unwrap();
            let r = g.lookup("r", d, 0, table.clone()).unwrap();
            let out = g.linear("out", &[(a, outer.0), (b, outer.1), (r, outer.2)], outer.3).unwrap();
            if !again {
                return out;
            }
            let r = g.lookup("r", out, 0, table.clone()).unwrap();
            g.linear("out", &[(r, inner.1), (out, outer.2), (r, outer.0)], inner.0).unwrap()
        };
        let (values, range) = reached(3, combined);
        prop_assert!(range.contains(hull(&values)), "{:?} for {:?}", range, hull(&values));
    }
}

#[test]
fn maxima_and_minima_are_no_wider_than_what_they_choose_from() {
    let relu = || Table::relu(-64, 7, i32::MAX);
    for (what, sign, shift) in [("largest", 1, 0), ("smallest", -1, 0), ("largest of a moved one", 1, 3)] {
        let (values, range) = reached(4, |g, a, b| {
            let b = g.linear("moved", &[(b, 1)], shift).unwrap();
            let d = g.linear("d", &[(b, sign), (a, -sign)], 0).unwrap();
            let r = g.lookup("r", d, 0, relu()).unwrap();
            g.linear(what, &[(a, 1), (r, sign)], 0).unwrap()
        });
        assert_eq!(range, hull(&values), "{what}");
    }
    // A clamp to what the table ends at.
    let (values, range) = reached(4, |g, a, _| {
        let r = g.lookup("r", a, 0, Table::relu(0, 2, 3)).unwrap();
        g.linear("rest", &[(a, 1), (r, -1)], 0).unwrap()
    });
    assert!(range.contains(hull(&values)));
    assert_eq!(range, Interval { lo: -8, hi: 7 });
}

#[test]
fn a_window_of_maxima_is_as_wide_as_one_entry() {
    let mut g = GraphBuilder::new(8);
    let x = g.input("x", &[9], 8).unwrap();
    let mut level: Vec<NodeId> =
        (0..5).map(|i| g.push("part", Op::Window(Window::slice(0, i, 1, 5)), &[x]).unwrap()).collect();
    while level.len() > 1 {
        let (a, b) = (level.remove(0), level.remove(0));
        let d = g.linear("d", &[(b, 1), (a, -1)], 0).unwrap();
        let r = g.lookup("r", d, 0, Table::relu(-256, 9, 255)).unwrap();
        level.push(g.linear("larger", &[(a, 1), (r, 1)], 0).unwrap());
    }
    assert_eq!(g.node(level[0]).range, g.node(x).range);
}

/// A node behind an input with values `[lo, lo + 7]`, and its interval.
fn behind(extent: usize, lo: i64, w: &Window) -> Interval {
    let mut g = GraphBuilder::new(8);
    let x = g.input("x", &[extent], 3).unwrap();
    let x = g.linear("moved", &[(x, 1)], lo + 4).unwrap();
    let y = g.push("window", Op::Window(w.clone()), &[x]).unwrap();
    g.node(y).range
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn the_interval_of_windows_is_that_of_the_fewest_and_the_most_entries(
        (len, kernel, extent) in (1usize..9, 1usize..7, 1usize..9),
        (stride, dilation, offset) in (-4i64..5, -3i64..4, -9i64..20),
        lo in -9i64..4,
    ) {
        let w = Window { axis: 0, len, stride, kernel, dilation, offset };
        let inside = |p: i64| (0..extent as i64).contains(&p);
        let count = |o: usize| {
            (0..kernel).filter(|t| inside(o as i64 * stride + *t as i64 * dilation + offset)).count() as i128
        };
        let each: Vec<i128> = (0..len).map(count).collect();
        let reached: Vec<i128> = each.iter().flat_map(|n| [n * i128::from(lo), n * i128::from(lo + 7)]).collect();
        let least = reached.iter().min().copied().unwrap();
        let most = reached.iter().max().copied().unwrap();
        let range = behind(extent, lo, &w);
        prop_assert!(range.lo <= least && most <= range.hi, "{:?} for {:?}", range, each);
        // Of windows with gaps that are not all inside, bounds are enough.
        if kernel == 1 || dilation.abs() <= 1 || each.iter().all(|n| *n == kernel as i128) {
            prop_assert_eq!(range, Interval { lo: least, hi: most }, "{:?}", each);
        }
    }
}

#[test]
fn what_is_only_moved_keeps_its_interval() {
    let positive = Interval { lo: 3, hi: 10 };
    for w in [Window::broadcast(0, 1 << 20), Window::slice(0, 0, 1, 1)] {
        assert_eq!(behind(1, 3, &w), positive);
    }
    assert_eq!(behind(7, 3, &Window::slice(0, 2, 2, 3)), positive);
    assert_eq!(behind(4, 3, &Window::pad(0, 4, 1, 0)), Interval { lo: 0, hi: 10 });
    assert_eq!(behind(5, 3, &Window::reduce(0, 5)), Interval { lo: 15, hi: 50 });
}

#[test]
fn positions_without_64_bits_count_as_outside() {
    // The third position is zero, but not in 64 bits.
    let w = Window { axis: 0, len: 3, stride: 1 << 62, kernel: 1, dilation: 1, offset: i64::MIN };
    assert!(behind(4, 3, &w).contains(Interval { lo: 0, hi: 10 }));
    let w = Window { axis: 0, len: 1 << 19, stride: i64::MIN, kernel: 1, dilation: i64::MAX, offset: i64::MIN };
    assert!(behind(4, 3, &w).contains(Interval { lo: 0, hi: 10 }));
}

#[test]
fn a_divisor_that_a_batch_shares_stays_positive() {
    let mut g = GraphBuilder::new(8);
    let (x, w) = (g.input("x", &[4], 8).unwrap(), g.weight("w", &[4], 8).unwrap());
    let divisor = g.linear("divisor", &[(w, 1)], 200).unwrap();
    let y = g.push("quotient", Op::Divide(Divide {}), &[x, divisor]).unwrap();
    let graph = g.finish(vec![x], vec![y]).unwrap();
    let batched = graph.batched(3).unwrap();
    let divided = batched.nodes().iter().find(|n| matches!(n.op, Op::Divide(_))).unwrap();
    assert_eq!(batched.node(divided.inputs[1]).range, graph.node(divisor).range);
}

/// A hostile graph may have sums of any number of ramps, and to look through each of them reads the whole sum. What is not looked
/// through shows: a maximum among the terms is then as wide as its parts.
#[test]
fn many_ramps_in_one_sum_are_not_each_looked_through() {
    let sum_with = |ramps: i128| {
        let mut g = GraphBuilder::new(8);
        let (a, b) = (g.input("a", &[1], 8).unwrap(), g.input("b", &[1], 8).unwrap());
        let d = g.linear("d", &[(b, 1), (a, -1)], 0).unwrap();
        let mut terms = vec![(a, 1), (g.lookup("r", d, 0, Table::relu(-256, 9, 255)).unwrap(), 1)];
        terms.extend((0..ramps).map(|_| (g.lookup("r", a, 0, Table::relu(-128, 8, 127)).unwrap(), 1)));
        let sum = g.linear("sum", &terms, 0).unwrap();
        g.node(sum).range
    };
    for ramps in [0, 1, 6] {
        assert_eq!(sum_with(ramps), Interval { lo: -128, hi: 127 + 127 * ramps });
    }
    for ramps in [7, 20_000] {
        assert_eq!(sum_with(ramps), Interval { lo: -128, hi: 127 + 255 + 127 * ramps });
    }
}
