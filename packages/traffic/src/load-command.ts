/** What `npm run load` runs. */
import { runLoad } from "./load/run-load.ts";
import { runAsCommand } from "./run-as-command.ts";

await runAsCommand(runLoad);
