import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  createAuthenticator,
  DEVELOPMENT_ISSUER,
  readConfig,
  SCOPES,
  systemClock,
} from "@headrace/handler";
import {
  developmentIssuer,
  generateSigningKey,
  makeToken,
  openHome,
  parseTokenArguments,
} from "@headrace/local";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-token-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("a token of the development issuer is believed by its environment, and no private part is in it", async () => {
  const key = await generateSigningKey();
  const issuer = developmentIssuer(key);
  const { auth } = readConfig(issuer.environment);
  if (auth === undefined) throw new Error("no auth");
  const authenticate = createAuthenticator(auth, systemClock);
  const token = await issuer.issue({ scopes: ["reports:read", "admin"], subject: "me" });
  expect(await authenticate(`Bearer ${token}`)).toEqual({
    subject: "me",
    scopes: new Set(["reports:read", "admin"]),
  });
  expect(issuer.environment.AUTH_JWKS).not.toContain(key.d);
  expect(() => readConfig({ ...issuer.environment, AWS_LAMBDA_FUNCTION_NAME: "f" })).toThrow(
    "development issuer",
  );
});

test("a token of another home's key is refused", async () => {
  const { auth } = readConfig(developmentIssuer(await generateSigningKey()).environment);
  if (auth === undefined) throw new Error("no auth");
  const stranger = await developmentIssuer(await generateSigningKey()).issue({ scopes: ["admin"] });
  await expect(createAuthenticator(auth, systemClock)(`Bearer ${stranger}`)).rejects.toMatchObject({
    code: "token.invalid",
  });
});

test("npm run token makes a token from what the home folder keeps", async () => {
  const home = await openHome(folder);
  await home.close();
  const before = Math.floor(Date.now() / 1000);
  const claims = decodeJwt(
    await makeToken(["--scope", "reports:read", "--subject", "ci", "--expires", "15m"], folder),
  );
  expect(claims).toMatchObject({ iss: DEVELOPMENT_ISSUER, sub: "ci", scope: "reports:read" });
  expect(claims.exp).toBeGreaterThanOrEqual(before + 900);
  expect(claims.exp).toBeLessThanOrEqual(before + 960);
});

test("a home where nothing was started says what to do", async () => {
  await expect(makeToken([], join(folder, "nowhere"))).rejects.toMatchObject({
    code: "token.no_home",
    message: expect.stringContaining("npm start"),
  });
});

test("--help tells every flag, and the home folder a token is made from may be another", async () => {
  const root = join(import.meta.dirname, "../..");
  const run = async (args: readonly string[], env: NodeJS.ProcessEnv = {}) => {
    const program = join(root, "packages/local/src/main-token.ts");
    const all = { ...process.env, ...env };
    return (await promisify(execFile)(process.execPath, [program, ...args], { env: all })).stdout;
  };
  for (const flag of ["--scope", "--expires", "--subject", "--home", "HEADRACE_HOME"])
    expect(await run(["--help"])).toContain(flag);
  await (await openHome(folder)).close();
  const claims = decodeJwt(await run(["--expires", "1m"], { HEADRACE_HOME: folder }));
  expect(claims.iss).toBe(DEVELOPMENT_ISSUER);
});

test("without a scope the token has every scope, several may be given in any way", () => {
  expect(parseTokenArguments([]).claims.scopes).toEqual(SCOPES);
  expect(
    parseTokenArguments(["--scope", "admin,predict", "--scope", "users:read orders:read"]).claims
      .scopes,
  ).toEqual(["admin", "predict", "users:read", "orders:read"]);
});

test.each([
  [["--scope", "reports:write"], "reports:read"],
  [["--expires", "soon"], "30d"],
  [["--expires", "31d"], "30d"],
  [["--expires", "0s"], "30d"],
  [["--colour"], "npm run token -- --help"],
  [["positional"], "positional"],
])("wrong arguments are refused with what is right: %j", (args, hint) => {
  expect(() => parseTokenArguments(args)).toThrow(hint);
});
