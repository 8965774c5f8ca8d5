/**
 * What the report by segment and by category answers at this moment, finished and open, against plain
 * TypeScript over all raw rows of the same snapshot.
 */
import { type Difference, SEGMENT_KINDS, type Sql } from "@headrace/db";
import { type ReportSql, readSegments, type SegmentAnswer } from "@headrace/reports";
import { WINDOW_MICROS, WINDOW_SIZES, type WindowSize, windowStart } from "@headrace/windows";

const HOUR = WINDOW_MICROS["1h"];
const DAY = WINDOW_MICROS["1d"];

interface RawEvent extends Record<string, unknown> {
  event_time: number;
  event_type: string;
  user_id: string;
  value: string | null;
  amount_cents: number | null;
  segment: string | null;
  category: string | null;
}

export async function segmentDifferences(sql: Sql): Promise<Difference[]> {
  const events = await readEvents(sql);
  const differences: Difference[] = [];
  for (const by of SEGMENT_KINDS) {
    for (const size of WINDOW_SIZES) {
      const expected = recomputed(events, by, size);
      const actual = await answered(sql, events, by, size);
      for (const key of new Set([...expected.keys(), ...actual.keys()])) {
        const [one, other] = [expected.get(key) ?? null, actual.get(key) ?? null];
        if (JSON.stringify(one) === JSON.stringify(other)) continue;
        differences.push({ what: `segments ${by} ${size}`, key, expected: one, actual: other });
      }
    }
  }
  return differences;
}

async function readEvents(sql: Sql): Promise<RawEvent[]> {
  const { rows } = await sql.query<RawEvent>(
    `select
       event_time,
       case when exists (select from event_types where event_types.event_type = event.event_type)
         then event_type else 'other' end as event_type,
       user_id,
       value::numeric as value,
       amount_cents,
       (select segment from user_segments where user_segments.user_id = event.user_id) as segment,
       (select category from product_categories where product_categories.product_id = event.product_id) as category
     from stream_events event`,
  );
  return rows;
}

type Figures = Omit<SegmentAnswer, "window_start" | "group" | "event_type">;

function recomputed(
  events: readonly RawEvent[],
  by: "segment" | "category",
  size: WindowSize,
): Map<string, Figures> {
  const held = Map.groupBy(events, (event) =>
    JSON.stringify([windowStart(event.event_time, size), event[by], event.event_type]),
  );
  return new Map([...held].map(([key, members]) => [key, figuresOf(members)]));
}

function figuresOf(events: readonly RawEvent[]): Figures {
  const values = events.flatMap(({ value }) => (value === null ? [] : [value]));
  const cents = events.reduce((sum, { amount_cents }) => sum + BigInt(amount_cents ?? 0), 0n);
  return {
    event_count: events.length,
    distinct_users: new Set(events.map(({ user_id }) => user_id)).size,
    value_sum: values.length === 0 ? null : exactSum(values),
    revenue: `${cents / 100n}.${String(cents % 100n).padStart(2, "0")}`,
  };
}

/** Of decimal texts: whole numbers of the least unit that any of them has. */
function exactSum(texts: readonly string[]): number {
  const digits = Math.max(...texts.map((text) => text.split(".")[1]?.length ?? 0));
  const sum = texts.reduce((total, text) => {
    const [whole = "0", fraction = ""] = text.split(".");
    return total + BigInt(`${whole}${fraction.padEnd(digits, "0")}`);
  }, 0n);
  const sign = sum < 0n ? "-" : "";
  const all = (sum < 0n ? -sum : sum).toString().padStart(digits + 1, "0");
  return Number(`${sign}${all.slice(0, all.length - digits)}.${all.slice(all.length - digits)}`);
}

/** All pages; those of small windows hour by hour. */
async function answered(
  sql: Sql,
  events: readonly RawEvent[],
  by: "segment" | "category",
  size: WindowSize,
): Promise<Map<string, Figures>> {
  const isRaw = size === "10s" || size === "1m";
  const step = isRaw ? HOUR : DAY;
  const starts = new Set(events.map(({ event_time }) => Math.floor(event_time / step) * step));
  const answers = new Map<string, Figures>();
  const report: ReportSql = {
    query: (text, values) => sql.query(text, values),
    snapshot: (work) => work(sql),
  };
  for (const fromMicros of starts) {
    let after: Parameters<typeof readSegments>[1]["after"];
    do {
      const query = { by, size, eventType: null, fromMicros, toMicros: fromMicros + step };
      const page = await readSegments(report, { ...query, after, limit: 7 });
      for (const { window_start, group, event_type, ...figures } of page.segments) {
        const key = JSON.stringify([Date.parse(window_start) * 1000, group, event_type]);
        if (answers.has(key)) throw new Error(`${key} is answered twice`);
        answers.set(key, figures);
      }
      after = page.last;
    } while (after !== undefined);
  }
  return answers;
}
