/** `npm run token`: see `token.ts`. */
import { runCommand } from "./main-command.ts";
import { homeFolder } from "./start-options.ts";
import { asksForHelp, makeToken, TOKEN_HELP } from "./token.ts";

await runCommand(async () => {
  const args = process.argv.slice(2);
  if (asksForHelp(args)) console.log(TOKEN_HELP);
  else console.log(await makeToken(args, homeFolder(undefined, process.env)));
});
