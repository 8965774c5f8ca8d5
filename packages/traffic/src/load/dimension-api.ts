/** Sends items of a dimension to the running system, some hundred at a time. */
import { setTimeout as sleep } from "node:timers/promises";
import { AppError, invalid, unavailable } from "@headrace/kernel";
import * as z from "zod";
import type { Api } from "../replay/running-system.ts";
import { DIMENSIONS, type DimensionName } from "./dimension.ts";

/** What the routes take at once; see functions/http/dimensions.ts. */
export const MOST_ITEMS = 500;
export const MOST_BYTES = 1024 * 1024;
/** No sound item is a tenth as long. */
export const MOST_ITEM_BYTES = 64 * 1024;

const REQUEST_TIMEOUT_MS = 30_000;
/** Pauses before each further try: to send the same again changes nothing. */
const PAUSES_MS = [200, 1_000, 3_000] as const;

const Verdicts = z.array(
  z.object({
    status: z.number(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  }),
);

/** Sends JSON texts of items; what it returns says of each why it was refused, or undefined. */
export type SendItems = (items: readonly string[]) => Promise<readonly (string | undefined)[]>;

/** What it returns throws `load.api`, or `load.token` where trying again would not help. */
export function dimensionSender(api: Api, name: DimensionName, signal?: AbortSignal): SendItems {
  const url = new URL(DIMENSIONS[name].path, api.url.endsWith("/") ? api.url : `${api.url}/`);
  return async (items) => {
    const body = `[${items.join(",")}]`;
    for (const pause of PAUSES_MS) {
      const verdicts = await tried(put(url, api.token, body, name, items.length, signal));
      if (verdicts !== undefined) return verdicts;
      await sleep(pause, undefined, signal === undefined ? {} : { signal });
    }
    return put(url, api.token, body, name, items.length, signal);
  };
}

/** Undefined where another try may succeed. */
async function tried<Result>(sending: Promise<Result>): Promise<Result | undefined> {
  try {
    return await sending;
  } catch (error) {
    if (error instanceof AppError && error.kind === "unavailable") return undefined;
    throw error;
  }
}

async function put(
  url: URL,
  token: string,
  body: string,
  name: DimensionName,
  count: number,
  signal: AbortSignal | undefined,
): Promise<readonly (string | undefined)[]> {
  const timeout = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  let answer: Response;
  let content: unknown;
  try {
    answer = await fetch(url, {
      method: "PUT",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body,
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    });
    content = await answer.json();
  } catch (error) {
    throw unavailable("load.api", `${url} does not answer (${causeOf(error)})`, { cause: error });
  }
  if (answer.status === 401 || answer.status === 403)
    throw new AppError(
      "invalid",
      "load.token",
      `${url} refuses the token (${answer.status}): it must be valid and have the scope admin`,
    );
  const verdicts = Verdicts.safeParse((content as Record<string, unknown> | null)?.[name]).data;
  if (answer.ok && verdicts?.length === count) return verdicts.map(reasonOf);
  const isPassing = answer.ok || answer.status === 429 || answer.status >= 500;
  throw (isPassing ? unavailable : invalid)(
    "load.api",
    `${url} answers ${answer.status} without a verdict on each line`,
  );
}

function reasonOf({ status, errors = [] }: z.output<typeof Verdicts>[number]): string | undefined {
  if (status < 400) return undefined;
  const told = errors.map(({ path, message }) => `${path.slice(1)} ${message}`.trim());
  return told.join("; ") || `is refused (${status})`;
}

/** The innermost message says most: "connect ECONNREFUSED 127.0.0.1:8787". */
function causeOf(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause !== undefined) inner = inner.cause;
  return inner instanceof Error ? inner.message : String(inner);
}

/** JSON texts of items in parts that one request takes. */
export class ItemParts {
  readonly #texts: string[] = [];
  #bytes = 0;

  get count(): number {
    return this.#texts.length;
  }

  /** Whether it fits beside the others; send those first where it does not. */
  add(text: string): boolean {
    const bytes = Buffer.byteLength(text) + 1;
    if (this.#texts.length > 0 && this.#bytes + bytes + 1 > MOST_BYTES) return false;
    this.#texts.push(text);
    this.#bytes += bytes;
    return true;
  }

  get isFull(): boolean {
    return this.#texts.length >= MOST_ITEMS;
  }

  take(): string[] {
    this.#bytes = 0;
    return this.#texts.splice(0);
  }
}
