// Fraction trees: leaves, sums of layers, and the rounds of a layer's sumcheck. A layer of 2 n fractions is an array of
// numerators and one of denominators; its children are the entries from 0 and from `stride` on.
#pragma once

#include "elements.cuh"

// Most numerators of leaves are zeros and ones.
DEVICE Scalar numerator(int x) {
    if (x == 0)
        return Scalar::zero();
    if (x == 1)
        return Scalar::one();
    return scalar(x);
}

// Entry i of a run goes to place starts[i / piece] + i % piece. What is absent counts as zeros; without counts numerators
// are ones, with them minus the count.
KERNEL(leaves)(const int *keys, const int *values, const int *sides, const int *counts, u32 count, u32 piece,
               const u32 *starts, Scalar start, Scalar beta, Scalar beta_squared, int *p, Scalar *q) {
    FOR_THREADS {
        FOR_ENTRIES(i, count) {
            IntegerSum sum = IntegerSum::zero();
            sum.add(Scalar::one(), keys[i]);
            if (values)
                sum.add(beta, values[i]);
            if (sides)
                sum.add(beta_squared, sides[i]);
            u32 place = starts[i / piece] + i % piece;
            q[place] = start - sum.value();
            p[place] = counts ? -counts[i] : 1;
        }
    }
}
ENTRY(leaves)

KERNEL(fraction_layer)(const Scalar *p, const Scalar *q, u32 half, Scalar *p_out, Scalar *q_out) {
    FOR_THREADS {
        FOR_ENTRIES(i, half) {
            Scalar q0 = q[i], q1 = q[i + half];
            p_out[i] = p[i] * q1 + p[i + half] * q0;
            q_out[i] = q0 * q1;
        }
    }
}
ENTRY(fraction_layer)

KERNEL(fraction_layer_integers)(const int *p, const Scalar *q, u32 half, Scalar *p_out, Scalar *q_out) {
    FOR_THREADS {
        FOR_ENTRIES(i, half) {
            Scalar q0 = q[i], q1 = q[i + half];
            IntegerSum sum = IntegerSum::zero();
            sum.add(q1, p[i]);
            sum.add(q0, p[i + half]);
            p_out[i] = sum.value();
            q_out[i] = q0 * q1;
        }
    }
}
ENTRY(fraction_layer_integers)

KERNEL(numerators)(const int *p, u32 count, Scalar *out) {
    FOR_THREADS { FOR_ENTRIES(i, count) out[i] = numerator(p[i]); }
}
ENTRY(numerators)

DEVICE Scalar combined(const Scalar &p0, const Scalar &p1, const Scalar &q0, const Scalar &q1, const Scalar &lambda) {
    return lambda * (p0 * q1 + p1 * q0) + q0 * q1;
}

// Two sums over the lower half of a layer's pairs, weighted with eq: at 0, and of the slopes.
KERNEL(fraction_round)(const Scalar *p, const Scalar *q, u32 stride, u32 half, const Scalar *eq, Scalar lambda,
                       Scalar *out) {
    SHARED(Scalar, zero, THREADS);
    SHARED(Scalar, infinity, THREADS);
    FOR_THREADS {
        Scalar g0 = Scalar::zero(), g1 = Scalar::zero();
        FOR_ENTRIES(i, half) {
            Scalar p0 = p[i], p1 = p[stride + i], q0 = q[i], q1 = q[stride + i];
            g0 = g0 + eq[i] * combined(p0, p1, q0, q1, lambda);
            g1 = g1 + eq[i] * combined(p[i + half] - p0, p[stride + i + half] - p1, q[i + half] - q0,
                                       q[stride + i + half] - q1, lambda);
        }
        zero[thread] = g0;
        infinity[thread] = g1;
    }
    BLOCK_SUM(zero);
    BLOCK_SUM(infinity);
    STORE_PAIR(out, zero, infinity)
}
ENTRY(fraction_round)

KERNEL(fraction_round_integers)(const int *p, const Scalar *q, u32 stride, u32 half, const Scalar *eq, Scalar lambda,
                                Scalar *out) {
    SHARED(Scalar, zero, THREADS);
    SHARED(Scalar, infinity, THREADS);
    FOR_THREADS {
        Scalar g0 = Scalar::zero(), g1 = Scalar::zero();
        FOR_ENTRIES(i, half) {
            Scalar p0 = numerator(p[i]), p1 = numerator(p[stride + i]), q0 = q[i], q1 = q[stride + i];
            g0 = g0 + eq[i] * combined(p0, p1, q0, q1, lambda);
            g1 = g1 + eq[i] * combined(numerator(p[i + half]) - p0, numerator(p[stride + i + half]) - p1,
                                       q[i + half] - q0, q[stride + i + half] - q1, lambda);
        }
        zero[thread] = g0;
        infinity[thread] = g1;
    }
    BLOCK_SUM(zero);
    BLOCK_SUM(infinity);
    STORE_PAIR(out, zero, infinity)
}
ENTRY(fraction_round_integers)

// Binds the first variable of all four arrays, of 2 half entries, in place.
KERNEL(fraction_bind)(Scalar *p, Scalar *q, u32 stride, u32 half, Scalar r) {
    FOR_THREADS {
        FOR_ENTRIES(i, half) {
            p[i] = bound(p[i], p[i + half], r);
            p[stride + i] = bound(p[stride + i], p[stride + i + half], r);
            q[i] = bound(q[i], q[i + half], r);
            q[stride + i] = bound(q[stride + i], q[stride + i + half], r);
        }
    }
}
ENTRY(fraction_bind)

// Binds the children of the leaf layer, whose entries from `stride` on are the second child's; the output's second child
// begins at `half`.
KERNEL(fraction_bind_integers)(const int *p, const Scalar *q, u32 stride, u32 half, Scalar low, Scalar high,
                               Scalar *p_out, Scalar *q_out) {
    FOR_THREADS {
        FOR_ENTRIES(i, half) {
            for (u32 child = 0; child < 2; ++child) {
                u32 at = child * stride + i;
                IntegerSum sum = IntegerSum::zero();
                sum.add(low, p[at]);
                sum.add(high, p[at + half]);
                p_out[child * half + i] = sum.value();
                q_out[child * half + i] = bound(q[at], q[at + half], high);
            }
        }
    }
}
ENTRY(fraction_bind_integers)

// Binds the four quarters of all four arrays in place, then gives the next round's sums.
KERNEL(fraction_bind_round)(Scalar *p, Scalar *q, u32 stride, u32 quarter, Scalar r, const Scalar *eq, Scalar lambda,
                            Scalar *out) {
    SHARED(Scalar, zero, THREADS);
    SHARED(Scalar, infinity, THREADS);
    FOR_THREADS {
        Scalar g0 = Scalar::zero(), g1 = Scalar::zero();
        FOR_ENTRIES(i, quarter) {
            Scalar low[4], slope[4];
#pragma unroll
            for (u32 k = 0; k < 4; ++k) {
                Scalar *array = (k < 2 ? p : q) + (k % 2) * stride;
                Scalar b0 = bound(array[i], array[i + 2 * quarter], r);
                Scalar b1 = bound(array[i + quarter], array[i + 3 * quarter], r);
                array[i] = b0;
                array[i + quarter] = b1;
                low[k] = b0;
                slope[k] = b1 - b0;
            }
            g0 = g0 + eq[i] * combined(low[0], low[1], low[2], low[3], lambda);
            g1 = g1 + eq[i] * combined(slope[0], slope[1], slope[2], slope[3], lambda);
        }
        zero[thread] = g0;
        infinity[thread] = g1;
    }
    BLOCK_SUM(zero);
    BLOCK_SUM(infinity);
    STORE_PAIR(out, zero, infinity)
}
ENTRY(fraction_bind_round)
