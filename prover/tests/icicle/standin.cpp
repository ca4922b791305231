// A library with the names and the layout of ICICLE 3, loaded by tests in its place: products by doubling and adding, on the
// field and the points of the kernels for cards.
//
// After AFTER products it goes wrong as FAULT says: 1 an error, 2 another point, 3 no point of the curve, 4 a coordinate that is not
// canonical. 5: the function has another name.
#include "../../cuda/curve.cuh"

#include <cstring>
#include <vector>

struct Config {
    void *stream;
    int precompute_factor, c, bitsize, batch_size;
    bool are_points_shared_in_batch, are_scalars_on_device, are_scalars_montgomery_form, are_points_on_device,
        are_points_montgomery_form, are_results_on_device, is_async;
    void *ext;
};

struct Device {
    char type[64];
    int id;
};

struct Number {
    u32 l[8];
};

struct Point {
    Number x, y;
};

struct Projective {
    Number x, y, z;
};

static int calls = 0, backends = 0, chosen = 0;

static Base read(const Number &n) {
    Base raw, square;
    std::memcpy(raw.l, n.l, sizeof raw.l);
    for (u32 i = 0; i < 8; ++i)
        square.l[i] = BasePrime::square(i);
    return raw * square;
}

static Number write(const Base &b) {
    Base one = Base::zero();
    one.l[0] = 1;
    Base raw = b * one;
    Number n;
    std::memcpy(n.l, raw.l, sizeof n.l);
    return n;
}

#if FAULT == 5
#define NAME bn254_another
#else
#define NAME bn254_msm
#endif

extern "C" int NAME(const Number *scalars, const Point *points, int size, const Config *config, Projective *result) {
    const Config &c = *config;
    bool plain = !c.stream && c.precompute_factor == 1 && c.c == 0 && c.bitsize == 0 && c.batch_size == 1 &&
                 !c.are_scalars_on_device && !c.are_scalars_montgomery_form && !c.are_points_on_device &&
                 !c.are_points_montgomery_form && !c.are_results_on_device && !c.is_async && !c.ext;
    // An installation is asked for its backends and told which device to use.
    if (!plain || size < 1 || backends != 1 || chosen != 1)
        return 11;
    std::vector<Affine> read_points;
    for (int i = 0; i < size; ++i)
        read_points.push_back(Affine{read(points[i].x), read(points[i].y)});
    Sum total = Sum::infinity();
    for (u32 bit = 256; bit-- > 0;) {
        total = total.doubled();
        for (int i = 0; i < size; ++i)
            if (scalars[i].l[bit / 32] >> bit % 32 & 1)
                total.add(read_points[i]);
    }
    bool wrong = calls++ >= AFTER;
    if (wrong && FAULT == 1)
        return 2;
    if (wrong && FAULT == 2)
        total = total.doubled();
    Base x = total.x * total.zzz, y = total.y * total.zz, z = total.zz * total.zzz;
    if (wrong && FAULT == 3)
        x = x + Base::one();
    *result = Projective{write(x), total.is_infinity() ? write(Base::one()) : write(y), write(z)};
    if (wrong && FAULT == 4)
        result->z.l[7] |= 0xf0000000;
    return 0;
}

extern "C" int icicle_load_backend_from_env_or_default() {
    ++backends;
    return 0;
}

extern "C" int icicle_get_registered_devices(char *out, std::size_t room) {
    const char *names = "CPU,ABSENT,STANDIN";
    if (std::strlen(names) >= room)
        return 11;
    std::strcpy(out, names);
    return 0;
}

extern "C" int icicle_is_device_available(const Device *device) { return std::strcmp(device->type, "ABSENT") == 0; }

extern "C" int icicle_set_default_device(const Device *device) {
    if (std::strcmp(device->type, "STANDIN") != 0 || device->id != 0)
        return 1;
    ++chosen;
    return 0;
}
