/**
 * `npm run dev [-- FLAGS]`: `sst dev` with these flags, once everything is there that it needs. In it,
 * PostgreSQL and Kafka are this machine's, and functions run here, behind the stage's own gateway.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { unavailable } from "@headrace/kernel";
import { missingForDev } from "./dev-prerequisites.ts";
import { runCommand } from "./main-command.ts";
import { homeFolder } from "./start-options.ts";

const REPOSITORY = join(import.meta.dirname, "../../..");
const SST = join(REPOSITORY, "node_modules/.bin/sst");

await runCommand(async () => {
  const missing = await missingForDev({
    env: process.env,
    nodeVersion: process.versions.node,
    sstProgram: SST,
    jarsFolder: join(homeFolder(undefined, process.env), "jars"),
  });
  if (missing.length > 0)
    throw unavailable(
      "dev.prerequisites",
      `\`sst dev\` cannot start yet. What is missing:\n\n${missing.map((line) => `  - ${line}`).join("\n")}\n\nWithout an AWS account, \`npm start\` runs everything on this machine.`,
    );
  const child = spawn(SST, ["dev", ...process.argv.slice(2)], {
    cwd: REPOSITORY,
    stdio: "inherit",
  });
  // A Ctrl-C reaches both; how it ends is for sst to decide.
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(name, () => name !== "SIGINT" && child.kill(name));
  const code = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (exit, signal) => resolve(signal === null ? (exit ?? 1) : 130));
  });
  process.exit(code);
});
