/**
 * Open connections, one to each broker, opened when first asked for and again after they broke.
 *
 * The library's own pool forgets a new connection when an old one to the same broker closes late;
 * after a broker restart it can then neither reuse nor close the new one. Hence this one.
 */
import { bug } from "@headrace/kernel";
import { Connection } from "@platformatic/kafka";
import type { BrokerAddress } from "./config.ts";

/** A broker on this machine answers a connect in under 1 ms, one in the cloud in under 100 ms. */
const CONNECT_TIMEOUT_MS = 3_000;
/** A stopped broker is noticed after this; a long fetch waits less (`MAX_FETCH_WAIT_MS`). */
const REQUEST_TIMEOUT_MS = 10_000;
/** Requests under way on one connection; the broker works on one at a time. */
const MAX_IN_FLIGHT = 16;
/** `close` waits so long for what is being written. */
const CLOSE_TIMEOUT_MS = 500;

export class Connections {
  readonly #clientId: string;
  readonly #opened = new Map<string, Promise<Connection>>();
  #closed = false;

  constructor(clientId: string) {
    this.#clientId = clientId;
  }

  get closed(): boolean {
    return this.#closed;
  }

  to(broker: BrokerAddress): Promise<Connection> {
    if (this.#closed) throw bug("kafka.closed", "this Kafka client was closed");
    const key = `${broker.host}:${broker.port}`;
    const existing = this.#opened.get(key);
    if (existing !== undefined) return existing;
    const connection = new Connection(this.#clientId, {
      connectTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      maxInflights: MAX_IN_FLIGHT,
    });
    const opening = open(connection, broker);
    const forget = (): void => {
      if (this.#opened.get(key) === opening) this.#opened.delete(key);
    };
    // Stays for good: an "error" event without a listener would end the process.
    connection.on("error", forget);
    connection.on("close", forget);
    opening.catch(forget);
    this.#opened.set(key, opening);
    return opening;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const all = [...this.#opened.values()];
    this.#opened.clear();
    await Promise.all(all.map((opening) => opening.then(shut, () => undefined)));
  }
}

async function open(connection: Connection, broker: BrokerAddress): Promise<Connection> {
  await connection.connect(broker.host, broker.port);
  return connection;
}

/** A broker that no longer reads would keep the socket, and with it this process, open for ever. */
async function shut(connection: Connection): Promise<void> {
  const timer = setTimeout(() => connection.socket.destroy(), CLOSE_TIMEOUT_MS);
  try {
    await connection.close();
  } finally {
    clearTimeout(timer);
  }
}
