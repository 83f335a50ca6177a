/**
 * Files as gateways serve them when everything is well again.
 *
 * G1: every gateway serves every file whole and exactly; spans of it at random as well.
 * G2: only a span in which a leaf was damaged is answered with an error, that of damage, or breaks off before that leaf; never with other
 *     bytes.
 * G3: what was deleted, or never became a file, no gateway has.
 * G4: a listing shows each file once, and no other.
 */

import type { TroupeClient } from "../../../src/client/troupe-client.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import type { ByteRange } from "../disk/byte-ranges.ts";
import type { RandomStream } from "../random-streams.ts";
import type { Content } from "../workload/content.ts";
import type { Breach } from "./breach.ts";

export interface ServedFile {
  readonly fileId: string;
  readonly owner: string;
  readonly name: string;
  readonly content: Content;
  /** Its leaves that were damaged on the only disk that has them, as ranges of its bytes. */
  readonly damage: readonly ByteRange[];
}

export interface Served {
  /** That must be there. */
  readonly files: readonly ServedFile[];
  /** That must not. */
  readonly gone: readonly { readonly fileId: string; readonly owner: string }[];
  readonly owners: readonly string[];
}

/** One gateway, asked in the name of one owner. */
export type AskGateway = (owner: string) => TroupeClient;

/** `all`: each file whole, and two spans of it. `little`: each file by one span. */
export type Depth = "all" | "little";

const SPANS: Readonly<Record<Depth, number>> = { all: 2, little: 1 };
/** Questions at a time. */
const LANES = 8;

/** @param gateway its name */
export async function servedBreaches(
  gateway: string,
  ask: AskGateway,
  served: Served,
  random: RandomStream,
  depth: Depth = "all",
): Promise<Breach[]> {
  const breaches: Breach[] = [];
  const breached = (rule: string, sentence: string): void => void breaches.push({ rule, sentence: `${gateway}: ${sentence}` });
  const questions = [
    ...served.files.flatMap((file) => {
      const { sizeBytes } = file.content;
      const spans = sizeBytes === 0 ? [] : Array.from({ length: SPANS[depth] }, () => drawSpan(random, sizeBytes));
      const whole = depth === "all" || sizeBytes === 0 ? [undefined] : [];
      return [...whole, ...spans].map((span) => () => readBack(ask(file.owner), file, span, breached));
    }),
    ...served.gone.map(
      ({ fileId, owner }) =>
        () =>
          mustNotBeThere(ask(owner), fileId, breached),
    ),
    ...served.owners.map((owner) => () => list(ask(owner), owner, served, breached)),
  ].values();
  const lane = async (): Promise<void> => {
    for (const question of questions) await question();
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return breaches;
}

type Breached = (rule: string, sentence: string) => void;
interface Span {
  readonly first: number;
  readonly last: number;
}

function drawSpan(random: RandomStream, sizeBytes: number): Span {
  const first = random.integer(sizeBytes);
  return { first, last: first + random.integer(sizeBytes - first) };
}

/** G1, G2 */
async function readBack(client: TroupeClient, file: ServedFile, span: Span | undefined, breached: Breached): Promise<void> {
  const { fileId, name, content } = file;
  const what = `${fileId} (${name})${span === undefined ? "" : `, bytes ${span.first} to ${span.last},`}`;
  const wanted = span === undefined ? content.bytes() : content.span(span.first, span.last + 1);
  let offset = 0;
  let hasBegun = false;
  try {
    const opened = await client.open(fileId, span, undefined);
    if (opened.first !== (span?.first ?? 0)) return breached("wrong-bytes", `${what} was answered from byte ${opened.first}`);
    hasBegun = true;
    for await (const block of opened.body) {
      if (Buffer.compare(wanted.subarray(offset, offset + block.length), block) !== 0)
        return breached("wrong-bytes", `${what} differs in the ${block.length} bytes from ${offset}`);
      offset += block.length;
    }
    if (offset !== wanted.length) breached("wrong-bytes", `${what} ended well after ${offset} of ${wanted.length} bytes`);
  } catch (error) {
    // G2. Once an answer has begun, there is no code that could be told.
    const from = (span?.first ?? 0) + offset;
    const end = (span?.first ?? 0) + wanted.length;
    const isDamaged = file.damage.some((leaves) => leaves.from < end && leaves.to > from);
    if (isDamaged && error instanceof TroupeError && (hasBegun || error.code === "BLOB_DAMAGED")) return;
    breached("file-unreadable", `${what} cannot be read: ${wordsOf(error)}`);
  }
}

/** G3 */
async function mustNotBeThere(client: TroupeClient, fileId: string, breached: Breached): Promise<void> {
  try {
    await client.file(fileId);
    breached("deleted-file-there", `${fileId} was deleted, and is answered`);
  } catch (error) {
    if (!(error instanceof TroupeError && error.code === "FILE_NOT_FOUND"))
      breached("deleted-file-answer", `${fileId} was deleted, and the answer is ${wordsOf(error)}`);
  }
}

/** G4 */
async function list(client: TroupeClient, owner: string, served: Served, breached: Breached): Promise<void> {
  const left = new Map(served.files.filter((file) => file.owner === owner).map((file) => [file.fileId, file]));
  try {
    for await (const page of client.allFiles({})) {
      for (const { fileId, name, size } of page) {
        const file = left.get(fileId);
        if (file === undefined) breached("listed-wrongly", `${fileId} (${name}) is listed for ${owner} twice, or is not ${owner}'s`);
        else if (file.name !== name || file.content.sizeBytes !== size)
          breached(
            "listed-wrongly",
            `${fileId} is listed as ${name} with ${size} bytes; it is ${file.name} with ${file.content.sizeBytes}`,
          );
        left.delete(fileId);
      }
    }
    const [missing] = left.keys();
    if (missing !== undefined) breached("listed-wrongly", `${missing} is not listed for ${owner}`);
  } catch (error) {
    breached("listing-failed", `the files of ${owner} cannot be listed: ${wordsOf(error)}`);
  }
}

const wordsOf = (error: unknown): string => (error instanceof TroupeError ? `${error.code} (${error.detail})` : String(error));
