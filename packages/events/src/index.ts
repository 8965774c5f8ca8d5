export {
  type CheckOptions,
  checkEvent,
  type EventBatch,
  type EventCheck,
  eventJson,
  splitEvents,
} from "./check-event.ts";
export { type DecodeOptions, decodeEvent } from "./decode-event.ts";
export { deadLetterId, derivedEventId } from "./derived-id.ts";
export { type Event, EventFields, MAX_TEXT_LENGTH } from "./event.ts";
export { MAX_DATA_BYTES, MAX_DATA_DEPTH } from "./event-data.ts";
export { type Instant, parseInstant } from "./instant.ts";
export type { JsonValue } from "./json-value.ts";
export {
  encodeFirstPosition,
  FIRST_POSITION_HEADER,
  type Position,
  parseFirstPosition,
} from "./position.ts";
export { isRefusal, type Refusal } from "./refusal.ts";
export { FUTURE_LIMIT_MINUTES, type TimeMargins } from "./time-limits.ts";
export { EVENTS_TOPIC } from "./topics.ts";
export { type LateClass, lateClass, nextWatermark, WATERMARK_DELAY_MICROS } from "./watermark.ts";
