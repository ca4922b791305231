// Sparse matrices on one axis of a tensor, and functionals that are sums of rank-one tensors.
#pragma once

#include "elements.cuh"

// A matrix by rows: the entries of row k are starts[k] .. starts[k + 1] of columns and weights. The tensor is
// outer x len x inner, the output outer x rows x inner. A thread computes an output.
KERNEL(axis_map)(const Scalar *data, const u32 *starts, const u32 *columns, const Scalar *weights, u32 outer, u32 len,
                 u32 rows, u32 inner, Scalar *out) {
    FOR_THREADS {
        FOR_ENTRIES(at, outer * rows * inner) {
            u32 i = at % inner, k = at / inner % rows, o = at / inner / rows;
            Scalar sum = Scalar::zero();
            for (u32 e = starts[k]; e < starts[k + 1]; ++e)
                sum = sum + weights[e] * data[(o * len + columns[e]) * inner + i];
            out[at] = sum;
        }
    }
}
ENTRY(axis_map)

KERNEL(axis_map_integers)(const int *data, const u32 *starts, const u32 *columns, const Scalar *weights, u32 outer,
                          u32 len, u32 rows, u32 inner, Scalar *out) {
    FOR_THREADS {
        FOR_ENTRIES(at, outer * rows * inner) {
            u32 i = at % inner, k = at / inner % rows, o = at / inner / rows;
            IntegerSum sum = IntegerSum::zero();
            for (u32 e = starts[k]; e < starts[k + 1]; ++e)
                sum.add(weights[e], data[(o * len + columns[e]) * inner + i]);
            out[at] = sum.value();
        }
    }
}
ENTRY(axis_map_integers)

// The same for few outputs of long rows: a block computes an output.
KERNEL(axis_dots)(const Scalar *data, const u32 *starts, const u32 *columns, const Scalar *weights, u32 outer, u32 len,
                  u32 rows, u32 inner, Scalar *out) {
    SHARED(Scalar, total, THREADS);
    for (u32 at = BLOCK; at < outer * rows * inner; at += BLOCKS) {
        FOR_THREADS {
            u32 i = at % inner, k = at / inner % rows, o = at / inner / rows;
            Scalar sum = Scalar::zero();
            for (u32 e = starts[k] + thread; e < starts[k + 1]; e += THREADS)
                sum = sum + weights[e] * data[(o * len + columns[e]) * inner + i];
            total[thread] = sum;
        }
        BLOCK_SUM(total);
        FOR_THREADS {
            if (thread == 0)
                out[at] = total[0];
        }
        BARRIER;
    }
}
ENTRY(axis_dots)

KERNEL(axis_dots_integers)(const int *data, const u32 *starts, const u32 *columns, const Scalar *weights, u32 outer,
                           u32 len, u32 rows, u32 inner, Scalar *out) {
    SHARED(Scalar, total, THREADS);
    for (u32 at = BLOCK; at < outer * rows * inner; at += BLOCKS) {
        FOR_THREADS {
            u32 i = at % inner, k = at / inner % rows, o = at / inner / rows;
            IntegerSum sum = IntegerSum::zero();
            for (u32 e = starts[k] + thread; e < starts[k + 1]; e += THREADS)
                sum.add(weights[e], data[(o * len + columns[e]) * inner + i]);
            total[thread] = sum.value();
        }
        BLOCK_SUM(total);
        FOR_THREADS {
            if (thread == 0)
                out[at] = total[0];
        }
        BARRIER;
    }
}
ENTRY(axis_dots_integers)

// Adds one term of a functional to a piece of it, the places from `begin` on. Factor f has lens[f] places and weights, from
// first[f] on; an entry of the term takes one of each factor, and no two entries have the same place.
KERNEL(functional_expand)(u32 entries, u32 factors, const u32 *first, const u32 *lens, const u32 *offsets,
                          const Scalar *weights, Scalar coefficient, u32 offset, u32 begin, u32 count, Scalar *out) {
    FOR_THREADS {
        FOR_ENTRIES(entry, entries) {
            u32 rest = entry, place = offset;
            for (u32 f = 0; f < factors; ++f) {
                place += offsets[first[f] + rest % lens[f]];
                rest /= lens[f];
            }
            if (place < begin || place - begin >= count)
                continue;
            Scalar value = coefficient;
            rest = entry;
            for (u32 f = 0; f < factors; ++f) {
                value = value * weights[first[f] + rest % lens[f]];
                rest /= lens[f];
            }
            out[place - begin] = out[place - begin] + value;
        }
    }
}
ENTRY(functional_expand)
