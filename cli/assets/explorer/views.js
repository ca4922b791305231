// What the deployment is, its models and its token, as elements.

import { clip, facts, h, table } from "./dom.js";
import { basisPoints, count } from "./numbers.js";
import { ZERO_ADDRESS, account, amount, empty, id, link, moment, note, state, symbol } from "./parts.js";

/** Offers of a model that are listed. */
const OFFERS = 10;

export function summary(snapshot) {
    const { events, jobCount, token, training } = snapshot;
    const sum = (name, field) => events.reduce((n, e) => (e.name === name ? n + e[field] : n), 0n);
    const settled = events.filter((e) => e.name === "Fulfilled").length;
    return facts([
        ["Jobs posted", count(jobCount)],
        ["Jobs proven and paid", count(settled)],
        training.tasks && ["Rounds of training paid", count(events.filter((e) => e.name === "Trained").length)],
        [`Paid for jobs, ${symbol(snapshot)}`, amount(snapshot, sum("Fulfilled", "price"))],
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
    // The first two words of what a sponsor asks for are verifiers.
    const ofTasks = new Set(events.filter((e) => e.name === "Opened").flatMap((e) => e.spec.slice(0, 2)));
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
                : empty(its.some((v) => ofTasks.has(v.id)) ? "Tasks of training use it. No job can ask for it, as nobody offers it."
                    : "Nobody offers this model yet, so no job can ask for it."),
            shown.length < made.length &&
                h("button", { type: "button", "data-go": `offers ${model}` }, `Show all ${count(made.length)} offers`));
    });
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
