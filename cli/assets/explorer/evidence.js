// What a market was shown, taken from calldata and handed to the page that checks it (cli/web/src/handed.js reads it). Nothing is judged here.

import { decodeSent, hexOf } from "./abi.js";
import { calls } from "./node.js";
import { roundsOf } from "./training.js";

/** Where the other page looks: the same tab's storage of this origin. */
const PLACE = "assay.handed";
const PAGE = "verify.html#handed";

/** Why there is nothing to hand over. */
export class Missing extends Error {}

/** The arguments of a call to a market, out of the transaction that an event came from. */
async function sentTo(reader, market, transaction, signature) {
    const { to, input } = await reader.sent(transaction);
    if (to !== market.toLowerCase()) {
        throw new Missing(`transaction ${transaction} was sent to another contract, which called the market: the proof is not in its calldata as such`);
    }
    let found;
    try {
        found = decodeSent(signature, input);
    } catch {
        found = null;
    }
    if (!found) throw new Missing(`the calldata of transaction ${transaction} is not what the market takes`);
    return found;
}

/** The key of a verifier: its words, and the id that the registry has. */
async function keyOf(reader, verifierId) {
    const entry = reader.entries.get(verifierId);
    if (!entry) throw new Missing("the registry's entry of the verifier was not read");
    const words = await reader.key(entry);
    if (!words) throw new Missing("the verifier contract does not give its key");
    return { settlementId: entry.settlementId, key: hexOf(words) };
}

async function ofJob(reader, n) {
    const { market, chain_id: chainId } = reader.config;
    const paid = reader.events.find((e) => e.name === "Fulfilled" && e.jobId === n);
    const posted = reader.events.find((e) => e.name === "Posted" && e.jobId === n);
    if (!paid || !posted) throw new Missing(`job ${n} was not paid yet, or its events are not read`);
    const sent = await sentTo(reader, market, paid.transaction, "fulfil(uint256[],bytes32[],address,bytes,bytes)");
    if (!sent.jobIds.includes(n)) throw new Missing(`transaction ${paid.transaction} paid other jobs`);
    return {
        kind: "job", chainId, market, transaction: paid.transaction, job: String(n), jobs: sent.jobIds.map(String), payout: sent.payout,
        publicValues: hexOf(sent.publicValues), proof: hexOf(sent.proof), ...await keyOf(reader, posted.verifierId),
    };
}

async function ofRound(reader, task, taskId, number, kind) {
    const { training: market, datasets, chain_id: chainId } = reader.config;
    const round = roundsOf(reader.events, taskId).find((r) => r.number === number);
    const paid = kind === "training" ? round?.trained : round?.evaluated;
    if (!paid || !task) throw new Missing(`round ${number} of task ${taskId} has no such proof, or its events are not read`);
    const common = {
        kind, chainId, market, transaction: paid.transaction, task: String(taskId), round: String(number), heads: String(round.heads),
        payout: round.payout, head: round.head, trained: round.trained.stack,
    };
    if (kind === "training") {
        if (!round.seeded) throw new Missing("the round's seed was not read");
        const [dataset] = await calls([[datasets, "get(bytes32)", round.datasetId]]);
        if (!dataset) throw new Missing("the registry of datasets does not answer");
        const sent = await sentTo(reader, market, paid.transaction, "submitTrain(uint256,bytes32,bytes,bytes,string)");
        if (sent.taskId !== taskId) throw new Missing(`transaction ${paid.transaction} is about another task`);
        // The registry's answer: owner, royalty, since, retired, recipient, examples, values, stack, licence.
        const [examples, stack] = [dataset[5], dataset[7]];
        return {
            ...common, trained: sent.trained, dataset: stack, seed: round.seeded.seed, examples: String(examples), losses: hexOf(sent.losses),
            proof: hexOf(sent.proof), ...await keyOf(reader, task.trainId),
        };
    }
    if (!round.revealed) throw new Missing("the round's shard was not read");
    const sent = await sentTo(reader, market, paid.transaction, "settleEval(uint256,uint64,uint64,bytes)");
    if (sent.taskId !== taskId) throw new Missing(`transaction ${paid.transaction} is about another task`);
    return {
        ...common, shard: round.revealed.stack, before: String(sent.before), later: String(sent.later), proof: hexOf(sent.proof),
        ...await keyOf(reader, task.evaluateId),
    };
}

/**
 * What a button names: "job 12", "training 3 1", "evaluation 3 1". `snapshot` has the state of the shown task.
 * Throws `Missing`, or what the node said.
 */
export async function evidenceOf(reader, snapshot, what) {
    const [kind, first, second] = what.split(" ");
    if (kind === "job") return ofJob(reader, BigInt(first));
    const taskId = BigInt(first);
    return ofRound(reader, snapshot.training.tasks?.state.get(taskId), taskId, BigInt(second), kind);
}

/** Goes to the page that checks it, in this tab. */
export function hand(evidence) {
    sessionStorage.setItem(PLACE, JSON.stringify({ format: "assay.handed.v1", ...evidence }));
    location.assign(PAGE);
}
