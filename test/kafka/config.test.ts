import { createAdmin, createProducer } from "@headrace/kafka";
import { expect, test } from "vitest";

test.each([
  [[]],
  [["localhost"]],
  [["localhost:"]],
  [["localhost:99999"]],
  [["http://localhost:9092"]],
  [["127.0.0.1:9092", "a b:1"]],
])("brokers %j are refused by name", (brokers) => {
  expect(() => createProducer({ brokers })).toThrow(
    expect.objectContaining({ kind: "invalid", code: "kafka.brokers" }),
  );
});

test("where nobody listens, a call ends in its time and names the brokers", async () => {
  const admin = createAdmin({ brokers: ["127.0.0.1:9", "[::1]:9"] }, { timeoutMs: 300 });
  const startedAt = performance.now();
  await expect(admin.offsets(["events"])).rejects.toMatchObject({
    kind: "unavailable",
    code: "kafka.unavailable",
    message: expect.stringContaining("127.0.0.1:9, [::1]:9"),
  });
  expect(performance.now() - startedAt).toBeLessThan(3_000);
  await admin.close();
});
