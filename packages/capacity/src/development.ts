/**
 * Where `sst dev` finds the PostgreSQL and the Kafka of this machine: fixed, because links to them are
 * written before they are started.
 */

/** No service is known for it, and systems give out their own ports far above. */
export const DEV_FIRST_PORT = 18_787;
/** The variable that names another one, for a second stage on one machine. */
export const DEV_PORT_VARIABLE = "HEADRACE_DEV_PORT";

const LEAST_PORT = 1024;
const MOST_PORT = 65_534;

export interface DevAddresses {
  readonly postgres: { readonly host: string; readonly port: number };
  readonly kafka: { readonly host: string; readonly port: number };
}

/** `firstPort`: the variable's text; Kafka has the next one. Throws a RangeError that names it. */
export function devAddresses(firstPort?: string): DevAddresses {
  const port = firstPort ? Number(firstPort) : DEV_FIRST_PORT;
  if (!Number.isInteger(port) || port < LEAST_PORT || port > MOST_PORT)
    throw new RangeError(
      `${DEV_PORT_VARIABLE} must be a port from ${LEAST_PORT} to ${MOST_PORT}, not "${firstPort}": set it to one that is free together with the next`,
    );
  const host = "127.0.0.1";
  return { postgres: { host, port }, kafka: { host, port: port + 1 } };
}
