/** The command line of `npm run replay`. */
import { parseArgs } from "node:util";
import { EVENTS_TOPIC } from "@headrace/events";
import { invalid } from "@headrace/kernel";
import { FIELDS, type MapChoices, parseMap } from "./column-map.ts";
import type { Environment } from "./running-system.ts";

export interface ReplayArguments {
  /** `-` is standard input. */
  readonly path: string;
  readonly map: MapChoices;
  readonly speed: number | "max";
  readonly shiftToNow: boolean;
  readonly wait: boolean;
  readonly topic: string;
}

export const HELP = `Usage: npm run replay -- FILE [options]

Sends the events of a CSV or NDJSON file (.gz too, - for standard input) to the running Headrace.

  --map FIELD=COLUMN,...  which column is which field; may be given more than once. A column that
                          carries a field's name is that field without being mapped; FIELD= maps
                          no column to a field. All other columns go to "data".
                          Fields: ${FIELDS.slice(0, 6).join(", ")},
                          ${FIELDS.slice(6).join(", ")}
  --speed N|max           N times as fast as the events happened, in the file's order; max (the
                          default) as fast as Kafka takes them
  --shift-to-now          move all event times so that the newest is now; makes new ids
  --wait                  return when all events are in the results, and print what became of them
  --topic NAME            default: EVENTS_TOPIC, or "${EVENTS_TOPIC}"
  --help                  this

Times without an offset are read as UTC. An empty CSV cell is absent. An event without an event_id gets
one made from the file's whole content and its line: the same file again stores nothing again, but a
file that has grown is another file. Lines that cannot be read are listed and skipped.

The running system is found through HEADRACE_HOME/running.json (default: .headrace in the repository),
or through KAFKA_BROKERS; --wait then needs DATABASE_URL too (or HEADRACE_URL and HEADRACE_TOKEN, a
token with scope reports:read). The counts of --wait are exact while nothing else produces: compare
runs on a Headrace that was started with --no-traffic.

Exit codes: 0 replayed (bad lines are told, not an error), 1 not or not wholly replayed, or not one line
could be read, 2 wrong arguments, 130 interrupted.
`;

/** "help" where it is asked for. Throws `replay.arguments` and `replay.map`. */
export function readArguments(argv: readonly string[], env: Environment): ReplayArguments | "help" {
  const { values, positionals } = parsed(argv);
  if (values.help) return "help";
  const [path, ...more] = positionals;
  if (path === undefined) throw wrong("no file was named");
  if (more.length > 0) throw wrong(`one file at a time; there is also ${more.join(", ")}`);
  return {
    path,
    map: parseMap(values.map ?? []),
    speed: readSpeed(values.speed ?? "max"),
    shiftToNow: values["shift-to-now"] ?? false,
    wait: values.wait ?? false,
    topic: values.topic || env.EVENTS_TOPIC || EVENTS_TOPIC,
  };
}

function parsed(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        map: { type: "string", multiple: true },
        speed: { type: "string" },
        "shift-to-now": { type: "boolean" },
        wait: { type: "boolean" },
        topic: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw wrong(error instanceof Error ? error.message : String(error));
  }
}

function readSpeed(text: string): number | "max" {
  if (text === "max") return "max";
  const speed = /^\d*\.?\d+$/.test(text) ? Number(text) : 0;
  if (speed > 0) return speed;
  throw wrong(`--speed is a number above 0 or max, not "${text}"`);
}

function wrong(why: string) {
  return invalid("replay.arguments", `${why}. See: npm run replay -- --help`);
}
