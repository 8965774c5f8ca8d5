/**
 * The HTTP API: a route for each one in the manifest, and one function behind all routes of an entry.
 *
 * The functions verify every token. Where the issuer signs with RSA the gateway does so before them,
 * the scope included, and a request without one costs no invocation.
 */
import {
  type FunctionEntry,
  functionsOf,
  type HttpRoute,
  type HttpTrigger,
} from "../functions/manifest.ts";
import { createFunction, type Ground } from "./functions.ts";
import type { Stage } from "./settings.ts";

export interface Api {
  readonly gateway: sst.aws.ApiGatewayV2;
  readonly functions: ReadonlyMap<string, sst.aws.Function>;
}

// A live stream (`GET /v1/live`) will be a REST API beside this one: an HTTP API cannot stream answers.
export function createApi(ground: Ground): Api {
  const { stage } = ground;
  const { origins } = stage.http;
  const gateway = new sst.aws.ApiGatewayV2("Api", {
    cors: origins.length > 0 && {
      allowOrigins: origins,
      allowMethods: ["GET", "POST", "PUT", "PATCH", "DELETE"],
      allowHeaders: ["authorization", "content-type"],
      maxAge: "1 hour",
    },
    accessLog: { retention: stage.logs.retention },
    transform: {
      stage: (args) => {
        args.defaultRouteSettings = {
          throttlingRateLimit: stage.http.ratePerSecond,
          throttlingBurstLimit: stage.http.burst,
        };
        args.accessLogSettings = $output(args.accessLogSettings).apply((settings) => ({
          destinationArn: settings?.destinationArn ?? "",
          format: ACCESS_LOG,
        }));
        return undefined;
      },
    },
  });
  const tokens = gatewayChecksTokens(stage)
    ? gateway.addAuthorizer({
        name: "Tokens",
        jwt: { issuer: stage.auth.issuer, audiences: [stage.auth.audience] },
      })
    : undefined;
  const functions = new Map(
    functionsOf("http").map((entry) => {
      const created = createFunction(entry, ground);
      for (const route of entry.trigger.routes) addRoute(gateway, entry, route, created, tokens);
      return [entry.file, created];
    }),
  );
  return { gateway, functions };
}

/** An HTTP API knows no other signatures. */
export const gatewayChecksTokens = ({ auth }: Stage): boolean =>
  auth.gateway !== false && auth.algorithms.every((algorithm) => algorithm.startsWith("RS"));

/** Neither addresses nor paths, which may name a user, nor anything that a client wrote. */
const ACCESS_LOG = JSON.stringify({
  requestId: "$context.requestId",
  requestTime: "$context.requestTime",
  routeKey: "$context.routeKey",
  status: "$context.status",
  responseLength: "$context.responseLength",
  responseLatency: "$context.responseLatency",
  integrationLatency: "$context.integration.latency",
  integrationStatus: "$context.integration.status",
  errorType: "$context.error.responseType",
});

function addRoute(
  gateway: sst.aws.ApiGatewayV2,
  entry: FunctionEntry<HttpTrigger>,
  route: HttpRoute,
  target: sst.aws.Function,
  tokens: ReturnType<sst.aws.ApiGatewayV2["addAuthorizer"]> | undefined,
): void {
  const key = `${route.method} ${route.path}`;
  if (!route.scope)
    throw new Error(
      `The route ${key} of functions/${entry.file} names no scope: name one in functions/manifest.ts, or public`,
    );
  const isGuarded = route.scope !== "public" && tokens !== undefined;
  gateway.route(key, target.arn, {
    name: routeName(route),
    ...(isGuarded ? { auth: { jwt: { authorizer: tokens.id, scopes: [route.scope] } } } : {}),
  });
}

/** `GET /v1/dead-letters/{id}` → `GetV1DeadLettersId`. */
const routeName = ({ method, path }: HttpRoute): string =>
  [method.toLowerCase(), ...path.split(/[^A-Za-z0-9]+/)]
    .map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`)
    .join("");
