//! Merkle trees: of sets, as OpenZeppelin's `MerkleProof` checks them, nodes being hashes of pairs in rising order; and of numbered leaves, as
//! `TrainingMarket` checks shards.

use alloy_primitives::{B256, keccak256};

/// A tree over leaves that are hashed already. Pairs from the left; what is left over at the end of a level goes up as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// From the leaves to the root.
    levels: Vec<Vec<B256>>,
}

impl Tree {
    /// The tree of at least one leaf.
    pub fn new(leaves: Vec<B256>) -> Option<Self> {
        if leaves.is_empty() {
            return None;
        }
        let mut levels = vec![leaves];
        while let Some(last) = levels.last().filter(|l| l.len() > 1) {
            let up = last.chunks(2).map(|pair| pair.iter().copied().reduce(node).unwrap_or_default()).collect();
            levels.push(up);
        }
        Some(Self { levels })
    }

    /// What stands for all leaves.
    pub fn root(&self) -> B256 {
        self.levels.last().and_then(|l| l.first()).copied().unwrap_or_default()
    }

    /// What leads from a leaf to the root, or nothing if there is no such leaf.
    pub fn path(&self, index: usize) -> Option<Vec<B256>> {
        self.levels.first()?.get(index)?;
        let siblings = self.levels.iter().enumerate().filter_map(|(up, level)| level.get((index >> up) ^ 1));
        Some(siblings.copied().collect())
    }
}

fn node(a: B256, b: B256) -> B256 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    keccak256([low.as_slice(), high.as_slice()].concat())
}

/// A tree over leaves that are hashed already, and counted from 0. The bits of a leaf's number say on which side it is, so a number has one
/// leaf; zeros fill the lowest level up to a power of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedTree {
    /// From the leaves to the root.
    levels: Vec<Vec<B256>>,
    leaves: usize,
}

impl NumberedTree {
    /// The tree of at least one leaf.
    pub fn new(mut leaves: Vec<B256>) -> Option<Self> {
        let count = leaves.len();
        if count == 0 {
            return None;
        }
        leaves.resize(count.next_power_of_two(), B256::ZERO);
        let mut levels = vec![leaves];
        while let Some(last) = levels.last().filter(|l| l.len() > 1) {
            let (pairs, _) = last.as_chunks::<2>();
            let up =
                pairs.iter().map(|[left, right]| keccak256([left.as_slice(), right.as_slice()].concat())).collect();
            levels.push(up);
        }
        Some(Self { levels, leaves: count })
    }

    /// What stands for all leaves.
    pub fn root(&self) -> B256 {
        self.levels.last().and_then(|l| l.first()).copied().unwrap_or_default()
    }

    /// What leads from a leaf to the root, or nothing if there is no such leaf.
    pub fn path(&self, number: usize) -> Option<Vec<B256>> {
        let siblings = self.levels.iter().enumerate().filter_map(|(up, level)| level.get((number >> up) ^ 1));
        (number < self.leaves).then(|| siblings.copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `MerkleProof.processProof` does.
    fn climb(leaf: B256, path: &[B256]) -> B256 {
        path.iter().fold(leaf, |at, other| node(at, *other))
    }

    #[test]
    fn paths_lead_to_the_root() {
        assert!(Tree::new(vec![]).is_none());
        for count in 1..=33 {
            let leaves: Vec<B256> = (0..count).map(|i: u64| keccak256(i.to_be_bytes())).collect();
            let tree = Tree::new(leaves.clone()).unwrap();
            for (i, leaf) in leaves.iter().enumerate() {
                let path = tree.path(i).unwrap();
                assert_eq!(climb(*leaf, &path), tree.root(), "leaf {i} of {count}");
                assert!(path.len() <= 6);
                // Nobody else's path leads there.
                for j in (0..leaves.len()).filter(|j| *j != i) {
                    assert_ne!(
                        climb(*leaf, &tree.path(j).unwrap()),
                        tree.root(),
                        "leaf {i} by the path of {j} of {count}"
                    );
                }
            }
            assert!(tree.path(leaves.len()).is_none());
        }
    }

    /// What `TrainingMarket` does.
    fn climb_numbered(leaf: B256, number: usize, path: &[B256]) -> B256 {
        path.iter().enumerate().fold(leaf, |at, (up, other)| {
            let (left, right) = if (number >> up) & 1 == 0 { (at, *other) } else { (*other, at) };
            keccak256([left.as_slice(), right.as_slice()].concat())
        })
    }

    #[test]
    fn a_number_has_one_leaf() {
        assert!(NumberedTree::new(vec![]).is_none());
        for count in 1..=17usize {
            let leaves: Vec<B256> = (0..count as u64).map(|i| keccak256(i.to_be_bytes())).collect();
            let tree = NumberedTree::new(leaves.clone()).unwrap();
            for (i, leaf) in leaves.iter().enumerate() {
                let path = tree.path(i).unwrap();
                assert_eq!(1 << path.len(), count.next_power_of_two());
                for number in 0..count {
                    assert_eq!(
                        climb_numbered(*leaf, number, &path) == tree.root(),
                        number == i,
                        "{i} as {number} of {count}"
                    );
                }
            }
            assert!(tree.path(count).is_none());
        }
    }
}
