/** `npm run token`: see `token.ts`. */
import { runCommand } from "./main-command.ts";
import { homeFolder } from "./start-options.ts";
import { makeToken } from "./token.ts";

await runCommand(async () => {
  console.log(await makeToken(process.argv.slice(2), homeFolder(undefined, process.env)));
});
