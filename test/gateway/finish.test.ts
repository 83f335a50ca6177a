/** How an upload ends, as its client hears of it: at once, later, by events; and why it did not, and whether to try again. */
import { setTimeout } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { CatalogTables } from "../../src/actors/catalog/tables.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { MERGE_ASKED_AGAIN_MS, MERGE_WAIT_MS } from "../../src/core/limits.ts";
import type { Database } from "../../src/core/ports/database.ts";
import { NodeDisk } from "../../src/store/node-disk.ts";
import { diskFailed, diskFull, FaultyDisk } from "../support/faulty-disk.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { AS_LOCAL, sendChunk, someBytes, startTroupe, type Troupe } from "../support/troupe.ts";
import { gatewayOf, type TroupeGateway } from "../support/troupe-gateway.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const CHUNK = 65_536;
const BYTES = someBytes(CHUNK + 10);

interface Stage {
  readonly troupe: Troupe;
  readonly gateway: TroupeGateway;
  readonly clock: VirtualClock;
  readonly disk: FaultyDisk;
  readonly database: CuttableDatabase;
  /** Whatever a test holds back is let go on when it ends: a test that fails with a merge held says so, and stops. */
  readonly held: (() => void)[];
}

/** A database whose answers can be lost, before or after the commit. */
class CuttableDatabase implements Database<CatalogTables> {
  readonly #inner: Database<CatalogTables>;
  cut: "before" | "after" | undefined;

  constructor(inner: Database<CatalogTables>) {
    this.#inner = inner;
  }

  transact: Database<CatalogTables>["transact"] = async (work) => {
    const away = new TroupeError("DATABASE_UNAVAILABLE", "10.0.0.7:3306 is away");
    if (this.cut === "before") throw away;
    const result = await this.#inner.transact(work);
    if (this.cut === "after") throw away;
    return result;
  };

  read: Database<CatalogTables>["read"] = (work) => this.#inner.read(work);
  close(): Promise<void> {
    return this.#inner.close();
  }
}

async function staged(work: (stage: Stage) => Promise<void>): Promise<void> {
  await using directory = await temporaryDirectory();
  const clock = new VirtualClock();
  const disk = new FaultyDisk(new NodeDisk());
  let database: CuttableDatabase | undefined;
  await using troupe = await startTroupe({
    root: directory.path,
    clock,
    disk,
    wrapStorageDatabase: (inner) => {
      database = new CuttableDatabase(inner);
      return database;
    },
  });
  if (database === undefined) throw new Error("the database is wrapped at the start");
  const gateway = gatewayOf(troupe);
  const held: (() => void)[] = [];
  try {
    await work({ troupe, gateway, clock, disk, database, held });
  } finally {
    disk.intercept = () => {};
    for (const letGo of held) letGo();
    await gateway.stop();
  }
}

/** All chunks are there. @returns the upload's path */
async function complete({ gateway, troupe }: Stage, wish: Record<string, unknown> = {}): Promise<string> {
  const created = await gateway.post("/api/v1/uploads", { name: "a b.mp4", size: BYTES.length, chunkBytes: CHUNK, ...wish });
  const uploadId = String(created.json["uploadId"]);
  for (const index of [0, 1]) await sendChunk(troupe, uploadId, index, BYTES.subarray(index * CHUNK, (index + 1) * CHUNK));
  return `/api/v1/uploads/${uploadId}`;
}

/** The merge waits where it writes its leaf digests, until it is let go on. */
function holdLeaves({ disk, held }: Stage): { readonly reached: Promise<void>; readonly goOn: () => void } {
  const reached = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  held.push(gate.resolve);
  disk.intercept = (call, path) => {
    if (call !== "open" || !path.endsWith("/leaves")) return;
    reached.resolve();
    return gate.promise;
  };
  return { reached: reached.promise, goOn: () => gate.resolve() };
}

const status = async ({ gateway }: Stage, path: string) => (await gateway.ask("GET", path)).json;

const merged = (stage: Stage, path: string) => expect.poll(async () => (await status(stage, path))["state"]).toBe("merged");

/** Moves time on until the answer is there; the disk has its own time. */
async function whileTimePasses<T>(clock: VirtualClock, answering: Promise<T>, stepMs = 50): Promise<T> {
  let isOver = false;
  const over = answering.then(
    () => (isOver = true),
    () => (isOver = true),
  );
  for (let round = 0; !isOver && round < 2_000; round += 1) {
    await Promise.race([over, setTimeout(5)]);
    await clock.advance(stepMs);
  }
  return await answering;
}

interface ServerSentEvent {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: Record<string, unknown>;
}

async function nextEvent(blocks: AsyncIterator<Uint8Array>): Promise<ServerSentEvent | undefined> {
  const { value, done } = await blocks.next();
  if (done === true) return undefined;
  const fields = new Map(
    Buffer.from(value as Uint8Array)
      .toString()
      .trim()
      .split("\n")
      .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
  );
  return { event: fields.get("event") ?? "", id: fields.get("id"), data: JSON.parse(fields.get("data") ?? "{}") };
}

async function allEvents(blocks: AsyncIterator<Uint8Array>): Promise<ServerSentEvent[]> {
  const events: ServerSentEvent[] = [];
  for (let event = await nextEvent(blocks); event !== undefined; event = await nextEvent(blocks)) events.push(event);
  return events;
}

describe("a finish", () => {
  it("that need not be waited for says where to ask, how far it is, and there is the file", () =>
    staged(async (stage) => {
      const path = await complete(stage);
      const held = holdLeaves(stage);
      const begun = await stage.gateway.ask("POST", `${path}/merge`, { headers: { prefer: "respond-async" } });
      expect([begun.status, begun.headers["location"], begun.headers["retry-after"], begun.headers["preference-applied"]]).toEqual([
        202,
        path,
        "1",
        "respond-async",
      ]);
      await held.reached;
      expect(await status(stage, path)).toMatchObject({ state: "verifying", followedBytes: expect.any(Number), missing: [] });
      held.goOn();
      await merged(stage, path);
      const { file, fileId } = await status(stage, path);
      expect(file).toMatchObject({ fileId, name: "a b.mp4", size: BYTES.length, digest: { blake3: expect.any(String) } });
      expect(file).toMatchObject({ url: `http://localhost:8080/files/${String(fileId)}/a%20b.mp4` });
      const again = await stage.gateway.ask("POST", `${path}/merge`, { headers: { prefer: "respond-async" } });
      expect([again.status, again.json["fileId"]]).toEqual([200, fileId]);
    }));

  for (const [prefer, waitMs] of [
    ["respond-async, wait=3", 3_000],
    ["WAIT=7; x=y", 7_000],
    ["wait=100000", MERGE_WAIT_MS],
  ] as const) {
    it(`is waited for as long as the client says, and never longer than a proxy would: ${prefer}`, () =>
      staged(async (stage) => {
        const path = await complete(stage);
        const held = holdLeaves(stage);
        let isAnswered = false;
        const answering = stage.gateway.ask("POST", `${path}/merge`, { headers: { prefer } }).finally(() => (isAnswered = true));
        await held.reached;
        await stage.clock.advance(waitMs - 1);
        expect(isAnswered).toBe(false);
        await stage.clock.advance(1);
        const answer = await answering;
        expect([answer.status, answer.headers["location"]]).toEqual([202, path]);
      }));
  }

  it("whose client was told to ask later goes on after what kept it, without being asked", () =>
    staged(async (stage) => {
      const path = await complete(stage);
      const held = holdLeaves(stage);
      const answering = stage.gateway.ask("POST", `${path}/merge`);
      await held.reached;
      await stage.clock.advance(MERGE_WAIT_MS);
      expect((await answering).status).toBe(202);
      // It breaks off now, when nobody waits any more.
      stage.disk.intercept = (call, at) => {
        if (call === "link") throw diskFull(at);
      };
      held.goOn();
      await expect
        .poll(async () => (await status(stage, path))["lastError"])
        .toEqual({ code: "DISK_FULL", detail: expect.any(String), retryable: true });
      stage.disk.intercept = () => {};
      await expect
        .poll(async () => {
          await stage.clock.advance(MERGE_ASKED_AGAIN_MS);
          return (await status(stage, path))["state"];
        })
        .toBe("merged");
    }));
});

describe("the events of a finish", () => {
  it("tell each transition, and at the end the file", () =>
    staged(async (stage) => {
      const path = await complete(stage);
      const { blocks } = await stage.gateway.stream(`${path}/events`);
      expect(await nextEvent(blocks)).toMatchObject({ event: "state", id: "1-receiving", data: { state: "receiving" } });
      await stage.gateway.ask("POST", `${path}/merge`);
      const events = await allEvents(blocks);
      expect(events.map(({ data }) => data["state"])).toEqual(["verifying", "replicating", "committing", "merged"]);
      const last = events.at(-1);
      expect(last).toMatchObject({ event: "state", id: "1-merged" });
      const fileId = String(last?.data["fileId"]);
      expect(last?.data["file"]).toMatchObject({ fileId, digest: { blake3: expect.any(String) } });
      expect(last?.data["file"]).toMatchObject({ url: `http://localhost:8080/files/${fileId}/a%20b.mp4` });
    }));

  it("tell the outcome at once to who comes after it, and to who has heard it that there is nothing more", () =>
    staged(async (stage) => {
      const path = await complete(stage);
      await stage.gateway.ask("POST", `${path}/merge`);
      for (const lastEventId of [undefined, "1-committing", "7"]) {
        const headers: Record<string, string> = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
        const late = await stage.gateway.stream(`${path}/events`, headers);
        expect(await allEvents(late.blocks)).toMatchObject([{ id: "1-merged", data: { state: "merged", file: { name: "a b.mp4" } } }]);
      }
      expect((await stage.gateway.ask("GET", `${path}/events`, { headers: { "last-event-id": "1-merged" } })).status).toBe(204);
    }));
});

describe("a merge that fails", () => {
  interface Failure {
    readonly wish?: Record<string, unknown>;
    readonly break: (stage: Stage, path: string) => void | Promise<void>;
    readonly code: string;
    readonly http: number;
    readonly retryable: boolean;
    readonly state: string;
  }

  const failures: Readonly<Record<string, Failure>> = {
    "F23: the digest is another": {
      wish: { digest: { algorithm: "md5", value: "00".repeat(16) } },
      break: () => {},
      code: "DIGEST_MISMATCH",
      http: 422,
      retryable: false,
      state: "failed",
    },
    "the disk is full for the leaf digests": {
      break: ({ disk }) => {
        disk.intercept = (call, path) => {
          if (call === "write" && path.endsWith("/leaves")) throw diskFull(path);
        };
      },
      code: "DISK_FULL",
      http: 507,
      retryable: true,
      state: "receiving",
    },
    "the disk is full for the journal": {
      break: ({ disk }) => {
        disk.intercept = (call, path) => {
          if (call === "write" && path.endsWith("/journal")) throw diskFull(path);
        };
      },
      code: "DISK_FULL",
      http: 507,
      retryable: true,
      state: "receiving",
    },
    "the disk is full for the blob's name": {
      break: ({ disk }) => {
        disk.intercept = (call, path) => {
          if (call === "link") throw diskFull(path);
        };
      },
      code: "DISK_FULL",
      http: 507,
      retryable: true,
      state: "receiving",
    },
    "the disk fails": {
      break: ({ disk }) => {
        disk.intercept = (call, path) => {
          if (call === "sync" && path.endsWith("/leaves")) throw diskFailed(path);
        };
      },
      code: "DISK_FAILED",
      http: 500,
      retryable: false,
      state: "failed",
    },
    "the database is away before it commits": {
      break: ({ database }) => {
        database.cut = "before";
      },
      code: "DATABASE_UNAVAILABLE",
      http: 503,
      retryable: true,
      state: "receiving",
    },
    "F15: the database goes away with its answer": {
      break: ({ database }) => {
        database.cut = "after";
      },
      code: "DATABASE_UNAVAILABLE",
      http: 503,
      retryable: true,
      state: "receiving",
    },
    "F2: another host has the upload": {
      break: async ({ troupe }, path) => {
        await troupe.catalog.claimUpload({ uploadId: path.split("/").at(-1) as string, host: "another" });
      },
      code: "EPOCH_STALE",
      http: 409,
      retryable: false,
      state: "failed",
    },
  };

  for (const [name, failure] of Object.entries(failures)) {
    const { code, http, retryable, state } = failure;
    it(`${name}: says ${code}, ${retryable ? "to try again" : "for good"}, and the upload is ${state} for it`, () =>
      staged(async (stage) => {
        const path = await complete(stage, failure.wish);
        const { blocks } = await stage.gateway.stream(`${path}/events`);
        await nextEvent(blocks);
        await failure.break(stage, path);
        const answer = await whileTimePasses(stage.clock, stage.gateway.ask("POST", `${path}/merge`));
        expect([answer.status, answer.json["code"]]).toEqual([http, code]);
        const lastError = { code, detail: expect.any(String), retryable };
        // A host that has lost its upload has no word in how it ends.
        if (code !== "EPOCH_STALE") expect(answer.json["lastError"]).toEqual(lastError);
        expect(answer.headers["retry-after"] !== undefined).toBe(retryable);
        for (let event = await nextEvent(blocks); code !== "EPOCH_STALE"; event = await nextEvent(blocks)) {
          expect(event).toBeDefined();
          if (event?.data["state"] !== state) continue;
          expect(event.data["lastError"]).toEqual(lastError);
          break;
        }
        // Nothing of the server's inside is told: neither a path nor an address.
        expect(answer.text).not.toMatch(/10\.0\.0\.7|\/leaves|\/data/);
        if (retryable) {
          stage.disk.intercept = () => {};
          stage.database.cut = undefined;
          expect(await status(stage, path)).toMatchObject({ lastError });
          const again = await whileTimePasses(stage.clock, stage.gateway.ask("POST", `${path}/merge`));
          expect([again.status, again.json["size"]]).toEqual([200, BYTES.length]);
        } else if (code !== "EPOCH_STALE") {
          // The same again gives the same answer, from the session and from the catalog.
          await expect.poll(async () => (await stage.troupe.catalog.uploads({ state: "failed" }, AS_LOCAL)).uploads.length).toBe(1);
          const again = await stage.gateway.ask("POST", `${path}/merge`);
          expect([again.status, again.json["code"], again.json["lastError"]]).toEqual([http, code, lastError]);
          expect(await status(stage, path)).toMatchObject({ state: "failed", lastError });
        }
        await blocks.return?.();
      }));
  }
});
