/**
 * Windows as the report answers them, finished rows and open states together, against raw events, with
 * the tolerances that windows promise; and finished rows against their own states.
 */
import {
  type Audited,
  type AuditRange,
  type Difference,
  figureColumns,
  instantText,
  type Sql,
} from "@headrace/db";
import { type WindowSize, WindowState } from "@headrace/windows";
import { instantOf } from "../answer.ts";
import { readWindows, type WindowAnswer } from "../windows.ts";
import { type PlainWindow, plainWindows } from "./plain-windows.ts";

const PAGE = 1000;

/** In the caller's snapshot. A row that is past its size's retention need not be there. */
export async function auditWindows(
  moment: Sql,
  range: AuditRange,
  sizes: readonly WindowSize[],
  limit: number,
): Promise<Audited[]> {
  const plain = await plainWindows(moment, range, sizes);
  const audited: Audited[] = [];
  for (const size of sizes) {
    const expected = plain.filter((it) => it.size === size);
    const read = await readAll(moment, range, size);
    const kept = await ownDifferences(moment, range, size);
    const differences = [...compareAll(`windows ${size}`, expected, read), ...kept];
    const rows = new Set([...expected.map(keyOf), ...read.keys()]).size;
    audited.push({ what: `windows ${size}`, rows, differences: differences.slice(0, limit) });
  }
  return audited;
}

const keyOf = ({ window_start, event_type }: PlainWindow): string =>
  `${instantOf(window_start)} ${event_type}`;

async function readAll(
  moment: Sql,
  { fromMicros, toMicros }: AuditRange,
  size: WindowSize,
): Promise<Map<string, WindowAnswer>> {
  const sql = { query: moment.query.bind(moment), snapshot: runIn(moment) };
  const read = new Map<string, WindowAnswer>();
  const query = { size, eventType: null, fromMicros, toMicros, limit: PAGE };
  let page = await readWindows(sql, { ...query, after: undefined });
  for (;;) {
    for (const it of page.windows) read.set(`${it.window_start} ${it.event_type}`, it);
    if (page.last === undefined) return read;
    page = await readWindows(sql, { ...query, after: page.last });
  }
}

const runIn =
  (moment: Sql) =>
  <Result>(work: (moment: Sql) => Promise<Result>): Promise<Result> =>
    work(moment);

function compareAll(
  what: string,
  plain: readonly PlainWindow[],
  read: ReadonlyMap<string, WindowAnswer>,
): Difference[] {
  const expected = new Map(plain.map((it) => [keyOf(it), it]));
  const found: Difference[] = [];
  for (const key of new Set([...expected.keys(), ...read.keys()])) {
    const [raw, answer] = [expected.get(key), read.get(key)];
    if (raw?.may_be_gone === true && answer === undefined) continue;
    if (raw === undefined || answer === undefined) {
      const counted = { expected: raw?.event_count ?? null, actual: answer?.event_count ?? null };
      found.push({ what, key, ...counted });
    } else {
      found.push(...unequal(raw, answer).map((it) => ({ ...it, what: `${what} ${it.what}`, key })));
    }
  }
  return found;
}

type Unequal = Omit<Difference, "key">;

/** Beyond these many, distinct users are an estimate; its standard error is 2 %. */
const EXACT_USERS = 256;
const FIVE_STANDARD_ERRORS = 0.1;
const SUM_ERROR = 1e-9;
const QUANTILE_ERROR = 0.01;
/** Smaller magnitudes count as 0 in quantiles. */
const LEAST_QUANTILE = 1e-9;
/** A spread that is smaller beside the mean is not promised. */
const LEAST_SPREAD = 1e-6;

function unequal(plain: PlainWindow, read: WindowAnswer): Unequal[] {
  const found: Unequal[] = [];
  const compare = (what: keyof WindowAnswer, expected: unknown, error?: number): void => {
    const actual = read[what];
    const isEqual = error === undefined ? actual === expected : isNear(expected, actual, error);
    if (!isEqual) found.push({ what, expected, actual });
  };
  for (const name of ["event_count", "value_count", "value_min", "value_max"] as const) {
    compare(name, plain[name]);
  }
  for (const name of ["revenue", "late_events", "final"] as const) compare(name, plain[name]);
  const mean = plain.value_sum === null ? null : plain.value_sum / plain.value_count;
  const sumError = SUM_ERROR * (plain.abs_sum ?? Number.POSITIVE_INFINITY);
  compare("value_sum", plain.value_sum, sumError);
  compare("value_mean", mean, sumError / Math.max(1, plain.value_count));
  const spread = plain.value_stddev ?? 0;
  if (spread >= LEAST_SPREAD * Math.abs(mean ?? 0)) {
    compare("value_stddev", plain.value_stddev, SUM_ERROR * spread);
  }
  for (const name of ["value_p50", "value_p95", "value_p99"] as const) {
    compare(name, plain[name], QUANTILE_ERROR * Math.abs(plain[name] ?? 0) + LEAST_QUANTILE);
  }
  const users = plain.distinct_users;
  compare("distinct_users", users, users <= EXACT_USERS ? 0 : FIVE_STANDARD_ERRORS * users);
  compare("duration_mean", plain.duration_mean, SUM_ERROR * (plain.duration_mean ?? 0));
  return found;
}

function isNear(expected: unknown, actual: unknown, error: number): boolean {
  if (typeof expected !== "number" || typeof actual !== "number") return expected === actual;
  return Math.abs(expected - actual) <= error;
}

interface Stored extends Record<string, unknown> {
  readonly window_start: number;
  readonly event_type: string;
  readonly state: Buffer;
  readonly final: boolean;
  readonly has_passed: boolean;
}

/** A finished row's columns are its state's figures, and it is not final too early. */
async function ownDifferences(
  moment: Sql,
  { fromMicros, toMicros }: AuditRange,
  size: WindowSize,
): Promise<Difference[]> {
  const { rows } = await moment.query<Stored>(
    `select
       realtime_aggregates.*,
       coalesce(window_end <= (select watermark from clock), false) as has_passed
     from realtime_aggregates
     where size = $1
       and window_start >= $2
       and window_start < $3
       and state is not null`,
    [size, instantText(fromMicros), instantText(toMicros)],
  );
  const found: Difference[] = [];
  for (const row of rows) {
    const key = `${instantOf(row.window_start)} ${row.event_type}`;
    const note = (what: string, expected: unknown, actual: unknown): void => {
      found.push({ what: `windows ${size} ${what}`, key, expected, actual });
    };
    if (row.final && !row.has_passed) note("final", false, true);
    const figures = figureColumns(WindowState.decode(row.state).figures());
    for (const [name, expected] of Object.entries(figures)) {
      if (row[name] !== expected) note(`column ${name}`, expected, row[name]);
    }
  }
  return found;
}
