/**
 * A PostgreSQL client whose every statement asks the gate for its turn, and whose connection breaks
 * where the gate says so: the socket itself is closed, so that all that follows is the driver's and
 * the server's own doing.
 */
import { type EventEmitter, once } from "node:events";
import type { Pool } from "@headrace/db";
import pg from "pg";
import type { Actor, Fault, Gate } from "./faults-gate.ts";

type Callback = (error: unknown, answer?: unknown) => void;
type Config = string | { readonly name?: string; readonly text: string } | CopyStream;

/** What `pg-copy-streams` hands to `query`, as far as it is looked at here. */
interface CopyStream {
  readonly text: string;
  submit(connection: unknown): void;
  /** Null once the stream has met an error or its end. */
  connection?: object | null;
  handleCopyInResponse(connection: unknown): void;
  handleError(error: unknown): void;
  handleReadyForQuery(): void;
  _write(chunk: unknown, encoding: string, done: () => void): unknown;
  _writev: unknown;
  _final(done: () => void): unknown;
  _destroy(error: unknown, done: (error: unknown) => void): unknown;
  readonly destroyed: boolean;
}

/** pg's client, as it is inside. */
interface Driver extends EventEmitter {
  readonly connection: { readonly stream: { destroy(): void; readonly destroyed: boolean } };
  readonly processID: number;
  /** False from the moment when it learns that its session has ended, before the socket has. */
  readonly _queryable: boolean;
  /** I: idle, T: in a transaction, E: in one that has failed. */
  getTransactionStatus(): "I" | "T" | "E" | null;
  connect(callback?: Callback): unknown;
  query(config: Config, values?: unknown, callback?: Callback): unknown;
  end(callback?: () => void): unknown;
}

const Driver = pg.Client as unknown as new (config: unknown) => Driver;

const isCopy = (config: Config): config is CopyStream =>
  typeof config === "object" && "submit" in config;

/** Healthy connections of processes that have ended: opening one costs more than ten statements. */
type Spare = GatedClient[];
const spares = new WeakMap<Gate, Spare>();

/** Makes every connection that `pool` opens from now on one of the gate's. */
export function throughGate(pool: Pool, gate: Gate): Pool {
  const spare = spares.get(gate) ?? [];
  spares.set(gate, spare);
  const open = function Client(config: unknown): GatedClient {
    return spare.pop() ?? new GatedClient(config, gate, spare);
  };
  (pool as unknown as { Client: unknown }).Client = open;
  return pool;
}

export async function endSpares(gate: Gate): Promise<void> {
  const spare = spares.get(gate)?.splice(0) ?? [];
  await Promise.all(spare.map((client) => client.close()));
}

class GatedClient extends Driver {
  readonly gate: Gate;
  readonly #spare: Spare;
  #isCopying = false;
  #isConnected = false;

  constructor(config: unknown, gate: Gate, spare: Spare) {
    super(config);
    this.gate = gate;
    this.#spare = spare;
    this.once("connect", () => {
      this.#isConnected = true;
    });
  }

  /** A session between two transactions is like a new one to whoever gets it next. */
  override end(callback?: () => void): unknown {
    const isLost = this.#isBroken || !this._queryable;
    const isHealthy = this.#isConnected && !isLost && this.getTransactionStatus() === "I";
    if (!isHealthy || callback === undefined) return super.end(callback);
    this.removeAllListeners();
    this.on("error", () => this.#spare.splice(this.#spare.indexOf(this) >>> 0, 1));
    this.#spare.push(this);
    process.nextTick(callback);
    return undefined;
  }

  close(): unknown {
    return super.end();
  }

  override connect(callback?: Callback): unknown {
    if (callback === undefined) return super.connect();
    void this.#connect(this.gate.actor, callback);
    return undefined;
  }

  /** One after the other: who is ready first would be no choice of a seed. */
  async #connect(actor: Actor | undefined, callback: Callback): Promise<void> {
    if (actor !== undefined) {
      await this.gate.turn({ actor, label: CONNECT, isInTransaction: () => false });
    }
    if (this.#isConnected) {
      this.removeAllListeners();
      callback(null);
      return;
    }
    await this.gate.aside(
      () =>
        new Promise<void>((resolve) => {
          super.connect((error) => {
            resolve();
            callback(error);
          });
        }),
    );
  }

  override query(config: Config, values?: unknown, callback?: Callback): unknown {
    const { actor } = this.gate;
    if (actor === undefined) return super.query(config, values, callback);
    if (isCopy(config)) {
      void this.#copy(actor, config);
      return config;
    }
    const answer = this.#statement(actor, config, values);
    if (callback === undefined) return answer;
    answer.then(
      (result) => callback(undefined, result),
      (error: unknown) => callback(error),
    );
    return undefined;
  }

  async #statement(actor: Actor, config: Exclude<Config, CopyStream>, values: unknown) {
    const fault = await this.#turn(actor, labelOf(config));
    this.gate.entered(this.processID);
    let isDone = false;
    try {
      const answer = super.query(config, values);
      if (fault === "lost sending") this.#break();
      if (fault === "terminated running") this.#terminateSoon();
      const result = await answer;
      if (fault === "lost after") {
        this.#break();
        throw new Error("Connection terminated unexpectedly");
      }
      isDone = true;
      return result;
    } catch (error) {
      if (error instanceof pg.DatabaseError) this.gate.meet(`error ${error.code}`);
      throw error;
    } finally {
      await this.#left(isDone);
    }
  }

  /** Waits for the turn and lets happen what happens before the statement. */
  async #turn(actor: Actor, label: string): Promise<Fault | undefined> {
    const isInTransaction = (): boolean => this.#isInTransaction;
    const fault = await this.gate.turn({ actor, label, isInTransaction });
    if (fault === "lost before" || fault === "dead") this.#break();
    else if (fault === "terminated") await this.#terminate();
    else if (fault === "stalled") await this.#stall();
    return fault;
  }

  /**
   * PostgreSQL ends a transaction that does nothing for too long; in the middle of a COPY only when
   * its whole time is over, which no session can shorten by then.
   */
  async #stall(): Promise<void> {
    if (this.#isBroken) return;
    if (this.#isCopying) return this.#terminate();
    this.gate.entered(this.processID);
    const setting = super.query("set idle_in_transaction_session_timeout = '25ms'");
    // Either way the connection is lost, now or in a moment.
    await Promise.allSettled([once(this, "end"), setting]);
    await this.#left();
  }

  /** Each piece of a COPY takes its own turn, and so do its beginning and its end. */
  async #copy(actor: Actor, stream: CopyStream): Promise<void> {
    const turn = async (label: string, step: () => void): Promise<void> => {
      const met = await this.#turn(actor, label);
      // After an error the stream has let its connection go, and its writer knows.
      if (stream.connection === null) return;
      step();
      if (met === "lost sending" || met === "lost after") this.#break();
      if (met === "terminated running") this.#terminateSoon();
      // What the loss brings about is under way until the stream hears of it.
      if (this.#isBroken) this.gate.entered(this.processID);
    };
    const { _write: write, _final: final } = stream;
    const begun = this.#watch(stream);
    stream._writev = null;
    stream._write = async (chunk, encoding, done) => {
      await begun;
      await turn("copy: a piece", () => write.call(stream, chunk, encoding, done));
    };
    stream._final = async (done) => {
      await begun;
      await turn("copy: the end", () => {
        this.gate.entered(this.processID);
        final.call(stream, done);
      });
    };
    await turn("copy: the beginning", () => {
      this.gate.entered(this.processID);
      super.query(stream);
    });
  }

  /** Tells the gate when a COPY waits for its client, and when it has ended. Settles once it began. */
  #watch(stream: CopyStream): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { handleCopyInResponse, handleError, handleReadyForQuery, _destroy: destroy } = stream;
    stream.handleCopyInResponse = (connection) => {
      this.#isCopying = true;
      resolve();
      // One that was given up is told so right away, and ends with an error.
      if (!stream.destroyed) void this.#left();
      handleCopyInResponse.call(stream, connection);
    };
    stream._destroy = (error, done) => {
      if (this.#isCopying) this.gate.entered(this.processID);
      destroy.call(stream, error, done);
    };
    stream.handleError = (error) => {
      if (error instanceof pg.DatabaseError) this.gate.meet(`error ${error.code}`);
      this.#isCopying = false;
      resolve();
      handleError.call(stream, error);
      void this.#left();
    };
    stream.handleReadyForQuery = () => {
      this.#isCopying = false;
      void this.#left();
      handleReadyForQuery.call(stream);
    };
    return promise;
  }

  /** A statement is over; where its connection was lost, once PostgreSQL knows that too. */
  async #left(isDone = false): Promise<void> {
    const { processID, gate } = this;
    if (gate.serial && this.#isBroken) await gate.gone(processID);
    gate.left(processID, !isDone || !this.#isInTransaction);
  }

  async #terminate(): Promise<void> {
    this.gate.entered(this.processID);
    await this.gate.terminate(this.processID);
    this.gate.left(this.processID, true);
  }

  #terminateSoon(): void {
    // Nobody waits for it: the statement's own answer tells what came first.
    void this.gate.terminate(this.processID).catch(() => {});
  }

  #break(): void {
    this.connection.stream.destroy();
  }

  get #isBroken(): boolean {
    return this.connection.stream.destroyed;
  }

  get #isInTransaction(): boolean {
    return this.getTransactionStatus() === "T";
  }
}

/** What a turn is for that no fault is put on: the next statement meets a lost connection as well. */
export const CONNECT = "connect";

function labelOf(config: Exclude<Config, CopyStream>): string {
  const text = typeof config === "string" ? config : (config.name ?? config.text);
  return text.replace(/\s+/g, " ").trim().slice(0, 60);
}
