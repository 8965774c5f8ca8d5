/**
 * Table `leases`: one runner at a time for each cron.
 *
 * A lease ends by itself. Who takes it over raises the fence in the row that the old holder's
 * transactions update first, so that whatever the old holder still does rolls back.
 */
import { conflict } from "@headrace/kernel";
import { type Client, inTransaction, type Pool, repeated, type Sql } from "./sql.ts";

export interface Lease {
  readonly name: string;
  readonly fence: number;
  /** How long it lasts after each use, in seconds. */
  readonly seconds: number;
}

/** Takes the lease when it is free or has ended; undefined while another holds it. */
export async function takeLease(
  sql: Sql,
  name: string,
  holder: string,
  seconds: number,
): Promise<Lease | undefined> {
  const { rows } = await sql.query<{ fence: number }>(
    `insert into leases as kept (name, fence, holder, expires_at)
     values ($1, 1, $2, clock_timestamp() + make_interval(secs => $3))
     on conflict (name) do update
     set fence      = kept.fence + 1,
         holder     = excluded.holder,
         waiting    = null,
         expires_at = excluded.expires_at
     where kept.expires_at < clock_timestamp()
     returning fence`,
    [name, holder, seconds],
  );
  const [row] = rows;
  return row === undefined ? undefined : { name, fence: row.fence, seconds };
}

/** First write of a holder's transaction; throws when another has taken the lease over. */
export async function requireLease(sql: Sql, lease: Lease): Promise<void> {
  await requireCursor(sql, lease);
}

/** `requireLease`, and returns where the holder's follower stands: everything below is handled. */
export async function requireCursor(sql: Sql, lease: Lease): Promise<number> {
  // To lock a table takes no snapshot: who waits here (`holdCrons`) then knows what was done meanwhile.
  await sql.query("lock table leases in row exclusive mode");
  const cursor = await renew(sql, lease);
  if (cursor === undefined) {
    throw conflict(
      "lease.lost",
      `another runner has taken over ${lease.name}; nothing was changed`,
    );
  }
  return cursor;
}

/** Whether the lease is still this holder's; it then lasts for its full time again. */
export async function renewLease(sql: Sql, lease: Lease): Promise<boolean> {
  return (await renew(sql, lease)) !== undefined;
}

async function renew(sql: Sql, lease: Lease): Promise<number | undefined> {
  const { rows } = await sql.query<{ tx_cursor: number }>({
    name: "renew-lease",
    text: `update leases
           set expires_at = clock_timestamp() + make_interval(secs => $3)
           where name = $1
             and fence = $2
           returning tx_cursor`,
    values: [lease.name, lease.fence, lease.seconds],
  });
  return rows[0]?.tx_cursor;
}

/**
 * Keeps these crons out until the transaction ends, for who changes their results beside them. First
 * statement of a repeatable-read transaction.
 *
 * Who holds and who is held wait for each other before they have a snapshot. With the rows alone, which
 * cost one, each would fail to serialise whenever the other was at work, and crons are at work all the
 * time; the rows are changed for those whose snapshot is older all the same, who then start again.
 */
export async function holdCrons(sql: Sql, names: readonly string[]): Promise<void> {
  const sorted = [...names].sort();
  await sql.query("lock table leases in share row exclusive mode");
  await sql.query(
    `insert into leases (name)
     select name
     from unnest($1::text[]) as given (name)
     on conflict (name) do update
     set fence = leases.fence`,
    [sorted],
  );
}

/** `work` in a repeatable-read transaction that holds these crons; repeated where it fails to serialise. */
export const holdingCrons = <Result>(
  pool: Pool,
  names: readonly string[],
  work: (client: Client) => Promise<Result>,
): Promise<Result> =>
  repeated(() =>
    inTransaction(pool, "repeatable read", async (client) => {
      await holdCrons(client, names);
      return work(client);
    }),
  );

export async function releaseLease(sql: Sql, lease: Lease): Promise<void> {
  await sql.query(
    `update leases
     set expires_at = '-infinity',
         holder = null
     where name = $1
       and fence = $2`,
    [lease.name, lease.fence],
  );
}

/** Says that `waiter` waits to take over; the present holder then ends by itself. */
export async function awaitLease(sql: Sql, name: string, waiter: string): Promise<void> {
  await sql.query("update leases set waiting = $2 where name = $1", [name, waiter]);
}

export async function hasWaiter(sql: Sql, lease: Lease): Promise<boolean> {
  const { rows } = await sql.query<{ waits: boolean }>(
    "select waiting is not null or fence <> $2 as waits from leases where name = $1",
    [lease.name, lease.fence],
  );
  return rows[0]?.waits === true;
}
