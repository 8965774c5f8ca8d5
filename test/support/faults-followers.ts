/**
 * Followers in a history: slices of random sizes under leases that are taken over, changes of
 * dimensions that they follow, and at the end whatever is left, by the functions themselves.
 */
import {
  addSegmentEvents,
  advanceMoves,
  fillJoins,
  findJoins,
  finishSessions,
  followGroupChanges,
  type Lease,
  type Pool,
  putProducts,
  putUsers,
  releaseLease,
  repeated,
  takeLease,
} from "@headrace/db";
import type { CronHandler } from "@headrace/handler";
import { endLeases, swallow, type Work } from "./faults-actors.ts";
import type { Instance, World } from "./faults-world.ts";

export const FOLLOWING = ["finish-sessions", "find-joins", "refresh-segments"] as const;
export type Following = (typeof FOLLOWING)[number];
export type FollowingHandlers = Readonly<Record<Following, CronHandler>>;

/** One step of a follower; `limit` bounds its events, or its keys. */
type Step = (pool: Pool, lease: Lease, limit: number) => Promise<unknown>;

const STEPS: Readonly<Record<Following, readonly Step[]>> = {
  "finish-sessions": [finishSessions],
  "find-joins": [findJoins, fillJoins],
  "refresh-segments": [
    addSegmentEvents,
    (pool, lease, limit) =>
      followGroupChanges(pool, lease, "segment", { events: limit, keys: limit }),
    (pool, lease, limit) =>
      followGroupChanges(pool, lease, "category", { events: limit, keys: limit }),
    (pool, lease, limit) => advanceMoves(pool, lease, { events: limit, deltas: limit }),
  ],
};

/** `force` takes the lease over from whoever still works under it. */
export function follow(world: World, instance: Instance, name: Following, force: boolean): Work {
  const { random } = world;
  const turns = Array.from({ length: random.whole(1, 4) }, () => ({
    step: random.pick(STEPS[name]),
    limit: random.pick([1, 3, 10, random.whole(1, 60), 2000]),
  }));
  const givesBack = random.chance(0.6);
  return () =>
    swallow(world, async () => {
      const pool = instance.pool();
      if (force) await endLeases(instance, name);
      const lease = await takeLease(pool, name, instance.name, 60);
      if (lease === undefined) return;
      for (const { step, limit } of turns) await repeated(() => step(pool, lease, limit));
      if (givesBack) await releaseLease(pool, lease);
    });
}

const GROUPS = ["gold", "silver", null] as const;

/** Somebody's segment, or some products' category, changes. */
export async function changeDimensions({ stage, random, note }: World): Promise<void> {
  if (random.chance(0.5)) {
    const userId = `u${random.whole(0, 12)}`;
    const segment = random.pick(GROUPS);
    await putUsers(stage.owner, [
      { userId, name: "Ada", segment, region: null, registeredMicros: null },
    ]);
    note(`  ${userId} came into segment ${segment}`);
    return;
  }
  const productId = `p${random.whole(0, 9)}`;
  const category = random.pick(["toys", "books"]);
  await putProducts(stage.owner, [
    { productId, name: "a product", category, price: "1.00", stock: null, reorderPoint: null },
  ]);
  note(`  ${productId} came into category ${category}`);
}
