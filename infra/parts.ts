/** All that a stage is made of, for what watches over it. */
import type { Api } from "./api.ts";
import type { Consumer } from "./consumers.ts";
import type { Crons } from "./crons.ts";
import type { Database } from "./database.ts";
import type { Kafka } from "./kafka.ts";
import type { Stage } from "./settings.ts";

export interface Parts {
  readonly stage: Stage;
  readonly database: Database;
  readonly kafka: Kafka;
  readonly consumers: readonly Consumer[];
  readonly crons: Crons;
  readonly api: Api;
  /** Every function by its file below `functions/`, the release's own included. */
  readonly functions: ReadonlyMap<string, sst.aws.Function>;
}
