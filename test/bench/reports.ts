/**
 * Reports with a million events of 100,000 users stored, spread over the last 24 hours: those of one
 * user or from windows at 100 requests a second, those over all users at 10, a funnel over the day by
 * itself. Open loop: requests start by the clock, so one that waits counts its waiting.
 *
 * `reports-10m` asks the same of the same day with nine days more behind it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createPool } from "@headrace/db";
import { type Bench, type Figures, quantile } from "./bench.ts";
import { produce, type System, untilStored, withSystem } from "./system.ts";

const DAY_MILLIS = 86_400_000;
const USERS = 100_000;
const FUNNELS = 5;

/** A path to ask for; anew each time. */
type Ask = () => string;

interface Asked {
  /** Requests a second. */
  readonly rate: number;
  readonly paths: Readonly<Record<string, Ask>>;
}

export const reports: Bench = ({ quick }) => reportsOver(1, quick ? 2 : 30, quick);
export const reportsOfTenDays: Bench = ({ quick }) => reportsOver(10, quick ? 1 : 10, quick);

const reportsOver = (days: number, seconds: number, quick: boolean): Promise<Figures> =>
  withSystem(["--partitions", "4"], async (system) => {
    const count = days * (quick ? 50_000 : 1_000_000);
    const toMillis = Date.now();
    const fromMillis = toMillis - DAY_MILLIS;
    const stretch = { fromMillis: toMillis - days * DAY_MILLIS, toMillis };
    await produce(system, { seed: 3, count, users: USERS, ...stretch });
    await untilStored(system, count);
    await untilCaughtUp(system);
    if (!quick) await untilAtRest(system);
    const users = await someUsers(system, fromMillis);
    const figures: Record<string, number> = { events_stored: count };
    for (const { rate, paths } of [oneUserOrWindows(fromMillis, users), allUsers(fromMillis)]) {
      for (const [name, path] of Object.entries(paths)) {
        const times = await openLoop(system, path, rate, seconds);
        figures[`${name}_p50_ms`] = quantile(times, 0.5);
        figures[`${name}_p99_ms`] = quantile(times, 0.99);
      }
    }
    const funnel = dayFunnel(fromMillis, toMillis);
    const times: number[] = [];
    for (let n = 0; n < FUNNELS; n += 1) times.push(await timeOf(system, funnel));
    figures.funnel_day_p50_ms = quantile(times, 0.5);
    figures.funnel_day_max_ms = quantile(times, 1);
    return figures;
  });

const text = (millis: number): string => new Date(millis).toISOString();
const hourOf = (millis: number): string => text(Math.floor(millis / 3_600_000) * 3_600_000);

function oneUserOrWindows(fromMillis: number, users: readonly string[]): Asked {
  const at = (): string => text(fromMillis + Math.random() * 80_000_000);
  const user = (): string => users[Math.floor(Math.random() * users.length)] ?? "";
  return {
    rate: 100,
    paths: {
      kpi: () => "/v1/reports/kpi",
      kpi_earlier: () => `/v1/reports/kpi?window=5m&at=${at()}`,
      windows_10s: () => `/v1/reports/windows?size=10s&from=${at()}&limit=100`,
      windows_1m: () => `/v1/reports/windows?size=1m&event_type=purchase&from=${at()}&limit=100`,
      windows_1h: () => `/v1/reports/windows?size=1h&from=${text(fromMillis)}`,
      sliding_rows: () =>
        `/v1/reports/sliding?event_type=page_view&rows=10&from=${at()}&to=${text(fromMillis + DAY_MILLIS)}&limit=100`,
      sliding_range: () =>
        `/v1/reports/sliding?event_type=page_view&range=5m&from=${at()}&to=${text(fromMillis + DAY_MILLIS)}&limit=100`,
      sessions_of_user: () =>
        `/v1/reports/sessions?user_id=${user()}&from=${text(fromMillis)}&to=${text(fromMillis + 2 * DAY_MILLIS)}`,
      profile: () => `/v1/users/${user()}/profile`,
      features: () => `/v1/users/${user()}/features?at=${at()}`,
      user_events: () => `/v1/users/${user()}/events?limit=10`,
      joins: () =>
        `/v1/reports/joins/view-cart?from=${at()}&to=${text(fromMillis + DAY_MILLIS)}&limit=100`,
    },
  };
}

function allUsers(fromMillis: number): Asked {
  const range = `from=${hourOf(fromMillis)}&to=${hourOf(fromMillis + DAY_MILLIS + 3_600_000)}`;
  return {
    rate: 10,
    paths: {
      sessions_summary: () => `/v1/reports/sessions/summary?${range}`,
      segments: () => `/v1/reports/segments?by=category&size=1h&${range}`,
      active_users: () => `/v1/reports/active-users?by=hour&${range}`,
    },
  };
}

const dayFunnel = (fromMillis: number, toMillis: number): string =>
  `/v1/reports/funnel?steps=page_view,add_to_cart,checkout_start,purchase&within=1h&from=${text(fromMillis)}&to=${text(toMillis)}`;

async function someUsers(system: System, fromMillis: number): Promise<string[]> {
  const { sessions } = (await system.get(
    `/v1/reports/sessions?from=${text(fromMillis)}&to=${text(fromMillis + DAY_MILLIS)}&limit=1000`,
  )) as { sessions: { user_id: string }[] };
  return sessions.map(({ user_id }) => user_id);
}

/** Waits until nothing is left to fold or to follow: what a quiet shop looks like. */
async function untilCaughtUp(system: System): Promise<void> {
  for (;;) {
    const { caught_up } = (await system.get("/v1/progress")) as { caught_up: boolean };
    if (caught_up) return;
    await sleep(500);
  }
}

/** Longer than autovacuum waits between its rounds. */
const REST_MILLIS = 20_000;

/** Waits until autovacuum has nothing left to do either, which a shop does not get a day's events at once for. */
async function untilAtRest({ databaseUrl }: System): Promise<void> {
  const owner = createPool({ connectionString: databaseUrl, max: 1 });
  let quietSince = performance.now();
  while (performance.now() - quietSince < REST_MILLIS) {
    const { rowCount } = await owner.query(
      "select from pg_stat_activity where backend_type = 'autovacuum worker'",
    );
    if (rowCount !== 0) quietSince = performance.now();
    await sleep(200);
  }
  await owner.query("checkpoint");
  await owner.end();
}

async function timeOf(system: System, path: string): Promise<number> {
  const startedAt = performance.now();
  await system.get(path);
  return performance.now() - startedAt;
}

/** Milliseconds from when each request was due to when its answer was there. */
async function openLoop(
  system: System,
  path: Ask,
  rate: number,
  seconds: number,
): Promise<number[]> {
  const times: number[] = [];
  const pending: Promise<void>[] = [];
  const startedAt = performance.now();
  for (let index = 0; index < rate * seconds; index += 1) {
    const due = startedAt + (index * 1000) / rate;
    const wait = due - performance.now();
    if (wait > 0) await sleep(wait);
    pending.push(
      system.get(path()).then(() => {
        times.push(performance.now() - due);
      }),
    );
  }
  await Promise.all(pending);
  return times.slice(Math.floor(times.length * 0.05));
}
