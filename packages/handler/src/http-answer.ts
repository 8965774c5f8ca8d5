/**
 * Turns answers and refusals into API Gateway's result object, with the headers that every answer
 * has. Nothing here may be cached, framed, sniffed or executed; no other origin is allowed in (CORS
 * is off: the answers carry no `access-control-*` header).
 */
import type { AppError } from "@headrace/kernel";
import type { HttpResult } from "./http-event.ts";
import { problemOf } from "./problem.ts";

const ALWAYS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "strict-transport-security": "max-age=31536000",
  "x-content-type-options": "nosniff",
} as const;

export function jsonResult(
  status: number,
  body: unknown,
  requestId: string,
  headers: Readonly<Record<string, string>> = {},
): HttpResult {
  return {
    statusCode: status,
    headers: {
      ...ALWAYS,
      "content-type": "application/json",
      "x-request-id": requestId,
      ...headers,
    },
    body: jsonText(body),
    isBase64Encoded: false,
  };
}

export function problemResult(error: AppError, requestId: string): HttpResult {
  const { status, headers, document } = problemOf(error);
  return jsonResult(status, document, requestId, {
    "content-type": "application/problem+json",
    ...headers,
  });
}

/** 204: there is nothing to say. */
export function emptyResult(
  requestId: string,
  given: Readonly<Record<string, string>> = {},
): HttpResult {
  const { headers } = jsonResult(204, null, requestId, given);
  const { "content-type": _, ...rest } = headers;
  return { statusCode: 204, headers: rest, body: "", isBase64Encoded: false };
}

/** The answer to OPTIONS: a browser's preflight finds no permission in it. */
export function optionsResult(allow: string, requestId: string): HttpResult {
  return emptyResult(requestId, { allow });
}

/**
 * JSON in which integers beyond 2^53 keep their digits and NaN or Infinity, which no figure should
 * be, is null.
 */
export function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "null";
  } catch (error) {
    // The only values of ours that JSON refuses are bigints; a replacer costs too much to use always.
    if (!(error instanceof TypeError)) throw error;
    return JSON.stringify(value, exactInteger);
  }
}

interface RawJson {
  rawJSON(text: string): unknown;
}

function exactInteger(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? (JSON as unknown as RawJson).rawJSON(String(value)) : value;
}
