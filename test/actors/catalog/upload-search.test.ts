/** Searching among uploads, on both databases: what is found, whose it is, and how much is read for it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CatalogPorts } from "../../../src/actors/catalog/ports.ts";
import type { CatalogDatabase, CatalogTables } from "../../../src/actors/catalog/tables.ts";
import { listUploads } from "../../../src/actors/catalog/upload-listing.ts";
import { bytesOf } from "../../../src/core/byte-text.ts";
import { UPLOAD_SEARCH_ROWS } from "../../../src/core/limits.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import { MemoryCache } from "../../../src/store/memory-cache.ts";
import { openTestDatabase } from "../../support/database.ts";
import { MariadbDatabases } from "../../support/mariadb.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const clock = new VirtualClock();
const INSERTED_AT_ONCE = 1_000;

describe.each(["SQLite", "MariaDB"] as const)("a search among uploads on %s", (kind) => {
  const stack = new AsyncDisposableStack();
  let database: CatalogDatabase;
  let ports: CatalogPorts;
  let made = 0;

  beforeAll(async () => {
    if (kind === "SQLite") database = stack.adopt(await openTestDatabase<CatalogTables>("storage"), (opened) => opened.close());
    else database = await stack.use(await MariadbDatabases.open()).openPart<CatalogTables>("storage");
    ports = { database, cache: new MemoryCache(clock), clock, log: SILENT_LOG, wake: () => undefined };
  });
  afterAll(() => stack.disposeAsync());

  /** Rows as registrations leave them, each newer than the one before. */
  async function add(owner: string, names: readonly string[], state: "receiving" | "failed" = "receiving"): Promise<string[]> {
    const rows = names.map((name) => {
      made += 1;
      return { uploadId: `${owner}-${String(made).padStart(8, "0")}`, name, timeMs: 1_000 + Math.floor(made / 3) };
    });
    for (let index = 0; index < rows.length; index += INSERTED_AT_ONCE) {
      const values = rows.slice(index, index + INSERTED_AT_ONCE).map(({ uploadId, name, timeMs }) => ({
        upload_id: bytesOf(uploadId),
        file_id: bytesOf("0".repeat(36)),
        owner: bytesOf(owner),
        app: bytesOf("default"),
        user: bytesOf("default"),
        name: bytesOf(name),
        content_type: bytesOf("video/mp4"),
        size_bytes: 5,
        chunk_bytes: 1_048_576,
        host: bytesOf("n1"),
        group_name: bytesOf("group001"),
        epoch: 1,
        state,
        since_time: timeMs,
        ended_time: state === "failed" ? timeMs : null,
        create_time: timeMs,
        update_time: timeMs,
      }));
      await database.transact(({ query }) => query.insertInto("t_upload").values(values).execute());
    }
    return rows.map(({ uploadId }) => uploadId);
  }

  async function found(
    owner: string,
    wanted: { search: string; state?: "receiving" | "failed" | "verifying"; limit?: number },
  ): Promise<string[]> {
    const names: string[] = [];
    for (let cursor: string | undefined, more = true; more; ) {
      const page = await listUploads(ports, { owner }, { limit: 100, ...wanted, cursor });
      names.push(...page.uploads.map(({ name }) => name));
      cursor = page.cursor;
      more = cursor !== undefined;
    }
    return names;
  }

  test("finds a part of a name, newest first, in capitals or not, and no sign stands for others", async () => {
    await add("ann", ["films/Day 1.mov", "100 % sure_.txt", "fílm.mov", "ünïcode", "a\\b'c\"d"]);
    expect(await found("ann", { search: "film" })).toEqual(["films/Day 1.mov"]);
    expect(await found("ann", { search: "DAY" })).toEqual(["films/Day 1.mov"]);
    expect(await found("ann", { search: ".MOV" })).toEqual(["fílm.mov", "films/Day 1.mov"]);
    expect(await found("ann", { search: "ünï" })).toEqual(["ünïcode"]);
    expect(await found("ann", { search: "%" })).toEqual(["100 % sure_.txt"]);
    expect(await found("ann", { search: "_" })).toEqual(["100 % sure_.txt"]);
    expect(await found("ann", { search: "\\b'c\"" })).toEqual(["a\\b'c\"d"]);
    expect(await found("ann", { search: "nothing like it" })).toEqual([]);
  });

  test("finds an upload by its ID, in the state that is asked for only", async () => {
    const [uploadId = ""] = await add("bob", ["by its ID"], "failed");
    expect(await found("bob", { search: uploadId })).toEqual(["by its ID"]);
    expect(await found("bob", { search: uploadId, state: "failed" })).toEqual(["by its ID"]);
    expect(await found("bob", { search: uploadId, state: "receiving" })).toEqual([]);
    expect(await found("bob", { search: "ID", state: "failed" })).toEqual(["by its ID"]);
    expect(await found("bob", { search: "ID", state: "verifying" })).toEqual([]);
  });

  test("never finds what is somebody else's, neither by name nor by ID", async () => {
    const [uploadId = ""] = await add("cem", ["secret plans"]);
    expect(await found("dan", { search: "secret" })).toEqual([]);
    expect(await found("dan", { search: uploadId })).toEqual([]);
  });

  test("gives each once in pages, and looks through so many rows for a page and no more", async () => {
    const rare = ["needle 1", ...Array.from({ length: UPLOAD_SEARCH_ROWS + 5 }, (_, index) => `hay ${index}`), "needle 2", "needle 3"];
    await add("eve", rare);
    const first = await listUploads(ports, { owner: "eve" }, { search: "NEEDLE", limit: 10 });
    expect(first.uploads.map(({ name }) => name)).toEqual(["needle 3", "needle 2"]);
    expect(first.cursor).toBeDefined();
    const second = await listUploads(ports, { owner: "eve" }, { search: "NEEDLE", limit: 10, cursor: first.cursor });
    expect(second.uploads.map(({ name }) => name)).toEqual(["needle 1"]);
    expect(second.cursor).toBeUndefined();
    expect(await found("eve", { search: "needle", limit: 1 })).toEqual(["needle 3", "needle 2", "needle 1"]);
    expect((await found("eve", { search: "hay", limit: 1000 })).length).toBe(UPLOAD_SEARCH_ROWS + 5);
  });
});
