// The page: reads again every few seconds, shows what changed, and keeps what the reader is looking at.

import { Reader, proofs } from "./chain.js";
import { datasetDetail, datasets } from "./datasets.js";
import { clip, h, hex, show } from "./dom.js";
import { Missing, evidenceOf, hand } from "./evidence.js";
import * as jobs from "./jobs.js";
import { Refused, Unreachable } from "./node.js";
import { count, shortHex, time } from "./numbers.js";
import { payouts } from "./payouts.js";
import { taskDetail, tasks } from "./tasks.js";
import * as views from "./views.js";

const EVERY = 4_000;
const $ = (id) => document.getElementById(id);
const place = (name) => document.querySelector(`[data-view="${name}"]`);

/** Which parts of long lists are shown. */
const view = {
    jobs: 0, proofs: 0, datasets: 0, tasks: 0, rounds: 0, offers: null, epoch: null, width: 720,
    job: null, task: null, round: null, dataset: null,
};
/** What came of the last wish to check something. */
let said = null;
let reader = null;
let last = null;
let reading = null;
let again = false;
let failing = false;
let timer = 0;

function status(...children) {
    show($("status"), ...children);
}

function trouble(e) {
    const what = e instanceof Unreachable ? "Node unreachable" : e instanceof Refused ? "Node refused" : "This page failed";
    show($("trouble"), e && h("div", { class: "alert bad" },
        h("strong", null, `${what}: `), clip(String(e.message ?? e).replace(/\.$/, ""), 400), ".",
        last ? ` What is shown is of block ${count(last.latest.number)}.` : "", " It is tried again every few seconds."));
}

function draw() {
    if (!last) return;
    last.said = said;
    view.width = Math.max(280, place("payouts").clientWidth);
    show($("development"), views.development(last));
    show($("summary"), views.summary(last));
    show(place("models"), ...views.models(last, view));
    show(place("job"), ...jobs.jobDetail(last, view.job));
    show(place("jobs"), ...jobs.jobs(last));
    show(place("proofs"), ...jobs.proofs(last, proofs(last.events).length));
    show(place("dataset"), ...datasetDetail(last, view.dataset));
    show(place("datasets"), ...datasets(last));
    show(place("task"), ...taskDetail(last, view.task, view));
    show(place("tasks"), ...tasks(last));
    show(place("payouts"), ...payouts(last, view));
    show(place("token"), ...views.token(last));
    const lost = last.events.filter((e) => e.name === "unreadable").length;
    status(h("span", { class: failing ? "dot bad" : "dot good" }), `Chain ${reader.config.chain_id}, block ${count(last.latest.number)}`,
        h("span", { class: "at" }, ` of ${time(last.latest.time)}`), lost ? ` (${count(lost)} events could not be read)` : "");
}

async function once() {
    const first = !last;
    try {
        reader ??= await open();
        last = await reader.read(view);
        failing = false;
        show($("trouble"));
    } catch (e) {
        failing = true;
        trouble(e);
        if (!last) status(h("span", { class: "dot bad" }), "Nothing read yet");
    }
    draw();
    // A section that the address names has moved down as the page grew.
    if (first && last && location.hash.match(/^#[a-z]+$/)) $(location.hash.slice(1))?.scrollIntoView();
    const { dataset } = document.documentElement;
    dataset.refreshes = String(1 + Number(dataset.refreshes ?? 0));
}

/** One refresh at a time; a wish during one is granted right after it. */
async function refresh() {
    clearTimeout(timer);
    again = true;
    if (reading) return reading;
    reading = (async () => {
        while (again) {
            again = false;
            await once();
        }
    })();
    await reading;
    reading = null;
    if (!document.hidden) timer = setTimeout(refresh, EVERY);
}

async function open() {
    let config;
    try {
        config = await (await fetch("config.json")).json();
    } catch (e) {
        throw new Unreachable(`the server of this page does not answer (${e.message})`);
    }
    const contract = (name) => [hex(config[name], shortHex(config[name])), " "];
    show($("about"), `Assay ${config.version}, read from ${clip(config.node)}. Contracts: market `, contract("market"), "models ",
        contract("models"), "verifiers ", contract("registry"), "rewards ", contract("emission"), "token ", contract("token"),
        "datasets ", contract("datasets"), "training ", contract("training"));
    return new Reader(config, (done, of) => {
        if (!last) status(h("span", { class: "dot" }), `Reading events: block ${count(done)} of ${count(of)}`);
    });
}

/** What an address names: "#job-12", "#task-3", "#task-3-round-2", "#dataset-0x...". */
function named(hash) {
    const number = (text) => (text === undefined ? null : BigInt(text) % (1n << 256n));
    const task = hash.match(/^#task-(\d{1,78})(?:-round-(\d{1,10}))?$/);
    return {
        job: number(hash.match(/^#job-(\d{1,78})$/)?.[1]),
        task: number(task?.[1]),
        round: number(task?.[2]),
        dataset: hash.match(/^#dataset-(0x[0-9a-f]{64})$/)?.[1] ?? null,
    };
}

function follow() {
    const to = named(location.hash);
    const same = (names) => names.every((name) => to[name] === view[name]);
    const changed = [["job"], ["task", "round"], ["dataset"]].filter((names) => !same(names)).map(([name]) => name);
    if (!changed.length) return;
    if (to.task !== view.task) view.rounds = 0;
    Object.assign(view, to);
    // What is at hand is shown at once.
    draw();
    const shown = changed.find((name) => to[name] !== null);
    const from = document.activeElement;
    refresh().then(() => {
        if (shown === undefined || !same([shown])) return;
        // A reader who went on to something else in the meantime stays there.
        if (![from, document.body].includes(document.activeElement)) return;
        place(shown).focus({ preventScroll: true });
        place(shown).scrollIntoView({ block: "nearest" });
    });
}

/** Collects what a market was shown and goes to the page that checks it. */
async function check(what) {
    const say = (text, more) => {
        said = { what, text, ...more };
        draw();
    };
    say("Reading the proof and the key from the chain.", { busy: true });
    try {
        hand(await evidenceOf(reader, last, what));
        said = null;
    } catch (e) {
        const known = e instanceof Missing || e instanceof Refused || e instanceof Unreachable;
        say(known ? `It cannot be checked from here: ${e.message}.` : `This page failed: ${e.message}`, { bad: true });
    }
}

document.addEventListener("click", (event) => {
    const wish = event.target.closest?.("[data-verify]")?.dataset.verify;
    if (wish) return void check(wish);
    const [what, to] = event.target.closest?.("[data-go]")?.dataset.go.split(" ") ?? [];
    if (!what) return;
    view[what] = what === "epoch" ? BigInt(to) : what === "offers" ? to : Number(to);
    // Epochs, offers and rounds are at hand; pages of other lists have to be asked for.
    if (["epoch", "offers", "rounds"].includes(what)) draw();
    else refresh();
});

$("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const number = $("number").value.trim().replace(/,/g, "");
    const good = /^\d{1,78}$/.test(number);
    $("number").setCustomValidity(good ? "" : "A job has a number, like 12.");
    if (good) location.hash = `job-${BigInt(number)}`;
    else $("number").reportValidity();
});
$("number").addEventListener("input", () => $("number").setCustomValidity(""));
addEventListener("hashchange", follow);
addEventListener("resize", () => place("payouts").clientWidth === view.width || draw());
document.addEventListener("visibilitychange", () => document.hidden || refresh());

follow();
refresh();
