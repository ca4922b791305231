// The page: reads again every few seconds, shows what changed, and keeps what the reader is looking at.

import { Reader, Refused, Unreachable, proofs } from "./chain.js";
import { clip, h, hex, show } from "./dom.js";
import { count, shortHex, time } from "./numbers.js";
import * as views from "./views.js";

const EVERY = 4_000;
const $ = (id) => document.getElementById(id);
const place = (name) => document.querySelector(`[data-view="${name}"]`);

/** Which parts of long lists are shown. */
const view = { jobs: 0, proofs: 0, offers: null, epoch: null, job: null, width: 720 };
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
        h("strong", null, `${what}: `), clip(String(e.message ?? e), 400),
        last ? ` What is shown is of block ${count(last.latest.number)}.` : "", " It is tried again every few seconds."));
}

function draw() {
    if (!last) return;
    view.width = Math.max(280, place("payouts").clientWidth);
    show($("development"), views.development(last));
    show($("summary"), views.summary(last));
    show(place("models"), ...views.models(last, view));
    show(place("job"), ...views.jobDetail(last, view.job));
    show(place("jobs"), ...views.jobs(last));
    show(place("proofs"), ...views.proofs(last, proofs(last.events).length));
    show(place("payouts"), ...views.payouts(last, view));
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
        contract("models"), "verifiers ", contract("registry"), "rewards ", contract("emission"), "token ", contract("token"));
    return new Reader(config, (done, of) => {
        if (!last) status(h("span", { class: "dot" }), `Reading events: block ${count(done)} of ${count(of)}`);
    });
}

/** "#job-12" shows a job. */
function follow() {
    const number = location.hash.match(/^#job-(\d{1,78})$/)?.[1];
    const job = number === undefined ? null : BigInt(number) % (1n << 256n);
    if (job === view.job) return;
    view.job = job;
    refresh().then(() => {
        if (job === null || view.job !== job) return;
        place("job").focus({ preventScroll: true });
        place("job").scrollIntoView({ block: "nearest" });
    });
}

document.addEventListener("click", (event) => {
    const [what, to] = event.target.closest?.("[data-go]")?.dataset.go.split(" ") ?? [];
    if (!what) return;
    view[what] = what === "epoch" ? BigInt(to) : what === "offers" ? to : Number(to);
    // Epochs and offers are at hand; pages of jobs and proofs have to be asked for.
    if (what === "epoch" || what === "offers") draw();
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
