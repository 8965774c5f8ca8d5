/** Failures of partitions: which are counted, and which say nothing of the records. */
import { closePools, forgetConfig } from "@headrace/handler";
import { describe, expect, test } from "vitest";
import { kafkaEvent } from "../support/kafka.ts";
import { POISON, plantPoison, removePoison } from "../support/poison.ts";
import { failingIngest } from "./failing-ingest.ts";
import { TAKEN } from "./ingest-harness.ts";

const { db, ingest, fail, event, poison, batchOf, progress, failures, letters } =
  await failingIngest();

describe("a partition that fails", () => {
  test("is named in one error after every other one was tried, and what committed counts once", async () => {
    await plantPoison(db.pool);
    const given = kafkaEvent(
      "t",
      { 0: [event()], 1: [event(), poison()], 2: [event()], 3: [poison()] },
      { offsets: { 0: 0, 1: 0, 2: 0, 3: 7 } },
    );
    const error = await ingest(given).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ kind: "unavailable", code: "kafka.partitions_failed" });
    expect(String(error)).toMatch(/2 of its partitions failed: t-[13], t-[13]$/);
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(POISON);
    const whole = ["t 0 1 1 0 0", "t 1 0 0 0 0", "t 2 1 1 0 0", "t 3 7 0 0 0"];
    expect(await progress()).toEqual(whole);
    await fail(given, 3);
    expect(await progress()).toEqual(whole);
    expect(await failures()).toEqual(["t 1 0 4 P0001", "t 3 7 4 P0001"]);
    await removePoison(db.pool);
    expect(await ingest(given)).toEqual(TAKEN);
    expect(await progress()).toEqual(["t 0 1 1 0 0", "t 1 2 2 0 0", "t 2 1 1 0 0", "t 3 8 1 0 0"]);
    expect(await failures()).toEqual([]);
  });

  test("is counted from its first offset, and anew when another batch fails", async () => {
    await plantPoison(db.pool);
    await fail(kafkaEvent("t", { 0: [event(), poison()] }, { offsets: { 0: 0 } }), 3);
    await fail(kafkaEvent("t", { 0: [poison()] }, { offsets: { 0: 0 } }), 2);
    expect(await failures()).toEqual(["t 0 0 5 P0001"]);
    await fail(kafkaEvent("t", { 0: [poison()] }, { offsets: { 0: 1 } }), 2);
    expect(await failures()).toEqual(["t 0 1 2 P0001"]);
    // The other batch takes its own count away only.
    await removePoison(db.pool);
    expect(await ingest(kafkaEvent("t", { 0: [event()] }, { offsets: { 0: 0 } }))).toEqual(TAKEN);
    expect(await failures()).toEqual(["t 0 1 2 P0001"]);
  });

  test("is not given up before it failed 20 times", async () => {
    await plantPoison(db.pool);
    const given = kafkaEvent("t", { 0: batchOf(3, [1]) }, { offsets: { 0: 0 } });
    await fail(given, 19);
    expect(await failures()).toEqual(["t 0 0 19 P0001"]);
    await fail(given, 1);
    expect(await failures()).toEqual(["t 0 0 20 P0001"]);
    expect(await progress()).toEqual(["t 0 0 0 0 0"]);
    expect(await letters()).toEqual([]);
    expect(await ingest(given)).toEqual(TAKEN);
    expect(await progress()).toEqual(["t 0 3 2 0 1"]);
    expect(await failures()).toEqual([]);
  });

  test("reports nothing but an error, and one that succeeds answers as always", async () => {
    const given = kafkaEvent("t", { 0: [event()] }, { offsets: { 0: 0 } });
    expect(await ingest(given)).toEqual(TAKEN);
    expect(await failures()).toEqual([]);
  });
});

describe("a failure that says nothing of the records is never counted", () => {
  const given = () => kafkaEvent("t", { 0: [event(), poison()] }, { offsets: { 0: 0 } });

  test.each([
    ["a serialisation failure", "40001"],
    ["a lock timeout", "55P03"],
    ["a statement timeout", "57014"],
    ["too many connections", "53300"],
    ["a full disk", "53100"],
    ["a server that shuts down", "57P01"],
    ["a server that only reads now", "25006"],
    ["a missing right", "42501"],
    ["a missing table", "42P01"],
    ["a plan that is out of date", "0A000"],
  ])("%s (%s)", async (_, code) => {
    await plantPoison(db.pool, { body: `raise exception 'no' using errcode = '${code}'` });
    await fail(given(), 30);
    expect(await failures()).toEqual([]);
    expect(await letters()).toEqual([]);
  });

  test("deadlocks, however often one batch meets them", async () => {
    await plantPoison(db.pool, { body: "raise exception 'no' using errcode = '40P01'" });
    await fail(given(), 30);
    expect(await failures()).toEqual([]);
  });

  test("a connection that is lost in the middle of every transaction", async () => {
    await plantPoison(db.pool, { body: "perform pg_terminate_backend(pg_backend_pid())" });
    await fail(given(), 30);
    expect(await failures()).toEqual([]);
  });

  test("a database that cannot be reached", async () => {
    await closePools();
    const url = new URL(db.workerUrl);
    url.port = "1";
    process.env.DATABASE_WORKER_URL = url.href;
    forgetConfig();
    await fail(given(), 30);
    process.env.DATABASE_WORKER_URL = db.workerUrl;
    forgetConfig();
    await closePools();
    await plantPoison(db.pool);
    await fail(given(), 1);
    expect(await failures()).toEqual(["t 0 0 1 P0001"]);
  });

  test("and in the middle of giving up it ends the attempt, which goes on later", async () => {
    await plantPoison(db.pool);
    const batch = kafkaEvent("t", { 0: batchOf(64, [3, 60]) }, { offsets: { 0: 0 } });
    await fail(batch, 20);
    await plantPoison(db.pool, {
      body: `if new.record_offset > 40 then
               raise exception 'no' using errcode = '53300';
             end if;
             raise exception 'refused'`,
    });
    await fail(batch, 2);
    expect(await letters()).toEqual(["0 3 batch.gave_up"]);
    expect(await progress()).toEqual(["t 0 56 55 0 1"]);
    expect(await failures()).toEqual(["t 0 0 20 P0001"]);
    await plantPoison(db.pool);
    expect(await ingest(batch)).toEqual(TAKEN);
    expect(await progress()).toEqual(["t 0 64 62 0 2"]);
    expect(await failures()).toEqual([]);
  });
});
