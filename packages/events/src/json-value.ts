/** A JSON value together with its text, which still has the digits that parsing lost. */
export class JsonValue {
  readonly text: string;
  readonly value: unknown;

  constructor(text: string, value: unknown) {
    this.text = text;
    this.value = value;
  }
}

/** Undefined where `text` is not JSON. */
export function parseJson(text: string): JsonValue | undefined {
  try {
    return new JsonValue(text, JSON.parse(text));
  } catch {
    return undefined; // a SyntaxError, the only thing that JSON.parse throws, quotes the text: not for logs
  }
}

/** Undefined where `bytes` are not JSON in UTF-8; a byte order mark is not part of JSON. */
export function decodeJson(bytes: Uint8Array): JsonValue | undefined {
  const text = decodeUtf8(bytes);
  return text === undefined ? undefined : parseJson(text);
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}
