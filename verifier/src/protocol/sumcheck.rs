//! Rounds of degree two (docs/protocol.md#sumcheck).

use crate::channel::{Channel, ProtocolError};
use assay_circuits::Ring;

/// The quadratic through `h(0)`, `h(1)` with leading coefficient `h_inf`, at `r`.
pub fn evaluate<E: Ring>(h0: &E, h1: &E, h_inf: &E, r: &E) -> E {
    // h0 + r (h1 - h0 - h_inf) + r^2 h_inf
    let linear = h1.clone() - h0.clone() - h_inf.clone();
    h0.clone() + r.clone() * (linear + r.clone() * h_inf.clone())
}

/// Runs `rounds` rounds of a sumcheck for a sum of products of two multilinear polynomials, most significant variable
/// first. A round sends `h(0)` and the leading coefficient; `h(1)` is the claim less `h(0)`.
/// Returns the point and the final claim.
pub fn verify<C: Channel>(
    channel: &mut C,
    rounds: usize,
    mut claim: C::Elem,
) -> Result<(Vec<C::Elem>, C::Elem), ProtocolError> {
    let mut point = Vec::new();
    for _ in 0..rounds {
        let h0 = channel.receive("h(0)")?;
        let h_inf = channel.receive("h(inf)")?;
        let r = channel.challenge("r")?;
        let h1 = claim - h0.clone();
        claim = evaluate(&h0, &h1, &h_inf, &r);
        point.push(r);
    }
    Ok((point, claim))
}
