/**
 * The Fetch request (version 13: topics by id, so that a topic made anew under an old name is told
 * apart) and its answer, whose records stay bytes until someone decodes them.
 */
import { createAPI, FetchIsolationLevels, type Reader, Writer } from "@platformatic/kafka";
import { ByteReader } from "./bytes.ts";
import type { AbortedTransaction } from "./decode-batch.ts";

export interface FetchRequest {
  readonly maxWaitMs: number;
  readonly maxBytes: number;
  readonly maxBytesPerPartition: number;
  readonly positions: readonly { topicId: string; partition: number; offset: number }[];
}

export interface FetchAnswer {
  readonly errorCode: number;
  readonly partitions: readonly PartitionAnswer[];
}

export interface PartitionAnswer {
  readonly topicId: string;
  readonly partition: number;
  readonly errorCode: number;
  /** The end of what a reader of committed records may see; -1 where the answer is an error. */
  readonly lastStableOffset: number;
  readonly logStart: number;
  readonly aborted: readonly AbortedTransaction[];
  readonly bytes: Buffer;
}

const FETCH = 1;
const EMPTY = Buffer.alloc(0);

export const fetchApi = createAPI<[FetchRequest], FetchAnswer>(FETCH, 13, writeRequest, readAnswer);

function writeRequest(request: FetchRequest): Writer {
  const byTopic = Map.groupBy(request.positions, (position) => position.topicId);
  return Writer.create()
    .appendInt32(-1) // replica: none, a consumer
    .appendInt32(request.maxWaitMs)
    .appendInt32(1) // least bytes
    .appendInt32(request.maxBytes)
    .appendInt8(FetchIsolationLevels.READ_COMMITTED)
    .appendInt32(0) // no session
    .appendInt32(-1)
    .appendArray([...byTopic], (writer, [topicId, positions]) => {
      writer.appendUUID(topicId).appendArray(positions, (inner, { partition, offset }) => {
        inner
          .appendInt32(partition)
          .appendInt32(-1) // leader epoch: not compared
          .appendInt64(BigInt(offset))
          .appendInt32(-1)
          .appendInt64(-1n)
          .appendInt32(request.maxBytesPerPartition);
      });
    })
    .appendArray([], () => undefined)
    .appendString("") // rack
    .appendTaggedFields();
}

function readAnswer(_id: number, _api: number, _version: number, source: Reader): FetchAnswer {
  const reader = new ByteReader(source.buffer.buffer, source.position);
  reader.at += 4; // throttle time
  const errorCode = reader.int16();
  reader.at += 4; // session
  const partitions: PartitionAnswer[] = [];
  for (let topics = reader.uvarint() - 1; topics > 0; topics--) {
    const topicId = reader.uuid();
    for (let left = reader.uvarint() - 1; left > 0; left--)
      partitions.push(readPartition(topicId, reader));
    reader.skipTaggedFields();
  }
  return { errorCode, partitions };
}

function readPartition(topicId: string, reader: ByteReader): PartitionAnswer {
  const partition = reader.int32();
  const errorCode = reader.int16();
  reader.at += 8; // high watermark
  const lastStableOffset = reader.int64();
  const logStart = reader.int64();
  const aborted: AbortedTransaction[] = [];
  for (let left = reader.uvarint() - 1; left > 0; left--) {
    aborted.push({ producerId: reader.int64(), firstOffset: reader.int64() });
    reader.skipTaggedFields();
  }
  reader.at += 4; // preferred replica
  const length = reader.uvarint() - 1;
  const bytes = length > 0 ? reader.slice(length) : EMPTY;
  reader.skipTaggedFields();
  return { topicId, partition, errorCode, lastStableOffset, logStart, aborted, bytes };
}
