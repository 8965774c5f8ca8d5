/**
 * Which records are left out because their user was erased after them.
 *
 * Asked for in a statement of its own after the partition's row is locked: the transaction then has
 * its id, so that whoever does not see an erasure has a smaller id than what begins after it.
 */
import { bug } from "@headrace/kernel";
import type { Sql } from "../sql.ts";
import { hashOfUser } from "../users/erasures.ts";
import type { DecodedRecord } from "./batch.ts";

/** A record may be one to leave out, and nobody has looked. */
export class Unlooked extends Error {
  override readonly name = "Unlooked";
}

export class LeftOut {
  /** Of the newest erasure; nobody has to be looked for among records after it. */
  readonly #newestMicros: number;
  readonly #key: Buffer;
  /** Erased users among those that were looked for, and when. */
  #erasedAt: ReadonlyMap<string, number> = new Map();

  constructor(newestMicros: number, key: Buffer) {
    this.#newestMicros = newestMicros;
    this.#key = key;
  }

  /** Whether a look is needed before `holds` can tell. */
  concerns(records: readonly DecodedRecord[]): boolean {
    return records.some((decoded) => sentMicros(decoded) <= this.#newestMicros);
  }

  async look(sql: Sql, records: readonly DecodedRecord[]): Promise<void> {
    const users = new Map<string, Buffer>();
    for (const decoded of records) {
      const { event } = decoded;
      if (event === null || sentMicros(decoded) > this.#newestMicros) continue;
      if (users.has(event.userId)) continue;
      users.set(event.userId, hashOfUser(event.userId, this.#key));
    }
    if (users.size > 0) this.#erasedAt = await readErased(sql, users);
  }

  /** Of a record that was looked for, or came after every erasure. */
  holds(decoded: DecodedRecord): boolean {
    if (decoded.event === null) return false;
    const erasedAt = this.#erasedAt.get(decoded.event.userId);
    return erasedAt !== undefined && sentMicros(decoded) <= erasedAt;
  }
}

/** When the record came into Kafka; of a dead letter that was sent again, when it came first. */
const sentMicros = ({ record, recordMicros }: DecodedRecord): number =>
  record.firstPosition === undefined
    ? recordMicros
    : Math.min(recordMicros, record.firstPosition.timestampMillis * 1000);

export async function readLeftOut(sql: Sql): Promise<LeftOut> {
  const { rows } = await sql.query<{ newest: number | null; key: Buffer }>({
    name: "newest-erasure",
    text: `select
             (select max(erased_at) from erased_users) as newest,
             key
           from erasure_key`,
  });
  const [row] = rows;
  // With another key nobody would be found, and erased users would come back.
  if (row === undefined) throw bug("erasure.key", "table erasure_key has no row");
  return new LeftOut(row.newest ?? Number.NEGATIVE_INFINITY, row.key);
}

/** `users`: their hashes by their ids. Answers with times in µs by ids. */
async function readErased(
  sql: Sql,
  users: ReadonlyMap<string, Buffer>,
): Promise<Map<string, number>> {
  const { rows } = await sql.query<{ hash: string; erased_at: number }>({
    name: "find-erased-users",
    text: `select encode(hash, 'hex') as hash, erased_at
           from erased_users
           where hash = any ($1::bytea[])`,
    values: [[...users.values()]],
  });
  const times = new Map(rows.map((row) => [row.hash, row.erased_at]));
  const found = new Map<string, number>();
  for (const [userId, hash] of users) {
    const erasedAt = times.get(hash.toString("hex"));
    if (erasedAt !== undefined) found.set(userId, erasedAt);
  }
  return found;
}
