/** Session reports against plain SQL over all raw rows of the same snapshot. */
import type { Difference, Sql } from "@headrace/db";
import {
  type ReportSql,
  readSessions,
  readSessionsSummary,
  type SessionAnswer,
} from "@headrace/reports";
import { eventSpan, unalignedParts } from "./event-span.ts";

/** `sql`: within one snapshot. */
export async function sessionDifferences(sql: Sql): Promise<Difference[]> {
  const span = await eventSpan(sql);
  if (span === undefined) return [];
  const report: ReportSql = { query: sql.query.bind(sql), snapshot: (work) => work(sql) };
  const plain = await plainSessions(sql);
  const found: Difference[] = [];
  for (const range of unalignedParts(span)) {
    const within = plain.filter((it) => it.start >= range.fromMicros && it.start < range.toMicros);
    const what = `${range.fromMicros}..${range.toMicros}`;
    found.push(...(await listDifferences(report, what, within, { ...range, userId: null })));
    const userId = within.at(-1)?.user_id ?? "nobody";
    const own = within.filter((it) => it.user_id === userId);
    found.push(...(await listDifferences(report, `${what} of a user`, own, { ...range, userId })));
    const actual = await readSessionsSummary(report, range);
    found.push(...summaryDifferences(what, within, actual));
  }
  return found;
}

interface Plain extends Record<string, unknown> {
  readonly start: number;
  readonly seconds: number;
  readonly user_id: string;
  readonly event_count: number;
  readonly value_sum: number | null;
  readonly revenue: string;
  readonly purchased: boolean;
  readonly open: boolean;
}

/** In the order of start and user. */
async function plainSessions(sql: Sql): Promise<readonly Plain[]> {
  const { rows } = await sql.query<Plain>(`
    with stepped as (
      select
        *,
        case
          when event_time - lag(event_time) over one_user <= interval '1800 seconds' then 0
          else 1
        end as step
      from stream_events
      window one_user as (partition by user_id order by event_time, event_id)
    ),
    counted as (
      select
        *,
        sum(step) over (partition by user_id order by event_time, event_id) as session
      from stepped
    )
    select
      user_id,
      micros(min(event_time)) as start,
      (extract(epoch from max(event_time)) - extract(epoch from min(event_time)))::double precision as seconds,
      count(*) as event_count,
      double_or_null(sum(value::numeric)) as value_sum,
      (coalesce(sum(amount_cents) filter (where event_type = 'purchase'), 0) / 100)::numeric(20, 2)::text as revenue,
      bool_or(event_type = 'purchase') as purchased,
      (select not coalesce(clock.watermark > max(event_time) + interval '30 minutes', false) from clock) as open
    from counted
    group by user_id, session
    order by min(event_time), user_id`);
  return rows;
}

async function listDifferences(
  report: ReportSql,
  what: string,
  plain: readonly Plain[],
  range: { userId: string | null; fromMicros: number; toMicros: number },
): Promise<Difference[]> {
  // In pages, so that cursors are compared too.
  const read: SessionAnswer[] = [];
  const limit = Math.max(3, Math.ceil(plain.length / 3));
  for (let after: Parameters<typeof readSessions>[1]["after"]; ; ) {
    const page = await readSessions(report, { ...range, after, limit });
    read.push(...page.sessions);
    if (page.last === undefined) break;
    after = page.last;
  }
  const found: Difference[] = [];
  for (let at = 0; at < Math.max(plain.length, read.length); at += 1) {
    const expected = comparablePlain(plain[at]);
    const actual = comparableRead(read[at]);
    const key = `${what} ${at}`;
    if (expected !== actual) found.push({ what: "sessions report", key, expected, actual });
  }
  const ids = new Set(read.map(({ session_id: id }) => id));
  if (ids.size !== read.length)
    found.push({ what: "session ids", key: what, expected: read.length, actual: ids.size });
  return found;
}

const comparablePlain = (row: Plain | undefined): string | null =>
  row === undefined
    ? null
    : JSON.stringify([
        row.start,
        row.user_id,
        row.seconds,
        row.event_count,
        row.value_sum,
        row.revenue,
        row.purchased,
        row.open,
      ]);

const comparableRead = (row: SessionAnswer | undefined): string | null =>
  row === undefined
    ? null
    : JSON.stringify([
        microsOf(row.started_at),
        row.user_id,
        row.duration_seconds,
        row.event_count,
        row.value_sum,
        row.revenue,
        row.purchased,
        row.open,
      ]);

/** `Date` knows milliseconds. */
const microsOf = (text: string): number =>
  Date.parse(`${text.slice(0, 19)}Z`) * 1000 +
  Number((/\.(\d+)Z$/.exec(text)?.[1] ?? "").padEnd(6, "0"));

function summaryDifferences(
  key: string,
  plain: readonly Plain[],
  actual: Awaited<ReturnType<typeof readSessionsSummary>>,
): Difference[] {
  const seconds = plain.map((it) => it.seconds).sort((a, b) => a - b);
  const rank = (q: number): number | null => seconds[Math.floor(q * (seconds.length - 1))] ?? null;
  const expected = {
    sessions: plain.length,
    with_purchase: plain.filter(({ purchased }) => purchased).length,
    events: plain.reduce((sum, it) => sum + it.event_count, 0),
    total_duration_seconds: seconds.reduce((sum, it) => sum + it, 0),
    duration_p50_seconds: rank(0.5),
    duration_p95_seconds: rank(0.95),
    events_max: Math.max(0, ...plain.map((it) => it.event_count)),
  };
  const isNear = (a: number | null, b: number | null, error: number): boolean =>
    a === null || b === null ? a === b : Math.abs(a - b) <= error * Math.abs(a);
  return (Object.keys(expected) as (keyof typeof expected)[]).flatMap((name) => {
    // A sum of doubles here, of integers there.
    const error = name.startsWith("duration") ? 0.01 : name === "total_duration_seconds" ? 1e-9 : 0;
    return isNear(expected[name], actual[name], error)
      ? []
      : [{ what: `summary ${name}`, key, expected: expected[name], actual: actual[name] }];
  });
}
