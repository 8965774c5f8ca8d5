/**
 * The driver for Neon's pooler: PostgreSQL's protocol over a WebSocket, which opens in fewer round
 * trips than TCP and TLS and passes where only HTTPS does.
 */
import { createPool } from "@headrace/db";
import { Pool as NeonPool, neonConfig } from "@neondatabase/serverless";
import type { PoolDriver } from "./pools.ts";

export const neonDriver: PoolDriver = (config) =>
  createPool(config, NeonPool as unknown as Parameters<typeof createPool>[1]);

type Listener = (event: unknown) => void;

/** The driver takes what an `error` listener is handed for an error; the interface hands over an event. */
class ErrorTellingWebSocket extends WebSocket {
  override addEventListener(type: string, listener: unknown, options?: unknown): void {
    const told: Listener = (event) => (listener as Listener)(lossOf(event));
    const heard = type === "error" ? told : listener;
    super.addEventListener(type, heard as never, options as never);
  }
}

/** As a socket would tell it, so that it counts as a lost connection. */
function lossOf(event: unknown): Error {
  const { message } = event as { readonly message?: unknown };
  const cause = (event as { readonly error?: unknown }).error;
  const error = new Error(`the WebSocket to the database failed: ${message || "closed"}`, {
    cause,
  });
  return Object.assign(error, { code: "ECONNRESET" });
}

neonConfig.webSocketConstructor = ErrorTellingWebSocket as typeof WebSocket;
