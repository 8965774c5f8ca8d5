export type { KafkaEventRecord, KafkaTriggerEvent } from "./event.ts";
export type { FailedRecord } from "./failure-destination.ts";
export type { FunctionSetup, KafkaFunction } from "./invocation.ts";
export { type KafkaPoller, type KafkaPollerOptions, startKafkaPoller } from "./kafka-poller.ts";
export type { KafkaTriggerOptions } from "./trigger.ts";
