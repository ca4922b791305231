// The module: is this settled proof valid under this key? Files in, a verdict out, nothing fetched.

import { Malformed, hex, same } from "./bytes.js";
import { check } from "./check.js";
import { Contract } from "./contract.js";
import { Inconsistent, contextDigest, givenStacks, publicTensors, readKey, readProof } from "./files.js";

export { kind } from "./files.js";
export { readHanded, verifyHanded } from "./handed.js";

/** Nothing was shown either way: as the command line's exit code 2. */
const unchecked = (reason) => ({ verdict: "unchecked", reason });
/** The proof does not show what it says: as exit code 1. */
const invalid = (reason) => ({ verdict: "invalid", reason });

/**
 * Asks the contract about words as a chain has them: descriptor, public values, context, argument.
 * Resolves to whether it accepts; rejects if it does not take the key.
 */
export async function contractAccepts(words, publicValues, context, argument) {
    const contract = await Contract.shared();
    const id = await contract.register(words);
    return (await contract.verify(id, publicValues, context, argument)).accepted;
}

/**
 * Checks a settled proof under a settlement key; both are the bytes of files.
 *
 * `verdict` is "valid" (exit code 0 of `assay verify`), "invalid" (1) or "unchecked" (2); of the last two `reason` says why.
 * Of a valid proof: `id`, `batch`, `context`, `tensors` (public ones, as floats), `stacks` (names and ids of those that came with the proof), `visible`, `development`, `gas`, `seconds`.
 * What `assay verify` does besides: it recomputes the key's circuits from its graph, once for each key. Here the key is
 * taken for what its id stands for.
 */
export async function verify(proofBytes, keyBytes) {
    let proof;
    try {
        proof = readProof(proofBytes);
    } catch (e) {
        if (e instanceof Malformed) return e.version ? unchecked(e.message) : invalid(e.message);
        throw e;
    }
    let key;
    try {
        key = readKey(keyBytes);
    } catch (e) {
        if (e instanceof Malformed) return unchecked(e.message);
        if (e instanceof Inconsistent) return invalid(e.message);
        throw e;
    }
    if (!same(proof.id, key.id)) {
        return invalid(`the proof was made for another key: ${hex(proof.id)}, and this one is ${hex(key.id)}`);
    }
    const said = await check({ id: key.id, words: key.words, given: key.given.length, tensors: key.descriptor.tensors }, {
        publicValues: proof.publicValues, context: contextDigest(proof.context), argument: proof.argument,
    });
    if (said.verdict !== "valid") return said;
    const { chainId, consumer, job, recipient } = proof.context;
    return {
        ...said,
        id: hex(key.id),
        batch: key.batch,
        context: { chainId: String(chainId), consumer: hex(consumer), job: hex(job), recipient: hex(recipient) },
        tensors: publicTensors(key, proof.publicValues),
        stacks: givenStacks(key, proof.publicValues),
        inputs: key.inputs,
        outputs: key.outputs,
        visible: key.visible,
        development: key.descriptor.development,
        circuitRows: 2 ** key.descriptor.k,
    };
}
