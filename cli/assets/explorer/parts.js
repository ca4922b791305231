// Pieces that all parts of the page are made of. Pure: nothing here asks or listens; controls carry `data-go`, which the page acts on.

import { clip, h, hex } from "./dom.js";
import { PAGE } from "./lists.js";
import { count, exact, short, shortHex, time, when } from "./numbers.js";

export const ZERO_ADDRESS = "0x" + "0".repeat(40);

export const id = (text) => hex(text, shortHex(text));
export const account = (text) => (text === ZERO_ADDRESS ? "nobody" : id(text));
export const whole = (text) => h("span", { class: "hex" }, text);
export const note = (...children) => h("p", { class: "note" }, children);
export const empty = (...children) => h("p", { class: "empty" }, children);
export const state = (kind, text) => h("span", { class: `state ${kind}` }, text);

/** An amount of tokens, with all digits on demand. */
export const amount = (snapshot, n) =>
    n === null || n === undefined
        ? "unknown"
        : h("abbr", { title: `${exact(n, snapshot.token.decimals)} ${clip(snapshot.token.symbol, 12)}` },
            short(n, snapshot.token.decimals));
export const symbol = (snapshot) => clip(snapshot.token.symbol, 12);

export const moment = (seconds, now) => h("abbr", { title: time(seconds) }, when(seconds, now));

export function pager(name, { at, pages }, total) {
    if (pages < 2) return null;
    const go = (to, text, off) =>
        h("button", { type: "button", "data-go": `${name} ${to}`, disabled: off, "data-key": text }, text);
    return h("nav", { class: "pager", "aria-label": `Pages of ${name}` },
        go(at - 1, "Newer", at === 0),
        h("span", null, `${count(at * PAGE + 1)}–${count(Math.min(total, (at + 1) * PAGE))} of ${count(total)}`),
        go(at + 1, "Older", at === pages - 1));
}

/** A link for addresses that a reader can follow without harm; text for all others. */
export function link(uri) {
    const text = clip(uri);
    let url;
    try {
        url = new URL(uri);
    } catch {
        return h("span", { class: "free" }, text);
    }
    const safe = ["http:", "https:", "ipfs:"].includes(url.protocol) && !url.username && !url.password;
    return safe
        ? h("a", { class: "free", href: url.href, rel: "noopener noreferrer nofollow", target: "_blank" }, text)
        : h("span", { class: "free" }, text);
}

/** Takes what a market was shown to the page that runs the contract's code; `what` names it. What came of the last try is said beside it. */
export function verifyButton(snapshot, what) {
    const { said } = snapshot;
    const its = said?.what === what ? said : null;
    return h("div", { class: "check" },
        h("button", { type: "button", "data-verify": what, disabled: its?.busy }, "Verify here"),
        h("span", { class: its?.bad ? "state bad" : "note", role: "status" }, its ? clip(its.text, 400)
            : "The contract's code runs in this browser, on the proof and the key as the chain has them."));
}

/** What can be opened beside a list, with a way to close it. */
export const detail = (back, title, ...children) =>
    [h("div", { class: "detail" }, h("a", { href: back, class: "close" }, "Close"), h("h3", null, title), children)];

/** A transaction and its block. */
export const where = ({ transaction, block }) => [whole(transaction), h("span", { class: "at" }, ` block ${count(block)}`)];
