/**
 * `npm run check`: format and lint, types, dead code, import directions, generated documents. Every part runs, so that one call
 * shows everything there is to mend; the last line names the parts that failed.
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { requireNode } from "./node-version.js";

/** @type {readonly { name: string; script: string; argv: string[] }[]} */
const PARTS = [
  { name: "format and lint", script: "node_modules/@biomejs/biome/bin/biome", argv: ["check", "--error-on-warnings"] },
  { name: "types", script: "node_modules/typescript/bin/tsc", argv: ["-p", "."] },
  { name: "types of the page", script: "node_modules/typescript/bin/tsc", argv: ["-p", "src/page"] },
  { name: "types of the page's tests", script: "node_modules/typescript/bin/tsc", argv: ["-p", "test/browser"] },
  { name: "dead code", script: "node_modules/knip/bin/knip.js", argv: ["--no-progress"] },
  { name: "import directions", script: "scripts/import-directions.ts", argv: [] },
  { name: "generated documents", script: "scripts/generate-docs.ts", argv: ["--check"] },
  { name: "statecharts", script: "scripts/generate-statecharts.ts", argv: ["--check"] },
];

requireNode("npm run check");
const root = fileURLToPath(new URL("..", import.meta.url));
/** @type {string[]} */
const failed = [];
for (const part of PARTS) {
  process.stdout.write(`check: ${part.name}\n`);
  const child = spawnSync(process.execPath, [part.script, ...part.argv], { cwd: root, stdio: "inherit" });
  if (child.status !== 0) failed.push(part.name);
}
if (failed.length === 0) process.stdout.write("check: everything is in order\n");
else process.stderr.write(`check: failed: ${failed.join(", ")}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
