/** The Produce request (version 9) with batches that are bytes already. */
import { createAPI, ProduceAcks, produceV9, Writer } from "@platformatic/kafka";

export interface ProduceBatch {
  readonly topic: string;
  readonly partition: number;
  readonly bytes: Buffer;
}

export interface ProduceRequest {
  readonly batches: readonly ProduceBatch[];
  /** How long the broker may wait for its replicas. */
  readonly replicasTimeoutMs: number;
}

const PRODUCE = 0;

export const produceApi = createAPI<[ProduceRequest], produceV9.ProduceResponse>(
  PRODUCE,
  9,
  writeRequest,
  produceV9.parseResponse,
);

function writeRequest(request: ProduceRequest): Writer {
  const byTopic = Map.groupBy(request.batches, (batch) => batch.topic);
  return Writer.create()
    .appendString(null) // transactional id
    .appendInt16(ProduceAcks.ALL)
    .appendInt32(request.replicasTimeoutMs)
    .appendArray([...byTopic], (writer, [topic, batches]) => {
      writer.appendString(topic).appendArray(batches, (inner, { partition, bytes }) => {
        inner
          .appendInt32(partition)
          .appendUnsignedVarInt(bytes.length + 1)
          .append(bytes);
      });
    })
    .appendTaggedFields();
}
