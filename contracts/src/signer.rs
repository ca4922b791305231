//! Keys that sign transactions. They come from the environment or from files, never from arguments, which other users
//! of a machine can read, and never show in messages.

use crate::Error;
use alloy_primitives::{Address, B256, Signature};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use std::{
    env,
    ffi::OsString,
    fmt, fs,
    io::Read,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The environment variable with a private key: 64 hexadecimal digits, with or without `0x`.
pub const PRIVATE_KEY_VARIABLE: &str = "ASSAY_PRIVATE_KEY";
/// The environment variable with the password of a keystore.
pub const KEYSTORE_PASSWORD_VARIABLE: &str = "ASSAY_KEYSTORE_PASSWORD";

/// Most bytes of a keystore or a password file.
const FILE_BYTES: u64 = 1 << 16;
/// Most memory that unlocking takes: scrypt uses 128 n r bytes.
const SCRYPT_BYTES: u64 = 1 << 30;
/// Most rounds of scrypt over its memory.
const SCRYPT_PARALLEL: u64 = 16;
/// Most iterations of PBKDF2.
const PBKDF2_ITERATIONS: u64 = 10_000_000;

/// A private key. Only its address can be seen.
#[derive(Clone)]
pub struct Signer(PrivateKeySigner);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.0.address())
    }
}

impl Signer {
    /// The key in `ASSAY_PRIVATE_KEY`; none if it is not set, or empty.
    ///
    /// # Errors
    ///
    /// [`Error::PrivateKey`].
    pub fn from_environment() -> Result<Option<Self>, Error> {
        env::var_os(PRIVATE_KEY_VARIABLE).filter(|v| !v.is_empty()).map(Self::from_variable).transpose()
    }

    /// The key in a keystore file (Web3 Secret Storage, version 3). The password is in `password_file`, of which one
    /// newline at the end is left out, or else in `ASSAY_KEYSTORE_PASSWORD`.
    ///
    /// # Errors
    ///
    /// [`Error::Keystore`], [`Error::NoPassword`].
    pub fn from_keystore(path: &Path, password_file: Option<&Path>) -> Result<Self, Error> {
        let password = match password_file {
            Some(file) => password_in(file)?,
            None => password_from(env::var_os(KEYSTORE_PASSWORD_VARIABLE))?,
        };
        Self::unlock(path, &password)
    }

    /// The key with these 32 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::PrivateKey`] if they are zero or not below the order of the curve.
    pub fn from_bytes(key: &[u8; 32]) -> Result<Self, Error> {
        PrivateKeySigner::from_slice(key).map(Self).map_err(|_| Error::PrivateKey)
    }

    /// The account that it signs for.
    pub fn address(&self) -> Address {
        self.0.address()
    }

    pub(crate) fn sign(&self, hash: &B256) -> Result<Signature, Error> {
        self.0.sign_hash_sync(hash).map_err(|_| Error::PrivateKey)
    }

    fn from_variable(value: OsString) -> Result<Self, Error> {
        let text = Zeroizing::new(value.into_string().map_err(|_| Error::PrivateKey)?);
        let digits = text.trim();
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        let mut key = Zeroizing::new([0; 32]);
        alloy_primitives::hex::decode_to_slice(digits, key.as_mut_slice()).map_err(|_| Error::PrivateKey)?;
        Self::from_bytes(&key)
    }

    fn unlock(path: &Path, password: &[u8]) -> Result<Self, Error> {
        let text = read(path)?;
        check_keystore(&text).map_err(|reason| keystore(path, reason))?;
        PrivateKeySigner::decrypt_keystore(path, password)
            .map(Self)
            .map_err(|e| keystore(path, format!("cannot be unlocked ({e}); is it the right password?")))
    }
}

fn keystore(path: &Path, reason: impl fmt::Display) -> Error {
    Error::Keystore { path: PathBuf::from(path), reason: crate::abi::printable(&reason.to_string()) }
}

/// Reads a small file and nothing but a file.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    // Asked before it is opened: opening a pipe can wait for ever.
    if !fs::metadata(path).map_err(|e| keystore(path, e))?.is_file() {
        return Err(keystore(path, "is not a file"));
    }
    let file = fs::File::open(path).map_err(|e| keystore(path, e))?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| keystore(path, e))?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(keystore(path, format!("is longer than {FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

fn password_in(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut bytes = read(path)?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Ok(bytes)
}

fn password_from(variable: Option<OsString>) -> Result<Zeroizing<Vec<u8>>, Error> {
    Ok(Zeroizing::new(variable.ok_or(Error::NoPassword)?.into_encoded_bytes()))
}

/// Refuses what the library that unlocks keystores would take too much memory or time for, or would not survive.
fn check_keystore(text: &[u8]) -> Result<(), String> {
    let json: serde_json::Value = serde_json::from_slice(text).map_err(|e| format!("is no keystore: {e}"))?;
    let crypto = json.get("crypto").ok_or("is no keystore: it has no field 'crypto'")?;
    if json.get("version").and_then(serde_json::Value::as_u64) != Some(3) {
        return Err("is not a keystore of version 3".to_owned());
    }
    if crypto.get("cipher").and_then(serde_json::Value::as_str) != Some("aes-128-ctr") {
        return Err("has another cipher than aes-128-ctr".to_owned());
    }
    let iv = crypto.pointer("/cipherparams/iv").and_then(serde_json::Value::as_str);
    if iv.is_none_or(|iv| iv.len() != 32) {
        return Err("has no initialisation vector of 16 bytes".to_owned());
    }
    let parameter = |name: &str| crypto.pointer(&format!("/kdfparams/{name}")).and_then(serde_json::Value::as_u64);
    if parameter("dklen") != Some(32) {
        return Err("derives a key of another length than 32 bytes".to_owned());
    }
    match crypto.get("kdf").and_then(serde_json::Value::as_str) {
        Some("scrypt") => {
            let (n, r, p) = parameter("n")
                .zip(parameter("r"))
                .zip(parameter("p"))
                .map(|((n, r), p)| (n, r, p))
                .ok_or("has incomplete scrypt parameters")?;
            // RFC 7914, section 2: n is a power of two below 2^(16 r).
            if n < 2 || !n.is_power_of_two() || u64::from(n.ilog2()) >= r.saturating_mul(16) || p == 0 {
                return Err("has scrypt parameters outside the standard (RFC 7914)".to_owned());
            }
            let memory = n.checked_mul(r).and_then(|m| m.checked_mul(128));
            if memory.is_none_or(|m| m > SCRYPT_BYTES) || p > SCRYPT_PARALLEL {
                return Err("asks for more than 1 GiB or too many rounds of scrypt".to_owned());
            }
            if crypto.pointer("/kdfparams/c").is_some() {
                return Err("has parameters of two key derivations".to_owned());
            }
        }
        Some("pbkdf2") => {
            if parameter("c").is_none_or(|c| c == 0 || c > PBKDF2_ITERATIONS) {
                return Err(format!("asks for no or for more than {PBKDF2_ITERATIONS} iterations of PBKDF2"));
            }
            // The library goes by the parameters that are there, not by the name.
            if crypto.pointer("/kdfparams/n").is_some() {
                return Err("has parameters of two key derivations".to_owned());
            }
        }
        _ => return Err("has another key derivation than scrypt and pbkdf2".to_owned()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    const ACCOUNT: Address = alloy_primitives::address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");

    /// The PBKDF2 test vector of the Web3 Secret Storage Definition, and its key under scrypt as OpenSSL computes it.
    const PASSWORD: &str = "testpassword";
    const SECRET: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
    const PBKDF2: &str = r#"{"crypto": {"cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46", "kdf": "pbkdf2",
        "kdfparams": {"c": 262144, "dklen": 32, "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},
        "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6", "version": 3}"#;
    const SCRYPT: &str = r#"{"crypto": {"cipher": "aes-128-ctr",
        "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
        "ciphertext": "3b4309355ad643f2b15cfb6a83a7f6f328e7a6459a56ab8c6e25a89c8f43eb80", "kdf": "scrypt",
        "kdfparams": {"dklen": 32, "n": 4096, "p": 1, "r": 8,
            "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"},
        "mac": "994d83f6bfb7e6e3aa95980f72b6ad87db9d352789d0f2e433cf777425db3a42"},
        "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6", "version": 3}"#;

    /// A file that goes when it is dropped.
    struct File(PathBuf);

    impl File {
        fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
            let path = env::temp_dir().join(format!("assay-signer-{}-{name}", std::process::id()));
            fs::write(&path, text).expect("a temporary file");
            Self(path)
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn keys_in_the_environment() {
        for text in [KEY.to_owned(), format!("0x{KEY}"), format!(" 0x{KEY}\n")] {
            assert_eq!(Signer::from_variable(text.into()).expect("a key").address(), ACCOUNT);
        }
        let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
        for bad in ["", "0x", &KEY[1..], &format!("{KEY}00"), &"0".repeat(64), order, &"g".repeat(64)] {
            let e = Signer::from_variable(bad.into()).expect_err("no key");
            assert_eq!(e, Error::PrivateKey);
            assert!(bad.len() < 3 || !e.to_string().contains(bad), "{e}");
        }
    }

    #[test]
    fn a_signer_shows_its_address_and_nothing_else() {
        let signer = Signer::from_variable(KEY.into()).expect("a key");
        assert_eq!(format!("{signer:?}"), format!("Signer({ACCOUNT})"));
        assert!(!format!("{signer:#?}").to_lowercase().contains(&KEY[..16]));
    }

    #[test]
    fn keystores_open_with_their_password() {
        let expected = Signer::from_variable(SECRET.into()).expect("a key").address();
        for (name, text) in [("pbkdf2", PBKDF2), ("scrypt", SCRYPT)] {
            let file = File::new(name, text);
            let password = File::new(&format!("{name}-password"), format!("{PASSWORD}\n"));
            assert_eq!(Signer::from_keystore(&file.0, Some(&password.0)).expect(name).address(), expected);
            let wrong = Signer::unlock(&file.0, b"secret words").expect_err("the wrong password").to_string();
            assert!(wrong.contains(name) && wrong.contains("password") && !wrong.contains("secret words"), "{wrong}");
        }
    }

    #[test]
    fn passwords_come_from_a_file_or_the_environment() {
        for (text, expected) in [("pw", "pw"), ("pw\n", "pw"), ("pw\r\n", "pw"), ("pw\n\n", "pw\n"), ("", "")] {
            let file = File::new("password", text);
            assert_eq!(password_in(&file.0).expect("a file").as_slice(), expected.as_bytes());
        }
        assert_eq!(password_from(Some("pw".into())).expect("set").as_slice(), b"pw");
        let e = password_from(None).expect_err("not set");
        assert!(e.to_string().contains(KEYSTORE_PASSWORD_VARIABLE));
    }

    #[test]
    fn hostile_keystores_are_refused_before_any_work() {
        let scrypt = |from: &str, to: &str| {
            assert!(SCRYPT.contains(from), "{from}");
            SCRYPT.replace(from, to)
        };
        let hostile = [
            scrypt("\"n\": 4096", "\"n\": 2147483648"),
            scrypt("\"n\": 4096", "\"n\": 18446744073709551615"),
            scrypt("\"n\": 4096", "\"n\": 4095"),
            scrypt("\"n\": 4096", "\"n\": 1"),
            scrypt("\"r\": 8", "\"r\": 4294967295"),
            scrypt("\"r\": 8", "\"r\": 0"),
            scrypt("\"n\": 4096, \"p\": 1, \"r\": 8", "\"n\": 65536, \"p\": 1, \"r\": 1"),
            scrypt("\"p\": 1", "\"p\": 4294967295"),
            scrypt("\"dklen\": 32", "\"dklen\": 8"),
            scrypt("\"dklen\": 32", "\"dklen\": 0"),
            scrypt("83dbcc02d8ccb40e466191a123791e0e", "83dbcc"),
            scrypt("83dbcc02d8ccb40e466191a123791e0e", "83dbcc02d8ccb40e466191a123791e0e00"),
            scrypt("\"n\": 4096", "\"c\": 4294967295, \"prf\": \"x\", \"n\": 2"),
            scrypt("aes-128-ctr", "none"),
            scrypt("\"version\": 3", "\"version\": 1"),
            PBKDF2.replace("262144", "4294967295"),
            PBKDF2.replace("262144", "0"),
            PBKDF2.replace("\"kdf\": \"pbkdf2\"", "\"kdf\": \"none\""),
            PBKDF2.replace("\"prf\": \"hmac-sha256\"", "\"n\": 2147483648, \"r\": 8, \"p\": 1"),
            "{}".to_owned(),
            "[".repeat(60_000),
            "x".repeat(100_000),
            String::new(),
        ];
        let started = std::time::Instant::now();
        for (i, text) in hostile.iter().enumerate() {
            let file = File::new(&format!("hostile-{i}"), text);
            let e = Signer::unlock(&file.0, b"pw").expect_err("refused");
            assert!(matches!(e, Error::Keystore { .. }), "{i}: {e}");
        }
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
        assert!(matches!(Signer::unlock(&env::temp_dir(), b"pw"), Err(Error::Keystore { .. })), "a directory");
        assert!(matches!(Signer::unlock(Path::new("/dev/zero"), b"pw"), Err(Error::Keystore { .. })), "a device");
    }

    #[test]
    fn keystores_with_odd_fields_do_not_panic() {
        // Fields that are not checked here reach the library: it must answer with an error.
        for (from, to) in [
            ("83dbcc02d8ccb40e466191a123791e0e", "zzdbcc02d8ccb40e466191a123791e0e"),
            ("3b4309355ad643f2b15cfb6a83a7f6f328e7a6459a56ab8c6e25a89c8f43eb80", ""),
            ("994d83f6bfb7e6e3aa95980f72b6ad87db9d352789d0f2e433cf777425db3a42", "21"),
            ("3198bc9c-6672-5ab3-d995-4942343ae5b6", "no uuid"),
        ] {
            let file = File::new("odd", SCRYPT.replace(from, to).replace("4096", "2"));
            assert!(matches!(Signer::unlock(&file.0, b"pw"), Err(Error::Keystore { .. })), "{to}");
        }
    }
}
