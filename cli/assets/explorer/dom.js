// Elements and their renewal. Text from the chain only ever becomes text nodes and the values of plain attributes.

const SVG = "http://www.w3.org/2000/svg";

function build(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes ?? {})) {
        if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat(9)) {
        if (child !== null && child !== undefined && child !== false) {
            element.append(child instanceof Node ? child : plain(String(child)));
        }
    }
    return element;
}

export const h = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
export const s = (tag, attributes, ...children) => build(document.createElementNS(SVG, tag), attributes, children);

/** Control characters and those that reorder or hide what stands around them are replaced. */
export const plain = (text) =>
    text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, "\ufffd");

/** Text of a stranger, at most so long. */
export function clip(text, length = 160) {
    const characters = Array.from(plain(text));
    return characters.length > length ? characters.slice(0, length).join("") + "…" : characters.join("");
}

const keyOf = (node) => (node.nodeType === 1 ? node.getAttribute("data-key") : null);
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

/** Makes `old` look like `fresh` and touches only what differs: focus, selection and scrolling stay. */
function renew(old, fresh) {
    if (old.nodeType !== 1) {
        if (old.data !== fresh.data) old.data = fresh.data;
        return;
    }
    for (const { name } of [...old.attributes]) {
        // What a reader opened stays open.
        if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    renewChildren(old, [...fresh.childNodes]);
}

function renewChildren(parent, fresh) {
    let at = parent.firstChild;
    for (const node of fresh) {
        const key = keyOf(node);
        let match = at;
        // A row that others came before moves on with all that it holds.
        while (match && key !== null && !alike(match, node)) match = match.nextSibling;
        if (match && alike(match, node)) {
            if (match !== at) parent.insertBefore(match, at);
            renew(match, node);
            at = match.nextSibling;
        } else {
            parent.insertBefore(node, at);
        }
    }
    while (at) {
        const next = at.nextSibling;
        at.remove();
        at = next;
    }
}

/** Shows these children in an element. */
export const show = (element, ...children) => renewChildren(element, [...h("div", null, children).childNodes]);

/** Hexadecimal, shortened, whole on demand. */
export const hex = (text, short) => h("abbr", { class: "hex", title: text }, short);

/**
 * A table that becomes a list of cards on narrow screens; the roles keep it a table for those who do not see it.
 * Columns are labels, with a "#" in front for numbers. Rows are [key, cells].
 */
export function table(caption, columns, rows) {
    const numeric = columns.map((c) => (c.startsWith("#") ? "number" : null));
    const labels = columns.map((c) => c.replace(/^#/, ""));
    const head = labels.map((label, i) => h("th", { role: "columnheader", scope: "col", class: numeric[i] }, label));
    const row = ([key, cells]) =>
        h("tr", { role: "row", "data-key": key }, cells.map((cell, i) =>
            i === 0
                ? h("th", { role: "rowheader", scope: "row", class: numeric[i], "data-label": labels[i] }, h("span", null, cell))
                : h("td", { role: "cell", class: numeric[i], "data-label": labels[i] }, h("span", null, cell))));
    return h("table", { role: "table" },
        h("caption", null, caption),
        h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head)),
        h("tbody", { role: "rowgroup" }, rows.map(row)));
}

/** Names and what they stand for. */
export const facts = (pairs, name = "facts") =>
    h("dl", { class: name }, pairs.filter(Boolean).map(([term, ...what]) =>
        h("div", { "data-key": term }, h("dt", null, term), h("dd", null, what))));
