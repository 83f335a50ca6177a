/**
 * `npm run setup`: installs the programs that tests start, with apt or brew; `npm run setup -- --bench` also those of the benchmarks
 * (nginx, which on some systems starts serving at once, so nobody gets it unasked). As root it just does it; otherwise it shows the
 * commands with sudo and asks; without a terminal it only prints them and fails.
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline/promises";
import { requireNode } from "./node-version.js";
import { missingPrograms, packageManager } from "./programs.js";

const HELP = `Usage: npm run setup -- [options]

Installs the programs that tests start (nats-server, MariaDB, Redis and others that are missing), with apt or brew. As root it does so at
once; otherwise it shows the commands and asks.

Options:
  --bench     also the programs of the benchmarks
  -h, --help  print this
`;

requireNode("npm run setup");
const stranger = process.argv.slice(2).find((word) => !["--bench", "--help", "-h"].includes(word));
if (stranger !== undefined) {
  say(`there is no option '${stranger}'; see --help`);
  process.exitCode = 2;
} else if (process.argv.includes("--help") || process.argv.includes("-h")) {
  process.stdout.write(HELP);
} else {
  process.exitCode = await setUp();
}

/** @returns {Promise<number>} the exit code */
async function setUp() {
  const wanted = process.argv.includes("--bench")
    ? [...missingPrograms("optional"), ...missingPrograms("bench")]
    : missingPrograms("optional");
  const needed = missingPrograms("tests");
  if (needed.length + wanted.length === 0) {
    say("everything is installed");
    return 0;
  }
  for (const program of [...needed, ...wanted]) say(`missing: ${program.name} (${program.purpose})`);
  const manager = packageManager();
  if (manager === undefined) {
    say("this system has neither apt nor brew: install these programs by its own means");
    return 1;
  }
  // One command for what is needed, then one for each of the rest: an old distribution that lacks one of those must not stop the others.
  const commands = [needed, ...wanted.map((program) => [program])]
    .filter((programs) => programs.length > 0)
    .map((programs) => installCommand(manager, [...new Set(programs.map((program) => program[manager]))]));
  if (manager === "apt") commands.unshift(["apt-get", "update", "-q"]);
  const isRoot = process.getuid?.() === 0;
  if (manager === "apt" && !isRoot) for (const command of commands) command.unshift("sudo");
  for (const command of commands) say(`$ ${command.join(" ")}`);
  if (!isRoot && !(await agreed())) return 1;
  for (const command of commands) runCommand(command);
  for (const program of missingPrograms("optional")) say(`not installed, and not necessary: ${program.name}`);
  const stillMissing = missingPrograms("tests");
  for (const program of stillMissing) say(`still missing: ${program.name}`);
  return stillMissing.length === 0 ? 0 : 1;
}

/**
 * @param {"apt" | "brew"} manager
 * @param {string[]} packages
 */
function installCommand(manager, packages) {
  return manager === "brew" ? ["brew", "install", ...packages] : ["apt-get", "install", "-q", "-y", "--no-install-recommends", ...packages];
}

/** A failure is said here; what counts in the end is whether the programs are there. @param {string[]} command */
function runCommand(command) {
  const [program = "", ...rest] = command;
  const run = spawnSync(program, rest, { stdio: "inherit", env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
  if (run.status !== 0) say(`'${command.join(" ")}' failed${run.error === undefined ? "" : `: ${run.error.message}`}`);
}

async function agreed() {
  if (!process.stdin.isTTY) {
    say("run these commands, or run this as root");
    return false;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question("Run them? [y/N] ");
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

/** @param {string} sentence */
function say(sentence) {
  process.stderr.write(`setup: ${sentence}\n`);
}
