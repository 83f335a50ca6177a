/**
 * How tests run: threads start faster than processes, and no test needs a process of its own (those that kill something start it
 * themselves). End-to-end tests are part of the same run.
 *
 * Programs that tests start take names of files and addresses as the locale says: in a shell without one, wget asks for another address
 * than the one in a link, and Chromium cannot read a file whose name is not ASCII. So they have one, whoever starts the tests.
 */
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    environment: "node",
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/mariadb-on-demand.ts"],
    pool: "threads",
    // Long, for a machine that is busy; a test that hangs is told all the same.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    env: {
      LC_ALL: "C.UTF-8",
      // A machine that stands still is not what a test is about, unless it says so.
      TROUPE_OVERLOAD_STALL: "0",
      // Hundreds of processes are started from the same sources.
      NODE_COMPILE_CACHE: fileURLToPath(new URL("node_modules/.cache/node-compile-cache", import.meta.url)),
    },
    // Long, for a machine that is busy; nothing waits once it has come.
    expect: { poll: { timeout: 60_000 } },
    // Tests wait for other processes more than they compute; left to itself, a machine of two cores runs one file at a time.
    maxWorkers: Math.max(2, availableParallelism()),
    coverage: { provider: "v8", include: ["src/**"], reportsDirectory: "coverage" },
  },
});
