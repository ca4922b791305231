//! Powers of tau: made, imported, checked and refused.

use super::common::{Sandbox, digits, digits_proof, mlp};
use assay_prover::srs::Srs;

/// A ceremony file of 2^power points. Points beyond those that are read are left out of section 3's content only in
/// meaning: they are zero bytes.
fn ptau(srs: &Srs, power: u32) -> Vec<u8> {
    let word = |out: &mut Vec<u8>, limbs: &[u64; 4]| limbs.iter().for_each(|l| out.extend(l.to_le_bytes()));
    let prime = [0x3c208c16d87cfd47u64, 0x97816a916871ca8d, 0xb85045b68181585d, 0x30644e72e131a029];
    let mut header = 32u32.to_le_bytes().to_vec();
    word(&mut header, &prime);
    header.extend(power.to_le_bytes());
    header.extend(power.to_le_bytes());
    let mut g1 = Vec::new();
    for p in &srs.g1_powers[..(2 << power) - 1] {
        word(&mut g1, &p.x.0.0);
        word(&mut g1, &p.y.0.0);
    }
    let mut g2 = Vec::new();
    for p in [srs.g2, srs.tau_g2] {
        for c in [p.x.c0, p.x.c1, p.y.c0, p.y.c1] {
            word(&mut g2, &c.0.0);
        }
    }
    g2.resize(128 << power, 0);
    // Two contributions and a beacon; of their points only [tau]_1 and [tau]_2 are read.
    let mut list = 3u32.to_le_bytes().to_vec();
    for (kind, parameters) in [(0u32, &[1u8, 3, b'a', b'n', b'n'][..]), (0, &[]), (1, &[2, 10, 3, 1, 9])] {
        list.extend(&g1[64..128]);
        list.extend(&g2[128..256]);
        list.extend([0; 8 * 64 + 4 * 128 + 216 + 64]);
        list.extend(kind.to_le_bytes());
        list.extend((parameters.len() as u32).to_le_bytes());
        list.extend(parameters);
    }
    let mut out = b"ptau".to_vec();
    out.extend(1u32.to_le_bytes());
    out.extend(4u32.to_le_bytes());
    for (id, section) in [(1u32, header), (2, g1), (3, g2), (7, list)] {
        out.extend(id.to_le_bytes());
        out.extend((section.len() as u64).to_le_bytes());
        out.extend(section);
    }
    out
}

#[test]
fn development_powers() {
    let s = Sandbox::new("srs-new");
    let ran = s.ok(&["srs", "new", "--power", "6", "-o", "srs"]);
    assert!(ran.stderr.contains("INSECURE"), "{ran:#?}");
    let v = s.json(&["srs", "verify", "srs"]);
    assert_eq!(
        (v["valid"].as_bool(), v["power"].as_u64(), v["insecure_srs"].as_bool()),
        (Some(true), Some(6), Some(true))
    );
    let v = s.json(&["show", "srs"]);
    assert_eq!((v["kind"].as_str(), v["power"].as_u64()), (Some("srs"), Some(6)));

    let good = s.read("srs");
    for at in [2, 10, 14, 16, 100, 300, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        s.write("bad", bad);
        s.fails(2, &["srs", "verify", "bad"], &["bad"]);
    }
    for n in [0, 7, 200, good.len() - 1] {
        s.write("bad", &good[..n]);
        s.fails(2, &["srs", "verify", "bad"], &[]);
    }
    s.fails(2, &["srs", "verify", "."], &["is a directory"]);
    s.fails(
        2,
        &["setup", &mlp(), "--calibrate", &digits(), "--srs", "srs", "-o", "k"],
        &["powers of tau", "--row-bits"],
    );
}

#[test]
fn imported_powers() {
    let s = digits_proof("srs-import");
    // The powers of another tau, in the guise of a ceremony.
    let ceremony = Srs::development(13, 12345).unwrap();
    let file = ptau(&ceremony, 12);
    s.write("c.ptau", &file);
    let v = s.json(&["srs", "import", "c.ptau", "--power", "12", "-o", "srs"]);
    assert_eq!((v["power"].as_u64(), v["insecure_srs"].as_bool()), (Some(12), Some(false)));
    let told = v["contributions"].as_array().unwrap();
    assert_eq!(told.len(), 3, "{v}");
    assert_eq!((told[0]["name"].as_str(), told[2]["beacon"].as_bool()), (Some("ann"), Some(true)));
    let ran = s.ok(&["srs", "import", "c.ptau", "--power", "4", "-o", "short"]);
    assert!(ran.stdout.contains("2 contributions and a public beacon"), "{ran:#?}");
    assert_eq!(s.json(&["srs", "verify", "srs"])["valid"], true);

    // More powers than a ceremony has are not there, and nothing less is taken for them.
    s.fails(2, &["srs", "import", "c.ptau", "--power", "13", "-o", "more"], &["2^12 points", "2^13", "--power 12"]);
    assert!(!s.dir.join("more").exists());

    s.ok(&["setup", "model", "--srs", "srs", "--row-bits", "11", "-o", "key2"]);
    s.fails(2, &["prove", "model", "input.json", "--key", "key2", "-o", "p"], &["--srs"]);
    let ran = s.ok(&["prove", "model", "input.json", "--key", "key2", "--srs", "srs", "-o", "p"]);
    assert!(!ran.stderr.contains("INSECURE"), "{ran:#?}");
    assert_eq!(s.json(&["verify", "p", "--key", "key2"])["insecure_srs"], false);
    s.fails(1, &["verify", "p", "--key", "key"], &["another key"]);
    s.ok(&["srs", "new", "--power", "12", "-o", "dev"]);
    // Whether the key is under the powers that one trusts; fewer of them are the same.
    s.ok(&["verify", "p", "--key", "key2", "--srs", "srs"]);
    s.ok(&["verify", "p", "--key", "key2", "--srs", "short"]);
    s.fails(1, &["verify", "p", "--key", "key2", "--srs", "dev"], &["made with the powers of tau", "'dev'"]);
    s.fails(2, &["verify", "p", "--key", "key2", "--srs", "nowhere"], &["nowhere"]);
    s.fails(2, &["verify", "p", "--key", "key2", "--srs", "p"], &["'p'"]);
    s.ok(&["settle", "model", "input.json", "-o", "settled", "--key-out", "settled.key"]);
    s.ok(&["split", "model", "--segments", "2", "-o", "cut"]);
    s.ok(&["prove", "cut", "input.json", "-o", "parts", "--key-out", "parts.keys"]);
    s.ok(&["settle", "cut", "input.json", "-o", "settled.parts", "--key-out", "settled.keys"]);
    for [proof, key] in [["settled", "settled.key"], ["parts", "parts.keys"], ["settled.parts", "settled.keys"]] {
        s.ok(&["verify", proof, "--key", key, "--srs", "dev"]);
        s.fails(1, &["verify", proof, "--key", key, "--srs", "srs"], &["made with the powers of tau", "'srs'"]);
        s.fails(2, &["verify", proof, "--key", key, "--srs", "nowhere"], &["nowhere"]);
    }
    s.fails(2, &["prove", "model", "input.json", "--key", "key2", "--srs", "dev", "-o", "p"], &["other powers of tau"]);
    s.fails(2, &["prove", "model", "input.json", "--srs", "c.ptau", "-o", "p"], &["import"]);
    s.fails(2, &["srs", "import", "srs", "--power", "3", "-o", "x"], &["expected a .ptau"]);

    // A point that is no power of tau, one off the curve, a cut file.
    let start = 12 + 12 + 44 + 12;
    let mut swapped = file.clone();
    swapped.copy_within(start + 64..start + 128, start + 128);
    let mut off = file.clone();
    off[start + 130] ^= 1;
    for (bad, word) in [(swapped, "consecutive"), (off, "curve"), (file[..file.len() - 9].to_vec(), "expected")] {
        s.write("bad.ptau", bad);
        s.fails(2, &["srs", "import", "bad.ptau", "--power", "12", "-o", "x"], &[word]);
    }
    // A list that ends in a beacon and nothing else: anybody can compute tau.
    let mut alone = file.clone();
    let kind = |back: usize| file.len() - back;
    // Sizes of the entries from the end: parameters, size, kind.
    let (last, one) = (1504 + 5, 1504);
    for at in [kind(last + one + 5 + 8), kind(last + 8)] {
        alone[at] = 1;
    }
    s.write("alone.ptau", alone);
    s.fails(2, &["srs", "import", "alone.ptau", "--power", "12", "-o", "x"], &["nobody brought a secret"]);
    assert!(!s.path("x").exists());

    // A key in the cache is not damaged because there are fewer powers of the same ceremony this time.
    s.ok(&["prove", "model", "input.json", "--srs", "srs", "--row-bits", "11", "-o", "p"]);
    let ran = s.fails(
        2,
        &["prove", "model", "input.json", "--srs", "short", "--row-bits", "11", "-o", "p"],
        &["powers of tau"],
    );
    assert!(!ran.contains("damaged"), "{ran}");
    let again = s.json(&["prove", "model", "input.json", "--srs", "srs", "--row-bits", "11", "-o", "p"]);
    assert_eq!(again["setup_cached"].as_bool(), Some(true), "{again}");
}
