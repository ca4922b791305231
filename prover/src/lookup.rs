//! Proving the fraction tree (docs/protocol.md#lookups).

use crate::{
    device::{Device, FractionLayer},
    transcript::ProverTranscript,
    witness::{Witness, block_values, padded_runs, scatter},
};
use ark_ff::{AdditiveGroup, PrimeField};
use assay_circuits::Program;
use assay_verifier::{Fr, protocol::gkr::LeafClaim};
use rayon::prelude::*;

/// Numerators and denominators of all leaves.
pub fn leaves(device: &dyn Device, program: &Program, witness: &Witness, alpha: Fr, beta: Fr) -> (Vec<i32>, Vec<Fr>) {
    let size = 1usize << program.leaf_bits;
    let beta2 = beta * beta;
    let mut p = vec![0i32; size];
    let mut q = vec![alpha; size];
    for (s, v) in program.segments.iter().zip(&witness.segments) {
        let tag = beta2 * Fr::from(program.blocks[s.block].tag);
        let mut prints = device.fingerprints(&v.keys, &v.values, alpha - tag, beta);
        for (print, side) in prints.iter_mut().zip(&v.sides) {
            if *side != 0 {
                *print -= beta2 * Fr::from(*side);
            }
        }
        let end = s.leaf + (1usize << s.bits());
        scatter(&s.shape, &prints, &mut q[s.leaf..end]);
        let (starts, run) = padded_runs(&s.shape);
        starts.iter().for_each(|start| p[s.leaf + start..s.leaf + start + run].fill(1));
    }
    for (i, b) in program.blocks.iter().enumerate() {
        let rows = 1usize << b.bits;
        let keys: Vec<i32> = (0..rows).map(|k| (b.key_min + k as i64) as i32).collect();
        let tag = beta2 * Fr::from(b.tag);
        let prints = device.fingerprints(&keys, &block_values(program, i), alpha - tag, beta);
        q[b.leaf..b.leaf + rows].copy_from_slice(&prints);
        p[b.leaf..b.leaf + rows].iter_mut().zip(&witness.multiplicities[i]).for_each(|(p, m)| *p = -m);
    }
    (p, q)
}

/// The element of a small integer.
pub fn element(v: i32) -> Fr {
    let m = Fr::from(v.unsigned_abs());
    if v < 0 { -m } else { m }
}

/// Proves that all leaf fractions add up to zero, and returns the claim on the leaves.
pub fn prove(device: &dyn Device, p: Vec<i32>, q: Vec<Fr>, transcript: &mut ProverTranscript) -> LeafClaim<Fr> {
    let leaf_bits = q.len().trailing_zeros() as usize;
    // layers[k] has 2^(leaf_bits - 1 - k) fractions.
    let mut layers: Vec<(Vec<Fr>, Vec<Fr>)> = Vec::with_capacity(leaf_bits);
    if leaf_bits == 1 {
        layers.push((p.iter().map(|v| element(*v)).collect(), q.clone()));
    } else {
        layers.push(device.fraction_layer_i32(&p, &q));
        while layers.last().is_some_and(|l| l.1.len() > 2) {
            let next = layers.last().map(|(p, q)| device.fraction_layer(p, q));
            layers.extend(next);
        }
    }
    let mut leaf = Some((p, q));
    let mut claim = LeafClaim { point: vec![], p: Fr::ZERO, q: Fr::ZERO };
    if let Some((p, q)) = layers.pop() {
        send_children(&FractionLayer::split(p, q), transcript, &mut claim, vec![]);
    }
    for k in 1..leaf_bits {
        let mix = transcript.challenge();
        let suffixes = device.eq_suffixes(&claim.point);
        let mut point = Vec::with_capacity(k + 1);
        let (mut layer, mut round) = match layers.pop() {
            Some((p, q)) => {
                let layer = FractionLayer::split(p, q);
                let round = device.fraction_round(&layer, &suffixes[0], mix);
                (Some(layer), round)
            }
            None => {
                let round = leaf.as_ref().map(|(p, q)| device.fraction_round_i32(p, q, &suffixes[0], mix));
                (None, round.unwrap_or([Fr::ZERO; 2]))
            }
        };
        for j in 0..k {
            transcript.send(round[0]);
            transcript.send(round[1]);
            let r = transcript.challenge();
            point.push(r);
            let eq = suffixes.get(j + 1).map_or(&[][..], Vec::as_slice);
            match &mut layer {
                Some(layer) => round = device.fraction_bind_round(layer, r, eq, mix),
                None => {
                    if let Some((p, q)) = leaf.take() {
                        let bound = device.fraction_bind_i32(&p, &q, r);
                        if bound.len() > 1 {
                            round = device.fraction_round(&bound, eq, mix);
                        }
                        layer = Some(bound);
                    }
                }
            }
        }
        if let Some(layer) = &layer {
            send_children(layer, transcript, &mut claim, point);
        }
    }
    claim
}

/// Sends the four values of a layer that is bound to one fraction a child, and descends.
fn send_children(layer: &FractionLayer, transcript: &mut ProverTranscript, claim: &mut LeafClaim<Fr>, point: Vec<Fr>) {
    let values = [layer.p0[0], layer.p1[0], layer.q0[0], layer.q1[0]];
    values.iter().for_each(|v| transcript.send(*v));
    let tau = transcript.challenge();
    let [p0, p1, q0, q1] = values;
    claim.p = p0 + tau * (p1 - p0);
    claim.q = q0 + tau * (q1 - q0);
    claim.point = vec![tau];
    claim.point.extend(point);
}

/// `sum_i a[i] * b[i]` for integers and elements.
pub fn inner_product_i32(a: &[i32], b: &[Fr]) -> Fr {
    a.par_chunks(4096)
        .zip(b.par_chunks(4096))
        .map(|(a, b)| {
            let mut acc = Fr::ZERO;
            for (x, y) in a.iter().zip(b) {
                match *x {
                    0 => {}
                    1 => acc += y,
                    -1 => acc -= y,
                    v => acc += element(v) * y,
                }
            }
            acc
        })
        .reduce(|| Fr::ZERO, |a, b| a + b)
}

/// `sum_i a[i] * b[i]`.
pub fn inner_product(a: &[Fr], b: &[Fr]) -> Fr {
    a.par_chunks(4096)
        .zip(b.par_chunks(4096))
        .map(|(a, b)| a.iter().zip(b).map(|(x, y)| *x * y).sum::<Fr>())
        .reduce(|| Fr::ZERO, |a, b| a + b)
}

/// `2^-n`.
pub fn half_power(n: usize) -> Fr {
    use ark_ff::Field;
    let half = Fr::from_bigint(Fr::MODULUS_MINUS_ONE_DIV_TWO).unwrap_or(Fr::ZERO) + Fr::ONE;
    half.pow([n as u64])
}
