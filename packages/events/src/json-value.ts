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

/**
 * Undefined where `bytes` are not JSON in UTF-8; a byte order mark is not part of JSON. Where nothing
 * but raw NUL bytes or surrogates in its strings keeps a text from being JSON, each of them stands in
 * the result as an escaped NUL: whoever looks for unfit characters finds it in its place.
 */
export function decodeJson(bytes: Uint8Array): JsonValue | undefined {
  const text = decodeUtf8(bytes);
  const json = text === undefined ? undefined : parseJson(text);
  if (json !== undefined) return json;
  const escaped = withUnfitEscaped(bytes);
  const read = escaped === undefined ? undefined : decodeUtf8(escaped);
  return read === undefined ? undefined : parseJson(read);
}

const ESCAPED_NUL = Buffer.from("\\u0000");

/** Undefined where no string holds a raw NUL or a surrogate; where the bytes are no JSON, of no use. */
function withUnfitEscaped(bytes: Uint8Array): Buffer | undefined {
  const parts: Uint8Array[] = [];
  let kept = 0;
  let inString = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte === QUOTE) inString = !inString;
    else if (inString && byte === BACKSLASH) at++;
    else if (inString && (byte === 0 || isSurrogate(bytes, at))) {
      parts.push(bytes.subarray(kept, at), ESCAPED_NUL);
      if (byte !== 0) at += 2;
      kept = at + 1;
    }
  }
  return parts.length === 0 ? undefined : Buffer.concat([...parts, bytes.subarray(kept)]);
}

/** Whether UTF-8's scheme, which allows none, is used to write half a pair here: ED A0…BF xx. */
function isSurrogate(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] !== 0xed) return false;
  const [second = 0, third = 0] = bytes.subarray(at + 1, at + 3);
  return second >= 0xa0 && second <= 0xbf && third >= 0x80 && third <= 0xbf;
}

const QUOTE = 34;
const BACKSLASH = 92;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}
