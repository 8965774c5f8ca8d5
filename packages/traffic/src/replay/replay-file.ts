/**
 * Sends the events of a file to Kafka: in the file's order, keyed by user id, as fast as Kafka takes
 * them or at a multiple of the pace at which they happened. A line that makes no event is counted and
 * told, and never ends the replay.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Producer } from "@headrace/kafka";
import { type Clock, invalid } from "@headrace/kernel";
import { ColumnMap, type MapChoices } from "./column-map.ts";
import { type EventRecord, EventRecords, type RecordOptions } from "./event-records.ts";
import type { InputFile } from "./input-file.ts";
import { readRows } from "./read-rows.ts";
import { type BadLine, isBad, type Row } from "./rows.ts";
import { Sender } from "./sender.ts";

export interface ReplayOptions {
  readonly file: InputFile;
  readonly map: MapChoices;
  readonly producer: Pick<Producer, "send">;
  readonly topic: string;
  /** How many times as fast as it happened, above 0; "max" as fast as Kafka takes it. */
  readonly speed: number | "max";
  /** Moves event times so that the newest is now, and makes new ids. */
  readonly shiftToNow: boolean;
  readonly clock: Clock;
  /** Ends the replay early; what was sent by then is in the totals. */
  readonly signal?: AbortSignal;
  /** Called for each piece of the file (some thousand lines), before each pause and after a failure. */
  readonly onProgress?: (totals: ReplayTotals) => void;
  /** Called once, before anything is sent, with the columns of the file. */
  readonly onColumns?: (map: ColumnMap, columns: readonly string[]) => void;
}

export interface ReplayTotals {
  /** Bytes of the file's content that were read. */
  readonly bytes: number;
  /** Records that Kafka has acknowledged. */
  readonly sent: number;
  readonly badLines: number;
  /** The first 20. */
  readonly firstBadLines: readonly BadLine[];
  /** By partition, the greatest offset of this run's records. */
  readonly lastOffsets: ReadonlyMap<number, number>;
}

const BAD_LINES_TOLD = 20;

/**
 * Throws `AppError`: what is wrong with the file as a whole or with the map (`replay.*`) before
 * anything is sent; what Kafka fails with (`kafka.*`) whenever it does.
 */
export async function replayFile(options: ReplayOptions): Promise<ReplayTotals> {
  const map = new ColumnMap(options.map);
  const recordOptions = await chooseRecords(options, map);
  const run = new Replay(options, new EventRecords(recordOptions));
  try {
    let isChecked = false;
    for await (const { items, columns, bytes } of readRows(options.file)) {
      // Of NDJSON the first piece tells the columns, and a member may come later than a header does.
      if (!isChecked && columns.length > 0) {
        map.check(columns);
        options.onColumns?.(map, columns);
        isChecked = true;
      }
      for (const item of items) {
        if (options.signal?.aborted) return await run.end();
        const pause = run.take(item);
        if (pause !== undefined) await pause;
      }
      run.reached(bytes);
    }
    return await run.end();
  } catch (error) {
    await run.giveUp();
    throw error;
  }
}

async function chooseRecords(options: ReplayOptions, map: ColumnMap): Promise<RecordOptions> {
  const { clock, file, shiftToNow } = options;
  const { isUtf8 } = file;
  const nowMillis = () => clock.now();
  const kept = {
    map,
    isUtf8,
    nowMillis,
    shiftMicros: 0,
    newIds: false,
    idSource: file.contentHash,
  };
  if (!shiftToNow) return kept;
  const newest = await newestMicros(file, { ...kept, nowMillis: undefined });
  const shiftMicros = newest === undefined ? 0 : clock.now() * 1000 - newest;
  return { ...kept, shiftMicros, newIds: true, idSource: randomUUID() };
}

/** The greatest event time of the file; undefined where no line makes an event. */
async function newestMicros(file: InputFile, options: RecordOptions): Promise<number | undefined> {
  const records = new EventRecords(options);
  let newest: number | undefined;
  for await (const { items } of readRows(file)) {
    for (const item of items) {
      const record = isBad(item) ? "" : records.of(item);
      if (typeof record !== "string")
        newest = Math.max(newest ?? record.timeMicros, record.timeMicros);
    }
  }
  return newest;
}

class Replay {
  readonly #records: EventRecords;
  readonly #options: ReplayOptions;
  readonly #sender: Sender;
  readonly #pace: Pace | undefined;
  readonly #firstBadLines: BadLine[] = [];
  #badLines = 0;
  #bytes = 0;

  constructor(options: ReplayOptions, records: EventRecords) {
    this.#records = records;
    this.#options = options;
    this.#sender = new Sender(options.producer, options.topic);
    this.#pace = options.speed === "max" ? undefined : new Pace(options.speed);
  }

  /** A promise where the next line has to wait: making one for each line would cost as much as the line. */
  take(item: Row | BadLine): Promise<void> | undefined {
    if (isBad(item)) return this.#refuse(item);
    const record = this.#records.of(item);
    if (typeof record === "string") return this.#refuse({ line: item.line, reason: record });
    const waitMs = this.#pace?.waitMs(record.timeMicros) ?? 0;
    if (waitMs > 0) return this.#sendAfter(waitMs, record);
    return this.#sender.add(record.key, record.value) ? this.#sender.send() : undefined;
  }

  #refuse(line: BadLine): undefined {
    this.#badLines++;
    if (this.#firstBadLines.length < BAD_LINES_TOLD) this.#firstBadLines.push(line);
  }

  async #sendAfter(waitMs: number, { key, value }: EventRecord): Promise<void> {
    await this.#sender.send();
    this.#options.onProgress?.(this.totals());
    await this.#wait(waitMs);
    if (!this.#options.signal?.aborted && this.#sender.add(key, value)) await this.#sender.send();
  }

  reached(bytes: number): void {
    this.#bytes = bytes;
    this.#options.onProgress?.(this.totals());
  }

  async end(): Promise<ReplayTotals> {
    await this.#sender.send();
    await this.#sender.settle();
    return this.totals();
  }

  /** After a failure: waits for what is under way, whose failures add nothing to the first. */
  async giveUp(): Promise<void> {
    await this.#sender.settle().catch(() => undefined);
    this.#options.onProgress?.(this.totals());
  }

  totals(): ReplayTotals {
    return {
      bytes: this.#bytes,
      sent: this.#sender.sent,
      badLines: this.#badLines,
      firstBadLines: this.#firstBadLines,
      lastOffsets: this.#sender.lastOffsets,
    };
  }

  async #wait(waitMs: number): Promise<void> {
    const { signal } = this.#options;
    try {
      for (let left = waitMs; left > 0; left -= LONGEST_SLEEP_MS)
        await sleep(Math.min(left, LONGEST_SLEEP_MS), undefined, signal ? { signal } : {});
    } catch (error) {
      if (!signal?.aborted) throw error;
    }
  }
}

/** Timers hold 31 bits of milliseconds: 24 days, and files have gaps of years. */
const LONGEST_SLEEP_MS = 86_400_000;

/** When an event is due: the first at once, the others as far behind it as they happened after it. */
class Pace {
  readonly #speed: number;
  #first: { readonly timeMicros: number; readonly atMs: number } | undefined;

  constructor(speed: number) {
    if (!(speed > 0 && speed < Number.POSITIVE_INFINITY))
      throw invalid("replay.speed", `the speed must be a number above 0 or max, not ${speed}`);
    this.#speed = speed;
  }

  /** Not above 0 where it is due; also for one that happened before an earlier one of the file. */
  waitMs(timeMicros: number): number {
    const now = performance.now();
    this.#first ??= { timeMicros, atMs: now };
    const { timeMicros: firstMicros, atMs } = this.#first;
    return atMs + (timeMicros - firstMicros) / 1000 / this.#speed - now;
  }
}
