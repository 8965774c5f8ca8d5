/**
 * Table `stream_gaps`: offsets that were skipped when a batch began above the partition's next one.
 * A cron reads them again from Kafka (`fill-gaps`); a late delivery may fill some by itself.
 */
import { type Lease, requireLease } from "./leases.ts";
import { instantText, inTransaction, type Pool, type Sql } from "./sql.ts";

/** An open gap: offsets from `next_offset` up to, not with, `to_offset` are missing. */
export interface Gap {
  readonly gap_id: number;
  readonly topic: string;
  readonly partition: number;
  readonly from_offset: number;
  readonly to_offset: number;
  readonly next_offset: number;
  /** µs */
  readonly watermark: number | null;
}

const COLUMNS = "gap_id, topic, partition, from_offset, to_offset, next_offset, watermark";

const text = (micros: number | null): string | null =>
  micros === null ? null : instantText(micros);

/**
 * Offsets that are missing already stay in the gap they have: where a topic was made again, what came
 * late from its old log may have opened one that the new log's numbers meet too.
 */
export async function openGap(
  sql: Sql,
  topic: string,
  partition: number,
  fromOffset: number,
  toOffset: number,
  watermarkMicros: number | null,
): Promise<void> {
  await sql.query(
    `insert into stream_gaps (topic, partition, from_offset, to_offset, next_offset, first_watermark, watermark)
     select $1, $2, lower(missing), upper(missing), lower(missing), $5, $5
     from unnest(int8multirange(int8range($3, $4)) - (
       select coalesce(range_agg(int8range(next_offset, to_offset)), '{}')
       from stream_gaps
       where topic = $1
         and partition = $2
         and closed_at is null
     )) as missing`,
    [topic, partition, fromOffset, toOffset, text(watermarkMicros)],
  );
}

/** Open gaps of one partition, or of all; the oldest first. */
export async function listOpenGaps(
  sql: Sql,
  topic: string | null = null,
  partition: number | null = null,
): Promise<Gap[]> {
  const { rows } = await sql.query<Gap & Record<string, unknown>>(
    `select ${COLUMNS}
     from stream_gaps
     where closed_at is null
       and ($1::text is null or topic = $1)
       and ($2::integer is null or partition = $2)
     order by gap_id`,
    [topic, partition],
  );
  return rows;
}

/** What is known now of offsets that were missing. */
export interface GapAdvance {
  readonly gapId: number;
  /** Everything below is settled. */
  readonly nextOffset: number;
  /** Offsets among them that Kafka no longer had, and that hold no record. */
  readonly lost: number;
  readonly empty: number;
  readonly watermarkMicros: number | null;
}

/** Does nothing where as much, or more, is settled already. */
export async function advanceGap(sql: Sql, advance: GapAdvance): Promise<void> {
  await sql.query(
    `update stream_gaps
     set next_offset = least($2, to_offset),
         lost        = lost + $3,
         empty       = empty + $4,
         watermark   = greatest(watermark, $5::timestamptz),
         closed_at   = case when $2 >= to_offset then clock_timestamp() end
     where gap_id = $1
       and closed_at is null
       and next_offset < $2`,
    [advance.gapId, advance.nextOffset, advance.lost, advance.empty, text(advance.watermarkMicros)],
  );
}

/**
 * Settles offsets up to, not with, `upTo` that bring no record: Kafka no longer has them (`lost`),
 * or they never held one (`empty`). Counts those that were still open, and returns how many.
 */
export function settleWithoutRecords(
  pool: Pool,
  lease: Lease,
  gap: Gap,
  kind: "lost" | "empty",
  upTo: number,
): Promise<number> {
  return inTransaction(pool, "read committed", async (client) => {
    await requireLease(client, lease);
    // The lock that a batch of this partition takes: a gap is never filled and settled at once.
    await client.query(
      "select from stream_progress where topic = $1 and partition = $2 for update",
      [gap.topic, gap.partition],
    );
    // A late delivery may have filled, or split, the gap since it was listed.
    const { rows } = await client.query<{ settled: number }>(
      `update stream_gaps
       set next_offset = least($2, stream_gaps.to_offset),
           lost        = lost + case when $3 = 'lost' then settled else 0 end,
           empty       = empty + case when $3 = 'empty' then settled else 0 end,
           closed_at   = case when $2 >= stream_gaps.to_offset then clock_timestamp() end
       from (
         select
           gap_id,
           least($2, to_offset) - next_offset as settled
         from stream_gaps
         where gap_id = $1
       ) as open
       where stream_gaps.gap_id = open.gap_id
         and closed_at is null
         and settled > 0
       returning settled`,
      [gap.gap_id, upTo, kind],
    );
    return rows[0]?.settled ?? 0;
  });
}

/**
 * Splits a gap around [fromOffset, toOffset), which was filled out of turn, and returns the id of
 * the middle part: what lies before and behind stays open.
 */
export async function splitGap(
  sql: Sql,
  gap: Gap,
  fromOffset: number,
  toOffset: number,
): Promise<number> {
  await sql.query("update stream_gaps set to_offset = $2 where gap_id = $1", [
    gap.gap_id,
    fromOffset,
  ]);
  if (toOffset < gap.to_offset) {
    await openGap(sql, gap.topic, gap.partition, toOffset, gap.to_offset, gap.watermark);
  }
  const { rows } = await sql.query<{ gap_id: number }>(
    `insert into stream_gaps (topic, partition, from_offset, to_offset, next_offset, first_watermark, watermark)
     values ($1, $2, $3, $4, $3, $5, $5)
     returning gap_id`,
    [gap.topic, gap.partition, fromOffset, toOffset, text(gap.watermark)],
  );
  return rows[0]?.gap_id ?? 0;
}
