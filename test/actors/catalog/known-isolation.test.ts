/**
 * Content that is there already, while several catalogs commit, refer to and delete the same: on MariaDB, for SQLite runs one transaction
 * at a time.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { commitFile } from "../../../src/actors/catalog/commit.ts";
import { deleteFile } from "../../../src/actors/catalog/delete.ts";
import { commitKnown, instantUpload } from "../../../src/actors/catalog/known-commit.ts";
import { findOwnContent, findProvableContent } from "../../../src/actors/catalog/known-content.ts";
import type { CatalogPorts } from "../../../src/actors/catalog/ports.ts";
import { type CatalogDatabase, type CatalogTables, FILE_TABLES } from "../../../src/actors/catalog/tables.ts";
import { registerUpload } from "../../../src/actors/catalog/uploads.ts";
import { SYSTEM_OWNER } from "../../../src/bus/client.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import { FileIdMaker } from "../../../src/core/file-id.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import { isOutcomeUnknown } from "../../../src/core/ports/database.ts";
import { randomIdentity } from "../../../src/core/ports/random.ts";
import type { Principal } from "../../../src/core/principal.ts";
import { MemoryCache } from "../../../src/store/memory-cache.ts";
import { SystemClock } from "../../../src/store/system-clock.ts";
import { type PrivateMariadb, privateMariadb } from "../../support/mariadb.ts";
import { PausingClock } from "../../support/pausing-clock.ts";
import { codes, inEveryOrder, type Meeting, values } from "../../support/pausing-database.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { blobOf, contentOf } from "./rig.ts";

const ANN = { owner: "ann" };
const BOB = { owner: "bob" };
const SYSTEM = { owner: SYSTEM_OWNER };
const clock = new SystemClock();
const random = new SeededRandom(13);
const fileIds = new FileIdMaker(clock, random, "test");

let server: PrivateMariadb;
let handles: readonly [CatalogDatabase, CatalogDatabase, CatalogDatabase];
let blobCount = 0;
let contentCount = 0;

beforeAll(async () => {
  server = await privateMariadb();
  const open = () => server.databases.openPart<CatalogTables>("storage", { clock: new PausingClock() });
  handles = [await open(), await open(), await open()];
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
const newContent = (): string => `known ${contentCount++}`;
const digestOf = (content: string) => ({ algorithm: "blake3", value: contentOf(content).digests.blake3 }) as const;

const plan = (content: string) => ({
  uploadId: randomIdentity(random),
  fileId: fileIds.next("default"),
  app: "default",
  user: `user ${random.integer(5)}`,
  name: "a.mp4",
  contentType: "video/mp4",
  chunkBytes: 65_536,
  createdMs: clock.wallMs(),
  host: "n1",
  group: "group001",
  sizeBytes: contentOf(content).sizeBytes,
  digest: digestOf(content),
});

/** With the bytes, by a blob of its own. */
async function upload(ports: CatalogPorts, principal: Principal, content: string): Promise<string> {
  const { uploadId, epoch } = await registerUpload(ports, principal, plan(content));
  const blob = blobOf(blobCount++);
  return (await commitFile(ports, SYSTEM, { uploadId, epoch, ...contentOf(content), blob })).file.fileId;
}

/** By the digest of one's own. */
async function uploadInstantly(ports: CatalogPorts, principal: Principal, content: string): Promise<string | undefined> {
  const { content: known } = await findOwnContent(ports, principal, { digest: digestOf(content) });
  if (known === undefined) return undefined;
  return (await instantUpload(ports, principal, { ...plan(content), blobId: known.blob.blobId })).file?.fileId;
}

/** By a proof that held. */
async function uploadProven(ports: CatalogPorts, principal: Principal, content: string): Promise<string | undefined> {
  const wish = plan(content);
  const { content: known } = await findProvableContent(ports, wish);
  if (known === undefined) return undefined;
  const { uploadId, epoch } = await registerUpload(ports, principal, wish);
  return (await commitKnown(ports, SYSTEM, { uploadId, epoch, blobId: known.blob.blobId })).file.fileId;
}

async function filesOf(blobId: bigint): Promise<number> {
  const found = await Promise.all(
    FILE_TABLES.map((table) =>
      handles[1].read((query) => query.selectFrom(table).select("file_id").where("blob_id", "=", blobId).execute()),
    ),
  );
  return found.flat().length;
}

/** One live blob with as many references as files; a retired one has none. @returns files */
async function countFiles(content: string): Promise<number> {
  const digest = Uint8Array.from(Buffer.from(contentOf(content).digests.blake3, "hex"));
  const blobs = await handles[1].read((query) => query.selectFrom("t_blob").selectAll().where("digest", "=", digest).execute());
  const live = blobs.filter(({ state }) => state === "live");
  expect(live.length).toBeLessThanOrEqual(1);
  for (const blob of blobs) {
    expect(Number(blob.reference_count)).toBe(await filesOf(blob.blob_id));
    expect(blob.reference_count > 0n).toBe(blob.state === "live");
    expect(blob.live).toBe(blob.state === "live" ? 1n : null);
  }
  return Number(live[0]?.reference_count ?? 0n);
}

/** A database that is too busy for a transaction says so, and has done nothing of it. */
async function again<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      const isBusy = error instanceof TroupeError && error.code === "DATABASE_UNAVAILABLE" && !isOutcomeUnknown(error);
      if (!isBusy || attempt === 20) throw error;
    }
  }
}

const meet = <Left, Right>(make: () => Promise<Meeting<CatalogTables, Left, Right>>) =>
  inEveryOrder(server.databases, [handles[0], handles[1]], make);

describe("of two catalogs at once", () => {
  test("F24: an instant upload beside an upload of the same content is one blob with a reference for each file", async () => {
    for (const instantFirst of [true, false]) {
      await meet<unknown, unknown>(async () => {
        const content = newContent();
        await upload(quiet(), ANN, content);
        const instant = (database: CatalogDatabase) => uploadInstantly(portsOf(database), ANN, content);
        const { uploadId, epoch } = await registerUpload(quiet(), BOB, plan(content));
        const blob = blobOf(blobCount++);
        const commit = (database: CatalogDatabase) =>
          commitFile(portsOf(database), SYSTEM, { uploadId, epoch, ...contentOf(content), blob });
        return {
          first: instantFirst ? instant : commit,
          second: instantFirst ? commit : instant,
          check: async (...outcomes) => {
            expect(codes(...outcomes)).toEqual([]);
            expect(await countFiles(content)).toBe(3);
          },
        };
      });
    }
  });

  test.each([
    ["an instant upload", uploadInstantly, ANN],
    ["a proven one", uploadProven, BOB],
  ] as const)(
    "F24, F25: %s while the last file is deleted refers to a live blob or is told that the content has gone",
    async (_, begin, principal) => {
      const ends = new Set<string>();
      for (const deletesFirst of [true, false]) {
        await meet<unknown, unknown>(async () => {
          const content = newContent();
          const fileId = await upload(quiet(), ANN, content);
          const add = (database: CatalogDatabase) => begin(portsOf(database), principal, content);
          const remove = (database: CatalogDatabase) => deleteFile(portsOf(database), ANN, fileId);
          return {
            first: deletesFirst ? remove : add,
            second: deletesFirst ? add : remove,
            check: async (first, second) => {
              const [added, removed] = deletesFirst ? [second, first] : [first, second];
              expect(codes(removed)).toEqual([]);
              const isThere = added.status === "fulfilled" && added.value !== undefined;
              expect([[], ["BLOB_NOT_FOUND"]]).toContainEqual(codes(added));
              expect(await countFiles(content)).toBe(isThere ? 1 : 0);
              ends.add(isThere ? "there" : ((codes(added)[0] as string) ?? "not found"));
            },
          };
        });
      }
      expect(ends).toContain("there");
      expect(ends.size).toBeGreaterThan(1);
    },
  );

  test("F11: one key used for two instant uploads is one file", async () => {
    await meet(async () => {
      const content = newContent();
      await upload(quiet(), ANN, content);
      const { content: known } = await findOwnContent(quiet(), ANN, { digest: digestOf(content) });
      const operation = { key: randomIdentity(random), requestDigest: "ab".repeat(32) };
      const blobId = known?.blob.blobId as number;
      const wishes = [
        { ...plan(content), operation, blobId },
        { ...plan(content), operation, blobId },
      ] as const;
      return {
        first: (database) => instantUpload(portsOf(database), ANN, wishes[0]),
        second: (database) => instantUpload(portsOf(database), ANN, wishes[1]),
        check: async (...outcomes) => {
          expect(codes(...outcomes)).toEqual([]);
          expect(new Set(values(...outcomes).map(({ file }) => file?.fileId)).size).toBe(1);
          expect(await countFiles(content)).toBe(2);
        },
      };
    });
  });

  test("F11: one instant upload that comes twice, for its answer was lost, is one file", async () => {
    await meet(async () => {
      const content = newContent();
      await upload(quiet(), ANN, content);
      const { content: known } = await findOwnContent(quiet(), ANN, { digest: digestOf(content) });
      const wish = { ...plan(content), blobId: known?.blob.blobId as number };
      const begin = (database: CatalogDatabase) => instantUpload(portsOf(database), ANN, wish);
      return {
        first: begin,
        second: begin,
        check: async (...outcomes) => {
          expect(codes(...outcomes)).toEqual([]);
          expect(values(...outcomes).map(({ file }) => file?.fileId)).toEqual([wish.fileId, wish.fileId]);
          expect(await countFiles(content)).toBe(2);
        },
      };
    });
  });
});

test("F14, F24: uploads, instant ones, proven ones and deletes of a few contents by many at once leave references that are right", async () => {
  const contents = [newContent(), newContent(), newContent()];
  const files: { readonly principal: Principal; readonly fileId: string }[] = [];
  const seen = { begun: 0, refused: 0, deleted: 0 };
  const turn = async (): Promise<void> => {
    const ports = portsOf(handles[random.integer(handles.length)] as CatalogDatabase);
    const principal = random.integer(2) === 0 ? ANN : BOB;
    const content = contents[random.integer(contents.length)] as string;
    if (random.integer(5) < 2 && files.length > 0) {
      const [file] = files.splice(random.integer(files.length), 1);
      if (file !== undefined) await again(() => deleteFile(ports, file.principal, file.fileId));
      seen.deleted += 1;
      return;
    }
    const begin = [upload, uploadInstantly, uploadInstantly, uploadProven][random.integer(4)] as typeof uploadProven;
    try {
      const fileId = await again(() => begin(ports, principal, content));
      if (fileId === undefined) return;
      files.push({ principal, fileId });
      seen.begun += 1;
    } catch (error) {
      expect(error).toMatchObject({ code: "BLOB_NOT_FOUND" });
      seen.refused += 1;
    }
  };
  const work = async (): Promise<void> => {
    for (let count = 0; count < 25; count += 1) await turn();
  };
  await Promise.all(Array.from({ length: 12 }, work));
  const counts = await Promise.all(contents.map(countFiles));
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(files.length);
  expect(seen.begun).toBeGreaterThan(20);
  expect(seen.deleted).toBeGreaterThan(20);
});
