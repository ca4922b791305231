// The page: files in by hand, or what the explorer hands over, the verdict and what exactly is claimed out. Text from either only ever
// becomes text nodes.

import { contractAccepts, kind, verify, verifyHanded } from "./verify.js";

const MAX_FILE = 64 << 20;
const SHOWN = 64;
/** Where the explorer, of the same origin, leaves what it hands over. */
const HANDED = "assay.handed";

const place = (id) => document.getElementById(id);
const given = { proof: null, key: null };
/** What the explorer handed over; null if files are checked. */
let handed = null;
let round = 0;

function h(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, value);
    element.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
    return element;
}

/** Control characters, and those that reorder or hide what stands around them, are replaced. */
const plain = (text) =>
    text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, "\ufffd").slice(0, 200);

const facts = (pairs) => h("dl", null, pairs.map(([term, ...what]) => h("div", null, h("dt", null, term), h("dd", null, ...what))));

const code = (text) => h("code", null, text);

/** A number with the digits that make it the same 32-bit float again, at most. */
function digits(x) {
    for (let n = 6; n < 10; n++) {
        const text = String(Number(x.toPrecision(n)));
        if (Math.fround(Number(text)) === x) return text;
    }
    return String(x);
}

function tensor({ spec, isInput, inferences }, number) {
    const values = inferences[number];
    const largest = values.indexOf(Math.max(...values));
    return [
        h("h4", null, `${isInput ? "input" : "output"} “${plain(spec.name)}”, ${spec.shape.join(" × ")}`),
        h("p", { class: "values" },
            values.slice(0, SHOWN).map((v, i) => h("span", i === largest && !isInput && values.length > 1 ? { class: "best" } : null, digits(v)))),
        values.length > SHOWN ? h("p", null, `and ${values.length - SHOWN} more`) : null,
        !isInput && values.length > 1 ? h("p", null, `largest at position ${largest}`) : null,
    ].filter(Boolean);
}

const DEVELOPMENT = "DEVELOPMENT powers of tau: their secret is public, so anybody can forge proofs under this key. This verdict shows nothing.";
const TRUSTED = " — compare it with one that you trust: it is all that the verdict is about";
const NOT_ITS_GRAPH = "That the key's circuits are those of its graph: assay verify recomputes them, this page does not. Take the id from somebody who did.";
const zero = (text) => (/^0+$/.test(text) ? "none" : code(`0x${text}`));

/** What the proof is bound to, and what checked it. */
const bound = ({ context, gas, seconds }) => [
    ["Bound to chain", context.chainId],
    ["Contract", zero(context.consumer)],
    ["Job", zero(context.job)],
    ["Paid to", zero(context.recipient)],
    ["Checked by", `the verifier contract's bytecode, ${Number(gas).toLocaleString("en")} gas, ${seconds.toFixed(1)} s`],
];

const warning = (result) => result.development && h("p", { class: "alert bad", id: "development" }, DEVELOPMENT);

/** Integers of a handed proof: for a job cut into its inferences. */
function integers({ name, note, slots, values }) {
    const of = slots && values.length % slots.length === 0 ? slots : [null];
    const each = values.length / of.length;
    return of.slice(0, 8).flatMap((job, i) => {
        const its = values.slice(i * each, (i + 1) * each);
        const whose = job === null ? "" : job === 0n ? " of a slot that nobody pays for" : ` of job ${job}`;
        return [
            h("h4", null, `${name}${whose}${note ? `, ${note}` : ""}`),
            h("p", { class: "values" }, its.slice(0, SHOWN).map((v) => h("span", null, String(v)))),
            its.length > SHOWN ? h("p", null, `and ${its.length - SHOWN} more`) : null,
        ];
    }).concat(of.length > 8 ? [h("p", null, `and ${of.length - 8} more inferences`)] : []);
}

/** What a proof that a market was paid for claims. */
function handedClaim(result) {
    return [
        warning(result),
        h("p", null, `What is claimed: ${result.title} is proven under the key below, for the contract, job and payee below. Stacks and numbers are as the chain has them: names and scales are in the key's file, which the chain does not have.`),
        facts([
            ["Settlement id", code(result.id), TRUSTED],
            ...result.stacks.map(({ role, id }) => [`Stack: ${role}`, code(id), " — what was committed under this id"]),
            ...(result.seed ? [["Seed", code(result.seed), ` — gives factor and start for ${result.examples} rows; whether it is that of a block is for the market`]] : []),
            ...bound(result),
            ["Transaction", code(`0x${result.transaction}`), " — where the explorer read the proof, in its node's word"],
        ]),
        ...result.tensors.flatMap(integers),
        result.tensors.length === 0 ? h("p", null, "Nothing is shown but the stacks.") : null,
        h("h3", null, "What this does not show"),
        h("ul", null,
            h("li", null, NOT_ITS_GRAPH),
            h("li", null, "That the chain has this transaction, or that anybody was paid: that is the node's word."),
            result.stacks.length ? h("li", null, "That the key's graph uses the stacks as the market calls them: the order is the market's, the graph is what the id stands for.") : null,
            result.kind === "job" ? null : h("li", null, "Which network, steps and learning rate the key stands for: its id names them. That the data is any good, and that anybody can have the weights.")),
    ];
}

function claim(result) {
    const words = (shown) => (shown ? "public" : "hidden");
    const many = result.batch === 1 ? "one inference" : `${result.batch} inferences`;
    return [
        warning(result),
        h("p", null, `What is claimed: the public values below belong to ${many} of the integer graph, and of the weights, that this key's id stands for.`),
        facts([
            ["Settlement id", code(result.id), TRUSTED],
            ["Visibility", `inputs ${words(result.visible.inputs)}, weights ${words(result.visible.weights)}, outputs ${words(result.visible.outputs)}`],
            ["Model's inputs", result.inputs.map((s) => `“${plain(s.name)}” ${s.shape.join(" × ")}`).join(", ")],
            ["Model's outputs", result.outputs.map((s) => `“${plain(s.name)}” ${s.shape.join(" × ")}`).join(", ")],
            ...result.stacks.map(({ name, id }) => [`Stack “${plain(name)}”`, code(id), " — what was committed under this id; compare it with one that you know"]),
            ...bound(result),
        ]),
        ...Array.from({ length: Math.min(result.batch, 8) }, (_, i) => [
            result.batch > 1 ? h("h3", null, `Inference ${i + 1}`) : null,
            ...result.tensors.flatMap((t) => tensor(t, i)),
        ]).flat(),
        result.batch > 8 ? h("p", null, `and ${result.batch - 8} more inferences`) : null,
        result.tensors.length === 0 ? h("p", null, "Nothing is shown: inputs and outputs are hidden.") : null,
        h("h3", null, "What this does not show"),
        h("ul", null,
            h("li", null, NOT_ITS_GRAPH),
            h("li", null, "That the integer graph is as accurate as the float model it came from, or that the model is good."),
            h("li", null, "Where the inputs came from, unless they are shown here and you know them.")),
    ];
}

const TITLES = { valid: "Valid", invalid: "NOT valid", unchecked: "Could not be checked" };

function show(verdict, ...content) {
    const result = place("result");
    result.dataset.verdict = verdict;
    result.replaceChildren(...content.flat().filter((c) => c !== null && c !== false));
}

async function check() {
    const mine = ++round;
    for (const what of ["proof", "key"]) {
        const file = given[what];
        place(`${what}-name`).textContent = file ? `${plain(file.name)}, ${file.bytes.length.toLocaleString("en")} bytes` : "none yet";
    }
    if (handed === null && (!given.proof || !given.key)) return show("waiting", h("p", null, "Give a settled proof and its settlement key."));
    show("busy", h("p", null, "Checking. This takes about a second."));
    // The line above is drawn first.
    await new Promise((done) => setTimeout(done, 30));
    let result;
    try {
        result = await (handed === null ? verify(given.proof.bytes, given.key.bytes) : verifyHanded(handed));
    } catch (e) {
        result = { verdict: "unchecked", reason: `this page failed: ${e?.message ?? e}` };
    }
    if (mine !== round) return;
    const { verdict, reason } = result;
    const bad = verdict !== "valid" || result.development;
    show(verdict,
        h("h2", { class: bad ? "verdict bad" : "verdict good" }, TITLES[verdict] + (verdict === "valid" && result.development ? ", but anybody could have made it" : "")),
        handed !== null && h("p", { id: "handed" }, "Of the chain, as the explorer read it", result.title ? `: ${result.title}` : "", ". The verdict is this page's."),
        verdict === "valid" ? (handed === null ? claim(result) : handedClaim(result)) : [h("p", null, plain(reason)),
            h("p", null, verdict === "invalid" ? "Do not trust what the proof claims." : "Nothing was shown either way.")]);
}

async function take(files) {
    const notes = [];
    for (const file of files) {
        if (file.size > MAX_FILE) {
            notes.push(`“${plain(file.name)}” has ${file.size} bytes; no file that is read here is that large`);
            continue;
        }
        const bytes = new Uint8Array(await file.arrayBuffer());
        const what = kind(bytes);
        if (what in given) given[what] = { name: file.name, bytes };
        else notes.push(`“${plain(file.name)}” is ${what}`);
    }
    // Files take the place of what was handed over.
    if (files.length > notes.length) handed = null;
    place("notes").replaceChildren(...notes.map((n) => h("p", { class: "alert bad" }, n)));
    await check();
}

for (const input of document.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", () => take([...input.files]));
}
addEventListener("dragover", (e) => e.preventDefault());
addEventListener("dragenter", () => document.documentElement.classList.add("over"));
addEventListener("dragleave", (e) => e.relatedTarget === null && document.documentElement.classList.remove("over"));
addEventListener("drop", (e) => {
    e.preventDefault();
    document.documentElement.classList.remove("over");
    take([...e.dataTransfer.files]);
});
/** What lies in this tab's storage; nothing where there is none, as from some disks. */
function taken() {
    try {
        return sessionStorage.getItem(HANDED);
    } catch {
        return null;
    }
}

if (location.hash === "#handed") {
    handed = taken();
    if (handed === null) {
        place("notes").replaceChildren(h("p", { class: "alert bad" }, "Nothing was handed over in this tab. Go back to the explorer and press “Verify here” again."));
    }
}
check();

// For whoever checks many proofs, from the console or a script of their own.
globalThis.assay = { verify, verifyHanded, contractAccepts };
