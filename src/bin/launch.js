/**
 * Starts a TypeScript entry point. A Node that is too old hands over to the one that npm has installed with this package, and says in
 * one line what to do where there is none. Plain JavaScript without newer syntax, so that an old Node can read it far enough for that.
 */
import { spawn } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

const NODE_MAJOR_MIN = 24;
const OWN_NODE = new URL(`../../node_modules/node/bin/node${process.platform === "win32" ? ".exe" : ""}`, import.meta.url);
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];

/**
 * @param {string} version as in `process.versions.node`
 * @returns {string | undefined} why this Node will not do
 */
export function nodeFault(version) {
  const major = Number.parseInt(version, 10);
  if (major >= NODE_MAJOR_MIN) return undefined;
  return (
    "Troupe needs Node " +
    NODE_MAJOR_MIN +
    " or later, and this is Node " +
    version +
    ": run it through npm, which brings its own, or install a newer one."
  );
}

/**
 * @param {URL} entry the module to run
 * @param {string} version of this Node
 * @returns {Promise<unknown> | undefined}
 */
export function launch(entry, version = process.versions.node) {
  const fault = nodeFault(version);
  if (fault === undefined) return import(entry.href);
  const ownNode = fileURLToPath(OWN_NODE);
  // One that is too old itself would start itself for ever.
  if (existsSync(ownNode) && realpathSync(ownNode) !== realpathSync(process.execPath)) handOver(ownNode, fault);
  else refuse(fault);
  return undefined;
}

/**
 * The same script with the same words, input and output; its end is ours.
 * @param {string} node
 * @param {string} fault
 */
function handOver(node, fault) {
  const child = spawn(node, process.argv.slice(1), { stdio: "inherit" });
  // Ctrl-C reaches both of us, a signal from elsewhere only this process: the child takes one that comes twice for one.
  const passOn = (signal) => void child.kill(signal);
  for (const signal of SIGNALS) process.on(signal, passOn);
  child.once("error", () => refuse(fault));
  child.once("exit", (code, signal) => {
    for (const name of SIGNALS) process.removeListener(name, passOn);
    if (signal === null) process.exitCode = code;
    else process.kill(process.pid, signal);
  });
}

/** @param {string} fault */
function refuse(fault) {
  process.stderr.write(`${fault}\n`);
  process.exitCode = 2;
}
