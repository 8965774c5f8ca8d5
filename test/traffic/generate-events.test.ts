import { decodeEvent, type Event, isRefusal } from "@headrace/events";
import {
  BROKEN_SHARE,
  CATALOGUE,
  type GenerateOptions,
  generateEvents,
  LATE_SHARE,
  REPEATED_SHARE,
} from "@headrace/traffic";
import { expect, test } from "vitest";

const FROM = Date.UTC(2026, 0, 31, 10);
const TO = FROM + 3_600_000;
const COUNT = 10_000;

const generate = (more: Partial<GenerateOptions> = {}) => [
  ...generateEvents({ seed: 7, count: COUNT, users: 500, fromMillis: FROM, toMillis: TO, ...more }),
];

const decode = (value: string) =>
  decodeEvent(
    Buffer.from(value),
    { topic: "events", partition: 0, offset: 0, timestampMillis: TO + 1 },
    { horizonDays: 1 },
  );

/** Fails where a record is no event. */
function eventOf(value: string): Event {
  const event = decode(value);
  if (isRefusal(event)) throw new Error(`${event.code}: ${value}`);
  return event;
}

/** Enough for the rarest share to show. */
const faulty = generate({ faults: true, count: 50_000 });

test("the same seed gives the same events, another seed others", () => {
  const again = generate({ faults: true, count: 50_000 });
  expect(again.every(({ value }, n) => value === faulty[n]?.value)).toBe(true);
  const texts = new Set(generate().map(({ value }) => value));
  expect(generate({ seed: 8 }).some(({ value }) => texts.has(value))).toBe(false);
});

test("every event fits the schema, has its user's key and lies in the stretch, in order", () => {
  const generated = generate();
  const events = generated.map(({ value }) => eventOf(value));
  expect(events.map(({ userId }) => userId)).toEqual(generated.map(({ key }) => key));
  expect(events.map(({ timeMicros }) => timeMicros)).toEqual(
    generated.map(({ timeMillis }) => timeMillis * 1000),
  );
  const times = generated.map(({ timeMillis }) => timeMillis);
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  expect(times.every((time) => time >= FROM && time < TO)).toBe(true);
  expect(new Set(events.map(({ id }) => id)).size).toBe(COUNT);
});

test("who buys has put something in the cart and begun a checkout, in the same session", () => {
  const stages = new Map<string, string>();
  let purchases = 0;
  for (const { value } of generate()) {
    const { type, sessionId, amountCents } = eventOf(value);
    const stage = stages.get(sessionId ?? "");
    if (type === "checkout_start") expect(stage).toBe("add_to_cart");
    if (type === "purchase") {
      expect(stage).toBe("checkout_start");
      expect(amountCents).toBeGreaterThan(0);
      purchases++;
    }
    if (["add_to_cart", "checkout_start", "purchase"].includes(type))
      stages.set(sessionId ?? "", type);
  }
  expect(purchases).toBeGreaterThan(COUNT / 200);
});

test("customers keep their region, and products their category and price, whatever the seed", () => {
  const regions = new Map<string, string | null>();
  const products = new Map(CATALOGUE.map((product) => [product.id, product]));
  for (const seed of [1, 2, 3]) {
    for (const { value } of generate({ seed, count: 5_000, users: 50 })) {
      const { userId, region, productId, category, type, value: price } = eventOf(value);
      expect(region).toBe(regions.get(userId) ?? region);
      regions.set(userId, region);
      if (type !== "product_view") continue;
      const product = products.get(productId ?? "");
      expect([category, price]).toEqual([product?.category, (product?.priceCents ?? 0) / 100]);
    }
  }
  expect(regions.size).toBeGreaterThan(30);
});

test("records come late, twice and broken in the stated shares", () => {
  const arrival = (n: number) => FROM + ((n + 1) * (TO - FROM)) / faulty.length;
  const late = faulty.filter(({ timeMillis }, n) => timeMillis < arrival(n) - 5_000);
  const repeated = faulty.length - new Set(faulty.map(({ value }) => value)).size;
  const broken = faulty.filter(({ value }) => isRefusal(decode(value))).length;
  const share = (count: number) => count / faulty.length;
  // Repeated records are mostly late too, and what is due after the stretch is left out.
  expect(share(late.length)).toBeGreaterThan(LATE_SHARE * 0.8);
  expect(share(late.length)).toBeLessThan(LATE_SHARE * 1.1 + REPEATED_SHARE);
  expect(share(repeated)).toBeGreaterThan(REPEATED_SHARE * 0.85);
  expect(share(repeated)).toBeLessThan(REPEATED_SHARE * 1.15);
  expect(share(broken)).toBeGreaterThan(BROKEN_SHARE * 0.7);
  expect(share(broken)).toBeLessThan(BROKEN_SHARE * 1.3);
});

test("broken records are broken in many ways, and carry their user's key", () => {
  const codes = new Set<string>();
  for (const { key, value } of faulty) {
    expect(key).toMatch(/^u-\d{6}$/);
    const event = decode(value);
    if (isRefusal(event)) codes.add(event.code);
  }
  expect(codes.size).toBe(8);
});

test("options that make no sense are refused", () => {
  expect(() => generate({ users: 0 })).toThrow(/users must be 1 or more/);
  expect(() => generate({ toMillis: FROM })).toThrow(/toMillis after fromMillis/);
  expect(generate({ count: 0 })).toEqual([]);
});
