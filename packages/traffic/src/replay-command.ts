/** What `npm run replay` runs. */
import { runReplay } from "./replay/run-replay.ts";
import { runAsCommand } from "./run-as-command.ts";

await runAsCommand(runReplay);
