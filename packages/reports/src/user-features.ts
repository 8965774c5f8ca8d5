/**
 * GET /v1/users/{id}/features: the feature vector of one user at one moment, by name, in the order
 * and with the units that learning uses.
 *
 * Made from raw events in one snapshot, so it is exact at every moment; a user without events has a
 * vector too. What the running session did is read back to its start, however long ago that was, but
 * not to before raw events are kept.
 */
import { instantText, type Sql } from "@headrace/db";
import { invalid } from "@headrace/kernel";
import { FEATURE_UNITS, FEATURES, type FeatureEvent, FeatureFold } from "@headrace/learning";
import * as z from "zod";
import { Figure, InstantText, instantOf } from "./answer.ts";
import type { ReportSql } from "./report-sql.ts";

export const FeatureAnswer = z.strictObject({
  name: z.string(),
  value: Figure,
  unit: z.enum(FEATURE_UNITS),
});

export const UserFeaturesAnswer = z.strictObject({
  user_id: z.string(),
  at: InstantText,
  /** From `from`, not with it, to `at`, and with that. */
  from: InstantText,
  features: z.array(FeatureAnswer),
});
export type UserFeaturesAnswer = z.output<typeof UserFeaturesAnswer>;

export interface UserFeaturesQuery {
  readonly userId: string;
  readonly atMicros: number;
  readonly windowMicros: number;
}

/** Throws `report.expired` where raw events are not kept that far back. */
export function readUserFeatures(
  sql: ReportSql,
  { userId, atMicros, windowMicros }: UserFeaturesQuery,
): Promise<UserFeaturesAnswer> {
  const fromMicros = atMicros - windowMicros;
  return sql.snapshot(async (moment) => {
    await requireRaw(moment, fromMicros);
    const fold = new FeatureFold(atMicros, windowMicros);
    await foldEvents(moment, userId, atMicros, fold);
    const vector = fold.vector();
    return {
      user_id: userId,
      at: instantOf(atMicros),
      from: instantOf(fromMicros),
      features: FEATURES.map(({ name, unit }, place) => ({
        name,
        value: vector[place] ?? null,
        unit,
      })),
    };
  });
}

async function requireRaw(moment: Sql, fromMicros: number): Promise<void> {
  const { rows } = await moment.query<{ raw_from: number }>("select raw_from from clock");
  const rawFrom = rows[0]?.raw_from ?? Number.NEGATIVE_INFINITY;
  if (fromMicros >= rawFrom) return;
  const message = `events before ${instantOf(rawFrom)} are not kept any more`;
  throw invalid("report.expired", message, { faults: [{ path: "/at", message }] });
}

/** Events per statement: what is held at once, however many a user has. */
const PAGE = 5000;
/** How far each further look reaches back for the start of a session, at least. */
const STEP_MICROS = 86_400_000_000;
const LEAST_ID = "00000000-0000-0000-0000-000000000000";

interface Row extends Record<string, unknown> {
  readonly event_id: string;
  readonly event_time: number;
  readonly event_type: string;
  readonly value: number | null;
}

async function foldEvents(
  moment: Sql,
  userId: string,
  atMicros: number,
  fold: FeatureFold,
): Promise<void> {
  let fromMicros = fold.needsFromMicros;
  let before = { micros: atMicros + 1, id: LEAST_ID };
  for (;;) {
    const rows = await readPage(moment, userId, fromMicros, before);
    for (const row of rows) fold.add(featureEvent(row));
    const needsFrom = fold.needsFromMicros;
    const last = rows.length === PAGE ? rows.at(-1) : undefined;
    if (last !== undefined && last.event_time >= needsFrom) {
      before = { micros: last.event_time, id: last.event_id };
    } else if (needsFrom < fromMicros) {
      before = { micros: fromMicros, id: LEAST_ID };
      fromMicros = Math.min(needsFrom, fromMicros - STEP_MICROS);
    } else return;
  }
}

const featureEvent = (row: Row): FeatureEvent => ({
  id: row.event_id,
  timeMicros: row.event_time,
  type: row.event_type,
  value: row.value,
});

async function readPage(
  moment: Sql,
  userId: string,
  fromMicros: number,
  before: { readonly micros: number; readonly id: string },
): Promise<readonly Row[]> {
  const { rows } = await moment.query<Row>(
    `select event_id, event_time, event_type, value
     from stream_events
     where user_id = $1
       and event_time between $2 and $3
       and (event_time, event_id) < ($3::timestamptz, $4::uuid)
     order by event_time desc, event_id desc
     limit $5`,
    [userId, instantText(fromMicros), instantText(before.micros), before.id, PAGE],
  );
  return rows;
}
