/** What is said of an input that breaks a rule which its schema does not word itself. */
import type { z } from "zod";

const KINDS: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "an array",
  object: "an object",
};

const FORMATS: Readonly<Record<string, string>> = { uuid: "a UUID", guid: "a UUID" };

/** The rule in words; never what was sent. */
export function plainMessage(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return `must be ${KINDS[issue.expected] ?? `of the kind ${issue.expected}`}`;
    case "invalid_value":
      return issue.values.length === 1
        ? `must be ${String(issue.values[0])}`
        : `must be one of ${issue.values.map(String).join(", ")}`;
    case "invalid_format":
      return `must be ${FORMATS[issue.format] ?? `of the form ${issue.format}`}`;
    case "too_small":
      return `must ${verbOf(issue.origin)} at least ${issue.minimum}${unitOf(issue.origin)}`;
    case "too_big":
      return `must ${verbOf(issue.origin)} at most ${issue.maximum}${unitOf(issue.origin)}`;
    default:
      return "is not as it must be";
  }
}

const verbOf = (origin: string): string => (origin === "array" ? "hold" : "be");
const unitOf = (origin: string): string => (origin === "string" ? " characters long" : "");
