/**
 * Neon: a database outside of AWS, whose address is a secret. Made by hand in Neon's console, in the
 * stage's region; nothing of it is made or removed here.
 */
import type { DatabaseHosts } from "./database.ts";
import { neonHosts, readDatabaseUrl } from "./database-url.ts";

const SECRET = "DatabaseUrl";

export function readNeon(): DatabaseHosts {
  const secret = new sst.Secret(SECRET);
  const read = secret.value.apply((text) => readDatabaseUrl(text, SECRET));
  const server = (host: "direct" | "pooler") =>
    read.apply(({ port, database, ...rest }) => ({
      host: neonHosts(rest.host, SECRET)[host],
      port,
      database,
    }));
  return {
    owner: read.apply(({ username, password }) => ({ username, password })),
    direct: { server: server("direct"), through: "server" },
    pooled: { server: server("pooler"), through: "pooler" },
    made: [],
    hasAwsCertificate: false,
  };
}
