/** The functions of the manifest, imported from the repository as the cloud would load each. */
import type { Routes } from "@headrace/handler";
import { bug } from "@headrace/kernel";
import { type FunctionEntry, functions, type Trigger } from "../../../functions/manifest.ts";

export type AnyHandler = (event: never, context: never) => unknown;

export interface LoadedFunction {
  readonly entry: FunctionEntry;
  readonly handler: AnyHandler;
  /** Of a function that HTTP starts. */
  readonly routes?: Routes;
}

const FOLDER = new URL("../../../functions/", import.meta.url);
let loads = 0;

/**
 * Those that triggers of these kinds start. Throws `function.not_loaded` (bug) that names the file.
 *
 * Each call loads the functions' own files anew, so that what they made from a former environment is
 * not used again. The packages that they import are loaded once.
 */
export async function loadFunctions(
  kinds: readonly Trigger["kind"][],
): Promise<readonly LoadedFunction[]> {
  const query = loads++ === 0 ? "" : `?start=${loads}`;
  const wanted = functions.filter(({ trigger }) => kinds.includes(trigger.kind));
  return await Promise.all(wanted.map((entry) => load(entry, query)));
}

async function load(entry: FunctionEntry, query: string): Promise<LoadedFunction> {
  const url = new URL(`${entry.file}.ts${query}`, FOLDER).href;
  let exported: Readonly<Record<string, unknown>>;
  try {
    exported = await import(/* @vite-ignore */ url);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw notLoaded(entry, `cannot be loaded: ${message}`, error);
  }
  const { handler, routes } = exported;
  if (typeof handler !== "function") throw notLoaded(entry, "exports no function `handler`");
  return { entry, handler: handler as AnyHandler, ...(routes ? { routes: routes as Routes } : {}) };
}

function notLoaded({ file }: FunctionEntry, message: string, cause?: unknown): Error {
  return bug("function.not_loaded", `functions/${file}.ts ${message}`, { cause });
}
