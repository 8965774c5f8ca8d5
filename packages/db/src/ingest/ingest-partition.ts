/**
 * Takes one partition's batch in, with exactly-once effect, in one transaction: events, window
 * states, dead letters and progress commit together or not at all.
 *
 * The partition's progress row is locked first, so redelivered and zombie batches queue. What was
 * stored before is known by its identity and counts nothing again. Nothing is kept in memory that a
 * later batch relies on. After an error the caller delivers the same records again, however often;
 * also when the outcome of the commit is not known.
 */
import type { Refusal } from "@headrace/events";
import { bug } from "@headrace/kernel";
import { recordDeadLetters } from "../dead-letters.ts";
import { advanceGap, listOpenGaps, openGap, splitGap } from "../gaps.ts";
import { type Client, inTransaction, namesConstraint, type Pool, sqlState } from "../sql.ts";
import { appendBatches, appendOpenWindows } from "./append.ts";
import { DecodedBatch, type PartitionBatch } from "./batch.ts";
import { copyEvents, type Taken, Unprepared } from "./copy-events.ts";
import type { LaneFold } from "./fold.ts";
import { insertEvents, Overtaken } from "./insert-events.ts";
import { forgetKnown, type Known, knownOf } from "./known.ts";
import type { Lane, LanePlan } from "./lane-plan.ts";
import { Unlooked } from "./left-out.ts";
import { advanceProgress, beginProgress, type LockedProgress, lockProgress } from "./progress.ts";
import { deadLetterOf, EXPIRED } from "./refused.ts";
import { type GivingUp, takeApart } from "./take-apart.ts";
import { weekOf } from "./weeks.ts";

export interface IngestOptions {
  /** Events older than this before their record's timestamp are dead letters. */
  readonly horizonDays: number;
  /** Set by who reads a gap again: what of it this batch settles. */
  readonly filling?: GapFilling;
  /** Set once the batch failed too often: what of it fails alone is given up. */
  readonly givingUp?: GivingUp | undefined;
}

export interface GapFilling {
  readonly gapId: number;
  /** Everything of the gap below this offset is settled by this batch. */
  readonly upTo: number;
  /** Offsets in it that Kafka no longer has, and that hold no record. */
  readonly lost: number;
  readonly empty: number;
}

/** What one batch added. */
export interface Ingested {
  readonly stored: number;
  readonly duplicates: number;
  readonly deadLetters: number;
  /** Records left out because their user was erased after them. */
  readonly erased: number;
  readonly lateEvents: number;
  /** Offsets skipped before this batch. */
  readonly gap: number;
}

const NOTHING: Ingested = {
  stored: 0,
  duplicates: 0,
  deadLetters: 0,
  erased: 0,
  lateEvents: 0,
  gap: 0,
};

/** Every retry has met another transaction that won; as many in a row mean something else is wrong. */
const MAX_ATTEMPTS = 12;

/** After a batch held events that were stored already, as many next ones take the careful way at once. */
const CAREFUL_BATCHES = 8;

const UNIQUE_VIOLATION = "23505";
const DEADLOCK = "40P01";
/** Of a row without a partition, too; then it names no constraint. */
const CHECK_VIOLATION = "23514";

/** Thrown inside a transaction that must be tried again the careful way. */
class NotInOrder extends Error {
  override readonly name = "NotInOrder";
}

/** Batches left to take the careful way, by partition: a hint, never relied on. */
const carefulBy = new WeakMap<Pool, Map<string, number>>();

export function ingestPartition(
  pool: Pool,
  batch: PartitionBatch,
  options: IngestOptions,
): Promise<Ingested> {
  const { givingUp } = options;
  if (givingUp === undefined) return takeWhole(pool, batch, options);
  return takeApart(batch, (part, setAside) => takeWhole(pool, part, options, setAside), givingUp);
}

async function takeWhole(
  pool: Pool,
  batch: PartitionBatch,
  options: IngestOptions,
  setAside?: Refusal,
): Promise<Ingested> {
  const { filling, givingUp } = options;
  const decoded = new DecodedBatch(batch, options.horizonDays, setAside);
  const hints = carefulBy.get(pool) ?? new Map<string, number>();
  carefulBy.set(pool, hints);
  const place = `${batch.partition} ${batch.topic}`;
  const isSpecial = filling !== undefined || givingUp !== undefined;
  let careful = isSpecial || (hints.get(place) ?? 0) > 0;
  if (careful) hints.set(place, Math.max(0, (hints.get(place) ?? 0) - 1));

  let cause: unknown;
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const known = await knownOf(pool);
    try {
      const ingested = await tryOnce(pool, decoded, known, careful, options);
      if (ingested !== undefined) return ingested;
      await beginProgress(pool, batch.topic, batch.partition, batch.firstOffset);
    } catch (error) {
      cause = error;
      const state = sqlState(error);
      const isPartitionGone = state === CHECK_VIOLATION && !namesConstraint(error);
      if (error instanceof Unprepared) await prepare(pool, decoded, known);
      else if (state === UNIQUE_VIOLATION) hints.set(place, CAREFUL_BATCHES);
      else if (isPartitionGone) forgetKnown(pool);
      else if (!(isForTheCarefulWay(error) || state === DEADLOCK)) throw error;
      careful ||= !(error instanceof Unprepared || isPartitionGone);
    }
  }
  throw bug(
    "ingest.attempts",
    `${batch.topic}-${batch.partition} from offset ${batch.firstOffset}: given up after ${MAX_ATTEMPTS} attempts`,
    { cause },
  );
}

const isForTheCarefulWay = (error: unknown): boolean =>
  error instanceof NotInOrder || error instanceof Overtaken || error instanceof Unlooked;

/** Partitions and types that the batch needs, made in transactions of their own. */
async function prepare(pool: Pool, batch: DecodedBatch, known: Known): Promise<void> {
  const { rows } = await pool.query<{ now: number; raw_from: number }>(
    "select clock_timestamp() as now, raw_from from clock",
  );
  const [clock] = rows;
  if (clock === undefined) throw bug("clock.missing", "table clock has no row");
  const weeks = new Set<number>();
  const types = new Set<string>();
  for (const { event } of batch.all(clock.now / 1000)) {
    if (event === null || event.timeMicros < clock.raw_from) continue;
    weeks.add(weekOf(event.timeMicros));
    types.add(event.type);
  }
  await known.make(pool, weeks, types);
}

/** Undefined when the partition has no progress row yet. */
function tryOnce(
  pool: Pool,
  batch: DecodedBatch,
  known: Known,
  careful: boolean,
  options: IngestOptions,
): Promise<Ingested | undefined> {
  const { topic, partition, firstOffset } = batch.batch;
  return inTransaction(pool, "read committed", async (client) => {
    const progress = await lockProgress(client, topic, partition);
    if (progress === undefined) return undefined;
    if (!careful && firstOffset < progress.next_offset) throw new NotInOrder();
    const taken = careful
      ? await takeCarefully(client, batch, progress, known)
      : await copyEvents(client, batch, progress, known);
    const ingested = await settle(client, batch, progress, taken, options.filling);
    for (const { decoded, refusal } of taken.refused) {
      if (refusal === batch.setAside) options.givingUp?.note(decoded.record.offset);
    }
    return ingested;
  });
}

async function takeCarefully(
  client: Client,
  batch: DecodedBatch,
  progress: LockedProgress,
  known: Known,
): Promise<Taken> {
  const { topic, partition } = batch.batch;
  const gaps = await listOpenGaps(client, topic, partition);
  return insertEvents(client, batch, progress, gaps, known);
}

/** Writes everything but the events themselves. */
async function settle(
  client: Client,
  batch: DecodedBatch,
  progress: LockedProgress,
  { plan, refused }: Taken,
  filling: GapFilling | undefined,
): Promise<Ingested> {
  const { topic, partition } = batch.batch;
  const letters = refused.map((it) => deadLetterOf(batch, it));
  const newIds = await recordDeadLetters(client, letters);
  refused.forEach(({ decoded, refusal }, index) => {
    if (!newIds.delete(letters[index]?.id ?? "")) return;
    const lane = plan.laneAt(decoded.record.offset);
    lane.fold.deadLetters += 1;
    // An event that has expired since it was stored says nothing of its position.
    if (refusal.code !== EXPIRED) plan.countNew(decoded.record.offset, lane);
  });
  plan.finish();
  if (!plan.hasNews && filling === undefined) return NOTHING;

  const { gapTo } = plan;
  if (gapTo !== undefined) {
    await openGap(client, topic, partition, progress.next_offset, gapTo, progress.watermark);
  }
  await settleGaps(client, plan, filling);
  const lanes = [plan.main, ...plan.filling].map(({ fold }) => fold);
  await appendBatches(client, topic, partition, progress.batches + 1, lanes);
  await appendOpenWindows(client, lanes);
  await advanceProgress(client, topic, partition, plan.nextOffset, lanes);
  return summary(lanes, gapTo === undefined ? 0 : gapTo - progress.next_offset);
}

async function settleGaps(
  client: Client,
  plan: LanePlan,
  filling: GapFilling | undefined,
): Promise<void> {
  const lanes = [...plan.filling];
  for (const lane of lanes) {
    if (lane.gap?.gap_id !== filling?.gapId) await fillOutOfTurn(client, lane);
  }
  if (filling === undefined) return;
  const lane = lanes.find(({ gap }) => gap?.gap_id === filling.gapId);
  await advanceGap(client, {
    gapId: filling.gapId,
    nextOffset: filling.upTo,
    lost: filling.lost,
    empty: filling.empty,
    watermarkMicros: lane?.fold.watermarkMicros ?? null,
  });
}

/** A late delivery filled part of a gap before the cron came to it. */
async function fillOutOfTurn(client: Client, lane: Lane): Promise<void> {
  const { gap, fold, firstOffset, lastOffset } = lane;
  if (gap === null) return;
  const upTo = lastOffset + 1;
  if (firstOffset > gap.next_offset) {
    fold.gapId = await splitGap(client, gap, firstOffset, upTo);
  }
  await advanceGap(client, {
    gapId: fold.gapId,
    nextOffset: upTo,
    lost: 0,
    empty: 0,
    watermarkMicros: fold.watermarkMicros,
  });
}

function summary(lanes: readonly LaneFold[], gap: number): Ingested {
  const total = { ...NOTHING, gap };
  return lanes.reduce(
    (sum, lane) => ({
      gap,
      stored: sum.stored + lane.events,
      duplicates: sum.duplicates + lane.duplicates,
      deadLetters: sum.deadLetters + lane.deadLetters,
      erased: sum.erased + lane.erased,
      lateEvents: sum.lateEvents + lane.late.slice(1).reduce((a, b) => a + b, 0),
    }),
    total,
  );
}
