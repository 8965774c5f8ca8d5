/**
 * Bench `decode`: microseconds of Node's thread that reading one event takes, by the shape of its
 * record, beside `JSON.parse` of the same bytes, the floor of any reader that builds on it, and the
 * schema's own way, which `decodeEvent` takes for unusual records. The best of many rounds: whatever
 * else runs on the machine only adds.
 */
import { decodeEvent, isRefusal } from "@headrace/events";
import { decodeThoroughly } from "../../packages/events/src/decode-event.ts";
import type { Bench } from "./bench.ts";

const RECORDS = 2_000;

export const decode: Bench = async ({ quick }) => {
  const figures: Record<string, number> = {};
  const rounds = quick ? 15 : 60;
  for (const [shape, make] of Object.entries(shapes)) {
    const records = Array.from({ length: RECORDS }, (_, n) => Buffer.from(make(n)));
    if (records.some((record, n) => isRefusal(decodeEvent(record, at(n), options))))
      throw new Error(`a record of shape ${shape} is refused`);
    const parse = (record: Buffer) => JSON.parse(record.toString());
    const read = (record: Buffer, n: number) => decodeEvent(record, at(n), options);
    const bySchema = (record: Buffer, n: number) => decodeThoroughly(record, at(n), options);
    figures[`${shape}_bytes`] = records.at(-1)?.length ?? 0;
    figures[`${shape}_json_parse_us`] = best(rounds, records, parse);
    figures[`${shape}_decode_us`] = best(rounds, records, read);
    figures[`${shape}_by_schema_us`] = best(rounds, records, bySchema);
  }
  return figures;
};

const start = Date.UTC(2026, 0, 31);
const timestampMillis = start + RECORDS * 137;
const at = (offset: number) => ({ topic: "events", partition: 0, offset, timestampMillis });
const options = { horizonDays: 400 };
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

/** Microseconds per record in the best round. */
function best(
  rounds: number,
  records: readonly Buffer[],
  read: (record: Buffer, n: number) => unknown,
): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const begun = performance.now();
    for (let n = 0; n < records.length; n++) read(records[n] as Buffer, n);
    least = Math.min(least, ((performance.now() - begun) * 1000) / records.length);
  }
  return Math.round(least * 100) / 100;
}
