/**
 * What each stage is made of: the one file to edit before a deploy.
 *
 * A stage without an entry of its own gets `otherStages`. What is left out has the default of the
 * stage's size; README ("Deploy") has the table of sizes, and `infra/settings.ts` every setting.
 */
import type { Settings } from "./settings.ts";

/** Whose tokens are believed. */
const auth: Settings["auth"] = {
  issuer: "https://login.example.com/",
  audience: "headrace",
  jwksUrl: "https://login.example.com/.well-known/jwks.json",
  algorithms: ["RS256"],
};

export const stages: Readonly<Record<string, Settings>> = {
  production: {
    size: "standard",
    region: "eu-central-1",
    auth,
    alarms: { email: "operations@example.com", budgetDollars: 1_200 },
  },
};

export const otherStages: Settings = {
  size: "starter",
  region: "eu-central-1",
  auth,
  kafka: { kind: "existing", brokers: ["broker-1.example.com:9096"] },
  alarms: { email: "operations@example.com", budgetDollars: 20 },
};
