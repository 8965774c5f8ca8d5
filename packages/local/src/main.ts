/** `npm start`. Later starts find what Node made of the sources in its compile cache. */
import { enableCompileCache } from "node:module";
import { join } from "node:path";

enableCompileCache(join(import.meta.dirname, "../../../node_modules/.cache/headrace"));
const { runCommand } = await import("./main-command.ts");
const { start } = await import("./start.ts");
await runCommand(() => start(process.argv.slice(2), process.env));
