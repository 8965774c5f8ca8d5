/**
 * Reads a request's query and path into a route's schemas and says every fault at once, each with a
 * JSON pointer to where it is (`/from`, `/items/0/quantity`).
 */
import { type Fault, invalid } from "@headrace/kernel";
import type { z } from "zod";
import { plainMessage } from "./input-messages.ts";

/** Query parameters in the order sent, `+` read as a space. Throws `request.query`. */
export function readQuery(rawQueryString: string): ReadonlyMap<string, string> {
  const query = new Map<string, string>();
  const faults: Fault[] = [];
  for (const pair of rawQueryString === "" ? [] : rawQueryString.split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const name = unescaped(equals < 0 ? pair : pair.slice(0, equals));
    const value = unescaped(equals < 0 ? "" : pair.slice(equals + 1));
    if (name === undefined || value === undefined) {
      faults.push({ path: pointer([name ?? ""]), message: "holds a % that is no escape of UTF-8" });
    } else if (isUnfit(name) || isUnfit(value)) {
      faults.push({ path: pointer([name]), message: "holds a NUL character" });
    } else if (query.has(name)) {
      faults.push({ path: pointer([name]), message: "is given more than once" });
    } else {
      query.set(name, value);
    }
  }
  if (faults.length > 0) throw refusedInput("request.query", faults);
  return query;
}

/** Path parameters as a plain object. Throws `request.path` for text that cannot be stored. */
export function readParams(
  params: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const faults: Fault[] = [];
  const read: Record<string, string> = {};
  for (const [name, value] of Object.entries(params)) {
    if (value === undefined) continue;
    if (isUnfit(value)) {
      faults.push({ path: pointer([name]), message: "holds a character that cannot be stored" });
    }
    read[name] = value;
  }
  if (faults.length > 0) throw refusedInput("request.path", faults);
  return read;
}

const nouns = {
  "request.query": "the query",
  "request.path": "the path",
  "request.body": "the body",
} as const;
type InputCode = keyof typeof nouns;

/** `input` as `schema` reads it; throws `code` with every fault. */
export function readWith(schema: z.ZodType, input: unknown, code: InputCode): unknown {
  const parsed = schema.safeParse(input, { error: plainMessage });
  if (parsed.success) return parsed.data;
  throw refusedInput(
    code,
    parsed.error.issues.flatMap((issue) => faultsOf(issue, input)),
  );
}

/** One item of a body that takes what is good in it, as `schema` reads it; throws `request.body`. */
export function readItem<Schema extends z.ZodType>(
  schema: Schema,
  item: unknown,
): z.output<Schema> {
  return readWith(schema, item, "request.body") as z.output<Schema>;
}

export function refusedInput(code: InputCode, faults: readonly Fault[]) {
  const [first] = faults;
  const where = first === undefined || first.path === "" ? "" : `${first.path} `;
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : "";
  return invalid(code, `${nouns[code]} is not as it must be: ${where}${first?.message}${more}`, {
    faults,
  });
}

function faultsOf(issue: z.core.$ZodIssue, input: unknown): Fault[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      path: pointer([...issue.path, key]),
      message: "is not known here",
    }));
  }
  const missing = issue.code.startsWith("invalid_") && isMissing(input, issue.path);
  return [{ path: pointer(issue.path), message: missing ? "is missing" : issue.message }];
}

/** Parts of a text that a schema takes apart are there. */
function isMissing(input: unknown, path: readonly PropertyKey[]): boolean {
  const isHeld = path.length === 0 || isObject(valueAt(input, path.slice(0, -1)));
  return isHeld && valueAt(input, path) === undefined;
}

const valueAt = (input: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((value, part) => (isObject(value) ? value[part] : undefined), input);

const isObject = (value: unknown): value is Record<PropertyKey, unknown> =>
  typeof value === "object" && value !== null;

/** RFC 6901. */
function pointer(path: readonly PropertyKey[]): string {
  return path
    .map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`)
    .join("");
}

function unescaped(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

/** PostgreSQL holds no NUL and no half of a surrogate pair. */
const isUnfit = (text: string): boolean => text.includes("\0") || !text.isWellFormed();
