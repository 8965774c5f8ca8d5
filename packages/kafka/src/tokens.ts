/**
 * Bearer tokens that end: kept while they are fresh, asked for again at half of their life, one
 * request at a time however many connections wait. A source that fails for a while goes unnoticed as
 * long as the token at hand is valid.
 */
import { unavailable } from "@headrace/kernel";
import { Trouble } from "./errors.ts";
import { inTime } from "./in-time.ts";

export interface Token {
  /** Never logged, and part of no message. */
  readonly value: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** Asked anew each time; may reject. */
export type TokenSource = () => Promise<Token>;

/** A source that does not answer counts as one that failed. */
const SOURCE_TIMEOUT_MS = 5_000;
const sourceIsSilent = () => new Error(`no answer within ${SOURCE_TIMEOUT_MS / 1000} s`);
/** A failing source is not asked more often. */
const PAUSE_AFTER_FAILURE_MS = 1_000;
/** One that ends sooner might not live to see the broker's answer. */
const LEAST_LIFE_MS = 1_000;

export class Tokens {
  readonly #source: TokenSource;
  readonly #remedy: string;
  #held: { readonly token: Token; readonly renewAt: number } | undefined;
  #asking: Promise<Token> | undefined;
  #failure: { readonly trouble: Trouble; readonly at: number } | undefined;

  /** `remedy` says what to do where no token is to be had. */
  constructor(source: TokenSource, remedy: string) {
    this.#source = source;
    this.#remedy = remedy;
  }

  /** A token that is valid now. Throws `Trouble` (`kafka.unauthenticated`). */
  async current(): Promise<Token> {
    const held = this.#held;
    const now = Date.now();
    if (held !== undefined && now < held.renewAt) return held.token;
    try {
      return await this.#renewed(now);
    } catch (error) {
      if (held !== undefined && Date.now() < held.token.expiresAt) return held.token;
      throw error;
    }
  }

  /** The broker did not take `token`: the next one is a new one. */
  discard(token: Token): void {
    if (this.#held?.token === token) this.#held = undefined;
  }

  #renewed(now: number): Promise<Token> {
    const failure = this.#failure;
    if (failure !== undefined && now - failure.at < PAUSE_AFTER_FAILURE_MS && now >= failure.at)
      return Promise.reject(failure.trouble);
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<Token> {
    try {
      const token = await inTime(this.#source(), SOURCE_TIMEOUT_MS, sourceIsSilent);
      const leftMs = token.expiresAt - Date.now();
      if (!(leftMs > LEAST_LIFE_MS)) throw new Error("the token has ended already");
      this.#held = { token, renewAt: token.expiresAt - leftMs / 2 };
      this.#failure = undefined;
      return token;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : "its source failed";
      const shown = unavailable(
        "kafka.unauthenticated",
        `no token to sign in to Kafka could be had (${reason}): ${this.#remedy}`,
        { cause, retryAfterSeconds: 5 },
      );
      const trouble = new Trouble(shown);
      this.#failure = { trouble, at: Date.now() };
      throw trouble;
    }
  }
}
