/**
 * Where Kafka is. Authentication and TLS join this type when the first deployed stage needs them.
 */
import { invalid } from "@headrace/kernel";

export interface KafkaConfig {
  /** `host:port` each; any one that answers is enough to find the others. */
  readonly brokers: readonly string[];
  /** Shown in the broker's logs and quotas. */
  readonly clientId?: string;
}

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

const BROKER = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/;

/** Throws `kafka.brokers` where the list is empty or an entry is no `host:port`. */
export function parseBrokers(brokers: readonly string[]): readonly BrokerAddress[] {
  if (brokers.length === 0) throw invalid("kafka.brokers", "no Kafka broker was named (host:port)");
  return brokers.map((text) => {
    const match = BROKER.exec(text.trim());
    const host = match?.[1] ?? match?.[2];
    const port = Number(match?.[3]);
    if (host === undefined || !(port > 0 && port < 65_536))
      throw invalid("kafka.brokers", `not a Kafka broker's host:port: "${text}"`);
    return { host, port };
  });
}
