/** Ways into the store beside chunks, for somebody who comes late: each ends with a file. */
import { TroupeError } from "../../../src/core/errors.ts";
import { sleep } from "../../../src/core/ports/clock.ts";
import type { KnownFile } from "../workload/known-file.ts";
import { fileIdIn } from "../workload/witness/acknowledged-file.ts";
import type { FileWish, LateSteps } from "./late-steps.ts";

const TUS = { "tus-resumable": "1.0.0" };
const LOOK_AGAIN_MS = 250;

/** One body, with a key. */
export async function putWhole(steps: LateSteps, wish: FileWish, signal: AbortSignal): Promise<KnownFile> {
  const { name, user, content } = wish;
  const known = steps.known(wish, "whole", { key: name });
  const said = { headers: { "idempotency-key": name, "content-length": String(content.sizeBytes) }, body: content.bytes() };
  const { headers } = await steps.tries(`a whole file by PUT as ${name}`, signal, () =>
    steps.ask("PUT", `/put/${name}?user=${user}`, said, signal),
  );
  const fileId = fileIdIn(headers["location"]);
  if (fileId === undefined) throw new TroupeError("NOT_IMPLEMENTED", "It was answered without the file's address.");
  return steps.became(known, fileId);
}

/** Its owner has a file of the same content: nothing is sent. */
export async function createOfKnownContent(steps: LateSteps, wish: FileWish, signal: AbortSignal): Promise<KnownFile> {
  const { name, user, content } = wish;
  const known = steps.known(wish, "chunks", { key: name, claimsDigest: true });
  const digest = { algorithm: "blake3", value: content.blake3 } as const;
  const created = await steps.tries(`a file of content that is known as ${name}`, signal, () =>
    steps.client.create({ name, user, size: content.sizeBytes, digest, idempotencyKey: name }, signal),
  );
  if (created.kind !== "file") throw new TroupeError("NOT_IMPLEMENTED", "Its owner has this content, and is asked to send it.");
  return steps.became(known, created.file.fileId);
}

/** By tus, in two bodies, the length said with the second. */
export async function uploadByTus(steps: LateSteps, wish: FileWish, signal: AbortSignal): Promise<KnownFile> {
  const { name, user, content } = wish;
  const known = steps.known(wish, "tus");
  const pairs = [`filename ${base64(name)}`, `user ${base64(user)}`].join(",");
  const creation = { headers: { ...TUS, "upload-defer-length": "1", "upload-metadata": pairs, "content-length": "0" } };
  const created = await steps.tries(`an upload by tus as ${name}`, signal, () => steps.ask("POST", "/tus/", creation, signal));
  const address = created.headers["location"] ?? "";
  const uploadId = address.split("/").at(-1) ?? "";
  steps.options.history.named(known, uploadId);
  const path = `/tus/${uploadId}`;
  const head = () => steps.tries(`asking for ${path}`, signal, () => steps.ask("HEAD", path, { headers: TUS }, signal));
  known.sentBytes = content.sizeBytes;
  const half = Math.floor(content.sizeBytes / 2);
  for (const end of [half, content.sizeBytes]) {
    await steps.tries(`bytes up to ${end} of ${path}`, signal, async () => {
      const offset = Number((await head()).headers["upload-offset"] ?? 0);
      if (offset >= end) return;
      const body = content.span(offset, end);
      const length = end === content.sizeBytes ? { "upload-length": String(end) } : {};
      const type = { "content-type": "application/offset+octet-stream", "content-length": String(body.length) };
      await steps.ask("PATCH", path, { headers: { ...TUS, ...type, ...length, "upload-offset": String(offset) }, body }, signal);
    });
  }
  for (;;) {
    const fileId = fileIdIn((await head()).headers["troupe-file"]);
    if (fileId !== undefined) return steps.became(known, fileId);
    await sleep(steps.ports.clock, LOOK_AGAIN_MS, signal);
  }
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");
