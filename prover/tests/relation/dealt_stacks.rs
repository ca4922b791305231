//! The reduction runs over a list of stacks: whatever their number and lengths, prover and verifier end in the same claim,
//! which is about every stack, and a false value of any of them is refused (docs/protocol.md#reduction).

use crate::support;

use ark_ff::{AdditiveGroup, Field};
use assay_circuits::{
    Functional, Program, Ring, Visibility,
    program::Stack,
    ring::{dot, eq_table, index_bits},
};
use assay_prover::{
    device::{Cpu, Device, Reference},
    reduction::{combined_row, prove},
    transcript::ProverTranscript,
};
use assay_verifier::{
    Fr,
    channel::{Channel, Check, ProtocolError},
    core::row_coefficients,
    native::NativeChannel,
    protocol::{
        Mode, OpeningClaim, padded_bits, reduction,
        root::{LinearClaim, TensorTerm},
    },
};
use proptest::prelude::*;
use support::{forge::places, toy};

fn fr(v: i64) -> Fr {
    Fr::from_i128(i128::from(v))
}

/// A layout whose tensors are dealt out to stacks, the contents of all stacks in whole rows, and a true claim about them.
struct Case {
    program: Program,
    row_bits: usize,
    stacks: Vec<Vec<i32>>,
    claim: LinearClaim<Fr>,
}

/// Numbers without a pattern.
fn mix(seed: u64) -> impl FnMut() -> i64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as i64 - (1 << 23)
    }
}

fn case(stacks: usize, batch: usize, row_bits: usize, seed: u64) -> Case {
    let mut next = mix(seed);
    let mut program = Program::inference(&toy(), batch, Visibility::default()).unwrap();
    program.stacks = vec![Stack { bits: 0, label: "f(x)" }; stacks];
    for k in 0..stacks {
        let mut at = 0;
        let mut own: Vec<usize> = (0..program.tensors.len()).filter(|i| i % stacks == k).collect();
        own.sort_by_key(|i| std::cmp::Reverse(program.tensors[*i].bits()));
        for i in own {
            (program.tensors[i].stack, program.tensors[i].offset) = (k, at);
            at += 1 << program.tensors[i].bits();
        }
        program.stacks[k].bits = index_bits(at.max(1));
    }
    let contents: Vec<Vec<i32>> = program
        .stacks
        .iter()
        .map(|s| (0..1usize << padded_bits(s.bits, row_bits)).map(|_| next() as i32).collect())
        .collect();
    let mut claim = LinearClaim { terms: vec![], value: Fr::ZERO };
    for (tensor, t) in program.tensors.iter().enumerate() {
        let axes: Vec<Vec<Fr>> = t.shape.iter().map(|d| (0..*d).map(|_| fr(next())).collect()).collect();
        let coefficient = fr(next());
        let weights = axes
            .iter()
            .fold(vec![coefficient], |all, axis| all.iter().flat_map(|w| axis.iter().map(move |a| *w * a)).collect());
        let entries: Vec<Fr> =
            places(&program, tensor).into_iter().map(|p| fr(i64::from(contents[t.stack][p]))).collect();
        claim.value += dot(&entries, &weights);
        claim.terms.push(TensorTerm { tensor, coefficient, functional: Functional::from_axes(axes) });
    }
    Case { program, row_bits, stacks: contents, claim }
}

impl Case {
    fn prove<D: Device>(&self, device: &D, mask: Option<&[Fr]>) -> (Vec<Fr>, OpeningClaim<Fr>) {
        let mut transcript = ProverTranscript::new(None, Fr::ONE).unwrap();
        let stacks: Vec<_> = self.stacks.iter().map(|s| device.integers(s)).collect();
        let stacks: Vec<_> = stacks.iter().collect();
        let opening = prove(device, &self.program, self.row_bits, &self.claim, &stacks, mask, &mut transcript);
        (transcript.into_messages(), opening)
    }

    fn verify(&self, messages: &[Fr], mode: Mode) -> Result<OpeningClaim<Fr>, ProtocolError> {
        let mut channel = NativeChannel::new(messages, &[])?;
        channel.observe("statement", &Fr::ONE)?;
        let out = reduction::verify(&mut channel, &self.program, self.row_bits, mode, self.claim.clone())?;
        assert_eq!(channel.unread(), 0);
        Ok(out)
    }

    /// The row that the claim is about, from its definition, and from the device.
    fn row<D: Device>(&self, device: &D, claim: &OpeningClaim<Fr>) -> [Vec<Fr>; 2] {
        let coefficients = row_coefficients(claim);
        assert_eq!(coefficients.len(), self.stacks.len());
        let mut row = vec![Fr::ZERO; 1 << self.row_bits];
        for (stack, c) in self.stacks.iter().zip(&coefficients) {
            assert_eq!(stack.len() >> self.row_bits, c.len());
            for (chunk, c) in stack.chunks(1 << self.row_bits).zip(c) {
                row.iter_mut().zip(chunk).for_each(|(r, v)| *r += *c * fr(i64::from(*v)));
            }
        }
        let stacks: Vec<_> = self.stacks.iter().map(|s| device.integers(s)).collect();
        let of_stacks: Vec<&[Fr]> = coefficients.iter().map(Vec::as_slice).collect();
        let combined = combined_row(device, self.row_bits, &stacks.iter().collect::<Vec<_>>(), &of_stacks);
        [row, device.download(&combined)]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_number_of_stacks_is_reduced_to_one_row(
        stacks in 1usize..7, batch in 1usize..5, row_bits in 1usize..7, seed: u64, hiding: bool,
    ) {
        let c = case(stacks, batch, row_bits, seed);
        let mut next = mix(seed ^ 1);
        let mask: Vec<Fr> = (0..1usize << row_bits).map(|_| fr(next())).collect();
        let (mask, mode) = if hiding { (Some(mask.as_slice()), Mode::Hiding) } else { (None, Mode::Core) };
        let device = Cpu::default();
        let (messages, claim) = c.prove(&device, mask);
        prop_assert_eq!(&messages, &c.prove(&Reference, mask).0);
        let heard = c.verify(&messages, mode).unwrap();
        prop_assert_eq!((&heard.high, &heard.low, heard.gamma, heard.value), (&claim.high, &claim.low, claim.gamma, claim.value));
        let [mut row, combined] = c.row(&device, &claim);
        prop_assert_eq!(&row, &combined);
        if let Some(mask) = mask {
            let weight = claim.gamma.pow([stacks as u64]);
            row.iter_mut().zip(mask).for_each(|(r, s)| *r += weight * s);
        }
        // What the opening is about is what the messages said.
        prop_assert_eq!(dot(&row, &eq_table(&claim.low)), claim.value);

        // A false value of any stack, and two values exchanged.
        let first = messages.len() - stacks - usize::from(hiding);
        for k in 0..stacks {
            let mut lie = messages.clone();
            lie[first + k] += Fr::ONE;
            prop_assert_eq!(c.verify(&lie, mode).err(), Some(ProtocolError::Check(Check::Reduction)));
            let mut swapped = messages.clone();
            swapped.swap(first, first + k);
            prop_assert_eq!(c.verify(&swapped, mode).is_err(), messages[first] != messages[first + k]);
        }
    }
}

/// Two stacks of one length with their contents exchanged are another statement: `gamma` tells them apart.
#[test]
fn stacks_do_not_change_places() {
    let c = case(4, 2, 3, 7);
    let (messages, claim) = c.prove(&Cpu::default(), None);
    c.verify(&messages, Mode::Core).unwrap();
    let same: Vec<(usize, usize)> = (0..4)
        .flat_map(|a| (0..a).map(move |b| (a, b)))
        .filter(|(a, b)| c.stacks[*a].len() == c.stacks[*b].len())
        .collect();
    assert!(!same.is_empty());
    for (a, b) in same {
        let mut other = Case { stacks: c.stacks.clone(), program: c.program.clone(), claim: c.claim.clone(), ..c };
        other.stacks.swap(a, b);
        let [row, _] = other.row(&Cpu::default(), &claim);
        assert_ne!(dot(&row, &eq_table(&claim.low)), claim.value, "stacks {a} and {b}");
    }
}
