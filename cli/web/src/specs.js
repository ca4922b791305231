// Descriptions of inputs and outputs, as the key file holds them (circuits/src/model/spec.rs, encoded with postcard).

import { Reader, concat } from "./bytes.js";

const utf8 = new TextEncoder();
const text = new TextDecoder("utf-8", { fatal: true });

function float(reader) {
    const b = reader.take(8);
    const value = new DataView(b.buffer, b.byteOffset, 8).getFloat64(0, true);
    if (!Number.isFinite(value)) reader.fail("a scale that is not finite");
    return value;
}

function spec(reader) {
    let name;
    try {
        name = text.decode(reader.take(reader.count(1)));
    } catch {
        reader.fail("a name that is no text");
    }
    const shape = Array.from({ length: reader.count(1) }, () => Number(reader.varint()));
    const zigzag = reader.varint();
    const scaleBits = Number(zigzag & 1n ? -((zigzag + 1n) >> 1n) : zigzag >> 1n);
    if (Math.abs(scaleBits) > 120) reader.fail("a scale out of bounds");
    let features = null;
    const start = reader.at;
    const [has] = reader.take(1);
    if (has > 1) reader.fail("a flag that is neither 0 nor 1");
    if (has === 1) {
        const axis = Number(reader.varint());
        const scale = Array.from({ length: reader.count(8) }, () => float(reader));
        const offset = Array.from({ length: reader.count(8) }, () => float(reader));
        if (!(axis < shape.length) || scale.length !== shape[axis] || offset.length !== scale.length) {
            reader.fail("scales that do not fit their axis");
        }
        features = { axis, scale, offset };
    }
    return { name, shape, scaleBits, features, featureBytes: reader.bytes.subarray(start, reader.at) };
}

/** Inputs and outputs. */
export function read(bytes) {
    const reader = new Reader(bytes, "the key's descriptions");
    const list = () => Array.from({ length: reader.count(4) }, () => spec(reader));
    const out = [list(), list()];
    reader.end();
    return out;
}

function varint(value) {
    const out = [];
    let rest = BigInt(value);
    for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
    return Uint8Array.from([...out, Number(rest)]);
}

const zigzag = (n) => (n < 0 ? -2 * n - 1 : 2 * n);

/** What identifies the descriptions: names, shapes and scales; and apart from them the scales of features, if there are any. */
export function identity(inputs, outputs) {
    const plain = (specs) => [varint(specs.length), ...specs.flatMap((s) => {
        const name = utf8.encode(s.name);
        return [varint(name.length), name, varint(s.shape.length), ...s.shape.map(varint), varint(zigzag(s.scaleBits))];
    })];
    const apart = (specs) => [varint(specs.length), ...specs.map((s) => s.featureBytes)];
    return {
        names: concat(...plain(inputs), ...plain(outputs)),
        apart: concat(...apart(inputs), ...apart(outputs)),
        scaled: [...inputs, ...outputs].some((s) => s.features),
    };
}

export const size = (s) => s.shape.reduce((n, e) => n * e, 1);

/** The floats that integers stand for: 32-bit ones, as the program prints them. */
export function dequantize(s, integers) {
    const unit = 2 ** -s.scaleBits;
    const inner = s.features ? s.shape.slice(s.features.axis + 1).reduce((n, e) => n * e, 1) : 1;
    return integers.map((v, i) => {
        if (!s.features) return Math.fround(Number(v) * unit);
        const k = Math.floor(i / inner) % s.shape[s.features.axis];
        return Math.fround(s.features.offset[k] + Number(v) * (unit * s.features.scale[k]));
    });
}

