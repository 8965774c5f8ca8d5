/** When the gateway checks tokens, for what, and which pages may call it. */
import { expect, test } from "vitest";
import type { Settings } from "../../infra/settings.ts";
import { EVALUATION_MS, evaluate } from "./evaluate.ts";
import { settingsFor } from "./settings.ts";

test.for([
  ["where the issuer signs otherwise than by RSA", { algorithms: ["RS256", "EdDSA"] }],
  ["where the issuer has no discovery document", { gateway: false }],
] as const)("%s, only the functions check tokens", { timeout: EVALUATION_MS }, async ([, more]) => {
  const auth = { ...settingsFor("starter").auth, ...more } as Settings["auth"];
  const stage = await evaluate({ settings: settingsFor("starter", { auth }) });
  expect(stage.ofType("aws:apigatewayv2/authorizer:Authorizer")).toEqual([]);
  const types = stage
    .ofType("aws:apigatewayv2/route:Route")
    .map(({ inputs }) => inputs.authorizationType);
  expect(new Set(types)).toEqual(new Set(["NONE"]));
  expect(stage.environmentOf("HttpReports").AUTH_ISSUER).toBe(auth.issuer);
});

test(
  "a page that is named may call it, and no other",
  async () => {
    const http = { origins: ["https://dashboard.shop.test"] };
    const stage = await evaluate({ settings: settingsFor("starter", { http }) });
    expect(stage.the("aws:apigatewayv2/api:Api").inputs.corsConfiguration).toMatchObject({
      allowOrigins: ["https://dashboard.shop.test"],
      allowHeaders: ["authorization", "content-type"],
    });
  },
  EVALUATION_MS,
);

test(
  "a route that names no scope is not deployed",
  async () => {
    const edit = {
      path: "functions/manifest.ts",
      from: `path: "/v1/dead-letters", scope: "admin"`,
      to: `path: "/v1/dead-letters", scope: undefined as never`,
    };
    await expect(evaluate({ settings: settingsFor("starter"), edit })).rejects.toThrow(
      "The route GET /v1/dead-letters of functions/http/operations names no scope: name one in functions/manifest.ts, or public",
    );
  },
  EVALUATION_MS,
);
