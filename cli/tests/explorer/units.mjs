// Arithmetic, wording and decoding of the page, without a browser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf, decodeLog, decodeResult, decodeSent, encodeCall, hexOf, parseTypes, signedValues } from "../../assets/explorer/abi.js";
import { epochsOf, proofs } from "../../assets/explorer/chain.js";
import { isConfidential, shapeOf, wordsOf } from "../../assets/explorer/keys.js";
import { page } from "../../assets/explorer/lists.js";
import {
    argmax, basisPoints, count, exact, fraction, inequality, percent, ratio, short, span, time,
} from "../../assets/explorer/numbers.js";
import { headsOf, roundsOf, specOf, stepsOf, sumsOf, usesOf } from "../../assets/explorer/training.js";
import { readHanded, verifyHanded } from "../../assets/verify/assay-verify.js";

const word = (n) => BigInt.asUintN(256, BigInt(n)).toString(16).padStart(64, "0");

test("amounts are exact or cut, never rounded up", () => {
    assert.equal(count(1234567n), "1,234,567");
    assert.equal(exact(1_500_000_000_000_000_000n, 18n), "1.5");
    assert.equal(exact(1n, 18n), "0.000000000000000001");
    assert.equal(exact(1234n, 0n), "1,234");
    assert.equal(short(1_999_999_999_999_999_999n, 18n), "1.9999");
    assert.equal(short(123_456_789_012_345n, 18n), "0.0001234");
    assert.equal(short(1n, 18n), "under 0.00000001");
    assert.equal(short(0n, 18n), "0");
    assert.equal(short((1n << 256n) - 1n, 255n).length < 20, true);
    assert.equal(ratio(2n, 3n), "0.67");
    assert.equal(percent(1n, 3n), "33.3 %");
    assert.equal(basisPoints(125n), "1.25 %");
    assert.equal(fraction(1n, 0n), 0);
});

test("times and spans", () => {
    assert.equal(time(0n), "1970-01-01 00:00:00 UTC");
    assert.equal(time((1n << 40n) - 1n), "+036812-02-20 00:36:15 UTC");
    assert.equal(time((1n << 64n) - 1n), "the end of time");
    assert.deepEqual([span(59), span(119), span(120), span(7200), span(86_400 * 3)], ["59 s", "119 s", "2 min", "2 h", "3 days"]);
});

test("inequality as the contract defines it", () => {
    assert.equal(inequality([]), null);
    assert.equal(inequality([0n]), null);
    const one = inequality([5n]);
    assert.deepEqual([one.workers, one.effective, one.gini, one.largest], [1, "1", 0n, 5n]);
    const equal = inequality([7n, 7n, 7n, 7n]);
    assert.deepEqual([equal.effective, equal.gini], ["4", 0n]);
    // Sorted 1, 2, 3, 10: (2·(1 + 4 + 9 + 40) − 5·16) / (4·16) = 28/64.
    const mixed = inequality([10n, 1n, 3n, 2n]);
    assert.deepEqual([mixed.gini, mixed.effective, mixed.total], [4375n, "2.25", 16n]);
    // Splitting one worker hides inequality: it counts addresses.
    assert.ok(inequality([5n, 5n, 1n, 3n, 2n]).gini < mixed.gini);
});

test("the largest value, the first of equal ones", () => {
    assert.equal(argmax([]), -1);
    assert.equal(argmax([-3n, -1n, -1n]), 1);
    assert.deepEqual(signedValues(bytesOf("0xffffffffffffffff7fffffffffffffff")), [-1n, (1n << 63n) - 1n]);
    assert.throws(() => signedValues(new Uint8Array(7)));
});

test("types", () => {
    assert.deepEqual(parseTypes("()"), []);
    assert.deepEqual(parseTypes("(uint256,(bytes,address),string)"), ["uint256", "(bytes,address)", "string"]);
    assert.equal(encodeCall("job(uint256)", 12n), "0x2329e48c" + word(12));
});

test("results that are not of their type are refused", () => {
    const read = (signature, hex) => () => decodeResult(signature, "0x" + hex);
    assert.equal(read("isActive(bytes32)", word(1))(), true);
    assert.throws(read("isActive(bytes32)", word(2)));
    assert.throws(read("isActive(bytes32)", ""));
    assert.throws(read("decimals()", word(256)));
    assert.throws(read("currentPrice(uint256)", word(1n << 128n)));
    assert.throws(() => decodeResult("jobs()", "nonsense"));
    assert.throws(() => decodeResult("jobs()", null));
    // Text: offset, length, bytes. Offsets and lengths beyond the end, of any size.
    const text = (offset, length, bytes) => read("symbol()", word(offset) + word(length) + bytes);
    assert.equal(text(32, 2, "4869".padEnd(64, "0"))(), "Hi");
    assert.equal(text(32, 1, "ff".padEnd(64, "0"))(), "\ufffd");
    assert.throws(text(32, 33, "00".repeat(32)));
    assert.throws(text(1n << 255n, 1, "00".repeat(32)));
    assert.throws(text(32, 1n << 64n, "00".repeat(32)));
    assert.throws(text(96, 1, "00".repeat(32)));
});

test("events of other forms are refused, other events passed by", () => {
    const fulfilled = "0x4a6ff2966373bef1cbb2904a497c95b506cb8b7adb47a6335dda5bc0e29a8172";
    const topics = [fulfilled, "0x" + word(7), "0x" + word(1)];
    const data = "0x" + word(5) + word(4) + word(96) + word(8) + "ff".repeat(8).padEnd(64, "0");
    const event = decodeLog({ topics, data });
    assert.deepEqual([event.name, event.jobId, event.price, event.toWorker], ["Fulfilled", 7n, 5n, 4n]);
    assert.deepEqual(signedValues(event.output), [-1n]);
    assert.throws(() => decodeLog({ topics: topics.slice(0, 2), data }));
    assert.throws(() => decodeLog({ topics: [fulfilled, topics[1], "0x" + "ff".repeat(32)], data }));
    assert.throws(() => decodeLog({ topics, data: data.slice(0, -64) }));
    assert.equal(decodeLog({ topics: ["0x" + word(1)], data }), null);
    assert.equal(decodeLog({ topics: [], data }), null);
});

test("pages are counted from the newest", () => {
    const items = Array.from({ length: 45 }, (_, i) => i);
    assert.deepEqual(page(items, 0).items.slice(0, 2), [44, 43]);
    assert.deepEqual(page(items, 2), { at: 2, pages: 3, items: [4, 3, 2, 1, 0] });
    assert.equal(page(items, 99).at, 2);
    assert.equal(page(items, -1).at, 0);
    assert.deepEqual(page([], 0), { at: 0, pages: 1, items: [] });
});

test("one proof for many jobs, and sums of epochs", () => {
    const paid = (jobId, transaction, toWorker) => ({ name: "Fulfilled", jobId, transaction, toWorker, block: 1, payout: "0x1" });
    const [first, second] = proofs([paid(1n, "a", 3n), { name: "Leased" }, paid(2n, "a", 4n), paid(3n, "b", 5n)]);
    assert.deepEqual([first.jobs, first.paid, second.jobs], [[1n, 2n], 7n, [3n]]);
    const epochs = epochsOf([
        { name: "Recorded", epoch: 10n, worker: "x", fee: 2n, units: 5n },
        { name: "Recorded", epoch: 9n, worker: "x", fee: 1n, units: 5n },
        { name: "Recorded", epoch: 10n, worker: "y", fee: 3n, units: 5n },
        { name: "Rewarded", epoch: 10n, worker: "y", amount: 1n },
        { name: "Released", epoch: 9n, to: "z", amount: 8n },
    ]);
    assert.deepEqual([...epochs.keys()], [9n, 10n]);
    const last = epochs.get(10n);
    assert.deepEqual([last.fees, last.units, last.rewarded, last.workers.size, last.workers.get("y").rewarded], [5n, 10n, 1n, 2, 1n]);
    assert.equal(epochs.get(9n).released, 8n);
});

test("lists in calldata, and calldata of other functions", () => {
    const fulfil = "fulfil(uint256[],bytes32[],address,bytes,bytes)";
    const ids = word(2) + word(7) + word(0);
    const salts = word(1) + word(9);
    const [values, proof] = ["ff".repeat(8).padEnd(64, "0"), "ab".repeat(32)];
    const head = word(160) + word(256) + word(1) + word(320) + word(384);
    const data = `0x54e0ee1f${head}${ids}${salts}${word(8)}${values}${word(32)}${proof}`;
    const sent = decodeSent(fulfil, data);
    assert.deepEqual([sent.jobIds, sent.salts, sent.payout], [[7n, 0n], ["0x" + word(9)], "0x" + "1".padStart(40, "0")]);
    assert.deepEqual([hexOf(sent.publicValues), hexOf(sent.proof)], ["0x" + "ff".repeat(8), "0x" + proof]);
    assert.equal(decodeSent(fulfil, "0xdeadbeef" + data.slice(10)), null);
    assert.equal(decodeSent("settleEval(uint256,uint64,uint64,bytes)", data), null);
    // A list that says it is longer than what there is.
    assert.throws(() => decodeSent(fulfil, data.replace(ids, word(40) + word(7) + word(0))));
    assert.throws(() => decodeSent(fulfil, data.slice(0, 10)));
});

const at = (block) => ({ block, transaction: `0x${block}` });
const lease = (round, head, datasetId = "0xd") => ({ name: "RoundLeased", taskId: 1n, round, payout: "0xa", head, datasetId, price: 5n, until: 9n, pinned: 3n, ...at(1) });
const opened = { name: "Opened", taskId: 1n, sponsor: "0x5", head: "0xh0", spec: Object.assign(Array(19).fill(0n), { 2: "0xh0", 6: 100n, 7: 3n }), uri: "", ...at(0) };
const trained = (round, shard) => ({ name: "Trained", taskId: 1n, round, payout: "0xa", trained: `0xh${round}`, shard, toWorker: 4n, losses: new Uint8Array(8), uri: "", ...at(2) });
const evaluated = (round, before, later, gain, head) => ({ name: "Evaluated", taskId: 1n, round, payout: "0xa", before, later, gain, head, ...at(4) });

test("a task's rounds, heads, payments and uses follow from its events", () => {
    const events = [
        opened,
        lease(1n, "0xh0"), { name: "RoundLost", taskId: 1n, round: 1n, payout: "0xa", burned: 2n, kept: 1n, ...at(1) },
        lease(2n, "0xh0"), { name: "Seeded", taskId: 1n, round: 2n, seed: "0xs", ...at(2) }, trained(2n, 0n),
        { name: "Revealed", taskId: 1n, round: 2n, shard: 0n, stackId: "0xr", uri: "", ...at(3) }, evaluated(2n, 500n, 250n, 20n, "0xh2"),
        lease(3n, "0xh2", "0xe"), trained(3n, 1n), { name: "NotRevealed", taskId: 1n, round: 3n, payout: "0xa", gain: 30n, ...at(5) },
        lease(4n, "0xh2"), trained(4n, 2n), evaluated(4n, 250n, 151n, 0n, "0xh2"),
        // Of another task, and of a round that nobody leased.
        { ...lease(1n, "0xh9"), taskId: 2n }, trained(77n, 9n),
        lease(5n, "0xh2"),
    ];
    const rounds = roundsOf(events, 1n);
    assert.deepEqual(rounds.map((r) => [r.number, r.heads, r.end]), [
        [1n, 0n, "lost"], [2n, 0n, "gained"], [3n, 1n, "not revealed"], [4n, 1n, "gained nothing"], [5n, 1n, null],
    ]);
    assert.deepEqual(rounds[1].evaluated.steps, 2n);
    assert.deepEqual(headsOf(specOf(events, 1n), rounds), [{ stack: "0xh0", round: null }, { stack: "0xh2", round: 2n }]);
    assert.deepEqual(sumsOf(rounds, { trainFee: 7n, evaluateFee: 3n }), { prices: 15n, gains: 50n, fees: 27n, bonds: 2n });
    const uses = usesOf(events);
    assert.deepEqual([uses.get("0xd").rounds.length, uses.get("0xd").proven, uses.get("0xe").proven], [5, 2, 1]);
    assert.deepEqual([roundsOf(events, 3n), specOf(events, 3n)], [[], null]);
});

test("steps of a gain are the market's: whole ones, at most so many, none for a rise", () => {
    const of = { eta: 100n, maxSteps: 3n };
    const cases = [[500n, 401n, 0n], [500n, 400n, 1n], [500n, 0n, 3n], [400n, 500n, 0n], [5n, 5n, 0n]];
    for (const [before, later, steps] of cases) assert.equal(stepsOf(of, before, later), steps);
});

/** Words of a key: so many public tensors, and for each named stack whether it is pinned. */
function keyWords(version, tensors, stacks) {
    const words = Array(16 + 3 * tensors).fill(word(0));
    [words[0], words[9]] = [word(version), word(tensors)];
    if (stacks) words.push(word(stacks.length), ...stacks.flatMap((pinned) => [word(pinned), word(10), word(3)]));
    return bytesOf("0x" + words.join(""));
}

test("a key says whether ids of stacks come with its proofs", () => {
    assert.deepEqual(shapeOf(keyWords(1, 2)), { tensors: 2, given: 0, pinned: 0 });
    assert.deepEqual(shapeOf(keyWords(2, 1, [0, 1, 0])), { tensors: 1, given: 2, pinned: 1 });
    // Confidential jobs: ids alone and one tensor. Not: pinned weights, or an input that is shown.
    const confidential = (...key) => isConfidential(shapeOf(keyWords(...key)));
    assert.deepEqual([confidential(2, 1, [0]), confidential(2, 1, [0, 1]), confidential(2, 1, [1]), confidential(2, 2, [0]), confidential(1, 1)],
        [true, true, false, false, false]);
    for (const bad of [keyWords(3, 1), keyWords(2, 1), keyWords(2, 1, [2]), keyWords(2, 1, Array(17).fill(0)), keyWords(1, 65), new Uint8Array(31)]) {
        assert.equal(shapeOf(bad), null);
    }
    assert.equal(isConfidential(null), false);
    const stored = hexOf(keyWords(1, 1)).slice(2);
    assert.deepEqual(wordsOf(`0x00${stored}`), keyWords(1, 1));
    for (const code of ["0x", `0x${stored}`, `0x01${stored}`, `0x00${stored}00`, "nonsense", null]) assert.equal(wordsOf(code), null);
});

const hexWord = (n) => "0x" + word(n);
const handed = (kind, more) => ({
    format: "assay.handed.v1", kind, chainId: 31337, market: "0x" + "11".repeat(20), payout: "0x" + "22".repeat(20), transaction: hexWord(1),
    settlementId: hexWord(2), key: "0x", proof: "0x", ...more,
});
const ofJob = handed("job", { job: "7", jobs: ["7", "0"], publicValues: "0x" + "00".repeat(16) });
const ofTraining = handed("training", {
    task: "3", round: "2", heads: "1", head: hexWord(3), trained: hexWord(4), dataset: hexWord(5), seed: hexWord(6), examples: "360", losses: "0x" + "00".repeat(8),
});
const ofEvaluation = handed("evaluation", { task: "3", round: "2", heads: "1", head: hexWord(3), trained: hexWord(4), shard: hexWord(5), before: "9", later: "8" });

test("what is handed over to be checked is read strictly, and never accepted for what it says", async () => {
    for (const record of [ofJob, ofTraining, ofEvaluation]) {
        readHanded(JSON.stringify(record));
        // A key that is none, whatever else is right.
        assert.equal((await verifyHanded(JSON.stringify(record))).verdict, "unchecked");
        for (const name of Object.keys(record)) {
            for (const value of [undefined, null, "", "0xzz", "-1", {}, [], [[]], "1".repeat(100), "0x" + "1".repeat(63)]) {
                if ((name === "key" || name === "proof") && value === "0x") continue;
                assert.throws(() => readHanded(JSON.stringify({ ...record, [name]: value })), `${record.kind} ${name} ${value}`);
            }
        }
    }
    for (const text of ["", "null", "[]", "7", "{", JSON.stringify({ ...ofJob, format: "assay.handed.v2" })]) assert.throws(() => readHanded(text));
    for (const more of [{ jobs: ["8"] }, { job: "0" }, { chainId: "18446744073709551616" }]) assert.throws(() => readHanded(JSON.stringify({ ...ofJob, ...more })));
    for (const more of [{ before: "9223372036854775808" }, { round: "4294967296" }]) assert.throws(() => readHanded(JSON.stringify({ ...ofEvaluation, ...more })));
    assert.throws(() => readHanded(JSON.stringify({ ...ofTraining, examples: "0" })));
});
