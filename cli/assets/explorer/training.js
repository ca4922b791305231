// Datasets and tasks of training: what events say about rounds, and the state of what is shown.

import { ids, named, page } from "./lists.js";
import { calls } from "./node.js";

const DATASET = "owner royaltyBps since retired recipient examples values stackId licenceHash".split(" ");
const TASK = ("status phase protocolBps heads rounds used trainFee restart escrow rescue deadline revealSeconds ratePerStep maxSteps eta " +
    "shards evaluateSeconds sponsor evaluateFee bond leaseSeconds head trainId evaluateId holdout datasets").split(" ");
const ROUND = "payout until royaltyBps shard recipient price reserved bond pinned examples dataset seed trained revealed".split(" ");
const SPEC = ("trainId evaluateId head holdout shards datasets eta maxSteps ratePerStep minPrice maxPrice rampStart rampEnd deadline " +
    "leaseSeconds bond revealSeconds evaluateSeconds escrow").split(" ");

export const PHASE = { none: 0n, leased: 1n, seeded: 2n, trained: 3n, revealed: 4n };

const place = ({ block, transaction }) => ({ block, transaction });

/** What the sponsor of a task asked for, by names; null if its opening was not read. */
export function specOf(events, taskId) {
    const opened = events.find((e) => e.name === "Opened" && e.taskId === taskId);
    return opened ? { ...named(SPEC, opened.spec), uri: opened.uri, at: place(opened) } : null;
}

/** Whole steps of `eta` that a loss fell by, as the market pays them. */
export function stepsOf({ eta, maxSteps }, before, later) {
    const steps = before > later && eta > 0n ? (before - later) / eta : 0n;
    return steps > maxSteps ? maxSteps : steps;
}

/**
 * The rounds of a task in the order of their leases. `heads` is how often the head had advanced before, which the proofs of a
 * round are bound to. `end` says how a round ended; null while it runs.
 */
export function roundsOf(events, taskId) {
    const spec = specOf(events, taskId);
    const rounds = new Map();
    let heads = 0n;
    for (const e of events) {
        if (e.taskId !== taskId) continue;
        if (e.name === "RoundLeased") {
            const { round: number, payout, head, datasetId, price, until, pinned } = e;
            rounds.set(number, {
                number, heads, payout, head, datasetId, price, until, pinned, leased: place(e), end: null,
                seeded: null, trained: null, revealed: null, evaluated: null, lost: null,
            });
            continue;
        }
        const round = rounds.get(e.round);
        if (!round) continue;
        switch (e.name) {
            case "Seeded":
                round.seeded = { seed: e.seed, ...place(e) };
                break;
            case "Trained":
                round.trained = { stack: e.trained, shard: e.shard, toWorker: e.toWorker, losses: e.losses, uri: e.uri, ...place(e) };
                break;
            case "Revealed":
                round.revealed = { stack: e.stackId, shard: e.shard, uri: e.uri, ...place(e) };
                break;
            case "Evaluated": {
                const steps = spec ? stepsOf(spec, e.before, e.later) : null;
                round.evaluated = { before: e.before, later: e.later, steps, gain: e.gain, head: e.head, ...place(e) };
                // Without the opening, the head that was named tells: two stacks with one id have one loss.
                const moved = steps === null ? e.head !== round.head : steps > 0n;
                round.end = moved ? "gained" : "gained nothing";
                if (moved) heads++;
                break;
            }
            case "RoundLost":
                round.lost = { burned: e.burned, kept: e.kept, ...place(e) };
                round.end = "lost";
                break;
            case "NotRevealed":
                round.unrevealed = { gain: e.gain, ...place(e) };
                round.end = "not revealed";
                break;
            case "NotEvaluated":
                round.end = "not evaluated";
                break;
            case "RoundVoid":
                round.end = "void";
                break;
        }
    }
    return [...rounds.values()];
}

/** What a task has paid and burned until now: amounts in the token's smallest unit. `task` has the fees of its proofs. */
export function sumsOf(rounds, task) {
    const sum = (f) => rounds.reduce((n, r) => n + (f(r) ?? 0n), 0n);
    const trained = BigInt(rounds.filter((r) => r.trained).length);
    const evaluated = BigInt(rounds.filter((r) => r.evaluated).length);
    return {
        prices: sum((r) => r.trained && r.price),
        gains: sum((r) => r.evaluated?.gain ?? r.unrevealed?.gain),
        fees: task ? trained * task.trainFee + evaluated * task.evaluateFee : null,
        bonds: sum((r) => r.lost?.burned),
    };
}

/** The stacks that were the head of a task, the first one first, with the round that each came from. */
export function headsOf(spec, rounds) {
    const first = spec ? [{ stack: spec.head, round: null }] : [];
    const later = rounds.filter((r) => r.end === "gained").map((r) => ({ stack: r.evaluated.head, round: r.number }));
    return [...first, ...later];
}

/** For each dataset that was leased: in how many rounds, and how many of them were proven. */
export function usesOf(events) {
    const uses = new Map();
    const leased = new Map();
    for (const e of events) {
        if (e.name !== "RoundLeased" && e.name !== "Trained") continue;
        const round = `${e.taskId} ${e.round}`;
        if (e.name === "RoundLeased") leased.set(round, e.datasetId);
        const dataset = leased.get(round);
        if (dataset === undefined) continue;
        const its = uses.get(dataset) ?? { rounds: [], proven: 0 };
        uses.set(dataset, its);
        if (e.name === "Trained") its.proven++;
        else its.rounds.push({ taskId: e.taskId, round: e.round });
    }
    return uses;
}

/** The state of what is shown. `tasks` and `datasets` are null where no contract answers as such a market or registry. */
export async function readTraining({ config, events }, view) {
    const [taskCount, unburned, datasetCount] = await calls([
        [config.training, "tasks()"],
        [config.training, "unburned()"],
        [config.datasets, "count()"],
    ]);
    return {
        unburned: unburned ?? 0n,
        tasks: taskCount === null ? null : await readTasks(config.training, Number(taskCount), view),
        datasets: datasetCount === null ? null : await readDatasets(config.datasets, events, view),
    };
}

async function readTasks(market, total, view) {
    const shown = page({ length: total, slice: ids }, view.tasks);
    const wanted = [...new Set([...shown.items, ...(view.task === null ? [] : [view.task])])];
    const found = await calls(wanted.map((id) => [market, "task(uint256)", id]));
    const state = new Map(wanted.map((id, i) => [id, named(TASK, found[i])]));
    const open = wanted.filter((id) => state.get(id)?.status === 1n);
    const more = await calls(open.flatMap((id) => [[market, "currentPrice(uint256)", id], [market, "round(uint256)", id]]));
    open.forEach((id, i) => {
        state.get(id).now = more[2 * i];
        state.get(id).round = state.get(id).phase === PHASE.none ? null : named(ROUND, more[2 * i + 1]);
    });
    return { total, shown, state };
}

async function readDatasets(registry, events, view) {
    const registered = events.filter((e) => e.name === "Registered");
    const shown = page(registered, view.datasets);
    const wanted = new Set(shown.items.map((e) => e.datasetId));
    if (registered.some((e) => e.datasetId === view.dataset)) wanted.add(view.dataset);
    const keys = [...wanted];
    const found = await calls(keys.map((id) => [registry, "get(bytes32)", id]));
    return { total: registered.length, shown, state: new Map(keys.map((id, i) => [id, named(DATASET, found[i])])) };
}
