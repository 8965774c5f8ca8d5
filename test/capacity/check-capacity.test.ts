import {
  type Capacity,
  checkCapacity,
  maxConnections,
  ROLE_NAMES,
  roleLimits,
  SIZES,
} from "@headrace/capacity";
import fc from "fast-check";
import { expect, test } from "vitest";

const GB = 1024 ** 3;
const functions = [
  { name: "kafka/ingest-events", instances: 5, connections: { worker: 2 } },
  { name: "cron/pulse", instances: 2, connections: { worker: 8 } },
];
const standard: Capacity = {
  size: "standard",
  engine: "postgres",
  memoryBytes: 8 * GB,
  cores: 2,
  functions,
};

test.each<[string, Capacity]>([
  [
    "starter on 4 GB of Neon",
    { ...standard, size: "starter", engine: "neon", memoryBytes: 4 * GB, functions: [] },
  ],
  ["standard on 8 GB", standard],
  ["standard on Aurora up to 16 units", { ...standard, engine: "aurora", memoryBytes: 32 * GB }],
  ["large on 64 GB", { ...standard, size: "large", memoryBytes: 64 * GB, cores: 8 }],
])("%s fits", (_name, capacity) => {
  expect(checkCapacity(capacity)).toEqual([]);
});

test("functions that may open more than their role is allowed are named, with the remedy", () => {
  const [fault, ...others] = checkCapacity({
    ...standard,
    functions: [{ name: "kafka/ingest-events", instances: 24, connections: { worker: 2 } }],
    pooled: { worker: 3, reports: 12 },
  });
  expect(others).toEqual([]);
  expect(fault?.path).toBe("connections.worker");
  expect(fault?.message).toMatch(
    /may hold 50 .* may open 51 \(kafka\/ingest-events 24 × 2, the pooler 3\): lower/,
  );
});

test("a server that allows fewer connections than the size needs is told, with the sum", () => {
  const [fault, ...others] = checkCapacity({ ...standard, maxConnections: 100 });
  expect(others).toEqual([]);
  expect(fault?.path).toBe("connections");
  expect(fault?.message).toMatch(
    /needs 152 .*worker 50, orders 50, reports 12, spare 40.* allows 100: raise/,
  );
});

test("a server with too little memory is told how much would do", () => {
  const [fault, ...others] = checkCapacity({ ...standard, memoryBytes: 4 * GB });
  expect(others).toEqual([]);
  expect(fault?.path).toBe("memory");
  expect(fault?.message).toMatch(
    /more than 75 % of the 4\.0 GB.*at least \d+ GB, or a smaller size/,
  );
});

test("the memory that is asked for is enough", () => {
  fc.assert(
    fc.property(
      fc.constantFrom("starter", "standard", "large"),
      fc.integer({ min: 1, max: 16 }),
      (size, cores) => {
        const small = { ...standard, size, cores, functions: [], memoryBytes: GB / 4 } as const;
        let memoryBytes = small.memoryBytes;
        // What the server's own settings take grows with its memory, so the figure may rise once more.
        for (let step = 0; step < 40; step += 1) {
          const [fault] = checkCapacity({ ...small, memoryBytes });
          if (fault === undefined) return;
          const asked = Number(/at least (\d+) GB/.exec(fault.message)?.[1]) * GB;
          expect(asked).toBeGreaterThan(memoryBytes);
          memoryBytes = asked;
        }
        expect.fail(`no memory is enough for ${size} with ${cores} cores`);
      },
    ),
  );
});

test("a larger server or fewer functions never bring a fault", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...SIZES),
      fc.integer({ min: 1, max: 128 }),
      fc.integer({ min: 1, max: 128 }),
      fc.integer({ min: 10, max: 400 }),
      fc.integer({ min: 0, max: 30 }),
      (size, gigabytes, more, allowed, instances) => {
        const capacity: Capacity = {
          ...standard,
          size,
          memoryBytes: gigabytes * GB,
          maxConnections: allowed,
          functions: [{ name: "kafka/ingest-events", instances, connections: { worker: 2 } }],
        };
        const larger = {
          ...capacity,
          memoryBytes: (gigabytes + more) * GB,
          maxConnections: allowed + more,
          functions: [],
        };
        const before = new Set(checkCapacity(capacity).map(({ path }) => path));
        const after = checkCapacity(larger).map(({ path }) => path);
        expect(after.filter((path) => !before.has(path))).toEqual([]);
      },
    ),
  );
});

test("the large size has the figures that the product promises", () => {
  expect(roleLimits("large")).toEqual({
    worker: {
      connections: 80,
      workMemMegabytes: 16,
      transactionTimeoutMs: 10_000,
      idleInTransactionTimeoutMs: 3_000,
      lockTimeoutMs: 5_000,
    },
    orders: {
      connections: 100,
      workMemMegabytes: 64,
      statementTimeoutMs: 5_000,
      transactionTimeoutMs: 10_000,
      idleInTransactionTimeoutMs: 3_000,
      lockTimeoutMs: 5_000,
    },
    reports: {
      connections: 20,
      workMemMegabytes: 512,
      statementTimeoutMs: 25_000,
      idleInTransactionTimeoutMs: 10_000,
      lockTimeoutMs: 2_000,
    },
  });
});

test("a larger size never has less of anything", () => {
  const inOrder = ["starter", "standard", "large"] as const;
  for (const [index, size] of inOrder.entries()) {
    const next = inOrder[index + 1];
    if (next === undefined) continue;
    expect(maxConnections(size)).toBeLessThan(maxConnections(next));
    for (const role of ROLE_NAMES) {
      const [less, more] = [roleLimits(size)[role], roleLimits(next)[role]];
      expect(less.connections).toBeLessThanOrEqual(more.connections);
      expect(less.workMemMegabytes).toBeLessThanOrEqual(more.workMemMegabytes);
    }
  }
});

test("the smallest server of Neon has the connections that the starter size needs", () => {
  expect(maxConnections("starter")).toBeLessThanOrEqual(97);
});
