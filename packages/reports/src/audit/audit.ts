/**
 * GET /v1/audit, and the cron that asks the same every hour: results against raw events, in one
 * snapshot, by plain SQL that shares no code with what keeps them.
 *
 * Days and hours of the range are taken by lot until enough events are in them, and compared until the
 * time is up: the answer says how many hours it came to.
 */
import {
  type Audited,
  type AuditRange,
  auditActiveUsers,
  auditGroups,
  auditJoins,
  auditSegmentWindows,
  auditSessions,
  type Difference,
  instantText,
  rawFromOf,
  type Sql,
} from "@headrace/db";
import { floorTo, WINDOW_MICROS } from "@headrace/windows";
import * as z from "zod";
import { Count, InstantText, instantOf } from "../answer.ts";
import { auditWindows } from "./audit-windows.ts";

const HOUR = WINDOW_MICROS["1h"];
const DAY = WINDOW_MICROS["1d"];

const DifferenceAnswer = z.strictObject({
  what: z.string(),
  key: z.string(),
  /** null: there should be no row. */
  expected: z.unknown(),
  /** null: there is no row. */
  actual: z.unknown(),
});

export const AuditAnswer = z.strictObject({
  ok: z.boolean(),
  /** `rows` were compared, and as many `differences` found. */
  checked: z.array(z.strictObject({ what: z.string(), rows: Count, differences: Count })),
  /** The first of them. */
  differences: z.array(DifferenceAnswer),
  /** The next offset of each partition in the audit's snapshot, by `topic-partition`. */
  at_offsets: z.record(z.string(), Count),
  from: InstantText,
  to: InstantText,
  /** Hours that were audited, and of how many. */
  hours: z.strictObject({ audited: Count, of: Count }),
});
export type AuditAnswer = z.output<typeof AuditAnswer>;

export interface AuditQuery extends AuditRange {
  /** Hours to audit at most. */
  readonly sample: number;
  /** Events in them at most, about; an hour that holds more by itself is left out. */
  readonly events: number;
  /** Differences to list of each result. */
  readonly limit: number;
  /** From 0 up to, not with, 1; decides which hours. */
  readonly random: () => number;
  /** Asked before each stretch of hours: many hours that lie apart cost more than their events say. */
  readonly isTimeUp: () => boolean;
}

/** In the caller's snapshot. Nothing before raw events begin is audited. */
export async function readAudit(moment: Sql, query: AuditQuery): Promise<AuditAnswer> {
  const range = await auditableRange(moment, query);
  const hours = await chooseHours(moment, range, query);
  const audited = new Map<string, Audited>();
  let micros = 0;
  for (const stretch of shuffled(stretchesOf(hours), query.random)) {
    if (query.isTimeUp()) break;
    micros += stretch.toMicros - stretch.fromMicros;
    for (const found of await auditStretch(moment, stretch, query.limit)) add(audited, found);
  }
  for (const found of await auditGroups(moment, query.limit)) add(audited, found);
  const results = [...audited.values()];
  const differences: Difference[] = results.flatMap((it) => it.differences.slice(0, query.limit));
  return {
    ok: differences.length === 0,
    checked: results.map(({ what, rows, differences: found }) => ({
      what,
      rows,
      differences: found.length,
    })),
    differences: differences.map((it) => ({ ...it })),
    at_offsets: await readOffsets(moment),
    from: instantOf(range.fromMicros),
    to: instantOf(range.toMicros),
    hours: { audited: micros / HOUR, of: (range.toMicros - range.fromMicros) / HOUR },
  };
}

/** Windows of a day are compared where the stretch holds all of it. */
async function auditStretch(moment: Sql, range: AuditRange, limit: number): Promise<Audited[]> {
  const fromMicros = -floorTo(-range.fromMicros, DAY);
  const days = { fromMicros, toMicros: floorTo(range.toMicros, DAY) };
  return [
    ...(await auditWindows(moment, range, ["10s", "1m", "1h"], limit)),
    ...(fromMicros < days.toMicros ? await auditWindows(moment, days, ["1d"], limit) : []),
    ...(await auditSessions(moment, range, limit)),
    ...(await auditActiveUsers(moment, range, limit)),
    ...(await auditSegmentWindows(moment, range, limit)),
    ...(await auditJoins(moment, range, limit)),
  ];
}

function add(audited: Map<string, Audited>, found: Audited): void {
  const known = audited.get(found.what);
  audited.set(found.what, {
    what: found.what,
    rows: (known?.rows ?? 0) + found.rows,
    differences: [...(known?.differences ?? []), ...found.differences],
  });
}

/** Whole hours of what was asked for. */
async function auditableRange(
  moment: Sql,
  { fromMicros, toMicros }: AuditRange,
): Promise<AuditRange> {
  const from = Math.max(floorTo(fromMicros, HOUR), await rawFromOf(moment));
  return { fromMicros: from, toMicros: Math.max(from, -floorTo(-toMicros, HOUR)) };
}

/** Starts of hours, in order: whole days first, as far as they fit, then single hours. */
async function chooseHours(
  moment: Sql,
  range: AuditRange,
  { sample, events, random }: AuditQuery,
): Promise<number[]> {
  const counts = await countEvents(moment, range);
  const chosen = new Set<number>();
  let left = events;
  const choose = (hours: readonly number[]): void => {
    const held = sum(hours.map((hour) => counts.get(hour) ?? 0));
    if (held > left || chosen.size + hours.length > sample) return;
    left -= held;
    for (const hour of hours) chosen.add(hour);
  };
  for (const day of shuffled(startsIn(range, DAY), random)) {
    choose(startsIn({ fromMicros: day, toMicros: day + DAY }, HOUR));
  }
  for (const hour of shuffled(startsIn(range, HOUR), random)) {
    if (!chosen.has(hour)) choose([hour]);
  }
  return [...chosen].sort((a, b) => a - b);
}

/** Of stretches of `width` that lie whole in the range. */
function startsIn({ fromMicros, toMicros }: AuditRange, width: number): number[] {
  const starts: number[] = [];
  for (let at = -floorTo(-fromMicros, width); at + width <= toMicros; at += width) starts.push(at);
  return starts;
}

const sum = (counts: readonly number[]): number => counts.reduce((total, n) => total + n, 0);

/** By Fisher and Yates. */
function shuffled<Item>(items: readonly Item[], random: () => number): Item[] {
  const drawn = [...items];
  for (let last = drawn.length - 1; last > 0; last -= 1) {
    const at = Math.floor(random() * (last + 1));
    [drawn[last], drawn[at]] = [drawn[at] as Item, drawn[last] as Item];
  }
  return drawn;
}

/** Hours in order → runs of hours that follow each other. */
function stretchesOf(hours: readonly number[]): AuditRange[] {
  const stretches: { fromMicros: number; toMicros: number }[] = [];
  for (const hour of hours) {
    const last = stretches.at(-1);
    if (last?.toMicros === hour) last.toMicros = hour + HOUR;
    else stretches.push({ fromMicros: hour, toMicros: hour + HOUR });
  }
  return stretches;
}

/** As the windows count them, which is near enough for a bound; by the hour's start. */
async function countEvents(moment: Sql, range: AuditRange): Promise<Map<number, number>> {
  const { rows } = await moment.query<{ window_start: number; events: number }>(
    `select window_start, sum(event_count)::bigint as events
     from realtime_aggregates
     where size = '1h'
       and window_start >= $1
       and window_start < $2
     group by window_start`,
    [instantText(range.fromMicros), instantText(range.toMicros)],
  );
  return new Map(rows.map(({ window_start, events }) => [window_start, events]));
}

async function readOffsets(moment: Sql): Promise<Record<string, number>> {
  const { rows } = await moment.query<{ place: string; next_offset: number }>(
    `select topic || '-' || partition as place, next_offset
     from stream_progress
     order by topic, partition`,
  );
  return Object.fromEntries(rows.map(({ place, next_offset }) => [place, next_offset]));
}
