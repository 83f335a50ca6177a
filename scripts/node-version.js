/**
 * The first line of every script: on a Node that is too old, one sentence and exit 2. It is plain JavaScript and uses nothing
 * that an old Node lacks, so that the sentence is what a person sees, and not a syntax error.
 */
import process from "node:process";

const MAJOR_MIN = 24;

/** @param {string} how what to type instead */
export function requireNode(how) {
  const major = Number(process.versions.node.split(".")[0]);
  if (major >= MAJOR_MIN) return;
  process.stderr.write(`This needs Node ${MAJOR_MIN} or later, and this is ${process.version}: run '${how}', which brings its own.\n`);
  process.exit(2);
}
