/** Routes of every kind that the HTTP wrapper has to serve, none of which asks a database. */
import {
  answerWith,
  durationParam,
  instantParam,
  limitParam,
  type Purpose,
  requireRange,
  route,
  textParam,
} from "@headrace/handler";
import {
  bug,
  conflict,
  invalid,
  type Logger,
  notFound,
  silentLogger,
  unavailable,
} from "@headrace/kernel";
import { z } from "zod";
import { type Served, serve } from "./serve.ts";

const DAY = 86_400_000_000;

export const routes = {
  "GET /v1/echo": route(
    {
      scope: "reports:read",
      query: z.strictObject({
        size: z.enum(["10s", "1m"]),
        from: instantParam,
        to: instantParam,
        window: durationParam({
          minMicros: 10_000_000,
          maxMicros: DAY,
          stepMicros: 10_000_000,
        }).default(60_000_000),
        limit: limitParam({ standard: 100, max: 1000 }),
      }),
      answer: z.looseObject({}),
    },
    ({ query, nowMicros, principal }) => {
      requireRange({ fromMicros: query.from, toMicros: query.to }, { maxMicros: 7 * DAY });
      return { ...query, nowMicros, subject: principal.subject };
    },
  ),
  "GET /v1/users/{id}/profile": route(
    {
      scope: "reports:read",
      params: z.strictObject({ id: textParam(128) }),
      answer: z.strictObject({ id: z.string() }),
    },
    ({ params }) => ({ id: params.id }),
  ),
  "GET /v1/users/all/profile": route(
    { scope: "reports:read", answer: z.strictObject({ all: z.boolean() }) },
    () => ({ all: true }),
  ),
  "POST /v1/things": route(
    {
      scope: "reports:read",
      body: z.strictObject({
        name: z.string(),
        items: z.array(z.strictObject({ quantity: z.int() })),
      }),
      maxBodyBytes: 1_000,
      status: 201,
      answer: z.strictObject({ name: z.string() }),
    },
    ({ body }) => ({ name: body.name }),
  ),
  "PUT /v1/anything": route(
    { scope: "admin", body: z.unknown(), maxBodyBytes: 1 << 20, answer: z.unknown() },
    ({ body }) => ({ kind: Array.isArray(body) ? "array" : typeof body }),
  ),
  "GET /v1/pages": route(
    {
      scope: "reports:read",
      query: z.strictObject({
        limit: limitParam({ standard: 3, max: 10 }),
        kind: textParam(10).optional(),
      }),
      cursor: z.tuple([z.int()]),
      answer: z.strictObject({ rows: z.array(z.number()), next_cursor: z.string().nullable() }),
    },
    ({ query, after, cursorAfter }) => {
      const first = (after?.[0] ?? 0) + 1;
      const rows = [...Array(query.limit).keys()].map((at) => first + at).filter((row) => row <= 8);
      const last = rows.at(-1);
      return { rows, next_cursor: last === undefined || last === 8 ? null : cursorAfter([last]) };
    },
  ),
  "POST /v1/act": route({ scope: "reports:read", answer: z.null() }, () => null),
  "GET /health": route(
    { scope: "public", answer: z.strictObject({ ok: z.boolean() }) },
    ({ principal }) =>
      answerWith(principal === undefined ? 200 : 500, { ok: true }, { "x-extra": "yes" }),
  ),
  "GET /v1/fails/{how}": route(
    {
      scope: "public",
      params: z.strictObject({ how: z.string() }),
      answer: z.strictObject({ figure: z.number().nullable() }),
    },
    ({ params }) => fail(params.how),
  ),
  "GET /v1/figures": route({ scope: "public", answer: z.unknown() }, () => ({
    large: 12345678901234567890n,
    small: 7n,
    none: Number.NaN,
    text: "bigint 1n",
  })),
} as const;

/** Serves them at an instant of 2027. */
export const serveRoutes = (log: Logger = silentLogger): Promise<Served> =>
  serve(routes, { log, clock: { now: () => 1_800_000_000_123 }, sqlOf: noDatabase });

function fail(how: string): { figure: number | null } {
  if (how === "invalid") throw invalid("thing.wrong", "wrong");
  if (how === "not_found") throw notFound("thing.unknown", "there is no such thing");
  if (how === "conflict") throw conflict("thing.taken", "taken");
  if (how === "unavailable") throw unavailable("thing.away", "away");
  if (how === "later") throw unavailable("thing.away", "away", { retryAfterSeconds: 17 });
  if (how === "status") throw invalid("user.unknown", "no such user", { status: 422 });
  if (how === "bug") throw bug("thing.broken", "broken at secret-host");
  if (how === "kafka") throw unavailable("kafka.unavailable", "no answer from secret-host:9092");
  if (how === "reset") throw Object.assign(new Error("read"), { code: "ECONNRESET" });
  // A library may throw anything.
  if (how === "nothing") throw undefined;
  if (how === "shape") return { figure: "text" as unknown as number };
  throw new TypeError("secret-host is undefined");
}

function noDatabase(purpose: Purpose): never {
  throw new Error(`no database for ${purpose}`);
}
