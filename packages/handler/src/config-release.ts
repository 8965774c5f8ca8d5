/**
 * What a deploy brings about, as infra states it to the function that does: the topics, how long raw
 * events are kept, and the passwords that the roles get. Read with the rest of the configuration's
 * rules: what is wrong or missing is refused by its name, and no message holds a value.
 */
import { type DatabaseRole, databaseRole, ROLE_NAMES, type RoleName } from "@headrace/capacity";
import { bug } from "@headrace/kernel";
import * as z from "zod";
import { databaseAddress } from "./config.ts";
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

/** In days. Throws `config.missing` or `config.invalid`. */
export function rawRetentionDays(env: Environment = process.env): number {
  const text = env.RAW_RETENTION_DAYS;
  if (!text)
    throw bug(
      "config.missing",
      "RAW_RETENTION_DAYS is not set: set it to how many days raw events are kept",
    );
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text);
  throw bug("config.invalid", "RAW_RETENTION_DAYS must be whole days from 1 to 99999");
}

/** The roles' passwords, out of their addresses. Throws where one is missing or names another role. */
export function rolePasswords(): Readonly<Record<DatabaseRole, string>> {
  const entries = ROLE_NAMES.map((name) => [databaseRole(name), passwordFor(name)]);
  return Object.fromEntries(entries) as Record<DatabaseRole, string>;
}

function passwordFor(name: RoleName): string {
  const role = databaseRole(name);
  const { username, password } = new URL(databaseAddress(name).url);
  if (username !== role || password === "")
    throw bug(
      "config.invalid",
      `the database's address for ${name} must name the role ${role} and its password: it is made with them`,
    );
  return decodeURIComponent(password);
}
