// Long lists a page at a time, and values by name.

/** How many items a table shows at once. */
export const PAGE = 20;

/** A slice of a list, the newest first. */
export function page(items, index) {
    const pages = Math.max(1, Math.ceil(items.length / PAGE));
    const at = Math.min(Math.max(index, 0), pages - 1);
    const end = items.length - at * PAGE;
    return { at, pages, items: items.slice(Math.max(0, end - PAGE), end).reverse() };
}

/** Ids from a place on: jobs and tasks count from 1. */
export const ids = (from, to) => Array.from({ length: Math.max(0, to - from) }, (_, i) => BigInt(from + i + 1));

/** An object of values in the order of their names; what is nothing stays so. */
export const named = (names, values) => values && Object.fromEntries(names.map((n, i) => [n, values[i]]));
