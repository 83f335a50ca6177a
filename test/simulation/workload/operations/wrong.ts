/** Wrong input: a definite error, and nothing changes. */

import { Content } from "../content.ts";
import type { Doing } from "../doing.ts";
import type { OperationKind } from "../operation-kind.ts";
import { begin, create, discard, send, sendAndMerge, sendChunk } from "./filling.ts";
import { CHUNK_BYTES, drawName } from "./wishes.ts";

const WAYS = ["bytes", "digest", "index", "length", "early", "key", "range"] as const;

const wrong: OperationKind = {
  kind: "wrong",
  weight: 1.5,
  draw: (random) => ({
    ...drawName(random),
    content: 1_000 + random.integer(2 ** 31),
    size: CHUNK_BYTES + 1 + random.integer(3 * CHUNK_BYTES),
    how: random.pick(WAYS),
  }),
  async run(doing) {
    const { content, signal } = doing;
    const how = doing.text("how") as (typeof WAYS)[number];
    if (how === "range") return await pastTheEnd(doing);
    const troupe = doing.troupe(content);
    const other = Content.of(doing.number("content") ^ 1, content.sizeBytes);
    if (how === "digest") {
      const created = await create(doing, troupe, {
        content,
        key: doing.key(),
        digest: { algorithm: "sha256", value: other.digest("sha256") },
      });
      if (created.kind === "file") return doing.client.world.violate("false-digest-accepted", `${created.file.fileId} has another digest`);
      return await doing.expectRefusal("DIGEST_MISMATCH", sendAndMerge(doing, troupe, created.upload, content));
    }
    const upload = await begin(doing, troupe, { content, key: doing.key() });
    const { uploadId } = upload;
    if (how === "bytes") {
      // What was acknowledged stays; before that, whoever comes first is right.
      await send(doing, troupe, upload, content, [[0, 0]]);
      await doing.expectRefusal("CHUNK_CONFLICT", sendChunk(doing, doing.troupe(other), upload, 0, other));
    }
    if (how === "index") {
      const beyond = upload.chunkCount ?? 0;
      await doing.expectRefusal("CHUNK_OUT_OF_RANGE", troupe.chunk(uploadId, beyond, 5, block(content, 5), signal));
    }
    if (how === "length") await doing.expectRefusal("CHUNK_LENGTH", troupe.chunk(uploadId, 0, 1000, block(content, 1000), signal));
    if (how === "early") {
      await send(doing, troupe, upload, content, [[1, 1]]);
      await doing.expectRefusal("UPLOAD_INCOMPLETE", troupe.merge(uploadId, true, signal));
    }
    if (how === "key") {
      const request = { name: "another.bin", size: content.sizeBytes, chunkBytes: CHUNK_BYTES, idempotencyKey: doing.key() };
      await doing.expectRefusal("IDEMPOTENCY_CONFLICT", doing.troupe(content).create(request, signal));
    }
    await discard(doing, troupe, upload);
  },
};

async function* block(content: Content, bytes: number): AsyncGenerator<Uint8Array> {
  yield content.span(0, bytes);
}

async function pastTheEnd(doing: Doing): Promise<void> {
  const file = doing.file("content");
  if (file === undefined) return;
  const { sizeBytes } = file.content;
  const span = { first: sizeBytes, last: sizeBytes + 10 };
  const opened = doing.troupe().open(file.fileId, span, undefined, doing.signal);
  const outcome = await doing.attempted(
    opened.then(async ({ body }) => {
      for await (const _ of body);
    }),
  );
  if (outcome === undefined) doing.client.world.violate("wrong-accepted", `a range past the end of ${file.fileId} was answered`);
}

export const WRONG_KINDS: readonly OperationKind[] = [wrong];
