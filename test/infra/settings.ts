/** Settings of a stage of each size, as somebody would write them. */
import type { Settings, Size } from "../../infra/settings.ts";

const common = {
  region: "eu-central-1",
  auth: {
    issuer: "https://id.shop.test/",
    audience: "headrace",
    jwksUrl: "https://id.shop.test/jwks.json",
    algorithms: ["RS256"],
  },
  alarms: { email: "operations@shop.test", budgetDollars: 500 },
} as const satisfies Partial<Settings>;

export function settingsFor(size: Size, changes: Partial<Settings> = {}): Settings {
  const own: Partial<Settings> =
    size === "starter"
      ? {
          kafka: {
            kind: "existing",
            brokers: ["kafka-1.shop.test:9096", "kafka-2.shop.test:9096"],
          },
        }
      : {};
  return { ...(common as unknown as Settings), size, ...own, ...changes };
}
