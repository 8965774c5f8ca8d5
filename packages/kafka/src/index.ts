export { type Admin, type AdminOptions, createAdmin, type TopicShape } from "./admin.ts";
export type { KafkaAuth, KafkaConfig, NamedBrokers } from "./config.ts";
export {
  createFetcher,
  type FetchedPartition,
  type Fetcher,
  type FetcherOptions,
  type FetchLimits,
  type FetchPosition,
  type FetchState,
} from "./fetcher.ts";
export type { GroupOffset } from "./group-offsets.ts";
export { createMskTopics, type MskTopicsOptions } from "./msk-topics.ts";
export type { PartitionOffsets } from "./offsets.ts";
export { murmur2, partitionOf } from "./partitioner.ts";
export { createProducer, type Producer, type ProducerOptions } from "./producer.ts";
export { type RangeOptions, type RangePart, readRange } from "./read-range.ts";
export type {
  KafkaRecord,
  OutgoingRecord,
  RecordHeader,
  RecordPosition,
  TimestampType,
} from "./record.ts";
export type { Token, TokenSource } from "./tokens.ts";
