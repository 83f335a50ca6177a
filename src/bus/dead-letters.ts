/** Messages nobody was answered for, the newest of them kept to be looked at. */
import { DEAD_LETTERS_KEPT } from "../core/limits.ts";

export const DEAD_LETTER_REASONS = {
  noReply: "no reply subject",
  foreignReply: "the reply subject is not an inbox",
  expired: "the caller's deadline passed before its turn",
  ended: "posted by an activation that has ended",
  unsent: "the answer could not be sent",
} as const;
export type DeadLetterReason = (typeof DEAD_LETTER_REASONS)[keyof typeof DEAD_LETTER_REASONS];

export interface DeadLetter {
  readonly subject: string;
  readonly reason: DeadLetterReason;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/** One host's, or shared by several through `HostConfiguration.deadLetters`. */
export class DeadLetters {
  readonly #keptMax: number;
  readonly #kept: DeadLetter[] = [];
  #count = 0;

  constructor(keptMax = DEAD_LETTERS_KEPT) {
    this.#keptMax = keptMax;
  }

  /** Of all there ever were. */
  get count(): number {
    return this.#count;
  }

  add(letter: DeadLetter): void {
    this.#count += 1;
    this.#kept.push(letter);
    if (this.#kept.length > this.#keptMax) this.#kept.shift();
  }

  /** Oldest first. */
  list(): readonly DeadLetter[] {
    return [...this.#kept];
  }
}
