/**
 * One Kafka event source mapping on this machine, with AWS Lambda's semantics: batches of several
 * partitions up to a count, a window or 6 MB; never two invocations with the same partition; partial
 * failures; retries, bisection, record age and a failure destination; offsets committed per batch.
 *
 * Delivery is at least once, in order per partition: a record comes again after a failure, a crash or
 * a commit that did not arrive, and nothing later of its partition comes before it is done or given up.
 *
 * Where AWS leaves it open, this is how it is read here:
 * - A batch that failed as a whole (thrown, timed out, an unusable answer) is halved while it has more
 *   than one record, if bisection is on. Halving counts as no retry and waits for nothing; halves
 *   inherit the retries so far. A single record, and every batch without bisection, counts a retry each
 *   time. Records named in an answer are sent again together, as one retry, and are not halved.
 * - A record's age counts before each attempt, the first one too. Too old ones are given up one by one.
 * - Without a destination, records that are given up are dropped; the log names them.
 * - A partition whose records cannot be written to the destination waits until they can.
 */
import { createFetcher, createProducer, type NamedBrokers, type Producer } from "@headrace/kafka";
import type { Clock, Logger } from "@headrace/kernel";
import { Backlog } from "./backlog.ts";
import { Committer } from "./committer.ts";
import { eventOf } from "./event.ts";
import { failureDestination } from "./failure-destination.ts";
import { Intake } from "./intake.ts";
import { type FunctionSetup, invoke } from "./invocation.ts";
import { judge, type Verdict } from "./response.ts";
import { type KafkaTriggerOptions, triggerSettings } from "./trigger.ts";
import { countOf, halves, keep, keepNamed, type LastAttempt, type Unit } from "./unit.ts";

export interface KafkaPollerOptions {
  readonly kafka: NamedBrokers;
  readonly trigger: KafkaTriggerOptions;
  readonly function: FunctionSetup;
  /** Whose committed offsets are gone on from; one poller a group at a time. */
  readonly group: string;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Before a retry: doubles from the first to the most. Default 200 ms to 30 s. */
  readonly backoff?: { readonly firstMillis: number; readonly mostMillis: number };
  /** Default 5 s. */
  readonly topicCheckMillis?: number;
  /** How long `stop` waits for invocations. Default 5 s. */
  readonly stopTimeoutMillis?: number;
}

export interface KafkaPoller {
  /** It knows where each partition goes on; from then on nothing new is missed. */
  hasPositions(): boolean;
  /** Nothing is held, waits or is to be sent again of what was fetched so far. */
  isIdle(): boolean;
  /**
   * No new invocation; waits for those under way up to the bound, commits what is done, disconnects.
   * What an invocation does that outlasts the bound comes again.
   */
  stop(): Promise<void>;
}

const BACKOFF = { firstMillis: 200, mostMillis: 30_000 };
const TOPIC_CHECK_MILLIS = 5_000;
const STOP_TIMEOUT_MILLIS = 5_000;
/** For the last commit, and for what is being set aside; a broker that stops too may not answer. */
const COMMIT_TIMEOUT_MILLIS = 2_000;

/** Begins at once; waits for the broker and the topic if need be. Throws `trigger.…` for bad options. */
export function startKafkaPoller(options: KafkaPollerOptions): KafkaPoller {
  return new Poller(options);
}

class Poller implements KafkaPoller {
  readonly #options: KafkaPollerOptions;
  readonly #logger: Logger;
  readonly #settings: ReturnType<typeof triggerSettings>;
  readonly #backlog: Backlog;
  readonly #fetcher: ReturnType<typeof createFetcher>;
  readonly #committer: Committer;
  readonly #intake: Intake;
  readonly #giveUp: ReturnType<typeof failureDestination>;
  readonly #running = new Set<Promise<void>>();
  readonly #reading: Promise<void>;
  #producer: Producer | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: KafkaPollerOptions) {
    const { kafka, trigger, group, clock } = options;
    const { brokers } = kafka;
    this.#options = options;
    this.#logger = options.logger.with({ function: options.function.name, topic: trigger.topic });
    this.#settings = triggerSettings(trigger);
    this.#backlog = new Backlog(this.#settings, brokers);
    this.#fetcher = createFetcher(kafka);
    this.#committer = new Committer(this.#fetcher, group, this.#backlog, this.#logger);
    this.#giveUp = failureDestination({
      settings: this.#settings,
      functionName: options.function.name,
      brokers,
      clock,
      logger: this.#logger,
      producer: () => (this.#producer ??= createProducer(kafka)),
    });
    this.#intake = new Intake({
      fetcher: this.#fetcher,
      backlog: this.#backlog,
      topic: trigger.topic,
      group,
      logger: this.#logger,
      topicCheckMillis: options.topicCheckMillis ?? TOPIC_CHECK_MILLIS,
      onChange: () => this.#changed(),
    });
    this.#reading = this.#intake.run();
  }

  hasPositions(): boolean {
    return this.#backlog.queues.length > 0;
  }

  isIdle(): boolean {
    return this.#backlog.queues.every((queue) => queue.isFree && queue.count === 0);
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#intake.stop();
    const boundMillis = this.#options.stopTimeoutMillis ?? STOP_TIMEOUT_MILLIS;
    if (!(await within(boundMillis, Promise.all(this.#running))))
      this.#logger.warn("invocations outlasted the stop; their records will come again");
    await within(COMMIT_TIMEOUT_MILLIS, this.#committer.close());
    await this.#fetcher.close();
    await within(COMMIT_TIMEOUT_MILLIS, this.#producer?.close() ?? Promise.resolve());
    await this.#reading;
  }

  #changed(): void {
    this.#pump();
    this.#committer.nudge();
  }

  /** Starts what is due, as far as the concurrency allows. */
  #pump(): void {
    clearTimeout(this.#timer);
    if (this.#stopping !== undefined) return;
    while (this.#running.size < this.#settings.concurrency) {
      const unit = this.#backlog.next(performance.now());
      if (unit === undefined) {
        this.#wakeLater();
        return;
      }
      const run = this.#run(unit).finally(() => {
        this.#running.delete(run);
        this.#changed();
      });
      this.#running.add(run);
    }
  }

  #wakeLater(): void {
    this.#intake.roomMade();
    const inMillis = this.#backlog.wakeAt() - performance.now();
    if (inMillis === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.#pump(), Math.max(1, Math.ceil(inMillis)));
  }

  /** Never rejects: whatever happens, the unit is released, done or to be sent again. */
  async #run(unit: Unit): Promise<void> {
    this.#intake.roomMade();
    if (unit.condition !== undefined) return this.#setAside(unit, unit.condition);
    const tooOldBefore = this.#options.clock.now() - this.#settings.maximumRecordAgeMillis;
    const old = keep(unit, (record) => record.timestampMillis < tooOldBefore);
    if (old !== undefined) {
      const young = keep(unit, (record) => record.timestampMillis >= tooOldBefore);
      const expired: Unit = { ...old, condition: "RecordAgeExceeded" };
      return this.#backlog.release(unit, young === undefined ? [expired] : [expired, young]);
    }
    const records = unit.parts.map((part) => part.records);
    const { outcome, requestId, durationMillis } = await invoke(
      this.#options.function,
      eventOf(this.#options.kafka.brokers, records),
    );
    const verdict: Verdict =
      "error" in outcome
        ? { kind: "all", reason: "the function failed" }
        : judge(outcome.answer, records);
    if (verdict.kind === "done") return this.#backlog.release(unit);
    const error = "error" in outcome ? outcome.error : undefined;
    const again = this.#afterFailure(unit, verdict, { requestId, error });
    this.#logger.warn("an invocation failed", {
      requestId,
      reason: verdict.kind === "all" ? verdict.reason : "records were reported as failed",
      error,
      records: countOf(unit),
      retries: unit.retries,
      durationMillis: Math.round(durationMillis),
    });
    this.#backlog.release(unit, again);
  }

  #afterFailure(unit: Unit, verdict: Verdict, lastAttempt: LastAttempt): readonly Unit[] {
    const failed = verdict.kind === "some" ? keepNamed(unit, verdict.failed) : unit;
    if (failed === undefined) return [];
    if (verdict.kind === "all" && this.#settings.bisect && countOf(unit) > 1)
      return halves({ ...unit, lastAttempt });
    if (unit.retries >= this.#settings.maximumRetryAttempts)
      return [{ ...failed, lastAttempt, condition: "RetryAttemptsExhausted", notBefore: 0 }];
    const retries = unit.retries + 1;
    return [{ ...failed, lastAttempt, retries, notBefore: this.#notBefore(retries) }];
  }

  async #setAside(unit: Unit, condition: NonNullable<Unit["condition"]>): Promise<void> {
    try {
      await this.#giveUp(unit);
      this.#backlog.release(unit);
    } catch (error) {
      this.#logger.error("records that were given up cannot be stored; tried again", { error });
      // The function's retries are over; these only space out the attempts to store.
      const notBefore = this.#notBefore(SET_ASIDE_BACKOFF_STEP);
      this.#backlog.release(unit, [{ ...unit, condition, notBefore }]);
    }
  }

  #notBefore(retries: number): number {
    const { firstMillis, mostMillis } = this.#options.backoff ?? BACKOFF;
    return performance.now() + Math.min(mostMillis, firstMillis * 2 ** Math.min(retries - 1, 30));
  }
}

/** As long between attempts to store as before a function's fourth retry. */
const SET_ASIDE_BACKOFF_STEP = 4;

async function within(millis: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), millis);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
