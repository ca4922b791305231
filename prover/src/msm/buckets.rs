//! One batch of tasks: sort points into buckets, add each bucket up, and take the buckets' weighted sums.

use core::{cell::RefCell, ops::Range};

use ark_bn254::G1Affine;

use super::affine::{NEGATIVE, Place};
use super::point::Point;
use super::segments::Segments;
use crate::vector::Vector;

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
pub(crate) struct WindowSum {
    pub(crate) row: usize,
    pub(crate) shift: u32,
    pub(crate) sum: G1Affine,
}

/// Memory that a thread keeps: fresh pages cost as much as the additions they would hold.
#[derive(Default)]
struct Scratch {
    digits: Vec<i32>,
    /// Where the next point of each bucket goes.
    offsets: Vec<u32>,
    places: Vec<Place>,
    segments: Segments,
    buckets: Level,
    halves: Level,
    bits: Level,
}

/// Sums of segments, and where they are.
#[derive(Default)]
struct Level {
    lens: Vec<u32>,
    starts: Vec<u32>,
    sums: Vec<Point>,
}

impl Level {
    /// Place of the sum of a segment, `None` for an empty one.
    fn place(&self, segment: usize) -> Option<Place> {
        (self.lens[segment] > 0).then(|| self.starts[segment])
    }

    /// A segment of the places pushed by `fill`.
    fn segment(&mut self, places: &mut Vec<Place>, fill: impl IntoIterator<Item = Place>) {
        let before = places.len();
        places.extend(fill);
        self.lens.push((places.len() - before) as u32);
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The window sums of `tasks`. `digit(task, i)` is the digit of the value at position `i`, at most `task.buckets` in size.
pub(super) fn run_batch(
    vector: Option<Vector>,
    tasks: &[Task],
    bases: &[Point],
    digit: &impl Fn(&Task, usize) -> i32,
) -> Vec<WindowSum> {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.sort(tasks, digit);
        scratch.sum_buckets(vector, bases);
        scratch.weighted_sums(vector, tasks)
    })
}

impl Scratch {
    /// Sorts the positions by task and bucket: `buckets.lens` counts each bucket, `places` holds them in order.
    fn sort(&mut self, tasks: &[Task], digit: &impl Fn(&Task, usize) -> i32) {
        let Self { digits, offsets, places, buckets: Level { lens, .. }, .. } = self;
        digits.clear();
        lens.clear();
        for task in tasks {
            let base = lens.len();
            lens.resize(base + task.buckets, 0);
            let counts = &mut lens[base..];
            for i in task.range.clone() {
                let digit = digit(task, i);
                digits.push(digit);
                if digit != 0 {
                    counts[digit.unsigned_abs() as usize - 1] += 1;
                }
            }
        }
        let mut total = 0;
        offsets.clear();
        offsets.extend(lens.iter().map(|len| {
            total += len;
            total - len
        }));
        // Every place is written below.
        places.resize(total as usize, 0);
        let (mut base, mut digits) = (0, digits.iter());
        for task in tasks {
            let offsets = &mut offsets[base..base + task.buckets];
            for (i, &digit) in task.range.clone().zip(digits.by_ref()) {
                if digit == 0 {
                    continue;
                }
                let slot = &mut offsets[digit.unsigned_abs() as usize - 1];
                places[*slot as usize] = i as Place | if digit < 0 { NEGATIVE } else { 0 };
                *slot += 1;
            }
            base += task.buckets;
        }
    }

    fn sum_buckets(&mut self, vector: Option<Vector>, bases: &[Point]) {
        let Level { lens, starts, sums } = &mut self.buckets;
        self.segments.sum(vector, bases, &self.places, lens, sums, starts);
    }

    /// `sum_k k B_k` for each task, as sums that belong to single bits.
    ///
    /// With k = 2^t a + b that is `2^t sum_a a R_a + sum_b b C_b`, where R_a and C_b add buckets with equal a or b: two
    /// batched additions a bucket. Of the few that are left, bit j of the number is worth 2^j times the sum of those
    /// that have it.
    fn weighted_sums(&mut self, vector: Option<Vector>, tasks: &[Task]) -> Vec<WindowSum> {
        let Self { places, segments, buckets, halves, bits, .. } = self;
        places.clear();
        halves.lens.clear();
        let mut base = 0;
        for task in tasks {
            let bucket = |k: usize| if k == 0 || k > task.buckets { None } else { buckets.place(base + k - 1) };
            let low = low_bits(task.buckets);
            if low == 0 {
                (1..=task.buckets).for_each(|k| halves.segment(places, bucket(k)));
            } else {
                let (highs, lows) = (task.buckets >> low, 1 << low);
                for high in 1..=highs {
                    halves.segment(places, (0..lows).filter_map(|k| bucket((high << low) + k)));
                }
                for k in 1..lows {
                    halves.segment(places, (0..=highs).filter_map(|high| bucket((high << low) + k)));
                }
            }
            base += task.buckets;
        }
        segments.sum(vector, &buckets.sums, places, &halves.lens, &mut halves.sums, &mut halves.starts);

        places.clear();
        bits.lens.clear();
        let mut belongs = Vec::new();
        let mut base = 0;
        for task in tasks {
            let low = low_bits(task.buckets);
            let mut numbers = vec![(task.buckets >> low, task.shift + low)];
            if low > 0 {
                numbers.push(((1 << low) - 1, task.shift));
            }
            for (count, shift) in numbers {
                for bit in 0..usize::BITS - count.leading_zeros() {
                    let with_bit = (1..=count).filter(|k| k >> bit & 1 == 1);
                    bits.segment(places, with_bit.filter_map(|k| halves.place(base + k - 1)));
                    belongs.push((task.row, shift + bit));
                }
                base += count;
            }
        }
        segments.sum(vector, &halves.sums, places, &bits.lens, &mut bits.sums, &mut bits.starts);
        let sum = |(segment, (row, shift)): (usize, (usize, u32))| {
            let place = bits.place(segment)?;
            Some(WindowSum { row, shift, sum: bits.sums[place as usize].into() })
        };
        belongs.into_iter().enumerate().filter_map(sum).collect()
    }
}

/// Bits of the low half of a bucket number, 0 for the direct sum.
fn low_bits(buckets: usize) -> u32 {
    if buckets < DIRECT_BUCKETS { 0 } else { (usize::BITS - buckets.leading_zeros()) / 2 }
}
