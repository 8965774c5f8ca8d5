/**
 * Sends records in batches, several under way at once, and keeps count. A partition's records stay in
 * the order in which they were added.
 */
import type { OutgoingRecord, Producer } from "@headrace/kafka";

/** A batch is full at either. */
const BATCH_RECORDS = 1_000;
const BATCH_BYTES = 512 * 1024;
/** More would only wait in memory: Kafka takes one request of each partition at a time. */
const BATCHES_UNDER_WAY = 8;

export class Sender {
  readonly #producer: Pick<Producer, "send">;
  readonly #topic: string;
  #batch: OutgoingRecord[] = [];
  #batchBytes = 0;
  readonly #underWay: Promise<void>[] = [];
  readonly #lastOffsets = new Map<number, number>();
  #sent = 0;
  #isFirst = true;

  constructor(producer: Pick<Producer, "send">, topic: string) {
    this.#producer = producer;
    this.#topic = topic;
  }

  /** Records that Kafka has acknowledged. */
  get sent(): number {
    return this.#sent;
  }

  /** By partition, the greatest offset that a record of ours has got. */
  get lastOffsets(): ReadonlyMap<number, number> {
    return this.#lastOffsets;
  }

  /** Whether the batch is full now, and to be sent before another record is added. */
  add(key: string, value: Buffer): boolean {
    this.#batch.push({ topic: this.#topic, key, value });
    this.#batchBytes += value.length;
    return this.#batch.length >= BATCH_RECORDS || this.#batchBytes >= BATCH_BYTES;
  }

  /** Sends what was added; waits while too much is under way. Throws what an earlier send failed with. */
  async send(): Promise<void> {
    const batch = this.#batch;
    if (batch.length === 0) return;
    this.#batch = [];
    this.#batchBytes = 0;
    const sending = this.#store(batch);
    sending.catch(() => undefined); // seen by whoever awaits it below
    this.#underWay.push(sending);
    // The first finds the topic and its partitions; later ones must not overtake it.
    const most = this.#isFirst ? 0 : BATCHES_UNDER_WAY;
    this.#isFirst = false;
    while (this.#underWay.length > most) await this.#underWay.shift();
  }

  /** Returns once nothing is under way; throws the first failure. What was only added stays unsent. */
  async settle(): Promise<void> {
    const outcomes = await Promise.allSettled(this.#underWay.splice(0));
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  async #store(batch: readonly OutgoingRecord[]): Promise<void> {
    for (const { partition, offset } of await this.#producer.send(batch)) {
      const last = this.#lastOffsets.get(partition) ?? -1;
      if (offset > last) this.#lastOffsets.set(partition, offset);
    }
    this.#sent += batch.length;
  }
}
