//! Loops over many numbers, compiled for the vectors of several kinds of machine.

/// Compiles functions for AVX-512 and AVX2 too, where the crate is built to run graphs; which of them runs shows then. All
/// compute the same: compilers neither reorder operations on floats nor fuse them.
///
/// What is called by name is compiled for these machines only if it becomes part of the function, so that loops here are plain
/// ones: compilers often leave `fold` and `for_each` outside.
macro_rules! vectors {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $result:ty)? $body:block)*) => {
        $(
            $(#[$meta])*
            #[cfg_attr(
                feature = "parallel",
                multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))
            )]
            $vis fn $name($($arg: $kind),*) $(-> $result)? $body
        )*
    };
}
