// BN254's two prime fields on eight 32-bit limbs, least significant first, in Montgomery form with R = 2^256: the bytes that
// the host stores. Values between operations are canonical.
#pragma once

#include "machine.cuh"

// The order of the curve's groups.
struct ScalarPrime {
    static DEVICE u32 limb(u32 i) {
        const u32 p[8] = {0xf0000001, 0x43e1f593, 0x79b97091, 0x2833e848, 0x8181585d, 0xb85045b6, 0xe131a029, 0x30644e72};
        return p[i];
    }
    // -p^-1 mod 2^32
    static constexpr u32 INVERSE = 0xefffffff;
    // Whether products are calls: code that multiplies often in one place would not fit the instruction cache.
#ifdef SMALL_CODE
    static constexpr bool CALLED = true;
#else
    static constexpr bool CALLED = false;
#endif
    // R mod p
    static DEVICE u32 one(u32 i) {
        const u32 r[8] = {0x4ffffffb, 0xac96341c, 0x9f60cd29, 0x36fc7695, 0x7879462e, 0x666ea36f, 0x9a07df2f, 0x0e0a77c1};
        return r[i];
    }
    // R^2 mod p
    static DEVICE u32 square(u32 i) {
        const u32 r[8] = {0xae216da7, 0x1bb8e645, 0xe35c59e3, 0x53fe3ab1, 0x53bb8085, 0x8c49833d, 0x7f4e44a5, 0x0216d0b1};
        return r[i];
    }
};

// The field of coordinates.
struct BasePrime {
    static DEVICE u32 limb(u32 i) {
        const u32 p[8] = {0xd87cfd47, 0x3c208c16, 0x6871ca8d, 0x97816a91, 0x8181585d, 0xb85045b6, 0xe131a029, 0x30644e72};
        return p[i];
    }
    static constexpr u32 INVERSE = 0xe4866389;
    static constexpr bool CALLED = true;
    static DEVICE u32 one(u32 i) {
        const u32 r[8] = {0xc58f0d9d, 0xd35d438d, 0xf5c70b3d, 0x0a78eb28, 0x7879462c, 0x666ea36f, 0x9a07df2f, 0x0e0a77c1};
        return r[i];
    }
    static DEVICE u32 square(u32 i) {
        const u32 r[8] = {0x538afa89, 0xf32cfc5b, 0xd44501fb, 0xb5e71911, 0x0a417ff6, 0x47ab1eff, 0xcab8351f, 0x06d89f71};
        return r[i];
    }
};

template <class Prime> struct alignas(16) Element {
    u32 l[8];

    static DEVICE Element zero() {
        Element r;
#pragma unroll
        for (u32 i = 0; i < 8; ++i)
            r.l[i] = 0;
        return r;
    }

    static DEVICE Element one() {
        Element r;
#pragma unroll
        for (u32 i = 0; i < 8; ++i)
            r.l[i] = Prime::one(i);
        return r;
    }

    DEVICE bool is_zero() const { return (l[0] | l[1] | l[2] | l[3] | l[4] | l[5] | l[6] | l[7]) == 0; }

    DEVICE bool operator==(const Element &b) const {
        u32 differ = 0;
#pragma unroll
        for (u32 i = 0; i < 8; ++i)
            differ |= l[i] ^ b.l[i];
        return differ == 0;
    }

    // Subtracts the prime where that leaves nothing negative.
    DEVICE Element reduced_once() const {
        Element r;
        r.l[0] = sub_cc(l[0], Prime::limb(0));
#pragma unroll
        for (u32 i = 1; i < 8; ++i)
            r.l[i] = subc_cc(l[i], Prime::limb(i));
        u32 borrow = subc(0, 0);
#pragma unroll
        for (u32 i = 0; i < 8; ++i)
            r.l[i] = borrow ? l[i] : r.l[i];
        return r;
    }

    // The sum of two canonical values is below 2^255.
    DEVICE Element operator+(const Element &b) const {
        Element r;
        r.l[0] = add_cc(l[0], b.l[0]);
#pragma unroll
        for (u32 i = 1; i < 7; ++i)
            r.l[i] = addc_cc(l[i], b.l[i]);
        r.l[7] = addc(l[7], b.l[7]);
        return r.reduced_once();
    }

    DEVICE Element operator-(const Element &b) const {
        Element r;
        r.l[0] = sub_cc(l[0], b.l[0]);
#pragma unroll
        for (u32 i = 1; i < 8; ++i)
            r.l[i] = subc_cc(l[i], b.l[i]);
        u32 borrow = subc(0, 0);
        r.l[0] = add_cc(r.l[0], Prime::limb(0) & borrow);
#pragma unroll
        for (u32 i = 1; i < 7; ++i)
            r.l[i] = addc_cc(r.l[i], Prime::limb(i) & borrow);
        r.l[7] = addc(r.l[7], Prime::limb(7) & borrow);
        return r;
    }

    DEVICE Element negated() const { return zero() - *this; }
    DEVICE Element doubled() const { return *this + *this; }
    DEVICE Element squared() const { return *this * *this; }

    // Montgomery's product, one limb of b a step. The sum so far is `even + 2^32 odd`, eight limbs each: products with
    // limbs of even index fill `even` without overlap, those with odd index `odd`, so that each is one carry chain. A step
    // divides by 2^32, which swaps the two. The sum stays below 2^288: a 2^32 + 2 p + p 2^32 for a, p < 2^254.
    DEVICE Element operator*(const Element &b) const {
        if constexpr (Prime::CALLED)
            return called(*this, b);
        else
            return product(*this, b);
    }

  private:
    static DEVICE_CALL Element called(Element a, Element b) { return product(a, b); }

    static DEVICE Element product(const Element &a, const Element &b) {
        const u32 *l = a.l;
        u32 even[8], odd[8];
#pragma unroll
        for (u32 j = 0; j < 8; j += 2) {
            even[j] = mul_lo(l[j], b.l[0]);
            even[j + 1] = mul_hi(l[j], b.l[0]);
            odd[j] = mul_lo(l[j + 1], b.l[0]);
            odd[j + 1] = mul_hi(l[j + 1], b.l[0]);
        }
        clear(even, odd);
#pragma unroll
        for (u32 i = 1; i < 8; ++i) {
            // The arrays' roles swap, and the new `odd` is the old `even` two limbs down.
            if (i % 2 == 1)
                step(odd, even, l, b.l[i]);
            else
                step(even, odd, l, b.l[i]);
        }
        // The last step's `even` was the array named odd; its lowest limb is clear.
        Element r;
        r.l[0] = add_cc(even[0], odd[1]);
#pragma unroll
        for (u32 j = 1; j < 7; ++j)
            r.l[j] = addc_cc(even[j], odd[j + 1]);
        r.l[7] = addc(even[7], 0);
        return r.reduced_once();
    }

    // Adds the multiple of the prime that clears the lowest limb.
    static DEVICE void clear(u32 *even, u32 *odd) {
        u32 q = mul_lo(even[0], Prime::INVERSE);
        even[0] = mad_lo_cc(Prime::limb(0), q, even[0]);
        even[1] = madc_hi_cc(Prime::limb(0), q, even[1]);
#pragma unroll
        for (u32 j = 2; j < 8; j += 2) {
            even[j] = madc_lo_cc(Prime::limb(j), q, even[j]);
            even[j + 1] = madc_hi_cc(Prime::limb(j), q, even[j + 1]);
        }
        odd[7] = addc(odd[7], 0);
        odd[0] = mad_lo_cc(Prime::limb(1), q, odd[0]);
        odd[1] = madc_hi_cc(Prime::limb(1), q, odd[1]);
#pragma unroll
        for (u32 j = 2; j < 6; j += 2) {
            odd[j] = madc_lo_cc(Prime::limb(j + 1), q, odd[j]);
            odd[j + 1] = madc_hi_cc(Prime::limb(j + 1), q, odd[j + 1]);
        }
        odd[6] = madc_lo_cc(Prime::limb(7), q, odd[6]);
        odd[7] = madc_hi(Prime::limb(7), q, odd[7]);
    }

    // Divides by 2^32, adds a b and clears. `even` is what was odd, `odd` what was even.
    static DEVICE void step(u32 *even, u32 *odd, const u32 *a, u32 b) {
        even[0] = add_cc(even[0], odd[1]);
#pragma unroll
        for (u32 j = 0; j < 6; j += 2) {
            odd[j] = madc_lo_cc(a[j + 1], b, odd[j + 2]);
            odd[j + 1] = madc_hi_cc(a[j + 1], b, odd[j + 3]);
        }
        odd[6] = madc_lo_cc(a[7], b, 0);
        odd[7] = madc_hi(a[7], b, 0);
        even[0] = mad_lo_cc(a[0], b, even[0]);
        even[1] = madc_hi_cc(a[0], b, even[1]);
#pragma unroll
        for (u32 j = 2; j < 8; j += 2) {
            even[j] = madc_lo_cc(a[j], b, even[j]);
            even[j + 1] = madc_hi_cc(a[j], b, even[j + 1]);
        }
        odd[7] = addc(odd[7], 0);
        clear(even, odd);
    }
};

using Scalar = Element<ScalarPrime>;
using Base = Element<BasePrime>;

// A sum of scalars times integers of 32 bits, below 2^320: up to 2^33 terms. One reduction at the end.
struct IntegerSum {
    u32 l[10];

    static DEVICE IntegerSum zero() {
        IntegerSum r;
#pragma unroll
        for (u32 i = 0; i < 10; ++i)
            r.l[i] = 0;
        return r;
    }

    // Adds w x.
    DEVICE void add(const Scalar &w, int x) {
        Scalar signed_w = x < 0 ? w.negated() : w;
        u32 size = x < 0 ? 0u - static_cast<u32>(x) : static_cast<u32>(x);
        // Products with limbs of even and of odd index, a carry chain each.
        l[0] = mad_lo_cc(signed_w.l[0], size, l[0]);
        l[1] = madc_hi_cc(signed_w.l[0], size, l[1]);
#pragma unroll
        for (u32 j = 2; j < 8; j += 2) {
            l[j] = madc_lo_cc(signed_w.l[j], size, l[j]);
            l[j + 1] = madc_hi_cc(signed_w.l[j], size, l[j + 1]);
        }
        l[8] = addc_cc(l[8], 0);
        l[9] = addc(l[9], 0);
        l[1] = mad_lo_cc(signed_w.l[1], size, l[1]);
        l[2] = madc_hi_cc(signed_w.l[1], size, l[2]);
#pragma unroll
        for (u32 j = 3; j < 9; j += 2) {
            l[j] = madc_lo_cc(signed_w.l[j], size, l[j]);
            l[j + 1] = madc_hi_cc(signed_w.l[j], size, l[j + 1]);
        }
        l[9] = addc(l[9], 0);
    }

    // The residue. The upper limbs are worth R each, which Montgomery's product with R^2 gives.
    DEVICE Scalar value() const {
        Scalar low, high = Scalar::zero(), square;
#pragma unroll
        for (u32 i = 0; i < 8; ++i) {
            low.l[i] = l[i];
            square.l[i] = ScalarPrime::square(i);
        }
        high.l[0] = l[8];
        high.l[1] = l[9];
        // 2^256 is less than 6 p.
#pragma unroll
        for (u32 k = 0; k < 5; ++k)
            low = low.reduced_once();
        return low + high * square;
    }
};

// A small integer as a scalar.
DEVICE Scalar scalar(int x) {
    IntegerSum sum = IntegerSum::zero();
    sum.add(Scalar::one(), x);
    return sum.value();
}
