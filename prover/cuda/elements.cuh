// Arrays of scalars: eq tables, binding, moving, and sums over a whole array.
//
// A sum leaves one value a block (or two), which the host adds up: there are at most a few hundred blocks.
#pragma once

#include "field.cuh"

// The entries of an array in turns: coalesced, whatever the grid.
#define FOR_ENTRIES(i, count) for (u32 i = BLOCK * THREADS + thread; i < (count); i += BLOCKS * THREADS)

DEVICE Scalar bound(const Scalar &low, const Scalar &high, const Scalar &r) { return low + r * (high - low); }

// Adds up the array in shared memory; the sum is its first entry. Called outside of all phases.
#define BLOCK_SUM(array)                                                                                                       \
    for (u32 reach = THREADS / 2; reach > 0; reach /= 2) {                                                                     \
        BARRIER;                                                                                                               \
        FOR_THREADS {                                                                                                          \
            if (thread < reach)                                                                                                \
                array[thread] = array[thread] + array[thread + reach];                                                         \
        }                                                                                                                      \
    }                                                                                                                          \
    BARRIER

// Writes two block sums side by side.
#define STORE_PAIR(out, first, second)                                                                                         \
    FOR_THREADS {                                                                                                              \
        if (thread == 0) {                                                                                                     \
            out[2 * BLOCK] = first[0];                                                                                         \
            out[2 * BLOCK + 1] = second[0];                                                                                    \
        }                                                                                                                      \
    }

KERNEL(fill)(Scalar *out, u32 count, Scalar value) {
    FOR_THREADS { FOR_ENTRIES(i, count) out[i] = value; }
}
ENTRY(fill)

// One more variable, the most significant: `to` holds twice as many entries, and may begin where `from` does.
KERNEL(eq_grow)(const Scalar *from, Scalar *to, u32 half, Scalar r) {
    FOR_THREADS {
        FOR_ENTRIES(i, half) {
            Scalar value = from[i], high = r * value;
            to[i + half] = high;
            to[i] = value - high;
        }
    }
}
ENTRY(eq_grow)

KERNEL(bind)(Scalar *a, u32 half, Scalar r) {
    FOR_THREADS { FOR_ENTRIES(i, half) a[i] = bound(a[i], a[i + half], r); }
}
ENTRY(bind)

// `low` is 1 - r and `high` is r.
KERNEL(bind_integers)(const int *a, Scalar *out, u32 half, Scalar low, Scalar high) {
    FOR_THREADS {
        FOR_ENTRIES(i, half) {
            IntegerSum sum = IntegerSum::zero();
            sum.add(low, a[i]);
            sum.add(high, a[i + half]);
            out[i] = sum.value();
        }
    }
}
ENTRY(bind_integers)

KERNEL(add_assign)(Scalar *a, const Scalar *b, u32 count) {
    FOR_THREADS { FOR_ENTRIES(i, count) a[i] = a[i] + b[i]; }
}
ENTRY(add_assign)

// a += w b
KERNEL(add_scaled)(Scalar *a, const Scalar *b, u32 count, Scalar w) {
    FOR_THREADS { FOR_ENTRIES(i, count) a[i] = a[i] + w * b[i]; }
}
ENTRY(add_scaled)

// No target comes twice.
KERNEL(rearrange)(const Scalar *data, const u32 *source, const u32 *target, u32 count, Scalar *out) {
    FOR_THREADS { FOR_ENTRIES(i, count) out[target[i]] = data[source[i]]; }
}
ENTRY(rearrange)

KERNEL(inner_product)(const Scalar *a, const Scalar *b, u32 count, Scalar *out) {
    SHARED(Scalar, total, THREADS);
    FOR_THREADS {
        Scalar sum = Scalar::zero();
        FOR_ENTRIES(i, count) sum = sum + a[i] * b[i];
        total[thread] = sum;
    }
    BLOCK_SUM(total);
    FOR_THREADS {
        if (thread == 0)
            out[BLOCK] = total[0];
    }
}
ENTRY(inner_product)

// Rows of integers, one for each y of the grid, with the same scalars: `out[y * blocks + block]`.
KERNEL(inner_product_integers)(const int *rows, u32 stride, const Scalar *b, u32 count, Scalar *out) {
    SHARED(Scalar, total, THREADS);
    FOR_THREADS {
        const int *a = rows + static_cast<u64>(BLOCK_Y) * stride;
        IntegerSum sum = IntegerSum::zero();
        FOR_ENTRIES(i, count) {
            if (a[i] != 0)
                sum.add(b[i], a[i]);
        }
        total[thread] = sum.value();
    }
    BLOCK_SUM(total);
    FOR_THREADS {
        if (thread == 0)
            out[BLOCK_Y * BLOCKS + BLOCK] = total[0];
    }
}
ENTRY(inner_product_integers)

// h(0) and h(inf) of the next variable of sum_x a(x) b(x).
KERNEL(product_round)(const Scalar *a, const Scalar *b, u32 half, Scalar *out) {
    SHARED(Scalar, zero, THREADS);
    SHARED(Scalar, infinity, THREADS);
    FOR_THREADS {
        Scalar h0 = Scalar::zero(), h1 = Scalar::zero();
        FOR_ENTRIES(i, half) {
            Scalar a0 = a[i], b0 = b[i];
            h0 = h0 + a0 * b0;
            h1 = h1 + (a[i + half] - a0) * (b[i + half] - b0);
        }
        zero[thread] = h0;
        infinity[thread] = h1;
    }
    BLOCK_SUM(zero);
    BLOCK_SUM(infinity);
    STORE_PAIR(out, zero, infinity)
}
ENTRY(product_round)

KERNEL(product_round_integers)(const int *a, const Scalar *b, u32 half, Scalar *out) {
    SHARED(Scalar, zero, THREADS);
    SHARED(Scalar, infinity, THREADS);
    FOR_THREADS {
        IntegerSum h0 = IntegerSum::zero(), h1 = IntegerSum::zero();
        FOR_ENTRIES(i, half) {
            Scalar b0 = b[i], slope = b[i + half] - b0;
            h0.add(b0, a[i]);
            // The difference of two integers may need 33 bits.
            h1.add(slope, a[i + half]);
            h1.add(slope.negated(), a[i]);
        }
        zero[thread] = h0.value();
        infinity[thread] = h1.value();
    }
    BLOCK_SUM(zero);
    BLOCK_SUM(infinity);
    STORE_PAIR(out, zero, infinity)
}
ENTRY(product_round_integers)

// Binds both arrays, of four quarters, to r in place, then gives the next round's sums.
KERNEL(product_bind_round)(Scalar *a, Scalar *b, u32 quarter, Scalar r, Scalar *out) {
    SHARED(Scalar, zero, THREADS);
    SHARED(Scalar, infinity, THREADS);
    FOR_THREADS {
        Scalar h0 = Scalar::zero(), h1 = Scalar::zero();
        FOR_ENTRIES(i, quarter) {
            Scalar a0 = bound(a[i], a[i + 2 * quarter], r), a1 = bound(a[i + quarter], a[i + 3 * quarter], r);
            Scalar b0 = bound(b[i], b[i + 2 * quarter], r), b1 = bound(b[i + quarter], b[i + 3 * quarter], r);
            a[i] = a0;
            a[i + quarter] = a1;
            b[i] = b0;
            b[i + quarter] = b1;
            h0 = h0 + a0 * b0;
            h1 = h1 + (a1 - a0) * (b1 - b0);
        }
        zero[thread] = h0;
        infinity[thread] = h1;
    }
    BLOCK_SUM(zero);
    BLOCK_SUM(infinity);
    STORE_PAIR(out, zero, infinity)
}
ENTRY(product_bind_round)
