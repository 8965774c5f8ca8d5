/** The command line of `npm run load`. */
import { parseArgs } from "node:util";
import { invalid } from "@headrace/kernel";
import { DIMENSIONS, type DimensionName } from "./dimension.ts";

export interface LoadArguments {
  readonly name: DimensionName;
  /** `-` is standard input. */
  readonly path: string;
  /** Undefined where it was not said. */
  readonly home: string | undefined;
}

const columnsOf = (name: DimensionName): string =>
  [...DIMENSIONS[name].required, ...DIMENSIONS[name].optional.map((column) => `[${column}]`)].join(
    ", ",
  );

export const LOAD_HELP = `Usage: npm run load -- users FILE
       npm run load -- products FILE

Stores the users or products of a CSV or NDJSON file (.gz too, - for standard input) in the running
Headrace. A line whose id is known already takes the place of what is stored; the same file again
changes nothing. Results by segment and category follow within seconds.

  users      ${columnsOf("users")}
  products   ${columnsOf("products")}
  --home DIR the folder of the Headrace that runs; default HEADRACE_HOME
  --help     this

The first line of a CSV file names the columns; others than these are left out. An empty cell is
absent: then a product's stock and reorder point stay as they are stored, anything else is emptied.
Times without an offset are read as UTC. Lines that cannot be read or stored are listed and skipped.

The running system is found through running.json in its folder (default: .headrace in the repository),
or through HEADRACE_URL and HEADRACE_TOKEN (a token with scope admin).

Exit codes: 0 loaded (bad lines are told, not an error), 1 not or not wholly loaded, or not one line
could be, 2 wrong arguments, 130 interrupted.
`;

/** "help" where it is asked for. Throws `load.arguments`. */
export function readLoadArguments(argv: readonly string[]): LoadArguments | "help" {
  const { values, positionals } = parsed(argv);
  if (values.help) return "help";
  const [name = "", path, ...more] = positionals;
  if (!isDimension(name)) throw wrong(`say what to load: ${Object.keys(DIMENSIONS).join(" or ")}`);
  if (path === undefined) throw wrong("no file was named");
  if (more.length > 0) throw wrong(`one file at a time; there is also ${more.join(", ")}`);
  return { name, path, home: values.home };
}

const isDimension = (name: string): name is DimensionName => Object.hasOwn(DIMENSIONS, name);

function parsed(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { home: { type: "string" }, help: { type: "boolean", short: "h" } },
    });
  } catch (error) {
    throw wrong(error instanceof Error ? error.message : String(error));
  }
}

function wrong(why: string) {
  return invalid("load.arguments", `${why}. See: npm run load -- --help`);
}
