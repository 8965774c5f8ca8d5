/** The functions of the manifest, imported from the repository as the cloud would load each. */
import { bug } from "@headrace/kernel";
import { type FunctionEntry, functions } from "../../../functions/manifest.ts";

export type AnyHandler = (event: never, context: never) => unknown;

export interface LoadedFunction {
  readonly entry: FunctionEntry;
  readonly handler: AnyHandler;
}

const FOLDER = new URL("../../../functions/", import.meta.url);
let loads = 0;

/**
 * Throws `function.not_loaded` (bug) that names the file. Each call loads the files themselves anew: a
 * cold start, so that what they keep from a former environment (keys, connections) is not used again.
 */
export async function loadFunctions(): Promise<readonly LoadedFunction[]> {
  const query = loads++ === 0 ? "" : `?start=${loads}`;
  return await Promise.all(functions.map((entry) => load(entry, query)));
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
  const { handler } = exported;
  if (typeof handler !== "function") throw notLoaded(entry, "exports no function `handler`");
  return { entry, handler: handler as AnyHandler };
}

function notLoaded({ file }: FunctionEntry, message: string, cause?: unknown): Error {
  return bug("function.not_loaded", `functions/${file}.ts ${message}`, { cause });
}
