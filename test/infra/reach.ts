/**
 * What a function can ask of AWS and Kafka, by what it calls: its file is bundled with everything of
 * ours that it imports, what nothing calls is left out, and the rest is searched for commands of the
 * AWS SDK and for the doors of packages/kafka.
 */
import { join } from "node:path";
import { build } from "esbuild";
import type { FunctionEntry, KafkaUse } from "../../functions/manifest.ts";
import { ROOT } from "./bundle-config.ts";

export interface Reach {
  /** `InvokeCommand` and its like. */
  readonly commands: ReadonlySet<string>;
  readonly kafka: ReadonlySet<KafkaDoor>;
}

/** Beside the manifest's words: a group's offsets, and partitions that are added to a topic. */
export type KafkaDoor = KafkaUse | "groups" | "grow";

export async function reachOf({ file }: Pick<FunctionEntry, "file">): Promise<Reach> {
  const code = await reachableCode(join(ROOT, `functions/${file}.ts`));
  const callers = withoutPackage(code, "packages/kafka/");
  // The wrapper makes producers for others and sends nothing itself.
  const senders = withoutPackage(callers, "packages/handler/");
  const has = (door: string): boolean => code.includes(`function ${door}(`);
  const asks = (method: RegExp): boolean => method.test(callers);
  const kafka = new Set<KafkaDoor>();
  if (has("createProducer") && /\.send\(/.test(senders)) kafka.add("produce");
  if (has("createFetcher")) kafka.add("read");
  if (has("createFetcher") && asks(/\.(commit|committed)\(/)) kafka.add("groups");
  if (has("createAdmin") && asks(/\.(offsets|partitions)\(/)) kafka.add("offsets");
  if (has("createAdmin") && asks(/\b(ensureTopic|deleteTopic)\b/)) kafka.add("administer");
  if (asks(/\bgrow: /)) kafka.add("grow");
  const commands = code.matchAll(/new (\w+Command)\d*\(/g);
  return { commands: new Set([...commands].map((match) => match[1] ?? "")), kafka };
}

async function reachableCode(path: string): Promise<string> {
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: [path],
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    treeShaking: true,
    logLevel: "silent",
    plugins: [
      {
        name: "our own code",
        setup({ onResolve }) {
          onResolve({ filter: /^[^./]/ }, ({ path }) =>
            path.startsWith("@headrace/") || path.startsWith("/") ? undefined : { external: true },
          );
        },
      },
    ],
  });
  return outputFiles[0]?.text ?? "";
}

/** The bundler writes each file's path before its code. */
function withoutPackage(code: string, folder: string): string {
  return code
    .split(/^(?=\/\/ (?:functions|packages|package\.json))/m)
    .filter((part) => !part.startsWith(`// ${folder}`))
    .join("");
}
