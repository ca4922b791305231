//! Halving of work over parallel slices, for a divide-and-conquer over threads without allocation.

/// Work that can be cut in two at an element.
pub(super) trait Split: Sized + Send {
    /// Number of elements.
    fn len(&self) -> usize;
    /// The elements before `mid`, and those from it on.
    fn split(self, mid: usize) -> (Self, Self);
}

impl<T: Sync> Split for &[T] {
    fn len(&self) -> usize {
        <[T]>::len(self)
    }

    fn split(self, mid: usize) -> (Self, Self) {
        self.split_at(mid)
    }
}

impl<T: Send> Split for &mut [T] {
    fn len(&self) -> usize {
        <[T]>::len(self)
    }

    fn split(self, mid: usize) -> (Self, Self) {
        self.split_at_mut(mid)
    }
}

impl<S: Split, const N: usize> Split for [S; N] {
    fn len(&self) -> usize {
        self.first().map_or(0, Split::len)
    }

    fn split(self, mid: usize) -> (Self, Self) {
        let mut right = [const { None }; N];
        let mut slots = right.iter_mut();
        let left = self.map(|part| {
            let (left, right) = part.split(mid);
            if let Some(slot) = slots.next() {
                *slot = Some(right);
            }
            left
        });
        (left, right.map(|part| part.expect("one right part for each left part")))
    }
}

impl<A: Split, B: Split> Split for (A, B) {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn split(self, mid: usize) -> (Self, Self) {
        let (a0, a1) = self.0.split(mid);
        let (b0, b1) = self.1.split(mid);
        ((a0, b0), (a1, b1))
    }
}

impl<A: Split, B: Split, C: Split> Split for (A, B, C) {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn split(self, mid: usize) -> (Self, Self) {
        let ((a0, a1), (b0, b1), (c0, c1)) = (self.0.split(mid), self.1.split(mid), self.2.split(mid));
        ((a0, b0, c0), (a1, b1, c1))
    }
}

/// Elements that one task takes: tens of microseconds of field arithmetic, well above the cost of waking a thread.
const TASK: usize = 2048;

/// Runs `kernel` over pieces of `work` and merges the results from left to right. Short work stays on the calling
/// thread; pieces start at multiples of 8 elements.
pub(super) fn reduce<S, R>(work: S, kernel: &(impl Fn(S) -> R + Sync), merge: &(impl Fn(R, R) -> R + Sync)) -> R
where
    S: Split,
    R: Send,
{
    if work.len() < 2 * TASK || rayon::current_num_threads() == 1 {
        return kernel(work);
    }
    let mid = work.len() / 2 / 8 * 8;
    let (left, right) = work.split(mid);
    let (left, right) = rayon::join(|| reduce(left, kernel, merge), || reduce(right, kernel, merge));
    merge(left, right)
}

/// Runs `kernel` over pieces of `work`, as [`reduce`] does.
pub(super) fn for_each<S: Split>(work: S, kernel: &(impl Fn(S) + Sync)) {
    reduce(work, kernel, &|(), ()| ());
}
