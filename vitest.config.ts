import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "test/support/global-setup.ts",
    pool: "forks",
    // Tests wait for PostgreSQL and Kafka more than they compute, but those need the processors too,
    // and each worker brings its pools: past four the servers are the limit.
    maxWorkers: Math.min(4, Math.max(3, availableParallelism())),
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
    // What passes has nothing to say.
    silent: "passed-only",
  },
});
