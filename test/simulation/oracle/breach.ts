/** A rule that does not hold, and where. */
export interface Breach {
  /** A short name, the same for every breach of the rule. */
  readonly rule: string;
  readonly sentence: string;
}

/** Rows of a database as they are committed. */
export type Rows = (sql: string) => readonly Readonly<Record<string, unknown>>[];

/** A column of text, or of bytes that are text. */
export function textIn(value: unknown): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString() : String(value);
}
