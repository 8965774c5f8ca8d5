/** How far the running system has read a topic, as `GET /v1/progress` tells over HTTP. */
import { AppError, unavailable } from "@headrace/kernel";
import * as z from "zod";
import type { Api } from "./running-system.ts";
import { PartitionFigures, type ReadProgress, topicProgress } from "./topic-progress.ts";

const Answer = z.object({ partitions: z.array(PartitionFigures) });

const REQUEST_TIMEOUT_MS = 10_000;

/** What it returns throws `replay.api`, or `replay.token` where asking again would not help. */
export function progressReader(api: Api): ReadProgress {
  const url = new URL("v1/progress", api.url.endsWith("/") ? api.url : `${api.url}/`);
  return async (topic) => {
    const { partitions } = await ask(url, api.token);
    return topicProgress(partitions, topic);
  };
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
