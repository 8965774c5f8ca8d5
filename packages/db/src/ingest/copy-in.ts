/**
 * COPY … FROM STDIN over one connection, written piece by piece.
 *
 * Writing gives the event loop a turn after each piece: PostgreSQL inserts one while the next is
 * made, and another partition or a request gets its share of the thread.
 */
import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { from as copyFrom } from "pg-copy-streams";
import type { Client } from "../sql.ts";

export interface CopyIn {
  write(lines: string): Promise<void>;
  /** Resolves when PostgreSQL has taken every line in. */
  end(): Promise<void>;
  /** Makes PostgreSQL give the COPY up; resolves when the connection can be used again. */
  abort(): Promise<void>;
}

/** Holds a few pieces, so that making the next never waits for the last to leave. */
const HIGH_WATER_BYTES = 512 * 1024;

export function copyIn(client: Client, statement: string): CopyIn {
  const stream = client.query(copyFrom(statement, { highWaterMark: HIGH_WATER_BYTES }));
  const finished = new Promise<void>((resolve, reject) => {
    stream.once("finish", resolve);
    stream.once("error", reject);
  });
  let failure: { readonly error: unknown } | undefined;
  finished.catch((error: unknown) => {
    failure = { error };
  });
  return {
    async write(lines) {
      const hasRoom = stream.write(lines);
      if (hasRoom) await turn();
      else await Promise.race([once(stream, "drain"), finished]);
      if (failure !== undefined) throw failure.error;
    },
    async end() {
      stream.end();
      await finished;
    },
    async abort() {
      stream.destroy(new Error("given up by the writer"));
      await finished.catch(() => {});
    },
  };
}
