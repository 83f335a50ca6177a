import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openSessionJournal } from "../../../src/actors/upload/session-journal.ts";
import { OUTCOME_KEPT_MS, PURGE_INTERVAL_MS } from "../../../src/core/limits.ts";
import type { UploadState } from "../../../src/core/shapes.ts";
import { NodeDisk } from "../../../src/store/node-disk.ts";
import { diskFull, FaultyDisk } from "../../support/faulty-disk.ts";
import { InlineHasher } from "../../support/inline-hasher.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, createUpload, sendChunk, someBytes, startTroupe, type Troupe, type TroupeOptions } from "../../support/troupe.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const CHUNK = 65_536;
const EXPIRY_MS = 240_000;
/** As often as an idle upload's time is recorded. */
const RECORDED_MS = EXPIRY_MS / 24;

interface Stage {
  readonly clock: VirtualClock;
  readonly root: string;
  readonly disk: FaultyDisk;
  readonly start: (options?: Partial<TroupeOptions>) => Promise<Troupe>;
}

async function staged(work: (stage: Stage) => Promise<void>): Promise<void> {
  await using directory = await temporaryDirectory();
  const clock = new VirtualClock();
  const disk = new FaultyDisk(new NodeDisk());
  const root = directory.path;
  const running = new Set<Troupe>();
  try {
    await work({
      clock,
      root,
      disk,
      start: async (options) => {
        const troupe = await startTroupe({ root, clock, disk, idleExpiryMs: EXPIRY_MS, ...options });
        running.add(troupe);
        return troupe;
      },
    });
  } finally {
    for (const troupe of running) await troupe.stop();
  }
}

/** What the catalog and, while it lives, the session say. */
async function stateOf(troupe: Troupe, uploadId: string): Promise<UploadState> {
  return (await troupe.catalog.upload({ uploadId }, AS_LOCAL)).state;
}

/** What another process would find now. */
async function recordedIdleMs(root: string, uploadId: string): Promise<number> {
  const disk = new NodeDisk();
  const { journal, idleMs } = await openSessionJournal(disk, new InlineHasher(disk), join(root, "uploads", uploadId), 1024 ** 3);
  await journal.close();
  return idleMs;
}

async function* streamOf(...steps: readonly (Uint8Array | Promise<void> | Error)[]): AsyncGenerator<Uint8Array> {
  for (const step of steps) {
    if (step instanceof Error) throw step;
    if (step instanceof Uint8Array) yield step;
    else await step;
  }
}

async function expectState(troupe: Troupe, uploadId: string, state: UploadState): Promise<void> {
  await expect.poll(() => stateOf(troupe, uploadId)).toBe(state);
}

describe("an idle upload", () => {
  it("says when it will expire, and expires then, with nothing left of it", () =>
    staged(async ({ clock, root, start }) => {
      const troupe = await start();
      const { uploadId } = await createUpload(troupe, { sizeBytes: 2 * CHUNK, chunkBytes: CHUNK });
      const reservedBytes = 2 * CHUNK;
      const free = async () => (await troupe.storage.status({})).reservedBytes;
      expect(await free()).toBe(reservedBytes);
      const beganMs = clock.wallMs();
      const { expiresMs } = await troupe.upload(uploadId).status({}, AS_LOCAL);
      expect(expiresMs).toBe(beganMs + EXPIRY_MS);
      await clock.advance(EXPIRY_MS / 2);
      expect(await troupe.upload(uploadId).status({}, AS_LOCAL)).toMatchObject({ expiresMs, state: "receiving" });
      await sendChunk(troupe, uploadId, 0, someBytes(CHUNK));
      const later = await troupe.upload(uploadId).status({}, AS_LOCAL);
      expect(later.expiresMs).toBe(clock.wallMs() + EXPIRY_MS);
      await clock.advance(EXPIRY_MS - 1_000);
      await expectState(troupe, uploadId, "receiving");
      await clock.advance(1_000);
      await expectState(troupe, uploadId, "expired");
      await expect.poll(() => readdir(join(root, "uploads"))).toEqual([]);
      expect(await free()).toBe(0);
    }));

  it("goes on being idle after a restart, and its time stands still meanwhile", () =>
    staged(async ({ clock, start }) => {
      const first = await start();
      const { uploadId } = await createUpload(first, { sizeBytes: CHUNK });
      await clock.advance(EXPIRY_MS - 20_000);
      await first.stop();
      // The process is down for a day: nobody could have sent anything.
      await clock.advance(86_400_000);
      const second = await start();
      expect(await second.upload(uploadId).status({}, AS_LOCAL)).toMatchObject({
        state: "receiving",
        expiresMs: clock.wallMs() + 20_000,
      });
      await clock.advance(19_000);
      await expectState(second, uploadId, "receiving");
      await clock.advance(1_000);
      await expectState(second, uploadId, "expired");
    }));

  it("loses little of its time when its process is killed", () =>
    staged(async ({ clock, root, start }) => {
      const troupe = await start();
      const { uploadId } = await createUpload(troupe, { sizeBytes: CHUNK });
      const recordedMs = (): Promise<number> => recordedIdleMs(root, uploadId);
      for (let idleMs = 10 * RECORDED_MS; idleMs <= 20 * RECORDED_MS; idleMs += 10 * RECORDED_MS) {
        await clock.advance(10 * RECORDED_MS);
        await expect.poll(recordedMs).toBeGreaterThanOrEqual(idleMs - RECORDED_MS);
      }
      // A chunk says by itself that it is not idle any more.
      await sendChunk(troupe, uploadId, 0, someBytes(CHUNK));
      expect(await recordedMs()).toBe(0);
    }));

  it("F1: is not idle after a kill when something came just before that left no chunk", () =>
    staged(async ({ clock, root, disk, start }) => {
      const troupe = await start();
      const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: 2 * CHUNK, chunkBytes: CHUNK });
      const send = (fromBytes: number | undefined, bytes: AsyncIterable<Uint8Array>) =>
        troupe.node.storeChunk({ uploadId, index: 0, fromBytes, bytes, digests: [], signal: new AbortController().signal });
      const recordedMs = (): Promise<number> => recordedIdleMs(root, uploadId);
      const idle = async (): Promise<void> => {
        await clock.advance(EXPIRY_MS - 15_000);
        await expect.poll(recordedMs).toBeGreaterThanOrEqual(EXPIRY_MS - 15_000 - RECORDED_MS);
      };
      const { status, merge } = troupe.upload(uploadId);
      for (const come of [
        // A body that goes on, and has nothing to say.
        () => send(0, streamOf()),
        () => send(undefined, streamOf(someBytes(10), new Error("the line broke"))).catch(() => undefined),
        () => merge({ epoch }, AS_LOCAL).catch(() => undefined),
      ]) {
        await idle();
        await come();
        await expect.poll(recordedMs).toBe(0);
        expect((await status({}, AS_LOCAL)).expiresMs).toBeGreaterThan(clock.wallMs() + EXPIRY_MS - 1_000);
      }
      // While a body arrives that says nothing for long.
      await idle();
      const gate = Promise.withResolvers<void>();
      gate.promise.catch(() => undefined);
      const held = send(undefined, streamOf(someBytes(10), gate.promise));
      held.catch(() => undefined);
      await expect.poll(recordedMs).toBe(0);
      gate.reject(new Error("the line broke"));
      await expect(held).rejects.toThrow();
      // What a full disk did not take is recorded when there is room.
      await idle();
      disk.intercept = (call, path) => {
        if (call === "write" && path.endsWith("/journal")) throw diskFull(path);
      };
      await merge({ epoch }, AS_LOCAL).catch(() => undefined);
      await clock.advance(10);
      expect(await recordedMs()).toBeGreaterThan(0);
      disk.intercept = () => {};
      await merge({ epoch }, AS_LOCAL).catch(() => undefined);
      await expect.poll(recordedMs).toBeLessThan(RECORDED_MS);
    }));

  it("is not idle after a restart when something came that left no chunk", () =>
    staged(async ({ clock, start }) => {
      const first = await start();
      const { uploadId, epoch } = await createUpload(first, { sizeBytes: CHUNK });
      await clock.advance(EXPIRY_MS - 20_000);
      await expect(first.upload(uploadId).merge({ epoch }, AS_LOCAL)).rejects.toMatchObject({ code: "UPLOAD_INCOMPLETE" });
      await first.stop();
      const second = await start();
      expect((await second.upload(uploadId).status({}, AS_LOCAL)).expiresMs).toBe(clock.wallMs() + EXPIRY_MS);
    }));

  it("F9: does not expire by a wall clock that jumps, before or after a restart", () =>
    staged(async ({ clock, start }) => {
      const first = await start();
      const { uploadId } = await createUpload(first, { sizeBytes: CHUNK });
      await clock.advance(100_000);
      clock.jumpWall(3_600_000);
      await clock.advance(10_000);
      await first.stop();
      clock.jumpWall(7 * 86_400_000);
      const second = await start();
      const { state, expiresMs } = await second.upload(uploadId).status({}, AS_LOCAL);
      expect([state, expiresMs]).toEqual(["receiving", clock.wallMs() + EXPIRY_MS - 110_000]);
      clock.jumpWall(-14 * 86_400_000);
      await clock.advance(120_000);
      await expectState(second, uploadId, "receiving");
      await clock.advance(11_000);
      await expectState(second, uploadId, "expired");
    }));

  it("is not idle while a body arrives, however slowly, nor just after it broke off", () =>
    staged(async ({ clock, start }) => {
      const troupe = await start();
      const { uploadId } = await createUpload(troupe, { sizeBytes: CHUNK, chunkBytes: CHUNK });
      const gate = Promise.withResolvers<void>();
      // It may be rejected before the body has come to it.
      gate.promise.catch(() => undefined);
      async function* slow(): AsyncGenerator<Uint8Array> {
        yield someBytes(10);
        await gate.promise;
      }
      const stored = troupe.node.storeChunk({ uploadId, index: 0, bytes: slow(), digests: [], signal: new AbortController().signal });
      stored.catch(() => undefined);
      await expect.poll(async () => (await troupe.upload(uploadId).status({}, AS_LOCAL)).inFlightCount).toBe(1);
      await clock.advance(2 * EXPIRY_MS);
      gate.reject(new Error("the client is gone"));
      await expect(stored).rejects.toThrow();
      await clock.advance(EXPIRY_MS - 5_000);
      await expectState(troupe, uploadId, "receiving");
      await clock.advance(5_000);
      await expectState(troupe, uploadId, "expired");
    }));

  it("expires at its time although the disk was slow to record how long it was idle", () =>
    staged(async ({ clock, disk, start }) => {
      const troupe = await start();
      const { uploadId } = await createUpload(troupe, { sizeBytes: CHUNK });
      await clock.advance(EXPIRY_MS - 3 * RECORDED_MS);
      const { expiresMs } = await troupe.upload(uploadId).status({}, AS_LOCAL);
      const reached = Promise.withResolvers<void>();
      const gate = Promise.withResolvers<void>();
      disk.intercept = (call, path) => {
        if (call !== "write" || !path.endsWith("/journal")) return;
        reached.resolve();
        return gate.promise;
      };
      await clock.advance(RECORDED_MS);
      await reached.promise;
      // The next look was due, and waits for the disk until half a second before the end.
      await clock.advance(2 * RECORDED_MS - 500);
      gate.resolve();
      await troupe.upload(uploadId).status({}, AS_LOCAL);
      await clock.advance(500);
      await expectState(troupe, uploadId, "expired");
      expect(clock.wallMs()).toBe(expiresMs);
    }));

  it("expires although the disk refuses to record how long it was idle", () =>
    staged(async ({ clock, disk, start }) => {
      const troupe = await start();
      const { uploadId } = await createUpload(troupe, { sizeBytes: CHUNK });
      disk.intercept = (call, path) => {
        if (call === "write" && path.endsWith("/journal")) throw diskFull(path);
      };
      await clock.advance(EXPIRY_MS);
      await expectState(troupe, uploadId, "expired");
    }));
});

describe("an upload whose merge was promised", () => {
  const complete = async (troupe: Troupe) => {
    const created = await createUpload(troupe, { sizeBytes: CHUNK, chunkBytes: CHUNK });
    await sendChunk(troupe, created.uploadId, 0, someBytes(CHUNK));
    return created;
  };

  it("never expires, and becomes a file by itself when what it waited for is there", () =>
    staged(async ({ clock, disk, start }) => {
      const troupe = await start();
      const { uploadId, epoch } = await complete(troupe);
      disk.intercept = (call, path) => {
        if (call === "open" && path.endsWith("/leaves")) throw diskFull(path);
      };
      await troupe.upload(uploadId).merge({ epoch, wait: false }, AS_LOCAL);
      await expect
        .poll(async () => (await troupe.upload(uploadId).status({}, AS_LOCAL)).lastError)
        .toMatchObject({ code: "DISK_FULL", retryable: true });
      await clock.advance(2 * EXPIRY_MS);
      const status = await troupe.upload(uploadId).status({}, AS_LOCAL);
      expect(status.state).not.toBe("expired");
      expect(status).not.toHaveProperty("expiresMs");
      disk.intercept = () => {};
      await expect
        .poll(async () => {
          await clock.advance(10_000);
          return await stateOf(troupe, uploadId);
        })
        .toBe("merged");
    }));

  it("also when it was waited for first", () =>
    staged(async ({ clock, disk, start }) => {
      const first = await start();
      const { uploadId, epoch } = await complete(first);
      const reached = Promise.withResolvers<void>();
      const gate = Promise.withResolvers<void>();
      disk.intercept = (call, path) => {
        if (call !== "open" || !path.endsWith("/leaves")) return;
        reached.resolve();
        return gate.promise;
      };
      const waited = first.upload(uploadId).merge({ epoch }, AS_LOCAL);
      waited.catch(() => undefined);
      await reached.promise;
      expect(await first.upload(uploadId).merge({ epoch, wait: false }, AS_LOCAL)).toEqual({ state: "verifying" });
      const stopping = first.stop();
      gate.reject(diskFull("leaves"));
      await stopping;
      disk.intercept = () => {};
      const second = await start();
      await expectState(second, uploadId, "merged");
      expect(clock.timerCount).toBeGreaterThan(0);
    }));

  it("can still be cancelled while it waits", () =>
    staged(async ({ clock, disk, start }) => {
      const troupe = await start();
      const { uploadId, epoch } = await complete(troupe);
      disk.intercept = (call, path) => {
        if (call === "open" && path.endsWith("/leaves")) throw diskFull(path);
      };
      await troupe.upload(uploadId).merge({ epoch, wait: false }, AS_LOCAL);
      await expect.poll(async () => (await troupe.upload(uploadId).status({}, AS_LOCAL)).state).toBe("receiving");
      expect(await troupe.upload(uploadId).cancel({ epoch }, AS_LOCAL)).toEqual({ state: "cancelled" });
      await clock.advance(EXPIRY_MS);
      await expectState(troupe, uploadId, "cancelled");
    }));

  it("expires when chunks of it were lost and nobody sends them again", () =>
    staged(async ({ clock, disk, start }) => {
      const first = await start();
      const { uploadId, epoch } = await complete(first);
      await first.stop();
      const second = await start();
      disk.intercept = (call, path) => {
        // Nothing is there to be read where a chunk was.
        if (call === "read" && path.endsWith("/data")) throw Object.assign(diskFull(path), { facts: { errno: "EOF" } });
      };
      await second.upload(uploadId).merge({ epoch: epoch + 1, wait: false }, AS_LOCAL);
      await expect
        .poll(async () => (await second.upload(uploadId).status({}, AS_LOCAL)).lastError)
        .toMatchObject({ code: "UPLOAD_INCOMPLETE", retryable: true });
      disk.intercept = () => {};
      await clock.advance(EXPIRY_MS);
      await expectState(second, uploadId, "expired");
    }));
});

describe("an upload that has expired", () => {
  it("is known as such for 7 days, also after restarts, and then not at all", () =>
    staged(async ({ clock, start }) => {
      const first = await start();
      const { uploadId } = await createUpload(first, { sizeBytes: CHUNK });
      await clock.advance(EXPIRY_MS);
      await expectState(first, uploadId, "expired");
      await first.stop();
      const second = await start();
      clock.jumpWall(OUTCOME_KEPT_MS - 2 * PURGE_INTERVAL_MS);
      await clock.advance(PURGE_INTERVAL_MS);
      await expectState(second, uploadId, "expired");
      await expect(sendChunk(second, uploadId, 0, someBytes(CHUNK))).rejects.toMatchObject({ code: "UPLOAD_NOT_FOUND" });
      clock.jumpWall(2 * PURGE_INTERVAL_MS);
      await clock.advance(PURGE_INTERVAL_MS);
      await expect.poll(() => stateOf(second, uploadId).catch((error: { code: string }) => error.code)).toBe("UPLOAD_NOT_FOUND");
    }));
});
