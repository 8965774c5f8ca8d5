/** DELETE /v1/users/{id} and GET /v1/erasures/{job}: how far a user's erasure has come. */
import type { Erasure } from "@headrace/db";
import * as z from "zod";
import { Count, InstantText, instantOf, instantOrNull } from "./answer.ts";

export const ErasureAnswer = z.strictObject({
  job_id: z.guid(),
  /** `waiting` until everything that came before the request is in the results. */
  state: z.enum(["waiting", "running", "done"]),
  requested_at: InstantText,
  finished_at: InstantText.nullable(),
  /** Raw events made anonymous so far. */
  events: Count,
});
export type ErasureAnswer = z.output<typeof ErasureAnswer>;

/** It names no user: who may read it later must not learn who was erased. */
export const erasureAnswer = (erasure: Erasure): ErasureAnswer => ({
  job_id: erasure.jobId,
  state: erasure.state,
  requested_at: instantOf(erasure.requestedAt),
  finished_at: instantOrNull(erasure.finishedAt),
  events: erasure.events,
});
