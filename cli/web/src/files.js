// Settled proofs and settlement keys: their files (docs/protocol.md#settlement-keys) and what must agree in them.

import { Reader, bigEndian, digest, hex, keccak, same } from "./bytes.js";
import * as specs from "./specs.js";
import * as named from "./stacks.js";

const MAX_BYTES = 1 << 20;
const MAX_GRAPH_BYTES = 1 << 25;
const MAX_STACK_BYTES = 1 << 22;
const KEY_VERSION = 2;
const PROOF_VERSION = 2;
const SETTLED = 1;

const magic = (bytes) => new TextDecoder("latin1").decode(bytes.subarray(0, 8));

/** What a file is: "key", "proof", or what else it could be. */
export function kind(bytes) {
    switch (magic(bytes)) {
        case "ASSAYSKY":
            return "key";
        case "ASSAYPRF":
            return bytes[10] === SETTLED ? "proof" : "a core proof, which is not made for chains; settle it: assay settle";
        case "ASSAYKEY":
            return "a verifying key of core proofs; a settlement key is written by assay settle --key-out";
        case "ASSAYMOD":
            return "a compiled model";
        case "ASSAYSRS":
            return "powers of tau";
        default:
            return "no file of Assay's";
    }
}

function begin(bytes, what, name, version) {
    const reader = new Reader(bytes, what);
    if (magic(reader.take(8)) !== name) reader.fail("it begins with other bytes");
    const got = reader.small(2);
    if (got !== version) reader.fail(`it is of format version ${got}; this page reads version ${version}`, true);
    return reader;
}

export function readProof(bytes) {
    const reader = begin(bytes, "the proof", "ASSAYPRF", PROOF_VERSION);
    if (reader.small(1) !== SETTLED) reader.fail("it is a core proof, not a settled one");
    const id = reader.take(32);
    const context = { chainId: reader.number(8), consumer: reader.take(20), job: reader.take(32), recipient: reader.take(20) };
    const publicValues = reader.part(MAX_BYTES * 64);
    const argument = reader.part(MAX_BYTES);
    reader.end();
    return { id, context, publicValues, argument };
}

/** `abi.encode` of domain, chain, contract, job and recipient, hashed: what the proof is bound to. */
export function contextDigest({ chainId, consumer, job, recipient }) {
    const address = (a) => bigEndian(`0x${[...a].map((b) => b.toString(16).padStart(2, "0")).join("")}`, 32);
    const domain = keccak(new TextEncoder().encode("assay.context.v1"));
    return keccak(domain, bigEndian(chainId, 32), address(consumer), job, address(recipient));
}

/** The descriptor's head, the ranges of public tensors and the named stacks. The contract checks all words when the key is registered. */
export function readDescriptor(words) {
    const reader = new Reader(words, "the key's descriptor");
    const version = reader.word();
    if (version !== 1 && version !== 2) reader.fail("it is of another version", true);
    const development = reader.word();
    if (development > 1) reader.fail("a flag that is neither 0 nor 1");
    const program = reader.take(32);
    const k = reader.word();
    reader.take(32);
    const [, rowBits, witnessBits, modelBits, count] = [0, 0, 0, 0, 0].map(() => reader.word());
    if (count > 64) reader.fail("too many public tensors");
    reader.take(64 + 128);
    const tensors = Array.from({ length: count }, () => {
        const values = reader.word();
        if (values > 1 << 20) reader.fail("too many public values");
        const bound = () => BigInt.asIntN(256, reader.number(32));
        return { values, lo: bound(), hi: bound() };
    });
    const listed = version === 2 ? reader.word() : 0;
    if (listed > 16) reader.fail("too many named stacks");
    const stacks = Array.from({ length: listed }, () => ({ pinned: reader.word() === 1, bits: reader.word(), schema: reader.take(32) }));
    return { development: development === 1, program, k, rowBits, witnessBits, modelBits, tensors, stacks };
}

/** Parts of a key that contradict each other: no proof under it means anything. */
export class Inconsistent extends Error {}

export function readKey(bytes) {
    const reader = begin(bytes, "the key", "ASSAYSKY", KEY_VERSION);
    const bits = reader.small(1);
    if (bits > 15) reader.fail("unknown visibility");
    const graph = reader.part(MAX_GRAPH_BYTES);
    const [inputs, outputs] = specs.read(reader.part(MAX_GRAPH_BYTES));
    const batchBytes = reader.take(4);
    const batch = Number(new Reader(batchBytes, "").number(4));
    const stackBytes = bits & 8 ? reader.part(MAX_STACK_BYTES) : null;
    const stacks = stackBytes ? named.read(stackBytes) : [];
    const words = reader.part(MAX_BYTES);
    reader.take(1 + 9 * 64);
    reader.part(MAX_BYTES);
    reader.end();
    const visible = { inputs: (bits & 1) !== 0, weights: (bits & 2) !== 0, outputs: (bits & 4) !== 0 };
    const key = { visible, inputs, outputs, batch, stacks, words, id: keccak(words), descriptor: readDescriptor(words) };

    // What the page says about a key must be what its id stands for.
    const { names, apart, scaled } = specs.identity(inputs, outputs);
    const parts = [graph, names, Uint8Array.of(bits & 7), batchBytes];
    const program = stackBytes
        ? digest("assay.settle.inference.v2", [...parts, apart, stackBytes])
        : digest("assay.settle.inference.v1", scaled ? [...parts, apart] : parts);
    if (!same(program, key.descriptor.program)) throw new Inconsistent("the settlement key is not valid: the descriptor is not that of the graph");
    if (stacks.length !== key.descriptor.stacks.length) throw new Inconsistent("the settlement key is not valid: the descriptor lists other named stacks");
    const open = (kind, list) => named.open(stacks, kind, list);
    key.shown = [...(visible.inputs ? open("input", inputs) : []), ...(visible.outputs ? open("output", outputs) : [])];
    key.given = stacks.filter((_, i) => !key.descriptor.stacks[i].pinned);
    const fits = key.shown.every((s, i) => key.descriptor.tensors[i]?.values === batch * specs.size(s));
    if (!fits || key.shown.length !== key.descriptor.tensors.length) {
        throw new Inconsistent("the settlement key is not valid: its public tensors are not those of its descriptions");
    }
    return key;
}

/** Names and ids of the stacks that come with each proof: the first words of the public values. */
export function givenStacks(key, publicValues) {
    return key.given.map(({ name }, i) => ({ name, id: hex(publicValues.subarray(32 * i, 32 * i + 32)) }));
}

/** Public values as floats: for each tensor its description and, for each inference, its numbers. */
export function publicTensors(key, publicValues) {
    const view = new DataView(publicValues.buffer, publicValues.byteOffset, publicValues.byteLength);
    const first = 32 * key.given.length;
    let at = 0;
    return key.shown.map((spec) => ({
        spec,
        isInput: key.visible.inputs && key.inputs.includes(spec),
        inferences: Array.from({ length: key.batch }, () => {
            const integers = Array.from({ length: specs.size(spec) }, () => view.getBigInt64(first + 8 * at++));
            return specs.dequantize(spec, integers);
        }),
    }));
}
