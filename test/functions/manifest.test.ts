/** The manifest says what starts each function; here it is held equal to the functions themselves. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type Routes, routeFacts } from "@headrace/handler";
import { describe, expect, test } from "vitest";
import { functions, functionsOf } from "../../functions/manifest.ts";

const FOLDER = join(import.meta.dirname, "../../functions");

interface FunctionModule {
  readonly handler?: unknown;
  readonly routes?: Routes;
}
const load = (file: string): Promise<FunctionModule> => import(join(FOLDER, `${file}.ts`));

test("every function's file is in the manifest, once", () => {
  const files = readdirSync(FOLDER, { recursive: true, encoding: "utf8" })
    // A function may be in several files: those below its own name are parts of it.
    .filter((name) => /^[a-z]+\/[a-z-]+\.ts$/.test(name))
    .map((name) => name.slice(0, -".ts".length));
  expect(functions.map(({ file }) => file).toSorted()).toEqual(files.toSorted());
});

test.each(functions)("$file exists and exports its handler", async ({ file }) => {
  expect(existsSync(join(FOLDER, `${file}.ts`))).toBe(true);
  expect((await load(file)).handler).toBeTypeOf("function");
});

describe("routes", () => {
  test.each(functionsOf("http"))("$file serves exactly what its entry names", async (entry) => {
    const { routes } = await load(entry.file);
    const byPath = (a: { path: string; method: string }, b: { path: string; method: string }) =>
      `${a.path} ${a.method}` < `${b.path} ${b.method}` ? -1 : 1;
    expect([...routeFacts(routes ?? {})].toSorted(byPath)).toEqual(
      entry.trigger.routes.toSorted(byPath),
    );
  });

  test.each(functionsOf("http"))("$file is given the pools that its routes use", async (entry) => {
    const { routes } = await load(entry.file);
    const used = new Set(Object.values(routes ?? {}).flatMap((route) => route?.spec.pool ?? []));
    expect([...used].toSorted()).toEqual(entry.pools.toSorted());
  });

  test("no route is served by two functions", () => {
    const keys = functionsOf("http").flatMap(({ trigger }) =>
      trigger.routes.map(({ method, path }) => `${method} ${path}`),
    );
    expect(keys).toEqual([...new Set(keys)]);
  });
});
