/** Two allocators, each a process, on one database: killed with -9 again and again while IDs are leased, and none is leased twice. */
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { ids } from "../../src/actors/ids/contract.ts";
import { client, isNoResponders } from "../../src/bus/client.ts";
import { connectNats } from "../../src/bus/nats.ts";
import { parseNatsUrl } from "../../src/bus/nats-url.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import { withRetry } from "../../src/core/retry.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { MariadbDatabases } from "../support/mariadb.ts";
import { startTestNats } from "../support/nats-server.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { type Started, spawnServer } from "../support/server-process.ts";

const ID_COUNT = 1_000_000;
const LEASE_MIN = 100;
const LEASE_MAX = 500;
const IN_FLIGHT = 24;
const KILLS = 5;
const REST_MS = 50;
/** Longer than both need to come up again. */
const PATIENCE = { attemptsMax: 1_000, pauseMinMs: 10, pauseMaxMs: 50 };
/** Give a failed run's number to see its leases again; when the processes die by then is their own affair. */
const SEED = Number(process.env["TROUPE_TEST_SEED"] ?? process.pid);

it("F27: two allocators killed at random moments lease a million IDs, and none of them twice", async () => {
  await using nats = await startTestNats();
  await using databases = await MariadbDatabases.open();
  const random = new SeededRandom(SEED);
  const clock = new SystemClock();
  const flags = [
    "--role",
    "ids",
    "--nats",
    nats.url,
    "--mysql",
    databases.url,
    "--database-prefix",
    databases.prefix,
    "--log-level",
    "warn",
  ];
  const spawned: Started[] = [];
  const play = async (): Promise<Started> => {
    const started = spawnServer(flags);
    spawned.push(started);
    await started.ready;
    return started;
  };
  const kill = async ({ child, exited }: Started): Promise<void> => {
    child.kill("SIGKILL");
    await exited;
  };
  await using end = new AsyncDisposableStack();
  end.defer(async () => void (await Promise.all(spawned.map(kill))));

  const bus = await connectNats({ ...parseNatsUrl(nats.url), name: "client/test", inboxPrefix: "_INBOX_client", clock, log: SILENT_LOG });
  end.defer(() => bus.drain());
  const allocators = client(bus, ids);
  const playing = await Promise.all([play(), play()]);

  const leases: { readonly first: number; readonly count: number }[] = [];
  let leased = 0;
  let lost = 0;
  let killed = 0;
  const lane = async (): Promise<void> => {
    // Each kill meets work; what is more than a million need not keep those that come up from their start.
    while (leased < ID_COUNT || killed < KILLS) {
      if (leased >= ID_COUNT) await pause(REST_MS);
      const count = LEASE_MIN + random.integer(LEASE_MAX - LEASE_MIN + 1);
      const lease = await withRetry(PATIENCE, { clock, random }, async () => {
        try {
          return await allocators.next({ key: "blob", count }, { timeoutMs: 600 });
        } catch (error) {
          // What was leased and not answered for is a gap; while both are dead nothing is.
          if (!isNoResponders(error)) lost += 1;
          throw error;
        }
      });
      leases.push(lease);
      leased += lease.count;
    }
  };
  const lanes = Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  lanes.catch(() => undefined);

  const killing = (async () => {
    for (; killed < KILLS; killed += 1) {
      const at = (ID_COUNT * (killed + 0.2 + random.integer(500) / 1_000)) / KILLS;
      await Promise.race([
        lanes,
        expect.poll(() => leased, { timeout: 120_000, interval: 2 }).toBeGreaterThanOrEqual(Math.min(at, ID_COUNT)),
      ]);
      // Once both at the same time.
      const victims = killed === 2 ? [0, 1] : [random.integer(2)];
      await Promise.all(
        victims.map(async (index) => {
          await kill(playing[index] as Started);
          playing[index] = await play();
        }),
      );
    }
  })();
  await Promise.all([lanes, killing]);

  expect(killed).toBe(KILLS);
  leases.sort((a, b) => a.first - b.first);
  for (const [index, { first }] of leases.entries()) {
    const before = leases[index - 1];
    if (before !== undefined)
      expect(first, `seed ${SEED}: a lease begins where the one before has ended, or later`).toBeGreaterThanOrEqual(
        before.first + before.count,
      );
  }
  expect(leased).toBeGreaterThanOrEqual(ID_COUNT);
  expect(lost).toBeLessThan(leases.length);
});
