/**
 * Starts a TypeScript entry point, or says in one line that this Node is too old for it. Plain JavaScript without newer syntax, so
 * that an old Node can read it far enough to say so.
 */
const NODE_MAJOR_MIN = 24;

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
 * @returns {Promise<unknown> | undefined}
 */
export function launch(entry) {
  const fault = nodeFault(process.versions.node);
  if (fault === undefined) return import(entry.href);
  process.stderr.write(`${fault}\n`);
  process.exitCode = 2;
  return undefined;
}
