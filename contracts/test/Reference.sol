// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.37;

/// @dev Arithmetic modulo the order of BN254's scalar field, always reduced.
library F {
    uint256 internal constant R = 21888242871839275222246405745257275088548364400416034343698204186575808495617;

    function add(uint256 a, uint256 b) internal pure returns (uint256) {
        return addmod(a, b, R);
    }

    function sub(uint256 a, uint256 b) internal pure returns (uint256) {
        return addmod(a, R - b % R, R);
    }

    function mul(uint256 a, uint256 b) internal pure returns (uint256) {
        return mulmod(a, b, R);
    }

    function sqr(uint256 a) internal pure returns (uint256) {
        return mulmod(a, a, R);
    }

    function pow(uint256 a, uint256 n) internal pure returns (uint256 out) {
        out = 1;
        for (; n != 0; n >>= 1) {
            if (n & 1 == 1) out = mul(out, a);
            a = mul(a, a);
        }
    }

    function inv(uint256 a) internal pure returns (uint256) {
        require(a % R != 0, "inverse of zero");
        return pow(a, R - 2);
    }

    /// @dev The value at `at` of the polynomial of least degree through (xs, ys).
    function interpolate(uint256[] memory xs, uint256[] memory ys, uint256 at_) internal pure returns (uint256 sum) {
        for (uint256 i = 0; i < xs.length; i++) {
            uint256 term = ys[i];
            for (uint256 j = 0; j < xs.length; j++) {
                if (j != i) term = mul(term, mul(sub(at_, xs[j]), inv(sub(xs[i], xs[j]))));
            }
            sum = add(sum, term);
        }
    }
}

/// @dev The settlement circuit's constraints and its SHPLONK opening, written down as they are specified.
library Halo2Reference {
    using F for uint256;

    struct Proof {
        uint256 k;
        uint256 omega;
        uint256[] instances;
        uint256[21] e;
        uint256 beta;
        uint256 gamma;
        uint256 y;
        uint256 x;
        uint256 batch;
        uint256 sets;
        uint256 u;
    }

    function matrix() internal pure returns (uint256[3][3] memory) {
        return [
            [
                7511745149465107256748700652201246547602992235352608707588321460060273774987,
                10370080108974718697676803824769673834027675643658433702224577712625900127200,
                19705173408229649878903981084052839426532978878058043055305024233888854471533
            ],
            [
                18732019378264290557468133440468564866454307626475683536618613112504878618481,
                20870176810702568768751421378473869562658540583882454726129544628203806653987,
                7266061498423634438633389053804536045105766754026813321943009179476902321146
            ],
            [
                9131299761947733513298312097611845208338517739621853568979632113419485819303,
                10595341252162738537912664445405114076324478519622938027420701542910180337937,
                11597556804922396090267472882856054602429588299176362916247939723151043581408
            ]
        ];
    }

    function lagrange(Proof memory p, uint256 i) internal pure returns (uint256) {
        uint256 n = 1 << p.k;
        uint256 root = p.omega.pow(i);
        return root.mul(p.x.pow(n).sub(1)).mul(n.mul(p.x.sub(root)).inv());
    }

    function constraints(Proof memory p) internal pure returns (uint256[21] memory c) {
        uint256[21] memory e = p.e;
        uint256[3][3] memory m = matrix();
        (uint256 fullColumn, uint256 bothColumn, uint256 s) = (e[9], e[10], e[11]);
        {
            uint256 full = fullColumn.mul(uint256(1).sub(bothColumn));
            for (uint256 i = 0; i < 3; i++) {
                c[i] = full.mul(e[3 + i].sub(e[i].add(e[12 + i]).sqr()));
                uint256 row = 0;
                for (uint256 j = 0; j < 3; j++) {
                    row = row.add(m[i][j].mul(e[3 + j].sqr().mul(e[j].add(e[12 + j]))));
                }
                c[3 + i] = full.mul(e[6 + i].sub(row));
            }
        }
        {
            uint256 d0 = e[0].add(e[12]);
            c[6] = s.mul(e[3].sub(d0.sqr()));
            c[7] = s.mul(e[4].sub(e[3].sqr().mul(d0)));
            uint256[3] memory mid;
            for (uint256 j = 0; j < 3; j++) {
                mid[j] = m[j][0].mul(e[4]).add(m[j][1].mul(e[1])).add(m[j][2].mul(e[2]));
            }
            uint256 d1 = mid[0].add(e[13]);
            c[8] = s.mul(e[5].sub(d1.sqr()));
            uint256 y1 = e[5].sqr().mul(d1);
            for (uint256 j = 0; j < 3; j++) {
                uint256 v = m[j][0].mul(y1).add(m[j][1].mul(mid[1])).add(m[j][2].mul(mid[2]));
                c[9 + j] = s.mul(e[6 + j].sub(mid[j]).sub(e[14].mul(v.sub(mid[j]))));
            }
        }
        {
            uint256 h = bothColumn.mul(uint256(1).sub(fullColumn.sqr()));
            uint256 instance = 0;
            for (uint256 i = 0; i < p.instances.length; i++) {
                instance = instance.add(p.instances[i].mul(lagrange(p, i)));
            }
            c[12] = h.mul(e[6].sub(e[0]));
            c[13] = h.mul(e[7].sub(e[1]).sub(e[14].mul(e[3])));
            c[14] = h.mul(e[8].sub(e[2]).sub(e[14].mul(e[4])));
            c[15] = h.mul(e[5].sub(e[12].mul(e[1])).sub(e[13].mul(e[2])).sub(instance));
        }
        {
            uint256 ba = bothColumn.mul(fullColumn);
            uint256 algebra = e[0].add(e[12].mul(e[3]).mul(e[4])).add(e[13].mul(e[3])).add(e[14]);
            uint256 half = uint256(2).inv();
            c[16] = ba.mul(algebra).add(bothColumn.mul(fullColumn.sqr()).mul(e[5]))
                .sub(half.mul(ba).mul(fullColumn.add(1)).mul(e[6]));
            c[17] = ba.mul(fullColumn.sub(1)).mul(e[6]);
        }
        (c[18], c[19], c[20]) = permutation(p);
    }

    function permutation(Proof memory p) internal pure returns (uint256 first, uint256 last, uint256 product) {
        uint256 n = 1 << p.k;
        (uint256 z, uint256 zNext) = (p.e[19], p.e[20]);
        first = lagrange(p, 0).mul(uint256(1).sub(z));
        uint256 lastRow = lagrange(p, n - 6);
        last = lastRow.mul(z.sqr().sub(z));
        uint256 blind = 0;
        for (uint256 i = n - 5; i < n; i++) {
            blind = blind.add(lagrange(p, i));
        }
        product = ratio(p, z, zNext).mul(uint256(1).sub(lastRow).sub(blind));
    }

    function ratio(Proof memory p, uint256 right, uint256 left) private pure returns (uint256) {
        uint256 delta = uint256(7).pow(1 << 28);
        for (uint256 i = 0; i < 3; i++) {
            left = left.mul(p.e[3 + i].add(p.beta.mul(p.e[16 + i])).add(p.gamma));
            right = right.mul(p.e[3 + i].add(delta.pow(i).mul(p.beta).mul(p.x)).add(p.gamma));
        }
        return left.sub(right);
    }

    function quotient(Proof memory p) internal pure returns (uint256 value) {
        uint256[21] memory c = constraints(p);
        for (uint256 i = 0; i < 21; i++) {
            value = value.mul(p.y).add(c[i]);
        }
        value = value.mul(p.x.pow(1 << p.k).sub(1).inv());
    }

    /// @dev Scalars of a0..a5, z, random, h0..h3 | A, B, S, c0, c1, c2, sigma0..2 | W, W' | the generator.
    function shplonk(Proof memory p, uint256 h) internal pure returns (uint256[24] memory out) {
        uint256 next = p.omega.mul(p.x);
        uint256 f = p.sets.mul(p.u.sub(next));
        uint256 constants = pairs(p, out, p.u.sub(p.x).mul(next.sub(p.x).inv()));
        uint256[14] memory values = singles(p, h);
        uint256[14] memory place1 = [uint256(3), 4, 5, 12, 13, 14, 15, 16, 17, 18, 19, 20, 8, 7];
        for (uint256 j = 0; j < 14; j++) {
            uint256 power = f.mul(p.batch.pow(j));
            out[place1[j]] = power;
            constants = constants.add(power.mul(values[j]));
        }
        uint256 xn = p.x.pow(1 << p.k);
        for (uint256 i = 1; i < 4; i++) {
            out[8 + i] = out[8].mul(xn.pow(i));
        }
        out[21] = uint256(0).sub(p.u.sub(p.x).mul(p.u.sub(next)));
        out[22] = p.u;
        out[23] = uint256(0).sub(constants);
    }

    /// @dev What is opened at X and omega X: writes the scalars, returns their part of the generator's.
    function pairs(Proof memory p, uint256[24] memory out, uint256 slope) private pure returns (uint256 constants) {
        uint256[4] memory at0 = [p.e[0], p.e[1], p.e[2], p.e[19]];
        uint256[4] memory at1 = [p.e[6], p.e[7], p.e[8], p.e[20]];
        uint256[4] memory place0 = [uint256(0), 1, 2, 6];
        for (uint256 j = 0; j < 4; j++) {
            uint256 power = p.batch.pow(j);
            out[place0[j]] = power;
            constants = constants.add(power.mul(at0[j].add(at1[j].sub(at0[j]).mul(slope))));
        }
    }

    /// @dev Values of what is opened at X alone.
    function singles(Proof memory p, uint256 h) private pure returns (uint256[14] memory) {
        return [
            p.e[3],
            p.e[4],
            p.e[5],
            p.e[9],
            p.e[10],
            p.e[11],
            p.e[12],
            p.e[13],
            p.e[14],
            p.e[16],
            p.e[17],
            p.e[18],
            h,
            p.e[15]
        ];
    }
}

/// @dev The opening of the combined row, written down as it is specified.
library OpeningReference {
    using F for uint256;

    struct Proof {
        uint256 m;
        uint256 witnessBits;
        uint256 modelBits;
        uint256[] x;
        uint256 gamma;
        uint256 claim;
        uint256 beta;
        uint256[] values;
        uint256 z;
        uint256 nu;
        uint256 zeta;
        uint256 rho;
    }

    struct Fold {
        uint256[] points;
        uint256[] values;
    }

    /// @dev Scalars rho s_j of the folds, from C on, and of the generator.
    function folds(Proof memory p) internal pure returns (uint256[] memory scalars, uint256 generator) {
        uint256 count = (p.m + 1) / 2;
        Fold[] memory all = new Fold[](count);
        {
            uint256 at_ = p.values.length;
            uint256 value = p.claim;
            for (uint256 left = count; left > 0; left--) {
                uint256 j = left - 1;
                uint256 arity = 2 * j + 1 == p.m ? 2 : 4;
                at_ -= arity - 1;
                all[j] = fold(p, j, arity, at_, value);
                value = all[j].values[0];
            }
        }
        scalars = new uint256[](count);
        for (uint256 j = 0; j < count; j++) {
            uint256 arity = all[j].points.length;
            uint256 s = p.nu.pow(j).mul(p.zeta.pow(arity).sub(all[j].points[0].pow(arity)).inv());
            scalars[j] = p.rho.mul(s);
            generator = generator.sub(scalars[j].mul(F.interpolate(all[j].points, all[j].values, p.zeta)));
        }
    }

    /// @dev Points and values of fold j, of which the one at z_j follows from `value`.
    function fold(Proof memory p, uint256 j, uint256 arity, uint256 at_, uint256 value)
        internal
        pure
        returns (Fold memory f)
    {
        f.points = new uint256[](arity);
        f.values = new uint256[](arity);
        uint256[] memory k = new uint256[](arity);
        uint256 root = uint256(7).pow((F.R - 1) / arity);
        uint256 zj = p.z.pow(4 ** j);
        uint256 last = p.x.length - 1 - 2 * j;
        for (uint256 i = 0; i < arity; i++) {
            uint256 u = root.pow(i).mul(zj);
            f.points[i] = u;
            k[i] = arity.inv();
            for (uint256 t = 0; 2 ** t < arity; t++) {
                uint256 xt = p.x[last - t];
                k[i] = k[i].mul(uint256(1).sub(xt).add(xt.mul(u.pow(2 ** t).inv())));
            }
            if (i > 0) {
                f.values[i] = p.values[at_ + i - 1];
                value = value.sub(k[i].mul(f.values[i]));
            }
        }
        f.values[0] = value.mul(k[0].inv());
    }

    /// @dev eq of the `count` coordinates from `start` on and the bits of `index`.
    function eq(Proof memory p, uint256 start, uint256 count, uint256 index) internal pure returns (uint256 out) {
        out = 1;
        for (uint256 i = 0; i < count; i++) {
            uint256 xi = p.x[start + i];
            out = out.mul((index >> (count - 1 - i)) & 1 == 1 ? xi : uint256(1).sub(xi));
        }
    }
}
