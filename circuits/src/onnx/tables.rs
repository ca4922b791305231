//! Which tables a model needs: lookups of the same function share tables, and the keys that a table covers are chosen by
//! cost.
//!
//! A lookup is *plain* where its table covers the worst case of its input, and *clamped* otherwise (see
//! [`crate::ops::lookup`]). A plain table has one row per worst-case key; a clamped one needs three copies of a smaller
//! table, one more lookup and further committed values for each element.

use super::error::ImportError;
use crate::{
    graph::NodeId,
    interval::Interval,
    table::{MAX_TABLE_BITS, Table},
};
use std::collections::BTreeMap;

/// Values at integer keys.
pub(crate) type Tabulate<'f> = Box<dyn Fn(&[i64]) -> Result<Vec<i32>, ImportError> + 'f>;

/// A function on integer keys, shared by all lookups with the same name and digest.
pub(crate) struct Function<'f> {
    /// For people, and part of the identity.
    pub(crate) name: String,
    /// The rest of the identity.
    pub(crate) digest: u64,
    /// Keys that must not saturate.
    pub(crate) base: (i64, i64),
    /// Values at the keys.
    pub(crate) values: Tabulate<'f>,
}

/// One lookup to be planned for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    /// Keys in the worst case.
    pub(crate) worst: Interval,
    /// Keys that must not saturate.
    pub(crate) base: (i64, i64),
    /// Values looked up.
    pub(crate) elements: u64,
}

/// Name and digest of a function.
pub(crate) type FunctionKey = (String, u64);

/// The lookups asked for: their function, and the node looked up.
pub(crate) type Requests = Vec<(FunctionKey, NodeId, Request)>;

/// Keys of the tables of one function.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Domains {
    plain: Option<(i64, usize)>,
    clamped: Option<(i64, usize)>,
}

/// Keys of all tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan(BTreeMap<FunctionKey, Domains>);

/// Cost of a clamped element beyond a plain one, in lookups: the lookup of the high part, and the committed parts.
const CLAMP_COST: f64 = 2.3;
/// Cost of a limb of a remainder, in lookups: the lookup, and the committed limb.
const LIMB_COST: f64 = 1.3;

fn key_bits(lo: i128, hi: i128) -> usize {
    let span = u128::try_from(hi - lo).unwrap_or(0) + 1;
    (span.next_power_of_two().trailing_zeros() as usize).max(1)
}

fn cover(lo: i128, hi: i128) -> Option<(i64, usize)> {
    Some((i64::try_from(lo).ok()?, key_bits(lo, hi))).filter(|d| d.1 <= MAX_TABLE_BITS)
}

fn covers(d: (i64, usize), w: Interval) -> bool {
    let lo = i128::from(d.0);
    lo <= w.lo && w.hi < lo + (1i128 << d.1)
}

impl Request {
    fn union(&self) -> Interval {
        self.worst.union(Interval::new(i128::from(self.base.0), i128::from(self.base.1)))
    }
}

impl Plan {
    /// Chooses the keys of every table.
    pub(crate) fn choose<'r>(requests: impl Iterator<Item = &'r (FunctionKey, NodeId, Request)>) -> Self {
        let mut groups: BTreeMap<FunctionKey, Vec<Request>> = BTreeMap::new();
        for (key, _, r) in requests {
            groups.entry(key.clone()).or_default().push(r.clone());
        }
        Self(groups.into_iter().map(|(k, r)| (k, choose_one(&r))).collect())
    }

    /// The table for a lookup of `node`, whose keys are in `worst` in the worst case.
    pub(crate) fn table(
        &self,
        f: &Function<'_>,
        node: NodeId,
        worst: Interval,
        elements: usize,
        requests: &mut Requests,
    ) -> Result<Table, ImportError> {
        let request = Request { worst, base: f.base, elements: elements as u64 };
        let (key_min, bits) = self.keys((f.name.clone(), f.digest), node, request, requests)?;
        let keys: Vec<i64> = (0..1i64 << bits).map(|i| key_min + i).collect();
        Ok(Table { name: f.name.clone(), key_min, values: (f.values)(&keys)? })
    }

    /// The smallest key, and log2 of the number of keys, of the table for a lookup of `node`.
    pub(crate) fn keys(
        &self,
        key: FunctionKey,
        node: NodeId,
        request: Request,
        requests: &mut Requests,
    ) -> Result<(i64, usize), ImportError> {
        let base = cover(i128::from(request.base.0), i128::from(request.base.1))
            .ok_or_else(|| ImportError::unsupported("a function on too wide a range of keys"))?;
        let chosen = match self.0.get(&key) {
            Some(Domains { plain: Some(p), .. }) if covers(*p, request.worst) => *p,
            Some(Domains { clamped: Some(c), .. }) => *c,
            _ => base,
        };
        requests.push((key, node, request));
        Ok(chosen)
    }
}

fn choose_one(requests: &[Request]) -> Domains {
    let base = requests.iter().fold(None::<Interval>, |acc, r| {
        let b = Interval::new(i128::from(r.base.0), i128::from(r.base.1));
        Some(acc.map_or(b, |a| a.union(b)))
    });
    let Some(base) = base else { return Domains::default() };
    let least = cover(base.lo, base.hi);
    let mut order: Vec<&Request> = requests.iter().collect();
    order.sort_by_key(|r| r.union().hi - r.union().lo);
    let mut best = (f64::INFINITY, Domains::default());
    // The first `n` lookups are plain, the others clamped.
    let mut plain: Option<Interval> = None;
    for n in 0..=order.len() {
        if n > 0 {
            let u = order[n - 1].union();
            plain = Some(plain.map_or(u, |p| p.union(u)));
        }
        let domain = match plain {
            Some(p) => match cover(p.lo, p.hi) {
                Some(d) => Some(d),
                None => break,
            },
            None => None,
        };
        let mut cost = domain.map_or(0.0, |d| (d.1 as f64).exp2());
        let rest: Vec<&&Request> = order[n..].iter().filter(|r| !domain.is_some_and(|d| covers(d, r.worst))).collect();
        let mut clamped = None;
        if let Some((key_min, bits)) = least
            && !rest.is_empty()
        {
            // More keys mean fewer values of the high part.
            let worst = rest.iter().map(|r| key_bits(r.union().lo, r.union().hi)).max().unwrap_or(0);
            let rows = |k: usize| 3.0 * (k as f64).exp2() + (worst.saturating_sub(k) as f64).exp2();
            let k = (bits..=MAX_TABLE_BITS).min_by(|a, b| rows(*a).total_cmp(&rows(*b))).unwrap_or(bits);
            clamped = Some((key_min, k));
            cost += rows(k) + CLAMP_COST * rest.iter().map(|r| r.elements as f64).sum::<f64>();
        }
        if cost < best.0 {
            best = (cost, Domains { plain: domain, clamped });
        }
    }
    best.1
}

/// The limb width that costs least for lookups with the given (shift, elements).
pub(crate) fn choose_limb_bits(shifts: &[(u32, u64)]) -> u32 {
    let cost = |limb: u32| {
        let rows = f64::from(limb).exp2();
        rows + shifts.iter().map(|(s, n)| LIMB_COST * f64::from(s.div_ceil(limb)) * *n as f64).sum::<f64>()
    };
    (4..=16).min_by(|a, b| cost(*a).total_cmp(&cost(*b))).unwrap_or(8)
}
