//! The fraction tree: the sum of all lookup fractions is zero (docs/protocol.md#lookups).
//!
//! Leaves are fractions `p/q`; a parent adds its two children, `(p0 q1 + p1 q0) / (q0 q1)`, where the child is told by the
//! *top* index bit. Each layer is one sumcheck in Gruen's form: the factor `eq(z, .)` is left out of the messages, so a
//! round polynomial has degree two (Gruen, ePrint 2024/108, section 3; Papini and Haböck, ePrint 2023/1284).

use super::sumcheck::evaluate;
use crate::channel::{Channel, Check, ProtocolError};
use assay_circuits::Ring;

/// What the tree leaves to prove: the multilinear extensions of the leaves at one point.
#[derive(Clone, Debug)]
pub struct LeafClaim<E> {
    /// The point, most significant coordinate first.
    pub point: Vec<E>,
    /// Numerator.
    pub p: E,
    /// Denominator.
    pub q: E,
}

/// The four values that end a layer.
struct Children<E> {
    p0: E,
    p1: E,
    q0: E,
    q1: E,
}

impl<E: Ring> Children<E> {
    fn receive<C: Channel<Elem = E>>(channel: &mut C) -> Result<Self, ProtocolError> {
        Ok(Self {
            p0: channel.receive("p0")?,
            p1: channel.receive("p1")?,
            q0: channel.receive("q0")?,
            q1: channel.receive("q1")?,
        })
    }

    fn numerator(&self) -> E {
        self.p0.clone() * self.q1.clone() + self.p1.clone() * self.q0.clone()
    }

    fn denominator(&self) -> E {
        self.q0.clone() * self.q1.clone()
    }

    /// Both children at `tau`, for the claim on the layer below.
    fn descend(self, tau: &E) -> (E, E) {
        let line = |a: E, b: E| a.clone() + tau.clone() * (b - a);
        (line(self.p0, self.p1), line(self.q0, self.q1))
    }
}

/// Runs the tree of `2^leaf_bits` leaves, `leaf_bits >= 1`.
pub fn verify<C: Channel>(channel: &mut C, leaf_bits: usize) -> Result<LeafClaim<C::Elem>, ProtocolError> {
    let top = Children::receive(channel)?;
    channel.assert_zero(Check::LookupSum, top.numerator())?;
    channel.invert("lookup denominator", &top.denominator())?;
    let tau = channel.challenge("tau")?;
    let (mut p, mut q) = top.descend(&tau);
    let mut point = vec![tau];
    for _ in 1..leaf_bits {
        let mix = channel.challenge("mix")?;
        let mut claim = q + mix.clone() * p;
        let mut next = Vec::with_capacity(point.len() + 1);
        for z in &point {
            let g0 = channel.receive("g(0)")?;
            let g_inf = channel.receive("g(inf)")?;
            let r = channel.challenge("r")?;
            // claim = (1 - z) g(0) + z g(1)
            let inverse = channel.invert("z", z)?;
            let g1 = (claim - g0.clone() + z.clone() * g0.clone()) * inverse;
            claim = evaluate(&g0, &g1, &g_inf, &r);
            next.push(r);
        }
        let children = Children::receive(channel)?;
        let expected = children.denominator() + mix * children.numerator();
        channel.assert_zero(Check::LookupLayer, expected - claim)?;
        let tau = channel.challenge("tau")?;
        (p, q) = children.descend(&tau);
        point = vec![tau];
        point.append(&mut next);
    }
    Ok(LeafClaim { point, p, q })
}
