/**
 * POST /v1/events: takes in behaviour events over HTTP and produces them to Kafka.
 *
 * An event that is answered 202 is stored by all replicas of its partition; it shows in the reports
 * once it has been taken in. One that is refused is not produced, and in an array does not keep its
 * neighbours from being. After a 503 it is unknown which events Kafka has: a client that sends its own
 * `event_id` (with the same `event_time`) may send again and nothing counts twice.
 */
import { randomUUIDv7 } from "node:crypto";
import { checkEvent, type EventCheck, splitEvents } from "@headrace/events";
import {
  answerWith,
  bodyNotJson,
  config,
  httpHandler,
  kafkaProducer,
  route,
} from "@headrace/handler";
import { type Fault, invalid } from "@headrace/kernel";
import * as z from "zod";

const MAX_EVENTS = 500;
const MAX_BODY_BYTES = 1024 * 1024;
/** The client waits for it; Kafka answers in milliseconds, or within seconds while a leader changes. */
const SEND_TIMEOUT_MS = 5_000;
/** A record takes at most the send's time to its place, and clocks differ by less than the rest. */
const MARGINS = { oldMillis: 60_000, aheadMillis: 10_000 } as const;
const kafka = kafkaProducer("collect", { sendTimeoutMs: SEND_TIMEOUT_MS });

const Verdict = z.union([
  z.strictObject({ status: z.literal(202), event_id: z.guid() }),
  z.strictObject({
    status: z.literal(400),
    code: z.string(),
    errors: z.array(z.strictObject({ path: z.string(), message: z.string() })),
  }),
]);
/** One verdict for each event, in the order sent. */
const Collected = z.strictObject({ events: z.array(Verdict) });

export const routes = {
  "POST /v1/events": route(
    {
      scope: "events:write",
      readsBytes: true,
      maxBodyBytes: MAX_BODY_BYTES,
      answer: Collected,
      status: 202,
    },
    async ({ bodyBytes, nowMicros }) => {
      const { checks, isArray } = checked(bodyBytes, nowMicros / 1000);
      const good = checks.filter((check) => check.ok);
      if (good.length === 0) throw refusedWhole(checks, isArray);
      const topic = config().eventsTopic;
      await kafka.send(good.map(({ event, json }) => ({ topic, key: event.userId, value: json })));
      return answerWith(good.length === checks.length ? 202 : 207, {
        events: checks.map(verdictOf),
      });
    },
  ),
};

export const handler = httpHandler(routes);

function checked(
  body: Buffer,
  timestampMillis: number,
): { readonly checks: readonly EventCheck[]; readonly isArray: boolean } {
  const batch = splitEvents(body);
  if ("code" in batch) throw bodyNotJson();
  const { items, isArray } = batch;
  if (items.length === 0) throw invalid("events.none", "the array holds no event");
  if (items.length > MAX_EVENTS) {
    throw invalid("events.too_many", `an array holds at most ${MAX_EVENTS} events`);
  }
  const options = {
    horizonDays: config().eventHorizonDays,
    margins: MARGINS,
    makeId: () => randomUUIDv7(),
  };
  return { checks: items.map((item) => checkEvent(item, { timestampMillis }, options)), isArray };
}

type Refused = Extract<EventCheck, { ok: false }>;

function verdictOf(check: EventCheck): z.input<typeof Verdict> {
  if (check.ok) return { status: 202, event_id: check.event.id };
  return { status: 400, code: check.faults[0].code, errors: faultsOf(check, "") };
}

/** Nothing of the body was good: a refusal like any other, with the code of its first fault. */
function refusedWhole(checks: readonly EventCheck[], isArray: boolean) {
  const refused = checks.filter((check): check is Refused => !check.ok);
  const faults = refused.flatMap((check, index) => faultsOf(check, isArray ? `/${index}` : ""));
  const code = refused[0]?.faults[0].code ?? "events.none";
  const [first] = faults;
  if (first?.path === "") return invalid(code, `the event ${first.message}`, { faults });
  const subject = isArray
    ? "no event of the array is as it must be"
    : "the event is not as it must be";
  return invalid(code, `${subject}: ${first?.path} ${first?.message}`, { faults });
}

const faultsOf = ({ faults }: Refused, place: string): Fault[] =>
  faults.map(({ path, message }) => ({ path: `${place}${path}`, message }));
