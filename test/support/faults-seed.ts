/** Plays the history of one seed on an empty database, and tells it in words where it ends wrong. */
import { endHistory } from "./faults-ending.ts";
import { runHistory, Wrong } from "./faults-history.ts";
import { type Stage, World } from "./faults-world.ts";
import { serveLogs } from "./model-kafka.ts";

/** Figures of a history that ended well. */
export interface Played {
  readonly faults: number;
  readonly deliveries: number;
}

/** Throws an error whose message is the seed, the history and the differences. */
export async function playSeed(stage: Stage, seed: number): Promise<Played> {
  const world = new World(seed, stage);
  const DEBUGDUMP = setInterval(() => process.stderr.write(`seed ${seed}\n${world.lines.slice(-30).join("\n")}\n${JSON.stringify(stage.gate.debug())}\n`), 8000);
  await empty(world);
  serveLogs(world.logs);
  try {
    await runHistory(world);
    await endHistory(world);
  } catch (error) {
    throw new Error(story(world, error));
  } finally { clearInterval(DEBUGDUMP); }
  return { faults: world.faults, deliveries: world.delivered.length };
}

const MOST_DIFFERENCES = 12;

function story(world: World, error: unknown): string {
  const found =
    error instanceof Wrong
      ? error.differences.slice(0, MOST_DIFFERENCES).map((it) => `  ${JSON.stringify(it)}`)
      : [`  ${error instanceof Error ? error.stack : String(error)}`];
  return [`seed ${world.seed}`, ...world.lines, "differences:", ...found].join("\n");
}

/** Deletes rather than truncates: a few rows in many relations. */
async function empty(world: World): Promise<void> {
  const { stage, random, traits } = world;
  const { owner, instances } = stage;
  stage.logged.length = 0;
  await owner.query(
    `delete from stream_events;
     delete from stream_batches;
     delete from stream_progress;
     delete from stream_gaps;
     delete from stream_ends;
     delete from dead_letters;
     delete from open_windows;
     delete from realtime_aggregates;
     delete from leases;
     update clock set watermark = null;
     update settings
     set window_10s_retention = null,
         window_1m_retention = null,
         state_retention = ${traits.dropsStates ? "interval '0'" : "null"}`,
  );
  const { rowCount: types } = await owner.query("select from event_types");
  const isCrowded = (types ?? 0) > 100;
  if (traits.manyTypes || isCrowded || random.chance(0.1)) {
    await owner.query("delete from event_types");
    for (const instance of instances) await instance.restart();
  }
  if (traits.manyTypes) {
    await owner.query(
      "insert into event_types (event_type) select 'filler_' || n from generate_series(1, $1) as n",
      [TYPES_BUT_SOME],
    );
  }
  if (random.chance(0.1)) await dropPartition(world);
}

/** Fewer rows than there may be types, by so few that a history's own do not all find room. */
const TYPES_BUT_SOME = 993;

/** As retention does; the processes do not know. */
async function dropPartition({ stage, random }: World): Promise<void> {
  const { rows } = await stage.owner.query<{ name: string }>(
    "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'stream_events'::regclass order by 1",
  );
  if (rows.length === 0) return;
  const { name } = random.pick(rows);
  await stage.owner.query(`drop table ${name}`);
}
