/**
 * Finds the route of a request: fixed paths before those with parameters, a parameter is one whole
 * segment that is not empty, and a trailing slash is another path.
 *
 * A path is cut into segments before it is percent-decoded, so that an id may hold a slash (`%2F`).
 * The local server and the handlers share this.
 */
import { invalid } from "@headrace/kernel";
import { HttpRefusal } from "./problem.ts";

export interface RoutePath<Target> {
  readonly method: string;
  /** `/v1/users/{id}/profile` */
  readonly path: string;
  readonly target: Target;
}

export interface RouteMatch<Target> {
  readonly target: Target;
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
}

export interface Router<Target> {
  /**
   * `rawPath` is still percent-encoded. Throws `route.unknown` (404), `method.not_allowed` (405,
   * with `Allow`) and `request.path` (400). HEAD finds the route of GET.
   */
  match(method: string, rawPath: string): RouteMatch<Target>;
  /** What the path of this request allows, as the `Allow` header says it; throws `route.unknown`. */
  allowed(rawPath: string): string;
}

interface Pattern<Target> {
  readonly path: string;
  readonly segments: readonly Segment[];
  readonly byMethod: Map<string, Target>;
}
type Segment = { readonly text: string } | { readonly parameter: string };

export function createRouter<Target>(routes: readonly RoutePath<Target>[]): Router<Target> {
  const { fixed, open } = patternsOf(routes);

  const find = (rawPath: string): Pattern<Target> => {
    const exact = fixed.get(rawPath);
    if (exact !== undefined) return exact;
    const segments = rawPath.split("/");
    const pattern = open.find((candidate) => fits(candidate, segments));
    if (pattern === undefined) throw new HttpRefusal(404, "route.unknown", "there is nothing here");
    return pattern;
  };

  return {
    match(method, rawPath) {
      const pattern = find(rawPath);
      const target = pattern.byMethod.get(method === "HEAD" ? "GET" : method);
      if (target === undefined) throw methodNotAllowed(method, allowOf(pattern));
      return { target, path: pattern.path, params: paramsOf(pattern, rawPath) };
    },
    allowed: (rawPath) => allowOf(find(rawPath)),
  };
}

export function methodNotAllowed(method: string, allow: string): HttpRefusal {
  const named = /^[A-Z]{1,20}$/.test(method) ? method : "this method";
  return new HttpRefusal(405, "method.not_allowed", `${named} is not allowed here, but ${allow}`, {
    allow,
  });
}

function patternsOf<Target>(routes: readonly RoutePath<Target>[]) {
  const byPath = new Map<string, Pattern<Target>>();
  for (const { method, path, target } of routes) {
    const known = byPath.get(path);
    const pattern = known ?? { path, segments: segmentsOf(path), byMethod: new Map() };
    pattern.byMethod.set(method, target);
    byPath.set(path, pattern);
  }
  const all = [...byPath.values()];
  const isFixed = ({ segments }: Pattern<Target>) => segments.every((each) => "text" in each);
  return {
    fixed: new Map(all.filter(isFixed).map((pattern) => [pattern.path, pattern])),
    // /v1/users/{id}/profile before /v1/{family}/{id}/profile, whatever order they are declared in.
    open: all
      .filter((pattern) => !isFixed(pattern))
      .sort((a, b) => (shapeOf(a) < shapeOf(b) ? -1 : 1)),
  };
}

const segmentsOf = (path: string): Segment[] =>
  path.split("/").map((text) => {
    const parameter = /^\{(\w+)\}$/.exec(text)?.[1];
    return parameter === undefined ? { text } : { parameter };
  });

const shapeOf = ({ segments }: Pattern<unknown>): string =>
  segments.map((each) => ("text" in each ? "0" : "1")).join("");

function fits({ segments }: Pattern<unknown>, actual: readonly string[]): boolean {
  return (
    segments.length === actual.length &&
    segments.every((segment, at) =>
      "text" in segment ? segment.text === actual[at] : actual[at] !== "",
    )
  );
}

function paramsOf({ segments }: Pattern<unknown>, rawPath: string): Record<string, string> {
  const actual = rawPath.split("/");
  const params: Record<string, string> = {};
  segments.forEach((segment, at) => {
    if ("parameter" in segment) params[segment.parameter] = decoded(actual[at] ?? "");
  });
  return params;
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw invalid("request.path", "the path holds a % that is no escape of UTF-8 text");
  }
}

function allowOf({ byMethod }: Pattern<unknown>): string {
  const methods = [...byMethod.keys()];
  return [...(methods.includes("GET") ? [...methods, "HEAD"] : methods), "OPTIONS"].join(", ");
}
