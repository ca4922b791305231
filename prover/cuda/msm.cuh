// Multi-scalar multiplication by buckets: count digits, sort places by bucket, add buckets up in chunks, and fold them.
//
// A task is one window of one row. Its bucket k - 1 collects the points whose digit is k or -k, k up to `buckets`. With W
// windows of c bits a value v is written as v + H = sum_w u_w 2^(c w), H = sum_(w < W - 1) 2^(c w + c - 1): the digits
// u_w - 2^(c-1) of the lower windows are signed and need no carries; the highest window keeps what is left, with its sign.
#pragma once

#include "curve.cuh"
#include "elements.cuh"

// The bit of a place that says that the point's opposite is meant.
#define NEGATIVE 0x80000000u
// Points that a thread adds up in a row.
#define CHUNK 32u
// Counts that a block scans.
#define SCAN (8 * THREADS)

DEVICE int small_digit(int value, u64 offset, u32 width, u32 window, u32 windows) {
    long long shifted = (static_cast<long long>(value) + static_cast<long long>(offset)) >> (width * window);
    if (window + 1 == windows)
        return static_cast<int>(shifted);
    return static_cast<int>(shifted & ((1ll << width) - 1)) - (1 << (width - 1));
}

// `shifted` is the scalar, out of its Montgomery form, plus H.
DEVICE int wide_digit(const u32 *shifted, u32 width, u32 window, u32 windows) {
    u32 bit = width * window, limb = bit / 32;
    u64 two = shifted[limb];
    if (limb + 1 < 8)
        two |= static_cast<u64>(shifted[limb + 1]) << 32;
    int digit = static_cast<int>((two >> (bit % 32)) & ((1ull << width) - 1));
    return window + 1 == windows ? digit : digit - (1 << (width - 1));
}

// The scalar as an integer, plus the offset.
DEVICE void shifted_scalar(const Scalar &x, const Scalar &offset, u32 *out) {
    Scalar unit = Scalar::zero();
    unit.l[0] = 1;
    Scalar plain = x * unit;
    out[0] = add_cc(plain.l[0], offset.l[0]);
#pragma unroll
    for (u32 i = 1; i < 7; ++i)
        out[i] = addc_cc(plain.l[i], offset.l[i]);
    out[7] = addc(plain.l[7], offset.l[7]);
}

DEVICE u32 bucket_of(int digit) { return static_cast<u32>(digit < 0 ? -digit : digit) - 1; }

// All bits that a value's size has, over all values.
KERNEL(size_bits)(const int *values, u32 count, u32 *out) {
    FOR_THREADS {
        u32 bits = 0;
        FOR_ENTRIES(i, count) bits |= values[i] < 0 ? 0u - static_cast<u32>(values[i]) : static_cast<u32>(values[i]);
        if (bits != 0)
            atomic_or(out, bits);
    }
}
ENTRY(size_bits)

KERNEL(count_small)(const int *values, u32 count, u32 row_len, u64 offset, u32 width, u32 windows, u32 buckets,
                    u32 *counts) {
    FOR_THREADS {
        FOR_ENTRIES(i, count) {
            for (u32 w = 0; w < windows; ++w) {
                int digit = small_digit(values[i], offset, width, w, windows);
                if (digit != 0)
                    atomic_add(&counts[(i / row_len * windows + w) * buckets + bucket_of(digit)], 1);
            }
        }
    }
}
ENTRY(count_small)

// `next` holds where the next place of each bucket goes. The order within a bucket is that of arrival: its sum is the same.
KERNEL(place_small)(const int *values, u32 count, u32 row_len, u64 offset, u32 width, u32 windows, u32 buckets, u32 *next,
                    u32 *places) {
    FOR_THREADS {
        FOR_ENTRIES(i, count) {
            for (u32 w = 0; w < windows; ++w) {
                int digit = small_digit(values[i], offset, width, w, windows);
                if (digit != 0) {
                    u32 at = atomic_add(&next[(i / row_len * windows + w) * buckets + bucket_of(digit)], 1);
                    places[at] = i % row_len | (digit < 0 ? NEGATIVE : 0);
                }
            }
        }
    }
}
ENTRY(place_small)

KERNEL(count_wide)(const Scalar *scalars, u32 count, Scalar offset, u32 width, u32 windows, u32 buckets, u32 *counts) {
    FOR_THREADS {
        FOR_ENTRIES(i, count) {
            u32 shifted[8];
            shifted_scalar(scalars[i], offset, shifted);
            for (u32 w = 0; w < windows; ++w) {
                int digit = wide_digit(shifted, width, w, windows);
                if (digit != 0)
                    atomic_add(&counts[w * buckets + bucket_of(digit)], 1);
            }
        }
    }
}
ENTRY(count_wide)

KERNEL(place_wide)(const Scalar *scalars, u32 count, Scalar offset, u32 width, u32 windows, u32 buckets, u32 *next,
                   u32 *places) {
    FOR_THREADS {
        FOR_ENTRIES(i, count) {
            u32 shifted[8];
            shifted_scalar(scalars[i], offset, shifted);
            for (u32 w = 0; w < windows; ++w) {
                int digit = wide_digit(shifted, width, w, windows);
                if (digit != 0) {
                    u32 at = atomic_add(&next[w * buckets + bucket_of(digit)], 1);
                    places[at] = i | (digit < 0 ? NEGATIVE : 0);
                }
            }
        }
    }
}
ENTRY(place_wide)

// How many chunks each segment has.
KERNEL(chunk_counts)(const u32 *counts, u32 segments, u32 *out) {
    FOR_THREADS { FOR_ENTRIES(i, segments) out[i] = (counts[i] + CHUNK - 1) / CHUNK; }
}
ENTRY(chunk_counts)

// Sums of all counts before each, within a block; a block's total goes to `totals`.
KERNEL(scan)(const u32 *counts, u32 count, u32 *starts, u32 *totals) {
    SHARED(u32, sums, THREADS);
    FOR_THREADS {
        u32 first = BLOCK * SCAN + thread * (SCAN / THREADS), sum = 0;
        for (u32 k = 0; k < SCAN / THREADS; ++k)
            if (first + k < count)
                sum += counts[first + k];
        sums[thread] = sum;
    }
    BARRIER;
    FOR_THREADS {
        if (thread == 0) {
            u32 sum = 0;
            for (u32 k = 0; k < THREADS; ++k) {
                u32 here = sums[k];
                sums[k] = sum;
                sum += here;
            }
            totals[BLOCK] = sum;
        }
    }
    BARRIER;
    FOR_THREADS {
        u32 first = BLOCK * SCAN + thread * (SCAN / THREADS), sum = sums[thread];
        for (u32 k = 0; k < SCAN / THREADS; ++k) {
            if (first + k < count) {
                starts[first + k] = sum;
                sum += counts[first + k];
            }
        }
    }
}
ENTRY(scan)

// Adds what stands before each block of a scan.
KERNEL(scan_shift)(u32 *starts, u32 count, const u32 *before) {
    FOR_THREADS { FOR_ENTRIES(i, count) starts[i] += before[i / SCAN]; }
}
ENTRY(scan_shift)

// The segment of chunk t: the last that begins at or before it. An empty one begins where the next does.
DEVICE u32 segment_of(const u32 *chunk_starts, u32 segments, u32 t) {
    u32 low = 0, high = segments;
    while (high - low > 1) {
        u32 middle = low + (high - low) / 2;
        if (chunk_starts[middle] <= t)
            low = middle;
        else
            high = middle;
    }
    return low;
}

// Sums of chunks of places: `out[t]` is that of chunk t.
KERNEL(sum_places)(const Affine *points, const u32 *places, const u32 *starts, const u32 *counts,
                   const u32 *chunk_starts, u32 segments, u32 chunks, Sum *out) {
    FOR_THREADS {
        FOR_ENTRIES(t, chunks) {
            u32 segment = segment_of(chunk_starts, segments, t);
            u32 begin = (t - chunk_starts[segment]) * CHUNK, end = begin + CHUNK;
            if (end > counts[segment])
                end = counts[segment];
            Sum sum = Sum::infinity();
            for (u32 k = begin; k < end; ++k) {
                u32 place = places[starts[segment] + k];
                Affine point = points[place & ~NEGATIVE];
                if (place & NEGATIVE)
                    point.y = point.y.negated();
                sum.add(point);
            }
            out[t] = sum;
        }
    }
}
ENTRY(sum_places)

// The same for sums of chunks.
KERNEL(sum_chunks)(const Sum *in, const u32 *starts, const u32 *counts, const u32 *chunk_starts, u32 segments,
                   u32 chunks, Sum *out) {
    FOR_THREADS {
        FOR_ENTRIES(t, chunks) {
            u32 segment = segment_of(chunk_starts, segments, t);
            u32 begin = (t - chunk_starts[segment]) * CHUNK, end = begin + CHUNK;
            if (end > counts[segment])
                end = counts[segment];
            Sum sum = Sum::infinity();
            for (u32 k = begin; k < end; ++k)
                sum.add(in[starts[segment] + k]);
            out[t] = sum;
        }
    }
}
ENTRY(sum_chunks)

// With bucket number k = 2^low a + b, the sums of buckets with equal a, for a from 1 on, then those with equal b, for b from
// 1 on. A bucket's sum, when it is not empty, stands where its segment begins.
KERNEL(fold_buckets)(const Sum *sums, const u32 *starts, const u32 *counts, u32 tasks, u32 buckets, u32 low, Sum *out) {
    FOR_THREADS {
        u32 lows = 1u << low, highs = buckets >> low, halves = highs + lows - 1;
        FOR_ENTRIES(t, tasks * halves) {
            u32 task = t / halves, index = t % halves;
            bool high = index < highs;
            u32 first = high ? (index + 1) << low : index - highs + 1;
            u32 step = high ? 1 : lows, count = high ? lows : highs + 1;
            Sum sum = Sum::infinity();
            for (u32 k = 0; k < count; ++k) {
                u32 number = first + k * step;
                if (number > buckets)
                    break;
                u32 segment = task * buckets + number - 1;
                if (counts[segment] != 0)
                    sum.add(sums[starts[segment]]);
            }
            out[t] = sum;
        }
    }
}
ENTRY(fold_buckets)

// For each bit, the sum of those halves whose number has it: `high_bits` for the first kind, then `low`.
KERNEL(fold_bits)(const Sum *halves, u32 tasks, u32 buckets, u32 low, u32 high_bits, Sum *out) {
    FOR_THREADS {
        u32 lows = 1u << low, highs = buckets >> low, bits = high_bits + low;
        FOR_ENTRIES(t, tasks * bits) {
            u32 task = t / bits, bit = t % bits;
            bool high = bit < high_bits;
            u32 count = high ? highs : lows - 1, shift = high ? bit : bit - high_bits;
            const Sum *numbers = halves + task * (highs + lows - 1) + (high ? 0 : highs);
            Sum sum = Sum::infinity();
            for (u32 k = 1; k <= count; ++k)
                if (k >> shift & 1)
                    sum.add(numbers[k - 1]);
            out[t] = sum;
        }
    }
}
ENTRY(fold_bits)
