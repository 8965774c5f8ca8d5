/**
 * Functions packed as `sst deploy` packs them: one file each, what cannot be in it beside it.
 *
 * The options are those that SST 4.17.1 hands to esbuild for a Node 24 function; all are packed in one
 * run, which gives the same files as one run each.
 */
import { existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import type { FunctionEntry } from "../../functions/manifest.ts";
import { bundlingOf, MIGRATIONS } from "../../infra/bundling.ts";

const ROOT = join(import.meta.dirname, "../..");

export interface Bundle {
  readonly entry: FunctionEntry;
  /** What Lambda unpacks into its task's root. */
  readonly folder: string;
  /** Of the function's own file. */
  readonly bytes: number;
  /** Of the packages beside it. */
  readonly installedBytes: number;
}

/** SST's own first lines of every file: modules of the older kind find what they expect. */
const BANNER = `import { createRequire as topLevelCreateRequire } from 'module';
const require = topLevelCreateRequire(import.meta.url);
import { fileURLToPath as topLevelFileUrlToPath, URL as topLevelURL } from "url"
const __filename = topLevelFileUrlToPath(import.meta.url)
const __dirname = topLevelFileUrlToPath(new topLevelURL(".", import.meta.url))
`;

/** Packs `entries` into folders below `folder`, which must have no `node_modules` above it. */
export async function bundleFunctions(
  folder: string,
  entries: readonly FunctionEntry[],
): Promise<readonly Bundle[]> {
  const places = entries.map((entry) => ({
    entry,
    folder: join(folder, entry.file.replaceAll("/", "-")),
    installed: Object.keys(bundlingOf(entry).install ?? {}),
  }));
  // What is left out of a file is said for a whole run.
  const runs = Map.groupBy(places, ({ installed }) => installed.join(" "));
  await Promise.all([...runs.values()].map(pack));
  return Promise.all(
    places.map(async ({ installed, ...place }) => {
      await install(installed, place.folder);
      if (place.entry.trigger.kind === "deploy")
        await cp(join(ROOT, MIGRATIONS.from), join(place.folder, MIGRATIONS.to), {
          recursive: true,
        });
      const { size: bytes } = await stat(join(place.folder, "bundle.mjs"));
      return { ...place, bytes, installedBytes: await sizeOf(join(place.folder, "node_modules")) };
    }),
  );
}

interface Place {
  readonly entry: FunctionEntry;
  readonly folder: string;
  readonly installed: readonly string[];
}

async function pack(places: readonly Place[]): Promise<void> {
  const [first] = places;
  if (first === undefined) return;
  await build({
    absWorkingDir: ROOT,
    entryPoints: places.map(({ entry, folder }) => ({
      in: `functions/${entry.file}.ts`,
      out: join(folder, "bundle"),
    })),
    outdir: dirname(first.folder),
    outExtension: { ".js": ".mjs" },
    platform: "node",
    format: "esm",
    target: "es2024",
    bundle: true,
    minify: bundlingOf(first.entry).minify,
    keepNames: true,
    mainFields: ["module", "main"],
    external: ["sharp", "pg-native", ...first.installed],
    banner: { js: BANNER },
    logLevel: "warning",
  });
}

/** The packages and all that they need, as npm would lay them out, from what npm installed here. */
async function install(packages: readonly string[], folder: string): Promise<void> {
  const known = new Map<string, string>();
  const add = async (name: string, from: string, isOptional = false): Promise<void> => {
    const place = placeOf(name, from);
    if (place === undefined) {
      if (isOptional) return;
      throw new Error(`${from} needs ${name}, which is not installed: run npm ci`);
    }
    const other = known.get(name);
    if (other === place) return;
    if (other !== undefined)
      throw new Error(`two versions of ${name} are needed: ${other}, ${place}`);
    known.set(name, place);
    const target = join(folder, "node_modules", name);
    await mkdir(dirname(target), { recursive: true });
    await cp(place, target, {
      recursive: true,
      filter: (path) => !path.slice(place.length).startsWith("/node_modules"),
    });
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
      await readFile(join(place, "package.json"), "utf8"),
    ) as Record<"dependencies" | "optionalDependencies", Record<string, string> | undefined>;
    for (const needed of Object.keys(dependencies))
      await add(needed, place, needed in optionalDependencies);
    for (const wished of Object.keys(optionalDependencies)) await add(wished, place, true);
  };
  for (const name of packages) await add(name, join(ROOT, "packages/kafka"));
}

function placeOf(name: string, from: string): string | undefined {
  const folders = createRequire(join(from, "package.json")).resolve.paths(name) ?? [];
  return folders
    .map((folder) => join(folder, name))
    .find((place) => existsSync(join(place, "package.json")));
}

async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map(async (file) => (await stat(join(file.parentPath, file.name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
