// Fees and rewards by epoch, as elements.

import { clip, h, s, table } from "./dom.js";
import { count, exact, fraction, inequality, percent, ratio, short } from "./numbers.js";
import { amount, empty, id, note, symbol } from "./parts.js";

/** Workers of an epoch that are listed. */
const WORKERS = 15;

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
