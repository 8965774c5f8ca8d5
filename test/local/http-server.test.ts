import { once } from "node:events";
import { Agent, request } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import {
  type HttpEvent,
  type HttpHandler,
  type HttpResult,
  httpHandler,
  type RouteKey,
  route,
} from "@headrace/handler";
import { silentLogger } from "@headrace/kernel";
import { type HttpServer, type HttpServerOptions, startHttpServer } from "@headrace/local";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";

const open: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close(0)));
});

const result = (body: string): HttpResult => ({
  statusCode: 200,
  headers: { "content-type": "application/json" },
  body,
  isBase64Encoded: false,
});
/** Answers with the event itself. */
const mirror: HttpHandler = async (event) => result(JSON.stringify(event));

async function start(
  routes: Readonly<Record<string, HttpHandler>>,
  options: Partial<HttpServerOptions> = {},
): Promise<HttpServer> {
  const server = await startHttpServer({
    port: 0,
    portWasNamed: true,
    log: silentLogger,
    routes: new Map(Object.entries(routes).map(([key, handler]) => [key as RouteKey, { handler }])),
    ...options,
  });
  open.push(server);
  return server;
}

const eventOf = async (response: Response) => (await response.json()) as HttpEvent;

describe("the event", () => {
  test("is API Gateway's payload 2.0 with the route's key and decoded parameters", async () => {
    const server = await start({ "GET /v1/users/{id}": mirror });
    const event = await eventOf(await fetch(`${server.url}/v1/users/a%2Fb?from=1&x=%20&x=2`));
    expect(event).toMatchObject({
      version: "2.0",
      routeKey: "GET /v1/users/{id}",
      rawPath: "/v1/users/a%2Fb",
      rawQueryString: "from=1&x=%20&x=2",
      pathParameters: { id: "a/b" },
      requestContext: { http: { method: "GET", path: "/v1/users/a%2Fb" } },
      isBase64Encoded: false,
    });
    expect(event.requestContext.requestId).toMatch(/^[0-9a-f-]{36}$/);
    expect(event.body).toBeUndefined();
  });

  test("has its headers in lower case, repeated ones joined, and no cookies", async () => {
    const server = await start({ "GET /": mirror });
    const text = await raw(
      server,
      "GET / HTTP/1.1\r\nHost: x\r\nX-Two: a\r\nx-two: b\r\nAUTHORIZATION: one\r\nAuthorization: two\r\nCookie: c=1\r\n__proto__: p\r\nConnection: close\r\n\r\n",
    );
    const { headers } = JSON.parse(text.split("\r\n\r\n")[1] ?? "") as HttpEvent;
    expect(headers).toMatchObject({ "x-two": "a,b", authorization: "one,two" });
    expect(headers).not.toHaveProperty("cookie");
  });

  test("has a text body as it is and any other in base64", async () => {
    const server = await start({ "POST /": mirror });
    const post = (body: string | Uint8Array<ArrayBuffer>) =>
      fetch(server.url, { method: "POST", body });
    expect(await eventOf(await post('{"é":1}'))).toMatchObject({
      body: '{"é":1}',
      isBase64Encoded: false,
    });
    const bytes = new Uint8Array([0xff, 0x00]);
    expect(await eventOf(await post(bytes))).toMatchObject({ body: "/wA=", isBase64Encoded: true });
  });

  test("is made from an absolute address too, as a proxy sends it", async () => {
    const server = await start({ "GET /a": mirror });
    const text = await raw(
      server,
      "GET http://elsewhere.test/a?b=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    expect(text).toContain('"rawPath":"/a","rawQueryString":"b=1"');
  });
});

describe("a body over the limit", () => {
  const limit = 100_000;

  test("is refused by its stated length, before it is read", async () => {
    const server = await start({ "POST /": mirror }, { maxBodyBytes: limit });
    const socket = await connected(server);
    socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${limit + 1}\r\n\r\n`);
    expect(await everythingFrom(socket)).toMatch(/^HTTP\/1.1 413 .*"code":"body.too_large"/s);
  });

  test("is refused with the limit of its route, where that is the smaller one", async () => {
    const routes = new Map([["POST /" as const, { handler: mirror, maxBodyBytes: 1_000 }]]);
    const server = await start({}, { maxBodyBytes: limit, routes });
    const detail = '"detail":"the body is larger than 1000 bytes"';
    const socket = await connected(server);
    socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${limit + 1}\r\n\r\n`);
    expect(await everythingFrom(socket)).toContain(detail);
    const body = new Uint8Array(limit + 1);
    const response = await fetch(server.url, { method: "POST", body });
    expect(await response.text()).toContain(detail);
  });

  test("is refused while it is still being sent, and the client reads the answer", async () => {
    const server = await start({ "POST /": mirror }, { maxBodyBytes: limit });
    const socket = await connected(server);
    const chunk = `${(20_000).toString(16)}\r\n${"x".repeat(20_000)}\r\n`;
    socket.write("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (let at = 0; at < 20; at++) socket.write(chunk);
    expect(await everythingFrom(socket)).toMatch(/^HTTP\/1.1 413 .*"code":"body.too_large"/s);
  });

  test("is not one of exactly the limit", async () => {
    const server = await start(
      { "POST /": async ({ body }) => result(String(body?.length)) },
      { maxBodyBytes: limit },
    );
    const response = await fetch(server.url, { method: "POST", body: "x".repeat(limit) });
    expect([response.status, await response.text()]).toEqual([200, String(limit)]);
  });
});

describe("connections", () => {
  test("are kept for the next request", async () => {
    const server = await start({ "GET /": mirror, "POST /": mirror });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ports: (number | undefined)[] = [];
    for (const method of ["GET", "POST", "DELETE", "HEAD", "GET"]) {
      const asked = request(server.url, { method, agent });
      asked.end(method === "POST" ? "{}" : undefined);
      const [response] = await once(asked, "response");
      ports.push(response.socket.localPort);
      response.resume();
      await once(response, "end");
    }
    agent.destroy();
    expect(new Set(ports).size).toBe(1);
  });

  test("that bring no HTTP get a problem document", async () => {
    const server = await start({ "GET /": mirror });
    expect(await raw(server, "hello\r\n\r\n")).toMatch(
      /^HTTP\/1.1 400 .*"code":"request.malformed"/s,
    );
  });

  test("that name no host, or expect what nobody can do, get a problem document", async () => {
    const server = await start({ "GET /": mirror, "POST /": mirror });
    const problem = (status: number, code: string) =>
      new RegExp(`^HTTP/1.1 ${status} .*application/problem\\+json.*"code":"${code}"`, "s");
    const answer = (lines: string, body = "") =>
      raw(server, `${lines}\r\nConnection: close\r\n\r\n${body}`);
    expect(await answer("GET / HTTP/1.1")).toMatch(problem(400, "request.host"));
    expect(await answer("GET / HTTP/1.1\r\nHost: x\r\nExpect: foo")).toMatch(
      problem(417, "request.expectation"),
    );
    expect(await answer("GET / HTTP/1.0")).toMatch(/^HTTP\/1.1 200 /);
    const expected = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2";
    expect(await answer(expected, "{}")).toMatch(/^HTTP\/1.1 100 Continue.*HTTP\/1.1 200 /s);
  });

  test("that end in the middle of a body harm nobody", async () => {
    const server = await start({ "POST /": mirror });
    for (let at = 0; at < 5; at++) {
      const socket = await connected(server);
      socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf");
      socket.destroy();
    }
    expect((await fetch(server.url, { method: "POST", body: "{}" })).status).toBe(200);
  });
});

describe("what no function answers", () => {
  test.each([
    ["GET", "/nothing", 404, "route.unknown"],
    ["DELETE", "/", 405, "method.not_allowed"],
    ["GET", "/v1/%zz", 400, "request.path"],
  ])("is a problem document: %s %s", async (method, path, status, code) => {
    const server = await start({ "GET /": mirror, "GET /v1/{id}": mirror });
    const response = await fetch(server.url + path, { method });
    const body = (await response.json()) as { code: string };
    expect([response.status, body.code, response.headers.get("content-type")]).toEqual([
      status,
      code,
      "application/problem+json",
    ]);
  });

  test("a function that fails is 500 and no more", async () => {
    const server = await start({
      "GET /": async () => {
        throw new Error("secret");
      },
    });
    const response = await fetch(server.url);
    const text = await response.text();
    expect(response.status).toBe(500);
    expect(text).toContain("bug.unexpected");
    expect(text).not.toContain("secret");
  });

  test("a function that takes longer than it may is 503", async () => {
    const handler = httpHandler(
      {
        "GET /": route({ scope: "public", answer: z.null() }, () => new Promise<null>(() => {})),
      },
      { log: silentLogger },
    );
    const server = await start(
      {},
      { routes: new Map([["GET /", { handler, timeoutSeconds: 0.2 }]]) },
    );
    const response = await fetch(server.url);
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([
      503,
      "request.timeout",
    ]);
  });

  test("more requests at once than it takes are 503 with a time to come back", async () => {
    const gate = Promise.withResolvers<HttpResult>();
    const full = Promise.withResolvers<void>();
    let inWork = 0;
    const handler: HttpHandler = () => {
      inWork += 1;
      if (inWork === 3) full.resolve();
      return gate.promise;
    };
    const server = await start({ "GET /": handler }, { maxInWork: 3 });
    const asked = [1, 2, 3].map(() => fetch(server.url));
    await full.promise;
    const response = await fetch(server.url);
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"]);
    gate.resolve(result("{}"));
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([200, 200, 200]);
  });
});

describe("the port", () => {
  test("that is in use is stepped past when nobody asked for it", async () => {
    const blocker = createServer().listen(0, "127.0.0.1");
    await once(blocker, "listening");
    const { port } = blocker.address() as { port: number };
    const server = await start({ "GET /": mirror }, { port, portWasNamed: false });
    expect(server.port).toBeGreaterThan(port);
    expect((await fetch(server.url)).status).toBe(200);
    blocker.close();
  });

  test("that is in use is an error that says so when it was asked for", async () => {
    const first = await start({ "GET /": mirror });
    await expect(start({ "GET /": mirror }, { port: first.port })).rejects.toMatchObject({
      code: "port.in_use",
      message: expect.stringContaining(`Port ${first.port} is in use`),
    });
  });

  test("is open on this machine only", async () => {
    const server = await start({ "GET /": mirror });
    expect(server.url).toBe(`http://127.0.0.1:${server.port}`);
    const socket = connect(server.port, "127.0.0.2");
    const [error] = await once(socket, "error");
    expect(error).toMatchObject({ code: "ECONNREFUSED" });
  });
});

describe("closing", () => {
  test("waits for what is in work and takes nothing new", async () => {
    const gate = Promise.withResolvers<HttpResult>();
    const reached = Promise.withResolvers<void>();
    const server = await start({
      "GET /": () => {
        reached.resolve();
        return gate.promise;
      },
    });
    const asked = fetch(server.url);
    await reached.promise;
    const closing = server.close();
    await expect(fetch(server.url)).rejects.toThrow();
    gate.resolve(result('"done"'));
    const response = await asked;
    expect([response.status, response.headers.get("connection"), await response.json()]).toEqual([
      200,
      "close",
      "done",
    ]);
    await closing;
  });

  test("cuts off what does not end within the bound, idle connections at once", async () => {
    const reached = Promise.withResolvers<void>();
    const server = await start({
      "GET /": mirror,
      "GET /hang": () => {
        reached.resolve();
        return new Promise(() => {});
      },
    });
    await (await fetch(server.url)).text();
    const hanging = expect(fetch(`${server.url}/hang`)).rejects.toThrow();
    await reached.promise;
    const startedAt = performance.now();
    await server.close(300);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    await hanging;
  });
});

async function connected(server: HttpServer): Promise<Socket> {
  const socket = connect(server.port, "127.0.0.1");
  // The server may cut a client off that goes on sending; what it answered before counts.
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

async function everythingFrom(socket: Socket): Promise<string> {
  let text = "";
  socket.setEncoding("utf8");
  socket.on("data", (part: string) => {
    text += part;
  });
  await once(socket, "close");
  return text;
}

async function raw(server: HttpServer, text: string): Promise<string> {
  const socket = await connected(server);
  socket.write(text);
  return everythingFrom(socket);
}
