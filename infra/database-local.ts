/** In `sst dev`: the PostgreSQL of this machine, whatever the stage's settings name. */
import { DEV_PORT_VARIABLE, type DevAddresses, devAddresses } from "@headrace/capacity";
import type { DatabaseHosts } from "./database.ts";

const NAME = "headrace";

export function createLocalDatabase(): DatabaseHosts {
  const { postgres } = localAddresses();
  const password = new random.RandomPassword("DatabasePasswordOwner", {
    length: 40,
    special: false,
  }).result;
  const login = { username: NAME, password };
  // With `dev`, no server is made in the cloud, and so none of the network that it asks for.
  new sst.aws.Postgres("Database", {
    vpc: { subnets: [] },
    dev: { ...postgres, ...login, database: NAME },
  });
  const place = { server: { ...postgres, database: NAME }, through: "server" } as const;
  return {
    owner: $output(login),
    direct: place,
    pooled: place,
    made: [],
    hasAwsCertificate: false,
  };
}

/** Where `sst dev` finds its servers. */
export const localAddresses = (): DevAddresses => devAddresses(process.env[DEV_PORT_VARIABLE]);
