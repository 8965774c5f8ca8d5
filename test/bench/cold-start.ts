/**
 * Bench `cold-start`: how long each function takes from the beginning of loading its packed file to its
 * first answer, in a process that has just started, and how large it is.
 *
 * The database and Kafka are on the same machine, so this is the function's own part: what Lambda
 * needs to bring up a machine and fetch the file, and the way to servers far away, come on top. The
 * smaller a function's memory, the smaller its share of a core, which this machine gives whole.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  fetchKafkaJars,
  removeKafka,
  removePostgres,
  startKafka,
  startPostgres,
} from "@headrace/local";
import { type FunctionEntry, functions } from "../../functions/manifest.ts";
import { type Bundle, bundleFunctions } from "../support/bundles.ts";
import { type CloudStage, startCloudStage } from "../support/cloud-stage.ts";
import { startLambda } from "../support/lambda.ts";
import { type Bench, median } from "./bench.ts";

const JARS_FOLDER = new URL("../../.headrace/jars", import.meta.url).pathname;
/** `pulse` answers when its time is up: here that is at once, after its crons have run. */
const PULSE_MILLIS = 4_000;

export const coldStart: Bench = async ({ quick }) => {
  const base = await mkdtemp(join(tmpdir(), "headrace-cold-start-"));
  const [postgres, kafka] = ["postgres", "kafka"].map((name) => join(base, name)) as [
    string,
    string,
  ];
  await fetchKafkaJars(JARS_FOLDER);
  const bundles = await bundleFunctions(join(base, "functions"), functions);
  const server = await startPostgres({ folder: postgres, password: "bench" });
  const broker = await startKafka({ folder: kafka, jarsFolder: JARS_FOLDER });
  const stage = await startCloudStage(server.url, broker.brokers);
  try {
    return await measure(stage, bundles, quick ? 3 : 11);
  } finally {
    await stage.stop();
    await Promise.all([server.stop(), broker.stop()]);
    await Promise.all([removePostgres(postgres), removeKafka(kafka)]);
    await rm(base, { recursive: true, force: true });
  }
};

/** In the manifest's order, which begins with the deploy that makes the rest possible. */
async function measure(stage: CloudStage, bundles: readonly Bundle[], times: number) {
  const figures: Record<string, number> = {};
  for (const bundle of bundles) {
    const millis: number[] = [];
    for (let time = 0; time < times; time += 1) millis.push(await startOnce(stage, bundle));
    const name = figureName(bundle.entry);
    figures[`${name}_ms`] = median(millis);
    figures[`${name}_kib`] = Math.ceil((bundle.bytes + bundle.installedBytes) / 1024);
  }
  return figures;
}

async function startOnce(stage: CloudStage, bundle: Bundle): Promise<number> {
  const { entry } = bundle;
  const lambda = await startLambda(bundle, stage.optionsFor(entry));
  try {
    const remaining = entry.file === "cron/pulse" ? PULSE_MILLIS : undefined;
    return (await lambda.invoke(stage.eventFor(entry), remaining)).millis;
  } finally {
    await lambda.stop();
  }
}

/** `kafka/ingest-events` → `ingest_events`. */
const figureName = ({ file }: FunctionEntry): string =>
  (file.split("/").at(-1) ?? file).replaceAll("-", "_");
