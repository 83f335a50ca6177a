/**
 * What depends on how transactions of several catalogs meet: for each pair, one stops after each of its statements in turn while the
 * other runs as far as it can. On MariaDB, for SQLite runs one transaction at a time.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { showBlobState } from "../../../src/actors/catalog/blob-state.ts";
import { commitFile } from "../../../src/actors/catalog/commit.ts";
import { deleteFile } from "../../../src/actors/catalog/delete.ts";
import { renameFile } from "../../../src/actors/catalog/files.ts";
import { OutboxSweep } from "../../../src/actors/catalog/outbox-sweep.ts";
import type { CatalogPorts } from "../../../src/actors/catalog/ports.ts";
import { purgeExpired } from "../../../src/actors/catalog/purge.ts";
import type { CatalogDatabase, CatalogTables } from "../../../src/actors/catalog/tables.ts";
import { claimUpload, endUpload, registerUpload } from "../../../src/actors/catalog/uploads.ts";
import { bytesOf } from "../../../src/core/byte-text.ts";
import { FileIdMaker } from "../../../src/core/file-id.ts";
import { OUTCOME_KEPT_MS } from "../../../src/core/limits.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import { randomIdentity } from "../../../src/core/ports/random.ts";
import { MemoryCache } from "../../../src/store/memory-cache.ts";
import { SystemClock } from "../../../src/store/system-clock.ts";
import { type PrivateMariadb, privateMariadb } from "../../support/mariadb.ts";
import { PausingClock } from "../../support/pausing-clock.ts";
import { codes, inEveryOrder, type Meeting, values } from "../../support/pausing-database.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { blobOf, contentOf } from "./rig.ts";

const ANN = { owner: "ann" };
const clock = new SystemClock();
const random = new SeededRandom(3);
const fileIds = new FileIdMaker(clock, random, "test");

let server: PrivateMariadb;
let handles: readonly [CatalogDatabase, CatalogDatabase];
let blobCount = 0;
let contentCount = 0;

beforeAll(async () => {
  server = await privateMariadb();
  handles = [
    await server.databases.openPart<CatalogTables>("storage", { clock: new PausingClock() }),
    await server.databases.openPart<CatalogTables>("storage", { clock: new PausingClock() }),
  ];
});

afterAll(async () => {
  await Promise.all(handles.map((database) => database.close()));
  await server[Symbol.asyncDispose]();
});

const portsOf = (database: CatalogDatabase): CatalogPorts => ({
  database,
  cache: new MemoryCache(clock),
  clock,
  log: SILENT_LOG,
  wake: () => {},
});
const quiet = (): CatalogPorts => portsOf(handles[1]);

const newContent = (): string => `content ${contentCount++}`;

const plan = (more: Partial<Parameters<typeof registerUpload>[2]> = {}) => ({
  uploadId: randomIdentity(random),
  fileId: fileIds.next("default"),
  app: "default",
  user: "default",
  name: "a.mp4",
  contentType: "video/mp4",
  chunkBytes: 65_536,
  createdMs: clock.wallMs(),
  host: "n1",
  group: "group001",
  ...more,
});

/** An upload that is ready to be committed with this content, by a blob of its own. */
async function readyToCommit(content: string) {
  const { uploadId, epoch } = await registerUpload(quiet(), ANN, plan());
  const blob = blobOf(blobCount++);
  const input = { uploadId, epoch, ...contentOf(content), blob };
  return { uploadId, epoch, blob, commit: (database: CatalogDatabase) => commitFile(portsOf(database), ANN, input) };
}

async function storedFile(content: string) {
  const { commit, blob } = await readyToCommit(content);
  const { file } = await commit(handles[1]);
  return { fileId: file.fileId, blob, remove: (database: CatalogDatabase) => deleteFile(portsOf(database), ANN, file.fileId) };
}

const blobsOf = (content: string) =>
  handles[1].read((query) =>
    query
      .selectFrom("t_blob")
      .select(["blob_id", "reference_count", "state", "live"])
      .where("digest", "=", Uint8Array.from(Buffer.from(contentOf(content).digests.blake3, "hex")))
      .orderBy("blob_id")
      .execute(),
  );

const filesOf = (blobId: bigint) =>
  handles[1].read(async (query) => {
    const found = await Promise.all(
      (["t_file_01", "t_file_02", "t_file_03"] as const).map((table) =>
        query.selectFrom(table).select("file_id").where("blob_id", "=", blobId).execute(),
      ),
    );
    return found.flat().length;
  });

const outboxOf = (text: string) =>
  handles[1].read(async (query) => {
    const rows = await query.selectFrom("t_outbox").select(["kind", "payload"]).execute();
    return rows.filter(({ payload }) => Buffer.from(payload).includes(text)).map(({ kind }) => kind);
  });

const uploadRow = (uploadId: string) =>
  handles[1].read((query) =>
    query.selectFrom("t_upload").select(["state", "epoch", "host"]).where("upload_id", "=", bytesOf(uploadId)).executeTakeFirst(),
  );

/** A live blob has as many references as files refer to it; a retired one has none, and its nodes are told once. */
async function expectConsistent(content: string, liveFiles: number): Promise<void> {
  const blobs = await blobsOf(content);
  const live = blobs.filter(({ state }) => state === "live");
  expect(live.map(({ reference_count, live }) => [reference_count, live])).toEqual(liveFiles === 0 ? [] : [[BigInt(liveFiles), 1n]]);
  for (const blob of blobs) {
    const isLive = blob.state === "live";
    expect(await filesOf(blob.blob_id)).toBe(isLive ? liveFiles : 0);
    expect((await outboxOf(`"blobId":${blob.blob_id},`)).filter((kind) => kind !== "blob.referred")).toEqual(
      isLive ? [] : ["blob.retired"],
    );
  }
}

const meet = <Left, Right>(make: () => Promise<Meeting<CatalogTables, Left, Right>>) => inEveryOrder(server.databases, handles, make);

describe("of two catalogs at once", () => {
  test("F24: the same content committed twice is one live blob with two references", async () => {
    const statementCount = await meet(async () => {
      const content = newContent();
      const [one, other] = [await readyToCommit(content), await readyToCommit(content)];
      return {
        first: one.commit,
        second: other.commit,
        check: async (...outcomes) => {
          expect(codes(...outcomes)).toEqual([]);
          expect(
            values(...outcomes)
              .map(({ isDuplicate }) => isDuplicate)
              .sort(),
          ).toEqual([false, true]);
          await expectConsistent(content, 2);
        },
      };
    });
    expect(statementCount).toBeGreaterThan(8);
  });

  test("F25: the last reference deleted while another is added leaves one live blob with that one", async () => {
    for (const deletesFirst of [true, false]) {
      await meet<unknown, unknown>(async () => {
        const content = newContent();
        const stored = await storedFile(content);
        const upload = await readyToCommit(content);
        return {
          first: deletesFirst ? stored.remove : upload.commit,
          second: deletesFirst ? upload.commit : stored.remove,
          check: async (...outcomes) => {
            expect(codes(...outcomes)).toEqual([]);
            await expectConsistent(content, 1);
          },
        };
      });
    }
  });

  test("F25: a file deleted twice is deleted once", async () => {
    await meet(async () => {
      const content = newContent();
      const { remove, fileId } = await storedFile(content);
      return {
        first: remove,
        second: remove,
        check: async (...outcomes) => {
          expect(codes(...outcomes)).toEqual(["FILE_NOT_FOUND"]);
          await expectConsistent(content, 0);
          expect(await outboxOf(fileId)).toEqual(["event", "event"]);
        },
      };
    });
  });

  test("a file renamed while it is deleted is deleted", async () => {
    await meet<unknown, unknown>(async () => {
      const content = newContent();
      const { remove, fileId } = await storedFile(content);
      return {
        first: (database) => renameFile(portsOf(database), ANN, { fileId, name: "b.mp4" }),
        second: remove,
        check: async (renamed, deleted) => {
          expect(codes(deleted)).toEqual([]);
          expect([[], ["FILE_NOT_FOUND"]]).toContainEqual(codes(renamed));
          await expectConsistent(content, 0);
        },
      };
    });
  });

  test("two files renamed to one name at once: one gets it, and nobody waits for ever", async () => {
    let nameCount = 0;
    await meet(async () => {
      const files = [await storedFile(newContent()), await storedFile(newContent())] as const;
      const name = `new ${nameCount++}.mp4`;
      const rename = (fileId: string) => (database: CatalogDatabase) => renameFile(portsOf(database), ANN, { fileId, name });
      return {
        first: rename(files[0].fileId),
        second: rename(files[1].fileId),
        check: (...outcomes) => {
          expect(codes(...outcomes)).toEqual(["NAME_TAKEN"]);
          expect(values(...outcomes)).toMatchObject([{ name }]);
        },
      };
    });
  });

  test("two files that take each other's name at once never both lose their own", async () => {
    let nameCount = 0;
    await meet(async () => {
      const files = [await storedFile(newContent()), await storedFile(newContent())] as const;
      const names = [`left ${nameCount}.mp4`, `right ${nameCount++}.mp4`] as const;
      for (const index of [0, 1] as const) await renameFile(quiet(), ANN, { fileId: files[index].fileId, name: names[index] });
      return {
        first: (database) => renameFile(portsOf(database), ANN, { fileId: files[0].fileId, name: names[1] }),
        second: (database) => renameFile(portsOf(database), ANN, { fileId: files[1].fileId, name: names[0] }),
        check: (...outcomes) => expect(codes(...outcomes)).toEqual(["NAME_TAKEN", "NAME_TAKEN"]),
      };
    });
  });

  test("a file renamed to the name of one that is being deleted gets it, or hears that it is taken", async () => {
    let nameCount = 0;
    await meet<unknown, unknown>(async () => {
      const files = [await storedFile(newContent()), await storedFile(newContent())] as const;
      const name = `gone ${nameCount++}.mp4`;
      await renameFile(quiet(), ANN, { fileId: files[1].fileId, name });
      return {
        first: (database) => renameFile(portsOf(database), ANN, { fileId: files[0].fileId, name }),
        second: files[1].remove,
        check: (renamed, removed) => {
          expect(codes(removed)).toEqual([]);
          expect([[], ["NAME_TAKEN"]]).toContainEqual(codes(renamed));
        },
      };
    });
  });

  test("F2: an upload claimed by two hosts has two epochs, and belongs to the one with the higher", async () => {
    await meet(async () => {
      const { uploadId } = await registerUpload(quiet(), ANN, plan());
      const claim = (host: string) => (database: CatalogDatabase) => claimUpload(portsOf(database), ANN, { uploadId, host });
      return {
        first: claim("n2"),
        second: claim("n3"),
        check: async (...outcomes) => {
          const claims = values(...outcomes).sort((a, b) => a.epoch - b.epoch);
          expect(claims.map(({ epoch }) => epoch)).toEqual([2, 3]);
          expect(await uploadRow(uploadId)).toMatchObject({ epoch: 3n, host: Buffer.from(claims[1]?.host ?? "") });
        },
      };
    });
  });

  test("F2: an upload claimed while its former host commits is the file of one of them", async () => {
    await meet<unknown, unknown>(async () => {
      const content = newContent();
      const { uploadId, commit } = await readyToCommit(content);
      return {
        first: commit,
        second: (database) => claimUpload(portsOf(database), ANN, { uploadId, host: "n2" }),
        check: async (committed, claimed) => {
          expect(codes(claimed)).toEqual([]);
          const isCommitted = committed.status === "fulfilled";
          expect(codes(committed)).toEqual(isCommitted ? [] : ["EPOCH_STALE"]);
          expect(values(claimed)).toMatchObject([{ state: isCommitted ? "merged" : "receiving" }]);
          await expectConsistent(content, isCommitted ? 1 : 0);
        },
      };
    });
  });

  test("F22: an upload cancelled while it is committed is one or the other, and both hear the same", async () => {
    for (const commitsFirst of [true, false]) {
      await meet<unknown, unknown>(async () => {
        const content = newContent();
        const { uploadId, epoch, commit } = await readyToCommit(content);
        const cancel = (database: CatalogDatabase) =>
          endUpload(portsOf(database), ANN, { uploadId, epoch, state: "cancelled", isForgotten: false });
        return {
          first: commitsFirst ? commit : cancel,
          second: commitsFirst ? cancel : commit,
          check: async (...outcomes) => {
            const row = await uploadRow(uploadId);
            const isMerged = row?.state === "merged";
            expect(codes(...outcomes)).toEqual([isMerged ? "UPLOAD_MERGED" : "UPLOAD_CANCELLED"]);
            await expectConsistent(content, isMerged ? 1 : 0);
          },
        };
      });
    }
  });

  test("F11: one idempotency key used twice is one upload", async () => {
    let keyCount = 0;
    await meet(async () => {
      const operation = { key: `key ${keyCount++}`, requestDigest: "ab".repeat(32) };
      const plans = [plan({ operation }), plan({ operation })] as const;
      return {
        first: (database) => registerUpload(portsOf(database), ANN, plans[0]),
        second: (database) => registerUpload(portsOf(database), ANN, plans[1]),
        check: async (...outcomes) => {
          expect(codes(...outcomes)).toEqual([]);
          const answers = values(...outcomes);
          expect(new Set(answers.map(({ uploadId }) => uploadId)).size).toBe(1);
          expect(answers.map(({ isNew }) => isNew).sort()).toEqual([false, true]);
          const rows = await Promise.all(plans.map(({ uploadId }) => uploadRow(uploadId)));
          expect(rows.filter((row) => row !== undefined)).toHaveLength(1);
        },
      };
    });
  });

  test("F11: one registration that comes twice, for its answer was lost, is answered alike", async () => {
    await meet(async () => {
      const registration = plan({ operation: { key: randomIdentity(random), requestDigest: "ab".repeat(32) } });
      const register = (database: CatalogDatabase) => registerUpload(portsOf(database), ANN, registration);
      return {
        first: register,
        second: register,
        check: (...outcomes) => {
          const answer = { uploadId: registration.uploadId, epoch: 1, isNew: true };
          expect(values(...outcomes)).toEqual([answer, answer]);
        },
      };
    });
  });

  test("an upload forgotten while its key is used again leaves the key to one upload that is there", async () => {
    await meet<unknown, { uploadId: string }>(async () => {
      const operation = { key: randomIdentity(random), requestDigest: "ab".repeat(32) };
      const { uploadId, epoch } = await registerUpload(quiet(), ANN, plan({ operation }));
      const next = plan({ operation });
      return {
        first: (database) => endUpload(portsOf(database), ANN, { uploadId, epoch, state: "cancelled", isForgotten: true }),
        second: (database) => registerUpload(portsOf(database), ANN, next),
        check: async (forgotten, registered) => {
          expect(codes(forgotten, registered)).toEqual([]);
          // It may have been told of the first one just before that was forgotten.
          const [{ uploadId: told } = { uploadId: "" }] = values(registered);
          expect([uploadId, next.uploadId]).toContain(told);
          expect(await uploadRow(uploadId)).toBeUndefined();
          expect((await uploadRow(next.uploadId)) !== undefined).toBe(told === next.uploadId);
        },
      };
    });
  });

  test("F15: whether a blob is known is answered when a commit that is under way has ended", async () => {
    const states: (string | undefined)[] = [];
    await meet<unknown, { state: string }>(async () => {
      const { commit, blob } = await readyToCommit(newContent());
      return {
        first: commit,
        second: (database) => showBlobState(portsOf(database), { blobId: blob.blobId }),
        check: (committed, shown) => {
          expect(codes(committed, shown)).toEqual([]);
          states.push(values(shown)[0]?.state);
        },
      };
    });
    // Asked after its first statement: the commit had locked the upload and not yet written anything of the blob.
    expect(states[0]).toBe("unknown");
    expect(new Set(states.slice(1))).toEqual(new Set(["live"]));
  });

  test("what has expired is removed once, by both together", async () => {
    await meet(async () => {
      const { uploadId, epoch } = await registerUpload(quiet(), ANN, plan());
      await endUpload(quiet(), ANN, { uploadId, epoch, state: "cancelled", isForgotten: false });
      const purge = (database: CatalogDatabase) => purgeExpired(database, clock.wallMs() + 2 * OUTCOME_KEPT_MS);
      return {
        first: purge,
        second: purge,
        check: async (...outcomes) => {
          expect(codes(...outcomes)).toEqual([]);
          expect(await uploadRow(uploadId)).toBeUndefined();
        },
      };
    });
  });

  test("F12: a row of the outbox is delivered by one of them", async () => {
    await handles[0].transact(({ query }) => query.deleteFrom("t_outbox").execute());
    const nowMs = clock.wallMs();
    const rowCount = 200;
    const entry = { kind: "event" as const, payload: bytesOf("{}"), attempt_count: 0, due_time: nowMs, create_time: nowMs };
    await handles[0].transact(({ query }) =>
      query
        .insertInto("t_outbox")
        .values(Array.from({ length: rowCount }, () => entry))
        .execute(),
    );
    const delivered: bigint[] = [];
    let everything = (): void => {};
    const all = new Promise<void>((resolve) => {
      everything = resolve;
    });
    const sweeps = handles.map(
      (database) =>
        new OutboxSweep({
          kind: "event",
          database,
          clock,
          random,
          log: SILENT_LOG,
          deliver: async (claim) => {
            delivered.push(...claim.rows.map(({ outboxId }) => outboxId));
            if (delivered.length >= rowCount) everything();
            await claim.settle(claim.rows.map((row) => ({ row, delivery: { kind: "done" } })));
          },
        }),
    );
    for (const sweep of sweeps) sweep.wake();
    await all;
    await Promise.all(sweeps.map((sweep) => sweep.stop()));
    expect(delivered).toHaveLength(rowCount);
    expect(new Set(delivered).size).toBe(rowCount);
    expect(await handles[0].read((query) => query.selectFrom("t_outbox").select("outbox_id").execute())).toEqual([]);
  });
});
