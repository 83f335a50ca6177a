/** The log as the code sees it: pino's shape, so that any level call takes facts first and a sentence after. Secrets are never passed in. */

type Write = (facts: Readonly<Record<string, unknown>>, sentence: string) => void;

export interface Log {
  readonly debug: Write;
  readonly info: Write;
  readonly warn: Write;
  readonly error: Write;
  child(facts: Readonly<Record<string, unknown>>): Log;
}

/** Says nothing. */
export const SILENT_LOG: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => SILENT_LOG };
