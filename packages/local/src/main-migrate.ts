/**
 * `npm run migrate [-- --home DIR]`: brings a database to this release's schema, the one that
 * DATABASE_URL names (as its owner), else that of the Headrace that runs on HOME.
 */
import { parseArgs } from "node:util";
import { migrate } from "@headrace/db";
import { invalid, notFound } from "@headrace/kernel";
import { checkDatabaseUrl } from "./database-url.ts";
import { findRunning } from "./home.ts";
import { runCommand } from "./main-command.ts";
import { homeFolder } from "./start-options.ts";

await runCommand(async () => {
  const { applied } = await migrate(await databaseUrl());
  console.log(
    applied.length === 0 ? "nothing to do: the schema is up to date" : applied.join("\n"),
  );
});

async function databaseUrl(): Promise<string> {
  const home = homeFolder(homeFlag(), process.env);
  const url = process.env.DATABASE_URL || (await findRunning(home))?.databaseUrl;
  if (url === undefined)
    throw notFound(
      "migrate.no_database",
      `nothing runs on ${home}: set DATABASE_URL to the database (its owner's address), or run npm start, which migrates by itself`,
    );
  checkDatabaseUrl(url);
  return url;
}

function homeFlag(): string | undefined {
  try {
    return parseArgs({ options: { home: { type: "string" } } }).values.home;
  } catch (error) {
    throw invalid("migrate.arguments", error instanceof Error ? error.message : String(error));
  }
}
