//! Keys and powers of tau made before, by content hash, in the user's cache folder.
//!
//! An entry is `ASSAYCCH`, the Keccak-256 of its name and payload, and the payload. A damaged entry is removed and made
//! again. Without a usable folder everything works, only slower.

use crate::{files, output::Output};
use assay_verifier::keccak::keccak256;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"ASSAYCCH";

/// The cache folder, if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    dir: Option<PathBuf>,
}

/// The folder that is used: `$ASSAY_CACHE`, else `assay` in the user's cache folder.
pub(crate) fn folder() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    var("ASSAY_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").filter(|p| p.is_absolute()).map(|p| p.join("assay")))
        .or_else(|| var("HOME").map(|p| p.join(".cache").join("assay")))
}

impl Cache {
    pub(crate) fn open(output: &Output) -> Self {
        let dir = folder();
        match &dir {
            Some(d) if std::fs::create_dir_all(d).is_err() || !d.is_dir() => {
                output
                    .warn(format!("the cache folder '{}' cannot be used; nothing is kept for next time", d.display()));
                Self { dir: None }
            }
            _ => Self { dir },
        }
    }

    #[cfg(test)]
    pub(crate) fn at(dir: PathBuf) -> Self {
        Self { dir: Some(dir) }
    }

    /// Where an entry is or would be.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.dir.as_ref().map(|d| d.join(name))
    }

    /// The payload of an entry.
    pub(crate) fn get(&self, name: &str, output: &Output) -> Option<Vec<u8>> {
        let path = self.path(name)?;
        let bytes = std::fs::read(&path).ok()?;
        let payload = check(name, &bytes);
        if payload.is_none() {
            self.discard(name, output);
        }
        payload.map(<[u8]>::to_vec)
    }

    /// Keeps an entry.
    pub(crate) fn put(&self, name: &str, payload: &[u8]) {
        if let Some(path) = self.path(name) {
            // Losing an entry costs time, nothing else.
            let _ = files::write(&path, &entry(name, payload));
        }
    }

    /// Keeps an entry that nobody else may read, from its first byte on, unless another process has kept one meanwhile: the
    /// payload that is kept, the same for all of them.
    ///
    /// # Errors
    /// Why none is there now.
    pub(crate) fn keep_private(&self, name: &str, payload: &[u8], output: &Output) -> Result<Vec<u8>, String> {
        let path = self.path(name).ok_or_else(|| "there is no cache folder that can be used".to_owned())?;
        files::keep_private(&path, &entry(name, payload)).map_err(|e| e.to_string())?;
        self.get(name, output).ok_or_else(|| format!("'{}' cannot be read again", path.display()))
    }

    /// Removes a damaged entry.
    pub(crate) fn discard(&self, name: &str, output: &Output) {
        if let Some(path) = self.path(name) {
            output.warn(format!("the cache entry '{}' is damaged; it is made again", path.display()));
            let _ = std::fs::remove_file(path);
        }
    }

    /// Number and total size of the entries.
    pub(crate) fn contents(&self) -> (u64, u64) {
        let Some(dir) = &self.dir else { return (0, 0) };
        let Ok(entries) = std::fs::read_dir(dir) else { return (0, 0) };
        entries
            .filter_map(|e| e.ok()?.metadata().ok())
            .filter(std::fs::Metadata::is_file)
            .fold((0, 0), |(n, size), m| (n + 1, size + m.len()))
    }

    /// The folder.
    pub(crate) fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }
}

fn entry(name: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40 + payload.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&sum(name, payload));
    bytes.extend_from_slice(payload);
    bytes
}

fn sum(name: &str, payload: &[u8]) -> [u8; 32] {
    keccak256(&[&(name.len() as u64).to_be_bytes(), name.as_bytes(), payload])
}

fn check<'a>(name: &str, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let rest = bytes.strip_prefix(MAGIC.as_slice())?;
    let (found, payload) = rest.split_first_chunk::<32>()?;
    (*found == sum(name, payload)).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_noticed() {
        let dir = std::env::temp_dir().join(format!("assay-cache-test-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let cache = Cache { dir: Some(dir.clone()) };
        let output = Output::new(false, true);
        cache.put("entry", b"payload");
        assert_eq!(cache.get("entry", &output).as_deref(), Some(&b"payload"[..]));
        // Under another name the same bytes are no entry.
        std::fs::copy(dir.join("entry"), dir.join("other")).unwrap();
        assert_eq!(cache.get("other", &output), None);
        for at in [0, 20, 42] {
            cache.put("entry", b"payload");
            let mut bytes = std::fs::read(dir.join("entry")).unwrap();
            bytes[at] ^= 1;
            std::fs::write(dir.join("entry"), bytes).unwrap();
            assert_eq!(cache.get("entry", &output), None, "byte {at}");
            assert!(!dir.join("entry").exists());
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
    #[cfg(unix)]
    #[test]
    fn a_private_entry_is_private_from_the_start_and_its_absence_is_said() {
        use std::os::unix::fs::PermissionsExt;
        let dir = std::env::temp_dir().join(format!("assay-cache-private-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let cache = Cache { dir: Some(dir.clone()) };
        let output = Output::new(false, true);
        cache.keep_private("secret", b"payload", &output).unwrap();
        let mode = std::fs::metadata(dir.join("secret")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // A folder that cannot be written, here because it is none.
        let cache = Cache { dir: Some(dir.join("secret")) };
        cache.keep_private("secret", b"payload", &output).unwrap_err();
        Cache { dir: None }.keep_private("secret", b"payload", &output).unwrap_err();
        std::fs::remove_dir_all(dir).unwrap();
    }

    /// Two workers that start on a new machine: a secret of each would give the same model two settlement ids.
    #[test]
    fn all_have_what_the_first_one_kept() {
        let dir = std::env::temp_dir().join(format!("assay-cache-first-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for round in 0..20 {
            let name = format!("secret-{round}");
            let keep =
                |own: u8| Cache::at(dir.clone()).keep_private(&name, &[own; 32], &Output::new(false, true)).unwrap();
            let kept: Vec<Vec<u8>> = std::thread::scope(|s| {
                let all: Vec<_> = (0..8).map(|own| s.spawn(move || keep(own))).collect();
                all.into_iter().map(|t| t.join().unwrap()).collect()
            });
            assert!(kept.iter().all(|k| *k == kept[0]), "{kept:?}");
            assert_eq!(keep(9), kept[0]);
        }
        // Nothing else is left.
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 20);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
