/** Records that fail alone are left out of a batch, and nothing else of it differs. */
import { type IncomingRecord, ingestPartition } from "@headrace/db";
import { afterEach, expect, test } from "vitest";
import { testDatabase } from "../support/database.ts";
import { Random } from "../support/faults-random.ts";
import { HORIZON_DAYS, type LogRecord, PartitionLog } from "../support/model-log.ts";
import { RecordMaker } from "../support/model-records.ts";
import { plantPoison, removePoison } from "../support/poison.ts";
import { differences } from "../support/recompute.ts";
import { event, rowsOf, testPool } from "./take-in.ts";

const db = await testDatabase();
const worker = testPool(db.workerUrl);
await db.pool.query(
  "update settings set state_retention = null, window_10s_retention = null, window_1m_retention = null",
);
afterEach(() => removePoison(db.pool));

const empty = () =>
  db.pool.query(
    `truncate stream_events, stream_batches, stream_progress, stream_gaps, dead_letters, open_windows,
       realtime_aggregates`,
  );

/** Of one random log: what comes first, and a batch with events that the database refuses. */
function logOf(seed: number): readonly [first: LogRecord[], batch: LogRecord[]] {
  const random = Random.of(seed, 1);
  const maker = new RecordMaker(Random.of(seed, 2), {
    repeated: random.pick([0, 0.1, 0.4]),
    broken: random.pick([0, 0.1]),
    belated: 0.2,
    timestampType: "LOG_APPEND_TIME",
    rareTypes: [],
    dataBytes: 0,
    poison: random.pick([0.02, 0.1, 0.5, 0.9]),
  });
  const log = new PartitionLog("t", 0);
  const append = (count: number): LogRecord[] =>
    Array.from({ length: count }, () => {
      if (random.chance(0.1)) log.appendHole(random.whole(1, 3));
      return log.append(maker.next(log.all));
    });
  const first = append(random.whole(1, 30)).filter(({ isPoison }) => !isPoison);
  const sound = (): LogRecord =>
    log.append({ ...maker.news(), value: Buffer.from(JSON.stringify(event())) });
  // Without them a batch that lacks its first or last records would begin or end elsewhere.
  const batch = [sound(), ...append(random.whole(1, random.pick([5, 60, 200]))), sound()];
  return [first, batch];
}

/** The offsets that were given up. */
async function take(records: readonly LogRecord[], givesUp: boolean): Promise<Set<number>> {
  const [first, last] = [records[0], records.at(-1)];
  const givenUp = new Set<number>();
  if (first === undefined || last === undefined) return givenUp;
  await ingestPartition(
    worker,
    {
      topic: "t",
      partition: 0,
      firstOffset: first.offset,
      lastOffset: last.offset,
      records: records.map(
        ({ offset, timestampMillis, timestampType, key, value, headers, firstPosition }) =>
          ({
            offset,
            timestampMillis,
            timestampType,
            key,
            value,
            ...(headers.some(([name]) => name !== "trace") ? { firstPosition } : {}),
          }) satisfies IncomingRecord,
      ),
    },
    {
      horizonDays: HORIZON_DAYS,
      givingUp: givesUp
        ? { isOfRecords: () => true, note: (offset) => givenUp.add(offset) }
        : undefined,
    },
  );
  return givenUp;
}

/** All that is kept, but for what was given up. */
async function kept(): Promise<Record<string, unknown>> {
  return {
    events: await rowsOf(
      db.pool,
      "select to_jsonb(e) - 'tx' as event from stream_events e order by record_offset",
    ),
    letters: await rowsOf(
      db.pool,
      "select record_offset, code from dead_letters where code <> 'batch.gave_up' order by 1",
    ),
    progress: await rowsOf(
      db.pool,
      `select next_offset, watermark, events, duplicates, late_1m, late_1h, late_1d, late_older,
         dead_letters - (select count(*) from dead_letters where code = 'batch.gave_up') as dead_letters
       from stream_progress`,
    ),
    gaps: await rowsOf(db.pool, "select from stream_gaps"),
  };
}

const givenUpIds = async (): Promise<unknown[]> =>
  (
    await rowsOf(
      db.pool,
      "select 'dead ' || dead_letter_id as id from dead_letters where code = 'batch.gave_up'",
    )
  ).map(({ id }) => id);

test("a batch without the records that fail alone is taken in as if it had never held them", async () => {
  let total = 0;
  for (let seed = 1; seed <= 40; seed += 1) {
    const [first, batch] = logOf(seed);
    await empty();
    await take(first, false);
    await plantPoison(db.pool);
    const givenUp = await take(batch, true);
    const actual = await kept();
    const refused = batch.filter(({ offset }) => givenUp.has(offset));
    expect(refused.every(({ isPoison }) => isPoison)).toBe(true);
    // A letter that was sent again, and failed again, is still the same.
    expect(new Set(await givenUpIds())).toEqual(
      new Set(refused.map(({ letterIdentity }) => letterIdentity)),
    );
    expect(await differences(db.pool)).toEqual([]);

    await removePoison(db.pool);
    await empty();
    await take(first, false);
    await take(
      batch.filter(({ offset }) => !givenUp.has(offset)),
      false,
    );
    expect({ seed, ...actual }).toEqual({ seed, ...(await kept()) });
    total += givenUp.size;
  }
  expect(total).toBeGreaterThan(300);
}, 60_000);
