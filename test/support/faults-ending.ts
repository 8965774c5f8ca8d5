/**
 * The end of a history: everything heals, everything is delivered, gaps are filled and windows are
 * folded. Then the database holds what the logs say, and nothing else.
 */
import { haveFollowed } from "@headrace/db";
import type { CronHandler } from "@headrace/handler";
import { awaitCut } from "../db/await-cut.ts";
import { deliver } from "./faults-actors.ts";
import { FOLLOWING } from "./faults-followers.ts";
import { miscounted, passTime, Wrong } from "./faults-history.ts";
import { watchMoment } from "./faults-watch.ts";
import type { World } from "./faults-world.ts";
import { compareGaps, comparePositions } from "./model-compare-progress.ts";
import { compareStored } from "./model-compare-stored.ts";
import type { LogRecord, PartitionLog } from "./model-log.ts";
import { removePoison } from "./poison.ts";
import { allDifferences, auditAll, type Difference } from "./recompute.ts";

const context = { awsRequestId: "faults", getRemainingTimeInMillis: () => 60_000 };

export async function endHistory(world: World): Promise<void> {
  const { owner } = world.stage;
  world.note("all heals");
  await removePoison(owner);
  // News say where the log goes on, whoever delivered something old before. The first may fill what
  // a batch of a log that is gone made look like a gap.
  for (let times = 0; times < 2; times += 1) {
    for (const log of world.logs) {
      await catchUp(world, log);
      for (let n = 0; n < 2; n += 1) log.append(world.maker.news());
      await catchUp(world, log);
    }
    await passTime(world, 100);
    await fillGaps(world);
  }
  await passTime(world, 100);
  await foldAll(world);
  await followAll(world);
  const found: Difference[] = [
    ...world.wrongs,
    ...(await allDifferences(owner)),
    ...(await auditAll(owner)),
    ...(await watchMoment(owner, world.seen)),
    ...(await miscounted(world)),
    ...(await unfinished(world)),
    ...(await compareStored(world)),
    ...(await comparePositions(world)),
    ...(await compareGaps(world)),
    ...unexpected(world),
  ];
  if (found.length > 0) throw new Wrong(found);
}

/** A connection that broke before shows at its next use, so the first tries may fail. */
const TRIES = 8;

async function catchUp(world: World, log: PartitionLog): Promise<void> {
  const instance = world.stage.instances[0];
  if (instance === undefined) throw new Error("no instance");
  for (let tries = 0; tries < TRIES; tries += 1) {
    const left: LogRecord[] = log.upcoming(Number.POSITIVE_INFINITY);
    if (left.length === 0) return;
    const taken = await deliver(world, instance, [left]);
    if (taken.length > 0) log.next = log.end;
  }
  if (log.upcoming(1).length > 0) {
    throw stuck("delivery", `${log.topic}-${log.partition}`, world.stage.logged.at(-1));
  }
}

async function fillGaps(world: World): Promise<void> {
  await settle(world, "fillGaps", "select from stream_gaps where closed_at is null");
}

async function foldAll(world: World): Promise<void> {
  await world.stage.instances[0]?.watchProgress({}, context);
  await settle(
    world,
    "finishWindows",
    `select from open_windows
     union all
     select from realtime_aggregates where not final and window_end <= (select watermark from clock)`,
  );
}

/** All that is left of every follower, new events and changes alike. */
async function followAll(world: World): Promise<void> {
  const { instances, owner } = world.stage;
  await awaitCut(owner);
  for (const name of FOLLOWING) {
    await run(world, name, instances[0]?.followers[name], async () => {
      const { rows } = await owner.query<{ tx: number }>(
        "select coalesce(max(tx) + 1, 0) as tx from stream_batches",
      );
      return haveFollowed(owner, [name], rows[0]?.tx ?? 0);
    });
  }
}

/** Runs a cron until a query finds nothing more for it to do. */
async function settle(
  world: World,
  cron: "fillGaps" | "finishWindows",
  leftover: string,
): Promise<void> {
  const { instances, owner } = world.stage;
  await run(world, cron, instances[0]?.[cron], async () => {
    const { rowCount } = await owner.query(leftover);
    return rowCount === 0;
  });
}

async function run(
  world: World,
  name: string,
  cron: CronHandler | undefined,
  isDone: () => Promise<boolean>,
): Promise<void> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    await cron?.({}, context).catch((error: unknown) => {
      world.note(`  ${name} at the end: ${String(error)}`);
    });
    if (await isDone()) return;
  }
  throw stuck(name, "what is left", world.lines.at(-1));
}

const stuck = (what: string, key: string, actual: unknown): Wrong =>
  new Wrong([{ what: "stuck", key: `${what} of ${key}`, expected: "an end", actual }]);

/**
 * With every partition idle all windows of the past are final. A log that was made again and holds
 * only what is stored already is not told from the old one until it grows, and counts as unread.
 */
async function unfinished({ stage, logs }: World): Promise<Difference[]> {
  if (logs.some(({ incarnation }) => incarnation > 0)) return [];
  const { rows } = await stage.owner.query<{ key: string }>(
    `select size || ' ' || window_start || ' ' || event_type as key
     from realtime_aggregates
     where not final
       and window_end < clock_timestamp() - interval '2 days'`,
  );
  return rows.map(({ key }) => ({ what: "final", key, expected: true, actual: false }));
}

/** SQLSTATEs and messages that a broken connection, a lock or a lost lease may bring. */
const EXPECTED =
  /57P01|25P03|57P05|25P02|40001|40P01|55P03|ECONNRESET|EPIPE|ERR_STREAM|lease\.lost|Connection terminated|Client has encountered a connection error|Client was closed|timeout exceeded when trying to connect|server closed the connection/;

/** And those of a server that is killed and starts again. */
const CRASH = /57P0[23]|ECONNREFUSED/;

function unexpected({ stage, traits, serverCrashes }: World): Difference[] {
  return stage.logged
    .map((error) => (error instanceof Error ? errorText(error) : JSON.stringify(error)))
    .filter((text) => !EXPECTED.test(text) && !(serverCrashes && CRASH.test(text)))
    .filter((text) => !(traits.poison && text.includes("P0001")))
    .map((text) => ({ what: "error", key: "logged", expected: "none of this kind", actual: text }));
}

const errorText = (error: Error): string =>
  `${error.name} ${"code" in error ? error.code : ""} ${error.message} ${error.stack}`;
