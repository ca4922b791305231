// Datasets that training can be paid for, as elements.

import { facts, h, table } from "./dom.js";
import { basisPoints, count, shortHex, time } from "./numbers.js";
import { ZERO_ADDRESS, account, detail, empty, id, link, moment, note, pager, state, where, whole } from "./parts.js";
import { usesOf } from "./training.js";

/** Uses of a dataset that are listed, the newest. */
const USES = 50;

const stateOf = (dataset, now) => {
    if (!dataset) return state("bad", "unreadable");
    return dataset.retired === 0n ? state("good", "active") : state("bad", ["retired ", moment(dataset.retired, now)]);
};

const none = () => empty("This deployment has no registry of datasets: no contract answers as one at the address that its file names.");

export function datasets(snapshot) {
    const { training, events, now } = snapshot;
    const of = training.datasets;
    if (!of) return [none()];
    if (!of.total) return [empty("No dataset has been registered yet. Anybody can register one: assay dataset register.")];
    const uses = usesOf(events);
    return [
        table("Datasets, the newest first", ["Dataset", "State", "Stack", "#Rows", "#Values", "#Royalty", "Owner", "#Rounds", "#Proven"],
            of.shown.items.map((e) => {
                const dataset = of.state.get(e.datasetId);
                const used = uses.get(e.datasetId);
                return [e.datasetId, [
                    h("a", { href: `#dataset-${e.datasetId}` }, id(e.datasetId)),
                    stateOf(dataset, now),
                    id(e.stackId),
                    dataset ? count(dataset.examples) : "unknown",
                    dataset ? count(dataset.values) : "unknown",
                    dataset ? basisPoints(dataset.royaltyBps) : "unknown",
                    account(e.owner),
                    count(used?.rounds.length ?? 0),
                    count(used?.proven ?? 0),
                ]];
            })),
        pager("datasets", of.shown, of.total),
    ];
}

export function datasetDetail(snapshot, wanted) {
    if (wanted === null) return [];
    const { training, events, now } = snapshot;
    const of = training.datasets;
    const title = `Dataset ${shortHex(wanted)}`;
    if (!of) return detail("#datasets", title, none());
    const registered = events.find((e) => e.name === "Registered" && e.datasetId === wanted);
    if (!registered) {
        return detail("#datasets", title, empty("There is no dataset ", whole(wanted), ` here. Registered so far: ${count(of.total)}.`));
    }
    if (!of.state.has(wanted)) return detail("#datasets", title, empty("Not read yet."));
    const { stackId, owner, uri } = registered;
    const dataset = of.state.get(wanted);
    if (!dataset) return detail("#datasets", title, empty("What the registry answers about it is no dataset."));
    const [licenceHash, royaltyBps, recipient] = registered.terms;
    const retired = events.find((e) => e.name === "Retired" && e.datasetId === wanted);
    const used = usesOf(events).get(wanted) ?? { rounds: [], proven: 0 };
    const listed = used.rounds.slice(-USES).reverse();
    return detail("#datasets", [title, " ", stateOf(dataset, now)],
        facts([
            ["Dataset", whole(wanted)],
            ["Stack", whole(stackId), note("The commitment to its rows. Proofs of training show this id as dataset; whoever has the stack's file compares it.")],
            ["Rows", count(dataset.examples), `, ${count(dataset.values)} values`],
            ["Licence hash", whole(licenceHash), note("Keccak of the licence's text. Whether the owner may license the data is not shown.")],
            ["Royalty", basisPoints(royaltyBps), recipient === ZERO_ADDRESS ? null : [" of what training on it is paid, to ", whole(recipient)]],
            ["Owner", whole(owner)],
            ["About", uri ? link(uri) : "nothing said"],
            ["Registered", time(dataset.since), "; ", where(registered)],
            dataset.retired !== 0n && ["Retired", time(dataset.retired), "; it takes no new lease", retired ? ["; ", where(retired)] : null],
            ["Uses", `leased for rounds of training: ${count(used.rounds.length)}; proofs of training on it: ${count(used.proven)}`],
        ]),
        listed.length > 0 && h("p", null, "Rounds: ", listed.map(({ taskId, round }, i) =>
            [i ? ", " : "", h("a", { href: `#task-${taskId}-round-${round}` }, `task ${count(taskId)} round ${count(round)}`)])),
        used.rounds.length > USES && note(`and ${count(used.rounds.length - USES)} before`));
}
