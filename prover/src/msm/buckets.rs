//! One batch of tasks: scatter points to buckets, add each bucket up, and take the buckets' weighted sums.

use core::{cell::RefCell, ops::Range};

use ark_bn254::{Fq, G1Affine, G1Projective, g1};
use ark_ec::short_weierstrass::Bucket;

use super::affine::sum_segments;

/// Below this many buckets the two-level sum costs more than the direct one.
const DIRECT_BUCKETS: usize = 24;

/// One window of a part of one row: its points fall into buckets by their digit's absolute value.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// The output that the sum belongs to.
    pub(super) row: usize,
    /// Positions in the row, which are positions in the bases.
    pub(super) range: Range<usize>,
    /// The window's lowest bit.
    pub(super) shift: u32,
    /// Bits of the window, or `None` for the highest one, which takes all bits that are left.
    pub(super) width: Option<u32>,
    /// What is added to a value so that each lower window can take half of its range off.
    pub(super) offset: i128,
    /// Largest absolute value of a digit.
    pub(super) buckets: usize,
}

/// `sum` times 2^`shift` belongs to `row`.
#[derive(Clone, Debug)]
pub(super) struct WindowSum {
    pub(super) row: usize,
    pub(super) shift: u32,
    pub(super) sum: G1Projective,
}

/// Memory that a thread keeps: fresh pages cost as much as the additions they would hold.
#[derive(Default)]
struct Scratch {
    digits: Vec<i32>,
    lens: Vec<u32>,
    offsets: Vec<u32>,
    points: Vec<G1Affine>,
    sums: Vec<G1Affine>,
    prefix: Vec<Fq>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The window sums of `tasks`. `digit(task, i)` is the digit of the value at position `i`, at most `task.buckets` in size.
pub(super) fn run_batch(tasks: &[Task], bases: &[G1Affine], digit: &impl Fn(&Task, usize) -> i32) -> Vec<WindowSum> {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.scatter(tasks, bases, digit);
        sum_segments(&mut scratch.points, &mut scratch.lens, &mut scratch.prefix);
        scratch.weighted_sums(tasks)
    })
}

impl Scratch {
    /// Sorts the points by task and bucket: `lens` counts each bucket, `points` holds them in order.
    fn scatter(&mut self, tasks: &[Task], bases: &[G1Affine], digit: &impl Fn(&Task, usize) -> i32) {
        self.digits.clear();
        self.lens.clear();
        for task in tasks {
            let base = self.lens.len();
            self.lens.resize(base + task.buckets, 0);
            for i in task.range.clone() {
                let digit = digit(task, i);
                self.digits.push(digit);
                if digit != 0 {
                    self.lens[base + digit.unsigned_abs() as usize - 1] += 1;
                }
            }
        }
        let mut total = 0;
        self.offsets.clear();
        self.offsets.extend(self.lens.iter().map(|len| {
            total += len;
            total - len
        }));
        self.points.resize(total as usize, G1Affine::identity());
        let (mut base, mut digits) = (0, self.digits.iter());
        for task in tasks {
            for (point, &digit) in bases[task.range.clone()].iter().zip(digits.by_ref()) {
                if digit == 0 {
                    continue;
                }
                let slot = &mut self.offsets[base + digit.unsigned_abs() as usize - 1];
                self.points[*slot as usize] = if digit < 0 { -*point } else { *point };
                *slot += 1;
            }
            base += task.buckets;
        }
    }

    /// `sum_k k B_k` for each task, after the buckets were added up.
    ///
    /// With k = 2^t a + b that is `2^t sum_a a R_a + sum_b b C_b`, where R_a and C_b add buckets with equal a or b: two
    /// batched additions a bucket, and a running sum over the square root of their number.
    fn weighted_sums(&mut self, tasks: &[Task]) -> Vec<WindowSum> {
        let Self { lens, offsets, points, sums, prefix, .. } = self;
        // Where each bucket's point is, plus one; 0 for empty buckets.
        let mut filled = 0;
        offsets.clear();
        offsets.extend(lens.iter().map(|&len| {
            filled += len;
            if len == 0 { 0 } else { filled }
        }));

        sums.clear();
        lens.clear();
        let mut base = 0;
        for task in tasks {
            let buckets = &offsets[base..base + task.buckets];
            let bucket = |k: usize| match k.checked_sub(1).and_then(|k| buckets.get(k)) {
                Some(&at) if at != 0 => Some(points[at as usize - 1]),
                _ => None,
            };
            let low = low_bits(task.buckets);
            if low == 0 {
                for k in 1..=task.buckets {
                    let before = sums.len();
                    sums.extend(bucket(k));
                    lens.push((sums.len() - before) as u32);
                }
            } else {
                let (highs, lows) = (task.buckets >> low, 1 << low);
                for high in 1..=highs {
                    let before = sums.len();
                    sums.extend((0..lows).filter_map(|k| bucket((high << low) + k)));
                    lens.push((sums.len() - before) as u32);
                }
                for k in 1..lows {
                    let before = sums.len();
                    sums.extend((0..=highs).filter_map(|high| bucket((high << low) + k)));
                    lens.push((sums.len() - before) as u32);
                }
            }
            base += task.buckets;
        }
        sum_segments(sums, lens, prefix);

        let (mut sums, mut lens) = (sums.iter(), lens.iter());
        let mut running = |count: usize| {
            let here: Vec<Option<&G1Affine>> =
                lens.by_ref().take(count).map(|&len| if len == 0 { None } else { sums.next() }).collect();
            running_sum(&here)
        };
        tasks
            .iter()
            .map(|task| {
                let low = low_bits(task.buckets);
                let mut sum: G1Projective = running(task.buckets >> low).into();
                if low > 0 {
                    for _ in 0..low {
                        ark_ff::AdditiveGroup::double_in_place(&mut sum);
                    }
                    sum += G1Projective::from(running((1 << low) - 1));
                }
                WindowSum { row: task.row, shift: task.shift, sum }
            })
            .collect()
    }
}

/// Bits of the low half of a bucket number, 0 for the direct sum.
fn low_bits(buckets: usize) -> u32 {
    if buckets < DIRECT_BUCKETS { 0 } else { (usize::BITS - buckets.leading_zeros()) / 2 }
}

/// `sum_k (k + 1) points[k]`.
fn running_sum(points: &[Option<&G1Affine>]) -> Bucket<g1::Config> {
    let (mut running, mut total) = (Bucket::ZERO, Bucket::ZERO);
    for point in points.iter().rev() {
        if let Some(point) = point {
            running += *point;
        }
        total += &running;
    }
    total
}
