import { expect, onTestFinished, test } from "vitest";
import { eventually } from "../kafka/clients.ts";
import { ownBroker } from "../kafka/own-broker.ts";
import { pollerHarness } from "./poller-harness.ts";

const broker = await ownBroker();
const { newTopic, send, committed, start } = await pollerHarness({ brokers: broker.brokers });

test("a broker that is killed and started again is polled on, and nothing is skipped", {
  timeout: 90_000,
}, async () => {
  const topic = await newTopic();
  const { events, group } = start({ topic, batchSize: 50 });
  const offsets = () =>
    events.flatMap((event) => event.records[`${topic}-0`] ?? []).map(({ offset }) => offset);
  let sending = true;
  let sent = 0;
  onTestFinished(() => {
    sending = false;
  });
  const sender = (async () => {
    while (sending) sent += (await send(topic, ["a", "b", "c"])).length;
  })();
  await eventually(() => offsets().length).toBeGreaterThan(100);
  await broker.restart();
  const before = sent;
  await eventually(() => sent, 60_000).toBeGreaterThan(before + 100);
  sending = false;
  await sender;
  await eventually(() => committed(group, topic), 60_000).toEqual(new Map([[0, sent]]));
  // At least once, in order: each is one further than some before it, or comes again.
  let next = 0;
  for (const offset of offsets()) {
    expect(offset).toBeLessThanOrEqual(next);
    next = Math.max(next, offset + 1);
  }
  expect(next).toBe(sent);
});
