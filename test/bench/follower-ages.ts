/**
 * How old results are while events arrive: for each follower, and for the queue of windows, the time
 * from when a transaction's events were seen to be stored until they were seen to be in the result.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createPool, FOLLOWERS } from "@headrace/db";
import { quantile } from "./bench.ts";

const LOOK_MILLIS = 50;

interface Seen {
  readonly tx: number;
  readonly at: number;
}

export interface FollowerAges {
  /** Milliseconds, by figure: `<result>_p50_ms`, `<result>_p99_ms`. */
  figures(): Readonly<Record<string, number>>;
  stop(): Promise<void>;
}

/** `ownerUrl`: of the running system's database. */
export function watchFollowers(ownerUrl: string): FollowerAges {
  const pool = createPool({ connectionString: ownerUrl, max: 1 });
  const stored: Seen[] = [];
  const waiting = new Map<string, number>();
  const ages = new Map<string, number[]>();
  let running = true;
  const watching = (async () => {
    while (running) {
      const { rows } = await pool.query<{ result: string; handled: number; last: number }>(LOOK, [
        FOLLOWERS,
      ]);
      const at = performance.now();
      const last = rows[0]?.last ?? 0;
      if (last > (stored.at(-1)?.tx ?? 0)) stored.push({ tx: last, at });
      for (const { result, handled } of rows) {
        let next = waiting.get(result) ?? 0;
        for (
          let seen = stored[next];
          seen !== undefined && seen.tx < handled;
          seen = stored[next]
        ) {
          ages.set(result, [...(ages.get(result) ?? []), at - seen.at]);
          next += 1;
        }
        waiting.set(result, next);
      }
      await sleep(LOOK_MILLIS);
    }
  })();
  return {
    figures: () =>
      Object.fromEntries(
        [...ages].flatMap(([result, millis]) => [
          [`${result.replaceAll("-", "_")}_p50_ms`, quantile(millis, 0.5)],
          [`${result.replaceAll("-", "_")}_p99_ms`, quantile(millis, 0.99)],
        ]),
      ),
    async stop() {
      running = false;
      await watching;
      await pool.end();
    },
  };
}

/** Everything below `handled` is in the result. */
const LOOK = `
  with stored as (
    select coalesce(max(tx), 0) as last
    from stream_batches
  )
  select
    name as result,
    coalesce((select tx_cursor from leases where leases.name = follower.name), 0) as handled,
    last
  from unnest($1::text[]) as follower (name)
  cross join stored
  union all
  select
    'finish-windows',
    coalesce((select min(tx) from open_windows), last + 1),
    last
  from stored`;
