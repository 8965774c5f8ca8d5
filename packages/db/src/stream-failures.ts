/**
 * Table `stream_failures`: how often in a row the batch of a partition failed, told by its first
 * offset. One row for each partition at most, written in a transaction of its own.
 */
import type { Sql } from "./sql.ts";

/** Where a batch begins. */
export interface BatchPlace {
  readonly topic: string;
  readonly partition: number;
  readonly firstOffset: number;
}

/** 0 where the partition's last failure was that of another batch, or there is none. */
export async function failuresAt(sql: Sql, place: BatchPlace): Promise<number> {
  const { rows } = await sql.query<{ failures: number }>(
    `select failures
     from stream_failures
     where topic = $1
       and partition = $2
       and first_offset = $3`,
    [place.topic, place.partition, place.firstOffset],
  );
  return rows[0]?.failures ?? 0;
}

/** Takes the place of what was counted for a batch that began elsewhere. */
export async function countFailure(sql: Sql, place: BatchPlace, code: string): Promise<void> {
  await sql.query(
    `insert into stream_failures as kept (topic, partition, first_offset, failures, code)
     values ($1, $2, $3, 1, $4)
     on conflict (topic, partition) do update set
       first_offset = excluded.first_offset,
       failures     = case when kept.first_offset = excluded.first_offset then kept.failures + 1 else 1 end,
       code         = excluded.code,
       failed_at    = excluded.failed_at`,
    [place.topic, place.partition, place.firstOffset, code],
  );
}

export async function forgetFailures(sql: Sql, place: BatchPlace): Promise<void> {
  await sql.query(
    `delete from stream_failures
     where topic = $1
       and partition = $2
       and first_offset = $3`,
    [place.topic, place.partition, place.firstOffset],
  );
}
