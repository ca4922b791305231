//! Decoders on bytes from anybody: random ones, and valid files with random changes. Whatever decodes encodes to the same
//! bytes, and whatever does not is an error. The fuzz targets in `fuzz/` do the same for longer.

use crate::{stack_set, support};

use ark_bn254::{Fq, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use assay_circuits::{Graph, Program, Tensor, Visibility, canonical, model::Model};
use assay_prover::{
    Blinding, ProvingKey, Recorder, Stack,
    device::Cpu,
    settle::{canary::setup_canary, settle},
    srs::{Srs, import_ptau},
};
use assay_verifier::{
    CoreProof, VerifyingKey,
    core::{check_registration, verify},
    opening::VerifierSrs,
    settle::key::{Context, SettledProof, SettlementKey},
};
use std::{io::Cursor, sync::OnceLock};
use support::{Lcg, forge::Forge, model, toy_key};

/// A random change of a file.
fn mutate(rng: &mut Lcg, seed: &[u8]) -> Vec<u8> {
    let mut out = seed.to_vec();
    for _ in 0..1 + rng.next() % 3 {
        let len = out.len();
        let at = rng.next() as usize % (len + 1);
        let n = (1 << (rng.next() % 6)).min(len - at);
        match rng.next() % 8 {
            0 | 1 if at < len => out[at] ^= 1 << (rng.next() % 8),
            2 if at < len => out[at] = rng.next() as u8,
            3 => out[at..at + n].fill(0xff),
            4 => out[at..at + n].fill(0),
            5 => out.truncate(at),
            6 => {
                let copy = out[at..at + n].to_vec();
                out.splice(at..at, copy);
            }
            _ => {
                out.drain(at..at + n);
            }
        }
        // Headers are short; without this most changes would fall behind them.
        if rng.next().is_multiple_of(4) && !out.is_empty() {
            let at = rng.next() as usize % out.len().min(64);
            out[at] = rng.next() as u8;
        }
    }
    out
}

/// Runs a decoder on the seed, on changes of it, and on noise; `decode` says whether it accepts.
fn hammer(seed: &[u8], cases: usize, decode: impl Fn(&[u8]) -> bool) -> usize {
    assert!(decode(seed), "the seed is valid");
    let mut rng = Lcg(17);
    let mut accepted = 0;
    for _ in 0..cases {
        accepted += usize::from(decode(&mutate(&mut rng, seed)));
        let noise: Vec<u8> = (0..rng.next() % 300).map(|_| rng.next() as u8).collect();
        decode(&noise);
        // Noise behind a true beginning.
        let start = rng.next() as usize % seed.len();
        decode(&[&seed[..start], &noise].concat());
    }
    accepted
}

/// The toy with a proof, and a key and a proof about a named stack; with the number of cases that each is tried with.
fn core() -> [(ProvingKey, CoreProof, usize); 2] {
    let (key, inputs) = toy_key();
    let honest = Forge::inference(&key, &inputs).prove();
    let (linked, about) = stack_set::core_proof();
    [(key, honest, 1500), (linked, about, 500)]
}

#[test]
fn proofs() {
    for (key, honest, cases) in core() {
        let accepted = hammer(&honest.to_bytes(), cases, |bytes| match CoreProof::from_bytes(bytes) {
            Ok(p) => {
                assert_eq!(p.to_bytes(), bytes);
                assert_eq!(verify(&key.verifying, &p).is_ok(), p == honest);
                true
            }
            Err(_) => false,
        });
        assert!(accepted > cases / 75, "{accepted}");
    }
}

#[test]
fn keys() {
    for (key, _, cases) in core() {
        let accepted =
            hammer(&key.verifying.to_bytes().unwrap(), cases, |bytes| match VerifyingKey::from_bytes(bytes) {
                Ok(k) => {
                    assert_eq!(k.to_bytes().unwrap(), bytes);
                    assert_eq!(check_registration(&k).is_ok(), k == key.verifying);
                    true
                }
                Err(_) => false,
            });
        assert!(accepted > cases / 75, "{accepted}");
    }
}

/// The smallest settlement key and one about a named stack, with a proof under each.
fn settled() -> &'static [(SettlementKey, SettledProof); 2] {
    static SETTLED: OnceLock<[(SettlementKey, SettledProof); 2]> = OnceLock::new();
    SETTLED.get_or_init(|| {
        let (device, recorder) = (Cpu::default(), Recorder::default());
        let prover = setup_canary(&device, &Srs::development(12, 7).unwrap(), &recorder).unwrap();
        let input = vec![vec![Tensor::new(vec![1, 2], vec![7, -8]).unwrap()]];
        let context = Context { chain_id: 1, consumer: [2; 20], job: [3; 32], recipient: [4; 20] };
        let proof = settle(&device, &prover, &input, context.clone(), &recorder).unwrap().proof;
        [(prover.key, proof), stack_set::settled_proof(context)]
    })
}

/// Decodes a settlement key and checks it: whatever is accepted is the key itself.
fn settlement_key(true_key: &SettlementKey, bytes: &[u8]) -> bool {
    let Ok(k) = SettlementKey::from_bytes(bytes) else { return false };
    assert_eq!(k.to_bytes().unwrap(), bytes);
    let _ = k.program();
    assert_eq!(k.check().is_ok(), k == *true_key);
    true
}

fn settled_proof((key, proof): &(SettlementKey, SettledProof), bytes: &[u8]) -> bool {
    let Ok(p) = SettledProof::from_bytes(bytes) else { return false };
    assert_eq!(p.to_bytes(), bytes);
    assert_eq!(key.verify(&p).is_ok(), p == *proof);
    true
}

#[test]
fn settlement_keys() {
    for ((key, _), cases) in settled().iter().zip([1500, 500]) {
        let accepted = hammer(&key.to_bytes().unwrap(), cases, |bytes| settlement_key(key, bytes));
        assert!(accepted > cases / 75, "{accepted}");
    }
}

#[test]
fn settled_proofs() {
    for (case, cases) in settled().iter().zip([1500, 500]) {
        let accepted = hammer(&case.1.to_bytes(), cases, |bytes| settled_proof(case, bytes));
        assert!(accepted > cases / 75, "{accepted}");
    }
}

/// Every byte of the parts that are not points or numbers, and every so many of the rest.
#[test]
fn flipped_bytes_of_settled_files() {
    let flip = |bytes: &[u8], head: usize, stride: usize, decode: &dyn Fn(&[u8]) -> bool| {
        let mut decoded = 0;
        for at in (0..head).chain((head..bytes.len()).step_by(stride)) {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1 << (at % 8);
            // `decode` compares what a check says with whether the file is the true one.
            decoded += usize::from(decode(&changed));
        }
        assert!(decoded > 0);
        for end in (0..bytes.len()).step_by(11) {
            assert!(!decode(&bytes[..end]), "cut after {end} bytes");
        }
        assert!(!decode(&[bytes, &[0]].concat()));
        assert!(decode(bytes));
    };
    for (case, stride) in settled().iter().zip([7, 29]) {
        let (key, proof) = case;
        let bytes = key.to_bytes().unwrap();
        let words = bytes.len() - key.descriptor.to_bytes().len() - key.registration.to_bytes().len() - 9 * 64;
        flip(&bytes, words, stride, &|bytes| settlement_key(key, bytes));
        let bytes = proof.to_bytes();
        flip(&bytes, bytes.len() - proof.argument.len(), stride, &|bytes| settled_proof(case, bytes));
    }
}

/// Stack files come from strangers, and whoever makes one can make its checksum good.
#[test]
fn stack_files() {
    let schema = stack_set::schema(&[("a", &[3, 5], 8), ("b", &[300], 20)]);
    let mut rng = Lcg(10);
    let values = vec![rng.tensor(&[3, 5], 8), rng.tensor(&[300], 20)];
    let stack = stack_set::commit(&schema, values, Blinding::Random);
    let file = stack.to_bytes().unwrap();
    assert_eq!(sealed(&file, "assay.stack-file"), file);
    let accepted = hammer(&file, 1500, |bytes| {
        let _ = Stack::from_bytes(bytes);
        let bytes = sealed(bytes, "assay.stack-file");
        let Ok(read) = Stack::from_bytes(&bytes) else { return false };
        assert_eq!(read.to_bytes().unwrap(), bytes);
        // Another name or width is another stack, with an id of its own, about the same rows.
        let committed = read.check(&Cpu::default(), stack_set::srs()).is_ok();
        assert!(!committed || read.rows() == stack.rows());
        assert_eq!(committed && read.schema() == stack.schema(), read == stack);
        true
    });
    assert!(accepted > 20, "{accepted}");
}

#[test]
fn graphs() {
    for graph in [support::toy(), support::mixed()] {
        let accepted = hammer(&graph.to_bytes().unwrap(), 1500, |bytes| match Graph::from_bytes(bytes) {
            Ok(g) => {
                assert_eq!(g.to_bytes().unwrap(), bytes);
                let _ = Program::registration(&g);
                let _ = Program::inference(&g, 2, Visibility::default());
                true
            }
            Err(_) => false,
        });
        assert!(accepted > 20, "{accepted}");
    }
}

/// A model's or stack's file with its length and checksum made good again, so that changes reach the payload's decoder.
fn sealed(bytes: &[u8], domain: &str) -> Vec<u8> {
    const HEADER: usize = 18;
    const CHECKSUM: usize = 32;
    if bytes.len() < HEADER + CHECKSUM {
        return bytes.to_vec();
    }
    let mut out = bytes[..bytes.len() - CHECKSUM].to_vec();
    let payload = (out.len() - HEADER) as u64;
    out[10..18].copy_from_slice(&payload.to_be_bytes());
    let sum = canonical::digest(domain, &[&out]);
    out.extend_from_slice(&sum);
    out
}

#[test]
fn models() {
    let file = model(support::toy(), 1).to_bytes().unwrap();
    assert_eq!(sealed(&file, "assay.model-file"), file);
    let accepted = hammer(&file, 1500, |bytes| {
        let _ = Model::from_bytes(bytes);
        let bytes = sealed(bytes, "assay.model-file");
        match Model::from_bytes(&bytes) {
            Ok(m) => {
                assert_eq!(m.to_bytes().unwrap(), bytes);
                m.model_id().unwrap();
                true
            }
            Err(_) => false,
        }
    });
    assert!(accepted > 20, "{accepted}");
}

#[test]
fn powers_of_tau() {
    let srs = Srs::development(3, 7).unwrap();
    let mut file = Vec::new();
    srs.write(&mut file).unwrap();
    hammer(&file, 1500, |bytes| match Srs::read(&mut Cursor::new(bytes), 3) {
        // Hashes of shorter prefixes are not read; everything that is used is as it was written.
        Ok(s) => {
            assert_eq!(s, srs);
            true
        }
        Err(_) => false,
    });
    hammer(&srs.verifier().to_bytes(), 500, |bytes| match VerifierSrs::from_bytes(bytes) {
        Ok(s) => {
            assert_eq!(s, srs.verifier());
            true
        }
        Err(_) => false,
    });
}

/// The smallest ceremony file: power one, one contribution.
fn ptau(srs: &Srs) -> Vec<u8> {
    let coordinate = |x: Fq| x.0.0.map(u64::to_le_bytes).concat();
    let g1 = |p: &G1Affine| p.xy().map(|(x, y)| [coordinate(x), coordinate(y)].concat()).unwrap();
    let g2 = |p: &G2Affine| {
        let (x, y) = p.xy().unwrap();
        [x.c0, x.c1, y.c0, y.c1].map(coordinate).concat()
    };
    let prime: Vec<u8> = <Fq as ark_ff::PrimeField>::MODULUS.0.map(u64::to_le_bytes).concat();
    let power = 1u32.to_le_bytes();
    let sections = [
        [&32u32.to_le_bytes()[..], &prime, &power, &power].concat(),
        srs.g1_powers[..3].iter().flat_map(g1).collect(),
        [g2(&srs.g2), g2(&srs.tau_g2)].concat(),
        [
            &1u32.to_le_bytes()[..],
            &g1(&srs.g1_powers[1]),
            &g2(&srs.tau_g2),
            &[0; 8 * 64 + 4 * 128 + 216 + 64 + 4],
            &4u32.to_le_bytes(),
            &[1, 2, b'm', b'e'],
        ]
        .concat(),
    ];
    let mut out = [b"ptau", &1u32.to_le_bytes()[..], &4u32.to_le_bytes()].concat();
    for (id, payload) in [1u32, 2, 3, 7].into_iter().zip(sections) {
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        out.extend_from_slice(&payload);
    }
    out
}

#[test]
fn ceremonies() {
    let srs = Srs::development(3, 4242).unwrap();
    hammer(&ptau(&srs), 1000, |bytes| match import_ptau(Cursor::new(bytes), 1) {
        Ok(s) => {
            s.srs.verify().unwrap();
            assert_eq!(s.srs.g1_powers, srs.g1_powers[..2]);
            // The alphas, betas, key and hashes of contributions are not read.
            s.contributions.len() == 1 && s.contributions[0].name == "me" && bytes == ptau(&srs)
        }
        Err(_) => false,
    });
}
