/**
 * How many users go through a row of steps. Read from raw events, hence a function of its own: it
 * needs more memory than reports that are read from results.
 */
import {
  durationParam,
  eventTypeParam,
  instantParam,
  requireRange,
  route,
} from "@headrace/handler";
import {
  FUNNEL_COLUMNS,
  FunnelAnswer,
  type FunnelColumn,
  type FunnelField,
  readFunnel,
} from "@headrace/reports";
import * as z from "zod";

const SECOND = 1_000_000;
const MINUTE = 60 * SECOND;
const DAY = 86_400 * SECOND;

/** `page_view,purchase`; a type may come more than once. */
const Steps = z
  .string()
  .transform((text) => text.split(","))
  .pipe(
    z
      .array(eventTypeParam)
      .min(2, "must be at least 2 event types")
      .max(20, "must be at most 20 event types"),
  );

/** A column, or `data.` and where to look in it: `data.device.os`. */
const Field = z.string().transform((text, context): FunnelField => {
  if (isColumn(text)) return { column: text };
  const [root, ...path] = text.split(".");
  const isPath = root === "data" && path.length >= 1 && path.length <= 8;
  if (isPath && path.every((key) => key !== "" && key.length <= 128)) return { path };
  context.addIssue(
    `must be one of ${FUNNEL_COLUMNS.join(", ")}, or data. and a path of 1 to 8 names (data.device.os)`,
  );
  return z.NEVER;
});

const isColumn = (text: string): text is FunnelColumn =>
  (FUNNEL_COLUMNS as readonly string[]).includes(text);

const FunnelQuery = z.strictObject({
  steps: Steps,
  within: durationParam({ minMicros: SECOND, maxMicros: 31 * DAY }),
  from: instantParam.optional(),
  to: instantParam.optional(),
  by: Field.optional(),
});

/** How far a funnel reaches back where no `from` is given. */
const STANDARD_REACH = DAY;
/** Some more than a year, so that a year may be compared with the one before. */
const MAX_RANGE_MICROS = 400 * DAY;
/** An event may be as far ahead of the clock. */
const AHEAD_MICROS = 5 * MINUTE;
/** Groups that are told apart. */
const GROUPS = 20;

export const routes = {
  "GET /v1/reports/funnel": route(
    { scope: "reports:read", pool: "reports", query: FunnelQuery, answer: FunnelAnswer },
    ({ query, sql, nowMicros }) => {
      const toMicros = query.to ?? nowMicros + AHEAD_MICROS;
      const fromMicros = query.from ?? toMicros - STANDARD_REACH;
      requireRange({ fromMicros, toMicros }, { maxMicros: MAX_RANGE_MICROS });
      return readFunnel(sql, {
        steps: query.steps,
        withinMicros: query.within,
        fromMicros,
        toMicros,
        by: query.by,
        groupLimit: GROUPS,
      });
    },
  ),
};
