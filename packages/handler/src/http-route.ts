/**
 * One HTTP route as data and a body: who may use it, what it reads, what it answers.
 *
 * A function file exports `routes`, keyed `METHOD /path/{parameter}`, and the `handler` made from
 * them; the manifest repeats method, path and scope, and a test holds the two equal.
 */
import type { Logger } from "@headrace/kernel";
import type { z } from "zod";
import type { Principal } from "./auth.ts";
import type { RouteScope } from "./auth-scopes.ts";
import type { Purpose } from "./config.ts";
import type { PurposeSql } from "./pools-sql.ts";

export const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;
export type Method = (typeof METHODS)[number];
export type RouteKey = `${Method} /${string}`;

export interface RouteSpec {
  readonly scope: RouteScope;
  /** The connections behind `sql`; a route without them has no `sql`. */
  readonly pool?: Exclude<Purpose, "owner">;
  /** A strict object of texts: an unknown or repeated parameter is refused. */
  readonly query?: z.ZodType;
  /** Required where the path has parameters. */
  readonly params?: z.ZodType;
  readonly body?: z.ZodType;
  /**
   * In the place of `body`: the route reads the JSON from its bytes by itself, because it keeps digits
   * that a parsed number has lost, or takes what is good in a body that is not all good.
   */
  readonly readsBytes?: true;
  /** What `work` returns is of its input type; checked in tests only. */
  readonly answer: z.ZodType;
  /** The sort key after which a page goes on: makes the query parameter `cursor`, `after` and `cursorAfter`. */
  readonly cursor?: z.ZodType;
  /** The largest body in bytes, 64 KiB unless said. */
  readonly maxBodyBytes?: number;
  /** The status of a plain answer, 200 unless said. */
  readonly status?: number;
}

export interface RouteContext<Spec extends RouteSpec> {
  readonly query: Parsed<Spec, "query">;
  readonly params: Parsed<Spec, "params">;
  readonly body: Parsed<Spec, "body">;
  readonly bodyBytes: Spec extends { readsBytes: true } ? Buffer : undefined;
  readonly sql: Spec extends { pool: Purpose } ? PurposeSql : undefined;
  /** Microseconds since 1970, the same throughout the request. */
  readonly nowMicros: number;
  /** Undefined on a public route. */
  readonly principal: Spec extends { scope: "public" } ? undefined : Principal;
  readonly log: Logger;
  readonly requestId: string;
  /** The sort key of the last row of the page before; undefined on the first page. */
  readonly after: Parsed<Spec, "cursor"> | undefined;
  /** The `next_cursor` that continues after `key` under the same query. */
  readonly cursorAfter: (key: Parsed<Spec, "cursor">) => string;
}

type Parsed<Spec, Part extends string> =
  Spec extends Readonly<Record<Part, infer Schema extends z.ZodType>>
    ? z.output<Schema>
    : undefined;

/** A plain answer has the route's status; `answerWith` states its own. */
export type RouteAnswer<Body> = Body | StatedAnswer<Body>;

export interface StatedAnswer<Body> {
  readonly [stated]: true;
  readonly status: number;
  readonly body: Body;
  readonly headers: Readonly<Record<string, string>>;
}
const stated = Symbol("stated answer");

export function answerWith<Body>(
  status: number,
  body: Body,
  headers: Readonly<Record<string, string>> = {},
): StatedAnswer<Body> {
  return { [stated]: true, status, body, headers };
}

export function isStated(answer: unknown): answer is StatedAnswer<unknown> {
  return typeof answer === "object" && answer !== null && stated in answer;
}

export interface Route {
  readonly spec: RouteSpec;
  readonly work: (context: never) => unknown;
}

export type Routes = Readonly<Partial<Record<RouteKey, Route>>>;

export function route<const Spec extends RouteSpec>(
  spec: Spec,
  work: (
    context: RouteContext<Spec>,
  ) => RouteAnswer<z.input<Spec["answer"]>> | Promise<RouteAnswer<z.input<Spec["answer"]>>>,
): Route {
  return { spec, work };
}

export interface RouteFacts {
  readonly method: Method;
  readonly path: string;
  readonly scope: RouteScope;
}

/** What the manifest must say about `routes`, in the order in which they are written. */
export function routeFacts(routes: Routes): readonly RouteFacts[] {
  return entriesOf(routes).map(({ method, path, route }) => ({
    method,
    path,
    scope: route.spec.scope,
  }));
}

export function entriesOf(
  routes: Routes,
): readonly { readonly method: Method; readonly path: string; readonly route: Route }[] {
  return Object.entries(routes).map(([key, route]) => {
    const [method, path] = key.split(" ", 2);
    return { method: method as Method, path: path ?? "", route: route as Route };
  });
}
