import { decodeEvent, isRefusal, type Refusal } from "@headrace/events";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { json, jsonWith, OPTIONS, POSITION } from "./records.ts";

const decode = (text: string) => decodeEvent(Buffer.from(text), POSITION, OPTIONS);

function dataOf(text: string): string | null {
  const outcome = decode(text);
  if (isRefusal(outcome)) throw new Error(`refused: ${outcome.code} ${outcome.message}`);
  return outcome.data;
}

const refusedData = (text: string): Refusal => {
  const outcome = decode(text);
  if (!isRefusal(outcome)) throw new Error("accepted");
  expect(outcome).toMatchObject({ code: "event.data", path: "/data" });
  return outcome;
};

describe("unknown fields", () => {
  test("are kept under data", () => {
    expect(dataOf(json({ page: "/a", n: [1] }))).toBe('{"page":"/a","n":[1]}');
    expect(dataOf(json({ data: { a: 1 }, page: "/a" }))).toBe('{"a":1,"page":"/a"}');
    expect(dataOf(json({ data: null, page: null }))).toBe('{"page":null}');
    expect(dataOf(json({ data: {}, page: 1 }))).toBe('{"page":1}');
  });

  test("are kept under data._top where data has that name", () => {
    expect(dataOf(json({ data: { a: 1, b: 2 }, a: 3, b: 4, c: 5 }))).toBe(
      '{"a":1,"b":2,"c":5,"_top":{"a":3,"b":4}}',
    );
    expect(dataOf(`${json({ data: { a: 1 } }).slice(0, -1)},"\\u0061":3}`)).toBe(
      '{"a":1,"_top":{"\\u0061":3}}',
    );
  });

  test("find another place where data has _top too", () => {
    const own = { a: 1, _top: { a: 0 } };
    expect(dataOf(json({ data: own, a: 3 }))).toBe('{"a":1,"_top":{"a":0},"__top":{"a":3}}');
    expect(dataOf(json({ data: { a: 1 }, a: 3, _top: 4 }))).toBe(
      '{"a":1,"_top":4,"__top":{"a":3}}',
    );
    expect(dataOf(json({ _top: 4 }))).toBe('{"_top":4}');
  });

  test("may be named as what every object has", () => {
    const text = `${json().slice(0, -1)},"__proto__":{"user_id":"x"},"constructor":1,"toString":2}`;
    expect(dataOf(text)).toBe('{"__proto__":{"user_id":"x"},"constructor":1,"toString":2}');
    expect(dataOf(`${json({ data: { a: 1 } }).slice(0, -1)},"__proto__":1}`)).toBe(
      '{"a":1,"__proto__":1}',
    );
    expect(dataOf(`${jsonWith("data", '{"__proto__":1}').slice(0, -1)},"__proto__":2}`)).toBe(
      '{"__proto__":1,"_top":{"__proto__":2}}',
    );
  });

  test("that come twice are kept once, with the last value", () => {
    expect(dataOf(`${json().slice(0, -1)},"a":1,"b":2,"a":3}`)).toBe('{"a":3,"b":2}');
  });

  test("lose nothing, whatever their names and whatever data holds", () => {
    const name = fc.oneof(fc.constantFrom("a", "_top", "__top", "__proto__"), fc.string());
    const known =
      /^(event_(id|time|type)|user_id|session_id|value|amount|duration|category|product_id|region|data)$/;
    const entries = fc.uniqueArray(
      fc.tuple(
        name.filter((text) => !known.test(text) && !text.includes("\0")),
        fc.jsonValue(),
      ),
      { selector: ([key]) => key, maxLength: 4 },
    );
    const law = fc.property(entries, fc.option(entries), (top, own) => {
      const members = (list: readonly (readonly [string, unknown])[]) =>
        list.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
      const data = own === null ? [] : [`"data":{${members(own)}}`];
      const record = `{${[json().slice(1, -1), ...data, ...members(top)].join()}}`;
      const text = dataOf(record);
      const stored = new Map(Object.entries(JSON.parse(text ?? "{}")));
      for (const [key, value] of own ?? [])
        expect(stored.get(key)).toEqual(JSON.parse(JSON.stringify(value)));
      const taken = new Set(own?.map(([key]) => key));
      let aside = "_top";
      while (taken.has(aside) || top.some(([key]) => key === aside)) aside = `_${aside}`;
      const moved = new Map(Object.entries(stored.get(aside) ?? {}));
      for (const [key, value] of top)
        expect((taken.has(key) ? moved : stored).get(key)).toEqual(
          JSON.parse(JSON.stringify(value)),
        );
    });
    fc.assert(law, { numRuns: 500 });
  });
});

describe("data", () => {
  test("is absent when nothing was sent, and empty when that was sent", () => {
    expect(dataOf(json())).toBe(null);
    expect(dataOf(json({ data: null }))).toBe(null);
    expect(dataOf(json({ data: {} }))).toBe("{}");
  });

  test("keeps every digit of its numbers, and the order of its names", () => {
    const text =
      '{"b":12345678901234567890,"1":0.10,"a":1.0,"e":1E5,"z":-0,"f":0.30000000000000000001}';
    expect(dataOf(jsonWith("data", text))).toBe(text);
    expect(dataOf(jsonWith("n", "123456789012345678901234567890.5"))).toBe(
      '{"n":123456789012345678901234567890.5}',
    );
  });

  test("loses white space between its tokens and none within its strings", () => {
    const spaced = '{ "a b" :\t[ 1 , 2.0 ,\r\n{ } , [ ] ] , "c" : " \\" x , y " }';
    const compact = '{"a b":[1,2.0,{},[]],"c":" \\" x , y "}';
    expect(dataOf(jsonWith("data", spaced))).toBe(compact);
    expect(dataOf(`${jsonWith("data", spaced).slice(0, -1)}, "n" : [ 1 ] }`)).toBe(
      `${compact.slice(0, -1)},"n":[1]}`,
    );
  });

  test.each(["[]", "1", '"{}"', "true", "[{}]"])("is not %s", (text) => {
    refusedData(jsonWith("data", text));
    refusedData(`${jsonWith("data", text).slice(0, -1)},"unknown":1}`);
  });

  test("is at most 16 KiB of UTF-8, unknown fields and nothing else counted", () => {
    const fill = (length: number) => ({ a: "x".repeat(length - '{"a":""}'.length) });
    expect(dataOf(json({ data: fill(16_384) }))?.length).toBe(16_384);
    expect(refusedData(json({ data: fill(16_385) })).message).toMatch(/16 KiB/);
    expect(codeOf(json({ data: fill(17 * 1024) }))).toBe("event.data");
    expect(dataOf(json(fill(16_384)))?.length).toBe(16_384);
    refusedData(json(fill(16_385)));
    expect(dataOf(json({ data: fill(16_378), b: 1 }))?.length).toBe(16_384);
    refusedData(json({ data: fill(16_378), b: 12 }));
    refusedData(json({ data: { a: "é".repeat(8_192) } }));
    expect(dataOf(json({ data: { a: "é".repeat(8_188) } }))).toHaveLength(8_196);
    const spaced = JSON.stringify(
      JSON.parse(json({ data: fill(16_384), category: "x" })),
      null,
      99,
    );
    expect(dataOf(spaced.replaceAll("\n", "\n\n\n"))?.length).toBe(16_384);
  });

  test("nests at most 64 levels, counted where unknown fields end up", () => {
    const nest = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
    const objects = (depth: number) => '{"a":'.repeat(depth) + 0 + "}".repeat(depth);
    expect(dataOf(jsonWith("data", objects(64)))).toBe(objects(64));
    refusedData(jsonWith("data", objects(65)));
    expect(dataOf(jsonWith("n", nest(63)))).toBe(`{"n":${nest(63)}}`);
    expect(refusedData(jsonWith("n", nest(64))).message).toMatch(/64 levels/);
    refusedData(`${jsonWith("data", '{"n":1}').slice(0, -1)},"n":${nest(63)}}`);
  });

  test.each([
    "1e309",
    "-1e309",
    "1e400",
    "1e999999999999",
    `9${"0".repeat(309)}`,
    "1e-400",
    `0.${"0".repeat(400)}1`,
    "0e-20000",
    "0e99999",
  ])("holds no number that PostgreSQL cannot, such as %s", (number) => {
    expect(refusedData(jsonWith("data", `{"a":[${number}]}`)).message).toMatch(/number/);
    refusedData(jsonWith("n", number));
  });

  test.each(["1e308", "5e-324", "-1.7976931348623157e308", "0e-300", "0.0", `1${"0".repeat(308)}`])(
    "holds %s",
    (number) => expect(dataOf(jsonWith("data", `{"a":${number}}`))).toBe(`{"a":${number}}`),
  );
});

function codeOf(text: string): string {
  const outcome = decode(text);
  return isRefusal(outcome) ? outcome.code : "accepted";
}
