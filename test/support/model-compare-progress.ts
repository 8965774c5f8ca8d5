/** Where partitions stand, what they counted, and what became of their gaps, against the logs. */
import type { World } from "./faults-world.ts";
import type { PartitionLog } from "./model-log.ts";
import type { Difference } from "./recompute.ts";

interface Progress {
  readonly next_offset: number;
  readonly events: number;
  readonly duplicates: number;
}

/** Each partition stands at its log's end, and every record of a steady log counted once. */
export async function comparePositions(world: World): Promise<Difference[]> {
  const found: Difference[] = [];
  for (const log of world.logs) {
    const key = `${log.topic}-${log.partition}`;
    const progress = await progressOf(world, log);
    const compare = (what: string, expected: unknown, actual: unknown): void => {
      if (expected !== actual) found.push({ what, key, expected, actual });
    };
    compare("next_offset", log.lastOffset + 1, progress?.next_offset);
    if (!isSteady(log) || progress === undefined) continue;
    const { least, most } = await countable(world, log);
    const counted = progress.events + progress.duplicates;
    const isWithin = counted >= least && counted <= most;
    if (!isWithin) compare("events and duplicates", `${least} to ${most}`, counted);
  }
  return found;
}

/**
 * One log from its beginning, and no record came after it had been counted as lost: such ones cannot
 * be told from a log that starts over, so offsets behind them are looked at twice.
 */
const isSteady = (log: PartitionLog): boolean => log.incarnation === 0 && !log.isBlurred;

async function progressOf({ stage }: World, log: PartitionLog): Promise<Progress | undefined> {
  const { rows } = await stage.owner.query<Progress & Record<string, unknown>>(
    `select next_offset, events, duplicates
     from stream_progress
     where topic = $1
       and partition = $2`,
    [log.topic, log.partition],
  );
  return rows[0];
}

/**
 * How many readable records a partition took in; not known exactly where retention took some, or the
 * database refused some for a while.
 */
async function countable(
  { stage }: World,
  log: PartitionLog,
): Promise<{ readonly least: number; readonly most: number }> {
  const poison = log.records.filter(({ isPoison, attempted }) => isPoison && attempted).length;
  const readable = log.records.filter(({ event, isPoison }) => event !== undefined && !isPoison);
  const kept = readable.filter(({ offset }) => offset >= log.begin);
  const sure = readable.filter((record) => record.offset < log.begin && record.acknowledged);
  const maybe = readable.filter(
    (record) => record.offset < log.begin && !record.acknowledged && record.attempted,
  );
  const { rows } = await stage.owner.query<{ stored: number }>(
    `select count(*) as stored
     from stream_events
     where topic = $1
       and partition = $2
       and record_offset = any ($3::bigint[])`,
    [log.topic, log.partition, maybe.map(({ offset }) => offset)],
  );
  const least = kept.length + sure.length + (rows[0]?.stored ?? 0);
  return { least, most: kept.length + sure.length + maybe.length + poison };
}

interface Gap {
  readonly gap_id: number;
  readonly topic: string;
  readonly partition: number;
  readonly from_offset: number;
  readonly to_offset: number;
  readonly lost: number;
  readonly empty: number;
}

/** What a closed gap says was lost and empty is what the log says of its offsets. */
export async function compareGaps({ logs, stage }: World): Promise<Difference[]> {
  const { rows } = await stage.owner.query<Gap & Record<string, unknown>>(
    `select gap_id, topic, partition, from_offset, to_offset, lost, empty
     from stream_gaps
     order by gap_id`,
  );
  const { rows: placed } = await stage.owner.query<{ place: string }>(
    `select topic || '-' || partition || '@' || record_offset as place from stream_events
     union all
     select topic || '-' || partition || '@' || record_offset from dead_letters`,
  );
  const stored = new Set(placed.map(({ place }) => place));
  return rows.flatMap((gap) => {
    const log = logs.find((it) => it.topic === gap.topic && it.partition === gap.partition);
    return log !== undefined && isSteady(log) ? compareGap(gap, log, stored) : [];
  });
}

function compareGap(gap: Gap, log: PartitionLog, stored: ReadonlySet<string>): Difference[] {
  const { from_offset: from, to_offset: to, lost, empty } = gap;
  const key = `${gap.topic}-${gap.partition} ${from}..${to}`;
  const records = log.records.filter(({ offset }) => offset >= from && offset < to);
  const holes = to - from - records.length;
  const trimmed = Math.max(0, Math.min(to, log.begin) - from);
  const isStored = (offset: number): boolean =>
    stored.has(`${gap.topic}-${gap.partition}@${offset}`);
  const surelyLost = records.filter(({ attempted }) => !attempted).length;
  const surelyTaken = records.filter(({ offset }) => isStored(offset)).length;
  const found: Difference[] = [];
  const compare = (what: string, actual: number, least: number, most: number): void => {
    if (actual < least || actual > most) {
      found.push({ what: `gap's ${what}`, key, expected: `${least} to ${most}`, actual });
    }
  };
  compare("lost offsets", lost, surelyLost, trimmed);
  compare("empty offsets", empty, 0, holes);
  compare("lost and empty offsets", lost + empty, surelyLost, to - from - surelyTaken);
  const wasFilledByCron = trimmed === 0 && !records.some(({ wasDelivered }) => wasDelivered);
  if (wasFilledByCron) compare("empty offsets", empty, holes, holes);
  return found;
}
