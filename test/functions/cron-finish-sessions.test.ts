import { SESSIONS_FOLLOWER } from "@headrace/db";
import { expect, test } from "vitest";
import { event, rowsOf, takeIn, testPool } from "../db/take-in.ts";
import { testDatabase } from "../support/database.ts";

const db = await testDatabase();
process.env.DATABASE_WORKER_URL = db.workerUrl;
const { handler } = await import("../../functions/cron/finish-sessions.ts");
const worker = testPool(db.workerUrl);
const context = { awsRequestId: "test", getRemainingTimeInMillis: () => 60_000 };

const standing = () =>
  rowsOf(
    db.pool,
    `select
       (select count(*) from kept_sessions) as sessions,
       (select sum(users) from active_days) as days,
       (select tx_cursor from leases where name = '${SESSIONS_FOLLOWER}') as cursor`,
  );

test("finishes what has come in, and leaves everything as it is when nothing has", async () => {
  for (const user of ["a", "b", "c"]) await takeIn(worker, [event({ user_id: user })]);
  // Writers of other test files hold the cut back for a moment.
  await expect
    .poll(
      async () => {
        expect(await handler({}, context)).toEqual({ ran: true });
        return (await standing())[0]?.sessions;
      },
      { interval: 10, timeout: 10_000 },
    )
    .toBe(3);
  const before = await standing();
  expect(await handler({}, context)).toEqual({ ran: true });
  expect(await standing()).toEqual(before);
});
