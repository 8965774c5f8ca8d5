/**
 * All that one history is about: the logs, the processes that take them in, the database, and what
 * has been seen of it so far.
 */
import { createPool, type Lease, type Pool } from "@headrace/db";
import type { CronHandler, KafkaHandler } from "@headrace/handler";
import type { TestDatabase } from "./database.ts";
import { CONNECT } from "./faults-client.ts";
import type { FollowingHandlers } from "./faults-followers.ts";
import type { Fault, Gate, Turn } from "./faults-gate.ts";
import { Random } from "./faults-random.ts";
import { nothingSeen, type Seen } from "./faults-watch.ts";
import { type LogRecord, PartitionLog } from "./model-log.ts";
import { RecordMaker } from "./model-records.ts";
import type { Difference } from "./recompute.ts";

/** A process that runs the functions. */
export interface Instance {
  readonly name: string;
  readonly ingest: KafkaHandler;
  readonly fillGaps: CronHandler;
  readonly finishWindows: CronHandler;
  readonly watchProgress: CronHandler;
  readonly followers: FollowingHandlers;
  pool(): Pool;
  /** Forgets everything that it keeps in memory. */
  restart(): Promise<void>;
}

/** What stays from one history to the next. */
export interface Stage {
  readonly database: TestDatabase;
  readonly gate: Gate;
  /** The owner's, past the gate. */
  readonly owner: Pool;
  readonly instances: readonly Instance[];
  /** Errors that functions logged since the last history began. */
  readonly logged: unknown[];
}

/** What one history is like; drawn from its seed. */
export interface Traits {
  readonly serial: boolean;
  readonly rounds: number;
  /** Share of statements that something happens to. */
  readonly faultRate: number;
  readonly recreates: boolean;
  readonly trims: boolean;
  readonly dropsStates: boolean;
  readonly bigBatches: boolean;
  /** More types than may have windows of their own. */
  readonly manyTypes: boolean;
  /** Functions throw where a partition failed, and count how often. */
  readonly throws: boolean;
  /** Some events are refused by the database whenever they are stored. */
  readonly poison: boolean;
}

/** A delivery as it was handed over, one list of records per partition. */
export type Slices = readonly (readonly LogRecord[])[];

export class World {
  readonly seed: number;
  readonly stage: Stage;
  readonly traits: Traits;
  readonly random: Random;
  readonly logs: readonly PartitionLog[];
  readonly maker: RecordMaker;
  /** Decides what is looked at in between; at the end it is everything. */
  readonly moments: Random;
  /** The history in words. */
  readonly lines: string[] = [];
  readonly delivered: Slices[] = [];
  /** What was given up, and may still come from where it went. */
  readonly givenUp: Slices[number][] = [];
  readonly leases: Lease[] = [];
  /** What should not have been possible, to be told at the next look. */
  readonly wrongs: Difference[] = [];
  readonly seen: Seen = nothingSeen();
  /** Whether the database's server itself is killed now and then. */
  serverCrashes = false;
  faults = 0;

  constructor(seed: number, stage: Stage) {
    this.seed = seed;
    this.stage = stage;
    this.random = Random.of(seed, 1);
    const { random } = this;
    this.moments = Random.of(seed, 4);
    const failures = Random.of(seed, 3);
    const throws = failures.chance(0.4);
    this.traits = {
      serial: random.chance(0.7),
      rounds: random.whole(5, 8),
      faultRate: random.pick([0, 0.005, 0.01, 0.01, 0.02, 0.05]),
      recreates: random.chance(0.15),
      trims: random.chance(0.2),
      dropsStates: random.chance(0.3),
      bigBatches: random.chance(0.03),
      manyTypes: random.chance(0.05),
      throws,
      // Without a count of failures nothing would ever get past them.
      poison: throws && failures.chance(0.7),
    };
    this.logs = makeLogs(random.chance(0.2) ? [2, 1] : [random.whole(2, 3)]);
    this.maker = new RecordMaker(Random.of(seed, 2), {
      repeated: random.pick([0, 0.05, 0.1, 0.4]),
      broken: random.pick([0, 0.02, 0.05, 0.2]),
      belated: this.traits.dropsStates ? 0.5 : 0,
      timestampType: random.chance(0.25) ? "CREATE_TIME" : "LOG_APPEND_TIME",
      rareTypes: this.traits.manyTypes ? ["rare_a", "rare_b", "rare_c", "rare_d"] : [],
      dataBytes: random.chance(0.08) ? 4000 : 0,
      poison: this.traits.poison ? failures.pick([0.02, 0.1, 0.4]) : 0,
    });
    this.note(JSON.stringify(this.traits));
  }

  readonly note = (line: string): void => {
    this.lines.push(line);
  };

  /** Which fault a statement meets. */
  fault(turn: Turn, random: Random): Fault | undefined {
    if (turn.label === CONNECT) return undefined;
    const isCommit = turn.label === "commit";
    if (!random.chance(this.traits.faultRate * (isCommit ? 3 : 1))) return undefined;
    this.faults += 1;
    // Who is first, the statement or the end of its connection, is no choice of a seed.
    const racing = this.traits.serial ? 0 : isCommit ? 6 : 2;
    return random.weighted<Fault>({
      "lost before": 3,
      "lost sending": racing,
      "lost after": isCommit ? 6 : 3,
      terminated: 1,
      "terminated running": racing / 2,
      stalled: turn.isInTransaction() ? 1 : 0,
      dead: 1,
    });
  }
}

/** Logs of one or two topics with as many partitions. */
function makeLogs(partitions: readonly number[]): PartitionLog[] {
  const names = ["events", "events-b"];
  return partitions.flatMap((count, topic) =>
    Array.from(
      { length: count },
      (_, partition) => new PartitionLog(names[topic] ?? "", partition),
    ),
  );
}

export function ownerPool(database: TestDatabase): Pool {
  const pool = createPool({ connectionString: database.ownerUrl, max: 3 });
  pool.on("error", () => {});
  return pool;
}
