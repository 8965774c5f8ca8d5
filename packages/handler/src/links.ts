/**
 * What SST linked to this process: addresses and secrets, read from the function's own encrypted file
 * where it is deployed and from `SST_RESOURCE_<Name>` in `sst dev`, `sst shell` and tests.
 *
 * What is not linked is undefined. A link that does not have its shape is refused by its name
 * (`config.invalid`); no message holds a value, it may be a secret. Outside of SST nothing is read.
 */
import { bug } from "@headrace/kernel";
import { Resource } from "sst/resource";
import * as z from "zod";

export type Environment = Readonly<Record<string, string | undefined>>;

/** The raw value of a link; undefined where there is none. */
export type LinkSource = (name: string) => unknown;

const PREFIX = "SST_RESOURCE_";

export function linksOf(env: Environment): LinkSource {
  const isLinked = env.SST_RESOURCE_App || env.SST_KEY_FILE || env.SST_RESOURCES_JSON;
  return (name) => {
    // Before SST's own reading, which takes the environment in once and for all.
    const text = env[PREFIX + name];
    if (text) return parsedJson(name, text);
    return isLinked ? linked(name) : undefined;
  };
}

function linked(name: string): unknown {
  try {
    return name in Resource ? (Resource as unknown as Record<string, unknown>)[name] : undefined;
  } catch {
    // What it throws may quote the text that it could not read.
    throw bug(
      "config.invalid",
      "the links of this function cannot be read (SST_KEY_FILE, SST_KEY): deploy the stage again",
    );
  }
}

function parsedJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw bug("config.invalid", `the link ${name} (${PREFIX}${name}) is not JSON`);
  }
}

/**
 * What stands between a function and PostgreSQL: nothing, RDS Proxy, or a pooler that hands each
 * transaction to any connection (Neon's), which is spoken to over a WebSocket.
 */
export const THROUGH = ["server", "proxy", "pooler"] as const;
export type Through = (typeof THROUGH)[number];

export interface DatabaseAddress {
  readonly url: string;
  readonly through: Through;
}

export const postgresUrl = z
  .string()
  .refine(isPostgresUrl, "must be postgresql://user:password@host:port/database");

export const DatabaseLink = z.object({
  url: postgresUrl.transform(withVerifiedTls),
  through: z.enum(THROUGH, "must be server, proxy or pooler"),
});

const broker = /^(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}$/;

export const brokerList = z
  .string()
  .transform((list) => list.split(",").map((each) => each.trim()))
  .refine((list) => list.every((each) => broker.test(each)), "must be host:port[,host:port…]");

const text = z.string().min(1, "must not be empty");

export const KafkaLink = z
  .discriminatedUnion(
    "kind",
    [
      z.object({
        kind: z.literal("iam"),
        brokers: brokerList.optional(),
        clusterArn: z
          .string()
          .regex(/^arn:[a-z-]+:kafka:[a-z0-9-]+:\d{12}:cluster\//, "must be an MSK cluster's ARN")
          .optional(),
        region: text.optional(),
      }),
      z.object({ kind: z.literal("scram"), brokers: brokerList, username: text, password: text }),
      z.object({ kind: z.literal("plain"), brokers: brokerList }),
    ],
    "must be iam, scram or plain",
  )
  .refine(
    (link) =>
      link.kind !== "iam" ||
      link.clusterArn !== undefined ||
      (link.brokers !== undefined && link.region !== undefined),
    "must hold clusterArn, or brokers and region",
  );
export type KafkaLink = z.output<typeof KafkaLink>;

export const PulseLink = z.object({ functionName: text });

/** Undefined when it is not linked; throws `config.invalid`. */
export function readLink<Schema extends z.ZodType>(
  source: LinkSource,
  name: string,
  schema: Schema,
): z.output<Schema> | undefined {
  const value = source(name);
  if (value === undefined) return undefined;
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const faults = error.issues.map(({ path, message, code }) => {
    const isMissing = code === "invalid_type" && message.endsWith("received undefined");
    return `${path.join(".") || "it"} ${isMissing ? "is missing" : message}`;
  });
  throw bug("config.invalid", `the link ${name} is not as it must be: ${faults.join("; ")}`);
}

function isPostgresUrl(address: string): boolean {
  const url = URL.parse(address);
  return url !== null && /^postgres(ql)?:$/.test(url.protocol) && url.pathname.length > 1;
}

/** The driver takes the weaker words for `verify-full` too, but writes a warning that is no log line. */
function withVerifiedTls(address: string): string {
  const url = new URL(address);
  const mode = url.searchParams.get("sslmode") ?? "";
  if (["prefer", "require", "verify-ca"].includes(mode))
    url.searchParams.set("sslmode", "verify-full");
  return url.href;
}
