/**
 * `node test/bench/decode.ts [--quick]`: microseconds of Node's thread that reading one event takes, by
 * the shape of its record, beside `JSON.parse` of the same bytes, which is the floor of any reader that
 * builds on it. The best of many rounds: what else runs on the machine only adds.
 */
import { decodeEvent, isRefusal } from "@headrace/events";
import { decodeThoroughly } from "../../packages/events/src/decode-event.ts";

const RECORDS = 2_000;
const rounds = process.argv.includes("--quick") ? 15 : 60;
const start = Date.UTC(2026, 0, 31);
const types = ["page_view", "add_to_cart", "purchase"];

function fields(n: number): Record<string, unknown> {
  const digits = n.toString(16).padStart(12, "0");
  return {
    event_id: `0198c5a1-7e3b-7c4d-8e5f-${digits}`,
    event_time: new Date(start + n * 137).toISOString(),
    event_type: types[n % types.length],
    user_id: `user-${(n * 7919) % 100_000}`,
    session_id: `session-${digits}-0123456789abcdef`,
    value: Math.round(n * 1337) / 100,
    amount: (n % 1000) + 0.5,
    duration: (n % 300) / 10,
    category: "electronics/computers",
    product_id: `prd_${String(n % 5000).padStart(8, "0")}`,
    region: "eu-central-1",
  };
}

const extra = {
  page: "/checkout/basket",
  referrer: "https://example.com/a?b=c",
  items: 12,
  ok: true,
};
const shapes: Record<string, (n: number) => string> = {
  eleven_fields: (n) => JSON.stringify(fields(n)),
  without_id: (n) => JSON.stringify({ ...fields(n), event_id: undefined }),
  with_data: (n) => JSON.stringify({ ...fields(n), data: extra }),
  unknown_fields: (n) => JSON.stringify({ ...fields(n), ...extra }),
  spaced: (n) => JSON.stringify(fields(n), null, 1),
  not_ascii: (n) => JSON.stringify({ ...fields(n), category: "Электроника", region: "Österreich" }),
  three_fields: (n) => {
    const { event_time, event_type } = fields(n);
    return JSON.stringify({ event_time, event_type, user_id: n });
  },
};

const figures: Record<string, number> = {};
const table: Record<string, Record<string, number>> = {};
for (const [shape, make] of Object.entries(shapes)) {
  const records = Array.from({ length: RECORDS }, (_, n) => Buffer.from(make(n)));
  const timestampMillis = start + RECORDS * 137;
  const at = (offset: number) => ({ topic: "events", partition: 0, offset, timestampMillis });
  const options = { horizonDays: 400 };
  if (records.some((record, n) => isRefusal(decodeEvent(record, at(n), options))))
    throw new Error(`a record of shape ${shape} is refused`);

  const parse = best(records, (record) => JSON.parse(record.toString()));
  const decode = best(records, (record, n) => decodeEvent(record, at(n), options));
  const thorough = best(records, (record, n) => decodeThoroughly(record, at(n), options));
  const bytes = records[RECORDS - 1]?.length ?? 0;
  table[shape] = {
    bytes,
    "JSON.parse µs": parse,
    "decodeEvent µs": decode,
    "by schema µs": thorough,
  };
  figures[`${shape}_parse_us`] = parse;
  figures[`${shape}_decode_us`] = decode;
}
console.table(table);
console.log(JSON.stringify({ bench: "decode", figures }));

/** Microseconds per record in the best round. */
function best(records: readonly Buffer[], read: (record: Buffer, n: number) => unknown): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const begun = performance.now();
    for (let n = 0; n < records.length; n++) read(records[n] as Buffer, n);
    least = Math.min(least, ((performance.now() - begun) * 1000) / records.length);
  }
  return Math.round(least * 100) / 100;
}
