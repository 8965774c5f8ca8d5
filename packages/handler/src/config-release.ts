/**
 * What a deploy brings about, as infra states it to the function that does: the topics, whose
 * passwords the roles get, and how many connections the server is to allow. Read with the rest of the configuration's rules: what is wrong or missing
 * is refused by its name, and no message holds a value.
 */
import { bug } from "@headrace/kernel";
import * as z from "zod";
import { databaseAddress, type Purpose } from "./config.ts";
import type { Environment } from "./links.ts";

const Topics = z
  .array(
    z.strictObject({
      name: z.string().regex(/^[A-Za-z0-9._-]{1,249}$/),
      /** At least. */
      partitions: z.int().min(1).max(10_000),
      /** Copies of each partition; the brokers' own default where it is absent. */
      replication: z.int().min(1).max(9).optional(),
      configs: z.record(z.string(), z.string()),
    }),
  )
  .min(1);
export type ReleaseTopic = z.output<typeof Topics>[number];

/** Throws `config.missing` or `config.invalid`. */
export function releaseTopics(env: Environment = process.env): readonly ReleaseTopic[] {
  const text = env.TOPICS;
  if (!text)
    throw bug(
      "config.missing",
      'TOPICS is not set: set it to JSON such as [{"name":"events","partitions":4,"configs":{}}]',
    );
  const parsed = Topics.safeParse(jsonOf(text));
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(
    ({ path, message }) => `${["TOPICS", ...path].join(".")}: ${message}`,
  );
  throw bug("config.invalid", faults.join("; "));
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw bug("config.invalid", "TOPICS is not JSON");
  }
}

/** What the server's parameters ask for; undefined where they are not the deploy's to set. */
export function expectedConnections(env: Environment = process.env): number | undefined {
  const text = env.MAX_CONNECTIONS;
  if (!text) return undefined;
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw bug("config.invalid", "MAX_CONNECTIONS must be a whole number from 1 to 999999");
}

/** `brokers`: by Kafka's own protocol. `msk`: by AWS, for clusters that have such an API. */
export function topicApi(env: Environment = process.env): "brokers" | "msk" {
  const text = env.KAFKA_TOPIC_API || "brokers";
  if (text === "brokers" || text === "msk") return text;
  throw bug("config.invalid", "KAFKA_TOPIC_API must be brokers or msk");
}

/** The password in a role's address. Throws where the address is missing or names another role. */
export function rolePasswordOf(purpose: Purpose, role: string): string {
  const { username, password } = new URL(databaseAddress(purpose).url);
  if (username !== role || password === "")
    throw bug(
      "config.invalid",
      `the database's address for ${purpose} must name the role ${role} and its password: it is made with them`,
    );
  return decodeURIComponent(password);
}
