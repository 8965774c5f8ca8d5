/**
 * The fast way in: every record lies at a new position and is taken for new, and its rows are
 * streamed into the table while the next are decoded. A client that sent an event twice, or two
 * partitions that hold the same events, make PostgreSQL refuse the COPY; the caller then takes the
 * other way (insert-events.ts).
 */
import type { Event } from "@headrace/events";
import { type Client, instantText } from "../sql.ts";
import type { DecodedBatch, DecodedRecord } from "./batch.ts";
import { copyIn } from "./copy-in.ts";
import type { Known } from "./known.ts";
import { LanePlan } from "./lane-plan.ts";
import { readLeftOut, Unlooked } from "./left-out.ts";
import type { LockedProgress } from "./progress.ts";
import { type Refused, refuseExpired } from "./refused.ts";
import { weekOf } from "./weeks.ts";

/** Fewer records a piece cost turns of the event loop, more leave PostgreSQL waiting. */
const PIECE = 400;

const COPY = `copy stream_events
  (event_id, event_time, event_type, user_id, session_id, value, amount_cents, duration,
   category, product_id, region, data, topic, partition, record_offset, record_time, late_class)
  from stdin`;

/** Rows need a partition or a type that is not there yet. */
export class Unprepared extends Error {
  override readonly name = "Unprepared";
}

/** What a batch's events came to. */
export interface Taken {
  readonly plan: LanePlan;
  readonly refused: readonly Refused[];
}

/** Throws `Unprepared`, `Unlooked`, or PostgreSQL's error; the transaction must then be rolled back. */
export async function copyEvents(
  client: Client,
  batch: DecodedBatch,
  progress: LockedProgress,
  known: Known,
): Promise<Taken> {
  const { topic, partition, firstOffset, lastOffset } = batch.batch;
  const plan = new LanePlan(progress, []);
  plan.note(firstOffset);
  plan.note(lastOffset);
  const { fold } = plan.main;
  const refused: Refused[] = [];
  const rowEnd = new RowEnd(topic, partition);
  const databaseMillis = progress.now / 1000;
  const leftOut = await readLeftOut(client);
  // Old records come in runs: where the first ones are, all are decoded before the stream begins.
  const isOld = leftOut.concerns(batch.slice(0, PIECE, databaseMillis));
  if (isOld) await leftOut.look(client, batch.all(databaseMillis));
  const copy = copyIn(client, COPY);
  for (let from = 0; ; from += PIECE) {
    const piece = batch.slice(from, from + PIECE, databaseMillis);
    let lines = "";
    if (!isOld && leftOut.concerns(piece)) {
      await copy.abort();
      throw new Unlooked();
    }
    for (const decoded of piece) {
      if (isOld && leftOut.holds(decoded)) {
        fold.erased += 1;
        continue;
      }
      const event = refuseExpired(decoded, progress.raw_from, refused);
      if (event === null) continue;
      if (!known.weeks.has(weekOf(event.timeMicros)) || !known.hasType(event.type)) {
        await copy.abort();
        throw new Unprepared();
      }
      const late = fold.add(decoded, event, known.windowType(event.type));
      lines += rowOf(event) + rowEnd.of(decoded, late);
    }
    if (lines !== "") await copy.write(lines);
    if (piece.length < PIECE) break;
  }
  await copy.end();
  return { plan, refused };
}

function rowOf(event: Event): string {
  return `${event.id}\t${event.timeText}\t${event.type}\t${escaped(event.userId)}\t${field(event.sessionId)}\t${event.value ?? "\\N"}\t${event.amountCents ?? "\\N"}\t${event.durationSeconds ?? "\\N"}\t${field(event.category)}\t${field(event.productId)}\t${field(event.region)}\t${field(event.data)}\t`;
}

/** The columns that say where an event stood; a whole piece often shares its record time. */
class RowEnd {
  readonly #place: string;
  #micros = Number.NaN;
  #recordTime = "";

  constructor(topic: string, partition: number) {
    this.#place = `${escaped(topic)}\t${partition}\t`;
  }

  of(decoded: DecodedRecord, late: number): string {
    if (decoded.recordMicros !== this.#micros) {
      this.#micros = decoded.recordMicros;
      this.#recordTime = instantText(decoded.recordMicros);
    }
    return `${this.#place}${decoded.record.offset}\t${this.#recordTime}\t${late}\n`;
  }
}

const SPECIAL = /[\\\t\n\r]/;
const SPECIALS = /[\\\t\n\r]/g;
const ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  "\t": "\\t",
  "\n": "\\n",
  "\r": "\\r",
};

const escaped = (text: string): string =>
  SPECIAL.test(text) ? text.replace(SPECIALS, (character) => ESCAPES[character] ?? "") : text;

const field = (text: string | null): string => (text === null ? "\\N" : escaped(text));
