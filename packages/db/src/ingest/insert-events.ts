/**
 * The careful way in: finds out first which events are stored already, by their identity, and
 * inserts the others in the order of their ids. Takes redeliveries, events that were sent twice,
 * gaps that are being filled, topics that were made again, and what is given up: its new events
 * become dead letters.
 *
 * Lateness is written with the row, and only new events move the watermark; so what is new must be
 * known before the insert. Where another transaction stores one of them in between, the insert
 * takes in fewer rows than it should, and the caller starts over.
 */
import { deadLetterId, type Event } from "@headrace/events";
import { findGivenUp } from "../dead-letters.ts";
import type { Gap } from "../gaps.ts";
import { type Client, instantText, type Sql } from "../sql.ts";
import type { DecodedBatch, DecodedRecord } from "./batch.ts";
import { type Taken, Unprepared } from "./copy-events.ts";
import type { Known } from "./known.ts";
import { type Lane, LanePlan } from "./lane-plan.ts";
import { readLeftOut } from "./left-out.ts";
import type { LockedProgress } from "./progress.ts";
import { type Refused, refuseExpired } from "./refused.ts";
import { weekOf } from "./weeks.ts";

/** Another transaction stored one of the events at the same moment. */
export class Overtaken extends Error {
  override readonly name = "Overtaken";
}

interface Candidate {
  readonly decoded: DecodedRecord;
  readonly event: Event;
  readonly lane: Lane;
  readonly key: string;
  late: number;
}

export async function insertEvents(
  client: Client,
  batch: DecodedBatch,
  progress: LockedProgress,
  gaps: readonly Gap[],
  known: Known,
): Promise<Taken> {
  const plan = new LanePlan(progress, gaps);
  const refused: Refused[] = [];
  const candidates: Candidate[] = [];
  const records = batch.all(progress.now / 1000);
  const leftOut = await readLeftOut(client);
  await leftOut.look(client, records);
  for (const decoded of records) {
    const lane = plan.note(decoded.record.offset);
    if (leftOut.holds(decoded)) {
      plan.countErased(decoded.record.offset, lane);
      continue;
    }
    const event = refuseExpired(decoded, progress.raw_from, refused);
    if (event === null) continue;
    const isPrepared = known.weeks.has(weekOf(event.timeMicros)) && known.hasType(event.type);
    if (!isPrepared && batch.setAside === undefined) throw new Unprepared();
    candidates.push({ decoded, event, lane, key: keyOf(event.id, event.timeMicros), late: 0 });
  }

  plan.cover(batch.batch.goesOnAt);

  const seen = await findStored(client, candidates);
  const givenUp = await findGivenUpBefore(client, batch, plan, seen, candidates);
  const fresh: Candidate[] = [];
  for (const candidate of candidates) {
    const { decoded, lane } = candidate;
    if (seen.has(candidate.key)) {
      plan.countStored(decoded.record.offset, lane);
      continue;
    }
    const before = givenUp.get(candidate);
    if (before === "here") continue;
    if (batch.setAside !== undefined) {
      refused.push({ decoded, refusal: batch.setAside });
      continue;
    }
    seen.add(candidate.key);
    candidate.late = lane.fold.add(
      decoded,
      candidate.event,
      known.windowType(candidate.event.type),
    );
    if (before === undefined) plan.countNew(decoded.record.offset, lane);
    fresh.push(candidate);
  }
  await insertFresh(client, batch, fresh);
  return { plan, refused };
}

const keyOf = (id: string, timeMicros: number): string => `${id}${timeMicros}`;

/** Keys of the candidates that the table holds already. */
async function findStored(sql: Sql, candidates: readonly Candidate[]): Promise<Set<string>> {
  if (candidates.length === 0) return new Set();
  const times = candidates.map(({ event }) => event.timeMicros);
  const { rows } = await sql.query<{ event_id: string; event_time: number }>({
    name: "find-stored-events",
    // One probe of the primary key each: no plan reads a whole partition for it.
    text: `select given.event_id, given.event_time
           from unnest($1::uuid[], $2::timestamptz[]) as given (event_id, event_time)
           cross join lateral (
             select
             from stream_events
             where stream_events.event_id = given.event_id
               and stream_events.event_time = given.event_time
               and stream_events.event_time between $3 and $4
             limit 1
           ) as stored`,
    values: [
      candidates.map(({ event }) => event.id),
      candidates.map(({ event }) => event.timeText),
      instantText(times.reduce((a, b) => Math.min(a, b))),
      instantText(times.reduce((a, b) => Math.max(a, b))),
    ],
  });
  return new Set(rows.map((row) => keyOf(row.event_id, row.event_time)));
}

/**
 * Candidates that are not stored though their offset was passed, because their record was given up:
 * `here`, so that this is a redelivery, or `elsewhere`, so that this is the letter sent again. Neither
 * says that the log starts over.
 */
async function findGivenUpBefore(
  sql: Sql,
  batch: DecodedBatch,
  plan: LanePlan,
  seen: ReadonlySet<string>,
  candidates: readonly Candidate[],
): Promise<Map<Candidate, "here" | "elsewhere">> {
  const unseen = candidates.filter(
    ({ key, decoded, lane }) => !seen.has(key) && plan.isPassed(decoded.record.offset, lane),
  );
  const { topic, partition } = batch.batch;
  const idOf = ({ record }: DecodedRecord): string =>
    deadLetterId(batch.position(record), record.value);
  const letters = await findGivenUp(
    sql,
    unseen.map(({ decoded }) => idOf(decoded)),
  );
  const found = new Map<Candidate, "here" | "elsewhere">();
  for (const candidate of unseen) {
    const letter = letters.get(idOf(candidate.decoded));
    if (letter === undefined) continue;
    const { offset } = candidate.decoded.record;
    const isHere =
      letter.topic === topic && letter.partition === partition && letter.offset === offset;
    found.set(candidate, isHere ? "here" : "elsewhere");
  }
  return found;
}

/** In the order of their ids: two batches that hold the same events must not wait for each other. */
async function insertFresh(
  sql: Sql,
  batch: DecodedBatch,
  fresh: readonly Candidate[],
): Promise<void> {
  if (fresh.length === 0) return;
  const rows = fresh.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const column = (of: (event: Event) => unknown): unknown[] => rows.map(({ event }) => of(event));
  const { rowCount } = await sql.query({
    name: "insert-events",
    text: `insert into stream_events
             (event_id, event_time, event_type, user_id, session_id, value, amount_cents, duration,
              category, product_id, region, data, topic, partition, record_offset, record_time, late_class)
           select
             event_id, event_time, event_type, user_id, session_id, value, amount_cents, duration,
             category, product_id, region, data, $1, $2, record_offset, record_time, late_class
           from unnest(
             $3::uuid[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
             $8::double precision[], $9::bigint[], $10::double precision[],
             $11::text[], $12::text[], $13::text[], $14::jsonb[],
             $15::bigint[], $16::timestamptz[], $17::smallint[]
           ) as given
             (event_id, event_time, event_type, user_id, session_id, value, amount_cents, duration,
              category, product_id, region, data, record_offset, record_time, late_class)
           on conflict do nothing`,
    values: [
      batch.batch.topic,
      batch.batch.partition,
      column((event) => event.id),
      column((event) => event.timeText),
      column((event) => event.type),
      column((event) => event.userId),
      column((event) => event.sessionId),
      column((event) => event.value),
      column((event) => event.amountCents),
      column((event) => event.durationSeconds),
      column((event) => event.category),
      column((event) => event.productId),
      column((event) => event.region),
      column((event) => event.data),
      rows.map(({ decoded }) => decoded.record.offset),
      rows.map(({ decoded }) => instantText(decoded.recordMicros)),
      rows.map(({ late }) => late),
    ],
  });
  if (rowCount !== rows.length) throw new Overtaken();
}
