/** What an upload tells everybody, on a real nats-server: whoever subscribes, with any client, hears how it goes and how it ended. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Connections } from "../../bus/nats-rig.ts";
import { RawNats } from "../../deploy/raw-nats.ts";
import { startTestNats, type TestNats } from "../../support/nats-server.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, createUpload, sendChunk, someBytes, startTroupe, type Troupe } from "../../support/troupe.ts";

let server: TestNats;
let connections: Connections;
let directory: TemporaryDirectory;
let troupe: Troupe;
let listener: RawNats;

beforeAll(async () => {
  server = await startTestNats();
  connections = new Connections(server);
  directory = await temporaryDirectory();
  troupe = await startTroupe({ root: directory.path, connect: () => connections.connect() });
  listener = new RawNats(server.port, "", "");
  listener.subscribe("troupe.v1.evt.upload.*.state");
  await listener.settled();
});

afterAll(async () => {
  await listener[Symbol.asyncDispose]();
  await troupe.stop();
  await connections[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

interface Fact {
  readonly state: string;
  readonly lastError?: unknown;
  readonly file?: { readonly fileId: string };
}

const factsOf = (uploadId: string): Fact[] =>
  listener.messages
    .filter(({ subject }) => subject === `troupe.v1.evt.upload.${uploadId}.state`)
    .map(({ body }) => JSON.parse(body) as Fact);

/** Waits for the last of them. */
async function statesUntil(uploadId: string, state: string): Promise<Fact[]> {
  await expect
    .poll(async () => {
      await listener.settled();
      return factsOf(uploadId).at(-1)?.state;
    })
    .toBe(state);
  return factsOf(uploadId);
}

describe("a plain subscriber hears", () => {
  it("of each step of an upload that became a file, and at last which file", async () => {
    const bytes = someBytes(1_000);
    const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: bytes.length });
    await sendChunk(troupe, uploadId, 0, bytes);
    await troupe.upload(uploadId).merge({ epoch, wait: false }, AS_LOCAL);
    const facts = await statesUntil(uploadId, "merged");
    expect(facts.map(({ state }) => state)).toEqual(["receiving", "verifying", "replicating", "committing", "merged"]);
    const { fileId } = await troupe.catalog.upload({ uploadId }, AS_LOCAL);
    expect(facts.at(-1)).toMatchObject({ uploadId, fileId, file: { fileId, name: "film.mp4", sizeBytes: bytes.length, copies: 1 } });
  });

  it("why an upload failed, and that trying again does not help", async () => {
    const digest = { algorithm: "sha256" as const, value: "00".repeat(32) };
    const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: 10, digest });
    await sendChunk(troupe, uploadId, 0, someBytes(10));
    await troupe.upload(uploadId).merge({ epoch, wait: false }, AS_LOCAL);
    const facts = await statesUntil(uploadId, "failed");
    expect(facts.at(-1)?.lastError).toEqual({ code: "DIGEST_MISMATCH", detail: expect.stringContaining("sha256"), retryable: false });
  });

  it("that an upload was cancelled", async () => {
    const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: 10 });
    await troupe.upload(uploadId).cancel({ epoch }, AS_LOCAL);
    expect((await statesUntil(uploadId, "cancelled")).map(({ state }) => state)).toEqual(["receiving", "cancelled"]);
  });
});
