/**
 * Stands in for API Gateway on one machine: turns requests on 127.0.0.1 into payload 2.0 events for
 * the manifest's handlers, and their results into answers.
 *
 * It routes as the gateway does and bounds what it reads (10 MB a body) and how long a request may
 * take (30 s, by the context's remaining time). It does not throttle, and no authoriser stands in
 * front of the handlers.
 */
import { isUtf8 } from "node:buffer";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  asAppError,
  bodyTooLarge,
  createRouter,
  type HttpEvent,
  type HttpHandler,
  HttpRefusal,
  type HttpResult,
  loggable,
  optionsResult,
  problemResult,
  type RouteKey,
  type Router,
} from "@headrace/handler";
import { conflict, invalid, type Logger, unavailable } from "@headrace/kernel";

export interface LocalRoute {
  readonly handler: HttpHandler;
  /** The function's own limit; the gateway's 30 s hold anyhow. */
  readonly timeoutSeconds?: number;
  /** The function's own limit, which a refusal of a body past the server's limit names. */
  readonly maxBodyBytes?: number;
}

export interface HttpServerOptions {
  readonly port: number;
  /** Whether somebody asked for this very port: then one in use is an error, else it is stepped past. */
  readonly portWasNamed: boolean;
  readonly routes: ReadonlyMap<RouteKey, LocalRoute>;
  readonly log: Logger;
  readonly maxBodyBytes?: number;
  /** Requests in work at once; more are answered with `server.busy`. */
  readonly maxInWork?: number;
}

export interface HttpServer {
  /** `http://127.0.0.1:8787` */
  readonly url: string;
  readonly port: number;
  /** Refuses new requests at once, waits for those in work at most this long, then cuts them off. */
  close(withinMillis?: number): Promise<void>;
}

const HOST = "127.0.0.1";
const GATEWAY_TIMEOUT_MILLIS = 30_000;
const GATEWAY_MAX_BODY_BYTES = 10 * 1024 * 1024;
/** More at once only wait in the same two pools; a caller should hear it. */
const MAX_IN_WORK = 512;
const PORTS_TO_TRY = 100;
const CLOSE_WITHIN_MILLIS = 3_000;

interface Target extends LocalRoute {
  readonly key: RouteKey;
}

/** Throws `port.in_use` (conflict). */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const router = createRouter(
    [...options.routes].map(([key, route]) => {
      const [method = "", path = ""] = key.split(" ", 2);
      return { method, path, target: { key, ...route } satisfies Target };
    }),
  );
  const state = { inWork: 0, closing: false };
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    state.inWork += 1;
    void serve(request, router, options, state.inWork).then((result) => {
      state.inWork -= 1;
      send(request, response, result, state.closing);
    });
  };
  // Node's own refusals, of a request without Host and of one that expects what nobody can do, have
  // no body: both come to `serve` instead.
  const server = createServer({ requireHostHeader: false }, answer);
  server.on("checkExpectation", answer);
  server.on("clientError", (_error, socket) => {
    if (socket.writable) socket.end(RAW_BAD_REQUEST);
  });
  // A client that keeps its connection must not meet one that is just being closed; a load balancer's
  // usual idle limit is 60 s.
  server.keepAliveTimeout = 65_000;
  server.headersTimeout = 10_000;
  server.requestTimeout = GATEWAY_TIMEOUT_MILLIS;

  const port = await listen(server, options);
  return {
    url: `http://${HOST}:${port}`,
    port,
    async close(withinMillis = CLOSE_WITHIN_MILLIS) {
      state.closing = true;
      await closeWithin(server, withinMillis);
    },
  };
}

/** Never rejects. */
async function serve(
  request: IncomingMessage,
  router: Router<Target>,
  { log, maxBodyBytes = GATEWAY_MAX_BODY_BYTES, maxInWork = MAX_IN_WORK }: HttpServerOptions,
  inWork: number,
): Promise<HttpResult> {
  const requestId = randomUUID();
  const startedAt = performance.now();
  try {
    if (inWork > maxInWork) throw unavailable("server.busy", "too many requests are in work");
    const method = request.method ?? "GET";
    requireUsualHeaders(request);
    const { rawPath, rawQueryString } = splitTarget(request.url ?? "/");
    if (method === "OPTIONS") return optionsResult(router.allowed(rawPath), requestId);
    const { target, params } = router.match(method, rawPath);
    const event: HttpEvent = {
      version: "2.0",
      routeKey: target.key,
      rawPath,
      rawQueryString,
      headers: headersOf(request),
      pathParameters: params,
      requestContext: { requestId, http: { method, path: rawPath } },
      ...(await readBody(request, maxBodyBytes, target.maxBodyBytes)),
    };
    const deadline =
      startedAt + Math.min((target.timeoutSeconds ?? 30) * 1000, GATEWAY_TIMEOUT_MILLIS);
    const result = await target.handler(event, {
      awsRequestId: requestId,
      getRemainingTimeInMillis: () => deadline - performance.now(),
    });
    const millis = Math.round((performance.now() - startedAt) * 10) / 10;
    log.debug("served", { requestId, route: target.key, status: result.statusCode, millis });
    return result;
  } catch (thrown) {
    const error = asAppError(thrown);
    if (error.kind === "bug") log.error("serving failed", { requestId, error: loggable(error) });
    return problemResult(error, requestId);
  }
}

/** Throws `request.host` (400) and `request.expectation` (417). */
function requireUsualHeaders({ headers, httpVersion }: IncomingMessage): void {
  if (headers.host === undefined && httpVersion === "1.1")
    throw invalid("request.host", "the request names no host: HTTP/1.1 asks for the header Host");
  const { expect = "100-continue" } = headers;
  if (expect.toLowerCase() !== "100-continue")
    throw new HttpRefusal(
      417,
      "request.expectation",
      "nothing but Expect: 100-continue can be met",
    );
}

/** The path as sent, without its query; a proxy's absolute form loses its origin. */
function splitTarget(url: string): { rawPath: string; rawQueryString: string } {
  const target = url.replace(/^https?:\/\/[^/?]*/i, "");
  const mark = target.indexOf("?");
  const rawPath = mark < 0 ? target : target.slice(0, mark);
  if (!rawPath.startsWith("/") && rawPath !== "*" && rawPath !== "") {
    throw invalid("request.path", "the path does not begin with a slash");
  }
  return { rawPath: rawPath || "/", rawQueryString: mark < 0 ? "" : target.slice(mark + 1) };
}

/** Lower case, repeated ones joined by commas, cookies left out (the gateway keeps them apart). */
function headersOf({ rawHeaders }: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] as string).toLowerCase();
    const value = rawHeaders[at + 1] as string;
    if (name === "cookie") continue;
    const known = Object.hasOwn(headers, name) ? headers[name] : undefined;
    headers[name] = known === undefined ? value : `${known},${value}`;
  }
  return headers;
}

async function readBody(
  request: IncomingMessage,
  maxBytes: number,
  ownMaxBytes = maxBytes,
): Promise<{ body?: string; isBase64Encoded: boolean }> {
  const { "content-length": length, "transfer-encoding": encoding } = request.headers;
  if ((length === undefined || length === "0") && encoding === undefined) {
    return { isBase64Encoded: false };
  }
  const tooLarge = () => bodyTooLarge(Math.min(ownMaxBytes, maxBytes));
  if (Number(length ?? 0) > maxBytes) throw tooLarge();
  const bytes = await collect(request, maxBytes, tooLarge);
  return isUtf8(bytes)
    ? { body: bytes.toString("utf8"), isBase64Encoded: false }
    : { body: bytes.toString("base64"), isBase64Encoded: true };
}

function collect(
  request: IncomingMessage,
  maxBytes: number,
  tooLarge: () => Error,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size <= maxBytes) chunks.push(chunk);
      else reject(tooLarge());
    });
    request.on("end", () => resolve(Buffer.concat(chunks)));
    request.on("error", reject);
    request.on("close", () => reject(invalid("request.aborted", "the request ended early")));
  });
}

/** How long a client that is still sending a refused body may go on before it is cut off. */
const DISCARD_MILLIS = 1_000;

function send(
  request: IncomingMessage,
  response: ServerResponse,
  { statusCode, headers, body }: HttpResult,
  closing: boolean,
): void {
  if (response.destroyed) return;
  response.writeHead(statusCode, {
    ...headers,
    ...(statusCode === 204 ? {} : { "content-length": contentLength(request, headers, body) }),
    ...(closing ? { connection: "close" } : {}),
  });
  response.end(body);
  if (request.complete) return;
  // Closing at once, while bytes are on their way, would reset the connection and lose the answer.
  request.resume();
  setTimeout(() => request.complete || request.destroy(), DISCARD_MILLIS).unref();
}

function contentLength(
  { method }: IncomingMessage,
  headers: HttpResult["headers"],
  body: string,
): string {
  const stated = method === "HEAD" ? headers["content-length"] : undefined;
  return stated ?? String(Buffer.byteLength(body));
}

const RAW_BAD_REQUEST = (() => {
  const { statusCode, headers, body } = problemResult(
    invalid("request.malformed", "this is not an HTTP request that can be read"),
    "none",
  );
  const lines = Object.entries({ ...headers, connection: "close" }).map(([k, v]) => `${k}: ${v}`);
  return `HTTP/1.1 ${statusCode} Bad Request\r\n${lines.join("\r\n")}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
})();

async function listen(server: Server, { port, portWasNamed }: HttpServerOptions): Promise<number> {
  const last = portWasNamed || port === 0 ? port : Math.min(port + PORTS_TO_TRY - 1, 65_535);
  for (let candidate = port; candidate <= last; candidate++) {
    if (await listens(server, candidate)) return (server.address() as AddressInfo).port;
  }
  throw portWasNamed
    ? conflict(
        "port.in_use",
        `Port ${port} is in use. Stop what listens there, or choose another (--port N, HEADRACE_PORT).`,
      )
    : conflict("port.in_use", `Ports ${port} to ${last} are all in use: choose one with --port N.`);
}

async function listens(server: Server, port: number): Promise<boolean> {
  const listening = once(server, "listening");
  server.listen(port, HOST);
  try {
    await listening;
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") return false;
    throw error;
  }
}

async function closeWithin(server: Server, millis: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const cut = setTimeout(() => server.closeAllConnections(), millis);
  await closed;
  clearTimeout(cut);
}
