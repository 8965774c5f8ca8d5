/**
 * The wrapper of a function that a deploy runs once, before code of its release serves.
 *
 * Whatever it throws fails the deploy, whose message is the error's. Nobody else starts it, and a deploy
 * may run it again: its work has to be safe to repeat.
 */
import { invalid, type Logger } from "@headrace/kernel";
import middy from "@middy/core";
import * as z from "zod";
import type { InvocationContext } from "./http-event.ts";
import { beginInvocation } from "./invocation.ts";
import { loggable, logger } from "./log.ts";

/** `release`: another one whenever there may be something to do. */
const DeployEvent = z.object({ release: z.string().min(1).max(100) });

export interface DeployContext {
  readonly log: Logger;
}

export type DeployHandler<Result> = (event: unknown, context: InvocationContext) => Promise<Result>;

export function deployHandler<Result>(
  work: (context: DeployContext) => Promise<Result>,
): DeployHandler<Result> {
  const respond = async (event: unknown, context: InvocationContext): Promise<Result> => {
    beginInvocation(context.awsRequestId);
    const parsed = DeployEvent.safeParse(event);
    if (!parsed.success)
      throw invalid("deploy.event", 'the event must be {"release": …}: a deploy sends it');
    const { release } = parsed.data;
    const log = logger().with({ requestId: context.awsRequestId, release });
    try {
      const result = await work({ log });
      log.info("the stage is prepared", { result });
      return result;
    } catch (error) {
      log.error("the stage is not prepared, and the former release goes on", {
        error: loggable(error),
      });
      throw error;
    }
  };
  return middy<unknown, Result>().handler(respond as never) as never;
}
