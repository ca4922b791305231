// Arithmetic and wording of numbers. Amounts stay integers until they are written.

/** 1234567 as "1,234,567". */
export const count = (n) => BigInt(n).toString().replace(/\B(?=(\d{3})+$)/g, ",");

const places = (decimals) => Math.min(Number(decimals), 77);

/** All digits of an amount. */
export function exact(amount, decimals) {
    const d = places(decimals);
    const digits = amount.toString().padStart(d + 1, "0");
    const fraction = digits.slice(digits.length - d).replace(/0+$/, "");
    return count(digits.slice(0, digits.length - d)) + (d && fraction ? "." + fraction : "");
}

/** An amount to read: four decimals at most, four significant digits below one. Cut, never rounded up. */
export function short(amount, decimals) {
    const full = exact(amount, decimals);
    const [whole, fraction = ""] = full.split(".");
    if (!fraction) return whole;
    const keep = whole === "0" ? fraction.search(/[1-9]/) + 4 : 4;
    if (whole === "0" && keep > 12) return "under 0.00000001";
    const kept = fraction.slice(0, keep).replace(/0+$/, "");
    return kept ? `${whole}.${kept}` : whole;
}

/** a / b as a decimal number with some places; b > 0. */
export function ratio(a, b, decimals = 2) {
    const scale = 10n ** BigInt(decimals);
    return exact((a * scale * 2n + b) / (2n * b), decimals);
}

/** a / b for drawing. */
export const fraction = (a, b) => (b > 0n ? Number((a * 1_000_000n) / b) / 1e6 : 0);

export const percent = (a, b) => `${ratio(a * 100n, b, 1)} %`;

/** Parts of ten thousand as a percentage. */
export const basisPoints = (n) => `${exact(BigInt(n), 2)} %`;

const sum = (amounts) => amounts.reduce((a, b) => a + b, 0n);

/**
 * How unequal positive amounts are. `effective` is the number of equal workers that would be as concentrated:
 * (sum)^2 / (sum of squares), as text. `gini` is in 1/10000, as the contract computes it.
 */
export function inequality(amounts) {
    const x = amounts.filter((a) => a > 0n).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    const total = sum(x);
    if (total === 0n) return null;
    const n = BigInt(x.length);
    const ranked = sum(x.map((a, i) => a * BigInt(i + 1)));
    return {
        workers: x.length,
        total,
        largest: x[x.length - 1],
        effective: ratio(total * total, sum(x.map((a) => a * a))),
        gini: ((2n * ranked - (n + 1n) * total) * 10_000n) / (n * total),
    };
}

/** The index of the largest value, the first of equal ones; -1 if there is none. */
export function argmax(values) {
    return values.reduce((best, v, i) => (best < 0 || v > values[best] ? i : best), -1);
}

/** Seconds since 1970 as "2026-11-26 17:08:31 UTC". */
export function time(seconds) {
    const n = Number(seconds);
    return n < 8.64e12 ? new Date(n * 1000).toISOString().replace(/T(.{8}).*/, " $1 UTC") : "the end of time";
}

/** A span of time in its largest unit: "3 h". */
export function span(seconds) {
    const s = Math.abs(Number(seconds));
    const units = [[86_400 * 2, 86_400, "days"], [7200, 3600, "h"], [120, 60, "min"]];
    const [, size, name] = units.find(([from]) => s >= from) ?? [0, 1, "s"];
    return `${Math.floor(s / size)} ${name}`;
}

export const when = (seconds, now) =>
    Number(seconds) >= now ? `in ${span(Number(seconds) - now)}` : `${span(now - Number(seconds))} ago`;

/** The middle of hexadecimal left out. */
export const shortHex = (hex) => (hex.length > 16 ? `${hex.slice(0, 8)}…${hex.slice(-6)}` : hex);
