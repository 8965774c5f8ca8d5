/** What every bench is, and the little arithmetic they share. */
import { mkdtemp, rm } from "node:fs/promises";
import { createPool, migrate, type Pool } from "@headrace/db";
import { removePostgres, startPostgres } from "@headrace/local";

export interface BenchOptions {
  /** Under a minute, with less to rely on. */
  readonly quick: boolean;
}

export type Figures = Readonly<Record<string, number>>;
export type Bench = (options: BenchOptions) => Promise<Figures>;

/** `share` 0.5 is the median. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export interface BenchDatabase {
  readonly ownerUrl: string;
  readonly owner: Pool;
}

/** Runs `work` on a server of its own with the product's settings; prints those that make it durable. */
export async function withDatabase<Result>(
  work: (database: BenchDatabase) => Promise<Result>,
): Promise<Result> {
  const folder = await mkdtemp(new URL("../../.headrace/bench-", import.meta.url).pathname);
  const server = await startPostgres({ folder, password: "bench" });
  const owner = createPool({ connectionString: server.url, max: 4 });
  owner.on("error", () => {}); // the server is stopped while a connection says goodbye
  try {
    await migrate(server.url);
    const { rows } = await owner.query<{ name: string; setting: string }>(
      `select name, setting
       from pg_settings
       where name in ('fsync', 'full_page_writes', 'synchronous_commit', 'server_version')
       order by name`,
    );
    console.log(rows.map(({ name, setting }) => `${name} ${setting}`).join(", "));
    return await work({ ownerUrl: server.url, owner });
  } finally {
    await owner.end();
    await server.stop();
    await removePostgres(folder);
    await rm(folder, { recursive: true, force: true });
  }
}
