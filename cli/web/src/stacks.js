// Named stacks, as the key file holds them (circuits/src/stack.rs, encoded with postcard).

import { Reader } from "./bytes.js";

const text = new TextDecoder("utf-8", { fatal: true });
const ROLES = ["input", "weight", "output"];

function name(reader) {
    try {
        return text.decode(reader.take(reader.count(1)));
    } catch {
        return reader.fail("a name that is no text");
    }
}

function role(reader) {
    const [has] = reader.take(1);
    if (has === 0) return null;
    const kind = reader.varint();
    if (has !== 1 || kind > 2n) reader.fail("a role that is none");
    return { kind: ROLES[Number(kind)], index: Number(reader.varint()) };
}

/** For each stack its name and the roles of its tensors; `null` for a tensor that the graph does not read. */
export function read(bytes) {
    const reader = new Reader(bytes, "the key's named stacks");
    const stacks = Array.from({ length: reader.count(4) }, () => {
        const stack = { name: name(reader) };
        reader.take(1);
        for (let n = reader.count(3); n > 0; n--) {
            name(reader);
            for (let axes = reader.count(1); axes > 0; axes--) reader.varint();
            reader.varint();
        }
        stack.roles = Array.from({ length: reader.count(1) }, () => role(reader));
        return stack;
    });
    reader.end();
    if (stacks.length === 0) reader.fail("there are none");
    return stacks;
}

/** Of inputs or outputs those that no stack holds: what a proof can show. */
export function open(stacks, kind, items) {
    const held = new Set(stacks.flatMap((s) => s.roles).filter((r) => r?.kind === kind).map((r) => r.index));
    return items.filter((_, i) => !held.has(i));
}
