/** What differs between API Gateway itself and the local server that stands in for it. */
import { forgetConfig, type HttpEvent, httpHandler, loggable, route } from "@headrace/handler";
import { silentLogger } from "@headrace/kernel";
import { expect, test, vi } from "vitest";
import { z } from "zod";

const routes = {
  "GET /v1/users/{id}": route(
    { scope: "public", params: z.strictObject({ id: z.string() }), answer: z.unknown() },
    ({ params, requestId }) => ({ ...params, requestId }),
  ),
  "POST /v1/users": route(
    { scope: "public", readsBytes: true, answer: z.unknown() },
    ({ bodyBytes }) => bodyBytes.toString(),
  ),
} as const;
const handler = httpHandler(routes, { log: silentLogger });

const eventOf = (
  routeKey: string,
  method: string,
  rawPath: string,
  more: Partial<HttpEvent> = {},
): HttpEvent => ({
  version: "2.0",
  routeKey,
  rawPath,
  rawQueryString: "",
  headers: {},
  requestContext: { requestId: "JKJaXmPLvHcESHA=", http: { method, path: rawPath } },
  isBase64Encoded: false,
  ...more,
});

test("the gateway's match is taken, also where it has decoded the path", async () => {
  const result = await handler(
    eventOf("GET /v1/users/{id}", "GET", "/v1/users/a/b", { pathParameters: { id: "a/b" } }),
  );
  expect([result.statusCode, JSON.parse(result.body)]).toEqual([
    200,
    { id: "a/b", requestId: "JKJaXmPLvHcESHA=" },
  ]);
  expect(result.headers["x-request-id"]).toBe("JKJaXmPLvHcESHA=");
});

test.each([
  ["GET", "/v1/users/a%2Fb", 200],
  ["GET", "/v1/nothing", 404],
  ["PUT", "/v1/users", 405],
  ["OPTIONS", "/v1/users", 204],
  ["OPTIONS", "/v1/nothing", 404],
  ["HEAD", "/v1/users/a", 200],
])(
  "what reaches the default route is found by its path: %s %s",
  async (method, rawPath, status) => {
    const result = await handler(eventOf("$default", method, rawPath));
    expect(result.statusCode).toBe(status);
  },
);

test("a body in base64 is decoded, and measured as it was sent", async () => {
  const post = (text: string) =>
    handler(
      eventOf("POST /v1/users", "POST", "/v1/users", {
        headers: { "content-type": "application/json" },
        body: Buffer.from(text).toString("base64"),
        isBase64Encoded: true,
      }),
    );
  expect((await post('"é"')).body).toBe(JSON.stringify('"é"'));
  expect((await post(`"${"x".repeat(64 * 1024 - 2)}"`)).statusCode).toBe(200);
  expect((await post(`"${"x".repeat(64 * 1024 - 1)}"`)).statusCode).toBe(413);
});

test("the invocation ends with an answer before Lambda's time runs out", async () => {
  const slow = httpHandler(
    { "GET /": route({ scope: "public", answer: z.null() }, () => new Promise<null>(() => {})) },
    { log: silentLogger },
  );
  const result = await slow(eventOf("GET /", "GET", "/"), {
    awsRequestId: "r",
    getRemainingTimeInMillis: () => 150,
  });
  expect([result.statusCode, JSON.parse(result.body).code]).toEqual([503, "request.timeout"]);
});

test("a deployed function with a wrong environment fails when it is loaded", () => {
  vi.stubEnv("AWS_LAMBDA_FUNCTION_NAME", "users");
  vi.stubEnv("LOG_LEVEL", "loud");
  forgetConfig();
  expect(() => httpHandler(routes)).toThrow("LOG_LEVEL must be");
  vi.stubEnv("LOG_LEVEL", "");
  forgetConfig();
  expect(() => httpHandler(routes)).not.toThrow();
  const closed = { "GET /": route({ scope: "admin", answer: z.null() }, () => null) };
  expect(() => httpHandler(closed)).toThrow("AUTH_ISSUER is not set");
  vi.unstubAllEnvs();
  forgetConfig();
});

test("a logged error tells its chain and quotes no data", () => {
  const inner = Object.assign(new Error('invalid input syntax for type uuid: "alice"'), {
    code: "22P02",
  });
  const text = JSON.stringify(loggable(new Error("outer", { cause: inner })));
  expect(text).toContain("outer");
  expect(text).toContain("22P02");
  expect(text).toContain("gateway.test.ts");
  expect(text).not.toContain("alice");
});
