/**
 * A group's committed offsets, written and read without joining the group, as Lambda's pollers do.
 * The broker refuses a commit while somebody is a member (`kafka.group_in_use`).
 */
import { offsetCommitV8, offsetFetchV8 } from "@platformatic/kafka";
import type { Cluster } from "./cluster.ts";
import { accept } from "./errors.ts";

export interface GroupOffset {
  readonly topic: string;
  readonly partition: number;
  /** The next offset to read. */
  readonly offset: number;
  /** A text of the committer's, kept with the offset (at most 4 KiB). */
  readonly metadata?: string;
}

/** Tells a broker that the committer is no member: it manages its partitions itself. */
const NO_GENERATION = -1;

export async function commitOffsets(
  cluster: Cluster,
  group: string,
  offsets: readonly GroupOffset[],
): Promise<void> {
  const topics = [...Map.groupBy(offsets, (offset) => offset.topic)].map(([name, all]) => ({
    name,
    partitions: all.map(({ partition, offset, metadata }) => ({
      partitionIndex: partition,
      committedOffset: BigInt(offset),
      committedLeaderEpoch: -1,
      committedMetadata: metadata ?? null,
    })),
  }));
  await withCoordinator(cluster, group, async (connection) => {
    const answer = await cluster.call(
      offsetCommitV8.api,
      connection,
      group,
      NO_GENERATION,
      "",
      null,
      topics,
    );
    for (const { name, partitions } of answer.topics)
      for (const { partitionIndex, errorCode } of partitions)
        accept(errorCode, `group "${group}", ${name}-${partitionIndex}`);
  });
}

/** Only partitions for which something was committed. */
export async function committedOffsets(
  cluster: Cluster,
  group: string,
  topic: string,
  partitions: number,
): Promise<readonly GroupOffset[]> {
  const partitionIndexes = Array.from({ length: partitions }, (_, i) => i);
  const request = {
    groupId: group,
    memberId: null,
    memberEpoch: -1,
    topics: [{ name: topic, partitionIndexes }],
  };
  return withCoordinator(cluster, group, async (connection) => {
    const answer = await cluster.call(offsetFetchV8.api, connection, [request], false);
    const found = answer.groups[0];
    accept(found?.errorCode ?? -1, `group "${group}"`);
    const all = found?.topics.find((one) => one.name === topic)?.partitions ?? [];
    return all.flatMap(({ partitionIndex, committedOffset, metadata, errorCode }) => {
      accept(errorCode, `group "${group}", ${topic}-${partitionIndex}`);
      if (committedOffset < 0n) return [];
      const at = { topic, partition: partitionIndex, offset: Number(committedOffset) };
      return [metadata ? { ...at, metadata } : at];
    });
  });
}

async function withCoordinator<T>(
  cluster: Cluster,
  group: string,
  work: (connection: Awaited<ReturnType<Cluster["coordinator"]>>) => Promise<T>,
): Promise<T> {
  try {
    return await work(await cluster.coordinator(group));
  } catch (error) {
    cluster.forgetCoordinator(group);
    throw error;
  }
}
