//! The identity of a named stack (docs/protocol.md#stack-id).
//!
//! ```text
//! id = keccak( keccak("assay.stack.v1") | schema digest | row bits, a word | keccak([tau]_2, four words) | rows, two words each )
//! ```
//!
//! The number of rows follows from the schema. A contract that knows the first four words puts them in front of the rows that it
//! is given, and hashes.

use crate::{
    G1Affine, G2Affine,
    curve::{g1_to_bytes, g2_to_bytes},
    keccak::{Keccak, keccak256},
};
use assay_circuits::{GraphError, stack::Schema};

const DOMAIN: &[u8] = b"assay.stack.v1";

/// The identity of a stack: of its schema, under these powers of tau, with these commitments to its rows.
///
/// # Errors
/// A schema without canonical bytes, which no valid one is.
pub fn stack_id(schema: &Schema, tau_g2: &G2Affine, rows: &[G1Affine]) -> Result<[u8; 32], GraphError> {
    Ok(id_of_digest(&schema.digest()?, usize::from(schema.row_bits), tau_g2, rows))
}

/// [`stack_id`] of a schema of which only the digest is at hand, as on a chain.
pub fn id_of_digest(schema: &[u8; 32], row_bits: usize, tau_g2: &G2Affine, rows: &[G1Affine]) -> [u8; 32] {
    let mut word = [0; 32];
    if let Some(low) = word.last_chunk_mut::<8>() {
        *low = u64::try_from(row_bits).unwrap_or(u64::MAX).to_be_bytes();
    }
    let mut hasher = Keccak::default();
    hasher.update(&keccak256(&[DOMAIN]));
    hasher.update(schema);
    hasher.update(&word);
    hasher.update(&keccak256(&[&g2_to_bytes(tau_g2)]));
    for row in rows {
        hasher.update(&g1_to_bytes(row));
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ec::AffineRepr;
    use assay_circuits::stack::SchemaTensor;

    fn schema() -> Schema {
        let tensor = SchemaTensor { name: "x".to_owned(), shape: vec![3, 5], bits: 8 };
        Schema::new(8, vec![tensor]).unwrap()
    }

    #[test]
    fn an_id_binds_every_part() {
        let (g, g2) = (G1Affine::generator(), G2Affine::generator());
        let id = |s: &Schema, tau: &G2Affine, rows: &[G1Affine]| stack_id(s, tau, rows).unwrap();
        let base = id(&schema(), &g2, &[g]);
        let mut all = vec![base, id(&schema(), &g2, &[-g]), id(&schema(), &-g2, &[g]), id(&schema(), &g2, &[g, g])];
        let edits: [fn(&mut Schema); 5] = [
            |s| s.row_bits = 10,
            |s| s.tensors[0].name = "y".to_owned(),
            |s| s.tensors[0].shape = vec![5, 3],
            |s| s.tensors[0].bits = 9,
            |s| s.tensors.push(SchemaTensor { name: "z".to_owned(), shape: vec![1], bits: 1 }),
        ];
        for edit in edits {
            let mut other = schema();
            edit(&mut other);
            all.push(id(&other, &g2, &[g]));
        }
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    /// Frozen, and computed by another program from the words of the module's header: another value means that every id in the world
    /// has changed.
    #[test]
    fn the_id_of_one_stack() {
        let id = stack_id(&schema(), &G2Affine::generator(), &[G1Affine::generator()]).unwrap();
        assert_eq!(crate::core::hex(&id), "f0645c881beacb7bd406ceec0a02bb2b5d84d9aad352fc8d7231615e97ba4cd9");
    }
}
