// Settlement keys as the chain stores them, and what one says about its proofs.

import { bytesOf } from "./abi.js";

const WORD = 32;
/** Where the number of public tensors is, and where their ranges begin, three words each (docs/protocol.md#settlement-keys). */
const TENSORS = 9;
const RANGES = 16;

/** The words of a key out of the code of the contract that stores it, behind a zero byte; null if there are none. */
export function wordsOf(code) {
    let bytes;
    try {
        bytes = bytesOf(code);
    } catch {
        return null;
    }
    return bytes.length > WORD * RANGES && bytes[0] === 0 && (bytes.length - 1) % WORD === 0 ? bytes.subarray(1) : null;
}

/** A word that is a small number; null if there is none. */
function small(words, index) {
    const word = words.subarray(WORD * index, WORD * (index + 1));
    if (word.length < WORD || word.subarray(0, WORD - 2).some((b) => b !== 0)) return null;
    return 256 * word[WORD - 2] + word[WORD - 1];
}

/**
 * How many stacks come with each proof and how many the key pins, and how many tensors a proof shows; null for words that are no
 * key. The verifier checked the key when it was stored.
 */
export function shapeOf(words) {
    const version = small(words, 0);
    const tensors = small(words, TENSORS);
    if (tensors === null || tensors > 64) return null;
    if (version === 1) return { tensors, given: 0, pinned: 0 };
    const list = RANGES + 3 * tensors;
    const listed = version === 2 ? small(words, list) : null;
    if (listed === null || listed > 16) return null;
    const pins = Array.from({ length: listed }, (_, i) => small(words, list + 1 + 3 * i));
    if (pins.some((p) => p !== 0 && p !== 1)) return null;
    const pinned = pins.filter((p) => p === 1).length;
    return { tensors, given: listed - pinned, pinned };
}

/**
 * Whether a key is of the form that confidential jobs have: its proofs take ids of stacks alone and show one tensor. That this
 * tensor is masked is in the graph, for which the model id stands.
 */
export const isConfidential = (shape) => shape !== null && shape !== undefined && shape.given > 0 && shape.tensors === 1;
