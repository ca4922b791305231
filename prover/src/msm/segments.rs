//! Sums of segments of points, all of them at once.

use super::affine::{Addition, NEGATIVE, Place, Scratch, Summands, add};
use super::point::Point;
use crate::vector::Vector;

/// Memory that is kept from call to call: fresh pages cost as much as the additions they would hold.
#[derive(Default)]
pub(super) struct Segments {
    additions: Vec<Addition>,
    /// Segments that are not summed up yet: where they begin in the output, and how many points are left.
    open: Vec<(u32, u32)>,
    scratch: Scratch,
}

impl Segments {
    /// Adds segments up: segment k is the next `lens[k]` of `places` in `points`. Afterwards `sums[starts[k]]` is its sum,
    /// when it is not empty. A sum may be infinity.
    ///
    /// Neighbours are added in rounds, every round with a few inversions for all segments.
    pub(super) fn sum(
        &mut self,
        vector: Option<Vector>,
        points: &[Point],
        places: &[Place],
        lens: &[u32],
        sums: &mut Vec<Point>,
        starts: &mut Vec<u32>,
    ) {
        let Self { additions, open, scratch } = self;
        additions.clear();
        open.clear();
        starts.clear();
        let half: usize = lens.iter().map(|len| len.div_ceil(2) as usize).sum();
        assert!(half < NEGATIVE as usize && points.len() <= NEGATIVE as usize, "more points than places");
        // Every place up to here is written before it is read.
        if sums.len() < half {
            sums.resize(half, Point::INFINITY);
        }
        let (mut rest, mut to) = (places, 0);
        for &len in lens {
            starts.push(to);
            let (segment, after) = rest.split_at(len as usize);
            rest = after;
            let (pairs, odd) = segment.as_chunks::<2>();
            for &[a, b] in pairs {
                additions.push(Addition { a, b, to });
                to += 1;
            }
            if let [place] = odd {
                sums[to as usize] = points[(place & !NEGATIVE) as usize].signed(place & NEGATIVE != 0);
                to += 1;
            }
            if len > 2 {
                open.push((to - len.div_ceil(2), len.div_ceil(2)));
            }
        }
        add(vector, &Summands::Apart(points), additions, sums, scratch);

        while !open.is_empty() {
            additions.clear();
            for &(start, len) in open.iter() {
                let pairs = 0..len / 2;
                additions.extend(pairs.map(|k| Addition { a: start + 2 * k, b: start + 2 * k + 1, to: start + k }));
            }
            add(vector, &Summands::InPlace, additions, sums, scratch);
            open.retain_mut(|(start, len)| {
                if *len % 2 == 1 {
                    sums[(*start + *len / 2) as usize] = sums[(*start + *len - 1) as usize];
                }
                *len = len.div_ceil(2);
                *len > 1
            });
        }
    }
}
