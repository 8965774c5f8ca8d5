import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { partitionOf } from "@headrace/kafka";
import { unavailable } from "@headrace/kernel";
import {
  openInput,
  parseMap,
  type ReplayOptions,
  type ReplayTotals,
  replayFile,
} from "@headrace/traffic";
import { expect, test } from "vitest";
import { testClients } from "../kafka/clients.ts";
import { realInput } from "../support/real-input.ts";
import { testFiles } from "./files.ts";

const NOW = Date.UTC(2026, 0, 31, 12);
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const { producer, newTopic, readAll } = await testClients();
const write = testFiles();

interface Replayed {
  readonly totals: ReplayTotals;
  readonly topic: string;
  /** The JSON of the records of partition 0. */
  readonly values: readonly string[];
  readonly events: readonly Record<string, unknown>[];
}

async function replay(
  path: string,
  map = "",
  more: Partial<ReplayOptions> = {},
): Promise<Replayed> {
  const topic = more.topic ?? (await newTopic());
  const file = await openInput(path, () => Readable.from([]));
  try {
    const totals = await replayFile({
      file,
      map: parseMap(map === "" ? [] : [map]),
      producer,
      topic,
      speed: "max",
      shiftToNow: false,
      clock: { now: () => NOW },
      ...more,
    });
    const values = (await readAll(topic)).map(({ value }) => String(value));
    return { totals, topic, values, events: values.map((value) => JSON.parse(value)) };
  } finally {
    await file.close();
  }
}

const badLines = ({ totals }: Replayed) =>
  totals.firstBadLines.map(({ line, reason }) => `${line}: ${reason}`);

const csv = (...lines: string[]) => write("events.csv", `${lines.join("\n")}\n`);
const ndjson = (...lines: string[]) => write("events.ndjson", `${lines.join("\n")}\n`);
const idsOf = ({ events }: Replayed) => events.map((event) => event.event_id);

test("columns become fields, the others data, and empty cells nothing", async () => {
  const path = csv(
    "who,what,when,price,secs,total,platform,note",
    'u1,purchase,2026-01-31 10:15:00, 12.50 ,0.25,0012.5,ios,"a ""quoted"" note, with a comma"',
    "u2,page_view,2026-01-31T11:15:00.123456+01:00,,,,,",
  );
  const map = "user_id=who,event_type=what,event_time=when,value=price,duration=secs,amount=total";
  const { events, totals } = await replay(path, map);
  expect(events).toEqual([
    {
      event_id: expect.stringMatching(UUID),
      event_time: "2026-01-31T10:15:00Z",
      event_type: "purchase",
      user_id: "u1",
      value: 12.5,
      amount: "0012.5",
      duration: 0.25,
      data: { platform: "ios", note: 'a "quoted" note, with a comma' },
    },
    {
      event_id: expect.stringMatching(UUID),
      event_time: "2026-01-31T10:15:00.123456Z",
      event_type: "page_view",
      user_id: "u2",
    },
  ]);
  expect(totals).toMatchObject({ sent: 2, badLines: 0, lastOffsets: new Map([[0, 1]]) });
});

test("a column with a field's name is that field unless another was mapped to it, or none", async () => {
  const path = csv(
    "event_id,event_time,event_type,user_id,value,region,alias",
    "0190A5C3-7B2E-7C3D-8E4F-0123456789AB,2026-01-31 10:15:00,login,u1,high,eu,a1",
  );
  const { events } = await replay(path, "value=,user_id=alias");
  expect(events).toEqual([
    {
      event_id: "0190a5c3-7b2e-7c3d-8e4f-0123456789ab",
      event_time: "2026-01-31T10:15:00Z",
      event_type: "login",
      user_id: "a1",
      region: "eu",
      data: { value: "high", user_id: "u1" },
    },
  ]);
});

test("objects keep their digits, and members that are no fields join their data", async () => {
  const path = ndjson(
    '{"event_type":"login","user_id":12345678901234567890,"ts":"2026-01-31 10:15:00","value":"1e2","n":0.12345678901234567890,"none":null,"__proto__":1}',
    '{"event_type":"login","user_id":"u","ts":"2026-01-31","data":{"a":1,"_top":2},"a":3,"b":4,"region":null}',
  );
  const { values } = await replay(path, "event_time=ts");
  expect(values[0]).toContain(
    '"user_id":12345678901234567890,"value":100,"data":{"n":0.12345678901234567890,"none":null,"__proto__":1}}',
  );
  expect(values[1]).toContain('"user_id":"u","data":{"a":1,"_top":2,"b":4,"__top":{"a":3}}}');
});

test("a cell mapped to data holds the JSON of an object", async () => {
  const path = csv(
    "event_time,event_type,user_id,payload,extra",
    '2026-01-31,login,u1,"{""a"":12345678901234567890}",x',
    "2026-01-31,login,u1,[1],x",
    "2026-01-31,login,u1,{oops,x",
  );
  const outcome = await replay(path, "data=payload");
  expect(outcome.values).toEqual([
    expect.stringContaining('"data":{"a":12345678901234567890,"extra":"x"}}'),
  ]);
  expect(badLines(outcome)).toEqual([
    "3: data (column payload) must be an object",
    "4: data (column payload) must be an object",
  ]);
});

test("bad lines are told with their number and reason, and cost no other line", async () => {
  const outcome = await replay(
    csv(
      "user_id,event_type,when,value,duration,amount,event_id",
      "u1,login,2026-01-31 10:15:00,,,,",
      ",login,2026-01-31 10:15:00,,,,",
      "u1,Log In,2026-01-31 10:15:00,,,,",
      "u1,login,31.1.2026,,,,",
      "u1,login,,,,,",
      "u1,login,2026-01-31 12:06:00,,,,",
      'u1,login,2026-01-31 10:15:00,"1,5",,,',
      "u1,login,2026-01-31 10:15:00,,-1,,",
      "u1,login,2026-01-31 10:15:00,,,1.005,",
      "u1,login,2026-01-31 10:15:00,,,,17",
      "u1,login,2026-01-31 10:15:00",
      "u\u0000,login,2026-01-31 10:15:00,,,,",
      "u2,login,2026-01-31 12:04:00,1,1,1.05,",
    ),
    "event_time=when",
  );
  expect(badLines(outcome)).toEqual([
    "3: user_id is required",
    "4: event_type must be 1 to 64 of a-z, 0-9, _ and . and begin with a letter",
    "5: event_time (column when) must be a time such as 2026-01-31 10:15:00 or 2026-01-31T10:15:00.25+01:00",
    "6: event_time (column when) is required",
    "7: event_time is more than 5 minutes ahead of now (--shift-to-now moves times back)",
    "8: value must be a finite number",
    "9: duration must be a number of seconds, 0 or more",
    "10: amount must be 0 to 9999999999.99 with at most 2 decimals, as a number or a decimal text",
    "11: event_id must be a UUID",
    "12: has 3 columns, the header 7",
    "13: user_id holds a NUL character or half a surrogate pair",
  ]);
  expect(outcome.events.map(({ user_id }) => user_id)).toEqual(["u1", "u2"]);
  expect(outcome.totals.sent).toBe(2);
});

test("of many bad lines the first 20 are kept, and all counted", async () => {
  const lines = Array.from({ length: 50 }, (_, n) => `u${n},login,never`);
  const { totals } = await replay(csv("user_id,event_type,event_time", ...lines));
  expect(totals).toMatchObject({ sent: 0, badLines: 50 });
  expect(totals.firstBadLines.map(({ line }) => line)).toEqual(
    Array.from({ length: 20 }, (_, n) => n + 2),
  );
});

test("bytes that are not UTF-8 are refused where they stand; a replacement character is not", async () => {
  const head = "user_id,event_type,event_time\n";
  const tail = "\ufffd,login,2026-01-31\n";
  const broken = Buffer.concat([
    Buffer.from(`${head}u1,login,2026-01-31\n`),
    Buffer.from([0xe9]),
    Buffer.from(",login,2026-01-31\n"),
  ]);
  const outcome = await replay(write("latin1.csv", broken));
  expect([outcome.totals.sent, badLines(outcome)]).toEqual([1, ["3: is not UTF-8"]]);
  expect((await replay(write("utf8.csv", head + tail))).totals.sent).toBe(1);
});

test("the same content gives the same ids, packed or not; other content gives others", async () => {
  const lines = Array.from({ length: 100 }, (_, n) => `u${n % 3},login,2026-01-31 10:15:00`);
  const text = `user_id,event_type,event_time\n${lines.join("\n")}\n`;
  const ids = idsOf(await replay(write("a.csv", text)));
  expect(new Set(ids).size).toBe(100);
  expect(idsOf(await replay(write("b.csv.gz", gzipSync(text))))).toEqual(ids);
  const grown = idsOf(await replay(write("c.csv", `${text}u9,login,2026-01-31 10:15:00\n`)));
  expect(grown.filter((id) => ids.includes(id))).toEqual([]);
});

test("--shift-to-now makes the newest now, keeps distances and makes new ids, equal ones equal", async () => {
  const path = csv(
    "event_id,user_id,event_type,event_time",
    "0190a5c3-7b2e-7c3d-8e4f-0123456789ab,u1,login,2020-02-29 10:00:00",
    "0190a5c3-7b2e-7c3d-8e4f-0123456789ab,u1,login,2020-02-29 10:00:00",
    ",u2,login,2020-02-29 10:00:01.000001",
    ",u2,login,tomorrow",
  );
  const first = await replay(path, "", { shiftToNow: true });
  expect(first.events.map((event) => event.event_time)).toEqual([
    "2026-01-31T11:59:58.999999Z",
    "2026-01-31T11:59:58.999999Z",
    "2026-01-31T12:00:00.000Z",
  ]);
  expect(first.totals.badLines).toBe(1);
  const [one, two, three] = idsOf(first);
  expect([one, three]).toEqual([expect.stringMatching(UUID), expect.stringMatching(UUID)]);
  expect(two).toBe(one);
  const second = idsOf(await replay(path, "", { shiftToNow: true }));
  expect(second.filter((id) => [one, three].includes(id))).toEqual([]);
});

test("records are keyed by user, and a user's stay in the file's order", async () => {
  const topic = await newTopic(4);
  const lines = Array.from({ length: 5_000 }, (_, n) => `u${n % 17},login,2026-01-31,${n}`);
  const { totals } = await replay(csv("user_id,event_type,event_time,value", ...lines), "", {
    topic,
  });
  const lastValues = new Map<string, number>();
  let read = 0;
  for (const partition of [0, 1, 2, 3]) {
    for (const { key, value } of await readAll(topic, partition)) {
      const event = JSON.parse(String(value));
      expect(event.user_id).toBe(String(key));
      expect(partitionOf(key ?? Buffer.alloc(0), 4)).toBe(partition);
      expect(event.value).toBeGreaterThan(lastValues.get(event.user_id) ?? -1);
      lastValues.set(event.user_id, event.value);
      read++;
    }
  }
  expect([read, totals.sent]).toEqual([5_000, 5_000]);
  const ends = [...totals.lastOffsets.values()].reduce((sum, last) => sum + last + 1, 0);
  expect(ends).toBe(5_000);
});

test("a speed paces events by their time, and does not wait for one that is out of order", async () => {
  const path = csv(
    "user_id,event_type,event_time",
    "u1,login,2026-01-31 10:00:00",
    "u2,login,2026-01-31 10:00:40",
    "u3,login,2026-01-31 10:00:10",
    "u4,login,2026-01-31 10:01:00",
  );
  const startedAt = performance.now();
  const { events } = await replay(path, "", { speed: 100 });
  expect(performance.now() - startedAt).toBeGreaterThan(600);
  expect(events.map(({ user_id }) => user_id)).toEqual(["u1", "u2", "u3", "u4"]);
});

test("a signal ends a replay early, with what was sent told", async () => {
  const lines = ["u1,login,2026-01-31 10:00:00", "u2,login,2026-01-31 11:00:00"];
  const ending = new AbortController();
  const { totals } = await replay(csv("user_id,event_type,event_time", ...lines), "", {
    speed: 1,
    signal: ending.signal,
    onProgress: () => ending.abort(),
  });
  expect(totals.sent).toBe(1);
});

test("a failure of Kafka ends a replay, after what was sent by then is told", async () => {
  const lines = Array.from({ length: 5_000 }, (_, n) => `u${n},login,2026-01-31`);
  let calls = 0;
  const failing: ReplayOptions["producer"] = {
    send: async (records) => {
      if (++calls === 3) throw unavailable("kafka.unavailable", "Kafka did not answer");
      return await producer.send(records);
    },
  };
  const told: number[] = [];
  const replaying = replay(csv("user_id,event_type,event_time", ...lines), "", {
    producer: failing,
    onProgress: ({ sent }) => told.push(sent),
  });
  await expect(replaying).rejects.toThrow("Kafka did not answer");
  expect(told.at(-1)).toBe((calls - 1) * 1_000);
});

test.each([
  ["user_id=who", /no column "who". Its columns: "user_id", "event_type", "event_time", "x"/],
  ["event_type=", /no column is mapped to event_type: add --map event_type=COLUMN/],
])("--map %s is refused before anything is sent", async (map, message) => {
  const topic = await newTopic();
  const path = csv("user_id,event_type,event_time,x", "u1,login,2026-01-31,1");
  await expect(replay(path, map, { topic })).rejects.toThrow(message);
  expect(await readAll(topic)).toEqual([]);
});

test.each([
  ["user=user_id", /an event has no field "user". Its fields: event_id, event_time/],
  ["event=event_type", /did you mean event_type=event\?/],
  ["user_id", /"user_id" is not field=column/],
  ["user_id=a,user_id=b", /names the field "user_id" twice/],
])("--map %s makes no sense and says why", (map, message) => {
  expect(() => parseMap([map])).toThrow(message);
});

test.each([
  [
    "cut.csv.gz",
    gzipSync("user_id,event_type\n".repeat(500)).subarray(0, 60),
    /damaged or incomplete gzip/,
  ],
  ["array.json", '[{"event_type":"login"}]', /is one JSON array; .*jq -c/],
  ["empty.csv", "\n\n", /is empty/],
  ["packed.csv", "PK\u0003\u0004rest", /is a zip archive/],
  ["wide.csv", Buffer.from("\ufeffa,b", "utf16le"), /is UTF-16; UTF-8 is wanted/],
])("%s is refused as a whole, with a remedy", async (name, content, message) => {
  await expect(openInput(write(name, content), () => Readable.from([]))).rejects.toThrow(message);
});

test("a file that is not there and a folder are told apart", async () => {
  const none = () => Readable.from([]);
  await expect(openInput("/nowhere/x.csv", none)).rejects.toThrow(/there is no file \/nowhere/);
  await expect(openInput("/tmp", none)).rejects.toThrow(/is a folder/);
});

const ECOM = realInput("ecom.csv.gz");

test.skipIf(ECOM.isMissing)(
  ECOM.named("31,106 real shop events replay without a bad line"),
  async () => {
    const map = "event_type=event,event_time=timestamp,user_id=user_id,session_id=session_id";
    const outcome = await replay(ECOM.path, map);
    expect(badLines(outcome)).toEqual([]);
    expect(outcome.events).toHaveLength(31_106);
    expect(new Set(idsOf(outcome)).size).toBe(31_106);
    expect(outcome.events[0]).toEqual({
      event_id: expect.stringMatching(UUID),
      event_time: "2024-03-13T10:21:14Z",
      event_type: "home",
      user_id: "user_0000",
      session_id: "sess_000001",
      data: {
        platform: "desktop",
        acquisition_channel: "email",
        user_cohort: "2024-01",
        user_lifecycle: "returning",
      },
    });
  },
);
