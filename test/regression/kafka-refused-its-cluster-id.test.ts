/** One first start in 64 failed: the id began with a dash, and the format tool took it for a switch. */
import { expect, test } from "vitest";
import { newClusterId } from "../../packages/local/src/kafka-server-data.ts";

test("no cluster id begins with a dash", () => {
  const ids = Array.from({ length: 2000 }, newClusterId);
  expect(ids.filter((id) => !/^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/.test(id))).toEqual([]);
});
