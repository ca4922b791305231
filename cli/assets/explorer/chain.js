// What is read: events once, from the deployment on, and the state of what is shown at each refresh.

import { TRANSFER, ZERO_WORD, decodeLog } from "./abi.js";
import { shapeOf, wordsOf } from "./keys.js";
import { ids, named, page } from "./lists.js";
import { Refused, ask, calls, one } from "./node.js";
import { readTraining } from "./training.js";

/** Bytes of an input that are kept: ids of stacks. Of a longer one it is only shown how much there is. */
const KEPT_INPUT = 512;
/** Blocks of one question for events, at first and at most. */
const RANGE = 5_000;
const MOST_RANGE = 50_000;
/** The last blocks are read again each time: a chain may exchange them. */
const UNSETTLED = 12;

const quantity = (n) => "0x" + n.toString(16);

const block = async (number) => {
    const b = await one("eth_getBlockByNumber", number === undefined ? "latest" : quantity(number), false);
    return b && { number: Number(b.number), time: Number(b.timestamp), hash: String(b.hash) };
};

const ENTRY = "verifier batch inputValues outputValues settlementId modelId srsHash codeHash weightCommitment workUnits addedAt".split(" ");
const JOB = ("requester status rampStart rampEnd payout leaseEnd deadline leaseSeconds minPrice maxPrice price bond held rescue " +
    "workFee protocolBps kind verifierId offerId inputCommitment").split(" ");
const STATS = "fees units workers minted released".split(" ");

/** Settled jobs by the transaction that proved them, in the order of the chain. */
export function proofs(events) {
    const out = new Map();
    for (const e of events) {
        if (e.name !== "Fulfilled") continue;
        const proof = out.get(e.transaction) ?? { transaction: e.transaction, block: e.block, payout: e.payout, paid: 0n, jobs: [] };
        proof.jobs.push(e.jobId);
        proof.paid += e.toWorker;
        out.set(e.transaction, proof);
    }
    return [...out.values()];
}

export class Reader {
    constructor(config, progress) {
        this.config = config;
        this.progress = progress;
        this.forget();
    }

    /** Everything of another history of the chain goes. */
    forget() {
        this.events = [];
        this.next = this.config.block;
        this.anchor = null;
        this.range = RANGE;
        this.entries = new Map();
        this.receipts = new Map();
        this.keys = new Map();
        this.constants = null;
    }

    async logs(from, to) {
        const { market, emission, models, registry, token, datasets, training } = this.config;
        const range = { fromBlock: quantity(from), toBlock: quantity(to) };
        const filters = [
            { address: [market, emission, models, registry, datasets, training].filter(Boolean), ...range, topics: [] },
            { address: [token], ...range, topics: [TRANSFER, ZERO_WORD] },
            { address: [token], ...range, topics: [TRANSFER, null, ZERO_WORD] },
        ];
        const answers = await ask(filters.map((f) => ({ method: "eth_getLogs", params: [f] })));
        for (const a of answers) if (a instanceof Refused) throw a;
        return answers.flat();
    }

    /** Reads the events that are new. */
    async follow(latest) {
        if (this.anchor) {
            const same = this.anchor.number <= latest.number ? await block(this.anchor.number) : null;
            if (same?.hash !== this.anchor.hash) this.forget();
        }
        const from = Math.max(this.config.block, this.next - UNSETTLED);
        const kept = this.events.filter((e) => e.block < from);
        const settled = latest.number - UNSETTLED;
        this.next = from;
        while (this.next <= latest.number) {
            const to = Math.min(latest.number, this.next + this.range - 1);
            let logs;
            try {
                logs = await this.logs(this.next, to);
            } catch (e) {
                // Nodes limit the blocks or the events of an answer, each in its own words.
                if (!(e instanceof Refused) || this.range === 1) throw e;
                this.range = Math.max(1, Math.floor(this.range / 4));
                continue;
            }
            for (const log of logs) {
                const place = { block: Number(log.blockNumber), index: Number(log.logIndex), transaction: String(log.transactionHash) };
                try {
                    const event = log.removed ? null : decodeLog(log);
                    if (!event) continue;
                    if (event.name === "Posted") {
                        event.inputValues = event.input.length / 8;
                        if (event.input.length > KEPT_INPUT) delete event.input;
                    }
                    // Nothing of a dataset's schema is shown but what the registry derives from it.
                    delete event.schema;
                    kept.push({ ...event, ...place });
                } catch {
                    kept.push({ name: "unreadable", ...place });
                }
            }
            this.next = to + 1;
            this.range = Math.min(MOST_RANGE, this.range * 2);
            if (this.next <= latest.number) this.progress(this.next - this.config.block, latest.number - this.config.block);
        }
        kept.sort((a, b) => a.block - b.block || a.index - b.index);
        this.events = kept;
        if (settled >= 0) this.anchor = await block(settled);
    }

    /** Verifiers in the order of their addition, with whether they may still release rewards and why not. */
    async verifiers() {
        const { registry } = this.config;
        const ids = this.events.filter((e) => e.name === "Added").map((e) => e.verifierId);
        const fresh = ids.filter((id) => !this.entries.has(id));
        const entries = await calls(fresh.map((id) => [registry, "entry(bytes32)", id]));
        fresh.forEach((id, i) => entries[i] && this.entries.set(id, named(ENTRY, entries[i])));
        const active = await calls(ids.map((id) => [registry, "isActive(bytes32)", id]));
        return ids.map((id, i) => {
            const entry = this.entries.get(id) ?? null;
            const ended = this.events.find((e) =>
                (e.name === "Tombstoned" && e.verifierId === id) ||
                (e.name === "Stopped" && e.verifier === entry?.verifier && e.srsHash === entry?.srsHash));
            return { id, entry, active: active[i], ended: ended?.name ?? null };
        });
    }

    /** The words of a verifier's key, which the chain keeps as code; null if they cannot be had. Asked for once. */
    async key(entry) {
        const { verifier, settlementId } = entry;
        const place = `${verifier} ${settlementId}`;
        if (!this.keys.has(place)) {
            const [at] = await calls([[verifier, "keyOf(bytes32)", settlementId]]);
            const [code] = at === null ? [null] : await ask([{ method: "eth_getCode", params: [at, "latest"] }]);
            const words = code === null || code instanceof Refused ? null : wordsOf(code);
            if (!words) return null;
            this.keys.set(place, words);
        }
        return this.keys.get(place);
    }

    /** What somebody sent to the chain: receiver and calldata. Throws `Refused` if the node does not have it. */
    async sent(transaction) {
        const found = await one("eth_getTransactionByHash", transaction);
        if (typeof found?.input !== "string") throw new Refused("the node does not have the transaction any more");
        return { to: String(found.to ?? "").toLowerCase(), input: found.input };
    }

    /** The forms of the keys of these verifiers. */
    async shapes(verifierIds) {
        const out = new Map();
        for (const id of verifierIds) {
            const entry = this.entries.get(id);
            const words = entry ? await this.key(entry) : null;
            out.set(id, words && shapeOf(words));
        }
        return out;
    }

    /** The state of these jobs, with the price of the moment of open ones. */
    async jobs(ids) {
        const { market } = this.config;
        const jobs = await calls(ids.map((id) => [market, "job(uint256)", id]));
        const out = new Map(ids.map((id, i) => [id, named(JOB, jobs[i])]));
        const open = ids.filter((id) => out.get(id)?.status === 1n);
        const prices = await calls(open.map((id) => [market, "currentPrice(uint256)", id]));
        open.forEach((id, i) => (out.get(id).now = prices[i]));
        return out;
    }

    /** Receipts of these transactions. Those of settled blocks are asked for once. */
    async gas(transactions, latest) {
        const fresh = transactions.filter((t) => !this.receipts.has(t));
        const answers = await ask(fresh.map((t) => ({ method: "eth_getTransactionReceipt", params: [t] })));
        const out = new Map(transactions.map((t) => [t, this.receipts.get(t) ?? null]));
        fresh.forEach((t, i) => {
            const receipt = answers[i];
            if (!/^0x[0-9a-fA-F]{1,16}$/.test(receipt?.gasUsed)) return;
            out.set(t, BigInt(receipt.gasUsed));
            if (Number(receipt.blockNumber) <= latest.number - UNSETTLED) this.receipts.set(t, BigInt(receipt.gasUsed));
        });
        return out;
    }

    /** All that the page shows. `view` says which parts of long lists. */
    async read(view) {
        const { config } = this;
        const chainId = Number(await one("eth_chainId"));
        if (chainId !== config.chain_id) {
            throw new Refused(`the node is on chain ${chainId}, the deployment on chain ${config.chain_id}`);
        }
        const latest = await block();
        if (!latest) throw new Refused("the node has no blocks");
        await this.follow(latest);

        if (!this.constants) {
            const [symbol, decimals, cap] = await calls([
                [config.token, "symbol()"],
                [config.token, "decimals()"],
                [config.token, "cap()"],
            ]);
            this.constants = { symbol: symbol ?? "tokens", decimals: decimals ?? 18n, cap };
        }
        const [supply, jobCount, unburned, epoch] = await calls([
            [config.token, "totalSupply()"],
            [config.market, "jobs()"],
            [config.market, "unburned()"],
            [config.emission, "currentEpoch()"],
        ]);
        const missing = [["token", supply], ["market", jobCount], ["emission", epoch]].filter(([, v]) => v === null);
        if (missing.length) {
            const where = missing.map(([name]) => `${name} (${config[name]})`).join(", ");
            throw new Refused(`these contracts do not answer as the deployment's should: ${where}; is the file of this chain?`);
        }

        const verifiers = await this.verifiers();
        const contracts = [...new Set(verifiers.map((v) => v.entry?.verifier).filter(Boolean))];
        if (!contracts.includes(config.verifier)) contracts.push(config.verifier);
        const accepts = await calls(contracts.map((c) => [c, "acceptsDevelopmentSrs()"]));

        const shownJobs = page({ length: Number(jobCount), slice: ids }, view.jobs);
        const wanted = new Set(shownJobs.items);
        if (view.job !== null) wanted.add(view.job);
        const jobs = await this.jobs([...wanted]);

        const asked = [...jobs.values()].filter(Boolean).map((j) => j.verifierId);
        const shapes = await this.shapes([...new Set(asked)]);
        const training = await readTraining(this, view);

        const shownProofs = page(proofs(this.events), view.proofs);
        const gas = await this.gas(shownProofs.items.map((p) => p.transaction), latest);

        const epochs = epochsOf(this.events);
        const recent = [...epochs.keys()].slice(-EPOCHS);
        const stats = await calls(recent.map((e) => [config.emission, "stats(uint256)", e]));
        recent.forEach((e, i) => (epochs.get(e).stats = named(STATS, stats[i])));
        const [budget, publicBudget] = await calls([
            [config.emission, "budget(uint256)", epoch],
            [config.emission, "publicBudget(uint256)", epoch],
        ]);

        const now = Math.max(latest.time, Math.floor(Date.now() / 1000));
        return {
            latest, now, events: this.events,
            verifiers, development: contracts.map((address, i) => ({ address, accepts: accepts[i] })),
            jobCount, shownJobs, jobs, shapes, shownProofs, gas, training,
            epochs: new Map(recent.map((e) => [e, epochs.get(e)])), epoch, budget, publicBudget,
            token: { ...this.constants, supply, unburned: unburned === null ? null : unburned + training.unburned },
        };
    }
}

/** Epochs that are shown. */
export const EPOCHS = 24;

/** Sums of each epoch from events, in rising order: fees and work of each worker, rewards, grants. */
export function epochsOf(events) {
    const out = new Map();
    const at = (epoch) => {
        if (!out.has(epoch)) out.set(epoch, { fees: 0n, units: 0n, rewarded: 0n, released: 0n, workers: new Map() });
        return out.get(epoch);
    };
    const worker = (e) => {
        const { workers } = at(e.epoch);
        if (!workers.has(e.worker)) workers.set(e.worker, { fees: 0n, units: 0n, rewarded: 0n });
        return workers.get(e.worker);
    };
    for (const e of events) {
        if (e.name === "Recorded") {
            for (const part of [at(e.epoch), worker(e)]) {
                part.fees += e.fee;
                part.units += e.units;
            }
        } else if (e.name === "Rewarded") {
            for (const part of [at(e.epoch), worker(e)]) part.rewarded += e.amount;
        } else if (e.name === "Released") {
            at(e.epoch).released += e.amount;
        }
    }
    return new Map([...out].sort(([a], [b]) => (a < b ? -1 : 1)));
}
