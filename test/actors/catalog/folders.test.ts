/** Folders made of names, on both databases: against a model that reads everything, and by what is asked of the database. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { FolderEntry } from "../../../src/actors/catalog/contract.ts";
import { findByName, listFolder, listUsers } from "../../../src/actors/catalog/folders.ts";
import type { CatalogPorts } from "../../../src/actors/catalog/ports.ts";
import { type CatalogDatabase, type CatalogTables, fileTableOfUser } from "../../../src/actors/catalog/tables.ts";
import { bytesOf } from "../../../src/core/byte-text.ts";
import { FOLDER_SCAN_ROWS, FOLDER_STATEMENTS_MAX, PAGE_ITEMS_MAX, REPLY_BYTES_MAX } from "../../../src/core/limits.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import { ANYONE } from "../../../src/core/principal.ts";
import { userShard } from "../../../src/core/user-shard.ts";
import { MemoryCache } from "../../../src/store/memory-cache.ts";
import { openTestDatabase } from "../../support/database.ts";
import { MariadbDatabases } from "../../support/mariadb.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { CatalogRig } from "./rig.ts";

const clock = new VirtualClock();
const ANN = { owner: "ann" };
const INSERTED_AT_ONCE = 500;

interface Stored {
  readonly owner: string;
  readonly user: string;
  readonly name: string;
  readonly createdMs: number;
  readonly fileId: string;
}

/** A database with a user of its own for each test, and a count of what was asked of it. */
class Shelves {
  readonly database: CatalogDatabase;
  statements = 0;
  #fileCount = 0;

  constructor(database: CatalogDatabase) {
    this.database = database;
  }

  get ports(): CatalogPorts {
    const read: CatalogDatabase["read"] = (work) =>
      this.database.read((query) =>
        work(
          query.withPlugin({
            transformQuery: ({ node }) => {
              this.statements += 1;
              return node;
            },
            transformResult: async ({ result }) => result,
          }),
        ),
      );
    const database: CatalogDatabase = { read, transact: (work) => this.database.transact(work), close: async () => undefined };
    return { database, cache: new MemoryCache(clock), clock, log: SILENT_LOG, wake: () => undefined };
  }

  /** Rows as commits leave them, for thousands of names. */
  async add(user: string, names: readonly string[], owner = "ann", createdMs = 1_000): Promise<Stored[]> {
    const files = names.map((name): Stored => {
      this.#fileCount += 1;
      return { owner, user, name, createdMs, fileId: `${this.#fileCount.toString(16).padStart(30, "0")}000000` };
    });
    await this.database.transact(async ({ query, insertIfAbsent }) => {
      await insertIfAbsent.call({ query } as never, "t_blob", {
        blob_id: 1,
        digest: new Uint8Array(32),
        size_bytes: 5,
        live: 1,
        group_name: bytesOf("group001"),
        path: "000/000/000/00000000_001",
        reference_count: 1,
        state: "live",
        generation: 1,
        create_time: 1,
        update_time: 1,
      });
      for (let index = 0; index < files.length; index += INSERTED_AT_ONCE) {
        const some = files.slice(index, index + INSERTED_AT_ONCE);
        const shard = userShard(user);
        const ids = some.map(({ fileId }) => ({ file_id: bytesOf(fileId), app: bytesOf("default"), user: bytesOf(user), shard }));
        await query.insertInto("t_file_id").values(ids).execute();
        const rows = some.map(({ fileId, name }, place) => ({
          file_id: bytesOf(fileId),
          owner: bytesOf(owner),
          app: bytesOf(place % 2 === 0 ? "default" : "other"),
          user: bytesOf(user),
          name: bytesOf(name),
          content_type: bytesOf("video/mp4"),
          blob_id: 1,
          create_time: createdMs,
          update_time: createdMs,
        }));
        await query.insertInto(fileTableOfUser(user)).values(rows).execute();
      }
    });
    return files;
  }

  async all(user: string, path: string, limit: number, principal = ANN): Promise<{ entries: FolderEntry[]; pages: number }> {
    const entries: FolderEntry[] = [];
    let pages = 0;
    let cursor: string | undefined;
    do {
      const page = await listFolder(this.ports, principal, { user, path, cursor, limit });
      expect(page.entries.length).toBeLessThanOrEqual(limit);
      entries.push(...page.entries);
      pages += 1;
      cursor = page.cursor;
    } while (cursor !== undefined);
    return { entries, pages };
  }
}

/** What a folder holds, by looking at every name. */
function expected(files: readonly Stored[], path: string): string[] {
  const found = new Map<string, Stored | undefined>();
  for (const file of files) {
    if (!file.name.startsWith(path)) continue;
    const rest = file.name.slice(path.length);
    const slash = rest.indexOf("/");
    const key = slash === -1 ? rest : rest.slice(0, slash + 1);
    const known = found.get(key);
    const isNewer =
      known === undefined || file.createdMs > known.createdMs || (file.createdMs === known.createdMs && file.fileId > known.fileId);
    if (isNewer) found.set(key, file);
  }
  return [...found]
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map(([key, file]) => (key.endsWith("/") ? key : `${key} ${file?.fileId}`));
}

const shown = (entries: readonly FolderEntry[]): string[] =>
  entries.map((entry) => (entry.kind === "folder" ? `${entry.name}/` : `${entry.name} ${entry.fileId}`));

let databases: MariadbDatabases;

describe.each(["SQLite", "MariaDB"])("folders on %s", (dialect) => {
  let shelves: Shelves;
  let isMariadb = false;

  beforeAll(async () => {
    isMariadb = dialect === "MariaDB";
    if (isMariadb) databases = await MariadbDatabases.open();
    shelves = new Shelves(await (isMariadb ? databases.openPart<CatalogTables>("storage") : openTestDatabase<CatalogTables>("storage")));
  });

  afterAll(async () => {
    await (isMariadb ? databases[Symbol.asyncDispose]() : shelves.database.close());
  });

  test("hold what their names say: each folder once, the newest file of each name, in pages of any size", async () => {
    // Near a slash in the order of bytes, like a cursor, and beyond ASCII.
    const part = fc.constantFrom("a", "b", "a!", "a0", "a.", "A", " a", "a ", "ä", "\u{1f3ac}", "%2f", "..a", "a\\b", "a'\"");
    const name = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
    let round = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(name, fc.integer({ min: 1, max: 3 })), { maxLength: 30 }),
        fc.integer({ min: 1, max: 5 }),
        async (given, limit) => {
          round += 1;
          const user = `${dialect}${round}`;
          const files: Stored[] = [];
          for (const createdMs of [3, 1, 2]) {
            const names = given.flatMap(([each, ms]) => (ms === createdMs ? [each] : []));
            files.push(...(await shelves.add(user, names, "ann", createdMs)));
          }
          await shelves.add(user, ["a", "zzz/of somebody else"], "bob", 9);
          const paths = new Set([""]);
          for (const file of files)
            for (let at = file.name.indexOf("/"); at !== -1; at = file.name.indexOf("/", at + 1)) paths.add(file.name.slice(0, at + 1));
          for (const path of paths) {
            expect(shown((await shelves.all(user, path, limit)).entries)).toEqual(expected(files, path));
          }
          for (const each of new Set(files.map((file) => file.name))) {
            const newest = expected(files, each.slice(0, each.lastIndexOf("/") + 1)).find((key) =>
              key.startsWith(`${each.slice(each.lastIndexOf("/") + 1)} `),
            );
            expect(newest).toContain((await findByName(shelves.ports, ANN, { user, name: each })).fileId);
          }
        },
      ),
      { numRuns: 15 },
    );
  });

  test("of 10,000 names are walked in pages, each name once; folders with thousands below them cost what one file costs", async () => {
    const user = `ten thousand ${dialect}`;
    const inFolders = Array.from({ length: 7_000 }, (_, index) => `folder ${index % 7}/${String(index).padStart(5, "0")}.ts`);
    const beside = Array.from({ length: 3_000 }, (_, index) => `film ${String(index).padStart(4, "0")}.mp4`);
    const files = await shelves.add(user, [...inFolders, ...beside]);
    shelves.statements = 0;
    const { entries, pages } = await shelves.all(user, "", PAGE_ITEMS_MAX);
    expect(shown(entries)).toEqual(expected(files, ""));
    expect(pages).toBe(4);
    // Two for each batch of names (one of them for what the batch ends in), one for each folder skipped, and what begins and loads a page.
    expect(shelves.statements).toBeLessThan((2 * 3_000) / FOLDER_SCAN_ROWS + 7 + pages * 4);
    expect((await shelves.all(user, "folder 3/", 300)).entries).toHaveLength(1_000);
  });

  test("a page of very many folders ends early, says where it goes on, and takes a bounded number of statements", async () => {
    const user = `many folders ${dialect}`;
    const count = 280;
    const names = Array.from(
      { length: count * (FOLDER_SCAN_ROWS + 1) },
      (_, index) => `${String(index % count).padStart(4, "0")}/${index}`,
    );
    await shelves.add(user, names);
    shelves.statements = 0;
    const first = await listFolder(shelves.ports, ANN, { user, path: "", limit: PAGE_ITEMS_MAX });
    expect(shelves.statements).toBeLessThanOrEqual(FOLDER_STATEMENTS_MAX + 2);
    expect(first.entries.length).toBeGreaterThan(200);
    expect(first.cursor).toBeTypeOf("string");
    const { entries } = await shelves.all(user, "", PAGE_ITEMS_MAX);
    expect(entries).toEqual(Array.from({ length: count }, (_, index) => ({ kind: "folder", name: String(index).padStart(4, "0") })));
  });

  test("a name with thousands of versions is listed once, found as its newest, and its neighbours after it", async () => {
    const user = `versions ${dialect}`;
    await shelves.add(
      user,
      Array.from({ length: 3_000 }, () => "live/index.m3u8"),
    );
    const [newest] = await shelves.add(user, ["live/index.m3u8"], "ann", 2_000);
    const older = await shelves.add(user, ["live/index.m3u8", "live/z.ts"], "ann", 1_500);
    shelves.statements = 0;
    const { entries } = await shelves.all(user, "live/", 1);
    expect(shown(entries)).toEqual([`index.m3u8 ${newest?.fileId}`, `z.ts ${older[1]?.fileId}`]);
    expect((await findByName(shelves.ports, ANN, { user, name: "live/index.m3u8" })).fileId).toBe(newest?.fileId);
    expect(shelves.statements).toBeLessThan(20);
  });

  test("of somebody else are empty and cost the same statements as those of nobody; whoever may read all reads the newest of all", async () => {
    const user = `shared ${dialect}`;
    await shelves.add(user, ["a/b.mp4", "c.mp4"], "ann", 10);
    const [bobs] = await shelves.add(user, ["c.mp4"], "bob", 20);
    await shelves.add(user, ["d.mp4"], "bob", 20);
    const asked = async (owner: string, name: string): Promise<number> => {
      shelves.statements = 0;
      await expect(findByName(shelves.ports, { owner }, { user, name })).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
      return shelves.statements;
    };
    expect(await asked("eve", "a/b.mp4")).toBe(await asked("eve", "nothing.mp4"));
    expect((await listFolder(shelves.ports, { owner: "eve" }, { user, path: "", limit: 10 })).entries).toEqual([]);
    expect((await findByName(shelves.ports, ANYONE, { user, name: "c.mp4" })).fileId).toBe(bobs?.fileId);
    expect(shown((await shelves.all(user, "", 2, ANYONE)).entries)).toEqual([
      "a/",
      `c.mp4 ${bobs?.fileId}`,
      expect.stringMatching(/^d\.mp4 /),
    ]);
  });

  test("are listed by user, each user once, whatever table it is in", async () => {
    const owner = `owner on ${dialect}`;
    const users = ["ann", "bob", "default", "Ann", "ä", "u/v", "b ", "b"].map((user) => `${user} ${dialect}`);
    expect(new Set(users.map((user) => userShard(user))).size).toBeGreaterThan(1);
    for (const user of users) await shelves.add(user, ["x", "y/z"], owner);
    const found: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await listUsers(shelves.ports, { owner }, { cursor, limit: 3 });
      found.push(...page.users);
      cursor = page.cursor;
    } while (cursor !== undefined);
    expect(found).toEqual([...users].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
    expect((await listUsers(shelves.ports, { owner: "nobody" }, { limit: 3 })).users).toEqual([]);
    expect((await listUsers(shelves.ports, ANYONE, { limit: PAGE_ITEMS_MAX })).users).toEqual(expect.arrayContaining(users));
  });

  test.skipIf(dialect === "SQLite")("are read from the index, in its order", async () => {
    const plan = async (sql: string) => {
      const [row] = await databases.ask(`EXPLAIN ${sql}`);
      return { key: row?.["key"], extra: String(row?.["Extra"]) };
    };
    const table = `\`${databases.prefix}storage\`.${fileTableOfUser("ten thousand MariaDB")}`;
    const where = "owner = 'ann' AND user = 'ten thousand MariaDB' AND name";
    const names = await plan(
      `SELECT name, create_time, file_id FROM ${table} WHERE ${where} >= 'film' AND name < 'g' ORDER BY name, create_time, file_id LIMIT 128`,
    );
    expect(names.key).toMatch(/^i_file_0\d_version$/);
    expect(names.extra).toContain("Using index");
    expect(names.extra).not.toContain("filesort");
  });
});

describe("a catalog", () => {
  test("answers about folders, names and users, and refuses a cursor that is none", async () => {
    await using rig = await CatalogRig.open();
    const { file } = await rig.upload("ann", "films/a.mp4", "x", 1, { user: "ann" });
    await rig.upload("ann", "b.mp4", "y", 2, { user: "bob" });
    const ann = rig.as("ann");
    expect(await ann.users({})).toEqual({ users: ["ann", "bob"] });
    expect(await ann.folder({ user: "ann", path: "" })).toEqual({ entries: [{ kind: "folder", name: "films" }] });
    const { fileId, sizeBytes, contentType, createdMs, modifiedMs } = file;
    expect(await ann.folder({ user: "ann", path: "films/" })).toEqual({
      entries: [{ kind: "file", name: "a.mp4", fileId, sizeBytes, contentType, createdMs, modifiedMs }],
    });
    expect(await ann.fileByName({ user: "ann", name: "films/a.mp4" })).toEqual(file);
    await expect(ann.fileByName({ user: "bob", name: "films/a.mp4" })).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
    await ann.renameFile({ fileId, name: "b/a.mp4" });
    await expect(ann.fileByName({ user: "ann", name: "films/a.mp4" })).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
    for (const cursor of ["", "!", "YQ==", "YWF", Buffer.alloc(257).toString("base64url")]) {
      await expect(ann.folder({ user: "ann", path: "", cursor })).rejects.toMatchObject({ code: "BAD_CURSOR" });
      await expect(ann.users({ cursor })).rejects.toMatchObject({ code: "BAD_CURSOR" });
    }
    for (const path of ["films", "/", "a//", "../", `${"x".repeat(256)}/`])
      await expect(ann.folder({ user: "ann", path })).rejects.toMatchObject({ code: "BAD_REQUEST" });
  });

  test("gives a page of the longest names that fits into one answer", async () => {
    await using rig = await CatalogRig.open();
    const shelves = new Shelves(rig.database);
    const names = Array.from({ length: PAGE_ITEMS_MAX }, (_, index) => `${String(index).padStart(5, "0")}${'"'.repeat(250)}`);
    await shelves.add("ann", names);
    const page = await rig.as("ann").folder({ user: "ann", path: "", limit: PAGE_ITEMS_MAX });
    expect(Buffer.byteLength(JSON.stringify(page))).toBeLessThan(REPLY_BYTES_MAX);
    const rest = await rig.as("ann").folder({ user: "ann", path: "", limit: PAGE_ITEMS_MAX, cursor: page.cursor });
    expect([...page.entries, ...rest.entries].map(({ name }) => name)).toEqual(names);
  });
});
