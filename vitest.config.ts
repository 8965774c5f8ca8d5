import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Those that take minutes; at the end nothing else would be left to run beside them. */
const LONG = ["test/faults/schedules.test.ts", "test/e2e/behaviour.test.ts"];

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isShort = ({ moduleId }: TestSpecification): number =>
      LONG.some((name) => moduleId.endsWith(name)) ? 0 : 1;
    return (await super.sort(files)).toSorted((a, b) => isShort(a) - isShort(b));
  }
}

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "test/support/global-setup.ts",
    sequence: { sequencer: LongFirst },
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
