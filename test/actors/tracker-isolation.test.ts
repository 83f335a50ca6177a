/** Several trackers over one database server. */
import { expect, test } from "vitest";
import { Membership } from "../../src/actors/tracker/membership.ts";
import { Placement } from "../../src/actors/tracker/placement.ts";
import type { TrackerTables } from "../../src/actors/tracker/tables.ts";
import type { Database } from "../../src/core/ports/database.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { privateMariadb } from "../support/mariadb.ts";
import { PausingClock } from "../support/pausing-clock.ts";
import { codes, inEveryOrder, values } from "../support/pausing-database.ts";
import { SeededRandom } from "../support/seeded-random.ts";

test("F26: two trackers that place a new user at once record one group, and both answer it", async () => {
  await using server = await privateMariadb();
  const clock = new SystemClock();
  const handles = [
    await server.databases.openPart<TrackerTables>("tracker", { clock: new PausingClock() }),
    await server.databases.openPart<TrackerTables>("tracker", { clock: new PausingClock() }),
  ] as const;
  /** A tracker that knows of one group, which it therefore chooses. */
  const placeIn = (group: string, user: string) => (database: Database<TrackerTables>) => {
    const membership = new Membership({ offlineAfterMs: 10_000 });
    for (const known of ["group001", "group002"]) {
      const node = { nodeId: `n-${known}`, group: known, zone: known, version: "1", startedMs: 1, totalBytes: 10, freeBytes: 0 };
      membership.addGroup(known);
      membership.join({ ...node, closedToUploads: false }, { nowMs: 0, wallMs: 0 });
      membership.heartbeat({ nodeId: node.nodeId, freeBytes: known === group ? 1_000_000 : 0, closedToUploads: false }, 0);
    }
    const placement = new Placement({ database, membership, clock, random: new SeededRandom(1) });
    return placement.place({ app: "default", user, bytes: 0 });
  };
  let userCount = 0;
  const chosen = new Set<string>();
  await inEveryOrder(server.databases, handles, async () => {
    const user = `user ${userCount++}`;
    return {
      first: placeIn("group001", user),
      second: placeIn("group002", user),
      check: async (...outcomes) => {
        expect(codes(...outcomes)).toEqual([]);
        const groups = new Set(values(...outcomes).map(({ group }) => group));
        expect(groups.size).toBe(1);
        for (const group of groups) chosen.add(group);
        const rows = await handles[0].read((query) =>
          query.selectFrom("t_router").select("group_name").where("user", "=", Buffer.from(user)).execute(),
        );
        expect(rows.map(({ group_name }) => Buffer.from(group_name).toString())).toEqual([...groups]);
      },
    };
  });
  expect(chosen.size).toBeGreaterThan(0);
  await Promise.all(handles.map((database) => database.close()));
});
