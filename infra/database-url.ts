/** Addresses of one database, as each role connects to it. Pure. */

export const POSTGRES_PORT = 5432;
const LOOPBACK = "127.0.0.1";

export interface DatabaseServer {
  readonly host: string;
  readonly port: number;
  readonly database: string;
}

/** What stands between a function and the server. */
export type Through = "server" | "proxy" | "pooler";

export interface Login {
  readonly username: string;
  readonly password: string;
}

/** The certificate is checked, and the name in it; a server of this machine has none. */
export function databaseUrl({ host, port, database }: DatabaseServer, login: Login): string {
  const url = new URL(`postgresql://${host}:${port}/${encodeURIComponent(database)}`);
  url.username = encodeURIComponent(login.username);
  url.password = encodeURIComponent(login.password);
  if (host !== LOOPBACK) url.searchParams.set("sslmode", "verify-full");
  return url.href;
}

/** What the owner's address names; throws with the secret's name and never its value. */
export function readDatabaseUrl(text: string, secret: string): DatabaseServer & Login {
  const url = URL.parse(text);
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol) || url.pathname.length < 2)
    throw new Error(
      `The secret ${secret} is no PostgreSQL address: set it to postgresql://owner:password@host/database (sst secret set ${secret} '…')`,
    );
  return {
    host: url.hostname,
    port: url.port === "" ? POSTGRES_PORT : Number(url.port),
    database: decodeURIComponent(url.pathname.slice(1)),
    username: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
  };
}

const NEON_HOST = /^(ep-[a-z0-9-]+?)(-pooler)?(\..*\.neon\.tech)$/;

/** Neon's pooler has the endpoint's name with `-pooler`. */
export function neonHosts(host: string, secret: string): { direct: string; pooler: string } {
  const match = NEON_HOST.exec(host);
  if (match === null)
    throw new Error(
      `The secret ${secret} is no address of Neon (ep-….neon.tech): copy the owner's connection string from Neon's console`,
    );
  const [, endpoint, pooled, rest] = match;
  if (pooled !== undefined)
    throw new Error(
      `The secret ${secret} is the pooler's address: set it to the direct one, without -pooler`,
    );
  return { direct: host, pooler: `${endpoint}-pooler${rest}` };
}
