import { MAX_STATE_BYTES, type WindowInput, WindowState } from "@headrace/windows";
import fc from "fast-check";
import { expect, test } from "vitest";
import { anyInput, plainInput, quarterInput } from "./inputs.ts";
import { shuffled } from "./laws.ts";
import { murmur32, sealed } from "./seal.ts";

const of = (inputs: Iterable<WindowInput>): WindowState => {
  const state = WindowState.empty();
  for (const input of inputs) state.add(input);
  return state;
};
const crowd = (n: number): WindowState =>
  of(
    Array.from({ length: n }, (_, i) => ({
      ...plainInput,
      userId: `user_${i}`,
      value: 1.5 + ((i * 7919) % 1000) / 110,
      amountCents: i,
    })),
  );
const damaged = expect.objectContaining({
  name: "AppError",
  kind: "bug",
  code: "window.state_damaged",
});

test("a state comes back from its bytes as it was, and makes the same bytes again", () =>
  fc.assert(
    fc.property(fc.array(anyInput, { maxLength: 40 }), anyInput, (inputs, next) => {
      const state = of(inputs);
      const back = WindowState.decode(state.encode());
      expect(back.figures()).toEqual(state.figures());
      expect(back.encode()).toEqual(state.encode());
      // Nothing that later events need was left out.
      back.add(next);
      state.add(next);
      back.merge(state);
      const twice = state.clone();
      twice.merge(state);
      expect(back.encode()).toEqual(twice.encode());
    }),
  ));

test("large states come back too, from bytes in the middle of a larger buffer", () => {
  for (const n of [256, 257, 20_000]) {
    const state = crowd(n);
    const bytes = state.encode();
    const around = Buffer.concat([Buffer.alloc(3, 255), bytes, Buffer.alloc(5, 255)]);
    const back = WindowState.decode(around.subarray(3, 3 + bytes.length));
    expect(back.figures()).toEqual(state.figures());
    expect(back.encode()).toEqual(bytes);
  }
});

test("the same events make the same bytes in whatever order and groups they came", () =>
  fc.assert(
    fc.property(
      fc.array(quarterInput, { maxLength: 40 }),
      fc.infiniteStream(fc.nat()),
      (inputs, dice) => {
        const groups = Array.from({ length: 5 }, () => WindowState.empty());
        for (const input of shuffled(inputs, dice)) {
          groups[(dice.next().value as number) % 5]?.add(input);
        }
        const merged = WindowState.empty();
        for (const group of groups) merged.merge(WindowState.decode(group.encode()));
        expect(merged.encode()).toEqual(of(inputs).encode());
      },
    ),
  ));

test("an encoded state does not change when the next one is written", () => {
  const first = crowd(3).encode();
  const copy = Buffer.from(first);
  crowd(300).encode();
  expect(first).toEqual(copy);
});

test("the stored form of version 1 never changes", () => {
  expect(WindowState.empty().encode().toString("hex")).toBe("01000000fbf1402a");
  expect(of([plainInput]).encode().toString("hex")).toBe("010001011ce5c5960f813b03b237b4");
  const inputs: WindowInput[] = [
    { userId: "ann", value: 19.99, amountCents: 1999, durationSeconds: 30, lateClass: 0 },
    { userId: "bob", value: -4, amountCents: null, durationSeconds: 0.1, lateClass: 2 },
    { userId: "Zoë", value: 0, amountCents: 999_999_999_999, durationSeconds: null, lateClass: 0 },
    { userId: "ann", value: 1e300, amountCents: null, durationSeconds: null, lateClass: 0 },
    { userId: "ann", value: -1e-200, amountCents: null, durationSeconds: null, lateClass: 0 },
  ];
  expect(of(inputs).encode().toString("hex")).toBe(
    [
      "010f05010307e685fb3e370f1384d4c2b6229a1cc74f8722cc070502c010087e37e43c8800759c07",
      "08402ffae147ae147a00084079f99a0275254508bced9e83e425aee00858b7e43c8800759c000871",
      "81d672e2852fe008ee040f504fc0478008bbe87e92154ef7ac000837e2bfcfc0f923df08347774b8",
      "51b56e4004f2ae04c11100e212d09e0402083c3e19999999999a03b8d980ceaf94a58d1d00231e1b",
      "02",
    ].join(""),
  );
  expect(murmur32(crowd(1000).encode())).toBe(762169075);
});

test("a window of one event takes at most 60 bytes, a busy one 4 KiB", () => {
  const one: WindowInput = {
    userId: "user_000001",
    value: 1 / 3,
    amountCents: 999_999_999_999,
    durationSeconds: 1 / 3,
    lateClass: 4,
  };
  expect(of([plainInput]).encode().length).toBeLessThanOrEqual(16);
  expect(of([one]).encode().length).toBeLessThanOrEqual(45);
  expect(crowd(100_000).encode().length).toBeLessThanOrEqual(4096);
});

test("a value in each bin there is stays below the bound", () => {
  const state = WindowState.empty();
  const values = Array.from({ length: 70 * 1054 }, (_, i) => {
    return 2 ** (Math.floor(i / 70) - 30) * (1 + (i % 70) / 70);
  });
  // Ascending, because a bin between others moves those above it.
  for (const value of values.toReversed()) state.add({ ...plainInput, value: -value });
  for (const value of values) state.add({ ...plainInput, value });
  const bytes = state.encode();
  expect(bytes.length).toBeGreaterThan(1024 * 35 * 2);
  expect(bytes.length).toBeLessThanOrEqual(MAX_STATE_BYTES);
  expect(WindowState.decode(bytes).figures()).toEqual(state.figures());
});

test("a changed bit is noticed wherever it is", () => {
  for (const bytes of [
    crowd(0).encode(),
    crowd(1).encode(),
    crowd(5).encode(),
    crowd(300).encode(),
  ]) {
    for (let bit = 0; bit < 8 * bytes.length; bit += bytes.length > 1000 ? 7 : 1) {
      const wrong = Buffer.from(bytes);
      wrong[bit >> 3] = (wrong[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(() => WindowState.decode(wrong)).toThrow(damaged);
    }
  }
});

test("missing and surplus bytes are noticed", () => {
  const bytes = crowd(5).encode();
  for (let length = 0; length < bytes.length; length++) {
    expect(() => WindowState.decode(bytes.subarray(0, length))).toThrow(damaged);
  }
  expect(() => WindowState.decode(Buffer.concat([bytes, Buffer.alloc(1)]))).toThrow(damaged);
  expect(() => WindowState.decode(Buffer.concat([bytes, bytes]))).toThrow(damaged);
});

test("the tests' own checksum is the published one", () => {
  expect(murmur32(Buffer.from("hello, world"))).toBe(0x149bbb7f);
  expect(WindowState.decode(sealed([1, 0, 0, 0])).figures().eventCount).toBe(0);
});

const user = [0, 0, 0, 0, 0, 0, 1];
test.each([
  ["a version that is not known", [2, 0, 0, 0]],
  ["a part that is not known", [1, 16, 0, 0]],
  ["something behind the last part", [1, 0, 0, 0, 0]],
  ["more users than events", [1, 0, 0, 1, ...user]],
  ["more late events than events", [1, 1, 1, 2, 1, ...user]],
  ["more values than events", [1, 2, 1, 1, ...user, 2, 0, 1, 0x40, 0, 1, 0, 1]],
  ["values that are none", [1, 2, 1, 1, ...user, 0]],
  ["more durations than events", [1, 4, 1, 1, ...user, 2, 0, 0]],
  ["a user twice", [1, 0, 2, 2, ...user, ...user]],
  ["a hash of 54 bits", [1, 0, 1, 1, 0x20, 0, 0, 0, 0, 0, 0]],
  ["258 single hashes", [1, 0, 0x82, 2, 0x82, 2]],
  ["a count with a needless byte", [1, 0, 0x80, 0, 0]],
  ["a count above 2^53", [1, 0, ...new Array(7).fill(0xff), 0x7f, 0]],
  ["a count without an end", [1, 0, ...new Array(12).fill(0xff)]],
  ["a number of nine bytes", [1, 2, 1, 1, ...user, 1, 9, ...new Array(9).fill(1)]],
  ["a number that is infinite", [1, 2, 1, 1, ...user, 1, 2, 0x7f, 0xf0]],
  ["a minimum above the maximum", [1, 2, 2, 1, ...user, 2, 1, 0x40, 0, 0, 1, 1]],
  ["sums of an unknown kind", [1, 2, 2, 1, ...user, 2, 0, 0, 8, 1, 1]],
  ["halves of a sum that overlap", [1, 4, 1, 1, ...user, 1, 1, 0x40, 1, 0x40]],
  ["a bin above the last", [1, 2, 2, 1, ...user, 2, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0]],
  ["bins of another number of values", [1, 2, 2, 1, ...user, 2, 0, 0, 0, 1, 0]],
  ["a register of 63", [1, 0, 0x81, 2, 0x81, 2, 0xff, ...new Array(3071).fill(0)]],
  ["registers that end early", [1, 0, 0x81, 2, 0x81, 2, 0, 0, 0]],
  ["cents out of range", [1, 8, 1, 1, ...user, ...new Array(7).fill(0xff), 0x0f, 0]],
])("bytes with %s are refused although their checksum is right", (_what, body) => {
  expect(() => WindowState.decode(sealed(body))).toThrow(damaged);
});

test("bytes changed under a right checksum are refused by name or make no NaN", () =>
  fc.assert(
    fc.property(
      fc.array(anyInput, { minLength: 1, maxLength: 5 }),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }),
      (inputs, changes) => {
        const body = [...of(inputs).encode().subarray(0, -4)];
        for (const [at, byte] of changes) body[at % body.length] = byte;
        let state: WindowState;
        try {
          state = WindowState.decode(sealed(body));
        } catch (error) {
          expect(error).toEqual(damaged);
          return;
        }
        for (const figure of Object.values(state.figures())) {
          const isFigure = typeof figure === "bigint" || Number.isFinite(figure);
          expect(figure === null || isFigure).toBe(true);
        }
      },
    ),
    { numRuns: 3000 },
  ));
