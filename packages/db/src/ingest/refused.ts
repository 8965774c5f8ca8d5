/** Records that can never be read, on their way to `dead_letters`. */
import { deadLetterId, type Event, type Refusal } from "@headrace/events";
import type { NewDeadLetter } from "../dead-letters.ts";
import { instantText } from "../sql.ts";
import type { DecodedBatch, DecodedRecord } from "./batch.ts";

export interface Refused {
  readonly decoded: DecodedRecord;
  readonly refusal: Refusal;
}

/** The record's event, or null after it was added to `refused`. `rawFrom` in µs. */
export function refuseExpired(
  decoded: DecodedRecord,
  rawFrom: number,
  refused: Refused[],
): Event | null {
  const { event, refusal } = decoded;
  if (event === null) {
    if (refusal !== null) refused.push({ decoded, refusal });
    return null;
  }
  if (event.timeMicros >= rawFrom) return event;
  const message = `the event is older than ${instantText(rawFrom)}, from where raw events are kept`;
  refused.push({ decoded, refusal: { code: EXPIRED, path: "/event_time", message } });
  return null;
}

export const EXPIRED = "event.expired";

export function deadLetterOf(batch: DecodedBatch, { decoded, refusal }: Refused): NewDeadLetter {
  const { record, recordMicros } = decoded;
  const { topic, partition } = batch.batch;
  return {
    id: deadLetterId(batch.position(record), record.value),
    topic,
    partition,
    offset: record.offset,
    recordMicros,
    refusal,
    key: record.key,
    bytes: record.value,
  };
}
