/** Makes events and the bytes of records for the tests of this folder: good ones, and wrong in any way. */
import type { Event, Position } from "@headrace/events";
import fc from "fast-check";

/** 2026-01-31T10:15:00Z, when the records of these tests were written. */
export const RECORD_MILLIS = Date.UTC(2026, 0, 31, 10, 15);

export const POSITION: Position = {
  topic: "events",
  partition: 3,
  offset: 42,
  timestampMillis: RECORD_MILLIS,
};

export const OPTIONS = { horizonDays: 400 };

export const ID = "0198c5a1-7e3b-7c4d-8e5f-60718293a4b5";

/** The JSON of a clean event, with fields replaced. */
export const json = (fields: Record<string, unknown> = {}): string =>
  JSON.stringify({
    event_id: ID,
    event_time: "2026-01-31T10:14:59.5Z",
    event_type: "page_view",
    user_id: "u1",
    ...fields,
  });

/** The same with a field written as it stands, which `JSON.stringify` would change. */
export const jsonWith = (field: string, text: string): string =>
  `${json({ [field]: undefined }).slice(0, -1)},"${field}":${text}}`;

/** The bytes of a text with others in the place of `<>`. */
export function withBytes(text: string, bytes: readonly number[]): Buffer {
  const [head = "", tail = ""] = text.split("<>");
  return Buffer.concat([Buffer.from(head), Buffer.from(bytes), Buffer.from(tail)]);
}

const label = fc.string({ unit: "grapheme", maxLength: 20 }).filter((text) => !text.includes("\0"));
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { freq: 2 });
const noMinusZero = (value: number) => value + 0;

const instant = fc
  .integer({ min: -399 * 86_400e6, max: 299e6 })
  .map((micros) => RECORD_MILLIS * 1000 + micros);

export const instantText = (micros: number): string => {
  const millis = Math.floor(micros / 1000);
  const rest = (micros - millis * 1000).toString().padStart(3, "0");
  return new Date(millis).toISOString().replace("Z", `${rest}Z`);
};

/** Any valid event of `POSITION`. */
export const event: fc.Arbitrary<Event> = fc
  .record({
    id: fc.uuid(),
    timeMicros: instant,
    type: fc.stringMatching(/^[a-z][a-z0-9_.]{0,63}$/),
    userId: label.filter((text) => text.length > 0),
    sessionId: optional(label),
    value: optional(fc.double({ noNaN: true, noDefaultInfinity: true }).map(noMinusZero)),
    amountCents: optional(fc.integer({ min: 0, max: 999_999_999_999 })),
    durationSeconds: optional(
      fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }).map(noMinusZero),
    ),
    category: optional(label),
    productId: optional(label),
    region: optional(label),
    data: optional(fc.dictionary(label, fc.jsonValue({ maxDepth: 3 }))),
  })
  .map((fields) => ({
    ...fields,
    timeText: instantText(fields.timeMicros),
    data: fields.data === null ? null : JSON.stringify(fields.data),
  }));

const oneOf = (...texts: string[]) => fc.constantFrom(...texts);
const quoted = (...texts: string[]) => oneOf(...texts.map((text) => JSON.stringify(text)));

const numberText = fc.oneof(
  fc
    .double()
    .map(String)
    .filter((text) => !/[NI]/.test(text)),
  fc.integer().map(String),
  fc.tuple(fc.nat(), fc.nat()).map(([whole, fraction]) => `${whole}.${fraction}`),
  oneOf("0", "-0", "-0.0", "1.0", "1e3", "1E+2", "12.50", "12.500", "0.1", "0.30000000000000004"),
  oneOf("1e400", "-1e400", "1e-400", "5e-324", "9007199254740993", "12345678901234567890123"),
  oneOf("0e99999", "0e-99999", `1${"0".repeat(400)}`, `0.${"0".repeat(400)}1`, "9999999999.99"),
  oneOf(
    "10000000000",
    "-1",
    "01",
    "1.",
    ".5",
    "+1",
    "1e",
    "--1",
    "NaN",
    "Infinity",
    "0x10",
    "5.00",
  ),
);

/** Strings as clients write them: raw, with all but ASCII escaped, and with what must not be there. */
const stringText = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 12 }).map((text) => JSON.stringify(text)),
  fc.string({ unit: "binary", maxLength: 12 }).map((text) => JSON.stringify(text)),
  fc.string({ unit: "grapheme", maxLength: 12 }).map(escaped),
  fc.nat(140).map((length) => `"${"x".repeat(length)}"`),
  oneOf(
    '"\\u0000"',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\ud83d\\ude00"',
    '"\\\\u0000"',
    '"\uFFFD"',
  ),
  oneOf(
    '"\\x"',
    '"\\u12g4"',
    '"\\u12"',
    '"\n"',
    '"\t"',
    '"a',
    "'a'",
    '"\\"',
    '"\\/\\b\\f\\n\\r\\t"',
  ),
);

function escaped(text: string): string {
  const escapes = JSON.stringify(text).replace(/[^ -~]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return escapes;
}

const space = fc.string({ unit: fc.constantFrom(" ", "\n", "\t", "\r"), maxLength: 2 });

const memberName = quoted("a", "page", "_top", "__top", "__proto__", "user_id", "page views");

const { value: anyValue } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.oneof(numberText, stringText, oneOf("true", "false", "null", "nul", "truex", "")),
    fc
      .tuple(space, fc.array(tie("value"), { maxLength: 3 }))
      .map(([gap, items]) => `[${gap}${items.join(`${gap},${gap}`)}${gap}]`),
    objectText(tie("value")),
    fc.integer({ min: 60, max: 68 }).map((depth) => "[".repeat(depth) + "]".repeat(depth)),
  ),
}));

function objectText(
  value: fc.Arbitrary<string>,
  name: fc.Arbitrary<string> = fc.oneof(stringText, memberName),
): fc.Arbitrary<string> {
  return fc
    .tuple(space, fc.array(fc.tuple(name, space, value), { maxLength: 4 }))
    .map(([gap, members]) => {
      const written = members.map(([text, inner, held]) => `${text}${inner}:${gap}${held}${inner}`);
      return `{${gap}${written.join(`,${gap}`)}}`;
    });
}

const cleanString = fc.oneof(
  { weight: 9, arbitrary: label.map((text) => JSON.stringify(text)) },
  label.map(escaped),
  quoted("x".repeat(128), 'a "quoted" \\ word'),
);
const cleanNumber = fc.oneof(
  fc.nat().map(String),
  fc.tuple(fc.nat(), fc.nat()).map(([whole, fraction]) => `${whole}.${fraction}`),
  fc.double({ min: 1e-6, max: 1e20, noNaN: true }).map(String),
  oneOf("0", "12.50", "0.30000000000000004"),
);

/** Of each field, texts within its rule and texts that may be outside. */
const fieldTexts: Readonly<Record<string, readonly [fc.Arbitrary<string>, fc.Arbitrary<string>]>> =
  {
    event_id: [
      fc
        .tuple(fc.uuid(), fc.boolean())
        .map(([id, up]) => JSON.stringify(up ? id.toUpperCase() : id)),
      quoted(
        `{${ID}}`,
        ID.replaceAll("-", ""),
        `${ID}0`,
        ID.replace("7", "g"),
        ID.replace("-", "+"),
      ),
    ],
    event_time: [
      fc.oneof(
        instant.map((micros) => JSON.stringify(instantText(micros))),
        quoted("2026-01-31T10:14:59Z", "2026-01-31t10:14:59.123456789z"),
        quoted("2026-01-31T11:14:59.5+01:00", "2026-01-31T10:20:00Z"),
      ),
      fc.oneof(
        quoted(
          "2026-02-29T10:14:59Z",
          "2026-01-31T10:14:60Z",
          "2026-01-31 10:14:59Z",
          "2026-01-31",
        ),
        quoted("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-31T10:20:00.000001Z", ""),
      ),
    ],
    event_type: [
      fc.oneof(quoted("page_view", "a", "a1._"), fc.constant(`"${"x".repeat(64)}"`)),
      quoted("A", "1a", "", "a-b", "é", "x".repeat(65), "a\n"),
    ],
    user_id: [
      fc.oneof(
        cleanString.filter((text) => text !== '""'),
        fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
      ),
      fc.oneof(stringText, numberText),
    ],
    session_id: [cleanString, stringText],
    value: [
      fc.oneof(
        cleanNumber,
        cleanNumber.map((text) => `-${text.replace("-", "")}`),
      ),
      numberText,
    ],
    amount: [
      fc.nat(10 ** 9).map((cents) => (cents % 2 ? String(cents / 100) : `"${cents / 100}"`)),
      fc.oneof(numberText, quoted("01.50", "1e2", "-1", "-0", "0.123", "", ".5", "1.", " 1")),
    ],
    duration: [cleanNumber, numberText],
    category: [cleanString, stringText],
    product_id: [cleanString, stringText],
    region: [cleanString, stringText],
    data: [objectText(fc.oneof(cleanNumber, cleanString), memberName), objectText(anyValue)],
  };

const members = Object.entries(fieldTexts).map(([name, [clean, odd]]) =>
  fc.tuple(
    fc.constant(JSON.stringify(name)),
    fc.oneof(
      { weight: 60, arbitrary: clean },
      { weight: 2, arbitrary: odd },
      { weight: 2, arbitrary: oneOf("null") },
      { weight: 1, arbitrary: anyValue },
    ),
  ),
);
const unknownMember = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(memberName, fc.oneof(cleanNumber, cleanString)) },
  fc.tuple(stringText, anyValue),
);

/** The text of an object whose members are mostly an event's, each mostly within its rule. */
const anyObject = fc
  .tuple(
    fc.tuple(...members.map((member) => fc.option(member, { freq: 30 }))),
    fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.array(unknownMember, { maxLength: 3 })),
    fc.oneof({ weight: 9, arbitrary: fc.constant([]) }, fc.array(fc.oneof(...members))),
    fc.integer(),
    fc.oneof(fc.constant(""), space),
  )
  .map(([own, unknown, twice, turn, gap]) => {
    const all = [...own.filter((member) => member !== null), ...unknown, ...twice];
    const at = all.length === 0 ? 0 : Math.abs(turn) % all.length;
    const texts = [...all.slice(at), ...all.slice(0, at)].map(
      ([name, text]) => `${name}${gap}:${text}`,
    );
    return `${gap}{${texts.join(`,${gap}`)}${gap}}${gap}`;
  });

const damage = fc.record({
  at: fc.nat(),
  removed: fc.nat(2),
  added: fc.oneof(
    fc.uint8Array({ maxLength: 2 }),
    fc.constantFrom(...'{}[]",:\\ \0-.e0u').map((character) => Buffer.from(character)),
  ),
});

/** The bytes of a record near an event: valid, with faults, or damaged anywhere. */
export const anyRecord: fc.Arbitrary<Buffer> = fc
  .tuple(anyObject, fc.oneof({ weight: 5, arbitrary: fc.constant(null) }, damage))
  .map(([text, hit]) => {
    const bytes = Buffer.from(text);
    if (hit === null) return bytes;
    const at = hit.at % (bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), hit.added, bytes.subarray(at + hit.removed)]);
  });
