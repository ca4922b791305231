// Points of BN254's G1: affine as the host stores them, and sums with two denominators ("XYZZ"), which need no inversion.
// Formulas: Bernstein and Lange, Explicit-Formulas Database, shortw-xyzz, for a = 0.
#pragma once

#include "field.cuh"

// (0, 0), which is not on the curve, stands for infinity.
struct Affine {
    Base x, y;

    DEVICE bool is_infinity() const { return x.is_zero() && y.is_zero(); }
};

// x = X / ZZ and y = Y / ZZZ with ZZ^3 = ZZZ^2; ZZ = 0 stands for infinity.
struct Sum {
    Base x, y, zz, zzz;

    static DEVICE Sum infinity() { return Sum{Base::zero(), Base::zero(), Base::zero(), Base::zero()}; }

    DEVICE bool is_infinity() const { return zz.is_zero(); }

    DEVICE Sum doubled() const {
        if (is_infinity())
            return *this;
        // The group has odd order, so y is not zero.
        Base u = y.doubled(), v = u.squared(), w = u * v, s = x * v, square = x.squared();
        Base m = square.doubled() + square;
        Sum r;
        r.x = m.squared() - s.doubled();
        r.y = m * (s - r.x) - w * y;
        r.zz = v * zz;
        r.zzz = w * zzz;
        return r;
    }

    DEVICE void add(const Affine &p) {
        if (p.is_infinity())
            return;
        if (is_infinity()) {
            *this = Sum{p.x, p.y, Base::one(), Base::one()};
            return;
        }
        along(x, y, p.x * zz, p.y * zzz, zz, zzz);
    }

    DEVICE void add(const Sum &p) {
        if (p.is_infinity())
            return;
        if (is_infinity()) {
            *this = p;
            return;
        }
        along(x * p.zz, y * p.zzz, p.x * zz, p.y * zzz, zz * p.zz, zzz * p.zzz);
    }

  private:
    // The sum of (x1 / d, y1 / e) and (x2 / d, y2 / e).
    DEVICE void along(Base x1, Base y1, Base x2, Base y2, Base d, Base e) {
        Base p = x2 - x1, r = y2 - y1;
        if (p.is_zero()) {
            *this = r.is_zero() ? Sum{x1, y1, d, e}.doubled() : infinity();
            return;
        }
        Base pp = p.squared(), ppp = p * pp, q = x1 * pp;
        x = r.squared() - ppp - q.doubled();
        y = r * (q - x) - y1 * ppp;
        zz = d * pp;
        zzz = e * ppp;
    }
};
