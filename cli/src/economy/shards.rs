//! A sponsor's held-out data: which stacks it was cut into, and the salts that seal them until each is revealed.

use crate::{
    error::{Failure, Outcome},
    files,
};
use assay_contracts::{
    B256,
    economy::{NumberedTree, Shard},
};
use rand::{RngCore, rngs::OsRng};
use serde::{Deserialize, Serialize};
use std::path::Path;

const FORMAT: &str = "assay.sealed-shards.v1";
const MAX_BYTES: u64 = 1 << 26;
/// Most shards of a task. The contract counts them in 32 bits; whoever needs more opens another task.
pub(crate) const MOST: usize = 1 << 16;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    stack_id: B256,
    salt: B256,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    shards: Vec<Sealed>,
}

/// All shards of a task, in the order in which they are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shards(Vec<Sealed>);

impl Shards {
    /// Seals stacks with random salts. The same stack twice could never be revealed a second time.
    pub(crate) fn seal(stacks: &[B256]) -> Outcome<Self> {
        if stacks.is_empty() || stacks.len() > MOST {
            return Err(Failure::new(format!("{} shards of held-out data; a task takes 1 to {MOST}", stacks.len()))
                .help("name the stacks of the held-out data with --shard, one for each round"));
        }
        let mut sorted = stacks.to_vec();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|w| w[0] == w[1]) {
            return Err(Failure::new(format!("stack {} is named as two shards", twice[0]))
                .help("a stack is revealed once: cut the held-out data into different stacks"));
        }
        let seal = |stack_id: &B256| {
            let mut salt = B256::ZERO;
            OsRng.try_fill_bytes(salt.as_mut_slice()).map_err(|e| {
                Failure::new(format!("no random numbers from the system: {e}"))
                    .help("check that /dev/urandom can be read here")
            })?;
            Ok(Sealed { stack_id: *stack_id, salt })
        };
        Ok(Self(stacks.iter().map(seal).collect::<Outcome<_>>()?))
    }

    /// Reads what [`write`](Self::write) wrote.
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        let bytes = files::read(path, MAX_BYTES)?;
        let file: File = serde_json::from_slice(&bytes).map_err(|e| {
            Failure::new(format!("'{}' holds no sealed shards: {e}", path.display()))
                .help("`assay task post --sealed FILE` writes such a file")
        })?;
        if file.format != FORMAT {
            return Err(Failure::new(format!("'{}' has the format '{}'", path.display(), file.format))
                .help(format!("this program reads '{FORMAT}'")));
        }
        if file.shards.is_empty() || file.shards.len() > MOST {
            return Err(Failure::new(format!("'{}' holds {} shards", path.display(), file.shards.len()))
                .help(format!("a task has 1 to {MOST}")));
        }
        Ok(Self(file.shards))
    }

    /// Writes a new file that nobody else may read. One that is there is never replaced: without its salts no shard of its task can be
    /// revealed, and the sponsor pays for each.
    pub(crate) fn write(&self, path: &Path) -> Outcome<()> {
        let file = File { format: FORMAT.to_owned(), shards: self.0.clone() };
        let text =
            serde_json::to_vec_pretty(&file).map_err(|e| Failure::new(format!("'{}': {e}", path.display())).bug())?;
        files::create_private(path, &text, is_there)
    }

    /// Refuses early to replace a file.
    pub(crate) fn check_new(path: &Path) -> Outcome<()> {
        if path.exists() { Err(is_there(path)) } else { Ok(()) }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn shard(&self, index: usize) -> Option<Shard> {
        let s = self.0.get(index)?;
        Some(Shard { index: index as u64, stack_id: s.stack_id, salt: s.salt })
    }

    fn tree(&self) -> Option<NumberedTree> {
        NumberedTree::new((0..self.0.len()).filter_map(|i| self.shard(i)).map(|s| s.leaf()).collect())
    }

    /// What stands for all of them on the chain.
    pub(crate) fn root(&self) -> B256 {
        self.tree().map(|t| t.root()).unwrap_or_default()
    }

    /// A shard, with its path to the root.
    pub(crate) fn open(&self, index: usize) -> Option<(Shard, Vec<B256>)> {
        Some((self.shard(index)?, self.tree()?.path(index)?))
    }
}

fn is_there(path: &Path) -> Failure {
    Failure::new(format!("'{}' is there already, and may hold the salts of another task", path.display()))
        .help("name a new file with --sealed: without its salts no shard of a task can be revealed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stacks(n: u8) -> Vec<B256> {
        (1..=n).map(B256::repeat_byte).collect()
    }

    #[test]
    fn sealed_and_opened() {
        let shards = Shards::seal(&stacks(5)).unwrap();
        for i in 0..5 {
            let (shard, path) = shards.open(i).unwrap();
            assert_eq!((shard.index, shard.stack_id), (i as u64, B256::repeat_byte(i as u8 + 1)));
            assert_eq!(path.len(), 3);
        }
        assert!(shards.open(5).is_none() && !shards.root().is_zero());
        let again = Shards::seal(&stacks(5)).unwrap();
        assert_ne!(shards.root(), again.root(), "the salts are random");
    }

    #[test]
    fn what_cannot_be_sealed() {
        assert!(Shards::seal(&[]).is_err());
        let twice = [stacks(3), stacks(1)].concat();
        assert!(Shards::seal(&twice).unwrap_err().message.contains("two shards"));
    }

    #[test]
    fn files() {
        let path = std::env::temp_dir().join(format!("assay-sealed-{}.json", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let shards = Shards::seal(&stacks(3)).unwrap();
        shards.write(&path).unwrap();
        assert_eq!(Shards::read(&path).unwrap(), shards);
        assert!(shards.write(&path).unwrap_err().message.contains("is there already"));
        assert!(Shards::check_new(&path).is_err());
        let text = std::fs::read_to_string(&path).unwrap();
        for (bad, word) in [
            (text.replace("shards.v1", "shards.v9"), "format"),
            (text.replace("\"salt\"", "\"pepper\""), "pepper"),
            (text[..text.len() / 2].to_owned(), "no sealed shards"),
            (r#"{"format": "assay.sealed-shards.v1", "shards": []}"#.to_owned(), "0 shards"),
        ] {
            std::fs::write(&path, bad).unwrap();
            let e = Shards::read(&path).unwrap_err();
            assert!(e.message.contains(word), "{e}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
