// Jobs and the proofs that paid them, as elements.

import { hexOf, signedValues } from "./abi.js";
import { clip, facts, h, table } from "./dom.js";
import { isConfidential } from "./keys.js";
import { argmax, count, span, time, when } from "./numbers.js";
import { ZERO_ADDRESS, account, amount, empty, id, moment, note, pager, state, symbol, verifyButton, whole } from "./parts.js";

/** Values of an answer that are listed. */
const VALUES = 32;

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

/** Whether the output of a job is no answer but what hides one: nobody reads it without the job's opening. */
const isMasked = (snapshot, job) => isConfidential(snapshot.shapes.get(job?.verifierId));

/** The output of a job: the place of the largest value, and the values. Of a masked one no place means anything. */
function answer(output, full, masked) {
    let values;
    try {
        values = signedValues(output);
    } catch {
        return `${output.length} bytes that are no values`;
    }
    if (!values.length) return "empty";
    const best = masked || values.length < 2 ? -1 : argmax(values);
    const top = masked ? "masked output" : best >= 0 ? `largest at ${best}` : `value ${values[0]}`;
    if (!full) return h("abbr", { title: values.slice(0, VALUES).join(", ") }, top);
    const list = values.slice(0, VALUES).map((v, i) =>
        h("li", { class: i === best ? "best" : null },
            h("span", { class: "place" }, i), h("span", { class: "of" }, count(v))));
    return [
        masked && "Only whoever has the job's opening can read it: the requester, and the worker whom he sent it. To all others these are numbers drawn by chance:",
        best >= 0 && `Largest value at position ${best} (counted from 0), of ${count(values.length)} values:`,
        h("ol", { class: "values", start: 0 }, list),
        values.length > VALUES && note(`and ${count(values.length - VALUES)} more`),
        masked && note("The key takes ids of stacks alone, as those of confidential jobs do. That its graph masks the output is not on the chain: the model id stands for it, and whoever has the model recomputes that."),
    ];
}

/** Ids of the stacks that a job's input lies in, as it was posted; nothing for other jobs. */
function inputStacks(snapshot, job, its) {
    const shape = snapshot.shapes.get(job.verifierId);
    if (!shape?.given) return null;
    const input = its.find((e) => e.name === "Posted")?.input;
    if (!isConfidential(shape) || !input?.length || input.length % 32) {
        return ["Stacks", `the proof is about ${count(shape.given)} given stacks; their ids are sent to workers apart, or are part of the input`];
    }
    const ids = Array.from({ length: input.length / 32 }, (_, i) => hexOf(input.subarray(32 * i, 32 * i + 32)));
    return ["Stack of the input", ids.map((stack) => h("div", null, whole(stack))),
        note("The chain has its id alone. What is in it, only those can read who have its opening.")];
}

export function jobs(snapshot) {
    const { shownJobs, jobCount, events, now } = snapshot;
    if (!jobCount) return [empty("No job has been posted yet.")];
    const paid = new Map(events.filter((e) => e.name === "Fulfilled").map((e) => [e.jobId, e]));
    return [
        table(`Jobs, the newest first; prices in ${symbol(snapshot)}`,
            ["Job", "State", "Requester", "#Price", "Lease", "Deadline", "Output"],
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
                    done ? answer(done.output, false, isMasked(snapshot, job)) : "none yet",
                ]];
            })),
        pager("jobs", shownJobs, Number(jobCount)),
    ];
}

function inputOf(snapshot, { verifierId, inputValues }) {
    if (!inputValues) return "; the input is sent to workers apart";
    const shape = snapshot.shapes.get(verifierId);
    if (isConfidential(shape)) return "; the input is known by the id of a stack";
    if (inputValues === 4 && !shape) return "; the input is four values, or the id of a stack";
    return `; the input (${count(inputValues)} values) is public`;
}

/** What happened to a job, in words. */
function story(snapshot, e) {
    const a = (n) => [amount(snapshot, n), ` ${symbol(snapshot)}`];
    switch (e.name) {
        case "Posted": return ["Posted by ", account(e.requester), "; work fee ", a(e.workFee),
            inputOf(snapshot, e)];
        case "Leased": return ["Leased to ", account(e.payout), " at ", a(e.price), ", until ", time(e.until)];
        case "LeaseLost": return ["Lease of ", account(e.payout), " lost; ", a(e.burned), " of the bond burned, ",
            a(e.toRescuer), " for whoever proves it instead"];
        case "Fulfilled": return ["Proven and paid at ", a(e.price), "; ", account(e.payout), " was credited ", a(e.toWorker)];
        case "BondReturned": return ["The verifier has ended; the bond of ", a(e.amount), " went back to ", account(e.payout)];
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
    const masked = isMasked(snapshot, job);
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
            inputStacks(snapshot, job, its),
            [masked ? "Masked output" : "Answer", done ? answer(done.output, true, masked) : "none yet"],
        ]),
        done && verifyButton(snapshot, `job ${n}`),
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
