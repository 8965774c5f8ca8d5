/**
 * What an event is: the one source for its fields. `EventFields` validates the JSON of a record and is
 * what the API document is made from (its input side); `Event` is the same event normalised, as all
 * code behind the decoder reads it. `scanEvent` is a second, quicker reader of the same rules, held
 * equal to this one by a property test.
 */
import { parseCents } from "@headrace/kernel";
import * as z from "zod";
import { parseInstant } from "./instant.ts";

/** A normalised event; what is absent is null. */
export interface Event {
  /** UUID in lower case. An event's identity is its id together with its time. */
  readonly id: string;
  /** Microseconds since 1970-01-01T00:00Z; a safe integer. */
  readonly timeMicros: number;
  /** RFC 3339 in UTC with at most 6 digits of a second, as PostgreSQL reads it exactly. */
  readonly timeText: string;
  readonly type: string;
  /** 1 to 128 UTF-16 units; an integer as its decimal text, every digit kept. */
  readonly userId: string;
  readonly sessionId: string | null;
  /** Finite, never -0. */
  readonly value: number | null;
  readonly amountCents: number | null;
  /** At least 0, never -0. */
  readonly durationSeconds: number | null;
  readonly category: string | null;
  readonly productId: string | null;
  readonly region: string | null;
  /** JSON text of an object: as it was sent, but without white space between its tokens. */
  readonly data: string | null;
}

/** Most UTF-16 units of a user id, a session id, a category, a product id and a region. */
export const MAX_TEXT_LENGTH = 128;

/** The fault message of a required field: null means absent. */
const orRequired = (rule: string) => (issue: { readonly input?: unknown }) =>
  issue.input === undefined || issue.input === null ? "is required" : rule;

const optional = <Schema extends z.ZodType>(schema: Schema) =>
  schema.nullish().transform((value) => value ?? null);

const ID_RULE = "must be a UUID";
const TIME_RULE = "must be an RFC 3339 time with an offset, as in 2026-01-31T10:15:00.123456Z";
const TYPE_RULE = "must be 1 to 64 of a-z, 0-9, _ and . and begin with a letter";
const USER_RULE = `must be a text of 1 to ${MAX_TEXT_LENGTH} characters or an integer`;
const VALUE_RULE = "must be a finite number";
const AMOUNT_RULE =
  "must be 0 to 9999999999.99 with at most 2 decimals, as a number or a decimal text";
const DURATION_RULE = "must be a number of seconds, 0 or more";
const TEXT_RULE = `must be a text of at most ${MAX_TEXT_LENGTH} characters`;
const DATA_RULE = "must be an object";

// In UTF-16 units; zod's own `max` counts code points.
const isWithinLength = (text: string) => text.length <= MAX_TEXT_LENGTH;

const Text = z
  .string({ error: TEXT_RULE })
  .refine(isWithinLength, { error: TEXT_RULE })
  .meta({ maxLength: MAX_TEXT_LENGTH });

// A union passes on the message of the option that fits the value's type, so both options say the rule.
const UserText = z
  .string()
  .min(1, { error: USER_RULE })
  .refine(isWithinLength, { error: USER_RULE })
  .meta({ maxLength: MAX_TEXT_LENGTH });

const Instant = z.string({ error: orRequired(TIME_RULE) }).transform((text, context) => {
  const instant = parseInstant(text);
  if (instant !== undefined) return instant;
  context.addIssue({ code: "custom", message: TIME_RULE });
  return z.NEVER;
});

// Integers of any size: `JSON.parse` rounds those past 2^53, so that a reader which has the text hands
// in their digits as a string (`readEvent`).
const Integer = z
  .number()
  .refine((value) => Number.isInteger(value), { error: USER_RULE })
  .transform((value) => BigInt(value).toString())
  .meta({ type: "integer" });

const Amount = z
  .union([z.number(), z.string()], { error: AMOUNT_RULE })
  .transform((amount, context) => {
    const cents = parseCents(String(amount));
    if (cents !== undefined) return cents;
    context.addIssue({ code: "custom", message: AMOUNT_RULE });
    return z.NEVER;
  });

/** The fields of a record's JSON, in the order in which their faults are named. */
export const EventFields = z.object({
  event_id: optional(z.guid({ error: ID_RULE }).transform((id) => id.toLowerCase())).meta({
    description: "Any UUID, version 7 recommended; made from the record's position when absent.",
  }),
  event_time: Instant.meta({
    format: "date-time",
    description: "Kept to the microsecond, further digits are cut.",
  }),
  event_type: z
    .string({ error: orRequired(TYPE_RULE) })
    .regex(/^[a-z][a-z0-9_.]{0,63}$/, { error: TYPE_RULE }),
  user_id: z.union([UserText, Integer], {
    error: orRequired(USER_RULE),
  }),
  session_id: optional(Text).meta({ description: "The client's own." }),
  value: optional(z.number({ error: VALUE_RULE }).transform(withoutMinusZero)).meta({
    description: "The measure that windows aggregate.",
  }),
  amount: optional(Amount).meta({
    description: "Money, 0 to 9999999999.99; a number is read by its shortest text.",
  }),
  duration: optional(
    z.number({ error: DURATION_RULE }).min(0, { error: DURATION_RULE }).transform(withoutMinusZero),
  ).meta({ description: "Seconds." }),
  category: optional(Text),
  product_id: optional(Text),
  region: optional(Text),
  data: z.looseObject({}, { error: DATA_RULE }).nullish().meta({
    description: "Anything else, up to 16 KiB; fields that are not listed are moved here.",
  }),
});
export type EventFields = z.output<typeof EventFields>;

export type FieldName = keyof EventFields;

/** The names of the fields, in the schema's order. */
export const FIELD_NAMES = Object.keys(EventFields.shape) as readonly FieldName[];

/** The event that valid fields and the text of its data make. */
export function toEvent(fields: EventFields, id: string, data: string | null): Event {
  return {
    id,
    timeMicros: fields.event_time.micros,
    timeText: fields.event_time.text,
    type: fields.event_type,
    userId: fields.user_id,
    sessionId: fields.session_id,
    value: fields.value,
    amountCents: fields.amount,
    durationSeconds: fields.duration,
    category: fields.category,
    productId: fields.product_id,
    region: fields.region,
    data,
  };
}

// A database tells -0 from 0 when it prints, nobody who sends one means to.
function withoutMinusZero(value: number): number {
  return value + 0;
}
