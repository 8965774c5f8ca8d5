/** GET /v1/reports/joins/{name}: the pairs of an interval join; a pair belongs where its left event lies. */
import { instantParam, joinNameParam, limitParam, requireRange, route } from "@headrace/handler";
import { JoinMatchAnswer, JoinTotals, readJoinMatches } from "@headrace/reports";
import * as z from "zod";
import { AHEAD_MICROS, CursorInstant, MAX_RANGE_MICROS } from "./range-params.ts";

const SECOND = 1_000_000;
const DAY = 86_400 * SECOND;
const REACH = { standardMicros: DAY, maxMicros: MAX_RANGE_MICROS } as const;

const Params = z.strictObject({ name: joinNameParam });
const MatchesQuery = z.strictObject({
  from: instantParam.optional(),
  to: instantParam.optional(),
  limit: limitParam({ standard: 100, max: 1000 }),
});
/** Left and right event of the last pair, and the range, which moves on where none is given. */
const MatchesCursor = z.tuple([
  CursorInstant,
  z.guid(),
  CursorInstant,
  z.guid(),
  CursorInstant,
  CursorInstant,
]);
const MatchesAnswer = z.strictObject({
  matches: z.array(JoinMatchAnswer),
  ...JoinTotals.shape,
  next_cursor: z.string().nullable(),
});

export const routes = {
  "GET /v1/reports/joins/{name}": route(
    {
      scope: "reports:read",
      pool: "reports",
      params: Params,
      query: MatchesQuery,
      cursor: MatchesCursor,
      answer: MatchesAnswer,
    },
    async ({ params: { name }, query, sql, nowMicros, after, cursorAfter }) => {
      const toMicros = after?.[5] ?? query.to ?? nowMicros + AHEAD_MICROS;
      const fromMicros = after?.[4] ?? query.from ?? toMicros - REACH.standardMicros;
      requireRange({ fromMicros, toMicros }, REACH);
      const { matches, last, ...totals } = await readJoinMatches(sql, {
        name,
        fromMicros,
        toMicros,
        after: after && {
          left: { timeMicros: after[0], eventId: after[1] },
          right: { timeMicros: after[2], eventId: after[3] },
        },
        limit: query.limit,
      });
      const next =
        last &&
        cursorAfter([
          last.left.timeMicros,
          last.left.eventId,
          last.right.timeMicros,
          last.right.eventId,
          fromMicros,
          toMicros,
        ]);
      return { matches, ...totals, next_cursor: next ?? null };
    },
  ),
};
