/**
 * Interval joins: which are declared, and how far each is filled.
 *
 * A join is two event types and a limit: every pair of one user's events with 0 <= right - left <=
 * limit. A declared join is filled from history, newest events first, while new events are matched at
 * once; a changed one answers as it was until the new version is filled. Types of which no event has
 * come yet are allowed, and named in the answer.
 */
import {
  type DeclaredJoin,
  declareJoin,
  type JoinVersion,
  readJoins,
  removeJoin,
} from "@headrace/db";
import {
  answerWith,
  durationParam,
  durationText,
  eventTypeParam,
  httpHandler,
  joinNameParam,
  route,
} from "@headrace/handler";
import * as z from "zod";

const SECOND = 1_000_000;
const DAY = 86_400 * SECOND;
const Within = durationParam({ minMicros: SECOND, maxMicros: DAY });

const Params = z.strictObject({ name: joinNameParam });
const Declaration = z.strictObject({ left: eventTypeParam, right: eventTypeParam, within: Within });

const DeclarationAnswer = { left: eventTypeParam, right: eventTypeParam, within: z.string() };
/** From 0 to 1, the share of the time that is filled; 1 only when it answers. */
const Filled = z.number().min(0).max(1);
const JoinAnswer = z.strictObject({
  name: joinNameParam,
  ...DeclarationAnswer,
  state: z.enum(["filling", "active"]),
  filled: Filled,
  /** What it is being changed to. */
  change: z.strictObject({ ...DeclarationAnswer, filled: Filled }).nullable(),
});
const DeclaredAnswer = JoinAnswer.extend({
  /** Types of the declaration of which no event has come yet. */
  unseen_types: z.array(eventTypeParam),
});

const STATUS = { unchanged: 200, made: 201, changed: 202 } as const;

export const routes = {
  "GET /v1/joins": route(
    {
      scope: "reports:read",
      pool: "worker",
      answer: z.strictObject({ joins: z.array(JoinAnswer) }),
    },
    async ({ sql }) => ({ joins: (await readJoins(sql)).map(joinAnswer) }),
  ),

  "PUT /v1/joins/{name}": route(
    {
      scope: "admin",
      pool: "worker",
      params: Params,
      body: Declaration,
      answer: DeclaredAnswer,
    },
    async ({ params: { name }, body: { left, right, within }, sql, log }) => {
      const declaration = { leftType: left, rightType: right, withinMicros: within };
      const { join, outcome, unseenTypes } = await sql.transaction((client) =>
        declareJoin(client, name, declaration),
      );
      if (outcome !== "unchanged") log.info("a join was declared", { join: name, outcome });
      return answerWith(STATUS[outcome], { ...joinAnswer(join), unseen_types: [...unseenTypes] });
    },
  ),

  "DELETE /v1/joins/{name}": route(
    { scope: "admin", pool: "worker", params: Params, answer: z.null(), status: 204 },
    async ({ params: { name }, sql, log }) => {
      await sql.transaction((client) => removeJoin(client, name));
      log.info("a join was removed", { join: name });
      return null;
    },
  ),
};

export const handler = httpHandler(routes);

function joinAnswer({ name, active, filling }: DeclaredJoin): z.input<typeof JoinAnswer> {
  const first = active ?? (filling as JoinVersion);
  const change = active && filling;
  return {
    name,
    ...declarationOf(first),
    state: first.state,
    filled: first.filled,
    change: change === undefined ? null : { ...declarationOf(change), filled: change.filled },
  };
}

const declarationOf = ({ leftType, rightType, withinMicros }: JoinVersion) => ({
  left: leftType,
  right: rightType,
  within: durationText(withinMicros),
});
