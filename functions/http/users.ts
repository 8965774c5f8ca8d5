/**
 * Everything about one named user: what is known of them, what they did, what a model would see, and
 * the request to forget them.
 *
 * A user nobody has heard of has no events and features of nothing; only the profile says 404.
 */
import { findErasure, requestErasure } from "@headrace/db";
import {
  durationParam,
  EARLIEST_MICROS,
  httpHandler,
  instantParam,
  LATEST_MICROS,
  limitParam,
  requireRange,
  route,
  textParam,
} from "@headrace/handler";
import { invalid, notFound } from "@headrace/kernel";
import { FEATURE_WINDOW_MICROS } from "@headrace/learning";
import {
  ErasureAnswer,
  erasureAnswer,
  readUserEvents,
  readUserFeatures,
  readUserProfile,
  UserEventAnswer,
  UserFeaturesAnswer,
  UserProfileAnswer,
} from "@headrace/reports";
import * as z from "zod";

const DAY = 86_400_000_000;
/** An event may be as far ahead of the clock. */
const AHEAD_MICROS = 5 * 60_000_000;

const UserParams = z.strictObject({ id: textParam(128) });
const JobParams = z.strictObject({ job: z.guid("must be the id of a job") });

const FeaturesQuery = z.strictObject({
  window: durationParam({
    minMicros: FEATURE_WINDOW_MICROS.min,
    maxMicros: FEATURE_WINDOW_MICROS.max,
  }).default(FEATURE_WINDOW_MICROS.standard),
  at: instantParam.optional(),
});

const EventsQuery = z.strictObject({
  from: instantParam.optional(),
  to: instantParam.optional(),
  limit: limitParam({ standard: 100, max: 1000 }),
});
/** Time and id of the last event, and the start of the range. */
const EventsCursor = z.tuple([
  z.int().min(EARLIEST_MICROS).max(LATEST_MICROS),
  z.guid(),
  z.int().min(EARLIEST_MICROS).max(LATEST_MICROS),
]);
/** How far a list reaches back where no `from` is given, and how far it may: all that a horizon lets in. */
const REACH = { standardMicros: 30 * DAY, maxMicros: 3_660 * DAY } as const;

const EventsAnswer = z.strictObject({
  events: z.array(UserEventAnswer),
  next_cursor: z.string().nullable(),
});

export const routes = {
  "GET /v1/users/{id}/profile": route(
    { scope: "users:read", pool: "reports", params: UserParams, answer: UserProfileAnswer },
    async ({ params, sql }) => {
      const profile = await readUserProfile(sql, params.id);
      if (profile === undefined) throw notFound("user.unknown", "nothing is known of this user");
      return profile;
    },
  ),

  "GET /v1/users/{id}/features": route(
    {
      scope: "users:read",
      pool: "reports",
      params: UserParams,
      query: FeaturesQuery,
      answer: UserFeaturesAnswer,
    },
    ({ params, query, sql, nowMicros }) => {
      const atMicros = query.at ?? nowMicros;
      if (atMicros > nowMicros + AHEAD_MICROS) throw tooFarAhead();
      return readUserFeatures(sql, { userId: params.id, atMicros, windowMicros: query.window });
    },
  ),

  "GET /v1/users/{id}/events": route(
    {
      scope: "users:read",
      pool: "reports",
      params: UserParams,
      query: EventsQuery,
      cursor: EventsCursor,
      answer: EventsAnswer,
    },
    async ({ params, query, sql, nowMicros, after, cursorAfter }) => {
      const toMicros = query.to ?? after?.[0] ?? nowMicros + AHEAD_MICROS;
      const fromMicros = query.from ?? after?.[2] ?? toMicros - REACH.standardMicros;
      if (after === undefined) requireRange({ fromMicros, toMicros }, REACH);
      const { events, last } = await readUserEvents(sql, {
        userId: params.id,
        fromMicros,
        toMicros,
        after: after && { timeMicros: after[0], id: after[1] },
        limit: query.limit,
      });
      const next = last && cursorAfter([last.timeMicros, last.id, fromMicros]);
      return { events, next_cursor: next ?? null };
    },
  ),

  "DELETE /v1/users/{id}": route(
    { scope: "admin", pool: "worker", params: UserParams, answer: ErasureAnswer, status: 202 },
    async ({ params, sql, log }) => {
      const erasure = await requestErasure(sql, params.id);
      log.info("a user is to be erased", { job: erasure.jobId });
      return erasureAnswer(erasure);
    },
  ),

  "GET /v1/erasures/{job}": route(
    { scope: "admin", pool: "worker", params: JobParams, answer: ErasureAnswer },
    async ({ params, sql }) => {
      const erasure = await findErasure(sql, params.job);
      if (erasure === undefined) throw notFound("erasure.unknown", "there is no such job");
      return erasureAnswer(erasure);
    },
  ),
};

export const handler = httpHandler(routes);

/** What has not happened yet would change the answer. */
function tooFarAhead() {
  const message = "at must not lie more than 5 minutes ahead";
  return invalid("report.future", message, { faults: [{ path: "/at", message }] });
}
