// The machine on the host: carries in a thread-local word, blocks one after another, threads of a block in turns.
#pragma once

#include <cstddef>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#define DEVICE inline
#define DEVICE_CALL inline
#define SHARED(type, array, count) type array[count]
// The order of the threads must not matter: every other launch runs them backwards.
#define FOR_THREADS                                                                                                            \
    for (u32 turn = 0, thread = host::backwards ? THREADS - 1 : 0; turn < THREADS;                                            \
         ++turn, thread = host::backwards ? THREADS - 1 - turn : turn)
#define BARRIER
#define BLOCK host::block
#define BLOCKS host::blocks
#define BLOCK_Y host::block_y

namespace host {

inline thread_local u32 block, blocks, block_y, carry;
inline thread_local bool backwards;

// A kernel by name, called with pointers to its arguments, as a driver is.
using Entry = void (*)(void **);

inline std::map<std::string, Entry> &entries() {
    static std::map<std::string, Entry> all;
    return all;
}

template <auto F> struct Call;

template <class... A, void (*F)(A...)> struct Call<F> {
    template <std::size_t... I> static void with(void **arguments, std::index_sequence<I...>) {
        F(*static_cast<A *>(arguments[I])...);
    }
    static void call(void **arguments) { with(arguments, std::index_sequence_for<A...>()); }
};

struct Register {
    Register(const char *name, Entry entry) { entries()[name] = entry; }
};

} // namespace host

#define KERNEL(name) static void name
#define ENTRY(name) static const host::Register name##_entry(#name, host::Call<name>::call);

inline u32 atomic_add(u32 *at, u32 x) {
    u32 before = *at;
    *at += x;
    return before;
}

inline void atomic_or(u32 *at, u32 x) { *at |= x; }

inline u32 keep_carry(u64 sum) {
    host::carry = static_cast<u32>(sum >> 32) & 1;
    return static_cast<u32>(sum);
}
inline u32 add_cc(u32 a, u32 b) { return keep_carry(static_cast<u64>(a) + b); }
inline u32 addc_cc(u32 a, u32 b) { return keep_carry(static_cast<u64>(a) + b + host::carry); }
inline u32 addc(u32 a, u32 b) { return a + b + host::carry; }
inline u32 sub_cc(u32 a, u32 b) { return keep_carry(static_cast<u64>(a) - b); }
inline u32 subc_cc(u32 a, u32 b) { return keep_carry(static_cast<u64>(a) - b - host::carry); }
inline u32 subc(u32 a, u32 b) { return a - b - host::carry; }
inline u32 mul_lo(u32 a, u32 b) { return static_cast<u32>(static_cast<u64>(a) * b); }
inline u32 mul_hi(u32 a, u32 b) { return static_cast<u32>(static_cast<u64>(a) * b >> 32); }
inline u32 mad_lo_cc(u32 a, u32 b, u32 c) { return keep_carry(static_cast<u64>(mul_lo(a, b)) + c); }
inline u32 madc_lo_cc(u32 a, u32 b, u32 c) { return keep_carry(static_cast<u64>(mul_lo(a, b)) + c + host::carry); }
inline u32 madc_hi_cc(u32 a, u32 b, u32 c) { return keep_carry(static_cast<u64>(mul_hi(a, b)) + c + host::carry); }
inline u32 madc_hi(u32 a, u32 b, u32 c) { return mul_hi(a, b) + c + host::carry; }

// Runs a kernel over a grid. Gives 0, or 1 for a name that no kernel has.
extern "C" int launch(const char *name, u32 grid_x, u32 grid_y, int backwards, void **arguments) {
    auto found = host::entries().find(name);
    if (found == host::entries().end())
        return 1;
    host::blocks = grid_x;
    host::backwards = backwards != 0;
    for (host::block_y = 0; host::block_y < grid_y; ++host::block_y)
        for (host::block = 0; host::block < grid_x; ++host::block)
            found->second(arguments);
    return 0;
}
