/** `npm run rebuild`: see `rebuild-command.ts`. */
import { runCommand } from "./main-command.ts";
import { parseRebuildArguments, REBUILD_HELP, rebuild } from "./rebuild-command.ts";
import { asksForHelp } from "./token.ts";

await runCommand(async () => {
  const args = process.argv.slice(2);
  if (asksForHelp(args)) return console.log(REBUILD_HELP);
  const isTerminal = process.stdout.isTTY === true;
  await rebuild(parseRebuildArguments(args), (line, isOver) => {
    if (isOver) console.log(`${isTerminal ? "\r" : ""}${line}`);
    else if (isTerminal) process.stdout.write(`\r${line}`);
  });
});
