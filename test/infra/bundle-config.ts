/** `sst.config.ts` and all it loads as one file, by the rules of SST's own command. */
import { readFile, symlink } from "node:fs/promises";
import { join, sep } from "node:path";
import { build, type Plugin } from "esbuild";
import type { Settings } from "../../infra/settings.ts";

export const ROOT = join(import.meta.dirname, "../..");
export const PLATFORM = join(ROOT, ".sst/platform");

export interface Edit {
  /** From the repository's root. */
  readonly path: string;
  /** Must occur in the file. */
  readonly from: string;
  readonly to: string;
}

export interface BundleOptions {
  /** In place of what `infra/stages.ts` says of the stage. */
  readonly settings: Settings;
  readonly stage: string;
  readonly dev: boolean;
  /** Empty: for the bundle, and for what the command would keep of its own. */
  readonly folder: string;
  readonly edit?: Edit | undefined;
}

/** The path of the file. */
export async function bundleConfig(options: BundleOptions): Promise<string> {
  const { settings, stage, dev, folder, edit } = options;
  const path = join(folder, "sst.config.mjs");
  // Packages that the bundle leaves out are the platform's own: of Pulumi there may only be one.
  await symlink(join(PLATFORM, "node_modules"), join(folder, "node_modules"));
  const app = await appOf(options);
  await build({
    absWorkingDir: ROOT,
    stdin: {
      resolveDir: ROOT,
      loader: "ts",
      sourcefile: "evaluate.ts",
      contents: `
        import { run } from "./.sst/platform/src/auto/run.ts";
        import config from "./sst.config.ts";
        export const evaluate = () => run(config.run);`,
    },
    outfile: path,
    bundle: true,
    format: "esm",
    platform: "node",
    mainFields: ["module", "main"],
    logLevel: "silent",
    external: [
      "@pulumi/*",
      "@pulumiverse/*",
      "@aws-sdk/*",
      "archiver",
      "esbuild",
      "glob",
      "undici",
      "vite",
    ],
    nodePaths: [join(PLATFORM, "node_modules")],
    inject: [join(PLATFORM, "src/shim/run.js")],
    define: {
      $app: JSON.stringify({ ...app, stage }),
      $cli: JSON.stringify({
        command: dev ? "dev" : "deploy",
        dev,
        paths: { home: folder, root: ROOT, work: folder, platform: PLATFORM },
        state: { version: {} },
      }),
      $dev: String(dev),
    },
    banner: {
      js: `import { createRequire } from "node:module";\nconst require = createRequire(import.meta.url);`,
    },
    plugins: [withSettings(settings), withProviders(edit)],
  });
  return path;
}

/** What the configuration's `app()` says of the stage, evaluated before and apart from `run()`. */
export async function appOf({
  settings,
  stage,
}: Pick<BundleOptions, "settings" | "stage">): Promise<object> {
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    stdin: { resolveDir: ROOT, contents: `export { default } from "./sst.config.ts";` },
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    logLevel: "silent",
    define: { $config: "Object" },
    external: ["node:*"],
    plugins: [withSettings(settings)],
  });
  const code = outputFiles[0]?.text ?? "";
  const module = await import(
    `data:text/javascript;base64,${Buffer.from(code).toString("base64")}`
  );
  return module.default.app({ stage });
}

/** The names that SST's command puts before each file of a project. */
const withProviders = (edit: Edit | undefined): Plugin => ({
  name: "providers",
  setup(bundle) {
    bundle.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      if (path.startsWith(PLATFORM + sep) || path.includes(`${sep}node_modules${sep}`)) return;
      const imports = [
        `import * as aws from "@pulumi/aws";`,
        `import * as random from "@pulumi/random";`,
        `import * as sst from ${JSON.stringify(join(PLATFORM, "src/components"))};`,
      ];
      const text = await readFile(path, "utf8");
      const own = edit !== undefined && path === join(ROOT, edit.path) ? edited(text, edit) : text;
      return { loader: "ts", contents: `${imports.join("")}${own}` };
    });
  },
});

function edited(text: string, { path, from, to }: Edit): string {
  if (!text.includes(from)) throw new Error(`${path} does not hold ${from}`);
  return text.replace(from, to);
}

const withSettings = (settings: Settings): Plugin => ({
  name: "settings",
  setup(bundle) {
    bundle.onLoad({ filter: /infra\/stages\.ts$/ }, () => ({
      loader: "ts",
      contents: `export const stages = {}; export const otherStages = ${JSON.stringify(settings)};`,
    }));
  },
});
