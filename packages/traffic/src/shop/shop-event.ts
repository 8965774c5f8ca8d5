/**
 * An event of the simulated shop and its JSON. Written by hand: every text in it is the shop's own and
 * needs no escape, and a bench makes hundreds of thousands a second.
 */
import { formatCents } from "@headrace/kernel";
import { hexWord, uuidTime } from "../hex-word.ts";
import type { Random } from "../random.ts";

export type ShopEventType =
  | "page_view"
  | "login"
  | "search"
  | "product_view"
  | "add_to_cart"
  | "checkout_start"
  | "purchase";

export interface ShopEvent {
  /** UUID of version 7. */
  readonly id: string;
  readonly timeMillis: number;
  readonly type: ShopEventType;
  readonly userId: string;
  readonly sessionId: string;
  readonly region: string;
  readonly value?: number;
  readonly amountCents?: number;
  /** Seconds. */
  readonly duration?: number;
  readonly category?: string;
  readonly productId?: string;
  /** JSON text of an object. */
  readonly data?: string;
}

export function shopEventJson(event: ShopEvent): string {
  const { value, amountCents, duration, category, productId, data } = event;
  let json =
    `{"event_id":"${event.id}","event_time":"${timeText(event.timeMillis)}",` +
    `"event_type":"${event.type}","user_id":"${event.userId}","session_id":"${event.sessionId}"`;
  if (value !== undefined) json += `,"value":${value}`;
  if (amountCents !== undefined) json += `,"amount":"${formatCents(amountCents)}"`;
  if (duration !== undefined) json += `,"duration":${duration}`;
  if (category !== undefined) json += `,"category":"${category}"`;
  if (productId !== undefined) json += `,"product_id":"${productId}"`;
  json += `,"region":"${event.region}"`;
  if (data !== undefined) json += `,"data":${data}`;
  return `${json}}`;
}

/** A UUID of version 7 (RFC 9562, 5.7) whose random bits come from `random`. */
export function uuidAt(timeMillis: number, random: Random): string {
  const a = random.bits();
  const b = random.bits();
  const c = random.bits();
  return (
    `${uuidTime(timeMillis)}-${hexWord(0x7000 | (a & 0x0fff))}` +
    `-${hexWord(0x8000 | ((a >>> 16) & 0x3fff))}-${hexWord(b >>> 16)}${hexWord(b)}${hexWord(c)}`
  );
}

/** Eight random hexadecimal digits. */
export function randomHex(random: Random): string {
  const bits = random.bits();
  return `${hexWord(bits >>> 16)}${hexWord(bits)}`;
}

// Events come mostly in the order of time: the text of their second is made once.
let lastSecond = Number.NaN;
let lastSecondText = "";

function timeText(timeMillis: number): string {
  const second = Math.floor(timeMillis / 1000);
  if (second !== lastSecond) {
    lastSecond = second;
    lastSecondText = new Date(second * 1000).toISOString().slice(0, 20);
  }
  return `${lastSecondText}${String(timeMillis - second * 1000).padStart(3, "0")}Z`;
}
