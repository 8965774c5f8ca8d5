/**
 * Visits and visitors, read only: gap sessions, their summary, and active users.
 *
 * Answers are exact at the moment of the request. A session belongs where it starts; the list of one
 * named user's sessions needs the scope `users:read` too.
 */
import {
  instantParam,
  limitParam,
  type MicrosRange,
  requireRange,
  requireScope,
  route,
  textParam,
} from "@headrace/handler";
import { invalid } from "@headrace/kernel";
import {
  type ActivePeriod,
  ActivePeriodName,
  ActiveUsersAnswer,
  periodStart,
  readActiveUsers,
  readSessions,
  readSessionsSummary,
  SessionAnswer,
  SessionsSummaryAnswer,
} from "@headrace/reports";
import * as z from "zod";
import { AHEAD_MICROS, CursorInstant, MAX_RANGE_MICROS } from "./range-params.ts";

const SECOND = 1_000_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** How far a report reaches back where no `from` is given. */
const STANDARD_REACH = DAY;

const UserId = textParam(128);
const range = { from: instantParam.optional(), to: instantParam.optional() };

const SessionsQuery = z.strictObject({
  user_id: UserId.optional(),
  ...range,
  limit: limitParam({ standard: 100, max: 1000 }),
});

const SessionsAnswer = z.strictObject({
  sessions: z.array(SessionAnswer),
  next_cursor: z.string().nullable(),
});

/** Start and user of the last session, and the end of the range, which is "now" where none is given. */
const SessionsCursor = z
  .tuple([CursorInstant, UserId, CursorInstant])
  .refine(([startMicros, , toMicros]) => startMicros < toMicros);

/** How many periods an answer reaches back at least where no `from` is given, and how long it may be. */
const reach: Readonly<Record<ActivePeriod, { standard: number; max: number }>> = {
  minute: { standard: HOUR, max: 2 * DAY },
  hour: { standard: 2 * DAY, max: 100 * DAY },
  day: { standard: 30 * DAY, max: 1_100 * DAY },
  week: { standard: 84 * DAY, max: MAX_RANGE_MICROS },
  month: { standard: 365 * DAY, max: MAX_RANGE_MICROS },
};

const ActiveUsersQuery = z.strictObject({ by: ActivePeriodName, ...range });

export const routes = {
  "GET /v1/reports/sessions": route(
    {
      scope: "reports:read",
      pool: "reports",
      query: SessionsQuery,
      cursor: SessionsCursor,
      answer: SessionsAnswer,
    },
    async ({ query, sql, nowMicros, principal, after, cursorAfter }) => {
      const { user_id: userId = null, limit } = query;
      if (userId !== null) requireScope(principal, "users:read");
      const toMicros = after?.[2] ?? query.to ?? nowMicros + AHEAD_MICROS;
      const fromMicros = query.from ?? after?.[0] ?? toMicros - STANDARD_REACH;
      requireRange({ fromMicros, toMicros }, { maxMicros: MAX_RANGE_MICROS });
      const { sessions, last } = await readSessions(sql, {
        userId,
        fromMicros,
        toMicros,
        after: after && { startMicros: after[0], userId: after[1] },
        limit,
      });
      const next = last && cursorAfter([last.startMicros, last.userId, toMicros]);
      return { sessions, next_cursor: next ?? null };
    },
  ),

  "GET /v1/reports/sessions/summary": route(
    {
      scope: "reports:read",
      pool: "reports",
      query: z.strictObject(range),
      answer: SessionsSummaryAnswer,
    },
    ({ query, sql, nowMicros }) => {
      const toMicros = query.to ?? nowMicros + AHEAD_MICROS;
      const fromMicros = query.from ?? toMicros - STANDARD_REACH;
      requireRange({ fromMicros, toMicros }, { maxMicros: MAX_RANGE_MICROS });
      return readSessionsSummary(sql, { fromMicros, toMicros });
    },
  ),

  "GET /v1/reports/active-users": route(
    {
      scope: "reports:read",
      pool: "reports",
      query: ActiveUsersQuery,
      answer: ActiveUsersAnswer,
    },
    ({ query, sql, nowMicros }) => {
      const { by } = query;
      const { standard, max } = reach[by];
      const toMicros = query.to ?? periodEnd(nowMicros, by);
      const fromMicros = query.from ?? periodStart(toMicros - standard, by);
      requireRange({ fromMicros, toMicros }, { maxMicros: max });
      requireWholePeriods({ fromMicros, toMicros }, by);
      return readActiveUsers(sql, { by, fromMicros, toMicros });
    },
  ),
};

/** A month's start and 31 days more lie in the next month, whatever its length. */
function periodEnd(micros: number, by: ActivePeriod): number {
  const start = periodStart(micros, by);
  const step = { minute: MINUTE, hour: HOUR, day: DAY, week: 7 * DAY, month: 31 * DAY }[by];
  return periodStart(start + step, by);
}

function requireWholePeriods({ fromMicros, toMicros }: MicrosRange, by: ActivePeriod): void {
  for (const [path, micros] of [
    ["/from", fromMicros],
    ["/to", toMicros],
  ] as const) {
    if (periodStart(micros, by) === micros) continue;
    const monday = by === "week" ? ", a Monday" : "";
    const message = `must be the start of a ${by} in UTC${monday}`;
    throw invalid("report.range", `${path.slice(1)} ${message}`, { faults: [{ path, message }] });
  }
}
