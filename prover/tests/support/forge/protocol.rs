//! The protocol's messages, by the definitions.

use super::{Forge, GUESS, Leaves, Lie, fr, places};
use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, Field};
use assay_circuits::{
    Functional, Ring, Tensor,
    program::{MODEL, WITNESS},
    ring::{dot, eq_at, eq_table},
};
use assay_prover::opening;
use assay_verifier::{
    Fr, G1Affine,
    core::{opening_transcript, row_coefficients},
    keccak::digest_to_fr,
    opening::combine_rows,
    proof::Argument,
    protocol::{
        OpeningClaim,
        bilinear::{Instance, Operands, add_operand_claims, rounds},
        gkr::LeafClaim,
        padded_bits,
        reduction::omega_at,
        root::{self, LinearClaim},
    },
    transcript::Transcript,
};

/// What the prover says, and the challenges that answer it.
#[derive(Clone)]
struct Talk {
    transcript: Transcript,
    messages: Vec<Fr>,
    /// Sent, to be absorbed after the next challenge.
    late: Vec<Fr>,
    /// The label whose challenge is the same every time.
    predictable: Option<&'static str>,
}

impl Talk {
    fn send(&mut self, v: Fr) {
        self.transcript.absorb(v);
        self.messages.push(v);
    }

    fn challenge(&mut self, label: &'static str) -> Fr {
        let c = self.transcript.challenge();
        self.late.drain(..).for_each(|v| self.transcript.absorb(v));
        if self.predictable == Some(label) { Fr::from(GUESS) } else { c }
    }
}

impl Forge {
    /// The coming challenge, where the lie is that it is known: because messages are absorbed late, or by a guess.
    fn known(&self, late: Lie, label: &'static str, t: &Talk) -> Option<Fr> {
        match self.lie {
            lie if lie == late => Some(t.transcript.clone().challenge()),
            Lie::Guess(guessed) if guessed == label => Some(Fr::from(GUESS)),
            _ => None,
        }
    }

    /// Sends a message, absorbed late if that is the lie.
    fn send(&self, late: Lie, v: Fr, t: &mut Talk) {
        if self.lie == late {
            t.messages.push(v);
            t.late.push(v);
        } else {
            t.send(v);
        }
    }

    fn tree(&self, leaves: Leaves, t: &mut Talk) -> LeafClaim<Fr> {
        let mut layers = vec![(leaves.p, leaves.q)];
        while layers.last().unwrap().0.len() > 2 {
            let (p, q) = layers.last().unwrap();
            let half = p.len() / 2;
            let next_p = (0..half).map(|i| p[i] * q[i + half] + p[i + half] * q[i]).collect();
            let next_q = (0..half).map(|i| q[i] * q[i + half]).collect();
            layers.push((next_p, next_q));
        }
        let lies = |layer: usize| matches!(self.lie, Lie::Tree(k) if layer <= k);
        let mut claim = LeafClaim { point: vec![], p: Fr::ZERO, q: Fr::ZERO };
        for (k, (p, q)) in layers.into_iter().rev().enumerate() {
            let half = p.len() / 2;
            let mut arrays = [&p[..half], &p[half..], &q[..half], &q[half..]].map(<[Fr]>::to_vec);
            let mix = if k == 0 { Fr::ZERO } else { t.challenge("mix") };
            let mut running = claim.q + mix * claim.p;
            let mut point = vec![];
            for j in 0..k {
                let half = arrays[0].len() / 2;
                let eq = eq_table(&claim.point[j + 1..]);
                let mut g = [Fr::ZERO; 2];
                for (i, e) in eq.iter().enumerate() {
                    let low = [0, 1, 2, 3].map(|a: usize| arrays[a][i]);
                    let slope = [0, 1, 2, 3].map(|a: usize| arrays[a][i + half] - arrays[a][i]);
                    let value = |[p0, p1, q0, q1]: [Fr; 4]| q0 * q1 + mix * (p0 * q1 + p1 * q0);
                    g[0] += *e * value(low);
                    g[1] += *e * value(slope);
                }
                t.send(g[0]);
                t.send(g[1]);
                let r = t.challenge("r");
                let z = claim.point[j];
                let at_one = (running - (Fr::ONE - z) * g[0]) * z.inverse().unwrap();
                running = g[0] + r * (at_one - g[0] - g[1] + r * g[1]);
                arrays.iter_mut().for_each(|a| fold(a, r));
                point.push(r);
            }
            let [mut p0, mut p1, mut q0, q1] = [0, 1, 2, 3].map(|a: usize| arrays[a][0]);
            let guess = Fr::from(GUESS);
            match self.lie {
                // The root's numerator vanishes, and p at tau stays as it is.
                Lie::Guess("tau") if k == 0 => {
                    let kept = p0 + guess * (p1 - p0);
                    p1 = kept / (guess - (Fr::ONE - guess) * q0 / q1);
                    p0 = -p1 * q0 / q1;
                }
                // The root's numerator vanishes, and q + mix p stays as it is.
                Lie::Guess("mix") if k == 0 => {
                    let d = -(p0 * q1 + p1 * q0) / (q1 - guess * p1);
                    p0 += d;
                    q0 -= guess * d;
                }
                _ => {}
            }
            if lies(k) {
                // The check of this layer, solved for p0; the root's says that the numerator is zero.
                p0 = if k == 0 { -p1 * q0 / q1 } else { (running - q0 * q1 - mix * p1 * q0) / (mix * q1) };
            }
            [p0, p1, q0, q1].into_iter().for_each(|v| t.send(v));
            let tau = t.challenge("tau");
            claim.p = p0 + tau * (p1 - p0);
            claim.q = q0 + tau * (q1 - q0);
            claim.point = [vec![tau], point].concat();
        }
        claim
    }

    /// `<operand, w(x)>` at every corner, by the definition.
    fn operand(&self, i: &Instance<Fr>, side: usize, values: &[Option<Tensor>]) -> Vec<Fr> {
        let operand = values[i.operands[side].0].as_ref().unwrap();
        let data: Vec<Fr> = operand.data.iter().map(|v| fr(*v)).collect();
        (0..1usize << i.rounds)
            .map(|corner| {
                let point: Vec<Fr> = (0..i.rounds).rev().map(|b| fr((corner >> b & 1) as i64)).collect();
                let f: Functional<Fr> = i.contraction.operand_functional(&i.rows[side], &point);
                f.pair(&operand.shape, data.clone()).unwrap()
            })
            .collect()
    }

    fn bilinear(&self, instances: &[Instance<Fr>], claim: &mut LinearClaim<Fr>, t: &mut Talk) -> Operands<Fr> {
        let values = self.values();
        let total = rounds(instances);
        let mut products: Vec<[Vec<Fr>; 2]> = instances
            .iter()
            .map(|i| {
                let scale = i.coefficient * <Fr as Ring>::pow2(-((total - i.rounds) as i32));
                let [a, b] = [0, 1].map(|side| stretch(&self.operand(i, side, &values), total));
                [a.into_iter().map(|v| v * scale).collect(), b]
            })
            .collect();
        let mut sum: Fr = products.iter().map(|[a, b]| dot(a, b)).sum();
        if matches!(self.lie, Lie::Sum | Lie::Operand) {
            sum = claim.value - self.paired(claim);
        }
        t.send(sum);
        let (point, last) = self.sumcheck(&mut products, sum, t);
        let mut operands = Vec::new();
        for (i, [a, b]) in instances.iter().zip(&products) {
            let scale = i.coefficient * <Fr as Ring>::pow2(-((total - i.rounds) as i32));
            operands.push([a[0] / scale, b[0]]);
        }
        if self.lie == Lie::Operand {
            let product: Fr = products.iter().map(|[a, b]| a[0] * b[0]).sum();
            let scale = products[0][0][0] / operands[0][0];
            let other = operands[0][1];
            operands[0][0] += (last - product) / (scale * other);
        }
        claim.value -= sum;
        if let Some(rho) = self.known(Lie::LateOperands, "rho", t) {
            self.trade_operands(instances, claim, &point, &mut operands, rho);
        }
        operands.iter().flatten().for_each(|v| self.send(Lie::LateOperands, *v, t));
        Operands { point, values: operands }
    }

    /// For a `rho` known in advance: moves the first instance's `A` and the second one's so that the bilinear check still
    /// holds and the linear claim becomes true.
    fn trade_operands(
        &self,
        instances: &[Instance<Fr>],
        claim: &LinearClaim<Fr>,
        point: &[Fr],
        values: &mut [[Fr; 2]],
        rho: Fr,
    ) {
        let mut full = claim.clone();
        let operands = Operands { point: point.to_vec(), values: values.to_vec() };
        add_operand_claims(&self.program, instances, &operands, &rho, &mut full).unwrap();
        let missing = self.paired(&full) - full.value;
        let scale = |i: usize| {
            instances[i].coefficient * <Fr as Ring>::pow2(-((point.len() - instances[i].rounds) as i32)) * values[i][1]
        };
        // scale_0 d_0 + scale_1 d_1 = 0, rho d_0 + rho^3 d_1 = missing
        let ratio = -scale(0) / scale(1);
        let first = missing / (rho + rho * rho * rho * ratio);
        values[0][0] += first;
        values[1][0] += first * ratio;
    }

    /// The sum of a claim's terms.
    fn paired(&self, claim: &LinearClaim<Fr>) -> Fr {
        let [f, w] = self.omegas(claim);
        dot(&self.stack(WITNESS), &f) + dot(&self.stack(MODEL), &w)
    }

    fn bits(&self) -> [usize; 2] {
        [self.program.stack_bits(WITNESS), self.program.stack_bits(MODEL)].map(|b| padded_bits(b, self.row_bits))
    }

    /// The dense weights of both stacks, entry by entry.
    fn omegas(&self, claim: &LinearClaim<Fr>) -> [Vec<Fr>; 2] {
        let mut out = self.bits().map(|b| vec![Fr::ZERO; 1 << b]);
        for term in &claim.terms {
            let t = &self.program.tensors[term.tensor];
            let index: Vec<Vec<usize>> = (0..t.shape.iter().product())
                .map(|mut e| {
                    let mut at = vec![0; t.shape.len()];
                    for (a, d) in t.shape.iter().enumerate().rev() {
                        at[a] = e % d;
                        e /= d;
                    }
                    at
                })
                .collect();
            let target = &mut out[usize::from(t.stack == MODEL)];
            for (place, at) in places(&self.program, term.tensor).into_iter().zip(index) {
                let weight = term.functional.factors.iter().fold(term.coefficient, |w, f| {
                    w * f.weights[f.axes.iter().fold(0, |k, a| k * t.shape[*a] + at[*a])]
                });
                target[place] += weight;
            }
        }
        out
    }

    fn reduction(&self, claim: &LinearClaim<Fr>, stacks: &[Vec<Fr>; 2], t: &mut Talk) -> OpeningClaim<Fr> {
        let bits = self.bits();
        let total = bits[0].max(bits[1]);
        let omegas = self.omegas(claim);
        let mut products: Vec<[Vec<Fr>; 2]> = (0..2)
            .map(|k| {
                let scale = <Fr as Ring>::pow2(-((total - bits[k]) as i32));
                [stretch(&stacks[k], total), stretch(&omegas[k], total).into_iter().map(|v| v * scale).collect()]
            })
            .collect();
        let (point, last) = self.sumcheck(&mut products, claim.value, t);
        let tail = |k: usize| &point[total - bits[k]..];
        let omega = [WITNESS, MODEL];
        for k in 0..2 {
            let direct = omega_at(&self.program, &claim.terms, omega[k], tail(k)).unwrap();
            assert_eq!(direct * <Fr as Ring>::pow2(-((total - bits[k]) as i32)), products[k][1][0]);
        }
        let [mut f, mut w] = [products[0][0][0], products[1][0][0]];
        let missing = last - f * products[0][1][0] - w * products[1][1][0];
        match self.lie {
            Lie::Witness | Lie::Opening => f += missing / products[0][1][0],
            Lie::Model => w += missing / products[1][1][0],
            _ => {}
        }
        if let Some(gamma) = self.known(Lie::LateStacks, "gamma", t) {
            // f + gamma W stays as it is.
            let dw = missing / (products[1][1][0] - gamma * products[0][1][0]);
            f -= gamma * dw;
            w += dw;
        }
        self.send(Lie::LateStacks, f, t);
        self.send(Lie::LateStacks, w, t);
        let gamma = t.challenge("gamma");
        let high = [0, 1].map(|k| tail(k)[..bits[k] - self.row_bits].to_vec()).to_vec();
        let low = point[total - self.row_bits..].to_vec();
        OpeningClaim { high, low, gamma, value: f + gamma * w }
    }

    /// Sends the rounds of `sum_i a_i b_i = claim`, true or not; `products` end up with one entry each.
    fn sumcheck(&self, products: &mut [[Vec<Fr>; 2]], mut claim: Fr, t: &mut Talk) -> (Vec<Fr>, Fr) {
        let mut point = vec![];
        while products.first().is_some_and(|p| p[0].len() > 1) {
            let mut h = [Fr::ZERO; 2];
            for [a, b] in products.iter() {
                let half = a.len() / 2;
                for i in 0..half {
                    h[0] += a[i] * b[i];
                    h[1] += (a[i + half] - a[i]) * (b[i + half] - b[i]);
                }
            }
            t.send(h[0]);
            if let Some(r) = self.known(Lie::LateRound, "r", t) {
                // At r, what the claim lacks must vanish: r (claim - truth) + (r^2 - r) d = 0.
                let truth: Fr = products.iter().map(|[a, b]| dot(a, b)).sum();
                h[1] -= (claim - truth) / (r - Fr::ONE);
            }
            self.send(Lie::LateRound, h[1], t);
            let r = t.challenge("r");
            claim = h[0] + r * (claim - h[0] - h[0] - h[1] + r * h[1]);
            products.iter_mut().flatten().for_each(|a| fold(a, r));
            point.push(r);
        }
        (point, claim)
    }

    /// The argument.
    pub fn argue(&self) -> Argument {
        let stacks = [WITNESS, MODEL].map(|stack| self.stack(stack));
        let rows = self.commit(&stacks[0]);
        let digest = self.stale.unwrap_or_else(|| self.digest(&rows));
        let predictable = match self.lie {
            Lie::Guess(label) if self.predictable => Some(label),
            _ => None,
        };
        let mut t = Talk { transcript: Transcript::new().unwrap(), messages: vec![], late: vec![], predictable };
        t.transcript.absorb(digest_to_fr(&digest));
        let (alpha, beta) = (t.challenge("alpha"), t.challenge("beta"));
        let leaf = self.tree(self.leaves(alpha, beta), &mut t);
        let (zeta, lambda) = (t.challenge("zeta"), t.challenge("lambda"));
        let challenges = root::Challenges { alpha, beta, zeta, lambda };
        let values = self.public.iter().flatten();
        let public = values.rev().fold(Fr::ZERO, |acc, v| acc * zeta + fr(*v));
        let root = root::build(&self.program, &leaf, &challenges, public).unwrap();
        let (instances, mut claim) = root.pull_back(&self.program).unwrap();
        if !instances.is_empty() {
            let operands = self.bilinear(&instances, &mut claim, &mut t);
            let rho = t.challenge("rho");
            add_operand_claims(&self.program, &instances, &operands, &rho, &mut claim).unwrap();
        }
        let claim = self.reduction(&claim, &stacks, &mut t);

        let coefficients = row_coefficients(&claim);
        let size = 1 << self.row_bits;
        let mut h = vec![Fr::ZERO; size];
        for (stack, c) in stacks.iter().zip(&coefficients) {
            for (row, c) in stack.chunks(size).zip(c) {
                h.iter_mut().zip(row).for_each(|(h, v)| *h += *c * v);
            }
        }
        if self.lie == Lie::Opening {
            let missing = claim.value - dot(&h, &eq_table(&claim.low));
            h[0] += missing / eq_at(&claim.low, 0);
        }
        let points: Vec<G1Affine> = rows.iter().chain(&self.model_rows).copied().collect();
        let commitment = combine_rows(&points, &coefficients.concat()).unwrap().into_affine();
        let mut t2 = opening_transcript(&digest, &claim, commitment);
        let opened =
            opening::open(&assay_prover::device::Cpu::default(), &&self.bases[..], &h, &claim.low, &mut t2).unwrap();
        Argument {
            row_bits: self.row_bits,
            rows,
            given: Default::default(),
            messages: t.messages,
            opening: opened.proof,
        }
    }
}

/// Binds the most significant variable.
fn fold(a: &mut Vec<Fr>, r: Fr) {
    let half = a.len() / 2;
    for i in 0..half {
        let slope = a[i + half] - a[i];
        a[i] += r * slope;
    }
    a.truncate(half);
}

/// The same function with more, leading, variables that it does not depend on.
fn stretch(a: &[Fr], bits: usize) -> Vec<Fr> {
    a.iter().copied().cycle().take(1 << bits).collect()
}
