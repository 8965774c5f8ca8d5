/**
 * For those who run Headrace: whether it is well, how far it has come, whether results are what raw
 * events say, and the records that it could not read, which can be sent again once what was wrong with
 * their reading has been put right.
 */
import { markReplayed, type ReplayableLetter, selectLettersToReplay } from "@headrace/db";
import { encodeFirstPosition, FIRST_POSITION_HEADER } from "@headrace/events";
import {
  httpHandler,
  instantParam,
  kafkaProducer,
  limitParam,
  requireRange,
  route,
  systemClock,
  wholeParam,
} from "@headrace/handler";
import type { OutgoingRecord } from "@headrace/kafka";
import { unavailable } from "@headrace/kernel";
import {
  AuditAnswer,
  DeadLetterAnswer,
  HealthAnswer,
  ProgressAnswer,
  readAudit,
  readDeadLetters,
  readHealth,
  readProgress,
} from "@headrace/reports";
import * as z from "zod";
import metadata from "../../package.json" with { type: "json" };

const HOUR = 3_600_000_000;
const DAY = 24 * HOUR;
/** Who asks for health wants to know at once. */
const HEALTH_TIMEOUT_MS = 2_000;
const SEND_TIMEOUT_MS = 5_000;
const kafka = kafkaProducer("operations", { sendTimeoutMs: SEND_TIMEOUT_MS });

const Code = z.string().regex(/^[a-z_]+\.[a-z0-9_]+$/, "must be a code such as event.not_json");
const Topic = z.string().regex(/^[A-Za-z0-9._-]{1,249}$/, "must be the name of a topic");

const DeadLettersQuery = z.strictObject({
  code: Code.optional(),
  topic: Topic.optional(),
  from: instantParam.optional(),
  to: instantParam.optional(),
  limit: limitParam({ standard: 50, max: 200 }),
});
/** When the last letter was set aside, and its id. */
const DeadLettersCursor = z.tuple([z.int(), z.uuid()]);
/** How far a list reaches back where no `from` is given, and how far it may. */
const REACH = { standardMicros: 30 * DAY, maxMicros: 400 * DAY } as const;

const DeadLettersAnswer = z.strictObject({
  dead_letters: z.array(DeadLetterAnswer),
  next_cursor: z.string().nullable(),
});

const AuditQuery = z.strictObject({
  from: instantParam.optional(),
  to: instantParam.optional(),
  /** Hours of the range to audit, chosen by lot. */
  sample: wholeParam({ min: 1, max: 1000 }).default(24),
});
/** An answer has to be there within 25 s; a hundred thousand events in a row take about five. */
const AUDITED_EVENTS = 200_000;
const COMPARING_MS = 12_000;
const LISTED_DIFFERENCES = 100;

/** Bound what one call holds in memory and sends. */
const MAX_LETTERS = 500;
const MAX_LETTER_BYTES = 16 * 1024 * 1024;

const LIMIT_RULE = `must be a whole number from 1 to ${MAX_LETTERS}`;
const Limit = z.int(LIMIT_RULE).min(1, LIMIT_RULE).max(MAX_LETTERS, LIMIT_RULE);

const ReplayBody = z
  .strictObject({
    ids: z.array(z.guid()).min(1).max(MAX_LETTERS).optional(),
    code: Code.optional(),
    from: instantParam.optional(),
    to: instantParam.optional(),
    limit: Limit.optional(),
    /** Whether letters that were sent again before are meant too. */
    again: z.boolean().optional(),
  })
  .refine(
    ({ ids, code, ...bounds }) =>
      ids === undefined ? code !== undefined : code === undefined && isEmpty(bounds),
    "must name either ids, or a code with from, to, limit and again where wanted",
  );

const isEmpty = (bounds: Readonly<Record<string, unknown>>): boolean =>
  Object.values(bounds).every((value) => value === undefined);

const ReplayAnswer = z.strictObject({
  replayed: z.array(z.guid()),
  not_replayable: z.array(
    z.strictObject({ id: z.guid(), reason: z.enum(["tombstone", "expired", "unknown"]) }),
  ),
  /** Letters that were meant too and wait for the next call; counted up to 10,000. */
  remaining: z.int().min(0),
});

export const routes = {
  "GET /health": route({ scope: "public", pool: "reports", answer: HealthAnswer }, ({ sql }) => {
    checking ??= withinTime(readHealth(sql, metadata.version)).finally(() => {
      checking = undefined;
    });
    return checking;
  }),

  "GET /v1/progress": route(
    { scope: "reports:read", pool: "reports", answer: ProgressAnswer },
    ({ sql }) => readProgress(sql),
  ),

  "GET /v1/audit": route(
    { scope: "admin", pool: "reports", query: AuditQuery, answer: AuditAnswer },
    ({ query, sql, nowMicros }) => {
      const toMicros = query.to ?? nowMicros;
      const fromMicros = query.from ?? toMicros - DAY;
      requireRange({ fromMicros, toMicros }, REACH);
      const bounds = { sample: query.sample, events: AUDITED_EVENTS, limit: LISTED_DIFFERENCES };
      const untilMs = systemClock.now() + COMPARING_MS;
      return sql.snapshot((moment) =>
        readAudit(moment, {
          fromMicros,
          toMicros,
          ...bounds,
          random: Math.random,
          isTimeUp: () => systemClock.now() >= untilMs,
        }),
      );
    },
  ),

  "GET /v1/dead-letters": route(
    {
      scope: "admin",
      pool: "reports",
      query: DeadLettersQuery,
      cursor: DeadLettersCursor,
      answer: DeadLettersAnswer,
    },
    async ({ query, sql, nowMicros, after, cursorAfter }) => {
      const { code = null, topic = null, limit } = query;
      // A letter that is set aside during the request may be ahead of this process's clock.
      const toMicros = query.to ?? nowMicros + HOUR;
      const fromMicros = query.from ?? toMicros - REACH.standardMicros;
      requireRange({ fromMicros, toMicros }, REACH);
      const place = after && { createdMicros: after[0], id: after[1] };
      const { deadLetters, last } = await readDeadLetters(sql, {
        code,
        topic,
        fromMicros,
        toMicros,
        after: place,
        limit,
      });
      const next = last && cursorAfter([last.createdMicros, last.id]);
      return { dead_letters: deadLetters, next_cursor: next ?? null };
    },
  ),

  "POST /v1/dead-letters/replay": route(
    { scope: "admin", pool: "worker", body: ReplayBody, answer: ReplayAnswer },
    async ({
      body: { ids, code = "", from = null, to = null, limit, again = false },
      sql,
      log,
    }) => {
      if (from !== null && to !== null) requireRange({ fromMicros: from, toMicros: to });
      const { letters, remaining, unreplayable } = await selectLettersToReplay(
        sql,
        ids === undefined ? { code, fromMicros: from, toMicros: to, again } : { ids },
        { letters: limit ?? MAX_LETTERS, bytes: MAX_LETTER_BYTES },
      );
      await kafka.send(letters.map(recordOf));
      const replayed = letters.map(({ id }) => id);
      await markReplayed(sql, replayed);
      log.info("dead letters were sent again", { letters: letters.length, remaining });
      return { replayed, not_replayable: unreplayable, remaining };
    },
  ),
};

export const handler = httpHandler(routes);

/** Shared by all who ask at once: strangers may, and must not fill the pool. */
let checking: Promise<HealthAnswer> | undefined;

/** The record as it was, and where it stood: an id that is made from a position stays the same. */
const recordOf = ({ position, key, bytes }: ReplayableLetter): OutgoingRecord => ({
  topic: position.topic,
  key,
  value: bytes,
  headers: { [FIRST_POSITION_HEADER]: encodeFirstPosition(position) },
});

async function withinTime<Result>(work: Promise<Result>): Promise<Result> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(unavailable("database.unavailable", "the database did not answer in time")),
    HEALTH_TIMEOUT_MS,
  );
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
