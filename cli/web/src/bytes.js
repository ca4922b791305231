// Bytes of files: strict reading, hexadecimal, hashing with lengths as the Rust side hashes.

import { keccak_256 } from "@noble/hashes/sha3.js";

/** A file that is not what it should be. `version` says that it may be for another program. */
export class Malformed extends Error {
    constructor(message, version = false) {
        super(message);
        this.version = version;
    }
}

export const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

export function unhex(text) {
    const digits = text.replace(/^0x/, "");
    if (digits.length % 2 || /[^0-9a-f]/i.test(digits)) throw new Malformed("not hexadecimal");
    return Uint8Array.from(digits.match(/../g) ?? [], (d) => Number.parseInt(d, 16));
}

export function concat(...parts) {
    const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
    let at = 0;
    for (const part of parts) {
        out.set(part, at);
        at += part.length;
    }
    return out;
}

export const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);

export const keccak = (...parts) => keccak_256(concat(...parts));

/** A number as that many big-endian bytes; negative ones in two's complement. */
export function bigEndian(value, length) {
    const out = new Uint8Array(length);
    let rest = BigInt.asUintN(8 * length, BigInt(value));
    for (let i = length - 1; i >= 0; i--, rest >>= 8n) out[i] = Number(rest & 255n);
    return out;
}

const utf8 = new TextEncoder();

/** Keccak of a domain and parts, each behind its length (circuits/src/canonical.rs). */
export function digest(domain, parts) {
    const long = (part) => [bigEndian(part.length, 8), part];
    return keccak(...[utf8.encode(domain), ...parts].flatMap(long));
}

/** Reads one thing after another; nothing may be missing, and nothing left at the end. */
export class Reader {
    constructor(bytes, what) {
        this.bytes = bytes;
        this.at = 0;
        this.what = what;
    }

    fail(why, version) {
        throw new Malformed(`${this.what}: ${why}`, version);
    }

    take(n) {
        if (n > this.bytes.length - this.at) this.fail("it is cut short");
        this.at += n;
        return this.bytes.subarray(this.at - n, this.at);
    }

    /** A big-endian number. */
    number(bytes) {
        return this.take(bytes).reduce((n, b) => (n << 8n) | BigInt(b), 0n);
    }

    small(bytes) {
        return Number(this.number(bytes));
    }

    /** Bytes behind their count of four bytes. */
    part(limit) {
        const n = this.small(4);
        if (n > limit) this.fail(`a part of ${n} bytes; at most ${limit} are read`);
        return this.take(n);
    }

    /** A word of 32 bytes that is a number below 2^32. */
    word() {
        const n = this.number(32);
        if (n >> 32n) this.fail("a number is too large");
        return Number(n);
    }

    /** An integer of postcard's: seven bits a byte, the lowest first, in as few bytes as there can be. */
    varint() {
        let out = 0n;
        for (let shift = 0n; ; shift += 7n) {
            const [byte] = this.take(1);
            if (shift >= 70n || (shift > 0n && byte === 0)) this.fail("an integer in another form than it is written");
            out |= BigInt(byte & 127) << shift;
            if (byte < 128) break;
        }
        if (out >> 64n) this.fail("an integer beyond 64 bits");
        return out;
    }

    count(least) {
        const n = this.varint();
        if (n * BigInt(least) > BigInt(this.bytes.length - this.at)) this.fail("more entries than bytes");
        return Number(n);
    }

    end() {
        if (this.at !== this.bytes.length) this.fail(`${this.bytes.length - this.at} bytes too many`);
    }
}
