/**
 * Kafka's log in memory: partitions with offsets, holes where Kafka keeps transaction markers, a
 * begin that retention moves, and topics that are deleted and made again.
 *
 * It remembers of each record what became of it on its way, which is what the end of a history is
 * compared with.
 */
import {
  deadLetterId,
  decodeEvent,
  type Event,
  FIRST_POSITION_HEADER,
  isRefusal,
  type Position,
  parseFirstPosition,
} from "@headrace/events";
import type { LambdaKafkaRecord } from "./kafka.ts";
import { POISON } from "./poison.ts";

export const HORIZON_DAYS = 3650;

/** What a producer hands over. */
export interface Produced {
  readonly value: Buffer | null;
  readonly key: Buffer | null;
  readonly headers: readonly (readonly [name: string, value: Buffer])[];
  readonly timestampMillis: number;
  readonly timestampType: LambdaKafkaRecord["timestampType"];
}

export class LogRecord implements Produced {
  readonly topic: string;
  readonly partition: number;
  /** Counts how often the topic was made again before. */
  readonly incarnation: number;
  readonly offset: number;
  readonly value: Buffer | null;
  readonly key: Buffer | null;
  readonly headers: Produced["headers"];
  readonly timestampMillis: number;
  readonly timestampType: Produced["timestampType"];
  /** Handed to a function at least once: it may be stored. */
  attempted = false;
  /** Handed to a function that said that it took it in: it must be stored. */
  acknowledged = false;
  /** Not handed over in its turn: its batch was given up, or retention came first. */
  skipped = false;
  /** Handed to the ingest function; otherwise only the cron that fills gaps may have read it. */
  wasDelivered = false;
  #event: { readonly decoded: Event | undefined } | undefined;

  constructor(log: PartitionLog, offset: number, produced: Produced) {
    this.topic = log.topic;
    this.partition = log.partition;
    this.incarnation = log.incarnation;
    this.offset = offset;
    this.value = produced.value;
    this.key = produced.key;
    this.headers = produced.headers;
    this.timestampMillis = produced.timestampMillis;
    this.timestampType = produced.timestampType;
  }

  get position(): Position {
    const { topic, partition, offset, timestampMillis } = this;
    return { topic, partition, offset, timestampMillis };
  }

  /** Where it stood first, if it was sent again. */
  get firstPosition(): Position {
    const header = this.headers.find(([name]) => name === FIRST_POSITION_HEADER);
    return (header && parseFirstPosition(header[1].toString())) ?? this.position;
  }

  /** The event that it is; undefined for one that can never be read. */
  get event(): Event | undefined {
    this.#event ??= { decoded: this.#decode() };
    return this.#event.decoded;
  }

  #decode(): Event | undefined {
    // The database's clock takes the place of a timestamp that is far ahead of it.
    const timestampMillis = Math.min(this.timestampMillis, Date.now());
    const decoded = decodeEvent(
      this.value,
      { ...this.position, timestampMillis },
      { horizonDays: HORIZON_DAYS, firstPosition: this.firstPosition },
    );
    return isRefusal(decoded) ? undefined : decoded;
  }

  /** What it is stored under: `event <id> <time in µs>`, or `dead <id>`. */
  get identity(): string {
    const { event } = this;
    return event === undefined ? this.letterIdentity : `event ${event.id} ${event.timeMicros}`;
  }

  /** What it is stored under once it is set aside. */
  get letterIdentity(): string {
    return `dead ${deadLetterId(this.firstPosition, this.value)}`;
  }

  /** Whether the database may refuse it, so that it may be given up. */
  get isPoison(): boolean {
    return this.event?.userId === POISON;
  }

  /** As Lambda hands it over. */
  get lambdaRecord(): LambdaKafkaRecord {
    const { topic, partition, offset } = this;
    return {
      topic,
      partition,
      offset,
      timestamp: this.timestampMillis,
      timestampType: this.timestampType,
      ...(this.key === null ? {} : { key: this.key.toString("base64") }),
      // Both shapes of a tombstone occur.
      ...(this.value === null && offset % 2 === 0
        ? {}
        : { value: this.value?.toString("base64") ?? null }),
      headers: this.headers.map(([name, value]) => ({ [name]: [...new Int8Array(value)] })),
    };
  }
}

export class PartitionLog {
  readonly topic: string;
  readonly partition: number;
  incarnation = 0;
  records: LogRecord[] = [];
  /** Offsets below are deleted. */
  begin = 0;
  /** One past the last offset, a hole included. */
  end = 0;
  /** Where the consumer goes on. */
  next = 0;
  /** Records came that Kafka no longer had, so that they may have been counted as lost before. */
  isBlurred = false;
  /** Records of logs that are gone. */
  readonly gone: LogRecord[] = [];

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  append(produced: Produced): LogRecord {
    const record = new LogRecord(this, this.end, produced);
    this.records.push(record);
    this.end += 1;
    return record;
  }

  /** Offsets that hold no record. */
  appendHole(offsets: number): void {
    this.end += offsets;
  }

  /** Retention: the log begins there from now on. */
  trim(begin: number): void {
    this.begin = Math.max(this.begin, Math.min(begin, this.end));
    for (const record of this.records) {
      if (record.offset >= this.next && record.offset < this.begin) record.skipped = true;
    }
    this.next = Math.max(this.next, this.begin);
  }

  /** The topic is deleted and made again. */
  recreate(): void {
    this.gone.push(...this.records);
    this.incarnation += 1;
    this.records = [];
    this.begin = 0;
    this.end = 0;
    this.next = 0;
  }

  /** Kept records in [from, to). */
  slice(from: number, to: number): LogRecord[] {
    return this.records.filter(
      ({ offset }) => offset >= from && offset < to && offset >= this.begin,
    );
  }

  /** The next `count` records that the consumer has not been given. */
  upcoming(count: number): LogRecord[] {
    return this.slice(this.next, this.end).slice(0, count);
  }

  /** Where a partition stands whose every record was taken in. */
  get lastOffset(): number {
    return this.records.at(-1)?.offset ?? -1;
  }

  get all(): readonly LogRecord[] {
    return [...this.gone, ...this.records];
  }
}
