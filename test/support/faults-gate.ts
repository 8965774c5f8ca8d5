/**
 * Decides which statement of which actor reaches PostgreSQL next, and what goes wrong with it.
 *
 * Actors (invocations of functions) run side by side in this process. Each of their statements asks
 * for its turn here. One is let through at a time, chosen by chance with a seed, and the next choice
 * is made when everything stands still: every other actor waits here, for a lock, or has ended. So a
 * seed is one interleaving, as far as PostgreSQL does not choose itself who of several gets a lock
 * first, and failing ones can be looked at again. With `serial` off statements pass at once and meet
 * as they may.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import type { Pool } from "@headrace/db";
import type { Random } from "./faults-random.ts";

/** What happens to one statement. */
export type Fault =
  | "lost before" // the connection breaks and PostgreSQL never gets the statement
  | "lost sending" // it breaks right after the statement was sent: nobody knows the outcome
  | "lost after" // PostgreSQL has done it, the answer never arrives
  | "terminated" // PostgreSQL ends the session first
  | "terminated running" // PostgreSQL ends the session while the statement runs
  | "stalled" // nothing is sent until PostgreSQL gives the transaction up
  | "dead"; // the whole actor is gone, with all its connections

export interface Actor {
  readonly name: string;
  readonly order: number;
  isDead: boolean;
}

/** A statement that waits for its turn. */
export interface Turn {
  readonly actor: Actor;
  readonly label: string;
  /** Whether its connection is in a transaction. */
  isInTransaction(): boolean;
}

interface Waiting extends Turn {
  readonly order: number;
  /** Not chosen before as many others, unless nobody else can go on; undefined: not drawn yet. */
  notBefore: number | undefined;
  readonly go: (fault: Fault | undefined) => void;
}

export interface GateRules {
  readonly random: Random;
  readonly serial: boolean;
  /** Chosen afresh for each statement. */
  decide(turn: Turn): Fault | undefined;
  /** Called now and then while everything stands still. */
  look(): Promise<void>;
  note(line: string): void;
}

/** Without any statement finishing, something hangs. */
const STUCK_MILLIS = 30_000;
/** A statement that takes longer may be waiting for a lock. */
const LONG_MILLIS = 4;
/** Promises and immediates that lead from an answer to the next statement. */
const TURNS_TO_REST = 4;
const PAUSE_CHANCE = 0.06;
const LOOK_CHANCE = 0.006;

export class Gate {
  readonly #actors = new AsyncLocalStorage<Actor>();
  readonly #control: Pool;
  /** How often each statement, and each error, was met: what a history never reaches it cannot test. */
  readonly reached = new Map<string, number>();
  #rules: GateRules | undefined;
  #waiting: Waiting[] = [];
  /** Process ids of sessions with a statement under way; true: known to wait for a lock. */
  readonly #running = new Map<number, boolean>();
  #aside = 0;
  #isOver = false;
  #order = 0;
  #granted = 0;
  #wake = Promise.withResolvers<void>();

  /** `control`: the owner's, on no role's limits. */
  constructor(control: Pool) {
    this.#control = control;
  }

  /** Undefined for whoever may talk to the database as it likes. */
  get actor(): Actor | undefined {
    return this.#rules === undefined ? undefined : this.#actors.getStore();
  }

  get serial(): boolean {
    return this.#rules?.serial === true;
  }

  meet(what: string): void {
    this.reached.set(what, (this.reached.get(what) ?? 0) + 1);
  }

  /** Runs actors side by side until all have ended; their errors are theirs to keep. */
  async run(rules: GateRules, works: ReadonlyMap<string, () => Promise<void>>): Promise<void> {
    this.#rules = rules;
    this.#granted = 0;
    let left = works.size;
    const failures: unknown[] = [];
    for (const [order, [name, work]] of [...works].entries()) {
      const ended = this.#actors.run({ name, order, isDead: false }, work);
      void ended
        .catch((error: unknown) => failures.push(error))
        .finally(() => {
          left -= 1;
          this.#changed();
        });
    }
    try {
      while (left > 0) {
        if (rules.serial) await this.#rest();
        const { promise } = this.#wake;
        if (left > 0 && !(await this.#letOneGo(rules))) await this.#change(promise);
      }
    } catch (error) {
      this.#isOver = true;
      while (left > 0) await this.#endAll();
      throw error;
    } finally {
      this.#isOver = false;
      this.#rules = undefined;
    }
    if (failures.length > 0) throw failures[0];
  }

  /** Nobody looks at what is left: whoever still runs meets nothing but lost connections. */
  async #endAll(): Promise<void> {
    const { promise } = this.#wake;
    for (const { go } of this.#waiting.splice(0)) go("dead");
    await this.#change(promise);
  }

  /** Waits until the statement may go on, and says what goes wrong with it. */
  async turn(turn: Turn): Promise<Fault | undefined> {
    const rules = this.#rules;
    this.meet(turn.label);
    if (turn.actor.isDead || this.#isOver) return "dead";
    if (rules === undefined) return undefined;
    if (!rules.serial) return this.#judge(rules, turn);
    const { promise, resolve } = Promise.withResolvers<Fault | undefined>();
    this.#order += 1;
    this.#waiting.push({ ...turn, order: this.#order, notBefore: undefined, go: resolve });
    this.#changed();
    return promise;
  }

  #judge(rules: GateRules, turn: Turn): Fault | undefined {
    if (turn.actor.isDead) return "dead";
    const fault = rules.decide(turn);
    if (fault === "dead") turn.actor.isDead = true;
    if (fault !== undefined) rules.note(`  ${turn.actor.name}: ${fault}: ${turn.label}`);
    return fault;
  }

  async #letOneGo(rules: GateRules): Promise<boolean> {
    if (rules.serial && this.#waiting.length === 0) return false;
    if (rules.random.chance(LOOK_CHANCE)) await rules.look();
    if (!rules.serial) return false;
    const ready = this.#ready(rules.random);
    const chosen = rules.random.pick(ready.length > 0 ? ready : this.#waiting);
    this.#waiting = this.#waiting.filter((waiting) => waiting !== chosen);
    this.#granted += 1;
    if (process.env.HEADRACE_FAULT_TRACE) rules.note(`    ${chosen.actor.name}: ${chosen.label}`);
    chosen.go(this.#judge(rules, chosen));
    return true;
  }

  #ready(random: Random): Waiting[] {
    // Arrivals within one moment have no order that a seed could rely on; actors have.
    this.#waiting.sort(
      (a, b) => a.actor.order - b.actor.order || compareText(a.label, b.label) || a.order - b.order,
    );
    for (const waiting of this.#waiting) {
      waiting.notBefore ??= random.chance(PAUSE_CHANCE) ? this.#granted + random.whole(3, 40) : 0;
    }
    return this.#waiting.filter(({ notBefore = 0 }) => notBefore <= this.#granted);
  }

  /** Until nothing moves by itself. */
  async #rest(): Promise<void> {
    for (const since = performance.now(); ; ) {
      for (let n = 0; n < TURNS_TO_REST; n += 1) await nextTurn();
      const isAtRest = [...this.#running.values()].every((waitsForLock) => waitsForLock);
      if (this.#aside === 0 && isAtRest) return;
      const changed = this.#wake.promise.then(() => true);
      if (await Promise.race([changed, sleep(LONG_MILLIS, false)])) continue;
      if (performance.now() - since > STUCK_MILLIS) throw nothingMoves();
      await this.#findLocked();
    }
  }

  async #findLocked(): Promise<void> {
    const { rows } = await this.#control.query<{ pid: number }>(
      "select pid from pg_stat_activity where pid = any ($1) and wait_event_type = 'Lock'",
      [[...this.#running.keys()]],
    );
    for (const { pid } of rows) if (this.#running.has(pid)) this.#running.set(pid, true);
  }

  #changed(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  async #change(promise: Promise<void>): Promise<void> {
    const timer = new AbortController();
    const stuck = sleep(STUCK_MILLIS, true, { signal: timer.signal }).catch(() => false);
    const isStuck = await Promise.race([promise.then(() => false), stuck]);
    timer.abort();
    if (isStuck) throw nothingMoves();
  }

  /** Runs what takes its time past the gate; nobody else goes on until it has ended. */
  async aside<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#aside += 1;
    try {
      return await work();
    } finally {
      this.#aside -= 1;
      this.#changed();
    }
  }

  /** A session's statement is under way. */
  entered(pid: number): void {
    this.#running.set(pid, false);
  }

  /** It is not any more; where it ended a transaction, others may have got their locks. */
  left(pid: number, mayUnlock: boolean): void {
    this.#running.delete(pid);
    if (mayUnlock) for (const other of this.#running.keys()) this.#running.set(other, false);
    this.#changed();
  }

  async terminate(pid: number): Promise<void> {
    await this.#control.query("select pg_terminate_backend($1)", [pid]);
    if (this.serial) await this.gone(pid);
  }

  /** Until PostgreSQL has noticed that a session's client is gone, or waits for a lock itself. */
  async gone(pid: number): Promise<void> {
    for (let look = 0; look < 200; look += 1) {
      const { rowCount } = await this.#control.query(
        "select from pg_stat_activity where pid = $1 and wait_event_type is distinct from 'Lock'",
        [pid],
      );
      if (rowCount === 0) return;
      await sleep(1);
    }
  }
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const nothingMoves = (): Error => new Error(`nothing has moved for ${STUCK_MILLIS} ms`);
