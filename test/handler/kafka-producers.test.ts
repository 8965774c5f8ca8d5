import { closeProducers, forgetConfig, kafkaProducer } from "@headrace/handler";
import { expect, test, vi } from "vitest";
import { testClients } from "../kafka/clients.ts";

const { config, newTopic } = await testClients();
process.env.KAFKA_BROKERS = config.brokers?.join();
forgetConfig();

/** Sockets that this process holds open. */
const sockets = (): number =>
  process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;

test("who asks by one name shares a producer, and all are ended together", async () => {
  const topic = await newTopic();
  const record = { topic, partition: 0, value: "{}" };
  const before = sockets();
  const [one, same, other] = [
    kafkaProducer("one"),
    kafkaProducer("one"),
    kafkaProducer("other", { sendTimeoutMs: 5_000 }),
  ];
  expect(sockets()).toBe(before);
  await one.send([record]);
  const opened = sockets() - before;
  expect(opened).toBeGreaterThan(0);
  await same.send([record]);
  expect(sockets() - before).toBe(opened);
  await other.send([record]);
  expect(sockets() - before).toBeGreaterThan(opened);
  await closeProducers();
  await vi.waitFor(() => expect(sockets()).toBe(before));
});

test("a producer that was ended begins anew with the next record, where Kafka then is", async () => {
  const topic = await newTopic();
  const producer = kafkaProducer("again");
  const send = () => producer.send([{ topic, partition: 0, value: "{}" }]);
  expect(await send()).toMatchObject([{ offset: 0 }]);
  await closeProducers();
  expect(await send()).toMatchObject([{ offset: 1 }]);
  await closeProducers();
  process.env.KAFKA_BROKERS = "";
  forgetConfig();
  await expect(send()).rejects.toThrow("KAFKA_BROKERS is not set");
});
