/** Reads a request's JSON body within bounds of size and nesting. */
import { invalid } from "@headrace/kernel";
import type { HttpEvent } from "./http-event.ts";
import { HttpRefusal } from "./problem.ts";

export const DEFAULT_MAX_BODY_BYTES = 64 * 1024;
/** Recursive code (serialisers, validators) overflows the stack at some thousands. */
const MAX_DEPTH = 1_000;

/**
 * Throws `body.content_type` (415), `body.too_large` (413), `body.not_json` and `body.too_deep` (400).
 */
export function readJsonBody(event: HttpEvent, maxBytes: number): unknown {
  const text = textOf(readBodyBytes(event, maxBytes));
  if (isTooDeep(text)) {
    throw invalid("body.too_deep", `the body nests deeper than ${MAX_DEPTH} levels`);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw bodyNotJson();
  }
}

/** What was sent as JSON, unread. Throws `body.content_type` (415) and `body.too_large` (413). */
export function readBodyBytes(event: HttpEvent, maxBytes: number): Buffer {
  requireJson(event.headers);
  const { body = "", isBase64Encoded } = event;
  const bytes = Buffer.from(body, isBase64Encoded ? "base64" : "utf8");
  if (bytes.length > maxBytes) throw bodyTooLarge(maxBytes);
  return bytes;
}

function textOf(bytes: Buffer): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    throw bodyNotJson();
  }
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const bodyNotJson = () => invalid("body.not_json", "the body is not JSON in UTF-8");

export function bodyTooLarge(maxBytes: number): HttpRefusal {
  return new HttpRefusal(413, "body.too_large", `the body is larger than ${maxBytes} bytes`);
}

/** A route that takes no body is not sent one by mistake. Throws `body.unexpected` (400). */
export function refuseBody(event: HttpEvent): void {
  if ((event.body ?? "") === "") return;
  throw invalid("body.unexpected", "this route takes no body");
}

function requireJson(headers: HttpEvent["headers"]): void {
  const type = headers["content-type"] ?? "";
  if (!/^application\/json *(; *charset="?utf-8"? *)?$/i.test(type.trim())) {
    throw new HttpRefusal(
      415,
      "body.content_type",
      "send the body as JSON, with the header Content-Type: application/json",
      { accept: "application/json" },
    );
  }
  const encoding = headers["content-encoding"] ?? "identity";
  if (encoding.toLowerCase() !== "identity") {
    throw new HttpRefusal(415, "body.content_type", "send the body without Content-Encoding", {
      "accept-encoding": "identity",
    });
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Of text that need not be JSON: a wrong answer is then followed by `body.not_json`. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  let inText = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (inText) {
      if (code === BACKSLASH) at++;
      else if (code === QUOTE) inText = false;
    } else if (code === QUOTE) inText = true;
    else if (code === OPEN_BRACKET || code === OPEN_BRACE) {
      if (++depth > MAX_DEPTH) return true;
    } else if (code === CLOSE_BRACKET || code === CLOSE_BRACE) depth--;
  }
  return false;
}
