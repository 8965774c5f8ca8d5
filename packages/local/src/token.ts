/** `npm run token`: a token for the system that runs, or ran last, in a home folder. */
import { parseArgs } from "node:util";
import { isScope, SCOPES, type Scope } from "@headrace/handler";
import { invalid, notFound } from "@headrace/kernel";
import { developmentIssuer, type TokenClaims } from "./dev-issuer.ts";
import { readSecrets } from "./home-secrets.ts";

export interface TokenRequest {
  readonly claims: TokenClaims;
  /** Undefined where it was not said. */
  readonly home: string | undefined;
}

const EXPIRY = /^([1-9]\d{0,3})([smhd])$/;
const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;
const MAX_EXPIRY_SECONDS = 30 * 86_400;

export const TOKEN_HELP = `npm run --silent token [-- FLAGS]: a token for the HTTP API of a Headrace on this machine

  --scope SCOPE    what it may do; more than one is fine, without it everything:
                   ${SCOPES.join(" ")}
  --expires TIME   90s, 15m, 12h, 7d; at most 30d, without it 12h
  --subject NAME   whom it names (claim "sub")
  --home DIR       the folder of the Headrace it is for; default HEADRACE_HOME, or .headrace in the
                   repository
  --help           this text

It is signed with the key that npm start has put into the folder (secrets.json); whether that Headrace
runs now does not matter. A Headrace in the cloud takes tokens of its own issuer only.`;

export function asksForHelp(args: readonly string[]): boolean {
  return args.some((arg) => arg === "--help" || arg === "-h");
}

/** Throws `token.arguments` with what to write instead. */
export function parseTokenArguments(args: readonly string[]): TokenRequest {
  const { scope, subject, expires, home } = parsed(args);
  const words = (scope ?? []).flatMap((list) => list.split(/[ ,]+/)).filter((word) => word !== "");
  return {
    claims: {
      scopes: words.length === 0 ? SCOPES : words.map(checkedScope),
      ...(subject === undefined ? {} : { subject }),
      ...(expires === undefined ? {} : { expiresInSeconds: expirySeconds(expires) }),
    },
    home,
  };
}

/**
 * `standardHome`: the folder to take without `--home`. Throws `token.arguments`, and `token.no_home`
 * where nothing was ever started.
 */
export async function makeToken(args: readonly string[], standardHome: string): Promise<string> {
  const { claims, home = standardHome } = parseTokenArguments(args);
  const key = (await readSecrets(home))?.signingKey;
  if (key === undefined) {
    throw notFound(
      "token.no_home",
      `Nothing was started in ${home} yet, and a token is signed with the key that a start puts there. Run npm start first, or name the folder of a Headrace that was started: --home DIR or HEADRACE_HOME (DATABASE_URL and KAFKA_BROKERS hold no key).`,
    );
  }
  return developmentIssuer(key).issue(claims);
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        scope: { type: "string", multiple: true },
        subject: { type: "string" },
        expires: { type: "string" },
        home: { type: "string" },
      },
    }).values;
  } catch (error) {
    const [first = ""] = (error instanceof Error ? error.message : String(error)).split(/\. |\n/);
    throw badArguments(`${first}; \`npm run token -- --help\` lists what there is`);
  }
}

function checkedScope(word: string): Scope {
  if (isScope(word)) return word;
  throw badArguments(`there is no scope ${word}: the scopes are ${SCOPES.join(", ")}`);
}

function expirySeconds(text: string): number {
  const [, count, unit] = EXPIRY.exec(text) ?? [];
  const seconds = Number(count) * SECONDS[(unit ?? "s") as keyof typeof SECONDS];
  if (seconds <= MAX_EXPIRY_SECONDS) return seconds;
  throw badArguments("--expires is a duration up to 30d: 90s, 15m, 12h, 7d");
}

const badArguments = (message: string) => invalid("token.arguments", message);
