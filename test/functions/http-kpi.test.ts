import { UnsecuredJWT } from "jose";
import { describe, expect, test } from "vitest";
import { reportsStage } from "./reports-stage.ts";

const { pool, client, ingest, finish } = await reportsStage();

test("tells of the last minute and the one before, purchases and page views apart", async () => {
  await ingest(
    { time: "10:00:59.999999", user_id: "a", duration: 1 },
    { time: "10:01:00", user_id: "a", duration: 4 },
    { time: "10:01:30", user_id: "b", duration: 5 },
    { time: "10:01:30", user_id: "b", event_type: "purchase", amount: "10.10", duration: 99 },
    { time: "10:01:59.999999", user_id: "c", event_type: "purchase", amount: 0.9 },
    { time: "10:01:40", user_id: "c", event_type: "refund", amount: 5 },
    { time: "10:02:00", user_id: "d" },
  );
  const expected = {
    current: {
      from: "2026-01-01T10:01:00Z",
      to: "2026-01-01T10:02:00Z",
      events: 5,
      unique_users: 3,
      revenue: "11.00",
      purchases: 2,
      mean_session_duration: 4.5,
    },
    previous: {
      from: "2026-01-01T10:00:00Z",
      to: "2026-01-01T10:01:00Z",
      events: 1,
      unique_users: 1,
      revenue: "0.00",
      purchases: 0,
      mean_session_duration: 1,
    },
  };
  const ask = () => client.get("/v1/reports/kpi?at=2026-01-01T10:02:00Z");
  expect((await ask()).body).toEqual(expected);
  await finish();
  expect((await ask()).body).toEqual(expected);
});

test("ends at `at` rounded up to ten seconds, whatever its offset", async () => {
  const { body } = await client.get(
    "/v1/reports/kpi?window=10s&at=2026-01-01T11:00:00.000001%2B01:00",
  );
  expect(body.current.from).toBe("2026-01-01T10:00:00Z");
  expect(body.current.to).toBe("2026-01-01T10:00:10Z");
  expect(body.previous.from).toBe("2026-01-01T09:59:50Z");
});

test("without `at` ends now, and tells of nothing with zeros and null", async () => {
  const before = Date.now();
  const { body } = await client.get("/v1/reports/kpi");
  const to = Date.parse(body.current.to);
  expect(to).toBeGreaterThanOrEqual(before);
  expect(to).toBeLessThan(Date.now() + 10_000);
  expect(to % 10_000).toBe(0);
  expect(to - Date.parse(body.current.from)).toBe(60_000);
  expect(body.current).toMatchObject({
    events: 0,
    unique_users: 0,
    revenue: "0.00",
    purchases: 0,
    mean_session_duration: null,
  });
});

test("refuses a time from which neither windows nor events are kept", async () => {
  await ingest({ time: "10:00:00" });
  await finish();
  await pool.query("update clock set raw_from = '2026-02-01T00:00:00Z'");
  const whole = await client.get("/v1/reports/kpi?window=1h&at=2026-01-01T11:00:00Z");
  expect(whole.body.current.events).toBe(1);
  await pool.query("update realtime_aggregates set state = null where size = '10s'");
  const { status, body } = await client.get("/v1/reports/kpi?window=10s&at=2026-01-01T10:00:10Z");
  expect([status, body.code]).toEqual([400, "report.expired"]);
});

test.each([
  ["window=0s", "/window"],
  ["window=15s", "/window"],
  ["window=86410s", "/window"],
  ["window=2d", "/window"],
  ["window=60", "/window"],
  ["window=-60s", "/window"],
  ["at=yesterday", "/at"],
  ["at=2026-01-01T10:00:00", "/at"],
  ["at=2026-02-30T10:00:00Z", "/at"],
  ["at=1684-08-01T00:00:00Z", "/at"],
  ["at=2255-01-01T00:00:00Z", "/at"],
  ["at=2026-01-01T10:00:00Z&at=2026-01-01T10:00:00Z", "/at"],
  ["at=%00", "/at"],
  ["until=2026-01-01T10:00:00Z", "/until"],
])("refuses ?%s", async (query, path) => {
  const { status, body, headers } = await client.get(`/v1/reports/kpi?${query}`);
  expect([status, body.code, body.errors[0].path]).toEqual([400, "request.query", path]);
  expect(headers["content-type"]).toBe("application/problem+json");
});

describe("who may ask", () => {
  const target = "/v1/reports/kpi";

  test("nobody without a token, with an unsigned or expired one, or with one that lacks the scope", async () => {
    const outcome = async (token: string | null) => {
      const { status, body, headers } = await client.get(target, { token });
      expect(headers["www-authenticate"]).toMatch(/^Bearer /);
      return [status, body.code];
    };
    expect(await outcome(null)).toEqual([401, "token.missing"]);
    const unsigned = new UnsecuredJWT({ scope: "reports:read" })
      .setIssuer(process.env.AUTH_ISSUER ?? "")
      .setAudience(process.env.AUTH_AUDIENCE ?? "")
      .setSubject("x")
      .setExpirationTime("1h")
      .encode();
    expect(await outcome(unsigned)).toEqual([401, "token.invalid"]);
    expect(await outcome(await client.expiredToken("reports:read"))).toEqual([
      401,
      "token.expired",
    ]);
    expect(await outcome(await client.token("events:write", "admin"))).toEqual([
      403,
      "token.scope",
    ]);
  });

  test("an unknown path and an unknown method are told apart", async () => {
    const unknown = await client.get("/v1/reports/nothing");
    expect([unknown.status, unknown.body.code]).toEqual([404, "route.unknown"]);
    const post = await client.post(target, {});
    expect([post.status, post.body.code]).toEqual([405, "method.not_allowed"]);
    expect(post.headers.allow).toBe("GET, HEAD, OPTIONS");
  });
});
