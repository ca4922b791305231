// What is read, as elements. Pure: nothing here asks or listens; controls carry `data-go`, which the page acts on.

import { signedValues } from "./abi.js";
import { PAGE } from "./chain.js";
import { clip, facts, h, hex, s, table } from "./dom.js";
import {
    argmax, basisPoints, count, exact, fraction, inequality, percent, ratio, short, shortHex, span, time, when,
} from "./numbers.js";

const ZERO_ADDRESS = "0x" + "0".repeat(40);
/** Values of an answer that are listed. */
const VALUES = 32;
/** Offers of a model that are listed. */
const OFFERS = 10;
/** Workers of an epoch that are listed. */
const WORKERS = 15;

const id = (text) => hex(text, shortHex(text));
const account = (text) => (text === ZERO_ADDRESS ? "nobody" : id(text));
const whole = (text) => h("span", { class: "hex" }, text);
const note = (...children) => h("p", { class: "note" }, children);
const empty = (...children) => h("p", { class: "empty" }, children);
const state = (kind, text) => h("span", { class: `state ${kind}` }, text);

/** An amount of tokens, with all digits on demand. */
const amount = (snapshot, n) =>
    n === null || n === undefined
        ? "unknown"
        : h("abbr", { title: `${exact(n, snapshot.token.decimals)} ${clip(snapshot.token.symbol, 12)}` },
            short(n, snapshot.token.decimals));
const symbol = (snapshot) => clip(snapshot.token.symbol, 12);

const moment = (seconds, now) => h("abbr", { title: time(seconds) }, when(seconds, now));

function pager(name, { at, pages }, total) {
    if (pages < 2) return null;
    const go = (to, text, off) =>
        h("button", { type: "button", "data-go": `${name} ${to}`, disabled: off, "data-key": text }, text);
    return h("nav", { class: "pager", "aria-label": `Pages of ${name}` },
        go(at - 1, "Newer", at === 0),
        h("span", null, `${count(at * PAGE + 1)}–${count(Math.min(total, (at + 1) * PAGE))} of ${count(total)}`),
        go(at + 1, "Older", at === pages - 1));
}

/** A link for addresses that a reader can follow without harm; text for all others. */
function link(uri) {
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

export function summary(snapshot) {
    const { events, jobCount, token } = snapshot;
    const sum = (name, field) => events.reduce((n, e) => (e.name === name ? n + e[field] : n), 0n);
    const settled = events.filter((e) => e.name === "Fulfilled").length;
    return facts([
        ["Jobs posted", count(jobCount)],
        ["Jobs proven and paid", count(settled)],
        [`Paid for proofs, ${symbol(snapshot)}`, amount(snapshot, sum("Fulfilled", "price"))],
        [`Supply, ${symbol(snapshot)}`, amount(snapshot, token.supply)],
    ], "figures");
}

/** Whether forged proofs would be paid. */
export function development(snapshot) {
    const { development } = snapshot;
    const open = development.filter((d) => d.accepts === true);
    const unknown = development.filter((d) => d.accepts === null);
    if (open.length) {
        return h("div", { class: "alert bad", role: "note" },
            h("strong", null, "Development powers of tau are accepted here. "),
            "Their secret is public, so anybody can forge proofs and be paid for them. Payments on this deployment show nothing; ",
            "it is for trials. Verifier contract: ", open.map((d) => [id(d.address), " "]));
    }
    if (unknown.length) {
        return h("div", { class: "alert bad", role: "note" },
            h("strong", null, "It is not known whether development powers of tau are accepted. "),
            "The verifier contract does not say: ", unknown.map((d) => [id(d.address), " "]));
    }
    return h("div", { class: "alert good", role: "note" },
        h("strong", null, "Development powers of tau are refused. "),
        "No key made with them can be registered, so nobody can forge proofs with their public secret.");
}

const stateOf = (v) => {
    if (v.active === true) return state("good", "active");
    if (v.active === null) return state("bad", "unknown");
    const why = { Tombstoned: "ended by the guardian", Stopped: "stopped: an impossible claim was proven" }[v.ended];
    return state("bad", why ?? "ended");
};

export function models(snapshot, view) {
    const { events, verifiers } = snapshot;
    const offers = events.filter((e) => e.name === "Offered");
    const byModel = new Map();
    for (const v of verifiers) {
        const model = v.entry?.modelId ?? "unknown";
        byModel.set(model, [...(byModel.get(model) ?? []), v]);
    }
    if (!byModel.size) {
        return [empty("No model has a verifier yet. Verifiers are added by vote, after a delay; then anybody can make an offer.")];
    }
    return [...byModel].map(([model, its]) => {
        const made = offers.filter((o) => o.modelId === model).reverse();
        const shown = view.offers === model ? made : made.slice(0, OFFERS);
        return h("article", { "data-key": model },
            h("h3", null, "Model ", id(model)),
            table("Verifiers: each is one key of this model, for one number of inferences a proof",
                ["Verifier", "State", "#Batch", "#Work units", "#Values in", "#Values out", "Added"],
                its.map((v) => [v.id, [
                    id(v.id),
                    stateOf(v),
                    v.entry ? count(v.entry.batch) : "unknown",
                    v.entry ? count(v.entry.workUnits) : "unknown",
                    v.entry ? count(v.entry.inputValues) : "unknown",
                    v.entry ? count(v.entry.outputValues) : "unknown",
                    v.entry ? moment(v.entry.addedAt, snapshot.now) : "unknown",
                ]])),
            made.length
                ? table("Offers: who is paid when this model is used",
                    ["Offer", "Owner", "#Owner's royalty", "Paid for data", "#Data royalty", "About"],
                    shown.map((o) => [o.offerId, [
                        id(o.offerId),
                        account(o.owner),
                        basisPoints(o.royaltyBps),
                        account(o.dataRecipient),
                        basisPoints(o.dataBps),
                        o.uri ? link(o.uri) : "nothing said",
                    ]]))
                : empty("Nobody offers this model yet, so no job can ask for it."),
            shown.length < made.length &&
                h("button", { type: "button", "data-go": `offers ${model}` }, `Show all ${count(made.length)} offers`));
    });
}

/** What a job is doing now, in words. */
function stage(job, now) {
    if (!job) return state("bad", "unreadable");
    const over = Number(job.deadline) <= now;
    switch (job.status) {
        case 0n: return state("bad", "no such job");
        case 1n:
            if (over) return state("bad", "expired, can be refunded");
            if (Number(job.leaseEnd) > now) return state("busy", "leased");
            return state("busy", job.leaseEnd > 0n ? "open, its lease is over" : "open");
        case 2n: return state("good", "proven and paid");
        case 3n: return job.payout !== ZERO_ADDRESS && job.price > 0n ? state("", "closed") : state("", "refunded");
        default: return state("bad", "unknown state");
    }
}

function price(snapshot, job, paid, unit = "") {
    const { now } = snapshot;
    if (!job) return "unknown";
    if (paid) return [amount(snapshot, paid.price), unit, " paid"];
    if (job.status !== 1n) return "not paid";
    if (job.price > 0n) return [amount(snapshot, job.price), unit, " locked"];
    return Number(job.deadline) <= now ? "not paid" : [amount(snapshot, job.now), unit, " now"];
}

/** The answer of a job: the place of the largest value, and the values. */
function answer(output, full) {
    let values;
    try {
        values = signedValues(output);
    } catch {
        return `${output.length} bytes that are no values`;
    }
    if (!values.length) return "empty";
    const best = argmax(values);
    const top = values.length > 1 ? `largest at ${best}` : `value ${values[0]}`;
    if (!full) return h("abbr", { title: values.slice(0, VALUES).join(", ") }, top);
    const list = values.slice(0, VALUES).map((v, i) =>
        h("li", { class: i === best && values.length > 1 ? "best" : null },
            h("span", { class: "place" }, i), h("span", { class: "of" }, count(v))));
    return [
        values.length > 1 ? `Largest value at position ${best} (counted from 0), of ${count(values.length)} values:` : null,
        h("ol", { class: "values", start: 0 }, list),
        values.length > VALUES && note(`and ${count(values.length - VALUES)} more`),
    ];
}

export function jobs(snapshot) {
    const { shownJobs, jobCount, events, now } = snapshot;
    if (!jobCount) return [empty("No job has been posted yet.")];
    const paid = new Map(events.filter((e) => e.name === "Fulfilled").map((e) => [e.jobId, e]));
    return [
        table(`Jobs, the newest first; prices in ${symbol(snapshot)}`,
            ["Job", "State", "Requester", "#Price", "Lease", "Deadline", "Answer"],
            shownJobs.items.map((n) => {
                const job = snapshot.jobs.get(n);
                const done = paid.get(n);
                const live = job && job.status === 1n && job.leaseEnd > 0n;
                return [String(n), [
                    h("a", { href: `#job-${n}` }, count(n)),
                    stage(job, now),
                    job ? account(job.requester) : "unknown",
                    price(snapshot, job, done),
                    live ? [Number(job.leaseEnd) > now ? "ends " : "ended ", moment(job.leaseEnd, now)] : "none",
                    job ? moment(job.deadline, now) : "unknown",
                    done ? answer(done.output, false) : "none yet",
                ]];
            })),
        pager("jobs", shownJobs, Number(jobCount)),
    ];
}

/** What happened to a job, in words. */
function story(snapshot, e) {
    const a = (n) => [amount(snapshot, n), ` ${symbol(snapshot)}`];
    switch (e.name) {
        case "Posted": return ["Posted by ", account(e.requester), "; work fee ", a(e.workFee),
            e.inputValues ? e.inputValues === 4 ? "; the input is four values, or the id of a stack" : `; the input (${count(e.inputValues)} values) is public` : "; the input is sent to workers apart"];
        case "Leased": return ["Leased to ", account(e.payout), " at ", a(e.price), ", until ", time(e.until)];
        case "LeaseLost": return ["Lease of ", account(e.payout), " lost; ", a(e.burned), " of the bond burned, ",
            a(e.toRescuer), " for whoever proves it instead"];
        case "Fulfilled": return ["Proven and paid at ", a(e.price), "; ", account(e.payout), " was credited ", a(e.toWorker)];
        case "Refunded": return ["Refunded ", a(e.amount), " to ", account(e.requester)];
        default: return e.name;
    }
}

export function jobDetail(snapshot, n) {
    if (n === null) return [];
    const job = snapshot.jobs.get(n);
    const close = h("a", { href: "#jobs", class: "close" }, "Close");
    const number = clip(count(n), 40);
    const instead = (...text) => [h("div", { class: "detail" }, close, h("h3", null, `Job ${number}`), empty(text))];
    if (n === 0n || n > snapshot.jobCount) {
        const so = snapshot.jobCount ? `Jobs so far: 1 to ${count(snapshot.jobCount)}.` : "No job has been posted yet.";
        return instead(`There is no job ${number}. ${so}`);
    }
    if (!snapshot.jobs.has(n)) return instead("Not read yet.");
    if (!job) return instead("What the market answers about it is no job.");
    const { now } = snapshot;
    const its = snapshot.events.filter((e) => e.jobId === n);
    const done = its.find((e) => e.name === "Fulfilled");
    const unit = ` ${symbol(snapshot)}`;
    const leased = job.leaseEnd > 0n;
    return [h("div", { class: "detail" }, close,
        h("h3", null, `Job ${count(n)} `, stage(job, now)),
        facts([
            ["Requester", whole(job.requester)],
            ["Offer", whole(job.offerId)],
            ["Verifier", whole(job.verifierId)],
            ["Price", price(snapshot, job, done, unit), done ? ["; the worker was credited ", amount(snapshot, done.toWorker), unit, " (after royalties, with the bond of a lease)"] : null],
            ["Price range", "from ", amount(snapshot, job.minPrice), " to ", amount(snapshot, job.maxPrice), unit,
                ", rising from ", time(job.rampStart), " to ", time(job.rampEnd)],
            ["Deadline", time(job.deadline), " (", when(job.deadline, now), ")"],
            ["Lease", leased ? [Number(job.leaseEnd) > now && job.status === 1n ? "held by " : "last held by ",
                whole(job.payout), ", until ", time(job.leaseEnd)] : job.status === 1n ? `none so far; one would last ${span(job.leaseSeconds)}` : "none"],
            ["Bond", amount(snapshot, job.bond), unit, " for a lease; held now: ", amount(snapshot, job.held)],
            job.rescue > 0n && ["For a rescuer", amount(snapshot, job.rescue), unit],
            done && ["Paid to", whole(done.payout)],
            done && ["Transaction", whole(done.transaction)],
            ["Input commitment", whole(job.inputCommitment)],
            ["Answer", done ? answer(done.output, true) : "none yet"],
        ]),
        h("h4", null, "What happened"),
        its.length
            ? h("ol", { class: "story" }, its.map((e) => h("li", null, story(snapshot, e), h("span", { class: "at" }, ` block ${count(e.block)}`))))
            : empty("No events of this job were found."))];
}

export function proofs(snapshot, total) {
    const { shownProofs, gas } = snapshot;
    if (!shownProofs.items.length) return [empty("No proof has been paid yet.")];
    return [
        table(`Paid proofs, the newest first; credited are ${symbol(snapshot)}, with bonds given back`,
            ["Transaction", "#Block", "Jobs", "Paid to", "#Credited", "#Gas used", "#Gas a job"],
            shownProofs.items.map((p) => {
                const used = gas.get(p.transaction);
                return [p.transaction, [
                    id(p.transaction),
                    count(p.block),
                    p.jobs.map((n, i) => [i ? ", " : "", h("a", { href: `#job-${n}` }, count(n))]),
                    account(p.payout),
                    amount(snapshot, p.paid),
                    used ? count(used) : "unknown",
                    used ? count(used / BigInt(p.jobs.length)) : "unknown",
                ]];
            })),
        pager("proofs", shownProofs, total),
    ];
}

/** A round number at or above a maximum, for the top of an axis. */
function roof(n) {
    let step = 1n;
    while (step * 10n <= n) step *= 10n;
    return [1n, 2n, 5n, 10n].map((m) => m * step).find((r) => r >= n) ?? 1n;
}

/** Fees and rewards an epoch, as bars; `width` in pixels, so that text keeps its size. */
function chart(snapshot, epochs, chosen, width) {
    const [height, left, bottom, top] = [220, 64, 26, 10];
    const all = [...epochs];
    const most = all.reduce((m, [, e]) => [e.fees, e.rewarded].reduce((a, b) => (b > a ? b : a), m), 0n);
    const ceiling = roof(most > 0n ? most : 1n);
    const [area, slot] = [height - bottom - top, (width - left) / Math.max(all.length, 6)];
    const bar = Math.min(24, slot * 0.36);
    // As many labels as there is room for, counted from the newest.
    const every = Math.ceil(44 / slot);
    const y = (n) => top + area * (1 - fraction(n, ceiling));
    const one = (kind, n, x) => {
        const from = y(n);
        return s("rect", {
            class: kind, x: x.toFixed(1), width: bar.toFixed(1), y: from.toFixed(1), height: (top + area - from).toFixed(1),
        });
    };
    const { decimals } = snapshot.token;
    const bars = all.map(([epoch, e], i) => {
        const middle = left + slot * (i + 0.5);
        return s("g", { "data-key": `epoch ${epoch}`, class: epoch === chosen ? "chosen" : null },
            s("title", null, `Epoch ${epoch}: fees ${exact(e.fees, decimals)}, rewards ${exact(e.rewarded, decimals)} ${symbol(snapshot)}`),
            one("fees", e.fees, middle - bar - 0.5),
            one("rewards", e.rewarded, middle + 0.5),
            (all.length - 1 - i) % every === 0 &&
                s("text", { x: middle.toFixed(1), y: height - 8, "text-anchor": "middle" }, clip(count(epoch), 8)));
    });
    const lines = [0n, 1n, 2n].map((part) => {
        const at = top + area * (1 - Number(part) / 2);
        return [
            s("line", { class: part ? "grid" : "axis", x1: left, x2: width, y1: at, y2: at }),
            s("text", { x: left - 8, y: at + 4, "text-anchor": "end" }, clip(short((ceiling * part) / 2n, decimals), 9)),
        ];
    });
    return h("figure", { class: "chart" },
        h("figcaption", null, `Fees of settled jobs and rewards claimed for them, by epoch, in ${symbol(snapshot)} `,
            h("span", { class: "legend" }, h("span", { class: "swatch fees" }), "fees"), " ",
            h("span", { class: "legend" }, h("span", { class: "swatch rewards" }), "rewards")),
        s("svg", {
            viewBox: `0 0 ${width} ${height}`, role: "img",
            "aria-label": `Bars of fees and rewards for ${all.length} epochs; the table below has the numbers`,
        }, lines, bars));
}

/** A bar for a part of a whole. */
const meter = (part) =>
    s("svg", { class: "meter", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
        s("rect", { class: "ground", width: 100, height: 8 }),
        s("rect", { class: "fees", width: (part * 100).toFixed(2), height: 8 }));

export function payouts(snapshot, view) {
    const { epochs, epoch: present } = snapshot;
    if (!epochs.size) return [empty("No job has been settled and nothing was minted yet, so there is nothing to share.")];
    const chosen = view.epoch !== null && epochs.has(view.epoch) ? view.epoch : [...epochs.keys()].at(-1);
    const unit = symbol(snapshot);
    const measures = new Map([...epochs].map(([n, e]) => [n, inequality([...e.workers.values()].map((w) => w.fees))]));
    const disagree = [...epochs].filter(([, e]) => e.stats && (e.stats.fees !== e.fees || e.stats.minted !== e.rewarded));
    const rows = [...epochs].reverse().map(([n, e]) => {
        const m = measures.get(n);
        return [String(n), [
            h("button", { type: "button", "data-go": `epoch ${n}`, "aria-pressed": n === chosen ? "true" : "false" },
                n === present ? `${count(n)} (now)` : count(n)),
            amount(snapshot, e.fees),
            amount(snapshot, e.rewarded),
            amount(snapshot, e.released),
            count(e.units),
            m ? count(m.workers) : "0",
            m ? m.effective : "none",
            m ? percent(m.largest, m.total) : "none",
            m ? ratio(m.gini, 10_000n, 4) : "none",
        ]];
    });
    const e = epochs.get(chosen);
    const workers = [...e.workers].sort(([, a], [, b]) => (a.fees < b.fees ? 1 : a.fees > b.fees ? -1 : 0));
    const m = measures.get(chosen);
    return [
        chart(snapshot, epochs, chosen, view.width),
        table(`Epochs, the newest first; amounts in ${unit}`,
            ["Epoch", "#Fees", "#Rewards claimed", "#Public grants", "#Work units", "#Workers", "#Effective workers", "#Top share", "#Gini"],
            rows),
        note("Counted from events. The effective number of workers is how many equal ones would be as concentrated: the square of all fees, ",
            "divided by the sum of squares. A Gini of 0 is equal shares, near 1 is everything to one. These count addresses, not people: one person can be many."),
        disagree.length
            ? h("p", { class: "alert bad", role: "note" }, `The contract's own sums differ for ${disagree.map(([n]) => `epoch ${n}`).join(", ")}: the node may still be catching up.`)
            : null,
        h("h3", null, `Workers of epoch ${count(chosen)}`),
        m
            ? table(`Shares of fees in epoch ${count(chosen)}; amounts in ${unit}`,
                ["Worker", "#Fees", "#Share", "Part", "#Work units", "#Rewards claimed"],
                workers.slice(0, WORKERS).map(([address, w]) => [address, [
                    id(address),
                    amount(snapshot, w.fees),
                    percent(w.fees, m.total),
                    meter(fraction(w.fees, m.total)),
                    count(w.units),
                    amount(snapshot, w.rewarded),
                ]]))
            : empty("Nobody was paid fees in this epoch."),
        workers.length > WORKERS && note(`and ${count(workers.length - WORKERS)} workers with smaller shares`),
    ];
}

export function token(snapshot) {
    const { events, token, epoch, budget, publicBudget } = snapshot;
    const sum = (test) => events.reduce((n, e) => (e.name === "Transfer" && test(e) ? n + e.value : n), 0n);
    const minted = sum((e) => e.from === ZERO_ADDRESS);
    const burned = sum((e) => e.to === ZERO_ADDRESS);
    const unit = ` ${symbol(snapshot)}`;
    return [
        facts([
            ["Supply", amount(snapshot, token.supply), unit],
            token.cap !== null && ["Cap", amount(snapshot, token.cap), unit],
            ["Minted so far", amount(snapshot, minted), unit],
            ["Burned so far", amount(snapshot, burned), unit],
            token.unburned !== null && ["Waiting to be burned", amount(snapshot, token.unburned), unit],
            ["Epoch", count(epoch)],
            budget !== null && ["Rewards of this epoch, at most", amount(snapshot, budget), unit],
            publicBudget !== null && ["Public pool of this epoch, at most", amount(snapshot, publicBudget), unit],
        ]),
        minted - burned !== token.supply
            ? note("Minted less burned is not the supply: some transfers happened before the block that the deployment's file names, or are not read yet.")
            : null,
    ];
}
