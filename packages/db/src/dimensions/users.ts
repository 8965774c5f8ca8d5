/** Table `dim_users`: what is known of users beside their events. */
import { instantText, type Sql } from "../sql.ts";

export interface UserDimension {
  readonly userId: string;
  readonly name: string;
  readonly segment: string | null;
  readonly region: string | null;
  /** µs. */
  readonly registeredMicros: number | null;
}

/** Each as it stands after a write. */
export interface StoredUser extends UserDimension {
  readonly updatedMicros: number;
  /** Whether there was none before. */
  readonly isNew: boolean;
}

/**
 * Stores users whole, and returns them in the order given; no id twice. One that is already as it is
 * given is not written: its time stays, and nobody has to follow it.
 */
export async function putUsers(sql: Sql, users: readonly UserDimension[]): Promise<StoredUser[]> {
  const { rows } = await sql.query<{
    user_id: string;
    name: string;
    segment: string | null;
    region: string | null;
    registered_at: number | null;
    updated_at: number;
    is_new: boolean;
  }>({
    name: "put-users",
    text: `with given as materialized (
             select *
             from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
               with ordinality as given (user_id, name, segment, region, registered_at, place)
           ),
           written as (
             insert into dim_users as kept (user_id, name, segment, region, registered_at)
             select user_id, name, segment, region, registered_at
             from given
             order by user_id
             on conflict (user_id) do update
             set name = excluded.name,
                 segment = excluded.segment,
                 region = excluded.region,
                 registered_at = excluded.registered_at,
                 updated_at = default,
                 tx = default
             where (kept.name, kept.segment, kept.region, kept.registered_at)
               is distinct from (excluded.name, excluded.segment, excluded.region, excluded.registered_at)
             returning user_id, updated_at
           )
           select
             given.*,
             coalesce(written.updated_at, before.updated_at, now()) as updated_at,
             before.user_id is null as is_new
           from given
           left join written using (user_id)
           left join dim_users as before using (user_id)
           order by place`,
    values: [
      users.map(({ userId }) => userId),
      users.map(({ name }) => name),
      users.map(({ segment }) => segment),
      users.map(({ region }) => region),
      users.map(({ registeredMicros }) =>
        registeredMicros === null ? null : instantText(registeredMicros),
      ),
    ],
  });
  return rows.map((row) => ({
    userId: row.user_id,
    name: row.name,
    segment: row.segment,
    region: row.region,
    registeredMicros: row.registered_at,
    updatedMicros: row.updated_at,
    isNew: row.is_new,
  }));
}
