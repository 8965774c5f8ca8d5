/**
 * A process of its own that runs the ingest function, as a Lambda environment does: events come as
 * messages, each is answered with what the handler returned. Ends with its parent.
 */
import { handler } from "../../functions/kafka/ingest-events.ts";
import type { LambdaKafkaEvent } from "../support/kafka.ts";

const context = { awsRequestId: "child", getRemainingTimeInMillis: () => 60_000 };

process.on("message", async ({ id, event }: { id: number; event: LambdaKafkaEvent }) => {
  process.send?.({ id, result: await handler(event, context) });
});
process.on("disconnect", () => process.exit(0));
process.send?.({ id: 0 });
