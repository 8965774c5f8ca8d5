/**
 * One PostgreSQL and one Kafka per test run, started by the first test that asks for them: the run's
 * main process starts them, the workers ask it over HTTP and wait. `DATABASE_URL` and
 * `KAFKA_BROKERS` name servers that exist instead.
 */
import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fetchKafkaJars, startKafka, startPostgres } from "@headrace/local";
import { inject } from "vitest";
import { type SecuredKafka, startSecuredKafka } from "./secured-kafka.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Where the run's main process answers for its servers. */
    serversUrl: string;
    /** Part of the name of all that this run makes on servers that it may share. */
    runId: string;
  }
}

/** Shared by all runs of this clone, and by `npm start`. */
export const JARS_FOLDER = join(import.meta.dirname, "../../.headrace/jars");

/**
 * Small, and without waiting for the disk. What is committed still survives kill -9 of the server,
 * which only a crash of the machine tells from fsync.
 */
export const TEST_SETTINGS = {
  fsync: "off",
  full_page_writes: "off",
  shared_buffers: "128MB",
  max_wal_size: "1GB",
} as const;

/** Owner's URL of a database on the run's PostgreSQL; tests make their own (`testDatabase`). */
export const adminUrl = (): Promise<string> => ask<string>("postgres");

/** Addresses of the run's Kafka. */
export const kafkaBrokers = (): Promise<readonly string[]> => ask<readonly string[]>("kafka");

/** The run's Kafka that asks for credentials. */
export const securedKafka = (): Promise<SecuredKafka> => ask<SecuredKafka>("secured-kafka");

async function ask<Answer>(server: string): Promise<Answer> {
  const response = await fetch(`${inject("serversUrl")}/${server}`);
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as Answer;
}

interface Started<Answer> {
  readonly answer: Answer;
  stop(): Promise<void>;
}

/** The main process' side. */
export class TestServers {
  readonly #folder: string;
  readonly #http: Server;
  readonly #secret: string;
  readonly #started = new Map<string, Promise<Started<unknown>>>();

  /** `secret` keeps other users of the machine from asking. */
  constructor(folder: string, secret: string) {
    this.#folder = folder;
    this.#secret = secret;
    this.#http = createServer((request, response) => void this.#answer(request.url, response));
  }

  async listen(): Promise<string> {
    this.#http.listen(0, "127.0.0.1");
    await once(this.#http, "listening");
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}/${this.#secret}`;
  }

  /** Ends what was started, also what is just starting. Their files stay. */
  async close(): Promise<void> {
    this.#http.close();
    this.#http.closeAllConnections();
    const started = await Promise.allSettled(this.#started.values());
    await Promise.all(
      started.map((it) => (it.status === "fulfilled" ? it.value.stop() : undefined)),
    );
  }

  async #answer(path: string | undefined, response: ServerResponse): Promise<void> {
    const server = STARTERS.find(({ name }) => path === `/${this.#secret}/${name}`);
    if (server === undefined) {
      response.writeHead(404).end();
      return;
    }
    const started = this.#started.get(server.name) ?? server.start(this.#folder);
    this.#started.set(server.name, started);
    try {
      response.end(JSON.stringify((await started).answer));
    } catch (error) {
      response.writeHead(500).end(error instanceof Error ? error.message : String(error));
    }
  }
}

const STARTERS: readonly { name: string; start: (folder: string) => Promise<Started<unknown>> }[] =
  [
    { name: "postgres", start: providePostgres },
    { name: "kafka", start: provideKafka },
    { name: "secured-kafka", start: provideSecuredKafka },
  ];

const nothingToStop = async (): Promise<void> => {};

async function providePostgres(folder: string): Promise<Started<string>> {
  const given = process.env.DATABASE_URL;
  if (given) return { answer: given, stop: nothingToStop };
  const server = await startPostgres({
    folder: join(folder, "postgres"),
    password: "test",
    settings: TEST_SETTINGS,
  });
  return { answer: server.url, stop: () => server.kill() };
}

async function provideKafka(folder: string): Promise<Started<readonly string[]>> {
  const given = process.env.KAFKA_BROKERS;
  if (given) return { answer: given.split(","), stop: nothingToStop };
  await fetchKafkaJars(JARS_FOLDER);
  const server = await startKafka({ folder: join(folder, "kafka"), jarsFolder: JARS_FOLDER });
  return { answer: server.brokers, stop: () => server.kill() };
}

async function provideSecuredKafka(folder: string): Promise<Started<SecuredKafka>> {
  await fetchKafkaJars(JARS_FOLDER);
  const { answer, server } = await startSecuredKafka(folder, JARS_FOLDER);
  return { answer, stop: () => server.kill() };
}
