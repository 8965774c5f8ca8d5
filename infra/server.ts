/** The machine that a stage's database runs on: at its largest, where it grows with the load. */
import type { Machine as Server } from "@headrace/capacity";
import { auroraMachine, type Machine, RDS_MACHINES } from "./machines.ts";
import type { DatabaseSettings, Stage } from "./settings.ts";

const GIBIBYTE = 1024 ** 3;

export function serverOf({ size, database }: Stage): Server {
  const { memoryGigabytes, cores } = machineOf(database);
  return { size, memoryBytes: memoryGigabytes * GIBIBYTE, cores };
}

function machineOf(database: DatabaseSettings): Machine {
  switch (database.kind) {
    case "rds":
      return RDS_MACHINES[database.instance];
    case "aurora":
      return auroraMachine(database.maxCapacity);
    case "neon":
      return { memoryGigabytes: database.memoryGigabytes, cores: database.memoryGigabytes / 4 };
  }
}
