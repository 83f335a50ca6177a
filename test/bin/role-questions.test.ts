import { expect, it } from "vitest";
import type { CatalogTables } from "../../src/actors/catalog/tables.ts";
import { ids } from "../../src/actors/ids/contract.ts";
import { tracker } from "../../src/actors/tracker/contract.ts";
import { processQuestions } from "../../src/bin/role-questions.ts";
import { client } from "../../src/bus/client.ts";
import { TroupeError } from "../../src/core/errors.ts";
import type { Database } from "../../src/core/ports/database.ts";
import { Readiness } from "../../src/gateway/readiness.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { TestLoad } from "../support/load.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startTroupe } from "../support/troupe.ts";

const OK = { ok: true };

it("a process without a gateway tells of its own bus, database and disk", async () => {
  await using directory = await temporaryDirectory();
  const readiness = new Readiness(new SystemClock());
  let isAway = false;
  await using troupe = await startTroupe({
    root: directory.path,
    readiness,
    wrapStorageDatabase: (database): Database<CatalogTables> => ({
      transact: (work) => database.transact(work),
      read: (work) => (isAway ? Promise.reject(new TroupeError("DATABASE_UNAVAILABLE", "10.0.0.1 is away")) : database.read(work)),
      close: () => database.close(),
    }),
  });
  expect(await readiness.report()).toEqual({ ready: true, checks: { bus: OK, database: OK, disk: OK } });
  isAway = true;
  const away = { ok: false, code: "DATABASE_UNAVAILABLE", reason: "The database does not answer; try again." };
  expect(await readiness.report()).toEqual({ ready: false, checks: { bus: OK, database: away, disk: OK } });
  // And so do its actors to whoever asks.
  await expect(troupe.catalog.ready({})).rejects.toMatchObject({ code: "DATABASE_UNAVAILABLE" });
  expect(await client(troupe.bus, tracker).ready({})).toEqual({});
  expect(await client(troupe.bus, ids).ready({})).toEqual({});
  expect((await client(troupe.bus, ids).state({})).blocks).toEqual([]);
});

it("F3: a node whose disk is full says so, and is ready for reads", async () => {
  await using directory = await temporaryDirectory();
  const readiness = new Readiness(new SystemClock());
  await using _ = await startTroupe({ root: directory.path, readiness, diskReserveBytes: Number.MAX_SAFE_INTEGER });
  expect(await readiness.report()).toMatchObject({ ready: true, checks: { disk: { ok: false, code: "DISK_FULL" } } });
});

it("F28: until it has started, and while it has too much to do, a process is not ready", async () => {
  const readiness = new Readiness(new SystemClock());
  const load = new TestLoad();
  let isStarted = false;
  readiness.add(processQuestions(load.watch, () => isStarted));
  expect(await readiness.report()).toMatchObject({ ready: false, checks: { start: { code: "UNAVAILABLE" }, load: OK } });
  isStarted = true;
  expect(await readiness.report()).toEqual({ ready: true, checks: { start: OK, load: OK } });
  await load.begin();
  expect(await readiness.report()).toMatchObject({ ready: false, checks: { start: OK, load: { code: "OVERLOADED" } } });
});
