/** What runs side by side in a history: deliveries to the ingest function, the finisher, the crons. */
import {
  advanceWatermark,
  expireWindows,
  finishWindows,
  type Lease,
  releaseLease,
  repeated,
  takeLease,
} from "@headrace/db";
import type { KafkaResult, LambdaKafkaEvent } from "@headrace/handler";
import { AppError } from "@headrace/kernel";
import type { Instance, Slices, World } from "./faults-world.ts";
import type { LogRecord, PartitionLog } from "./model-log.ts";

export type Work = () => Promise<void>;

const context = { awsRequestId: "faults", getRemainingTimeInMillis: () => 60_000 };

export const inWords = (slices: Slices): string =>
  slices.map((records) => `${place(records)}[${range(records)}]`).join(" ");

const place = ([first]: readonly LogRecord[]): string =>
  first === undefined ? "" : `${first.topic}-${first.partition}${"'".repeat(first.incarnation)}`;

const range = (records: readonly LogRecord[]): string =>
  `${records[0]?.offset}..${records.at(-1)?.offset}`;

/** One invocation. Returns the slices that it said it took in; none when nobody heard an answer. */
export async function deliver(world: World, instance: Instance, slices: Slices): Promise<Slices> {
  const { actor } = world.stage.gate;
  const given = slices.filter((records) => records.length > 0);
  for (const record of given.flat()) noteDelivery(world, record);
  world.delivered.push(given);
  const event: LambdaKafkaEvent = {
    eventSource: "aws:kafka",
    records: Object.fromEntries(
      given.map((records) => [
        `${records[0]?.topic}-${records[0]?.partition}`,
        records.map(({ lambdaRecord }) => lambdaRecord),
      ]),
    ),
  };
  const { batchItemFailures } = await answerOf(world, instance.ingest(event, context), event);
  const failed = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier.partition));
  const taken = given.filter(
    ([first]) => !failed.has(`${first?.topic}-${first?.partition}`) && actor?.isDead !== true,
  );
  for (const record of taken.flat()) record.acknowledged = true;
  return taken;
}

/** What an error says of an event, as reports: that all of it failed. */
async function answerOf(
  { traits }: World,
  answer: Promise<KafkaResult>,
  event: LambdaKafkaEvent,
): Promise<KafkaResult> {
  try {
    return await answer;
  } catch (error) {
    const isToldSo = error instanceof AppError && error.code === "kafka.partitions_failed";
    if (!traits.throws || !isToldSo) throw error;
    const partitions = Object.keys(event.records);
    return {
      batchItemFailures: partitions.map((partition) => ({
        itemIdentifier: { partition, offset: 0 },
      })),
    };
  }
}

function noteDelivery({ logs }: World, record: LogRecord): void {
  record.attempted = true;
  record.wasDelivered = true;
  const log = logs.find((it) => it.topic === record.topic && it.partition === record.partition);
  const isGone = log !== undefined && record.offset < log.begin;
  if (isGone && !record.acknowledged) log.isBlurred = true;
}

/** A poller's turn: what comes next of some partitions, going on where it was taken in. */
export function poll(world: World, instance: Instance, logs: readonly PartitionLog[]): Work {
  const { random } = world;
  const sizes = Array.from({ length: random.whole(1, 3) }, () => logs.map(() => batchSize(world)));
  const offered = logs.map((log) => log.upcoming(Number.POSITIVE_INFINITY));
  return async () => {
    for (const counts of sizes) {
      const slices = offered.map((records, at) => records.slice(0, counts[at]));
      if (slices.every((records) => records.length === 0)) return;
      const taken = new Set((await deliver(world, instance, slices)).flat());
      for (const [at, log] of logs.entries()) {
        const records = slices[at] ?? [];
        if (records.length === 0 || !records.every((record) => taken.has(record))) continue;
        offered[at]?.splice(0, records.length);
        log.next = Math.max(log.next, (records.at(-1)?.offset ?? -1) + 1);
      }
    }
  };
}

function batchSize({ random, traits }: World): number {
  if (traits.bigBatches) return 2000;
  return random.pick([0, 1, 3, random.whole(1, 20), random.whole(10, 60)]);
}

/** The same once more, by whoever still holds it; whole, or some of it. */
export function deliverAgain(world: World, instance: Instance, slices: Slices): Work {
  return async () => {
    await deliver(world, instance, slices);
  };
}

/** Part of an earlier delivery: some partitions, and of them a stretch. */
export function partOf(world: World, slices: Slices): Slices {
  const { random } = world;
  const some = slices.filter(() => random.chance(0.7));
  return (some.length > 0 ? some : slices).map((records) => {
    if (random.chance(0.5)) return records;
    const from = random.whole(0, records.length - 1);
    return records.slice(from, random.whole(from + 1, records.length));
  });
}

const FINISHER = "finish-windows";

/** Folds slices under a lease; `force` takes the lease over from whoever still works under it. */
export function finish(world: World, instance: Instance, force: boolean): Work {
  const { random } = world;
  const limits = Array.from({ length: random.whole(1, 5) }, () =>
    random.pick([1, 3, 10, random.whole(1, 60), 2000]),
  );
  const givesBack = random.chance(0.6);
  return async () => {
    const pool = instance.pool();
    await swallow(world, async () => {
      if (force) await endLeases(instance, FINISHER);
      const lease = await takeLease(pool, FINISHER, instance.name, 60);
      if (lease === undefined) return;
      world.leases.push(lease);
      await fold(world, instance, lease, limits);
      if (givesBack) await releaseLease(pool, lease);
    });
  };
}

/** A runner that was taken for dead goes on with the lease it had. */
export function finishStale(world: World, instance: Instance): Work {
  const lease = world.random.pick(world.leases);
  return () => swallow(world, () => fold(world, instance, lease, [5, 100]));
}

async function fold(
  world: World,
  instance: Instance,
  lease: Lease,
  limits: readonly number[],
): Promise<void> {
  const pool = instance.pool();
  await advanceWatermark(pool);
  for (const limit of limits) {
    const fenceBefore = await world.stage.gate.aside(() => fenceOf(world, FINISHER));
    const { folded, finalised } = await repeated(() => finishWindows(pool, lease, limit));
    if (fenceBefore > lease.fence) {
      const actual = { folded, finalised };
      world.wrongs.push({ what: "lost lease", key: FINISHER, expected: "a refusal", actual });
    }
    if (folded > 0) world.note(`  ${instance.name} folded ${folded} under fence ${lease.fence}`);
  }
}

async function fenceOf({ stage }: World, name: string): Promise<number> {
  const { rows } = await stage.owner.query<{ fence: number }>(
    "select fence from leases where name = $1",
    [name],
  );
  return rows[0]?.fence ?? 0;
}

/** Drops states past their retention. */
export function expire(world: World, instance: Instance): Work {
  const limit = world.random.pick([5, 30, 1000]);
  return () =>
    swallow(world, async () => {
      await endLeases(instance, "maintain-partitions");
      const pool = instance.pool();
      const lease = await takeLease(pool, "maintain-partitions", instance.name, 60);
      if (lease !== undefined) await repeated(() => expireWindows(pool, lease, limit));
    });
}

export type CronName = "fillGaps" | "finishWindows" | "watchProgress";

const LEASE_NAMES: Readonly<Record<CronName, string>> = {
  fillGaps: "fill-gaps",
  finishWindows: FINISHER,
  watchProgress: "watch-progress",
};

/** The function itself, as the scheduler starts it; `force` when an earlier one's lease has ended. */
export function runCron(world: World, instance: Instance, name: CronName, force: boolean): Work {
  return () =>
    swallow(world, async () => {
      if (force) await endLeases(instance, LEASE_NAMES[name]);
      await instance[name]({}, context);
    });
}

/** As if the time had passed. */
export async function endLeases(instance: Instance, name: string): Promise<void> {
  await instance.pool().query("update leases set expires_at = '-infinity' where name = $1", [name]);
}

/** A cron that fails is logged and comes again; whether it may fail so is judged at the end. */
export async function swallow(world: World, work: Work): Promise<void> {
  try {
    await work();
  } catch (error) {
    world.stage.logged.push(error);
    if (error instanceof AppError) world.stage.gate.meet(`error ${error.code}`);
  }
}
