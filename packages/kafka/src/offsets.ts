/** Where the logs begin and end, as a reader of committed records sees them. */
import { FetchIsolationLevels, listOffsetsV7 } from "@platformatic/kafka";
import type { Cluster, TopicInfo } from "./cluster.ts";
import { accept, BrokerRefusal } from "./errors.ts";

export interface PartitionOffsets {
  readonly topic: string;
  readonly partition: number;
  /** The first offset still kept (or, after deletions, the next one to be written). */
  readonly begin: number;
  /** The offset after the last record that is not part of an open transaction. */
  readonly end: number;
}

const EARLIEST = -2n;
const LATEST = -1n;

/** All partitions of `topics`, in that order. Throws refusals; call it within `attempt`. */
export async function readOffsets(
  cluster: Cluster,
  topics: readonly string[],
): Promise<readonly PartitionOffsets[]> {
  try {
    const infos = await Promise.all(topics.map((topic) => cluster.topic(topic)));
    const [begins, ends] = await Promise.all([
      list(cluster, infos, EARLIEST),
      list(cluster, infos, LATEST),
    ]);
    return infos.flatMap(({ name: topic, leaders }) =>
      leaders.map((_leader, partition) => {
        const begin = begins.get(`${topic}-${partition}`) ?? 0;
        const end = ends.get(`${topic}-${partition}`) ?? 0;
        return { topic, partition, begin, end: Math.max(begin, end) };
      }),
    );
  } catch (error) {
    for (const topic of topics) cluster.forgetTopic(topic);
    throw error;
  }
}

async function list(
  cluster: Cluster,
  topics: readonly TopicInfo[],
  timestamp: bigint,
): Promise<ReadonlyMap<string, number>> {
  const offsets = new Map<string, number>();
  const leaders = new Set(topics.flatMap((topic) => topic.leaders));
  for (const leader of leaders) {
    if (leader === -1) throw new BrokerRefusal(5);
    const asked = topics.map((topic) => ({
      name: topic.name,
      partitions: topic.leaders.flatMap((node, partitionIndex) =>
        node === leader ? [{ partitionIndex, currentLeaderEpoch: -1, timestamp }] : [],
      ),
    }));
    const answer = await cluster.call(
      listOffsetsV7.api,
      await cluster.node(leader),
      -1,
      FetchIsolationLevels.READ_COMMITTED,
      asked.filter((topic) => topic.partitions.length > 0),
    );
    for (const { name, partitions } of answer.topics)
      for (const { partitionIndex, errorCode, offset } of partitions) {
        accept(errorCode, `${name}-${partitionIndex}`);
        offsets.set(`${name}-${partitionIndex}`, Number(offset));
      }
  }
  return offsets;
}
