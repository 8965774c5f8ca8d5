/**
 * Asks an HTTP function as API Gateway does: through its exported handler, with events of payload
 * format 2.0 and tokens that are signed by an issuer it believes.
 */
import { forgetConfig, type HttpHandler, type Scope } from "@headrace/handler";
import { type DevelopmentIssuer, developmentIssuer, generateSigningKey } from "@headrace/local";
import type { ReplyBody } from "../handler/serve.ts";

export interface AskOptions {
  /** Undefined: one with every scope of `httpClient`; null: none. */
  readonly token?: string | null;
  /** Text and bytes are sent as they are, anything else as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ReplyBody;
}

export interface HttpClient {
  get(target: string, options?: AskOptions): Promise<Answer>;
  post(target: string, body: unknown, options?: AskOptions): Promise<Answer>;
  ask(method: string, target: string, options?: AskOptions): Promise<Answer>;
  token(...scopes: readonly Scope[]): Promise<string>;
  expiredToken(...scopes: readonly Scope[]): Promise<string>;
}

/** One for all clients of a test file: handlers read whom to believe once. */
let issuing: Promise<DevelopmentIssuer> | undefined;

async function makeIssuer(): Promise<DevelopmentIssuer> {
  const issuer = developmentIssuer(await generateSigningKey());
  Object.assign(process.env, issuer.environment);
  forgetConfig();
  return issuer;
}

/** Sets the environment that makes `handler` believe its tokens. `routes` are the handler's. */
export async function httpClient(
  { handler, routes }: { readonly handler: HttpHandler; readonly routes: object },
  scopes: readonly Scope[],
): Promise<HttpClient> {
  issuing ??= makeIssuer();
  const issuer = await issuing;
  const standard = await issuer.issue({ scopes });
  const ask = async (method: string, target: string, options: AskOptions = {}): Promise<Answer> => {
    const [path = "", query = ""] = target.split("?", 2);
    const bearer = options.token === undefined ? standard : options.token;
    const key = `${method} ${path}`;
    const result = await handler({
      version: "2.0",
      routeKey: key in routes ? key : "$default",
      rawPath: path,
      rawQueryString: query,
      headers: {
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
        ...(options.body === undefined ? {} : { "content-type": "application/json" }),
        ...options.headers,
      },
      requestContext: { requestId: "test", http: { method, path } },
      ...bodyOf(options.body),
    });
    const text = result.body;
    const { statusCode: status, headers } = result;
    return { status, headers, body: text === "" ? undefined : JSON.parse(text) };
  };
  return {
    ask,
    get: (target, options) => ask("GET", target, options),
    post: (target, body, options) => ask("POST", target, { ...options, body }),
    token: (...wanted) => issuer.issue({ scopes: wanted }),
    expiredToken: (...wanted) => issuer.issue({ scopes: wanted, expiresInSeconds: -60 }),
  };
}

function bodyOf(body: unknown): { body?: string; isBase64Encoded: boolean } {
  if (body === undefined) return { isBase64Encoded: false };
  if (Buffer.isBuffer(body)) return { body: body.toString("base64"), isBase64Encoded: true };
  return {
    body: typeof body === "string" ? body : JSON.stringify(body),
    isBase64Encoded: false,
  };
}
