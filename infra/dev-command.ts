/**
 * In `sst dev`: a command that runs PostgreSQL and Kafka on this machine, and every function that they
 * and the clock start. A mapping in the cloud cannot reach a broker behind a laptop's address.
 */
import type { Database } from "./database.ts";
import type { Kafka } from "./kafka.ts";
import type { Stage } from "./settings.ts";

export function createDevCommand(stage: Stage, database: Database, kafka: Kafka): void {
  new sst.x.DevCommand("Local", {
    dev: { command: "node packages/local/src/main-dev.ts", title: "Local", autostart: true },
    link: [database.owner, ...Object.values(database.direct), kafka.link],
    environment: {
      HEADRACE_STAGE: stage.name,
      LOG_LEVEL: stage.logs.level,
      EVENT_HORIZON_DAYS: String(stage.events.horizonDays),
    },
  });
}
