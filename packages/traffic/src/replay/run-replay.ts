/** `npm run replay` from its arguments to its exit code. */
import { resolve } from "node:path";
import { createAdmin, createProducer, type PartitionOffsets } from "@headrace/kafka";
import { AppError, type Clock, invalid } from "@headrace/kernel";
import { awaitStored } from "./await-stored.ts";
import { type InputFile, openInput } from "./input-file.ts";
import { progressReader } from "./progress-api.ts";
import { type DatabaseProgress, databaseProgress } from "./progress-database.ts";
import { ProgressDisplay, ratePerSecond } from "./progress-display.ts";
import { HELP, type ReplayArguments, readArguments } from "./replay-arguments.ts";
import { type ReplayTotals, replayFile } from "./replay-file.ts";
import { type Environment, findSystem, type RunningSystem } from "./running-system.ts";
import type { ReadProgress, TopicProgress } from "./topic-progress.ts";

/** The world around the command. */
export interface Surroundings {
  readonly env: Environment;
  readonly stdin: () => NodeJS.ReadableStream;
  /** Receives the result. */
  readonly out: (text: string) => void;
  /** Receives progress and errors. */
  readonly err: (text: string) => void;
  readonly errIsTerminal: boolean;
  readonly clock: Clock;
  /** Ends the replay early, in order. */
  readonly signal: AbortSignal;
  /** How long `--wait` looks on while nothing advances. Default 60 s. */
  readonly stallMs?: number;
}

const REPLAYED = 0;
const FAILED = 1;
const WRONG_ARGUMENTS = 2;
const INTERRUPTED = 130;

/** A broker that is up answers at once; one that is down should not be waited for. */
const KAFKA_TIMEOUT_MS = 10_000;

/** The exit code (see HELP). Throws only what is a fault of this program. */
export async function runReplay(argv: readonly string[], around: Surroundings): Promise<number> {
  try {
    const args = readArguments(argv, around.env);
    if (args === "help") {
      around.out(HELP);
      return REPLAYED;
    }
    const file = await openInput(filePath(args.path, around.env), around.stdin);
    try {
      return await new ReplayCommand(await findSystem(around.env), file, args, around).run();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!(error instanceof AppError) || error.kind === "bug") throw error;
    around.err(`replay: ${error.message}\n`);
    if (error.code === "replay.interrupted") return INTERRUPTED;
    return error.code === "replay.arguments" || error.code === "replay.map"
      ? WRONG_ARGUMENTS
      : FAILED;
  }
}

/** npm runs scripts in the repository, wherever it was called. */
function filePath(path: string, env: Environment): string {
  const calledFrom = env.npm_lifecycle_event === "replay" ? env.INIT_CWD : undefined;
  return path === "-" ? path : resolve(calledFrom ?? ".", path);
}

class ReplayCommand {
  readonly #system: RunningSystem;
  readonly #file: InputFile;
  readonly #args: ReplayArguments;
  readonly #around: Surroundings;
  readonly #display: ProgressDisplay;

  constructor(system: RunningSystem, file: InputFile, args: ReplayArguments, around: Surroundings) {
    this.#system = system;
    this.#file = file;
    this.#args = args;
    this.#around = around;
    this.#display = new ProgressDisplay({
      write: around.err,
      isTerminal: around.errIsTerminal,
      totalBytes: file.bytes,
      clock: around.clock,
    });
  }

  async run(): Promise<number> {
    if (!this.#args.wait) return await this.#replay(undefined);
    const { read, close } = this.#progress();
    try {
      return await this.#replay(read);
    } finally {
      await close();
    }
  }

  /** `read`: where the end is waited for. */
  async #replay(read: ReadProgress | undefined): Promise<number> {
    const { out, signal } = this.#around;
    const offsets = await this.#offsets();
    const before = read === undefined ? undefined : await this.#settled(read, offsets);
    const totals = await this.#send();
    out(badLinesText(totals));
    if (read === undefined || before === undefined || signal.aborted) {
      out(`sent ${totals.sent}, bad lines ${totals.badLines}\n`);
      if (signal.aborted) return INTERRUPTED;
    } else {
      const after = await this.#stored(read, before, offsets, totals);
      out(`${resultText(totals, before, after)}\n`);
    }
    return totals.sent === 0 && totals.badLines > 0 ? FAILED : REPLAYED;
  }

  #progress(): DatabaseProgress {
    const { api, databaseUrl, foundBy } = this.#system;
    if (api !== undefined) return { read: progressReader(api), close: async () => {} };
    if (databaseUrl !== undefined) return databaseProgress(databaseUrl);
    throw invalid(
      "replay.no_progress",
      `--wait asks the running system how far it has read, and ${foundBy} does not say where that is. Set DATABASE_URL (its database), or HEADRACE_URL and HEADRACE_TOKEN (its HTTP address and a token with scope reports:read), or leave out --wait.`,
    );
  }

  /** Where the topic's partitions begin and end; the first question to Kafka. */
  async #offsets(): Promise<readonly PartitionOffsets[]> {
    const { kafkaBrokers: brokers, foundBy } = this.#system;
    const admin = createAdmin({ brokers, clientId: CLIENT }, { timeoutMs: KAFKA_TIMEOUT_MS });
    try {
      return await admin.offsets([this.#args.topic]);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const remedy =
        error.code === "kafka.topic_unknown"
          ? `Start Headrace once, which makes its topic, or name another one: --topic NAME.`
          : `The address is from ${foundBy}: see that Kafka runs there.`;
      throw new AppError(error.kind, error.code, `${error.message}. ${remedy}`, { cause: error });
    } finally {
      await admin.close();
    }
  }

  /** Progress once all is read that was there before us, so that what is counted from then on is ours. */
  async #settled(read: ReadProgress, offsets: readonly PartitionOffsets[]): Promise<TopicProgress> {
    const { topic } = this.#args;
    const filled = offsets.filter(({ begin, end }) => end > begin);
    return await this.#await(read, {
      targets: new Map(filled.map(({ partition, end }) => [partition, end])),
      before: { progress: await read(topic), ends: endsOf(offsets) },
    });
  }

  async #stored(
    read: ReadProgress,
    progress: TopicProgress,
    offsets: readonly PartitionOffsets[],
    { lastOffsets }: ReplayTotals,
  ): Promise<TopicProgress> {
    return await this.#await(read, {
      targets: new Map([...lastOffsets].map(([partition, last]) => [partition, last + 1])),
      before: { progress, ends: endsOf(offsets) },
    });
  }

  async #await(
    read: ReadProgress,
    options: Pick<Parameters<typeof awaitStored>[0], "targets" | "before">,
  ): Promise<TopicProgress> {
    const { signal, stallMs } = this.#around;
    try {
      return await awaitStored({
        ...options,
        read,
        topic: this.#args.topic,
        signal,
        onWaiting: (unread) => this.#display.waiting(unread),
        ...(stallMs === undefined ? {} : { stallMs }),
      });
    } finally {
      this.#display.clear();
    }
  }

  async #send(): Promise<ReplayTotals> {
    const { err, clock, signal } = this.#around;
    const { map, speed, shiftToNow, topic } = this.#args;
    const { kafkaBrokers: brokers } = this.#system;
    const producer = createProducer({ brokers, clientId: CLIENT });
    const startedAt = clock.now();
    let sent = 0;
    try {
      const totals = await replayFile({
        file: this.#file,
        map,
        producer,
        topic,
        speed,
        shiftToNow,
        clock,
        signal,
        onColumns: (columnMap, columns) =>
          err(
            `${this.#file.name} to topic ${topic} at ${brokers}: ${columnMap.describe(columns)}\n`,
          ),
        onProgress: (so) => {
          sent = so.sent;
          this.#display.sending(so);
        },
      });
      this.#display.clear();
      const millis = clock.now() - startedAt;
      const rate = ratePerSecond(totals.sent, millis);
      err(`${totals.sent} records in ${(millis / 1000).toFixed(1)} s, ${rate}/s\n`);
      return totals;
    } catch (error) {
      this.#display.clear();
      throw sent === 0 ? error : withSent(error, sent, shiftToNow);
    } finally {
      await producer.close();
    }
  }
}

const CLIENT = "headrace-replay";

function endsOf(offsets: readonly PartitionOffsets[]): ReadonlyMap<number, number> {
  return new Map(offsets.map(({ partition, end }) => [partition, end]));
}

function withSent(error: unknown, sent: number, shiftToNow: boolean): unknown {
  if (!(error instanceof AppError)) return error;
  const again = shiftToNow ? "" : " The same command again stores nothing twice.";
  const message = `${error.message}. ${sent} records were sent before.${again}`;
  return new AppError(error.kind, error.code, message, { cause: error });
}

function badLinesText({ badLines, firstBadLines }: ReplayTotals): string {
  if (badLines === 0) return "";
  const told = firstBadLines.map(({ line, reason }) => `  line ${line}: ${reason}\n`).join("");
  const more = badLines - firstBadLines.length;
  return `bad lines:\n${told}${more > 0 ? `  and ${more} more\n` : ""}`;
}

function resultText(totals: ReplayTotals, before: TopicProgress, after: TopicProgress): string {
  const grown = (key: "events" | "duplicates" | "deadLetters") =>
    sum(after, key) - sum(before, key);
  return (
    `sent ${totals.sent}, stored ${grown("events")}, duplicates ${grown("duplicates")}, ` +
    `dead letters ${grown("deadLetters")}, bad lines ${totals.badLines}`
  );
}

function sum(progress: TopicProgress, key: "events" | "duplicates" | "deadLetters"): number {
  return [...progress.values()].reduce((total, one) => total + one[key], 0);
}
