/**
 * File IDs: 36 characters that sort by time of making.
 *
 * Layout, from the streaming server document: seconds since 1970 as 8 hex digits, microseconds as 6 hex digits, 16 hex
 * digits of a digest over who makes it, a counter of 4 decimal digits, 2 random decimal digits.
 */
import { createHash } from "node:crypto";
import type { Clock } from "./ports/clock.ts";
import type { Random } from "./ports/random.ts";

export const FILE_ID_PATTERN = /^[0-9a-f]{30}[0-9]{6}$/;

export function isFileId(text: unknown): text is string {
  return typeof text === "string" && FILE_ID_PATTERN.test(text);
}

/** The parts of one ID. `seconds` and `microseconds` are of the Unix epoch; `maker` tells makers of the same instant apart. */
export interface FileIdParts {
  readonly seconds: number;
  readonly microseconds: number;
  readonly maker: string;
  readonly counter: number;
  readonly random: number;
}

export function formatFileId(parts: FileIdParts): string {
  const digest = createHash("md5").update(parts.maker).digest("hex").slice(0, 16);
  return (
    (parts.seconds >>> 0).toString(16).padStart(8, "0") +
    parts.microseconds.toString(16).padStart(6, "0") +
    digest +
    String(parts.counter % 10_000).padStart(4, "0") +
    String(parts.random % 100).padStart(2, "0")
  );
}

/** Makes file IDs. Two makers differ by their random bytes, two IDs of one maker by time or counter. */
export class FileIdMaker {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #maker: string;
  #counter: number;

  constructor(clock: Clock, random: Random, nodeId: string) {
    this.#clock = clock;
    this.#random = random;
    this.#maker = `${nodeId}:${Buffer.from(random.bytes(16)).toString("hex")}`;
    this.#counter = random.integer(10_000);
  }

  next(user: string): string {
    const wallMs = this.#clock.wallMs();
    const seconds = Math.floor(wallMs / 1000);
    this.#counter = (this.#counter + 1) % 10_000;
    return formatFileId({
      seconds,
      microseconds: Math.floor((wallMs - seconds * 1000) * 1000) % 1_000_000,
      maker: `${user}:${this.#maker}:${Buffer.from(this.#random.bytes(8)).toString("hex")}`,
      counter: this.#counter,
      random: this.#random.integer(100),
    });
  }
}
