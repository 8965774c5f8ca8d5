/**
 * The addresses to begin with: those that were named, or those that AWS tells for an MSK cluster. The
 * latter are kept, shared by the clients of this process, and asked for again when none answers.
 */
import type { GetBootstrapBrokersCommandOutput } from "@aws-sdk/client-kafka";
import { type AppError, invalid } from "@headrace/kernel";
import { type AwsCall, callMsk } from "./aws-calls.ts";
import {
  type BrokerAddress,
  nameOf,
  parseBrokers,
  type Settings,
  type SettledAuth,
} from "./config.ts";

export interface BrokerList {
  /** For messages. */
  readonly names: readonly string[];
  /** Throws `Trouble`, or AppError where asking again would not help. */
  addresses(): Promise<readonly BrokerAddress[]>;
  /** None of them answered: they may not be those of the cluster any more. */
  doubt(): void;
}

export function brokerList({ brokers, cluster, auth, tls }: Settings): BrokerList {
  if (cluster === undefined)
    return {
      names: brokers.map(nameOf),
      addresses: async () => brokers,
      doubt: () => undefined,
    };
  const way = wayOf(auth, tls !== undefined);
  const key = `${cluster.arn} ${cluster.region} ${way.name}`;
  const list = asked.get(key) ?? new AskedList(cluster, way);
  asked.set(key, list);
  return list;
}

const asked = new Map<string, AskedList>();

/** While no broker answers, AWS is asked no more often; it counts calls per account. */
const ASK_AGAIN_AFTER_MS = 5_000;
const ASK_AGAIN_AFTER_FAILURE_MS = 1_000;

class AskedList implements BrokerList {
  readonly #cluster: { readonly arn: string; readonly region: string };
  readonly #way: Way;
  #found: readonly BrokerAddress[] | undefined;
  #asking: Promise<readonly BrokerAddress[]> | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;
  #failure: unknown;
  #doubted = false;

  constructor(cluster: { readonly arn: string; readonly region: string }, way: Way) {
    this.#cluster = cluster;
    this.#way = way;
  }

  get names(): readonly string[] {
    return this.#found?.map(nameOf) ?? [this.#cluster.arn];
  }

  doubt(): void {
    this.#doubted = true;
  }

  async addresses(): Promise<readonly BrokerAddress[]> {
    const sinceMs = performance.now() - this.#askedAt;
    if (this.#found === undefined) {
      if (this.#failure !== undefined && sinceMs < ASK_AGAIN_AFTER_FAILURE_MS) throw this.#failure;
      return this.#ask();
    }
    if (!this.#doubted || sinceMs < ASK_AGAIN_AFTER_MS) return this.#found;
    try {
      return await this.#ask();
    } catch {
      return this.#found; // the failure to connect to them tells more
    }
  }

  #ask(): Promise<readonly BrokerAddress[]> {
    this.#asking ??= this.#askOnce().finally(() => {
      this.#asking = undefined;
      this.#askedAt = performance.now();
    });
    return this.#asking;
  }

  async #askOnce(): Promise<readonly BrokerAddress[]> {
    const { arn, region } = this.#cluster;
    const call: AwsCall = {
      doing: `asking AWS for the brokers of ${arn}`,
      action: "kafka:GetBootstrapBrokers",
      failed: "kafka.brokers_unknown",
      remedy:
        "name the brokers instead, or let this process reach the kafka endpoint of its region (NAT or a VPC endpoint)",
    };
    try {
      const answer = await callMsk(region, call, async ({ GetBootstrapBrokersCommand }, client) =>
        client.send(new GetBootstrapBrokersCommand({ ClusterArn: arn })),
      );
      this.#found = parseBrokers(choose(answer, this.#way, arn));
      this.#doubted = false;
      this.#failure = undefined;
      return this.#found;
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }
}

type Answer = GetBootstrapBrokersCommandOutput;

/** A way to talk to a cluster, and where GetBootstrapBrokers tells who listens for it. */
interface Way {
  readonly name: string;
  readonly field: keyof Answer & `BootstrapBrokerString${string}`;
  readonly remedy: string;
}

const OTHER_WAY = "or choose another auth for kafka";
const WAYS = {
  iam: {
    name: "iam",
    field: "BootstrapBrokerStringSaslIam",
    remedy: `turn on IAM access control for the cluster (clientAuthentication.sasl.iam), ${OTHER_WAY}`,
  },
  scram: {
    name: "scram",
    field: "BootstrapBrokerStringSaslScram",
    remedy: `turn on SASL/SCRAM for the cluster (clientAuthentication.sasl.scram), ${OTHER_WAY}`,
  },
  tls: {
    name: "none, with tls",
    field: "BootstrapBrokerStringTls",
    remedy: `allow clients without authentication over TLS, ${OTHER_WAY}`,
  },
  plain: {
    name: "none, without tls",
    field: "BootstrapBrokerString",
    remedy: `turn tls on, ${OTHER_WAY}`,
  },
} as const satisfies Record<string, Way>;

function wayOf(auth: SettledAuth | undefined, encrypted: boolean): Way {
  if (auth?.kind === "iam" || auth?.kind === "scram") return WAYS[auth.kind];
  if (auth?.kind === "token")
    throw invalid(
      "kafka.brokers",
      "brokers must be named where auth is token: MSK knows none for it",
    );
  return encrypted ? WAYS.tls : WAYS.plain;
}

function choose(answer: Answer, way: Way, arn: string): string[] {
  const list = answer[way.field];
  if (list) return list.split(",");
  throw notOffered(answer, way, arn);
}

function notOffered(answer: Answer, way: Way, arn: string): AppError {
  const offered = Object.values(WAYS).filter(({ field }) => Boolean(answer[field]));
  const names = offered.map(({ name }) => name).join("; ") || "nothing yet (is it being made?)";
  return invalid(
    "kafka.auth_not_offered",
    `cluster ${arn} has no brokers for auth ${way.name}; it offers: ${names}. Remedy: ${way.remedy}`,
  );
}
