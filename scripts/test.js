/**
 * `npm test`: all tests. Programs that are missing are installed first where nobody has to be asked (root on Debian or Ubuntu: a
 * container, CI); elsewhere they are listed and the run fails. What follows `--` goes to vitest.
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { requireNode } from "./node-version.js";
import { missingPrograms, packageManager } from "./programs.js";

requireNode("npm test");
process.exitCode = ensurePrograms() ? run("../node_modules/vitest/vitest.mjs", "run", ...process.argv.slice(2)) : 1;

/** @returns {boolean} whether every required program is there */
function ensurePrograms() {
  const missing = required();
  if (missing.length === 0) return true;
  const names = missing.map((program) => program.name).join(", ");
  if (process.getuid?.() === 0 && packageManager() === "apt") {
    say(`${names}: not installed. This is root on Debian or Ubuntu, so 'npm run setup' is run now.`);
    run("setup.js");
    return required().length === 0;
  }
  for (const program of missing) say(`missing: ${program.name} (${program.purpose})`);
  say("'npm run setup' installs what is missing.");
  return false;
}

function required() {
  return missingPrograms("tests");
}

/**
 * @param {string} script relative to this file
 * @param {string[]} argv
 * @returns {number} the exit code
 */
function run(script, ...argv) {
  const child = spawnSync(process.execPath, [fileURLToPath(new URL(script, import.meta.url)), ...argv], { stdio: "inherit" });
  return child.status ?? 1;
}

/** @param {string} sentence */
function say(sentence) {
  process.stderr.write(`test: ${sentence}\n`);
}
