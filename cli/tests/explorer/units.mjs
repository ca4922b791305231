// Arithmetic, wording and decoding of the page, without a browser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf, decodeLog, decodeResult, encodeCall, parseTypes, signedValues } from "../../assets/explorer/abi.js";
import { epochsOf, proofs } from "../../assets/explorer/chain.js";
import { page } from "../../assets/explorer/lists.js";
import {
    argmax, basisPoints, count, exact, fraction, inequality, percent, ratio, short, span, time,
} from "../../assets/explorer/numbers.js";

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
