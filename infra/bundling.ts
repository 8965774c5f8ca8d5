/** How a function's code is packed: SST makes one file of it, with what cannot be in that file beside it. */
import type { FunctionEntry } from "../functions/manifest.ts";
import kafkaPackage from "../packages/kafka/package.json" with { type: "json" };

export interface Bundling {
  readonly minify: boolean;
  /** Packages that npm installs beside the file, with their versions. */
  readonly install?: Readonly<Record<string, string>>;
}

/** The Kafka client's checksums and codecs, which it reads as a file from beside their own code. */
const CODECS = "@platformatic/wasm-utils";

export function bundlingOf({ kafka }: Pick<FunctionEntry, "kafka">): Bundling {
  return {
    minify: true,
    ...(kafka.length > 0 ? { install: { [CODECS]: kafkaPackage.dependencies[CODECS] } } : {}),
  };
}

/** What the function that applies migrations reads from beside its file. */
export const MIGRATIONS = { from: "packages/db/migrations", to: "migrations" };
