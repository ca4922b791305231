//! Weight tensors that a model and its keys share.

use crate::tensor::Tensor;
use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

/// Weight tensors, in the order of [`crate::Graph::weights`]. Clones are one and the same memory; whoever changes one of them gets
/// a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weights(Arc<[Tensor]>);

impl Deref for Weights {
    type Target = [Tensor];

    fn deref(&self) -> &[Tensor] {
        &self.0
    }
}

impl DerefMut for Weights {
    fn deref_mut(&mut self) -> &mut [Tensor] {
        Arc::make_mut(&mut self.0)
    }
}

impl From<Vec<Tensor>> for Weights {
    fn from(tensors: Vec<Tensor>) -> Self {
        Self(tensors.into())
    }
}

impl FromIterator<Tensor> for Weights {
    fn from_iter<I: IntoIterator<Item = Tensor>>(tensors: I) -> Self {
        Self(tensors.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_their_memory_until_one_is_changed() {
        let one: Weights = vec![Tensor::zeros(&[3])].into();
        let mut other = one.clone();
        assert_eq!(one[0].data.as_ptr(), other[0].data.as_ptr());
        other[0].data[1] = 5;
        assert_eq!((&one[0].data, &other[0].data), (&vec![0; 3], &vec![0, 5, 0]));
        assert_ne!(one, other);
    }
}
