/**
 * Brokers that exist already, reached by TLS and SCRAM-SHA-512 with the secrets `KafkaUsername` and
 * `KafkaPassword`. What that user may do is said on the brokers.
 */
import type { Kafka } from "./kafka.ts";
import type { ExistingKafkaSettings } from "./settings.ts";

export function createExistingKafka(settings: ExistingKafkaSettings): Kafka {
  const username = new sst.Secret("KafkaUsername").value;
  const password = new sst.Secret("KafkaPassword").value;
  const brokers = settings.brokers.join(",");
  // Mappings read passwords from Secrets Manager alone.
  const secret = new aws.secretsmanager.Secret("KafkaLogin", {
    description: "Signs event source mappings in to Kafka",
    recoveryWindowInDays: 0,
  });
  const login = new aws.secretsmanager.SecretVersion("KafkaLoginVersion", {
    secretId: secret.id,
    secretString: $jsonStringify({ username, password }),
  });
  return {
    link: new sst.Linkable("Kafka", { properties: { kind: "scram", brokers, username, password } }),
    permissionsFor: () => [],
    mappingOf: ({ group }) => ({
      args: {
        selfManagedEventSource: { endpoints: { KAFKA_BOOTSTRAP_SERVERS: brokers } },
        selfManagedKafkaEventSourceConfig: { consumerGroupId: group },
        sourceAccessConfigurations: [{ type: "SASL_SCRAM_512_AUTH", uri: secret.arn }],
      },
      permissions: [{ actions: ["secretsmanager:GetSecretValue"], resources: [secret.arn] }],
    }),
    made: [login],
    topicEnvironment: {},
  };
}
