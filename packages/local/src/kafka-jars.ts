/**
 * Apache Kafka as jars from Maven Central: there is no broker on npm. Fetched once per folder; a
 * complete folder needs neither Maven nor the network. Several processes may fetch into one folder
 * at once: each downloads beside it and moves its copy into place whole, and the first one wins.
 */
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { unavailable } from "@headrace/kernel";
import { runTool } from "./child.ts";
import { findMaven } from "./prerequisites.ts";

/** 4.4.0 does not resolve: its kafka-tools-api is not on Maven Central. */
const KAFKA = "org.apache.kafka:kafka_2.13:4.3.1";
/** Kafka logs through slf4j 1.7 and says nothing at all without a binding. */
const LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.1";
const COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/** Written last into a download: what was fetched, and each jar's size. */
const CONTENTS = "contents.json";

interface Contents {
  readonly artifacts: readonly string[];
  readonly bytes: Readonly<Record<string, number>>;
}

/** Makes sure that `folder` holds the jars. Needs `mvn`, Java and the network only when it does not. */
export async function fetchKafkaJars(folder: string): Promise<void> {
  if (await isComplete(folder)) return;
  const maven = await findMaven();
  await mkdir(dirname(folder), { recursive: true });
  const work = await mkdtemp(join(dirname(folder), `.${basename(folder)}-`));
  try {
    const fresh = join(work, "jars");
    await download(maven, work, fresh);
    await writeFile(join(fresh, CONTENTS), JSON.stringify(await contentsOf(fresh), undefined, 1));
    await moveIntoPlace(fresh, folder, join(work, "replaced"));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function download(maven: string, work: string, into: string): Promise<void> {
  await writeFile(join(work, "pom.xml"), pom());
  const { code, output } = await runTool(
    maven,
    ["-q", "-B", COPY_GOAL, "-DincludeScope=runtime", `-DoutputDirectory=${into}`],
    { cwd: work },
  );
  if (code === 0) return;
  const said = output.split("\n").filter((line) => line.startsWith("[ERROR]"));
  throw unavailable(
    "kafka.not_fetched",
    `Maven could not fetch Kafka (needed once, about 45 MB from Maven Central). Check the network, or Maven's mirror and proxy in ~/.m2/settings.xml, and start again. Maven said:\n${said.slice(0, 3).join("\n") || output.slice(-1000)}`,
  );
}

async function isComplete(folder: string): Promise<boolean> {
  let contents: Contents;
  try {
    contents = JSON.parse(await readFile(join(folder, CONTENTS), "utf8")) as Contents;
  } catch {
    return false;
  }
  if (contents.artifacts?.join() !== [KAFKA, LOGGING].join()) return false;
  const sizes = await Promise.all(
    Object.entries(contents.bytes).map(async ([name, bytes]) => {
      const found = await stat(join(folder, name)).catch(() => undefined);
      return found?.size === bytes;
    }),
  );
  return sizes.every(Boolean);
}

async function contentsOf(folder: string): Promise<Contents> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".jar")).sort();
  const sizes = await Promise.all(
    names.map(async (name) => [name, (await stat(join(folder, name))).size] as const),
  );
  return { artifacts: [KAFKA, LOGGING], bytes: Object.fromEntries(sizes) };
}

/** A folder cannot be replaced in one step: the old one is moved aside first. */
async function moveIntoPlace(fresh: string, folder: string, aside: string): Promise<void> {
  for (let attempt = 0; attempt < 10; attempt++) {
    try {
      await rename(fresh, folder);
      return;
    } catch (error) {
      if (!isOccupied(error)) throw error;
    }
    if (await isComplete(folder)) return; // another process was faster
    await rename(folder, `${aside}-${attempt}`).catch((error: unknown) => {
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    });
  }
  throw unavailable("kafka.not_fetched", `${folder} is being changed by others; start again.`);
}

function isOccupied(error: unknown): boolean {
  return (
    error instanceof Error &&
    "code" in error &&
    (error.code === "ENOTEMPTY" || error.code === "EEXIST")
  );
}

function pom(): string {
  const dependencies = [KAFKA, LOGGING].map((artifact) => {
    const [group, name, version] = artifact.split(":");
    return `<dependency><groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>`;
  });
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>headrace</groupId><artifactId>kafka-jars</artifactId><version>1</version>
<dependencies>
${dependencies.join("\n")}
</dependencies>
</project>
`;
}
