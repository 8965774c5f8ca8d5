/**
 * The wrapper of every HTTP function: finds the route, verifies the token, reads the input, runs the
 * body, writes the answer. Whatever is thrown on the way becomes a problem document; nothing leaves
 * as a failed invocation.
 */
import { INVOCATION_CONNECTIONS } from "@headrace/capacity";
import { type AppError, bug, type Clock, type Logger } from "@headrace/kernel";
import middy from "@middy/core";
import { type Authenticate, createAuthenticator, type Principal, requireScope } from "./auth.ts";
import { authConfig, checkAtColdStart, config, databaseAddress, type Purpose } from "./config.ts";
import { emptyResult, jsonResult, optionsResult, problemResult } from "./http-answer.ts";
import type { HttpEvent, HttpHandler, HttpResult } from "./http-event.ts";
import { createRouteFinder, type FoundRoute, readInput } from "./http-request.ts";
import { isStated, type RouteSpec, type Routes } from "./http-route.ts";
import { beginInvocation } from "./invocation.ts";
import { loggable, logger, systemClock } from "./log.ts";
import { sqlOf } from "./pools.ts";
import { needConnections } from "./pools-size.ts";
import type { PurposeSql } from "./pools-sql.ts";
import { waitAsRequest } from "./pools-wait.ts";
import { asAppError } from "./problem.ts";

/** What a handler takes from its process unless a test hands it another. */
export interface HttpOptions {
  readonly clock?: Clock;
  readonly log?: Logger;
  readonly authenticate?: Authenticate;
  readonly sqlOf?: (purpose: Purpose) => PurposeSql;
  /** Whether answers are checked against their schemas; in tests they are. */
  readonly checkAnswers?: boolean;
}

/** Leaves the process time to send the answer before Lambda freezes it. */
const TIMEOUT_EARLY_MILLIS = 100;

export function httpHandler(routes: Routes, options: HttpOptions = {}): HttpHandler {
  checkAtColdStart();
  const needsTokens = Object.values(routes).some((route) => route?.spec.scope !== "public");
  if (needsTokens) checkAtColdStart(authConfig);
  for (const purpose of new Set(Object.values(routes).map((route) => route?.spec.pool))) {
    if (purpose === undefined) continue;
    checkAtColdStart(() => databaseAddress(purpose));
    needConnections(purpose, INVOCATION_CONNECTIONS.http);
    waitAsRequest(purpose);
  }

  return middy<HttpEvent, HttpResult>({ timeoutEarlyInMillis: TIMEOUT_EARLY_MILLIS })
    .onError(({ error, event }) => refused(error, event, options))
    .handler(responder(routes, options)) as HttpHandler;
}

function responder(routes: Routes, options: HttpOptions) {
  const finder = createRouteFinder(routes);
  const clock = options.clock ?? systemClock;
  let authenticate = options.authenticate;

  const admitted = async (event: HttpEvent, { scope }: RouteSpec) => {
    if (scope === "public") return undefined;
    authenticate ??= createAuthenticator(authConfig(), clock);
    const principal: Principal = await authenticate(event.headers.authorization);
    requireScope(principal, scope);
    return principal;
  };

  return async (event: HttpEvent): Promise<HttpResult> => {
    const { requestId, http } = event.requestContext;
    beginInvocation(requestId);
    if (http.method === "OPTIONS") return optionsResult(finder.allowed(event), requestId);
    const found = finder.find(event);
    const { spec, work } = found.route;
    const principal = await admitted(event, spec);
    const answer = await work({
      ...readInput(event, found),
      sql: spec.pool && (options.sqlOf ?? sqlOf)(spec.pool),
      nowMicros: clock.now() * 1000,
      principal,
      log: (options.log ?? logger()).with({ requestId, route: found.key }),
      requestId,
    } as never);
    const result = answered(answer, found, requestId, options);
    return http.method === "HEAD" ? { ...result, body: "" } : result;
  };
}

function answered(
  answer: unknown,
  { key, route: { spec } }: FoundRoute,
  requestId: string,
  options: HttpOptions,
): HttpResult {
  const { status, body, headers } = isStated(answer)
    ? answer
    : { status: spec.status ?? 200, body: answer, headers: {} };
  if (options.checkAnswers ?? config().checkAnswers) {
    const { error } = spec.answer.safeParse(body);
    if (error) throw bug("answer.shape", `${key} answers what it does not state: ${error.message}`);
  }
  return status === 204
    ? emptyResult(requestId, headers)
    : jsonResult(status, body, requestId, headers);
}

function refused(thrown: unknown, event: HttpEvent, options: HttpOptions): HttpResult {
  const error = asAppError(thrown);
  const { requestId, http } = event.requestContext;
  logRefusal(error, { requestId, route: event.routeKey }, options.log ?? logger());
  const result = problemResult(error, requestId);
  return http.method === "HEAD" ? { ...result, body: "" } : result;
}

function logRefusal(error: AppError, fields: Record<string, unknown>, log: Logger): void {
  const line = { ...fields, code: error.code };
  if (error.kind === "bug") log.error("a request failed", { ...line, error: loggable(error) });
  else if (error.kind === "unavailable")
    log.warn("a request could not be served", { ...line, error: loggable(error) });
  else log.debug("a request was refused", line);
}
