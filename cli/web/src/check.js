// One question to the contract: words of a key, and what a proof is about.

import { same } from "./bytes.js";
import { Contract, Reverted } from "./contract.js";

const unchecked = (reason) => ({ verdict: "unchecked", reason });
const invalid = (reason) => ({ verdict: "invalid", reason });

/**
 * Registers a key, of which `given` stacks come with each proof, and asks about a proof. "valid" with `gas` and `seconds`,
 * "invalid" or "unchecked" with `reason`.
 */
export async function check({ id, words, given, tensors }, { publicValues, context, argument }) {
    // The contract would say no as well, but only after it has read what can be far too long.
    const expected = tensors.reduce((n, t) => n + 8 * t.values, 32 * given);
    if (publicValues.length !== expected) return invalid(`public values: expected ${expected} bytes, got ${publicValues.length}`);
    const start = performance.now();
    const contract = await Contract.shared();
    try {
        if (!same(await contract.register(words), id)) return unchecked("the contract calls the key by another id");
        const { accepted, gas } = await contract.verify(id, publicValues, context, argument);
        if (!accepted) return invalid("the contract does not accept the proof");
        return { verdict: "valid", gas, seconds: (performance.now() - start) / 1000 };
    } catch (e) {
        if (e instanceof Reverted) return unchecked(e.message);
        throw e;
    }
}
