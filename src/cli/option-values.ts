/** Values of options as they are typed. What is wrong is said in the option's own words. */
import { InvalidArgumentError } from "commander";
import { durationText, parseDuration } from "../config/duration.ts";
import { parseSize, sizeText } from "../config/size.ts";
import { TroupeError } from "../core/errors.ts";
import {
  CHUNK_BYTES_MAX,
  CHUNK_BYTES_MIN,
  CLIENT_LANE_BYTES_PER_SECOND_MIN,
  CLIENT_PARALLEL_MAX,
  LEAF_BYTES,
  LINK_SECONDS_MAX,
} from "../core/limits.ts";

export function readCount(text: string): number {
  const count = Number(text);
  if (!/^\d{1,9}$/.test(text) || count < 1) throw new InvalidArgumentError("It is a whole number from 1.");
  return count;
}

export function readParallel(text: string): number {
  const count = Number(text);
  if (!/^\d{1,3}$/.test(text) || count < 1 || count > CLIENT_PARALLEL_MAX)
    throw new InvalidArgumentError(`It is a whole number from 1 to ${CLIENT_PARALLEL_MAX}.`);
  return count;
}

export function readChunk(text: string): number {
  const bytes = inWords(() => parseSize(text));
  if (bytes < CHUNK_BYTES_MIN || bytes > CHUNK_BYTES_MAX || bytes % LEAF_BYTES !== 0)
    throw new InvalidArgumentError(
      `--chunk is a multiple of ${sizeText(LEAF_BYTES)} from ${sizeText(CHUNK_BYTES_MIN)} to ${sizeText(CHUNK_BYTES_MAX)}.`,
    );
  return bytes;
}

/** `2MiB`, `500K`, `1.5M/s`, `off`. A bare number is refused: some programs take it for bytes, others for KiB. @returns bytes a second */
export function readBandwidth(text: string): number | undefined {
  if (text === "off" || text === "0") return undefined;
  const amount = text.replace(/\/s$/, "");
  if (/^[\d.]*$/.test(amount)) throw new InvalidArgumentError("It has a unit: 2MiB, 500K, 64KiB or off.");
  const bytesPerSecond = inWords(() => parseSize(amount));
  if (bytesPerSecond < CLIENT_LANE_BYTES_PER_SECOND_MIN)
    throw new InvalidArgumentError(`It is ${sizeText(CLIENT_LANE_BYTES_PER_SECOND_MIN)} a second at least.`);
  return bytesPerSecond;
}

export const LINK_TEXT_MAX = durationText(LINK_SECONDS_MAX * 1000);

/** @returns whole seconds */
export function readExpiry(text: string): number {
  const seconds = Math.floor(inWords(() => parseDuration(text)) / 1000);
  if (seconds < 1) throw new InvalidArgumentError("It is one second at least.");
  if (seconds > LINK_SECONDS_MAX) throw new InvalidArgumentError(`It is ${LINK_TEXT_MAX} at most.`);
  return seconds;
}

function inWords<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new InvalidArgumentError(error instanceof TroupeError ? error.detail : String(error));
  }
}
