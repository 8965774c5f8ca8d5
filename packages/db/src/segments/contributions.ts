/**
 * What events add to the windows by segment and by category, as one statement.
 *
 * Counts and sums are added up by group. A user is new in a window, group and type where none of the
 * context (the user's events of that day and those types which have been counted before) has been
 * there. The same text serves who adds a slice, who moves a key to another group and who reads the open
 * part.
 */
import { type Stretch, widenStretches, withinStretches } from "../followers/stretches.ts";
import { instantText, type Sql } from "../sql.ts";

export const SEGMENT_KINDS = ["segment", "category"] as const;
export type SegmentKind = (typeof SEGMENT_KINDS)[number];

/** Users or products that are to be counted under another group; "" is none. */
export interface MovedKeys {
  readonly by: SegmentKind;
  readonly keys: readonly string[];
  readonly groups: readonly string[];
}

/** A statement's common table expressions, and the values that they refer to. */
export interface Contributions {
  /** To follow `with`. The last one is `contribution`, with the columns of `segment_windows`. */
  readonly text: string;
  readonly values: unknown[];
}

export interface ArrivedEvents {
  readonly fromTx: number;
  /** Undefined: whatever the snapshot shows. */
  readonly toTx?: number;
  readonly stretches: readonly Stretch[];
}

export interface ArrivedOptions {
  readonly by: readonly SegmentKind[];
  /** Event time, µs; whole days or whole windows of the sizes that are wanted. */
  readonly sinceMicros?: number;
  readonly beforeMicros?: number;
  /** As their own type, or "other". */
  readonly eventType?: string | null;
  /** What the events add under the new groups less what they add under the old. */
  readonly moved?: MovedKeys;
}

/**
 * For the transaction that runs such a statement. How many rows its steps give is unknown to the
 * planner, which takes them for few: a sort or a nested loop over them costs twice as much, or has no
 * end. Where rows are looked up one by one, the text leaves no other way than the index.
 */
export async function planForContributions(sql: Sql): Promise<void> {
  await sql.query("set local enable_sort = off; set local enable_nestloop = off");
}

const DAY_MICROS = 86_400_000_000;

/** Of events that have arrived since `fromTx`, beside all that came before. */
export function contributionsOfArrived(
  { fromTx, toTx, stretches }: ArrivedEvents,
  { by, sinceMicros, beforeMicros, eventType = null, moved }: ArrivedOptions,
): Contributions {
  const values: unknown[] = [fromTx];
  const place = (value: unknown): string => `$${values.push(value)}`;
  const conditions = [
    "stream_events.tx >= $1",
    ...(toTx === undefined ? [] : [`stream_events.tx < ${place(toTx)}`]),
    withinStretches("event_time", stretches, values),
    ...(sinceMicros === undefined ? [] : [`event_time >= ${place(instantText(sinceMicros))}`]),
    ...(beforeMicros === undefined ? [] : [`event_time < ${place(instantText(beforeMicros))}`]),
    ...(eventType === null ? [] : [`${TYPE} = ${place(eventType)}`]),
    ...(moved?.by === "segment" ? [`user_id = any (${place(moved.keys)})`] : []),
  ];
  const wholeDays = withinStretches(
    "event_time",
    widenStretches(stretches, DAY_MICROS, DAY_MICROS),
    values,
  );
  return {
    text: `
      ${movedKeys(moved, values)}
      event as materialized (
        select ${EVENT_COLUMNS}
        from stream_events
        where ${conditions.join(" and ")}
      ),
      user_day as materialized (
        select user_id, day, array_agg(event_type) as types
        from (
          select distinct user_id, ${DAY} as day, event_type
          from event
        ) as seen
        group by user_id, day
      ),
      context as materialized (
        select distinct found.*
        from user_day
        cross join lateral (
          select ${CONTEXT_COLUMNS}
          from stream_events
            where user_id = user_day.user_id
            and event_time >= user_day.day
            and event_time < user_day.day + interval '1 day'
            and ${wholeDays}
            and stream_events.tx < $1
          offset 0
        ) as found
        where found.event_type = any (types)
      ),
      ${contributionText(by, moved !== undefined)}`,
    values,
  };
}

export interface HeldEvents {
  /** The events below it. */
  readonly toTx: number;
  /** Whole days of event time, µs: [from, to). */
  readonly fromMicros: number;
  readonly toMicros: number;
}

/** Of all these events, as if there were no others. */
export function contributionsOfHeld(
  { toTx, fromMicros, toMicros }: HeldEvents,
  { by, eventType }: { readonly by: readonly SegmentKind[]; readonly eventType: string | null },
): Contributions {
  const values: unknown[] = [toTx, instantText(fromMicros), instantText(toMicros)];
  return {
    text: `
      event as materialized (
        select ${EVENT_COLUMNS}
        from stream_events
        where event_time >= $2
          and event_time < $3
          and stream_events.tx < $1
          ${eventType === null ? "" : `and ${TYPE} = $${values.push(eventType)}`}
      ),
      ${NO_CONTEXT},
      ${contributionText(by, false)}`,
    values,
  };
}

/** The difference that new groups of these keys make to events that have been counted. */
export function contributionsOfMoved(
  { toTx, fromMicros, toMicros }: HeldEvents,
  moved: MovedKeys,
): Contributions {
  const values: unknown[] = [toTx, instantText(fromMicros), instantText(toMicros)];
  const held = `
          and event_time >= $2
          and event_time < $3
          and stream_events.tx < $1
          offset 0`;
  const moving = movedKeys(moved, values);
  const events = (column: string, key: string): string => `
        cross join lateral (
          select ${EVENT_COLUMNS}
          from stream_events
            where ${column} = ${key}
          ${held}
        ) as found`;
  const text =
    moved.by === "segment"
      ? `
      event as materialized (
        select found.*
        from moved
        ${events("user_id", "moved.key")}
      ),`
      : // A user who has seen another product of the group stays one of its users.
        `
      user_day as materialized (
        select distinct found.user_id, ${DAY} as day
        from moved
        ${events("product_id", "moved.key")}
      ),
      event as materialized (
        select found.*
        from user_day
        ${events("user_id", "user_day.user_id and event_time >= user_day.day and event_time < user_day.day + interval '1 day'")}
      ),`;
  return {
    text: `
      ${moving}
      ${text}
      ${NO_CONTEXT},
      ${contributionText([moved.by], true)}`,
    values,
  };
}

const HOUR_OF = (column: string): string => `date_bin('1 hour', ${column}, timestamptz 'epoch')`;
const DAY = "date_bin('1 day', hour, timestamptz 'epoch')";
const TYPE =
  "case when event_type in (select event_type from event_types) then event_type else 'other' end";
const CONTEXT_COLUMNS = `
            user_id,
            ${HOUR_OF("event_time")} as hour,
            ${TYPE} as event_type,
            product_id`;
const EVENT_COLUMNS = `${CONTEXT_COLUMNS},
            value,
            amount_cents`;
const NO_CONTEXT = `context as materialized (
        select null::text as user_id, null::timestamptz as hour, null::text as event_type, null::text as product_id
        where false
      )`;

function movedKeys(moved: MovedKeys | undefined, values: unknown[]): string {
  if (moved === undefined) return "";
  const keys = `$${values.push(moved.keys)}::text[]`;
  const groups = `$${values.push(moved.groups)}::text[]`;
  return `moved as materialized (
        select key, "group"
        from unnest(${keys}, ${groups}) as given (key, "group")
      ),`;
}

const MAPPINGS = {
  segment: { table: "user_segments", key: "user_id" },
  category: { table: "product_categories", key: "product_id" },
} as const satisfies Record<SegmentKind, Readonly<Record<string, string>>>;

/** From `event` and `context` to `contribution`. */
function contributionText(by: readonly SegmentKind[], isMoved: boolean): string {
  const groups = by.join(", ");
  return `
      ${by.map((kind) => groupsText(kind, isMoved)).join("")}
      placed as materialized (
        select ${placedColumns(by, isMoved)}, value, amount_cents
        from event
        ${placingJoins(by, isMoved)}
      ),
      summed as materialized (
        select
          sign,
          hour,
          event_type,
          ${groups},
          count(*) as event_count,
          count(value) as value_count,
          coalesce(sum(value::numeric), 0) as value_sum,
          coalesce(sum(amount_cents), 0) * 0.01 as revenue
        from placed
        group by sign, hour, event_type, ${groups}
      ),
      met as materialized (
        select sign, user_id, hour, event_type, ${groups}, bool_and(is_new) as is_new
        from (
          select sign, user_id, hour, event_type, ${groups}, true as is_new
          from placed
          union all
          select ${placedColumns(by, isMoved)}, false
          from context
          ${placingJoins(by, isMoved)}
        ) as meeting
        group by sign, user_id, hour, event_type, ${groups}
      ),
      ${by.length > 1 ? MET_BY_SEGMENT : ""}
      contribution as materialized (
        select
          by,
          size,
          window_start,
          "group",
          event_type,
          sum(event_count)::bigint as event_count,
          sum(distinct_users)::bigint as distinct_users,
          sum(value_count)::bigint as value_count,
          sum(value_sum) as value_sum,
          sum(revenue) as revenue
        from (
          ${by.map((kind) => partsText(kind, by.length > 1 && kind === "segment" ? "met_by_segment" : "met")).join(" union all ")}
        ) as part (by, size, window_start, "group", event_type, event_count, distinct_users, value_count, value_sum, revenue)
        group by 1, 2, 3, 4, 5
        having sum(event_count) <> 0
          or sum(distinct_users) <> 0
          or sum(value_count) <> 0
          or sum(value_sum) <> 0
          or sum(revenue) <> 0
      )`;
}

/** The groups of all keys that were met, each looked up once. */
function groupsText(by: SegmentKind, isMoved: boolean): string {
  const { table, key } = MAPPINGS[by];
  const keys =
    by === "segment"
      ? "select distinct user_id from event"
      : "select product_id from event union select product_id from context";
  return `
      group_by_${by} as materialized (
        select
          ${key},
          coalesce((select ${by} from ${table} where ${table}.${key} = seen.${key}), '') as counted
          ${isMoved ? `, moved."group" as moved_to` : ""}
        from (${keys}) as seen
        ${isMoved ? `left join moved on moved.key = seen.${key}` : ""}
        where seen.${key} is not null
      ),`;
}

/** Who was there, under which groups: of moved keys once under the new ones, and once less under the old. */
function placedColumns(by: readonly SegmentKind[], isMoved: boolean): string {
  const groups = by.map((kind) => {
    const counted = `group_by_${kind}.counted`;
    const placed = isMoved
      ? `case when sign = 1 then coalesce(group_by_${kind}.moved_to, ${counted}) else ${counted} end`
      : counted;
    return `coalesce(${placed}, '') as ${kind}`;
  });
  return `${isMoved ? "sign" : "1 as sign"}, user_id, hour, event_type, ${groups.join(", ")}`;
}

function placingJoins(by: readonly SegmentKind[], isMoved: boolean): string {
  const joins = by.map((kind) => `left join group_by_${kind} using (${MAPPINGS[kind].key})`);
  return `${joins.join("\n        ")} ${isMoved ? "cross join (values (1), (-1)) as term (sign)" : ""}`;
}

/** `met` tells of products of many categories, but a user has one segment. */
const MET_BY_SEGMENT = `
      met_by_segment as materialized (
        select sign, user_id, hour, event_type, segment, bool_and(is_new) as is_new
        from met
        group by sign, user_id, hour, event_type, segment
      ),`;

function partsText(by: SegmentKind, met: string): string {
  const sums = (size: string, start: string): string => `
          select '${by}', '${size}', ${start}, ${by}, event_type,
            sign * event_count, 0, sign * value_count, sign * value_sum, sign * revenue
          from summed`;
  return `
          ${sums("1h", "hour")}
          union all
          ${sums("1d", DAY)}
          union all
          select '${by}', '1h', hour, ${by}, event_type, 0, sum(sign), 0, 0, 0
          from ${met}
          where is_new
          group by hour, ${by}, event_type
          union all
          select '${by}', '1d', day, ${by}, event_type, 0, sum(sign), 0, 0, 0
          from (
            select sign, user_id, ${DAY} as day, ${by}, event_type
            from ${met}
            group by 1, 2, 3, 4, 5
            having bool_and(is_new)
          ) as met_on_day
          group by day, ${by}, event_type`;
}
