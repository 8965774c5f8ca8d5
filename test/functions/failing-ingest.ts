/**
 * `ingestHarness` where deliveries fail: records that the database refuses, an event source mapping
 * without provisioned pollers (`KAFKA_FAILURES=throw`), and what was counted, given up and told.
 */
import { createLogger, useLogger, useMetricSink } from "@headrace/handler";
import type { LogFields } from "@headrace/kernel";
import { afterAll, afterEach, beforeEach, expect } from "vitest";
import type { LambdaKafkaEvent } from "../support/kafka.ts";
import { POISON, removePoison } from "../support/poison.ts";
import { ingestHarness, NOW, TAKEN } from "./ingest-harness.ts";

/** To be called at the top of a test file; poison that a test planted is gone after it. */
export async function failingIngest() {
  process.env.KAFKA_FAILURES = "throw";
  const harness = await ingestHarness();
  const { db, ingest, texts } = harness;

  const errors: { message: string; fields: LogFields }[] = [];
  useLogger({
    ...createLogger({ level: "error", deployed: false }),
    debug() {},
    info() {},
    warn() {},
    error: (message, fields = {}) => errors.push({ message, fields }),
    with() {
      return this;
    },
  });
  const metrics: Record<string, unknown>[] = [];
  useMetricSink((line) => metrics.push(JSON.parse(line)));
  beforeEach(() => {
    errors.length = 0;
    metrics.length = 0;
  });
  afterEach(() => removePoison(db.pool));
  afterAll(() => {
    useLogger(undefined);
    useMetricSink(undefined);
  });

  /** Delivers the event as often, and every delivery fails. */
  async function fail(given: LambdaKafkaEvent, times: number): Promise<void> {
    for (let n = 0; n < times; n += 1) {
      await expect(ingest(given)).rejects.toThrow("must come again");
    }
  }

  let count = 0;
  /** As the harness's, of changing times and values. */
  const event = (more: Record<string, unknown> = {}): Record<string, unknown> => {
    count += 1;
    const time = new Date(NOW + (count % 100) * 700).toISOString();
    return harness.event({ event_time: time, value: count, ...more });
  };
  const poison = (more: Record<string, unknown> = {}) => event({ user_id: POISON, ...more });

  return {
    ...harness,
    errors,
    metrics,
    fail,

    /** Delivers the event until its records are tried alone, and once more. */
    async failAndGiveUp(given: LambdaKafkaEvent): Promise<void> {
      await fail(given, 20);
      expect(await ingest(given)).toEqual(TAKEN);
    },

    event,
    poison,
    /** As many events, of which those at the places are poison. */
    batchOf: (size: number, places: readonly number[]) =>
      Array.from({ length: size }, (_, index) => (places.includes(index) ? poison() : event())),

    failures: () =>
      texts(
        "select topic, partition, first_offset, failures, code from stream_failures order by 1, 2",
      ),
    letters: () => texts("select partition, record_offset, code from dead_letters order by 1, 2"),
  };
}
