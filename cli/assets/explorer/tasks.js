// Tasks of training and their rounds, as elements.

import { signedValues } from "./abi.js";
import { clip, facts, h, table } from "./dom.js";
import { page } from "./lists.js";
import { basisPoints, count, span, time, when } from "./numbers.js";
import {
    account, amount, detail, empty, id, link, moment, note, pager, state, symbol, verifyButton, where, whole,
} from "./parts.js";
import { PHASE, headsOf, roundsOf, specOf, sumsOf } from "./training.js";

const ZERO = "0x" + "0".repeat(64);
/** Losses of a proof that are listed. */
const LOSSES = 64;
/** Heads that are listed, the newest. */
const HEADS = 20;

const none = () => empty("This deployment has no market for training: no contract answers as one at the address that its file names.");

/** What a task is doing now, in words. */
function stage(task, now) {
    if (!task) return state("bad", "unreadable");
    if (task.status === 2n) return state("", "closed");
    if (task.status !== 1n) return state("bad", "unknown state");
    const late = task.round && Number(task.round.until) <= now ? ", its time is over" : "";
    switch (task.phase) {
        case PHASE.none: return Number(task.deadline) <= now ? state("bad", "expired, can be refunded") : state("busy", "open");
        case PHASE.leased: return state("busy", `leased${late}`);
        case PHASE.seeded: return state("busy", `seed fixed${late}`);
        case PHASE.trained: return state("busy", `trained, waits for a shard${late}`);
        case PHASE.revealed: return state("busy", `shard revealed, waits for the evaluation${late}`);
        default: return state("bad", "unknown state");
    }
}

const OUTCOMES = {
    "gained": ["good", "paid, and gained"],
    "gained nothing": ["", "paid, gained nothing"],
    "lost": ["bad", "lease lost"],
    "not revealed": ["bad", "paid; the sponsor revealed no shard"],
    "not evaluated": ["", "paid, not evaluated"],
    "void": ["bad", "void: a verifier has ended"],
};

/** How a round ended, or where it is. */
function outcome(round, task, now) {
    if (round.end) return state(...OUTCOMES[round.end]);
    return task && task.rounds === round.number && task.phase !== PHASE.none ? stage(task, now) : state("bad", "unknown");
}

export function tasks(snapshot) {
    const { training, now } = snapshot;
    const of = training.tasks;
    if (!of) return [none()];
    if (!of.total) return [empty("No task has been opened yet. A sponsor opens one with: assay task post.")];
    return [
        table(`Tasks, the newest first; amounts in ${symbol(snapshot)}`,
            ["Task", "State", "Sponsor", "Head", "#Rounds", "#Gains", "#Shards used", "#Escrow", "#Price", "Deadline"],
            of.shown.items.map((n) => {
                const task = of.state.get(n);
                const known = (f) => (task ? f(task) : "unknown");
                return [String(n), [
                    h("a", { href: `#task-${n}` }, count(n)),
                    stage(task, now),
                    known((t) => account(t.sponsor)),
                    known((t) => id(t.head)),
                    known((t) => count(t.rounds)),
                    known((t) => count(t.heads)),
                    known((t) => `${count(t.used)} of ${count(t.shards)}`),
                    known((t) => amount(snapshot, t.escrow)),
                    known((t) => (t.status === 1n ? amount(snapshot, t.now) : "none")),
                    known((t) => moment(t.deadline, now)),
                ]];
            })),
        pager("tasks", of.shown, of.total),
    ];
}

/** A shard of a round: its number, and its stack once that is known. */
function shard(round) {
    if (round.revealed) return [count(round.revealed.shard), ", revealed ", id(round.revealed.stack)];
    return round.trained ? `${count(round.trained.shard)}, sealed` : "none";
}

const fall = ({ before, later }) => `${count(before)} → ${count(later)}`;
const steps = ({ steps: n }) => (n === null ? "unknown" : `${count(n)} ${n === 1n ? "step" : "steps"}`);

function roundsTable(snapshot, n, rounds, task, view) {
    if (!rounds.length) return empty("Nobody has leased a round yet.");
    const shown = page(rounds, view.rounds);
    return [
        table(`Rounds, the newest first; amounts in ${symbol(snapshot)}`,
            ["Round", "Outcome", "Worker", "Dataset", "#Price paid", "Shard", "#Losses", "#Gain", "#Paid for it"],
            shown.items.map((r) => [String(r.number), [
                h("a", { href: `#task-${n}-round-${r.number}` }, count(r.number)),
                outcome(r, task, snapshot.now),
                account(r.payout),
                h("a", { href: `#dataset-${r.datasetId}` }, id(r.datasetId)),
                r.trained ? amount(snapshot, r.price) : "not paid",
                shard(r),
                r.evaluated ? fall(r.evaluated) : "none",
                r.evaluated ? steps(r.evaluated) : r.unrevealed ? "the most" : "none",
                r.evaluated ? amount(snapshot, r.evaluated.gain) : r.unrevealed ? amount(snapshot, r.unrevealed.gain) : "none",
            ]])),
        pager("rounds", shown, rounds.length),
    ];
}

export function taskDetail(snapshot, n, view) {
    if (n === null) return [];
    const of = snapshot.training.tasks;
    const number = clip(count(n), 40);
    const title = `Task ${number}`;
    if (!of) return detail("#training", title, none());
    if (n === 0n || n > BigInt(of.total)) {
        const so = of.total ? `Tasks so far: 1 to ${count(of.total)}.` : "No task has been opened yet.";
        return detail("#training", title, empty(`There is no task ${number}. ${so}`));
    }
    if (!of.state.has(n)) return detail("#training", title, empty("Not read yet."));
    const task = of.state.get(n);
    if (!task) return detail("#training", title, empty("What the market answers about it is no task."));
    const rounds = roundsOf(snapshot.events, n);
    if (view.round !== null) return roundDetail(snapshot, n, task, rounds.find((r) => r.number === view.round), view.round);
    const { now } = snapshot;
    const spec = specOf(snapshot.events, n);
    const sums = sumsOf(rounds, task);
    const heads = headsOf(spec, rounds);
    const refunded = snapshot.events.find((e) => e.name === "TaskRefunded" && e.taskId === n);
    const unit = ` ${symbol(snapshot)}`;
    const a = (x) => [amount(snapshot, x), unit];
    const revealed = rounds.filter((r) => r.revealed).length;
    return detail("#training", [title, " ", stage(task, now)],
        facts([
            ["Sponsor", whole(task.sponsor)],
            spec && ["About", spec.uri ? link(spec.uri) : "nothing said"],
            ["Opened", spec ? where(spec.at) : "before the events that are read here"],
            ["Head", whole(task.head), note(`The stack of weights that training goes on from. Times that it advanced: ${count(task.heads)}.`)],
            ["Verifiers", "training ", whole(task.trainId), h("br"), "evaluation ", whole(task.evaluateId)],
            ["Datasets", task.datasets === ZERO ? "any that is registered" : ["those under the root ", whole(task.datasets)]],
            ["Held-out data", whole(task.holdout), note(`The root over ${count(task.shards)} sealed shards: ${count(task.used)} used, of which ${count(revealed)} revealed; ${count(task.shards - task.used)} nobody has needed yet.`)],
            ["Price of a round", task.status === 1n ? [a(task.now), " now"] : "none", spec ? [", between ", amount(snapshot, spec.minPrice), " and ", a(spec.maxPrice)] : null],
            ["Paid for gains", a(task.ratePerStep), ` for each step of ${count(task.eta)} that the loss falls by, at most ${count(task.maxSteps)} steps a round`],
            ["Treasury", basisPoints(task.protocolBps), " of each payment"],
            ["Bond", a(task.bond), " for a lease of ", span(task.leaseSeconds), "; then ", span(task.revealSeconds), " to reveal and ", span(task.evaluateSeconds), " to evaluate"],
            ["Deadline", time(task.deadline), " (", when(task.deadline, now), ")"],
            ["Escrow", a(task.escrow), " left", task.round ? ["; set aside for the present round ", a(task.round.reserved)] : null, spec ? ["; paid in ", a(spec.escrow)] : null],
            task.rescue > 0n && ["For the next proof", a(task.rescue), ", of lost bonds"],
            ["Paid out", a(sums.prices), " for training, ", a(sums.gains), " for gains, before royalties and the treasury's part"],
            ["Burned", a(sums.fees), " of work fees", sums.bonds > 0n ? [", ", a(sums.bonds), " of lost bonds"] : null],
            refunded && ["Refunded", a(refunded.amount), " to the sponsor; ", where(refunded)],
        ]),
        present(snapshot, n, task),
        h("h4", null, "Rounds"),
        roundsTable(snapshot, n, rounds, task, view),
        h("h4", null, "Heads"),
        heads.length
            ? h("ol", { class: "story", start: Math.max(0, heads.length - HEADS) }, heads.slice(-HEADS).map(({ stack, round }) =>
                h("li", null, whole(stack), h("span", { class: "at" }, round === null ? " of the sponsor" : ` of round ${count(round)}`))))
            : empty("The task's opening was not found among the events."));
}

/** The round that runs. */
function present(snapshot, n, task) {
    const { round, phase } = task;
    if (!round) return null;
    const due = {
        [PHASE.leased]: ["The seed comes from block ", count(round.pinned), ", and can be fixed within 256 blocks after it. The proof is due "],
        [PHASE.seeded]: ["The seed is fixed. The proof of training is due "],
        [PHASE.trained]: [`The training was proven and paid. The sponsor has to reveal shard ${count(round.shard)} `],
        [PHASE.revealed]: ["The shard is revealed. The proof of evaluation is due "],
    }[phase];
    return [
        h("h4", null, "Now"),
        h("p", null, h("a", { href: `#task-${n}-round-${task.rounds}` }, `Round ${count(task.rounds)}`), ", of ", account(round.payout), ", at ",
            amount(snapshot, round.price), ` ${symbol(snapshot)}. `, due ?? "It is in an unknown phase, until ", when(round.until, snapshot.now), "."),
    ];
}

/** Losses of the steps, as the proof shows them. */
function losses(bytes) {
    let values;
    try {
        values = signedValues(bytes);
    } catch {
        return `${bytes.length} bytes that are no values`;
    }
    return [
        h("ol", { class: "values", start: 0 }, values.slice(0, LOSSES).map((v, i) =>
            h("li", null, h("span", { class: "place" }, i), h("span", { class: "of" }, count(v))))),
        values.length > LOSSES && note(`and ${count(values.length - LOSSES)} more`),
    ];
}

const said = (uri) => (uri ? link(uri) : "nowhere, as far as is said");

function roundDetail(snapshot, n, task, round, number) {
    const title = [`Task ${count(n)}, round ${clip(count(number), 40)}`];
    const back = `#task-${n}`;
    if (!round) {
        const so = task.rounds > 0n ? `Rounds so far: 1 to ${count(task.rounds)}.` : "Nobody has leased one yet.";
        return detail(back, title, empty(number > 0n && number <= task.rounds ? "Its lease was not found among the events." : `There is no such round. ${so}`));
    }
    const { trained, revealed, evaluated, seeded, lost, unrevealed } = round;
    const registered = snapshot.events.find((e) => e.name === "Registered" && e.datasetId === round.datasetId);
    const unit = ` ${symbol(snapshot)}`;
    const a = (x) => [amount(snapshot, x), unit];
    return detail(back, [...title, " ", outcome(round, task, snapshot.now)],
        facts([
            ["Worker", whole(round.payout)],
            ["Leased", where(round.leased), "; until ", time(round.until), ", at ", a(round.price)],
            ["Head", whole(round.head), note("The stack of weights that training began with.")],
            ["Dataset", h("a", { href: `#dataset-${round.datasetId}` }, whole(round.datasetId)),
                registered && [h("br"), "stack ", whole(registered.stackId)]],
            ["Seed's block", count(round.pinned)],
            ["Seed", seeded ? [whole(seeded.seed), note("Which rows the steps read follows from it, and it from the hash of that block."), where(seeded)] : "not fixed"],
            ["Trained weights", trained ? [whole(trained.stack), note("The stack that the proof of training ends with.")] : "none proven"],
            trained && ["Proof of training", where(trained), "; the worker was credited ", a(trained.toWorker), " (price less royalty and the treasury's part, with what lost leases left)"],
            trained && ["Fee burned", a(task.trainFee)],
            trained && ["Losses of the steps", losses(trained.losses)],
            trained && ["Weights to be had at", said(trained.uri), note("In the word of whoever sent the proof. That they can be had, nothing on the chain shows.")],
            trained && ["Shard", `number ${count(trained.shard)}: `, revealed ? [whole(revealed.stack), "; revealed ", where(revealed)] : "sealed, for these weights alone"],
            revealed && ["Shard to be had at", said(revealed.uri)],
            evaluated && ["Evaluation", `loss of the head ${count(evaluated.before)}, of the trained weights ${count(evaluated.later)}; `, where(evaluated)],
            evaluated && ["Gain", steps(evaluated), ` of ${count(task.eta)}: `, a(evaluated.gain), evaluated.steps === 0n ? "; the head stays" : "; the head is the trained weights now"],
            evaluated && ["Fee burned for it", a(task.evaluateFee)],
            lost && ["Bond lost", a(lost.burned), " burned, ", a(lost.kept), " for the next proof or the sponsor; ", where(lost)],
            unrevealed && ["Not revealed", "the sponsor paid ", a(unrevealed.gain), ", the most that the round could have gained; ", where(unrevealed)],
        ]),
        trained && [h("h4", null, "Proof of training"), verifyButton(snapshot, `training ${n} ${number}`)],
        evaluated && [h("h4", null, "Proof of evaluation"), verifyButton(snapshot, `evaluation ${n} ${number}`)],
        note("What a paid proof of training does not show: that the data is any good, that there is no backdoor, consent or licence, or that anybody can have the weights."));
}
