/** What a function is called among a stage's resources. Pure. */
import type { FunctionEntry } from "../functions/manifest.ts";

/** `kafka/ingest-events` → `KafkaIngestEvents`. */
export const componentName = ({ file }: Pick<FunctionEntry, "file">): string =>
  file.replace(/(?:^|[/-])([a-z])/g, (_, letter: string) => letter.toUpperCase());
