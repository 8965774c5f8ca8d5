/**
 * A stand-in for a pooler in transaction mode (PgBouncer, Neon's, RDS Proxy without pinning): hands
 * each transaction of a client to the next of its few connections to a real server, and keeps nothing
 * of a session in between. What a client asked of it that such a pooler cannot give is recorded.
 */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createServer, type Server, type Socket } from "node:net";
import { Client } from "pg";
import { type WebSocket, WebSocketServer } from "ws";

export interface PoolerRecord {
  /** The parameters of each client's start, without user and database. */
  readonly starts: Record<string, string>[];
  /** Of statements that clients gave a name. */
  readonly statementNames: string[];
  /** Statements that are their own message. */
  readonly simpleStatements: string[];
  cancelRequests: number;
  /** Transactions (and single statements) by the number of the server's connection. */
  readonly transactions: number[];
}

export interface TransactionPooler {
  readonly port: number;
  /** Speaks the same over WebSockets. */
  readonly webSocketPort: number;
  readonly record: PoolerRecord;
  /** `address`, led through this pooler. */
  through(address: string): string;
  /** From now on nothing passes, in either direction. */
  stall(): void;
  close(): Promise<void>;
}

const SSL_REQUEST = 80877103;
const CANCEL_REQUEST = 80877102;
const FIRST_PROTOCOL = 196608;
/** Message types of clients and servers. */
const QUERY = 0x51;
const PARSE = 0x50;
const SYNC = 0x53;
const TERMINATE = 0x58;
const READY = 0x5a;
const IDLE = 0x49;

/** Connects to `serverUrl`, with that very role, `size` times. */
export async function startTransactionPooler(
  serverUrl: string,
  size = 2,
): Promise<TransactionPooler> {
  const record: PoolerRecord = {
    starts: [],
    statementNames: [],
    simpleStatements: [],
    cancelRequests: 0,
    transactions: [],
  };
  const backends = new Backends(serverUrl, size, record);
  await backends.open();
  const state = { isStalled: false };
  const clients = new Set<Socket>();
  const server = createServer((socket) => {
    clients.add(socket);
    socket.once("close", () => clients.delete(socket));
    serve(socket, backends, record, state);
  });
  const port = await listening(server);
  const webSockets = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(webSockets, "listening");
  webSockets.on("connection", (socket) => pipe(socket, port));
  return {
    port,
    webSocketPort: (webSockets.address() as AddressInfo).port,
    record,
    through(address) {
      const url = new URL(address);
      url.host = `127.0.0.1:${port}`;
      return url.href;
    },
    stall() {
      state.isStalled = true;
    },
    async close() {
      for (const socket of webSockets.clients) socket.terminate();
      webSockets.close();
      for (const socket of clients) socket.destroy();
      server.close();
      await backends.close();
    },
  };
}

async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

function pipe(socket: WebSocket, port: number): void {
  const tcp = connect(port, "127.0.0.1");
  socket.on("message", (data: Buffer) => tcp.write(data));
  socket.on("close", () => tcp.end());
  socket.on("error", () => tcp.destroy());
  tcp.on("data", (data) => socket.send(data));
  tcp.on("close", () => socket.close());
  tcp.on("error", () => socket.terminate());
}

/** One connection to the server, signed in. */
interface Backend {
  readonly number: number;
  readonly stream: Socket;
  receive: (data: Buffer) => void;
  lost: () => void;
}

class Backends {
  readonly #url: string;
  readonly #size: number;
  readonly #record: PoolerRecord;
  readonly #idle: Backend[] = [];
  readonly #waiting: ((backend: Backend) => void)[] = [];
  readonly #all = new Set<Backend>();
  #isClosed = false;

  constructor(url: string, size: number, record: PoolerRecord) {
    this.#url = url;
    this.#size = size;
    this.#record = record;
  }

  async open(): Promise<void> {
    for (let number = 0; number < this.#size; number += 1) await this.#connect(number);
  }

  async #connect(number: number): Promise<void> {
    const client = new Client({ connectionString: this.#url });
    client.on("error", () => {});
    await client.connect();
    // The driver has signed in; from here the bytes are the clients'.
    const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
    stream.removeAllListeners("data");
    const backend: Backend = { number, stream, receive() {}, lost() {} };
    stream.on("data", (data) => backend.receive(data));
    stream.once("close", () => {
      backend.lost();
      this.#all.delete(backend);
      const at = this.#idle.indexOf(backend);
      if (at >= 0) this.#idle.splice(at, 1);
      if (!this.#isClosed) void this.#connect(number).catch(() => {});
    });
    this.#all.add(backend);
    this.release(backend);
  }

  /** The one that was idle longest, so that a client's next transaction has another. */
  async take(): Promise<Backend> {
    const backend =
      this.#idle.shift() ??
      (await new Promise<Backend>((resolve) => {
        this.#waiting.push(resolve);
      }));
    this.#record.transactions.push(backend.number);
    return backend;
  }

  release(backend: Backend): void {
    backend.receive = () => {};
    backend.lost = () => {};
    if (backend.stream.destroyed) return;
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(backend);
    else next(backend);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const closed = [...this.#all].map(({ stream }) => once(stream, "close"));
    for (const { stream } of this.#all) stream.destroy();
    await Promise.all(closed);
  }
}

interface Message {
  /** 0 for what a connection begins with. */
  readonly type: number;
  readonly body: Buffer;
  readonly bytes: Buffer;
}

/** Cuts a stream into messages; the first ones of a client have no type. */
class Cutter {
  #rest: Buffer = Buffer.alloc(0);
  isStarting: boolean;

  constructor(isStarting: boolean) {
    this.isStarting = isStarting;
  }

  *cut(data: Buffer): Generator<Message> {
    this.#rest = Buffer.concat([this.#rest, data]);
    for (;;) {
      const head = this.isStarting ? 0 : 1;
      if (this.#rest.length < head + 4) return;
      const end = head + this.#rest.readUInt32BE(head);
      if (this.#rest.length < end) return;
      const bytes = this.#rest.subarray(0, end);
      this.#rest = this.#rest.subarray(end);
      yield { type: head === 0 ? 0 : (bytes[0] ?? 0), body: bytes.subarray(head + 4), bytes };
    }
  }
}

const message = (type: string, body: Buffer): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), length, body]);
};
const SIGNED_IN = Buffer.concat([
  message("R", Buffer.alloc(4)),
  message("S", Buffer.from("client_encoding\0UTF8\0")),
  message("K", Buffer.alloc(8)),
  message("Z", Buffer.from("I")),
]);

const cString = (bytes: Buffer, from = 0): string =>
  bytes.toString("utf8", from, bytes.indexOf(0, from));

/** Serves one client until it goes. */
function serve(
  socket: Socket,
  backends: Backends,
  record: PoolerRecord,
  state: { readonly isStalled: boolean },
): void {
  const cutter = new Cutter(true);
  const queue: Message[] = [];
  let backend: Backend | undefined;
  let isTaking = false;
  /** Answers that end in ReadyForQuery and are still to come. */
  let answersDue = 0;

  const attach = (taken: Backend): void => {
    const answers = new Cutter(false);
    backend = taken;
    taken.lost = () => socket.destroy();
    taken.receive = (data) => {
      if (state.isStalled) return;
      socket.write(data);
      for (const { type, body } of answers.cut(data)) {
        if (type !== READY) continue;
        answersDue -= 1;
        if (body[0] !== IDLE || answersDue > 0) continue;
        backend = undefined;
        backends.release(taken);
        return;
      }
    };
  };
  const forward = async (): Promise<void> => {
    if (isTaking) return;
    if (backend === undefined && queue.length > 0) {
      isTaking = true;
      attach(await backends.take());
      isTaking = false;
    }
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      if (next.type === QUERY || next.type === SYNC) answersDue += 1;
      backend?.stream.write(next.bytes);
    }
  };
  socket.on("data", (data) => {
    for (const received of cutter.cut(data)) {
      if (received.type === 0) begin(received, socket, cutter, record);
      else if (received.type === TERMINATE) socket.end();
      else {
        note(received, record);
        if (!state.isStalled) queue.push(received);
      }
    }
    void forward();
  });
  socket.on("error", () => {});
  // A transaction that its client left open dies with its connection.
  socket.once("close", () => backend?.stream.destroy());
}

function begin({ body }: Message, socket: Socket, cutter: Cutter, record: PoolerRecord): void {
  const code = body.readUInt32BE(0);
  if (code === SSL_REQUEST) socket.write("N");
  if (code === CANCEL_REQUEST) {
    record.cancelRequests += 1;
    socket.end();
  }
  if (code !== FIRST_PROTOCOL) return;
  const words = body.toString("utf8", 4).split("\0");
  const parameters: Record<string, string> = {};
  for (let at = 0; words[at]; at += 2) parameters[words[at] ?? ""] = words[at + 1] ?? "";
  const { user: _user, database: _database, ...others } = parameters;
  record.starts.push(others);
  cutter.isStarting = false;
  socket.write(SIGNED_IN);
}

function note({ type, body }: Message, record: PoolerRecord): void {
  if (type === QUERY) record.simpleStatements.push(cString(body));
  const name = type === PARSE ? cString(body) : "";
  if (name !== "") record.statementNames.push(name);
}
