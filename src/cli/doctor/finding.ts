/** What one check of `troupe doctor` found. */

export interface Finding {
  /** One word: `node`, `disk`, `port`. */
  readonly check: string;
  readonly verdict: "ok" | "warn" | "fail";
  /** What was found, and what to do when it is not well. */
  readonly sentence: string;
}

export const ok = (check: string, sentence: string): Finding => ({ check, verdict: "ok", sentence });
export const warn = (check: string, sentence: string): Finding => ({ check, verdict: "warn", sentence });
export const fail = (check: string, sentence: string): Finding => ({ check, verdict: "fail", sentence });
