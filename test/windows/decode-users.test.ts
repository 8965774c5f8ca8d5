import { Distinct, WindowState } from "@headrace/windows";
import fc from "fast-check";
import { expect, test } from "vitest";
import { anyInput, plainInput } from "./inputs.ts";

function stateOf(inputs: Parameters<WindowState["add"]>[0][]): WindowState {
  const state = WindowState.empty();
  for (const input of inputs) state.add(input);
  return state;
}

test("the users of stored states unite to those of the merged state, without the rest being read", () => {
  const some = fc.array(anyInput, { maxLength: 40 });
  fc.assert(
    fc.property(some, some, (a, b) => {
      const [left, right] = [stateOf(a), stateOf(b)];
      const users = new Distinct();
      let events = 0;
      for (const state of [left, right]) {
        const counted = WindowState.decodeUsers(state.encode());
        users.merge(counted.users);
        events += counted.eventCount;
      }
      left.merge(right);
      const { eventCount, distinctUsers } = left.figures();
      expect([events, Math.min(users.count(), events)]).toEqual([eventCount, distinctUsers]);
    }),
  );
});

test("a state of thousands of users gives the same estimate either way", () => {
  const state = stateOf(
    Array.from({ length: 10_000 }, (_, n) => ({ ...plainInput, userId: `u${n % 5000}`, value: n })),
  );
  const { users, eventCount } = WindowState.decodeUsers(state.encode());
  expect([users.count(), eventCount]).toEqual([state.figures().distinctUsers, 10_000]);
});

test("damage anywhere in the bytes is noticed, also behind the users", () => {
  const bytes = stateOf([{ ...plainInput, value: 1.5, durationSeconds: 3 }]).encode();
  for (let at = 0; at < bytes.length; at += 1) {
    const damaged = Buffer.from(bytes);
    damaged[at] = (damaged[at] ?? 0) ^ 0x10;
    expect(() => WindowState.decodeUsers(damaged)).toThrow("a stored window state cannot be read");
  }
});
