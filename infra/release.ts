/**
 * What a deploy does once, before any code of the new release serves: migrations, roles, topics and how
 * long raw events are kept, by one function that is invoked by the deploy itself. Its failure is the
 * deploy's, and the old release goes on serving.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { maxConnections } from "@headrace/capacity";
import { functionsOf } from "../functions/manifest.ts";
import { MIGRATIONS } from "./bundling.ts";
import { componentName } from "./component-name.ts";
import { createFunction, type Ground } from "./functions.ts";
import type { Stage } from "./settings.ts";
import { topicsOf } from "./topics.ts";

/** All that says what a deploy has to bring about. */
const SOURCES = [MIGRATIONS.from, "packages/capacity/src", "packages/db/src", "functions/deploy"];

export interface Release {
  readonly functions: ReadonlyMap<string, sst.aws.Function>;
  /** What everything else of the release waits for. */
  readonly invocations: readonly aws.lambda.Invocation[];
}

export function prepareRelease(ground: Omit<Ground, "prepared">): Release {
  const { stage, kafka } = ground;
  const told = {
    TOPICS: JSON.stringify(topicsOf(stage)),
    RAW_RETENTION_DAYS: String(stage.events.rawRetentionDays),
  };
  const functions = new Map<string, sst.aws.Function>();
  const invocations = functionsOf("deploy").map((entry) => {
    const created = createFunction(
      entry,
      { ...ground, prepared: [] },
      {
        environment: { ...told, ...connectionsOf(stage), ...kafka.topicEnvironment },
        copyFiles: [MIGRATIONS],
      },
    );
    functions.set(entry.file, created);
    const release = releaseOf(stage, told);
    return new aws.lambda.Invocation(
      `${componentName(entry)}Run`,
      {
        functionName: created.name,
        input: JSON.stringify({ release }),
        triggers: { release, place: placeOf(ground) },
      },
      // It may have to reach what lies outside, by routes that nothing else of it waits for.
      {
        dependsOn: [
          ...(ground.network === undefined ? [] : [ground.network.vpc]),
          ...ground.database.made,
          ...kafka.made,
        ],
      },
    );
  });
  return { functions, invocations };
}

/** Neon's allowance is its compute's; the others have it from our parameter, once restarted. */
const connectionsOf = ({ database, size }: Stage): Record<string, string> =>
  database.kind !== "neon" && !$dev ? { MAX_CONNECTIONS: String(maxConnections(size)) } : {};

/** Another one for another database, with other passwords, or another Kafka: they have nothing yet. */
const placeOf = ({ database, kafka }: Omit<Ground, "prepared">): $util.Output<string> =>
  $jsonStringify(
    [database.owner, ...Object.values(database.direct), kafka.link].map((each) => each.properties),
  ).apply((text) => createHash("sha256").update(text).digest("hex"));

/** Another one when there may be something to do. */
function releaseOf(stage: Stage, told: Readonly<Record<string, string>>): string {
  const hash = createHash("sha256").update(stage.size).update(JSON.stringify(told));
  for (const folder of SOURCES) {
    const path = join($cli.paths.root, folder);
    const names = readdirSync(path, { recursive: true, encoding: "utf8" }).toSorted();
    for (const name of names.filter((each) => /\.(sql|ts)$/.test(each)))
      hash.update(`${folder}/${name}\n`).update(readFileSync(join(path, name)));
  }
  return hash.digest("hex").slice(0, 16);
}
