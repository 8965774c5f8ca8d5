/** Plays the history of one seed on an empty database, and tells it in words where it ends wrong. */
import { forgetConfig } from "@headrace/handler";
import { endHistory } from "./faults-ending.ts";
import { runHistory, Wrong } from "./faults-history.ts";
import { type Stage, World } from "./faults-world.ts";
import { serveLogs } from "./model-kafka.ts";
import { TYPES } from "./model-records.ts";
import { plantPoison, removePoison } from "./poison.ts";

/** Figures of a history that ended well. */
export interface Played {
  readonly faults: number;
  readonly deliveries: number;
}

/** Throws an error whose message is the seed, the history and the differences. */
export async function playSeed(stage: Stage, seed: number): Promise<Played> {
  const world = new World(seed, stage);
  await playWorld(world);
  return { faults: world.faults, deliveries: world.delivered.length };
}

/** `run`: how a round's actors are run; by default through the gate. */
export async function playWorld(
  world: World,
  run?: Parameters<typeof runHistory>[1],
): Promise<void> {
  await empty(world);
  serveLogs(world.logs);
  try {
    await runHistory(world, run);
    await endHistory(world);
  } catch (error) {
    throw new Error(story(world, error));
  }
}

const MOST_DIFFERENCES = 12;

function story(world: World, error: unknown): string {
  const found =
    error instanceof Wrong
      ? error.differences.slice(0, MOST_DIFFERENCES).map((it) => `  ${JSON.stringify(it)}`)
      : [`  ${error instanceof Error ? error.stack : String(error)}`];
  return [`seed ${world.seed}`, ...world.lines, "differences:", ...found].join("\n");
}

/**
 * The same beginning for every seed, whatever was played before. Deletes rather than truncates: a few
 * rows in many relations.
 */
async function empty({ stage, random, traits }: World): Promise<void> {
  const { owner, instances } = stage;
  process.env.KAFKA_FAILURES = traits.throws ? "throw" : "report";
  forgetConfig();
  for (const instance of instances) await instance.restart();
  await removePoison(owner);
  stage.logged.length = 0;
  await owner.query(
    `delete from stream_events;
     delete from stream_batches;
     delete from stream_progress;
     delete from stream_gaps;
     delete from stream_ends;
     delete from stream_failures;
     delete from dead_letters;
     delete from open_windows;
     delete from realtime_aggregates;
     delete from kept_sessions;
     delete from session_hours;
     delete from session_spread;
     delete from active_users;
     delete from active_days;
     delete from join_lefts;
     delete from join_rights;
     delete from join_counts;
     delete from segment_windows;
     delete from segment_moves;
     delete from segment_deltas;
     delete from dim_users;
     delete from dim_products;
     delete from user_segments;
     delete from product_categories;
     delete from leases;
     delete from event_types;
     update clock set watermark = null;
     update settings
     set window_10s_retention = null,
         window_1m_retention = null,
         state_retention = ${traits.dropsStates ? "interval '0'" : "null"}`,
  );
  await owner.query("select ensure_event_partitions($1::date[])", [WEEKS]);
  // As retention does; or a week that nobody has met.
  if (random.chance(0.15)) {
    await owner.query(`drop table stream_events_${random.pick(WEEKS).replaceAll("-", "")}`);
  }
  const types = random.chance(0.15) ? [] : traits.manyTypes ? crowd : TYPES;
  await owner.query("insert into event_types (event_type) select unnest($1::text[])", [types]);
  if (traits.poison) await plantPoison(owner);
}

/** All that events of the model fall into. */
const WEEKS = ["2025-12-15", "2025-12-22", "2025-12-29", "2026-01-05"];

/** Leaves room for fewer types than a history has. */
const crowd = Array.from({ length: 993 }, (_, n) => `filler_${n}`);
