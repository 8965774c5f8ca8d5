/** Stands in for a running system's `GET /v1/progress`: the test says how far it has read. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll } from "vitest";

export interface PartitionState {
  readonly partition: number;
  readonly next_offset: number;
  /** Default: `next_offset`. */
  readonly finished_offset?: number;
  readonly events?: number;
  readonly duplicates?: number;
  readonly dead_letters?: number;
  readonly gaps?: number;
}

export interface ProgressServer {
  readonly url: string;
  readonly token: string;
  /** What it answers from now on, request by request; the last one stays. */
  answers: ((topic: string) => readonly PartitionState[] | Promise<readonly PartitionState[]>)[];
  requests: number;
}

const NOTHING = { events: 0, duplicates: 0, dead_letters: 0, gaps: 0 };

/** `topic` is the one that its partitions are said to be of. */
export async function progressServer(topic: () => string): Promise<ProgressServer> {
  const server = createServer((request, response) => {
    void (async () => {
      if (request.headers.authorization !== `Bearer ${state.token}`) {
        response.writeHead(401).end("{}");
        return;
      }
      state.requests++;
      const answer = state.answers.length > 1 ? state.answers.shift() : state.answers[0];
      const partitions = ((await answer?.(topic())) ?? []).map((partition) => ({
        ...NOTHING,
        topic: topic(),
        finished_offset: partition.next_offset,
        ...partition,
      }));
      const place = { topic: "other", partition: 0, next_offset: 1, finished_offset: 1 };
      const other = { ...NOTHING, ...place, events: 7 };
      response.end(JSON.stringify({ partitions: [other, ...partitions] }));
    })();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  afterAll(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const state: ProgressServer = { url, token: "secret", answers: [], requests: 0 };
  return state;
}
