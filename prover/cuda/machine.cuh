// What the kernels need of the machine that runs them, so that one text runs on both: on a device, where threads of a block
// run at once and 32-bit carries are a flag; and on the host, where a block's threads take turns between barriers.
//
// A kernel is written in phases:
//
//     KERNEL(name)(const Field *in, Field *out, u32 count) {
//         SHARED(Field, partial, THREADS);
//         FOR_THREADS { ... partial[thread] = ...; }
//         BARRIER;
//         FOR_THREADS { ... }
//     }
//
// Nothing that a thread keeps survives its phase but what it puts into shared or global memory. A barrier stands outside
// of all phases and of all conditions that differ between threads.
#pragma once

using u32 = unsigned int;
using u64 = unsigned long long;

// Threads of a block, the same for every kernel.
#define THREADS 128u

#ifdef __CUDACC__

#define DEVICE __device__ __forceinline__
#define DEVICE_CALL __device__ __noinline__
#define KERNEL(name) extern "C" __global__ void __launch_bounds__(THREADS) name
#define ENTRY(name)
#define SHARED(type, array, count) __shared__ type array[count]
#define FOR_THREADS for (u32 thread = threadIdx.x, once = 1; once; once = 0)
#define BARRIER __syncthreads()
#define BLOCK blockIdx.x
#define BLOCKS gridDim.x
#define BLOCK_Y blockIdx.y

DEVICE u32 atomic_add(u32 *at, u32 x) { return atomicAdd(at, x); }
DEVICE void atomic_or(u32 *at, u32 x) { atomicOr(at, x); }

// Additions and products with the carry in the condition flag. Each chain starts with a `_cc` and ends without.
DEVICE u32 add_cc(u32 a, u32 b) { u32 r; asm volatile("add.cc.u32 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b)); return r; }
DEVICE u32 addc_cc(u32 a, u32 b) { u32 r; asm volatile("addc.cc.u32 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b)); return r; }
DEVICE u32 addc(u32 a, u32 b) { u32 r; asm volatile("addc.u32 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b)); return r; }
DEVICE u32 sub_cc(u32 a, u32 b) { u32 r; asm volatile("sub.cc.u32 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b)); return r; }
DEVICE u32 subc_cc(u32 a, u32 b) { u32 r; asm volatile("subc.cc.u32 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b)); return r; }
DEVICE u32 subc(u32 a, u32 b) { u32 r; asm volatile("subc.u32 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b)); return r; }
DEVICE u32 mul_lo(u32 a, u32 b) { return a * b; }
DEVICE u32 mul_hi(u32 a, u32 b) { return __umulhi(a, b); }
DEVICE u32 mad_lo_cc(u32 a, u32 b, u32 c) {
    u32 r; asm volatile("mad.lo.cc.u32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c)); return r;
}
DEVICE u32 madc_lo_cc(u32 a, u32 b, u32 c) {
    u32 r; asm volatile("madc.lo.cc.u32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c)); return r;
}
DEVICE u32 madc_hi_cc(u32 a, u32 b, u32 c) {
    u32 r; asm volatile("madc.hi.cc.u32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c)); return r;
}
DEVICE u32 madc_hi(u32 a, u32 b, u32 c) {
    u32 r; asm volatile("madc.hi.u32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c)); return r;
}

#else
#include "host.hpp"
#endif
