/**
 * A stage, made from its settings and `functions/manifest.ts`: its network, database and Kafka, the
 * release's preparation, then every function with what starts it.
 *
 * In `sst dev` database and Kafka are those of this machine, and so is whatever they start.
 */
import { createAlarms } from "./alarms.ts";
import { createApi } from "./api.ts";
import { createBudget } from "./budget.ts";
import { createConsumers } from "./consumers.ts";
import { createCrons } from "./crons.ts";
import { createDashboard } from "./dashboard.ts";
import { createDatabase } from "./database.ts";
import { createDevCommand } from "./dev-command.ts";
import { figuresOf } from "./figures.ts";
import type { Ground } from "./functions.ts";
import { createKafka } from "./kafka.ts";
import { createNetwork } from "./network.ts";
import { prepareRelease } from "./release.ts";
import type { Stage } from "./settings.ts";

export interface Outputs {
  readonly api: $util.Output<string>;
}

export function createApp(stage: Stage): Outputs {
  return $dev ? createDevelopment(stage) : createStage(stage);
}

function createStage(stage: Stage): Outputs {
  const network = stage.size === "starter" ? undefined : createNetwork(stage);
  const database = createDatabase(stage, network);
  const kafka = createKafka(stage, network);
  const release = prepareRelease({ stage, network, database, kafka });
  const ground: Ground = { stage, network, database, kafka, prepared: release.invocations };
  const crons = createCrons(ground);
  const consumers = createConsumers(ground, crons.pulse);
  const api = createApi(ground);
  const parts = {
    stage,
    database,
    kafka,
    consumers,
    crons,
    api,
    functions: new Map([
      ...release.functions,
      ...crons.functions,
      ...consumers.map((consumer) => [consumer.entry.file, consumer.function] as const),
      ...api.functions,
    ]),
  };
  const figures = figuresOf(parts);
  createDashboard(parts, figures, createAlarms(parts, figures));
  createBudget(stage);
  return { api: api.gateway.url };
}

function createDevelopment(stage: Stage): Outputs {
  const database = createDatabase(stage, undefined);
  const kafka = createKafka(stage, undefined);
  createDevCommand(stage, database, kafka);
  const api = createApi({ stage, network: undefined, database, kafka, prepared: [] });
  return { api: api.gateway.url };
}
