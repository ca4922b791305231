//! Proofs of the segments of one model, checked together (docs/protocol.md#segments).
//!
//! The keys of a split model, in order, fix how its segments hang together: the names of their stacks say which boundary each is,
//! the roles who writes it and who reads it. [`wires`] checks that they make one model whose first segment has all inputs and whose
//! last has all outputs. Behind the boundaries the first key may name stacks of inputs and the last one stacks of outputs, which
//! are to the whole what they are to a model that is not cut. Proofs under these keys, one each and in this order, whose stacks of one boundary have one id are a proof
//! of the whole.

mod file;

pub use file::{KEYS_MAGIC, MAX_FILE_BYTES, PROOFS_MAGIC, SegmentsFileError, VERSION};

use crate::{
    CoreProof, VerifyError, VerifyingKey,
    core::{self, check_registration, hex},
    settle::key::{Context, SettledProof, SettlementError, SettlementKey},
};
use assay_circuits::{
    Graph, GraphError, Tensor, canonical,
    split::{MAX_SEGMENTS, boundary_name},
    stack::{NamedStack, Role, Schema, SchemaTensor, open},
};

/// The keys of a split model, in the order of its segments. They are what a verifier trusts.
#[derive(Clone, Debug, PartialEq)]
pub enum SegmentKeys {
    /// Of core proofs.
    Core(Vec<VerifyingKey>),
    /// Of settled proofs.
    Settled(Vec<SettlementKey>),
}

/// One proof for each segment.
#[derive(Clone, Debug, PartialEq)]
pub enum SegmentProofs {
    /// Not hiding.
    Core(Vec<CoreProof>),
    /// Zero-knowledge, all bound to one context.
    Settled(Vec<SettledProof>),
}

/// Why proofs of segments are no proof of the whole. Segments count from 1.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SegmentsError {
    /// Keys that are not those of one split model.
    #[error("the keys are not those of one model: segment {segment}: {what}")]
    Keys {
        /// The segment.
        segment: usize,
        /// What is wrong.
        what: String,
    },
    /// Keys of one kind, proofs of the other.
    #[error("core proofs and settled proofs have keys of their own kind, and these are of two")]
    Kinds,
    /// A proof is missing, or there is one more.
    #[error("{expected} segments need as many proofs; there are {got}")]
    Count {
        /// Segments.
        expected: usize,
        /// Proofs.
        got: usize,
    },
    /// A core proof that is none under its segment's key.
    #[error("segment {segment}: {source}")]
    Core {
        /// The segment.
        segment: usize,
        /// Why.
        source: VerifyError,
    },
    /// A settled proof that is none under its segment's key.
    #[error("segment {segment}: {source}")]
    Settled {
        /// The segment.
        segment: usize,
        /// Why.
        source: SettlementError,
    },
    /// Two segments are about different values of one boundary.
    #[error("segment {segment} reads another boundary {boundary} than segment {boundary} wrote: {got}, not {expected}")]
    Boundary {
        /// The segment that reads.
        segment: usize,
        /// The boundary, which has the number of the segment that writes it.
        boundary: usize,
        /// The id that was written.
        expected: String,
        /// The id that was read.
        got: String,
    },
    /// Core proofs of different numbers of inferences.
    #[error("segment {segment} is about {got} inferences, segment 1 about {expected}")]
    Batch {
        /// The segment.
        segment: usize,
        /// Inferences of the first.
        expected: usize,
        /// Its own.
        got: usize,
    },
    /// Settled proofs for different purposes.
    #[error("segment {segment} is bound to another chain, contract, job or recipient than segment 1")]
    Context {
        /// The segment.
        segment: usize,
    },
    /// A graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// What the proofs of all segments show together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Number of inferences.
    pub batch: usize,
    /// Ids of the boundaries.
    pub boundaries: Vec<[u8; 32]>,
    /// Ids of the stacks of inputs and outputs, as [`SegmentKeys::named`] lists them.
    pub stacks: Vec<[u8; 32]>,
    /// Inputs over the batch that no stack holds, if the first key shows them.
    pub inputs: Vec<Tensor>,
    /// Outputs over the batch that no stack holds, if the last key shows them.
    pub outputs: Vec<Tensor>,
    /// What settled proofs are bound to.
    pub context: Option<Context>,
}

/// Whether a stack is a boundary and not one of inputs or outputs of the whole.
fn is_boundary(stack: &NamedStack) -> bool {
    stack.name.starts_with("boundary")
}

/// For each segment, for each boundary that its key names, which one it is, counted from zero. Boundary `k` is written by segment
/// `k`. Behind them the key of the first segment may name stacks of inputs, that of the last stacks of outputs.
///
/// # Errors
/// The first thing for which the keys do not make one model: another number of segments than 2 to [`MAX_SEGMENTS`], a stack that is no
/// boundary of an earlier segment or its own, nor behind them one of the whole's inputs or outputs, a boundary with another schema
/// than where it is written, an input behind the first segment or an output before the last that no boundary holds.
pub fn wires(segments: &[(&Graph, &[NamedStack])]) -> Result<Vec<Vec<usize>>, SegmentsError> {
    let count = segments.len();
    let bad = |k: usize, what: String| Err(SegmentsError::Keys { segment: k + 1, what });
    if !(2..=MAX_SEGMENTS).contains(&count) {
        return bad(0, format!("{count} segments; 2 to {MAX_SEGMENTS} are possible"));
    }
    let mut written: Vec<&Schema> = Vec::with_capacity(count);
    let mut all = Vec::with_capacity(count);
    for (k, (graph, stacks)) in segments.iter().enumerate() {
        let last = k + 1 == count;
        let mut own = None;
        let mut numbers = Vec::with_capacity(stacks.len());
        let boundaries = stacks.iter().take_while(|s| is_boundary(s)).count();
        for stack in stacks.iter().skip(boundaries) {
            let of_whole = |role: &Option<Role>| match role {
                None => true,
                Some(Role::Input(_)) => k == 0,
                Some(Role::Output(_)) => last,
                Some(Role::Weight(_)) => false,
            };
            let names = stack.roles.iter().any(Option::is_some);
            if is_boundary(stack) || !names || !stack.roles.iter().all(of_whole) {
                return bad(
                    k,
                    format!(
                        "its stack '{}' holds neither inputs nor outputs of the model, or is no boundary",
                        stack.name
                    ),
                );
            }
        }
        for stack in stacks.iter().take(boundaries) {
            let known = (0..=k).find(|b| boundary_name(*b) == stack.name);
            let Some(b) = known.filter(|b| !numbers.contains(b)) else {
                return bad(
                    k,
                    format!("its stack '{}' is no boundary that it can be about, or one that it has twice", stack.name),
                );
            };
            numbers.push(b);
            let outputs = stack.roles.iter().all(|r| matches!(r, Some(Role::Output(_))));
            let inputs = stack.roles.iter().all(|r| matches!(r, None | Some(Role::Input(_))));
            let read = inputs && stack.roles.iter().any(Option::is_some);
            // A tensor of a boundary has one name in the whole, whoever reads it.
            let called = |(role, tensor): (&Option<Role>, &SchemaTensor)| match role {
                Some(Role::Input(i)) => graph.inputs().get(*i).is_some_and(|id| graph.node(*id).name == tensor.name),
                _ => true,
            };
            if !stack.roles.iter().zip(&stack.schema.tensors).all(called) {
                return bad(
                    k,
                    format!("an input of it is called otherwise than the tensor of '{}' that it reads", stack.name),
                );
            }
            if b == k && outputs && !last {
                own = Some(&stack.schema);
            } else if b == k || !read {
                return bad(k, format!("'{}' is neither what it writes nor what it reads", stack.name));
            } else if written.get(b) != Some(&&stack.schema) {
                return bad(k, format!("its '{}' holds other tensors than segment {} wrote", stack.name, b + 1));
            }
        }
        if k > 0 && !open(stacks, Role::Input, graph.inputs()).is_empty() {
            return bad(k, "an input of it is at no boundary".to_owned());
        }
        match own {
            Some(schema) if open(stacks, Role::Output, graph.outputs()).is_empty() => written.push(schema),
            None if last => {}
            _ => return bad(k, "an output of it is at no boundary".to_owned()),
        }
        all.push(numbers);
    }
    Ok(all)
}

impl SegmentKeys {
    /// Number of segments.
    pub fn len(&self) -> usize {
        match self {
            Self::Core(keys) => keys.len(),
            Self::Settled(keys) => keys.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The identity of the split model: of all keys in their order, `keccak("assay.segments.v1", key digests or settlement ids)`.
    ///
    /// # Errors
    /// Never for keys that were decoded.
    pub fn id(&self) -> Result<[u8; 32], GraphError> {
        let ids: Vec<[u8; 32]> = match self {
            Self::Core(keys) => keys.iter().map(VerifyingKey::digest).collect::<Result<_, _>>()?,
            Self::Settled(keys) => keys.iter().map(SettlementKey::id).collect(),
        };
        let parts: Vec<&[u8]> = ids.iter().map(<[u8; 32]>::as_slice).collect();
        Ok(canonical::digest("assay.segments.v1", &parts))
    }

    /// The stacks that hold inputs or outputs of the whole, in the order of the keys.
    pub fn named(&self) -> Vec<&NamedStack> {
        let all: Vec<&[NamedStack]> = match self {
            Self::Core(keys) => keys.iter().map(|k| k.stacks.as_slice()).collect(),
            Self::Settled(keys) => keys.iter().map(|k| k.stacks.as_slice()).collect(),
        };
        all.into_iter().flatten().filter(|s| !is_boundary(s)).collect()
    }

    /// [`wires`] of these keys, which are under the same powers of tau and, if settled, of one batch.
    ///
    /// # Errors
    /// As [`wires`], and keys under other powers of tau or of other batches.
    pub fn wires(&self) -> Result<Vec<Vec<usize>>, SegmentsError> {
        let (segments, other): (Vec<(&Graph, &[NamedStack])>, _) = match self {
            Self::Core(keys) => {
                let first = keys.first().map(|k| &k.srs);
                let other = keys.iter().position(|k| Some(&k.srs) != first);
                (keys.iter().map(|k| (&k.graph, k.stacks.as_slice())).collect(), other)
            }
            Self::Settled(keys) => {
                // A contract is given the ids of all boundaries, in order.
                let pins = |k: &SettlementKey| k.descriptor.stacks.iter().any(|s| s.pinned.is_some());
                if let Some(k) = keys.iter().position(pins) {
                    let what = "its key pins a stack".to_owned();
                    return Err(SegmentsError::Keys { segment: k + 1, what });
                }
                let of = |k: &SettlementKey| (k.srs(), k.batch);
                let first = keys.first().map(of);
                let other = keys.iter().position(|k| Some(of(k)) != first);
                (keys.iter().map(|k| (&k.graph, k.stacks.as_slice())).collect(), other)
            }
        };
        if let Some(k) = other {
            let what = "its key is of other powers of tau, or another batch, than the first".to_owned();
            return Err(SegmentsError::Keys { segment: k + 1, what });
        }
        wires(&segments)
    }

    /// Checks the registrations of core keys; those of settled keys are checked with their circuits, by recomputing them.
    ///
    /// # Errors
    /// The first that is not valid.
    pub fn check_registrations(&self) -> Result<(), SegmentsError> {
        let Self::Core(keys) = self else { return Ok(()) };
        for (k, key) in keys.iter().enumerate() {
            check_registration(key).map_err(|source| SegmentsError::Core { segment: k + 1, source })?;
        }
        Ok(())
    }

    /// Checks one proof for each segment, under keys that have been checked, and that they are about the same boundaries.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn verify(&self, proofs: &SegmentProofs) -> Result<Shown, SegmentsError> {
        let wires = self.wires()?;
        let count = |got: usize| {
            if got == wires.len() { Ok(()) } else { Err(SegmentsError::Count { expected: wires.len(), got }) }
        };
        match (self, proofs) {
            (Self::Core(keys), SegmentProofs::Core(proofs)) => {
                count(proofs.len())?;
                let each = |(k, (key, proof)): (usize, (&VerifyingKey, &CoreProof))| {
                    core::verify(key, proof).map_err(|source| SegmentsError::Core { segment: k + 1, source })
                };
                let mut shown: Vec<_> =
                    keys.iter().zip(proofs).enumerate().map(each).collect::<Result<_, SegmentsError>>()?;
                let ids: Vec<_> = shown.iter().map(|v| v.stacks.as_slice()).collect();
                let (boundaries, stacks) = joined(&wires, &ids)?;
                let batch = shown.first().map_or(0, |v| v.batch);
                if let Some((k, v)) = shown.iter().enumerate().find(|(_, v)| v.batch != batch) {
                    return Err(SegmentsError::Batch { segment: k + 1, expected: batch, got: v.batch });
                }
                let inputs = shown.first_mut().map(|v| std::mem::take(&mut v.inputs)).unwrap_or_default();
                let outputs = shown.pop().map(|v| v.outputs).unwrap_or_default();
                Ok(Shown { batch, boundaries, stacks, inputs, outputs, context: None })
            }
            (Self::Settled(keys), SegmentProofs::Settled(proofs)) => {
                count(proofs.len())?;
                let context = proofs.first().map(|p| p.context.clone());
                if let Some(k) = proofs.iter().position(|p| Some(&p.context) != context.as_ref()) {
                    return Err(SegmentsError::Context { segment: k + 1 });
                }
                let each = |(k, (key, proof)): (usize, (&SettlementKey, &SettledProof))| {
                    key.verify(proof).map_err(|source| SegmentsError::Settled { segment: k + 1, source })
                };
                let mut shown: Vec<_> =
                    keys.iter().zip(proofs).enumerate().map(each).collect::<Result<_, SegmentsError>>()?;
                let ids: Vec<_> = shown.iter().map(|v| v.stacks.as_slice()).collect();
                let (boundaries, stacks) = joined(&wires, &ids)?;
                // Boundaries hold all outputs of the first segment and all inputs of the last, so what these show is of one kind.
                let outputs = shown.pop().map(|v| v.tensors).unwrap_or_default();
                let inputs = shown.first_mut().map(|v| std::mem::take(&mut v.tensors)).unwrap_or_default();
                let batch = keys.first().and_then(|k| usize::try_from(k.batch).ok()).unwrap_or(0);
                Ok(Shown { batch, boundaries, stacks, inputs, outputs, context })
            }
            _ => Err(SegmentsError::Kinds),
        }
    }
}

/// Ids of stacks.
type Ids = Vec<[u8; 32]>;

/// The ids of the boundaries, which all who read or write them agree about, and those of other stacks. `ids[k]` are those of segment
/// `k`'s proof.
fn joined(wires: &[Vec<usize>], ids: &[&[[u8; 32]]]) -> Result<(Ids, Ids), SegmentsError> {
    let mut written: Vec<[u8; 32]> = Vec::with_capacity(wires.len());
    let mut others = vec![];
    for (k, (numbers, ids)) in wires.iter().zip(ids).enumerate() {
        let Some((ids, behind)) = ids.split_at_checked(numbers.len()) else {
            return Err(SegmentsError::Count { expected: numbers.len(), got: ids.len() });
        };
        others.extend(behind);
        // A segment writes one boundary, its own, and reads those before.
        for (b, id) in numbers.iter().zip(ids) {
            match written.get(*b) {
                Some(expected) if expected == id => {}
                Some(expected) => {
                    return Err(SegmentsError::Boundary {
                        segment: k + 1,
                        boundary: b + 1,
                        expected: hex(expected),
                        got: hex(id),
                    });
                }
                None => written.push(*id),
            }
        }
    }
    Ok((written, others))
}
