// What the explorer hands over: a proof that a market was paid for, out of calldata. Context and public values are put together here as
// the market's contract does it (contracts/sol/economy), so that what is shown is what the verifier contract is asked about.

import { Malformed, bigEndian, concat, digest, hex, keccak, same, unhex } from "./bytes.js";
import { check } from "./check.js";
import { contextDigest, readDescriptor } from "./files.js";

const FORMAT = "assay.handed.v1";
const MAX_TEXT = 8 << 20;
/** Most tries of the sampler for a factor without a divisor in common with the number of examples. */
const TRIES = 4096n;
const ascii = new TextEncoder();

/** Reads named fields strictly: hexadecimal of a length, whole numbers below a bound. */
class Fields {
    constructor(record) {
        this.record = record;
    }

    fail(name) {
        throw new Malformed(`what was handed over has no right ‘${name}’`);
    }

    bytes(name, length) {
        const text = this.record[name];
        if (typeof text !== "string" || !/^0x(?:[0-9a-f]{2})*$/i.test(text)) this.fail(name);
        const out = unhex(text);
        if (length !== undefined && out.length !== length) this.fail(name);
        return out;
    }

    integer(name, bits, value = this.record[name]) {
        const text = typeof value === "string" || Number.isSafeInteger(value) ? String(value) : "";
        if (!/^\d{1,78}$/.test(text) || BigInt(text) >> BigInt(bits)) this.fail(name);
        return BigInt(text);
    }
}

/** `abi.encode` of a text of at most 32 bytes, and of words behind it; the text's place is the first word. */
const encoded = (text, words) => concat(
    bigEndian(32 * (1 + words.length), 32), ...words, bigEndian(text.length, 32), ascii.encode(text), new Uint8Array(32 - text.length));

/** `JobMarket.contextJob`. */
export function jobOf(jobs) {
    if (jobs.length === 1) return bigEndian(jobs[0], 32);
    const text = "assay.batch.v1";
    const list = concat(bigEndian(jobs.length, 32), ...jobs.map((n) => bigEndian(n, 32)));
    return keccak(bigEndian(64, 32), bigEndian(128, 32), bigEndian(text.length, 32), ascii.encode(text), new Uint8Array(32 - text.length), list);
}

/** The `job` of a round's proof, as `TaskBook` makes it: of what, task, heads before, round. */
export const roundOf = (what, task, heads, round) => keccak(encoded(what, [task, heads, round].map((n) => bigEndian(n, 32))));

function gcd(a, b) {
    while (b) [a, b] = [b, a % b];
    return a;
}

/** `Sampler.walk`: factor and start, for at least one example. */
export function walk(seed, examples) {
    const draw = (counter) => {
        const word = digest("assay.sampler.v1", [seed, bigEndian(examples, 8), bigEndian(counter, 8)]).subarray(0, 8);
        return BigInt(`0x${hex(word)}`) % examples;
    };
    for (let i = 1n; i <= TRIES; i++) {
        const factor = draw(i);
        if (gcd(factor, examples) === 1n) return [factor, draw(0n)];
    }
    return [1n, draw(0n)];
}

/** A job: public values are in the calldata. */
function job(fields) {
    const { record } = fields;
    if (!Array.isArray(record.jobs) || record.jobs.length === 0 || record.jobs.length > 1 << 16) fields.fail("jobs");
    const jobs = record.jobs.map((n) => fields.integer("jobs", 256, n));
    const mine = fields.integer("job", 256);
    if (mine === 0n || !jobs.includes(mine)) fields.fail("job");
    return { title: `job ${mine}`, job: jobOf(jobs), jobs, publicValues: fields.bytes("publicValues") };
}

/** A round: its market puts the public values together from its state, so here they are as well. */
function round(fields, what) {
    const [task, number, heads] = [fields.integer("task", 256), fields.integer("round", 32), fields.integer("heads", 32)];
    const [head, trained] = ["head", "trained"].map((name) => fields.bytes(name, 32));
    const common = { job: roundOf(`assay.${what === "training" ? "train" : "evaluate"}.v1`, task, heads, number), title: `the ${what} of task ${task}, round ${number}` };
    if (what === "evaluation") {
        const shard = fields.bytes("shard", 32);
        const losses = ["before", "later"].map((name) => bigEndian(fields.integer(name, 63), 8));
        return { ...common, roles: ["head", "trained weights", "held-out shard"], publicValues: concat(head, trained, shard, ...losses) };
    }
    const examples = fields.integer("examples", 32);
    if (examples === 0n) fields.fail("examples");
    const seed = fields.bytes("seed", 32);
    const numbers = walk(seed, examples).map((n) => bigEndian(n, 8));
    const publicValues = concat(head, trained, fields.bytes("dataset", 32), ...numbers, fields.bytes("losses"));
    return { ...common, roles: ["head", "trained weights", "dataset"], seed, examples, publicValues };
}

/** What was handed over, checked for its form alone. */
export function readHanded(text) {
    let record;
    try {
        record = text.length > MAX_TEXT ? null : JSON.parse(text);
    } catch {
        record = null;
    }
    if (record === null || typeof record !== "object") throw new Malformed("what was handed over cannot be read");
    if (record.format !== FORMAT) throw new Malformed("what was handed over is of another version of the explorer", true);
    const fields = new Fields(record);
    const { kind } = record;
    if (!["job", "training", "evaluation"].includes(kind)) fields.fail("kind");
    const claim = kind === "job" ? job(fields) : round(fields, kind);
    return {
        kind,
        ...claim,
        context: {
            chainId: fields.integer("chainId", 64), consumer: fields.bytes("market", 20), job: claim.job, recipient: fields.bytes("payout", 20),
        },
        transaction: fields.bytes("transaction", 32),
        settlementId: fields.bytes("settlementId", 32),
        words: fields.bytes("key"),
        argument: fields.bytes("proof"),
    };
}

/** What each value of a job's proof belongs to: inferences are in the order of the jobs. */
function rolesOfJob(given, jobs) {
    const each = given.length % jobs.length === 0 ? given.length / jobs.length : 0;
    return given.map((_, i) => {
        const n = each ? jobs[Math.floor(i / each)] : null;
        return n === null ? "given with the proof" : n === 0n ? "input of a slot that nobody pays for" : `input of job ${n}`;
    });
}

const CONFIDENTIAL = "masked, if the key is of confidential jobs: only who has a job's opening can read it";

/** The public tensors as integers, each with what it is to the market. */
function tensorsOf(claim, descriptor, first) {
    const view = new DataView(claim.publicValues.buffer, claim.publicValues.byteOffset, claim.publicValues.byteLength);
    let at = first;
    const count = descriptor.tensors.length;
    return descriptor.tensors.map(({ values }, i) => {
        const all = Array.from({ length: values }, () => view.getBigInt64((at += 8) - 8));
        if (claim.kind === "training") return { name: i === 0 && count > 1 ? "walk through the dataset: factor, start" : "losses of the steps", values: all };
        if (claim.kind === "evaluation") return { name: "losses of the head and of the trained weights", values: all };
        const masked = i === count - 1 && first > 0 && count === 1;
        return { name: i === count - 1 ? "output" : "input", note: masked ? CONFIDENTIAL : null, slots: claim.jobs, values: all };
    });
}

/**
 * Checks what a market was shown. `text` is what the explorer handed over.
 *
 * As `verify`: `verdict` is "valid", "invalid" or "unchecked". Of a valid proof: `id`, `title`, `kind`, `context`, `transaction`, `stacks` (roles and
 * ids), `tensors` (integers as the chain has them), `development`, `gas`, `seconds`.
 */
export async function verifyHanded(text) {
    const unchecked = (reason) => ({ verdict: "unchecked", reason });
    let claim;
    let descriptor;
    let id;
    try {
        claim = readHanded(text);
        id = keccak(claim.words);
        if (!same(id, claim.settlementId)) return unchecked("the key that the node gave is not the one that the market's registry names");
        descriptor = readDescriptor(claim.words);
    } catch (e) {
        if (e instanceof Malformed) return unchecked(e.message);
        throw e;
    }
    const given = descriptor.stacks.filter((s) => !s.pinned);
    // The market puts three ids first. Under a key of another form the same bytes would be something else.
    if (claim.kind !== "job" && given.length !== 3) {
        return unchecked(`the key takes ${given.length} stacks with each proof, and a ${claim.kind} is about three: what the market calls head or dataset is not what is proven`);
    }
    const said = await check({ id, words: claim.words, given: given.length, tensors: descriptor.tensors }, {
        publicValues: claim.publicValues, context: contextDigest(claim.context), argument: claim.argument,
    });
    if (said.verdict !== "valid") return { ...said, title: claim.title };
    const roles = claim.roles ?? rolesOfJob(given, claim.jobs);
    const { chainId, consumer, job: bound, recipient } = claim.context;
    return {
        ...said,
        kind: claim.kind,
        title: claim.title,
        id: hex(id),
        transaction: hex(claim.transaction),
        context: { chainId: String(chainId), consumer: hex(consumer), job: hex(bound), recipient: hex(recipient) },
        stacks: roles.map((role, i) => ({ role, id: hex(claim.publicValues.subarray(32 * i, 32 * i + 32)) })),
        tensors: tensorsOf(claim, descriptor, 32 * given.length),
        pinned: descriptor.stacks.length - given.length,
        seed: claim.seed && hex(claim.seed),
        examples: claim.examples && String(claim.examples),
        development: descriptor.development,
    };
}
