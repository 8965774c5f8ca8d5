/**
 * From a gateway's event to what a route's body is handed: which route it is, and its input through
 * the route's schemas.
 */

import * as z from "zod";
import { DEFAULT_MAX_BODY_BYTES, readBodyBytes, readJsonBody, refuseBody } from "./body.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";
import type { HttpEvent } from "./http-event.ts";
import { readParams, readQuery, readWith } from "./http-input.ts";
import { entriesOf, type Route, type RouteSpec, type Routes } from "./http-route.ts";
import { createRouter } from "./http-router.ts";

export interface FoundRoute {
  /** `GET /v1/users/{id}` */
  readonly key: string;
  readonly route: Route;
  readonly params: Readonly<Record<string, string | undefined>>;
}

export interface RouteFinder {
  /** Throws `route.unknown`, `method.not_allowed` and `request.path`. */
  find(event: HttpEvent): FoundRoute;
  /** The methods of the event's path, as `Allow` says them; throws `route.unknown`. */
  allowed(event: HttpEvent): string;
}

export function createRouteFinder(routes: Routes): RouteFinder {
  const targets = entriesOf(routes).map(({ method, path, route }) => ({
    method,
    path,
    target: { key: `${method} ${path}`, route },
  }));
  const byKey = new Map(targets.map(({ target }) => [target.key, target]));
  const router = createRouter(targets);

  return {
    // The gateway's own match comes first: it has cut the path before it decoded it.
    find(event) {
      const known = byKey.get(event.routeKey);
      if (known !== undefined) return { ...known, params: event.pathParameters ?? {} };
      const { target, params } = router.match(event.requestContext.http.method, event.rawPath);
      return { ...target, params };
    },
    allowed: (event) => router.allowed(event.rawPath),
  };
}

export interface RouteInput {
  readonly query: unknown;
  readonly params: unknown;
  readonly body: unknown;
  readonly bodyBytes: Buffer | undefined;
  readonly after: unknown;
  readonly cursorAfter: (key: unknown) => string;
}

/** Throws `request.*`, `body.*` and `cursor.invalid`. */
export function readInput(event: HttpEvent, { key, route, params }: FoundRoute): RouteInput {
  const { spec } = route;
  const query = readQuery(event.rawQueryString);
  const cursor = spec.cursor === undefined ? undefined : query.get("cursor");
  return {
    params: spec.params && readWith(spec.params, readParams(params), "request.path"),
    query: readRouteQuery(spec, query),
    ...readBody(event, spec),
    after:
      cursor !== undefined && spec.cursor
        ? decodeCursor(spec.cursor, cursor, key, query)
        : undefined,
    cursorAfter: (sortKey) => encodeCursor(key, query, sortKey),
  };
}

const noQuery = z.strictObject({}).transform(() => undefined);

function readRouteQuery(spec: RouteSpec, query: ReadonlyMap<string, string>): unknown {
  const own = Object.fromEntries(query);
  if (spec.cursor !== undefined) delete own.cursor;
  return readWith(spec.query ?? noQuery, own, "request.query");
}

function readBody(
  event: HttpEvent,
  { body, readsBytes, maxBodyBytes = DEFAULT_MAX_BODY_BYTES }: RouteSpec,
): Pick<RouteInput, "body" | "bodyBytes"> {
  if (readsBytes) return { body: undefined, bodyBytes: readBodyBytes(event, maxBodyBytes) };
  if (body === undefined) refuseBody(event);
  const value = body && readWith(body, readJsonBody(event, maxBodyBytes), "request.body");
  return { body: value, bodyBytes: undefined };
}
