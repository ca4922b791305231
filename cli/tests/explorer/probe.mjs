// Drives a browser for the tests: a JSON object a line in, one a line out. The browser's path is the argument.

import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const browser = await chromium.launch({
    timeout: 180_000,
    executablePath: process.argv[2],
    args: [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync",
    ],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, serviceWorkers: "block" });
const page = await context.newPage();
page.setDefaultTimeout(180_000);

/** What must not happen, and where requests went. */
const problems = [];
const hosts = new Set();
page.on("console", (m) => ["error", "warning"].includes(m.type()) && problems.push(`${m.type()}: ${m.text()}`));
page.on("pageerror", (e) => problems.push(`exception: ${e.stack}`));
page.on("dialog", (d) => (problems.push(`dialog: ${d.message()}`), d.dismiss()));
page.on("request", (r) => hosts.add(new URL(r.url()).host));
context.on("page", (p) => problems.push(`another page: ${p.url()}`));

const operations = {
    goto: ({ url }) => page.goto(url).then(() => null),
    /** Waits until an element holds a text. */
    wait: ({ selector, text }) => page.locator(selector).filter({ hasText: text }).first().waitFor().then(() => null),
    /** Waits until the page was read again this often. */
    refreshed: async ({ times }) => {
        const was = await page.evaluate(() => Number(document.documentElement.dataset.refreshes ?? 0));
        await page.waitForFunction((n) => Number(document.documentElement.dataset.refreshes ?? 0) >= n, was + times);
        return null;
    },
    text: ({ selector }) => page.locator(selector).allInnerTexts(),
    attribute: ({ selector, name }) => page.locator(selector).evaluateAll((all, n) => all.map((e) => e.getAttribute(n)), name),
    click: ({ selector }) => page.locator(selector).first().click().then(() => null),
    fill: ({ selector, text }) => page.locator(selector).fill(text).then(() => null),
    /** Gives a file input files, as a person who picks them. */
    files: ({ selector, paths }) => page.locator(selector).setInputFiles(paths).then(() => null),
    /** Drops files on the page; their bytes travel in hexadecimal. */
    drop: async ({ files }) => {
        const transfer = await page.evaluateHandle((all) => {
            const out = new DataTransfer();
            for (const { name, hex } of all) {
                out.items.add(new File([Uint8Array.from(hex.match(/../g) ?? [], (d) => Number.parseInt(d, 16))], name));
            }
            return out;
        }, files);
        await page.dispatchEvent("body", "drop", { dataTransfer: transfer });
        return null;
    },
    press: ({ key }) => page.keyboard.press(key).then(() => null),
    evaluate: ({ script }) => page.evaluate(script),
    resize: ({ width, height }) => page.setViewportSize({ width, height }).then(() => null),
    scheme: ({ scheme }) => page.emulateMedia({ colorScheme: scheme }).then(() => null),
    shot: ({ path, whole }) => page.screenshot({ path, fullPage: whole }).then(() => null),
    seen: () => {
        const out = { problems: [...problems], hosts: [...hosts] };
        problems.length = 0;
        hosts.clear();
        return out;
    },
};

for await (const line of createInterface({ input: process.stdin })) {
    const step = JSON.parse(line);
    let answer;
    try {
        answer = { value: await operations[step.op](step) };
    } catch (e) {
        answer = { error: String(e.message ?? e) };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
}
await browser.close();
