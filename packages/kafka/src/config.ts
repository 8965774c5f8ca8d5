/**
 * Where Kafka is and how to sign in: named brokers or an MSK cluster's ARN, with a password (SCRAM), an
 * IAM role or other bearer tokens. What is wrong in it is told when a client is made, by a message that
 * names the setting and never holds a secret.
 */
import { X509Certificate } from "node:crypto";
import { invalid } from "@headrace/kernel";
import type { TokenSource } from "./tokens.ts";

export interface KafkaConfig {
  /** `host:port` each; any one that answers is enough to find the others. Or `clusterArn`. */
  readonly brokers?: readonly string[] | undefined;
  /** An MSK cluster, asked for its brokers (`kafka:GetBootstrapBrokers`) where none are named. */
  readonly clusterArn?: string | undefined;
  /** The cluster's region; default: the one in `clusterArn`. */
  readonly region?: string | undefined;
  /** Default: none. */
  readonly auth?: KafkaAuth | undefined;
  /**
   * Default: on for `iam` and `scram`, else off. `ca` is a PEM to trust instead of the authorities that
   * Node knows.
   */
  readonly tls?: boolean | { readonly ca?: string } | undefined;
  /** Shown in the broker's logs and quotas. */
  readonly clientId?: string | undefined;
}

/** Where the brokers are known. */
export interface NamedBrokers extends KafkaConfig {
  readonly brokers: readonly string[];
}

/** Clients of this process that are handed the same `source` share its tokens. */
export type KafkaAuth =
  /** The role whose AWS credentials this process has; needs the cluster's region. */
  | { readonly kind: "iam" }
  /** SCRAM-SHA-512. */
  | { readonly kind: "scram"; readonly username: string; readonly password: string }
  /** OAUTHBEARER with tokens from elsewhere. */
  | { readonly kind: "token"; readonly source: TokenSource };

/** With all that signing in needs. */
export type SettledAuth =
  | { readonly kind: "iam"; readonly region: string }
  | Exclude<KafkaAuth, { readonly kind: "iam" }>;

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

/** A configuration that was checked, with its defaults. */
export interface Settings {
  /** Empty where `cluster` is to be asked. */
  readonly brokers: readonly BrokerAddress[];
  readonly cluster: { readonly arn: string; readonly region: string } | undefined;
  readonly auth: SettledAuth | undefined;
  readonly tls: { readonly ca?: string } | undefined;
  readonly clientId: string;
}

const BROKER = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/;
const CLUSTER_ARN = /^arn:[a-z-]+:kafka:([a-z0-9-]+):\d{12}:cluster\/[^/\s]+\/[^/\s]+$/;

/** Throws `kafka.brokers`, `kafka.cluster`, `kafka.auth` or `kafka.ca`. */
export function readSettings(config: KafkaConfig): Settings {
  const { brokers, clusterArn, tls } = config;
  const auth = settleAuth(config);
  const encrypted = tls ?? (auth?.kind === "iam" || auth?.kind === "scram");
  const ca = typeof tls === "object" ? tls.ca : undefined;
  if (ca !== undefined) checkCertificate(ca);
  const asked = brokers === undefined && clusterArn !== undefined;
  return {
    brokers: asked ? [] : parseBrokers(brokers ?? []),
    cluster: asked ? parseCluster(clusterArn, config.region) : undefined,
    auth,
    tls: encrypted === false ? undefined : ca === undefined ? {} : { ca },
    clientId: config.clientId ?? "headrace",
  };
}

/** Throws `kafka.brokers` where the list is empty or an entry is no `host:port`. */
export function parseBrokers(brokers: readonly string[]): readonly BrokerAddress[] {
  if (brokers.length === 0)
    throw invalid("kafka.brokers", "no Kafka broker (host:port) and no MSK cluster was named");
  return brokers.map((text) => {
    const match = BROKER.exec(text.trim());
    const host = match?.[1] ?? match?.[2];
    const port = Number(match?.[3]);
    if (host === undefined || !(port > 0 && port < 65_536))
      throw invalid("kafka.brokers", `not a Kafka broker's host:port: "${text}"`);
    return { host, port };
  });
}

/** What `parseBrokers` reads. */
export const nameOf = ({ host, port }: BrokerAddress): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;

/** Throws `kafka.cluster`. */
export function parseCluster(arn: string, region?: string): { arn: string; region: string } {
  const found = CLUSTER_ARN.exec(arn)?.[1];
  if (found === undefined)
    throw invalid(
      "kafka.cluster",
      `clusterArn is no MSK cluster's ARN (arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/ID): "${arn}"`,
    );
  return { arn, region: region ?? found };
}

function settleAuth({ auth, clusterArn, region }: KafkaConfig): SettledAuth | undefined {
  if (auth?.kind === "iam") {
    const known = region ?? (clusterArn && parseCluster(clusterArn).region);
    if (known) return { kind: "iam", region: known };
    throw invalid(
      "kafka.auth",
      "auth iam needs the cluster's region: set region, such as eu-central-1, or clusterArn",
    );
  }
  if (auth?.kind === "scram" && (auth.username === "" || auth.password === ""))
    throw invalid("kafka.auth", "auth scram needs username and password, and one of them is empty");
  return auth;
}

function checkCertificate(ca: string): void {
  try {
    new X509Certificate(ca);
  } catch (cause) {
    const remedy =
      "give the PEM (-----BEGIN CERTIFICATE-----) of the brokers' authority, or nothing";
    throw invalid("kafka.ca", `tls.ca holds no certificate: ${remedy}`, { cause });
  }
}
