/** Stored events and dead letters against the logs: nothing missing, nothing made up, first content. */
import type { Event } from "@headrace/events";
import type { World } from "./faults-world.ts";
import type { LogRecord } from "./model-log.ts";
import type { Difference } from "./recompute.ts";

interface Stored {
  readonly identity: string;
  readonly place: string;
  readonly content: string;
}

export async function compareStored(world: World): Promise<Difference[]> {
  const records = world.logs.flatMap(({ all }) => all);
  const stored = [...(await storedEvents(world)), ...(await storedLetters(world))];
  return [
    ...comparePresence(world, records, stored),
    ...stored.flatMap((row) => compareContent(records, row)),
    ...(await compareOrder(world, records, stored)),
  ];
}

/**
 * What was said to be taken in, or can still be read, is there; what nobody handed over is not. What
 * the database refused for a while may be there as a dead letter instead.
 */
function comparePresence(
  { logs }: World,
  records: readonly LogRecord[],
  stored: readonly Stored[],
): Difference[] {
  const there = new Set(stored.map(({ identity }) => identity));
  const kept = new Set(logs.flatMap((log) => log.slice(log.begin, log.end)));
  const must = records.filter((record) => record.acknowledged || kept.has(record));
  const may = new Set(
    records.filter(({ attempted }) => attempted).flatMap((record) => identitiesOf(record)),
  );
  const missing = new Map(
    must
      .filter((record) => !identitiesOf(record).some((identity) => there.has(identity)))
      .map((record) => [record.identity, placeOf(record)]),
  );
  return [
    ...[...missing].map(([key, place]) => ({
      what: "missing",
      key,
      expected: `as in ${place}`,
      actual: "not stored",
    })),
    ...stored
      .filter(({ identity }) => !may.has(identity))
      .map(({ identity, place }) => ({
        what: "made up",
        key: identity,
        expected: "no such record",
        actual: place,
      })),
  ];
}

const identitiesOf = ({ identity, letterIdentity, isPoison }: LogRecord): string[] =>
  isPoison ? [identity, letterIdentity] : [identity];

/** A row is what the record says that lies where the row says that it came from. */
function compareContent(records: readonly LogRecord[], row: Stored): Difference[] {
  const sources = records.filter(
    (record) => identitiesOf(record).includes(row.identity) && placeOf(record) === row.place,
  );
  const contents = sources.map((record) =>
    record.event === undefined || row.identity === record.letterIdentity
      ? letterContent(record)
      : eventContent(record.event, record),
  );
  if (contents.includes(row.content)) return [];
  return [{ what: "content", key: row.identity, expected: contents, actual: row.content }];
}

/** Of records in one partition the first is stored, unless it was skipped, or refused, when its turn was. */
async function compareOrder(
  { logs, stage }: World,
  records: readonly LogRecord[],
  stored: readonly Stored[],
): Promise<Difference[]> {
  const { rows: gaps } = await stage.owner.query<{
    place: string;
    from_offset: number;
    to_offset: number;
  }>("select topic || '-' || partition as place, from_offset, to_offset from stream_gaps");
  const steady = logs.filter(({ incarnation }) => incarnation === 0);
  const inTurn = records.filter(
    (record) =>
      steady.some(({ topic, partition }) => isOf(record, topic, partition)) &&
      record.acknowledged &&
      !record.skipped &&
      !record.isPoison &&
      !gaps.some(
        (gap) =>
          gap.place === `${record.topic}-${record.partition}` &&
          record.offset >= gap.from_offset &&
          record.offset < gap.to_offset,
      ),
  );
  const first = new Map<string, LogRecord>();
  for (const record of inTurn) {
    const key = `${record.identity} ${record.topic}-${record.partition}`;
    const known = first.get(key);
    if (known === undefined || record.offset < known.offset) first.set(key, record);
  }
  return stored.flatMap(({ identity, place }) => {
    const [partition, offset] = place.split("@");
    const earlier = first.get(`${identity} ${partition}`);
    if (earlier === undefined || earlier.offset >= Number(offset)) return [];
    return [{ what: "first content", key: identity, expected: placeOf(earlier), actual: place }];
  });
}

const isOf = (record: LogRecord, topic: string, partition: number): boolean =>
  record.topic === topic && record.partition === partition;

const placeOf = ({ topic, partition, offset }: LogRecord): string =>
  `${topic}-${partition}@${offset}`;

async function storedEvents({ stage }: World): Promise<Stored[]> {
  const { rows } = await stage.owner.query<Record<string, unknown>>(
    `select
       event_id, micros(event_time) as time, event_type, user_id, session_id, value, amount_cents,
       duration, category, product_id, region, data, topic, partition, record_offset,
       micros(record_time) as record_time
     from stream_events`,
  );
  return rows.map((row) => ({
    identity: `event ${row.event_id} ${row.time}`,
    place: `${row.topic}-${row.partition}@${row.record_offset}`,
    content: JSON.stringify([
      row.event_type,
      row.user_id,
      row.session_id,
      row.value,
      row.amount_cents,
      row.duration,
      row.category,
      row.product_id,
      row.region,
      sorted(row.data),
      known(Number(row.record_time)),
    ]),
  }));
}

const eventContent = (event: Event, record: LogRecord): string =>
  JSON.stringify([
    event.type,
    event.userId,
    event.sessionId,
    event.value,
    event.amountCents,
    event.durationSeconds,
    event.category,
    event.productId,
    event.region,
    event.data === null ? null : sorted(JSON.parse(event.data)),
    known(record.timestampMillis * 1000),
  ]);

const YESTERDAY = (Date.now() - 86_400_000) * 1000;

/** A timestamp far ahead is the database's clock of that moment. */
const known = (recordMicros: number): number | "now" =>
  recordMicros > YESTERDAY ? "now" : recordMicros;

/** PostgreSQL keeps the members of an object in an order of its own. */
function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  );
}

async function storedLetters({ stage }: World): Promise<Stored[]> {
  const { rows } = await stage.owner.query<Record<string, unknown>>(
    `select dead_letter_id, topic, partition, record_offset,
       encode(bytes, 'base64') as bytes, encode(key, 'base64') as key
     from dead_letters`,
  );
  return rows.map((row) => ({
    identity: `dead ${row.dead_letter_id}`,
    place: `${row.topic}-${row.partition}@${row.record_offset}`,
    content: JSON.stringify([plainBase64(row.bytes), plainBase64(row.key)]),
  }));
}

const letterContent = ({ value, key }: LogRecord): string =>
  JSON.stringify([value?.toString("base64") ?? null, key?.toString("base64") ?? null]);

/** PostgreSQL breaks its lines. */
const plainBase64 = (text: unknown): string | null =>
  typeof text === "string" ? text.replaceAll("\n", "") : null;
