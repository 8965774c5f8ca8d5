/**
 * A connection whose session ends and is renewed by signing in again (KIP-368). The library begins
 * that at four fifths of the session's life, and lets other requests through meanwhile, which the
 * broker refuses, closing the connection. Here they wait; those sent before are answered first.
 */
import { type Callback, Connection, type ResponseParser, type Writer } from "@platformatic/kafka";
import type { Settings } from "./config.ts";
import type { SignIn } from "./sign-in.ts";

const API_VERSIONS = 18;
const SASL_HANDSHAKE = 17;
const SASL_AUTHENTICATE = 36;
const OF_SIGNING_IN = new Set([API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE]);

/**
 * Load balancers drop what was silent for 350 s, brokers for 10 min, and a function that was frozen
 * hears of neither: its next request would wait for an answer until it times out.
 */
const MAX_IDLE_MS = 240_000;

interface Limits {
  readonly connectTimeout: number;
  readonly requestTimeout: number;
  readonly maxInflights: number;
}

export class SessionConnection extends Connection {
  readonly #signIn: SignIn | undefined;
  /** Requests that wait for the end of a renewal; undefined while there is none. */
  #held: (() => void)[] | undefined;
  /** By the wall clock, as a function's other clock may stand still while it is frozen. */
  #endsAt = Number.POSITIVE_INFINITY;
  #usedAt = Date.now();

  /** `hasName`: the host is not an IP address, which TLS does not let a client name. */
  constructor(
    settings: Pick<Settings, "clientId" | "tls">,
    limits: Limits,
    signIn: SignIn | undefined,
    hasName: boolean,
  ) {
    super(settings.clientId, {
      ...limits,
      ...(settings.tls === undefined ? {} : { tls: settings.tls, tlsServerName: hasName }),
      ...(signIn === undefined
        ? {}
        : {
            sasl: {
              mechanism: signIn.mechanism,
              authenticate: (_mechanism, connection, authenticate, _user, _word, _token, done) => {
                signIn.perform(connection, authenticate).then(
                  (answer) => {
                    this.#endsAt = endOf(answer.sessionLifetimeMs);
                    done(null, answer);
                  },
                  (error: Error) => done(error),
                );
              },
            },
          }),
    });
    this.#signIn = signIn;
    this.on("sasl:authentication:extended", () => this.#release());
    this.on("error", () => this.#release());
    this.on("close", () => {
      this.#release();
      // Without it the timer of a renewal that is of no use any more would keep the process.
      void this.close();
    });
  }

  /** A request would be in vain: the session is over, or too long nothing was heard. */
  isStale(): boolean {
    const now = Date.now();
    return now >= this.#endsAt || now - this.#usedAt > MAX_IDLE_MS;
  }

  override send<Answer>(
    apiKey: number,
    apiVersion: number,
    createPayload: () => Writer | Promise<Writer>,
    parse: ResponseParser<Answer>,
    requestHasTags: boolean,
    answerHasTags: boolean,
    done: Callback<Answer>,
  ): void {
    this.#usedAt = Date.now();
    const go = (): void =>
      super.send(apiKey, apiVersion, createPayload, parse, requestHasTags, answerHasTags, done);
    if (this.#held === undefined || OF_SIGNING_IN.has(apiKey)) go();
    else this.#held.push(go);
  }

  /** Called by the library's timer. What fails closes the connection; the next one signs in anew. */
  override reauthenticate(): void {
    const begin = (): void => {
      if (!this.isConnected()) return;
      this.#held ??= [];
      super.reauthenticate();
    };
    (this.#signIn?.prepare() ?? Promise.resolve()).then(begin, begin);
  }

  #release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const go of held) go();
  }
}

/** A lifetime of 0 is none: the broker asks for no renewal. */
function endOf(lifetimeMs: bigint): number {
  return lifetimeMs > 0n ? Date.now() + Number(lifetimeMs) : Number.POSITIVE_INFINITY;
}
