/**
 * `npm run rebuild -- WHAT --from T --to T`: results of a stretch of time made again from raw events,
 * while everything goes on; what was right is not touched, what was wrong is replaced at once.
 */
import { parseArgs } from "node:util";
import {
  type AuditRange,
  createPool,
  type Pool,
  rawFromOf,
  rebuildActiveUsers,
  rebuildJoins,
  rebuildSegments,
  rebuildSessions,
  rebuildWindows,
  roleUrl,
} from "@headrace/db";
import { parseInstant } from "@headrace/events";
import { invalid, notFound } from "@headrace/kernel";
import { checkDatabaseUrl } from "./database-url.ts";
import { findRunning } from "./home.ts";
import { homeFolder } from "./start-options.ts";

const HOUR = 3_600_000_000;

type Rebuild = (
  pool: Pool,
  range: AuditRange,
  onProgress: (micros: number) => void,
) => Promise<number>;

const REBUILDS: Readonly<Record<string, Rebuild>> = {
  windows: rebuildWindows,
  sessions: rebuildSessions,
  "active-users": rebuildActiveUsers,
  segments: rebuildSegments,
  joins: rebuildJoins,
};

export const REBUILD_HELP = `npm run rebuild -- WHAT --from TIME --to TIME: results made again from raw events, online

  WHAT          ${[...Object.keys(REBUILDS), "all"].join(", ")}
  --from TIME   2026-01-31T00:00:00Z; whole hours, rounded down
  --to TIME     not included; rounded up
  --home DIR    the folder of the Headrace that runs; default HEADRACE_HOME, or .headrace in the
                repository; or set DATABASE_URL to the database (its owner's address)
  --help        this text

Nothing before raw events begin is touched. Reports stay right while it runs.`;

export interface RebuildRequest extends AuditRange {
  readonly what: readonly string[];
  /** Undefined where it was not said. */
  readonly home: string | undefined;
}

/** Throws `rebuild.arguments` with what to write instead. */
export function parseRebuildArguments(args: readonly string[]): RebuildRequest {
  const { values, positionals } = parsed(args);
  const [what = "", ...more] = positionals;
  const names = what === "all" ? Object.keys(REBUILDS) : [what];
  if (more.length > 0 || !names.every((name) => Object.hasOwn(REBUILDS, name)))
    throw wrong(`name one of ${Object.keys(REBUILDS).join(", ")}, all`);
  const fromMicros = Math.floor(instant("from", values.from) / HOUR) * HOUR;
  const toMicros = Math.ceil(instant("to", values.to) / HOUR) * HOUR;
  if (fromMicros >= toMicros) throw wrong("--to must be after --from");
  return { what: names, fromMicros, toMicros, home: values.home };
}

function parsed(args: readonly string[]) {
  const text = { type: "string" } as const;
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { from: text, to: text, home: text },
    });
  } catch (error) {
    throw wrong(error instanceof Error ? error.message : String(error));
  }
}

function instant(flag: string, value: string | undefined): number {
  const found = value === undefined ? undefined : parseInstant(value);
  if (found === undefined) throw wrong(`--${flag} must be a time such as 2026-01-31T00:00:00Z`);
  return found.micros;
}

const wrong = (message: string) =>
  invalid("rebuild.arguments", `${message}\n\nnpm run rebuild -- --help tells more`);

/** Prints its progress with `say`; `isOver` lines stay. */
export async function rebuild(
  request: RebuildRequest,
  say: (line: string, isOver: boolean) => void,
): Promise<void> {
  const pool = createPool({
    connectionString: roleUrl(await ownerUrl(request.home), "headrace_worker"),
    max: 2,
  });
  pool.on("error", () => {});
  try {
    const range = await rangeOf(pool, request);
    if (range.fromMicros > request.fromMicros)
      say(`raw events begin at ${timeOf(range.fromMicros)}: nothing before that is touched`, true);
    for (const name of request.what) {
      const share = (micros: number): number =>
        Math.floor((100 * (micros - range.fromMicros)) / (range.toMicros - range.fromMicros));
      const work = REBUILDS[name] as Rebuild;
      const changed = await work(pool, range, (micros) => {
        say(`${name}: ${Math.max(0, Math.min(100, share(micros)))} %`, false);
      });
      say(`${name}: ${changed === 0 ? "nothing was wrong" : `${changed} rows changed`}`, true);
    }
  } finally {
    await pool.end();
  }
}

/** Throws `rebuild.range` where no raw event of it is kept. */
async function rangeOf(pool: Pool, { fromMicros, toMicros }: AuditRange): Promise<AuditRange> {
  const oldest = await rawFromOf(pool);
  if (toMicros > oldest) return { fromMicros: Math.max(fromMicros, oldest), toMicros };
  throw invalid(
    "rebuild.range",
    `raw events begin at ${timeOf(oldest)}: nothing before that can be made again`,
  );
}

const timeOf = (micros: number): string => new Date(micros / 1000).toISOString();

async function ownerUrl(home: string | undefined): Promise<string> {
  const folder = homeFolder(home, process.env);
  const url = process.env.DATABASE_URL || (await findRunning(folder))?.databaseUrl;
  if (url === undefined)
    throw notFound(
      "rebuild.no_database",
      `nothing runs on ${folder}: run npm start, or set DATABASE_URL to the database (its owner's address)`,
    );
  checkDatabaseUrl(url);
  return url;
}
