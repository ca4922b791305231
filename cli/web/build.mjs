// Bundles the page into one file, and the module behind it into another; see ./build.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import esbuild from "esbuild";

const [folder] = process.argv.slice(2);
const source = (name) => readFileSync(new URL(`src/${name}`, import.meta.url), "utf8");

/** The contract's creation code is all that is taken of its artefact. */
const artefact = {
    name: "artefact",
    setup(build) {
        build.onLoad({ filter: /AssayVerifier\.json$/ }, ({ path }) => {
            const { bytecode } = JSON.parse(readFileSync(path, "utf8"));
            return { contents: JSON.stringify({ bytecode }), loader: "json" };
        });
    },
};

/** Packages of which something is in a bundle. */
const packages = new Set();

async function bundle(entry) {
    const done = await esbuild.build({
        entryPoints: [new URL(`src/${entry}`, import.meta.url).pathname],
        bundle: true,
        format: "esm",
        platform: "browser",
        target: "es2022",
        minify: true,
        charset: "ascii",
        legalComments: "inline",
        plugins: [artefact],
        metafile: true,
        write: false,
    });
    for (const input of Object.keys(done.metafile.inputs)) {
        const name = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
        if (name) packages.add(name);
    }
    return done.outputFiles[0].text.trim();
}

const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

// The end of a script inside of a string would end the element.
const script = (await bundle("page.js")).replaceAll("</script", "<\\/script");
const style = source("page.css");
// This script, this style, and nothing else: no request can leave the page.
const policy = `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; base-uri 'none'; form-action 'none'`;
const page = source("page.html")
    .replace("@POLICY@", () => policy)
    .replace("@STYLE@", () => style)
    .replace("@SCRIPT@", () => script);

/** The packages with versions and licences, which those who get the page must be told. */
function notice() {
    const lines = [...packages].sort().map((name) => {
        const { version, license } = JSON.parse(source(`../node_modules/${name}/package.json`));
        return `${name} ${version}, ${license}`;
    });
    return [
        "verify.html and assay-verify.js are built by cli/web/build from the sources in cli/web/src, which are Assay's, and from",
        "these packages, unchanged. Their sources are in the npm registry under these names and versions; MPL-2.0 is at",
        "https://mozilla.org/MPL/2.0/.",
        "",
        ...lines,
        "",
    ].join("\n");
}

mkdirSync(folder, { recursive: true });
writeFileSync(`${folder}/verify.html`, page);
writeFileSync(`${folder}/assay-verify.js`, `${await bundle("verify.js")}\n`);
writeFileSync(`${folder}/NOTICE`, notice());
