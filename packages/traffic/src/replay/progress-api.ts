/** How far the running system has read a topic, as `GET /v1/progress` tells over HTTP. */
import { AppError, unavailable } from "@headrace/kernel";
import * as z from "zod";
import type { Api } from "./running-system.ts";

export interface PartitionProgress {
  readonly nextOffset: number;
  /** Records whose event was stored. */
  readonly events: number;
  readonly duplicates: number;
  readonly deadLetters: number;
  /** Stretches before `nextOffset` that were skipped and not read yet. */
  readonly openGaps: number;
}

/** By partition; one that was never read may be missing. */
export type TopicProgress = ReadonlyMap<number, PartitionProgress>;

export const UNREAD: PartitionProgress = {
  nextOffset: 0,
  events: 0,
  duplicates: 0,
  deadLetters: 0,
  openGaps: 0,
};

/** Asks once; throws `replay.api` where there is no usable answer. */
export type ReadProgress = (topic: string) => Promise<TopicProgress>;

const Answer = z.object({
  partitions: z.array(
    z.object({
      topic: z.string(),
      partition: z.number(),
      next_offset: z.number(),
      events: z.number(),
      duplicates: z.number(),
      dead_letters: z.number(),
      gaps: z.number(),
    }),
  ),
});

const REQUEST_TIMEOUT_MS = 10_000;

export function progressReader(api: Api): ReadProgress {
  const url = new URL("v1/progress", api.url.endsWith("/") ? api.url : `${api.url}/`);
  return async (topic) => {
    const { partitions } = await ask(url, api.token);
    return topicProgress(partitions, topic);
  };
}

/** One topic's part of an answer. */
export function topicProgress(
  partitions: z.output<typeof Answer>["partitions"],
  topic: string,
): TopicProgress {
  const ours = partitions.filter((one) => one.topic === topic);
  return new Map(
    ours.map((one) => [
      one.partition,
      {
        nextOffset: one.next_offset,
        events: one.events,
        duplicates: one.duplicates,
        deadLetters: one.dead_letters,
        openGaps: one.gaps,
      },
    ]),
  );
}

async function ask(url: URL, token: string): Promise<z.output<typeof Answer>> {
  const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  let answer: Response;
  let body: unknown;
  try {
    answer = await fetch(url, { headers: { authorization: `Bearer ${token}` }, signal });
    body = await answer.json();
  } catch (error) {
    throw unavailable("replay.api", `${url} does not answer (${causeOf(error)})`, { cause: error });
  }
  if (answer.status === 401 || answer.status === 403)
    throw new AppError(
      "invalid",
      "replay.token",
      `${url} refuses the token (${answer.status}): it must be valid and have the scope reports:read`,
    );
  const parsed = Answer.safeParse(body);
  if (answer.ok && parsed.success) return parsed.data;
  throw unavailable("replay.api", `${url} answers ${answer.status} without the progress`);
}

/** The innermost message says most: "connect ECONNREFUSED 127.0.0.1:8787". */
function causeOf(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause !== undefined) inner = inner.cause;
  return inner instanceof Error ? inner.message : String(inner);
}
