/** The command that `sst dev` runs on this machine for a stage: see `development.ts`. */
import { join } from "node:path";
import { runCommand } from "./main-command.ts";
import { ProcessEnd } from "./process-end.ts";
import { homeFolder } from "./start-options.ts";

await runCommand(async () => {
  const end = new ProcessEnd();
  end.listen(true);
  const home = homeFolder(undefined, process.env);
  // Loaded here, so that an early Ctrl-C is answered at once.
  const { startDevelopment } = await import("./development.ts");
  let crash: Error | undefined;
  try {
    const development = await startDevelopment({
      folder: join(home, "dev"),
      jarsFolder: join(home, "jars"),
      signal: end.signal,
      notice: (line) => console.log(line),
    });
    end.isStarting = false;
    console.log("the functions that Kafka and the clock start run on this machine");
    console.log(`ready ${development.brokers.join(",")}`);
    crash = await development.ended;
  } catch (error) {
    if (!end.signal.aborted) throw error;
  }
  const failure = end.failure ?? crash;
  if (failure !== undefined) throw failure;
});
