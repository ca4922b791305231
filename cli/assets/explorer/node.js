// Questions to the node, through the server of this page.

import { decodeResult, encodeCall } from "./abi.js";

/** There was no answer from the node (or from the server of this page). */
export class Unreachable extends Error {}
/** The node answered, with an error. */
export class Refused extends Error {}

const NO_ANSWER = -32098;
/** Questions in one request. */
const BATCH = 64;

async function post(questions) {
    let response;
    try {
        response = await fetch("rpc", {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify(questions.map((q, id) => ({ jsonrpc: "2.0", id, ...q }))),
            signal: AbortSignal.timeout(60_000),
        });
    } catch (e) {
        throw new Unreachable(`the server of this page does not answer; is \`assay explorer\` still running? (${e.message})`);
    }
    if (!response.ok) throw new Unreachable(`the server of this page answers: ${await response.text()}`);
    return response.json();
}

/** Answers in the order of the questions: values, or `Refused`. */
export async function ask(questions) {
    const out = [];
    for (let i = 0; i < questions.length; i += BATCH) {
        for (const { error, result } of await post(questions.slice(i, i + BATCH))) {
            if (error?.code === NO_ANSWER) throw new Unreachable(error.message);
            out.push(error ? new Refused(error.message) : result);
        }
    }
    return out;
}

export async function one(method, ...params) {
    const [answer] = await ask([{ method, params }]);
    if (answer instanceof Refused) throw answer;
    return answer;
}

/** Calls `[address, signature, ...arguments]`; null for each that reverts or answers what it should not. */
export async function calls(wanted) {
    const answers = await ask(wanted.map(([to, signature, ...parameters]) => ({
        method: "eth_call",
        params: [{ to, data: encodeCall(signature, ...parameters) }, "latest"],
    })));
    return answers.map((answer, i) => {
        try {
            return answer instanceof Refused ? null : decodeResult(wanted[i][1], answer);
        } catch {
            return null;
        }
    });
}
