/**
 * Every hour: compares what is kept with raw events, in hours of the last day and of all history that
 * are chosen by lot, and keeps what it found. A difference raises an alarm; `npm run rebuild` repairs.
 */
import { inTransaction, type Pool, rawFromOf, recordAudit } from "@headrace/db";
import { type Cron, cronHandler, recordMetrics, systemClock } from "@headrace/handler";
import { type AuditAnswer, readAudit } from "@headrace/reports";

const MICROS = 1000;
const DAY = 86_400_000_000;
/** History that one run may choose from; what is older was chosen from while it was younger. */
const HISTORY = 400 * DAY;
/** Of each part. An hour of a shop with a million events a day holds 42,000. */
const HOURS = 6;
/** One snapshot ends after the 10 s that a worker's transaction may last: no stretch begins after 5. */
const EVENTS = 100_000;
const COMPARING_MS = 5_000;
/** Differences of each result that are kept with their rows. */
const LISTED = 20;

export const cron: Cron = {
  name: "audit",

  async run({ pool, lease, log, signal }) {
    const now = systemClock.now() * MICROS;
    for (const fromMicros of [now - DAY, Math.max(now - HISTORY, await rawFromOf(pool))]) {
      if (signal.aborted) return;
      const startedMicros = systemClock.now() * MICROS;
      const range = { fromMicros, toMicros: now };
      const found = await audit(pool, range);
      await recordAudit(pool, lease, {
        ...range,
        startedMicros,
        ok: found.ok,
        checked: found.checked,
        differences: found.differences,
        atOffsets: found.at_offsets,
      });
      recordMetrics({ AuditDifferences: found.differences.length });
      if (!found.ok) log.error("results differ from raw events", { checked: found.checked });
    }
  },
};

const audit = (
  reader: Pool,
  range: { fromMicros: number; toMicros: number },
): Promise<AuditAnswer> =>
  inTransaction(reader, "repeatable read", (moment) => {
    const untilMs = systemClock.now() + COMPARING_MS;
    return readAudit(moment, {
      ...range,
      sample: HOURS,
      events: EVENTS,
      limit: LISTED,
      random: Math.random,
      isTimeUp: () => systemClock.now() >= untilMs,
    });
  });

export const handler = cronHandler(cron);
