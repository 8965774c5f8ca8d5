/**
 * `npm run bench -- NAME [--quick]`: starts what the bench needs, prints a table for people, and as
 * its very last line one JSON object for programs.
 */
import { execFileSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { sweepDeadRuns } from "../support/sweep.ts";
import type { Bench } from "./bench.ts";
import { coldStart } from "./cold-start.ts";
import { decode } from "./decode.ts";
import { freshness } from "./freshness.ts";
import { ingest } from "./ingest.ts";
import { reports, reportsOfTenDays } from "./reports.ts";

const benches: Readonly<Record<string, Bench>> = {
  "cold-start": coldStart,
  decode,
  ingest,
  freshness,
  reports,
  "reports-10m": reportsOfTenDays,
};

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: "boolean", default: false } },
});
const [name = ""] = positionals;
const bench = benches[name];
if (bench === undefined) {
  console.error(
    `npm run bench -- NAME [--quick], where NAME is one of: ${Object.keys(benches).join(", ")}`,
  );
  process.exit(2);
}

await sweepDeadRuns(new URL("../../.headrace", import.meta.url).pathname);
const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"]).toString().trim();
const figures = await bench({ quick: values.quick });
const width = Math.max(...Object.keys(figures).map((figure) => figure.length));
for (const [figure, value] of Object.entries(figures)) {
  console.log(
    `${figure.padEnd(width)}  ${value.toLocaleString("en", { maximumFractionDigits: 3 })}`,
  );
}
console.log(JSON.stringify({ bench: name, commit, cores: availableParallelism(), figures }));
process.exit(0);
