/**
 * A batch that failed 20 times is tried record by record while connections break at every statement
 * in turn, and while others deliver the same: each record is stored once, or one dead letter.
 */
import { forgetConfig } from "@headrace/handler";
import { expect, test } from "vitest";
import { CONNECT } from "../support/faults-client.ts";
import type { Fault, GateRules, Turn } from "../support/faults-gate.ts";
import { Random } from "../support/faults-random.ts";
import { faultStage } from "../support/faults-stage.ts";
import type { Instance } from "../support/faults-world.ts";
import { kafkaEvent, type LambdaKafkaEvent } from "../support/kafka.ts";
import { POISON, plantPoison } from "../support/poison.ts";
import { differences } from "../support/recompute.ts";

process.env.KAFKA_FAILURES = "throw";
forgetConfig();
const stage = await faultStage();
const { owner, gate } = stage;
await plantPoison(owner);
await owner.query(
  "update settings set state_retention = null, window_10s_retention = null, window_1m_retention = null",
);

const context = { awsRequestId: "faults", getRemainingTimeInMillis: () => 60_000 };
const BATCH = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((n) => ({
  event_id: `00000000-0000-4000-8000-00000000000${n}`,
  event_time: new Date(Date.UTC(2026, 0, 1) + n * 4_000).toISOString(),
  event_type: "page_view",
  user_id: n === 2 || n === 8 ? POISON : "u1",
  value: n,
}));
const event = kafkaEvent("t", { 0: BATCH }, { offsets: { 0: 10 } });
const RECORDS = event.records["t-0"] ?? [];

const FAULTS: readonly Fault[] = ["lost before", "lost after", "terminated", "stalled", "dead"];
const SEEDS = 25;

/** Nobody ends a session that is in no transaction for doing nothing. */
const onto = (turn: Turn, fault: Fault): Fault | undefined =>
  turn.label === CONNECT || (fault === "stalled" && !turn.isInTransaction()) ? undefined : fault;

/** Seven were stored, and two failed alone. */
const ENDED = {
  progress: "19 7 0 2",
  stored: "10,11,13,14,15,16,17",
  letters: "12 batch.gave_up,18 batch.gave_up",
  counted: 0,
  gaps: 0,
};

async function begin(): Promise<void> {
  await owner.query(
    `truncate stream_events, stream_batches, stream_progress, stream_gaps, dead_letters, open_windows,
       stream_failures, realtime_aggregates;
     insert into stream_failures (topic, partition, first_offset, failures, code)
     values ('t', 0, 10, 20, 'P0001')`,
  );
}

async function ended(): Promise<Record<string, unknown>> {
  const { rows } = await owner.query<Record<string, unknown>>(
    `select
       (select next_offset || ' ' || events || ' ' || duplicates || ' ' || dead_letters
        from stream_progress) as progress,
       (select string_agg(record_offset::text, ',' order by record_offset) from stream_events) as stored,
       (select string_agg(record_offset || ' ' || code, ',' order by record_offset)
        from dead_letters) as letters,
       (select count(*) from stream_failures) as counted,
       (select count(*) from stream_gaps) as gaps`,
  );
  return rows[0] ?? {};
}

type Deliver = (given?: LambdaKafkaEvent) => Promise<boolean>;

const deliverer =
  ({ ingest }: Instance): Deliver =>
  async (given = event) => {
    try {
      await ingest(given, context);
      return true;
    } catch {
      return false;
    }
  };
const [first, second] = stage.instances.map(deliverer) as [Deliver, Deliver];

/** Runs deliveries side by side, each statement in its turn. */
function run(
  rules: Pick<GateRules, "random" | "decide">,
  deliveries: readonly Deliver[],
): Promise<void> {
  const works = deliveries.map((deliver, n) => {
    const work = async (): Promise<void> => {
      await deliver();
    };
    return [String(n), work] as const;
  });
  return gate.run({ ...rules, serial: true, look: async () => {}, note() {} }, new Map(works));
}

async function untilTaken(): Promise<void> {
  for (let tries = 0; tries < 30; tries += 1) if (await first()) return;
  throw new Error("the batch is never taken in");
}

test.each<Fault>(["lost before", "lost after"])(
  'a delivery that meets "%s" at any statement costs no record and doubles none',
  async (fault) => {
    const random = new Random(1);
    for (let at = 1, isReached = true; isReached; at += 1) {
      let turns = 0;
      const decide = (turn: Turn): Fault | undefined => {
        turns += 1;
        return turns === at ? onto(turn, fault) : undefined;
      };
      await begin();
      await run({ random, decide }, [first]);
      isReached = turns >= at;
      await untilTaken();
      expect({ at, ...(await ended()) }).toEqual({ at, ...ENDED });
      expect(await differences(owner)).toEqual([]);
    }
  },
  120_000,
);

test("deliveries at once, whole or the beginning only, end as one would", async () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const random = new Random(seed);
    const beginning = { ...event, records: { "t-0": RECORDS.slice(0, random.whole(1, 8)) } };
    await begin();
    await run(
      {
        random,
        decide: (turn) => (random.chance(0.03) ? onto(turn, random.pick(FAULTS)) : undefined),
      },
      [first, second, () => second(beginning)],
    );
    await untilTaken();
    expect({ seed, ...(await ended()) }).toEqual({ seed, ...ENDED });
    expect(await differences(owner)).toEqual([]);
  }
}, 120_000);
