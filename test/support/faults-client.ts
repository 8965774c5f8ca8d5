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
  _write(chunk: unknown, encoding: string, done: () => void): void;
  _writev: unknown;
  _final(done: () => void): void;
}

/** pg's client, as it is inside. */
interface Driver extends EventEmitter {
  readonly connection: { readonly stream: { destroy(): void; readonly destroyed: boolean } };
  readonly processID: number;
  /** I: idle, T: in a transaction, E: in one that has failed. */
  getTransactionStatus(): "I" | "T" | "E" | null;
  connect(callback?: Callback): unknown;
  query(config: Config, values?: unknown, callback?: Callback): unknown;
}

const Driver = pg.Client as unknown as new (config: unknown) => Driver;

const isCopy = (config: Config): config is CopyStream =>
  typeof config === "object" && "submit" in config;

/** Makes every connection that `pool` opens from now on one of the gate's. */
export function throughGate(pool: Pool, gate: Gate): Pool {
  class Client extends GatedClient {
    override readonly gate = gate;
  }
  (pool as unknown as { Client: unknown }).Client = Client;
  return pool;
}

abstract class GatedClient extends Driver {
  abstract readonly gate: Gate;

  override connect(callback?: Callback): unknown {
    if (this.gate.actor === undefined || callback === undefined) return super.connect(callback);
    this.gate.connecting(1);
    return super.connect((error) => {
      this.gate.connecting(-1);
      callback(error);
    });
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
    } finally {
      if (this.gate.serial && this.#isBroken) await this.gate.gone(this.processID);
      this.gate.left(this.processID, !isDone || !this.#isInTransaction);
    }
  }

  /** Waits for the turn and lets happen what happens before the statement. */
  async #turn(actor: Actor, label: string): Promise<Fault | undefined> {
    const fault = await this.gate.turn(actor, label, this.#isInTransaction);
    if (fault === "lost before" || fault === "dead") this.#break();
    else if (fault === "terminated") await this.gate.terminate(this.processID);
    else if (fault === "stalled" && this.#isInTransaction) await this.#stall();
    return fault;
  }

  /** PostgreSQL ends a transaction that does nothing for too long. */
  async #stall(): Promise<void> {
    this.gate.entered(this.processID);
    try {
      const ended = once(this, "end");
      await super.query("set idle_in_transaction_session_timeout = '25ms'");
      await ended;
    } catch {
      // The connection had been lost before.
    } finally {
      this.gate.left(this.processID, true);
    }
  }

  /** Each piece of a COPY takes its own turn, and so does its end. */
  async #copy(actor: Actor, stream: CopyStream): Promise<void> {
    const turn = async (label: string, step: () => void): Promise<void> => {
      const met = await this.#turn(actor, label);
      // After an error the stream has let its connection go, and its writer knows.
      if (stream.connection === null) return;
      step();
      if (met === "lost sending" || met === "lost after") this.#break();
      if (met === "terminated running") this.#terminateSoon();
    };
    const { _write: write, _final: final } = stream;
    stream._writev = null;
    stream._write = (chunk, encoding, done) =>
      void turn("copy: a piece", () => write.call(stream, chunk, encoding, done));
    stream._final = (done) =>
      void turn("copy: the end", () => {
        this.gate.entered(this.processID);
        final.call(stream, done);
      });
    this.#watch(stream);
    await turn("copy: the beginning", () => {
      this.gate.entered(this.processID);
      super.query(stream);
    });
  }

  /** Tells the gate when a COPY waits for its client, and when it has ended. */
  #watch(stream: CopyStream): void {
    const { handleCopyInResponse, handleError, handleReadyForQuery } = stream;
    stream.handleCopyInResponse = (connection) => {
      this.gate.left(this.processID, false);
      handleCopyInResponse.call(stream, connection);
    };
    stream.handleError = (error) => {
      this.gate.left(this.processID, true);
      handleError.call(stream, error);
    };
    stream.handleReadyForQuery = () => {
      this.gate.left(this.processID, false);
      handleReadyForQuery.call(stream);
    };
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

function labelOf(config: Exclude<Config, CopyStream>): string {
  const text = typeof config === "string" ? config : (config.name ?? config.text);
  return text.replace(/\s+/g, " ").trim().slice(0, 60);
}
