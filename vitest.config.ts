/**
 * How tests run: threads start faster than processes, and no test needs a process of its own (those that kill something start it
 * themselves). End-to-end tests are part of the same run.
 */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    environment: "node",
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/mariadb-on-demand.ts"],
    pool: "threads",
    testTimeout: 30_000,
    hookTimeout: 30_000,
    coverage: { provider: "v8", include: ["src/**"], reportsDirectory: "coverage" },
  },
});
