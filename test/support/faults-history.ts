/**
 * A random history: rounds in which producers write, functions run side by side and meet faults, and
 * things happen that take time in the world (retention, a topic made again, hours without traffic).
 */
import {
  deliverAgain,
  expire,
  finish,
  finishStale,
  inWords,
  partOf,
  poll,
  runCron,
} from "./faults-actors.ts";
import { changeDimensions, FOLLOWING, follow } from "./faults-followers.ts";
import { Random } from "./faults-random.ts";
import { watchMoment } from "./faults-watch.ts";
import type { Instance, World } from "./faults-world.ts";
import type { LogRecord, PartitionLog } from "./model-log.ts";
import { allDifferences, type Difference } from "./recompute.ts";

/** A moment at which something was not right. */
export class Wrong extends Error {
  override readonly name = "Wrong";
  readonly differences: readonly Difference[];

  constructor(found: readonly Difference[]) {
    super(`${found.length} differences`);
    this.differences = found;
  }
}

/** Actors by their names, to be run side by side. */
export type Cast = ReadonlyMap<string, () => Promise<void>>;

export async function runHistory(world: World, run = runThroughGate): Promise<void> {
  for (let round = 1; round <= world.traits.rounds; round += 1) {
    world.note(`round ${round}`);
    produce(world);
    await happen(world);
    const cast = castOf(world);
    world.note(`  together: ${[...cast.keys()].join(", ")}`);
    await run(world, cast, round);
    if (world.random.chance(0.15)) await look(world);
  }
}

/** Throws `Wrong` unless everything is right at this moment. */
export async function look(world: World): Promise<void> {
  const { owner } = world.stage;
  const found = [
    ...world.wrongs,
    ...(await allDifferences(owner, (oracles) => [world.moments.pick(oracles)])),
    ...(await watchMoment(owner, world.seen)),
    ...(await miscounted(world)),
  ];
  if (found.length > 0) throw new Wrong(found);
}

/** Failures that were counted, and that no record brought about. */
export async function miscounted({ stage }: World): Promise<Difference[]> {
  const { rows } = await stage.owner.query<{ key: string; code: string }>(
    `select topic || '-' || partition as key, code
     from stream_failures
     where code <> 'P0001'`,
  );
  return rows.map(({ key, code }) => ({
    what: "counted failure",
    key,
    expected: "P0001",
    actual: code,
  }));
}

function produce(world: World): void {
  const { random, logs, maker, traits } = world;
  if (random.chance(0.3)) maker.wait(random.pick([10_000, 60_000, 3_600_000]));
  const [one, other] = random.shuffled(logs);
  if (random.chance(0.15) && one !== undefined && other !== undefined) {
    const [there, back] = maker.mirrored(random.whole(2, 30));
    for (const record of there) one.append(record);
    for (const record of back) other.append(record);
    world.note(
      `  produced ${there.length} to ${nameOf(one)}, in opposite order to ${nameOf(other)}`,
    );
  }
  for (const log of logs) {
    const isBig = traits.bigBatches && log === logs[0] && log.end < 700;
    const count = isBig ? 450 : random.pick([0, 3, random.whole(5, 25)]);
    for (let n = 0; n < count; n += 1) {
      if (random.chance(0.03)) log.appendHole(random.whole(1, 3));
      log.append(maker.next(log.all.slice(-30)));
    }
    if (count > 0) world.note(`  produced ${count} to ${nameOf(log)}, its end is ${log.end}`);
  }
}

const nameOf = (log: PartitionLog): string =>
  `${log.topic}-${log.partition}${"'".repeat(log.incarnation)}`;

/** What happens between invocations. */
async function happen(world: World): Promise<void> {
  const { random, traits, stage, logs } = world;
  const log = random.pick(logs);
  if (random.chance(0.3)) await giveUp(world, log);
  if (random.chance(0.06)) await dropEmptyWeek(world);
  if (traits.poison && random.chance(0.7)) await failOften(world);
  if (traits.trims && random.chance(0.3)) {
    const begin = random.whole(log.begin, log.end);
    // A partition whose first records are gone before anything was taken in simply begins later.
    if (await isKnown(world, log)) log.trim(begin);
    world.note(`  retention moved the begin of ${nameOf(log)} to ${log.begin}`);
  }
  if (traits.recreates && random.chance(0.25)) {
    for (const each of logs) if (each.topic === log.topic) each.recreate();
    world.note(`  ${log.topic} was made again`);
  }
  if (random.chance(0.1)) {
    const instance = random.pick(stage.instances);
    await instance.restart();
    world.note(`  ${instance.name} started anew`);
  }
  if (random.chance(0.15)) {
    await passTime(world, 70);
    world.note("  a minute went by");
  }
  if (random.chance(traits.dropsStates ? 0.5 : 0.15)) await raiseWatermark(world);
  if (random.chance(0.2)) await changeDimensions(world);
}

/** All partitions were idle for a moment: much of what comes is late for windows that are final. */
async function raiseWatermark({ stage, random, maker, note }: World): Promise<void> {
  const at = new Date(maker.clock - random.pick([0, 20_000, 60_000])).toISOString();
  await stage.owner.query("update clock set watermark = greatest(watermark, $1::timestamptz)", [
    at,
  ]);
  note(`  the overall watermark rose to ${at}`);
}

/** The next batch of a partition goes to the failure destination. */
async function giveUp(world: World, log: PartitionLog): Promise<void> {
  const given = log.upcoming(world.random.whole(1, 25));
  if (given.length === 0 || !(await isKnown(world, log))) return;
  for (const record of given) record.skipped = true;
  world.givenUp.push(given);
  log.next = (given.at(-1)?.offset ?? 0) + 1;
  world.note(`  given up: ${inWords([given])}`);
}

/** As if what failed before had come again and again. */
async function failOften({ stage, random, note }: World): Promise<void> {
  const times = random.pick([18, 19, 20, 20]);
  await stage.owner.query("update stream_failures set failures = $1", [times]);
  note(`  what failed did so ${times} times`);
}

/** A week's partition goes, as retention does it; the processes do not know. */
async function dropEmptyWeek({ stage, random, note }: World): Promise<void> {
  const week = random.pick(["20251215", "20251222", "20251229", "20260105"]);
  const name = `stream_events_${week}`;
  const { rows } = await stage.owner.query<{ is_empty: boolean }>(
    `select to_regclass($1) is not null
       and not exists (select from stream_events where tableoid = to_regclass($1)) as is_empty`,
    [name],
  );
  if (rows[0]?.is_empty !== true) return;
  await stage.owner.query(`drop table ${name}`);
  note(`  ${name} was empty and is gone`);
}

/** Whether the database has met this very log, so that it notices what is missing. */
async function isKnown({ stage }: World, log: PartitionLog): Promise<boolean> {
  if (log.incarnation > 0) return log.records.some(({ acknowledged }) => acknowledged);
  const { rowCount } = await stage.owner.query(
    "select from stream_progress where topic = $1 and partition = $2",
    [log.topic, log.partition],
  );
  return rowCount === 1;
}

/** Moves all that is stored of times that matter into the past. */
export async function passTime({ stage }: World, seconds: number): Promise<void> {
  await stage.owner.query(
    `update stream_progress set committed_at = committed_at - interval '${seconds} seconds';
     update stream_ends set read_at = read_at - interval '${seconds} seconds';
     update leases set expires_at = expires_at - interval '${seconds} seconds'`,
  );
}

async function runThroughGate(world: World, cast: Cast, round: number): Promise<void> {
  const random = Random.of(world.seed, 1000 + round);
  await world.stage.gate.run(
    {
      random,
      serial: world.traits.serial,
      decide: (turn) => world.fault(turn, random),
      look: () => look(world),
      note: world.note,
    },
    cast,
  );
}

/**
 * Where a partition begins is where the first of its batches that the database meets begins. Nobody
 * could tell what lies before from a topic that was made again, so no part of a batch comes first.
 */
const hasBegun =
  ({ logs }: World) =>
  ([first]: readonly LogRecord[]): boolean =>
    logs.some(
      ({ topic, partition, all }) =>
        topic === first?.topic &&
        partition === first.partition &&
        all.some((it) => it.acknowledged && it.incarnation === first.incarnation),
    );

/** Who runs in a round. */
function castOf(world: World): Cast {
  const { random, stage, traits, delivered, leases } = world;
  const works = new Map<string, () => Promise<void>>();
  const add = (name: string, work: (instance: Instance) => () => Promise<void>): void => {
    const instance = random.pick(stage.instances);
    works.set(`${name} by ${instance.name}`, work(instance));
  };
  const shuffled = random.shuffled(world.logs);
  const cut = random.whole(1, shuffled.length);
  for (const logs of [shuffled.slice(0, cut), shuffled.slice(cut)]) {
    if (logs.length === 0 || random.chance(0.1)) continue;
    add(`poll ${logs.map(nameOf).join(" ")}`, (instance) => poll(world, instance, logs));
  }
  for (let again = 0; again < 2; again += 1) {
    if (delivered.length === 0 || !random.chance(0.3)) continue;
    const earlier = random.pick(random.chance(0.6) ? delivered.slice(-3) : delivered);
    const slices = random.chance(0.5) ? earlier : partOf(world, earlier).filter(hasBegun(world));
    if (slices.length === 0) continue;
    add(`again ${inWords(slices)}`, (instance) => deliverAgain(world, instance, slices));
  }
  const late = world.givenUp.filter((records) => records.length > 0);
  if (late.length > 0 && random.chance(0.4)) {
    const slices = partOf(world, [random.pick(late)]);
    add(`late ${inWords(slices)}`, (instance) => deliverAgain(world, instance, slices));
  }
  if (random.chance(0.6)) add("finish", (instance) => finish(world, instance, false));
  if (random.chance(0.15)) add("take over", (instance) => finish(world, instance, true));
  if (random.chance(0.1) && leases.length > 0) {
    add("finish stale", (instance) => finishStale(world, instance));
  }
  for (const name of FOLLOWING) {
    const force = random.chance(0.3);
    if (random.chance(0.4)) add(name, (instance) => follow(world, instance, name, force));
  }
  if (traits.dropsStates && random.chance(0.7)) add("expire", (it) => expire(world, it));
  for (const [name, share] of [
    ["fillGaps", 0.35],
    ["finishWindows", 0.15],
    ["watchProgress", 0.3],
  ] as const) {
    const force = random.chance(0.5);
    // What comes late to a gap meets who fills it.
    const isMet = name === "fillGaps" && [...works.keys()].some((it) => it.startsWith("late"));
    if (random.chance(isMet ? 0.8 : share))
      add(name, (instance) => runCron(world, instance, name, force));
  }
  return works;
}
