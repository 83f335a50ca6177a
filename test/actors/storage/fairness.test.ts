import { expect, it } from "vitest";
import { CHUNK_BYTES_MIN, CHUNKS_IN_FLIGHT_PER_SESSION_MAX } from "../../../src/core/limits.ts";
import type { Principal } from "../../../src/core/principal.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { createUpload, sendChunk, someBytes, startTroupe, type Troupe } from "../../support/troupe.ts";

const CHUNK_BYTES = CHUNK_BYTES_MIN;
const CHUNKS = CHUNKS_IN_FLIGHT_PER_SESSION_MAX;
const ANN = { owner: "ann" };
const BOB = { owner: "bob" };

const created = (troupe: Troupe, principal: Principal) =>
  createUpload(troupe, { sizeBytes: CHUNKS * CHUNK_BYTES, chunkBytes: CHUNK_BYTES, principal });

it("F28: one owner whose chunk bodies never end is refused more of them, and stops nobody else's", async () => {
  await using directory = await temporaryDirectory();
  await using troupe = await startTroupe({ root: directory.path });
  const ended = new AbortController();
  const bodies: Promise<unknown>[] = [];
  const refusals: unknown[] = [];
  /** Its first byte comes, and no other. */
  async function* endless(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(1);
    await new Promise((_, reject) => ended.signal.addEventListener("abort", () => reject(ended.signal.reason)));
  }
  try {
    while (refusals.length === 0) {
      const { uploadId } = await created(troupe, ANN);
      for (let index = 0; index < CHUNKS; index += 1) {
        const body = { uploadId, index, bytes: endless(), digests: [], signal: ended.signal };
        bodies.push(troupe.node.storeChunk(body).catch((error: unknown) => void (ended.signal.aborted || refusals.push(error))));
      }
    }
    expect(refusals[0]).toMatchObject({ code: "TOO_MANY" });
    // What a page with 200 uploads and four chunks of each has on its way.
    expect(bodies.length - refusals.length).toBeGreaterThanOrEqual(800);
    const { uploadId } = await created(troupe, BOB);
    const bytes = someBytes(CHUNK_BYTES);
    const stored = await Promise.all(Array.from({ length: CHUNKS }, (_, index) => sendChunk(troupe, uploadId, index, bytes)));
    expect(stored.filter(({ isNew }) => isNew)).toHaveLength(CHUNKS);
  } finally {
    ended.abort();
    await Promise.all(bodies);
  }
});
