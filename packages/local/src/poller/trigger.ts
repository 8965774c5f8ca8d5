/**
 * What an event source mapping is told, with Lambda's names, defaults and limits. The manifest's Kafka
 * triggers are of this shape.
 */
import { invalid } from "@headrace/kernel";

export interface KafkaTriggerOptions {
  readonly topic: string;
  /** Records per invocation at most, of all partitions together: 1 to 10,000, default 100. */
  readonly batchSize?: number;
  /** Whole seconds, 0 to 300, from a batch's first record; 0 sends at once. Default half a second. */
  readonly batchingWindowSeconds?: number;
  /** Invocations at once, default 1; never two with records of the same partition. */
  readonly concurrency?: number;
  /** Retries after the first attempt: 0 to 10,000; -1, the default, is without end. */
  readonly maximumRetryAttempts?: number;
  /** 60 to 604,800; -1, the default, is never too old. */
  readonly maximumRecordAgeSeconds?: number;
  readonly bisectBatchOnFunctionError?: boolean;
  /** A topic of the same cluster for the records that are given up. */
  readonly onFailureTopic?: string;
  /** Or a file, one JSON object a line, in place of what the cloud would store elsewhere. */
  readonly onFailureFile?: string;
}

/** The same with every default applied. */
export interface TriggerSettings {
  readonly topic: string;
  readonly batchSize: number;
  readonly batchingWindowMillis: number;
  readonly concurrency: number;
  /** Infinity for -1. */
  readonly maximumRetryAttempts: number;
  /** Infinity for -1. */
  readonly maximumRecordAgeMillis: number;
  readonly bisect: boolean;
  readonly onFailureTopic: string | undefined;
  readonly onFailureFile: string | undefined;
}

/** Lambda's window where none is named; it cannot be asked for in whole seconds. */
const DEFAULT_WINDOW_MILLIS = 500;
/** What Lambda makes of endless retries where a destination is configured. */
const RETRIES_WITH_DESTINATION = 10;

/** Throws `trigger.<field>` (invalid) for a value that Lambda would refuse. */
export function triggerSettings(options: KafkaTriggerOptions): TriggerSettings {
  const { topic, onFailureTopic, onFailureFile } = options;
  const batchSize = options.batchSize ?? 100;
  const concurrency = options.concurrency ?? 1;
  const window = options.batchingWindowSeconds;
  const retries = options.maximumRetryAttempts ?? -1;
  const age = options.maximumRecordAgeSeconds ?? -1;
  whole("batchSize", batchSize, 1, 10_000);
  whole("concurrency", concurrency, 1, 1_000);
  whole("batchingWindowSeconds", window ?? 0, 0, 300);
  whole("maximumRetryAttempts", retries, -1, 10_000);
  if (age !== -1) whole("maximumRecordAgeSeconds", age, 60, 604_800);
  if (onFailureTopic === topic)
    throw refused("onFailureTopic", "records that failed would come back: it is the source topic");
  if (onFailureTopic !== undefined && onFailureFile !== undefined)
    throw refused("onFailureFile", "there is one destination, a topic or a file");
  const hasDestination = onFailureTopic !== undefined || onFailureFile !== undefined;
  const endless = hasDestination ? RETRIES_WITH_DESTINATION : Number.POSITIVE_INFINITY;
  return {
    topic,
    batchSize,
    batchingWindowMillis: window === undefined ? DEFAULT_WINDOW_MILLIS : window * 1000,
    concurrency,
    maximumRetryAttempts: retries === -1 ? endless : retries,
    maximumRecordAgeMillis: age === -1 ? Number.POSITIVE_INFINITY : age * 1000,
    bisect: options.bisectBatchOnFunctionError ?? false,
    onFailureTopic,
    onFailureFile,
  };
}

function whole(field: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw refused(field, `it is ${value}, not a whole number from ${least} to ${most}`);
}

function refused(field: string, reason: string): Error {
  return invalid(`trigger.${field}`, `the Kafka trigger's ${field} cannot be used: ${reason}`);
}
