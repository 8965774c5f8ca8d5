/**
 * Open connections, one to each broker, opened when first asked for and again after they broke.
 *
 * The library's own pool forgets a new connection when an old one to the same broker closes late;
 * after a broker restart it can then neither reuse nor close the new one. Hence this one.
 */
import { isIP } from "node:net";
import { bug } from "@headrace/kernel";
import type { Connection } from "@platformatic/kafka";
import { type BrokerAddress, nameOf, type Settings } from "./config.ts";
import { notConnected } from "./errors.ts";
import { SessionConnection } from "./session-connection.ts";
import { type SignIn, signInWith } from "./sign-in.ts";

const LIMITS = {
  /** A broker on this machine answers a connect in under 1 ms, one in the cloud in under 100 ms. */
  connectTimeout: 3_000,
  /** A stopped broker is noticed after this; a long fetch waits less (`MAX_FETCH_WAIT_MS`). */
  requestTimeout: 10_000,
  /** Requests under way on one connection; the broker works on one at a time. */
  maxInflights: 16,
};
/** `close` waits so long for what is being written. */
const CLOSE_TIMEOUT_MS = 500;

interface Opened {
  readonly connection: SessionConnection;
  readonly opening: Promise<Connection>;
}

export class Connections {
  readonly #settings: Settings;
  readonly #signIn: SignIn | undefined;
  readonly #opened = new Map<string, Opened>();
  #closed = false;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#signIn = settings.auth && signInWith(settings.auth);
  }

  get closed(): boolean {
    return this.#closed;
  }

  to(broker: BrokerAddress): Promise<Connection> {
    if (this.#closed) throw bug("kafka.closed", "this Kafka client was closed");
    const key = nameOf(broker);
    const existing = this.#opened.get(key);
    if (existing !== undefined && !existing.connection.isStale()) return existing.opening;
    if (existing !== undefined) void shut(existing);
    const opened = this.#open(broker, key);
    const forget = (): void => {
      if (this.#opened.get(key) === opened) this.#opened.delete(key);
    };
    // Stays for good: an "error" event without a listener would end the process.
    opened.connection.on("error", forget);
    opened.connection.on("close", forget);
    opened.opening.catch(forget);
    this.#opened.set(key, opened);
    return opened.opening;
  }

  #open(broker: BrokerAddress, key: string): Opened {
    const hasName = isIP(broker.host) === 0;
    const connection = new SessionConnection(this.#settings, LIMITS, this.#signIn, hasName);
    const connect = async (): Promise<Connection> => {
      await this.#signIn?.prepare();
      if (this.#closed) throw bug("kafka.closed", "this Kafka client was closed");
      try {
        await connection.connect(broker.host, broker.port);
      } catch (error) {
        throw notConnected(error, key, this.#signIn?.remedy ?? "");
      }
      return connection;
    };
    return { connection, opening: connect() };
  }

  async close(): Promise<void> {
    this.#closed = true;
    const all = [...this.#opened.values()];
    this.#opened.clear();
    await Promise.all(all.map(shut));
  }
}

/** A broker that no longer reads would keep the socket, and with it this process, open for ever. */
async function shut({ connection, opening }: Opened): Promise<void> {
  try {
    await opening;
  } catch {
    return; // never opened
  }
  const timer = setTimeout(() => connection.socket.destroy(), CLOSE_TIMEOUT_MS);
  try {
    await connection.close();
  } finally {
    clearTimeout(timer);
  }
}
