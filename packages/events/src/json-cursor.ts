/**
 * Walks over the bytes of a JSON text, for a caller that knows what to expect and leaves the rest to
 * `JSON.parse`. Every method answers in the negative both for text that is not JSON and for valid text
 * that it does not care to read; what it passes is JSON just as `JSON.parse` reads it.
 *
 * Bytes are looked at one by one, which is quicker than a string's characters, but strings are cut from
 * the decoded text, which is quicker than decoding each: `shift` is how far positions in the text lie
 * behind those in the bytes, because of the characters so far that take more than one byte.
 */
export class JsonCursor {
  at = 0;
  shift = 0;
  /** White space passed so far. */
  spaces = 0;
  /** Of the number passed last: digits before the point, digits after it, and all of them as one integer. */
  wholeDigits = 0;
  fractionDigits = 0;
  mantissa = 0;

  readonly bytes: Uint8Array;
  readonly text: string;

  /** `text` is what `bytes` decode to, and holds no replacement character. */
  constructor(bytes: Uint8Array, text: string) {
    this.bytes = bytes;
    this.text = text;
  }

  /** The byte at the cursor; 0, which JSON never holds, at the end. */
  byte(): number {
    return this.at < this.bytes.length ? (this.bytes[this.at] as number) : 0;
  }

  /** Where the cursor stands in the text. */
  position(): number {
    return this.at - this.shift;
  }

  /** The text from a position in it up to the cursor. */
  textFrom(start: number): string {
    return this.text.substring(start, this.position());
  }

  /** Passes one byte, if it is this one. */
  pass(byte: number): boolean {
    if (this.byte() !== byte) return false;
    this.at++;
    return true;
  }

  /** Passes white space. */
  space(): void {
    const { bytes } = this;
    while (this.at < bytes.length && isSpace(bytes[this.at] as number)) {
      this.at++;
      this.spaces++;
    }
  }

  /** Passes one byte, if it is this one, with the white space around it. */
  passSpaced(byte: number): boolean {
    this.space();
    if (!this.pass(byte)) return false;
    this.space();
    return true;
  }

  /** Passes `null`, `true` or `false`. */
  literal(word: Uint8Array): boolean {
    for (let n = 0; n < word.length; n++) if (this.bytes[this.at + n] !== word[n]) return false;
    this.at += word.length;
    return endsValue(this.byte());
  }

  /** Passes a string that holds no escape, and returns it. */
  plainString(): string | undefined {
    if (!this.pass(QUOTE)) return undefined;
    const start = this.position();
    this.stringRun();
    const end = this.position();
    return this.pass(QUOTE) ? this.text.substring(start, end) : undefined;
  }

  /** Passes a string and returns it. */
  string(): string | undefined {
    const { at, shift } = this;
    const string = this.plainString();
    if (string !== undefined) return string;
    this.at = at;
    this.shift = shift;
    const start = this.position();
    return this.skipString() ? (JSON.parse(this.textFrom(start)) as string) : undefined;
  }

  /** Passes characters of a string up to a quote, a backslash or a control character. */
  private stringRun(): void {
    const { bytes } = this;
    let at = this.at;
    while (at < bytes.length) {
      const byte = bytes[at] as number;
      const kind = STRING_BYTES[byte] as number;
      if (kind === STOP) break;
      this.shift += kind;
      at++;
    }
    this.at = at;
  }

  /** Passes a number that has no exponent. */
  number(): boolean {
    if (this.byte() === MINUS) this.at++;
    this.mantissa = 0;
    this.wholeDigits = this.byte() === ZERO ? this.zero() : this.digits();
    this.fractionDigits = 0;
    if (this.pass(DOT)) {
      this.fractionDigits = this.digits();
      if (this.fractionDigits === 0) return false;
    }
    return this.wholeDigits > 0 && endsValue(this.byte());
  }

  /** The value of the number that was just passed and began at `start` in the text. */
  numberFrom(start: number): number {
    // Both operands are exact, so the quotient is the nearest double, as `Number` would find it.
    if (this.wholeDigits + this.fractionDigits > 15) return Number(this.textFrom(start));
    const size = this.mantissa / (POWERS_OF_TEN[this.fractionDigits] as number);
    return this.text.charCodeAt(start) === MINUS ? -size : size;
  }

  /** A number may begin with 0 only if that is all before the point. */
  private zero(): number {
    this.at++;
    return 1;
  }

  private digits(): number {
    const { bytes } = this;
    let { at, mantissa } = this;
    while (at < bytes.length) {
      const digit = (bytes[at] as number) - ZERO;
      if (digit < 0 || digit > 9) break;
      mantissa = mantissa * 10 + digit;
      at++;
    }
    const passed = at - this.at;
    this.at = at;
    this.mantissa = mantissa;
    return passed;
  }

  /**
   * Passes any value that PostgreSQL can hold as it stands: objects and arrays within each other at most
   * `depth` deep, numbers of at most 300 digits, no NUL and no surrogate written as an escape.
   */
  skipValue(depth: number): boolean {
    const byte = this.byte();
    if (byte === QUOTE) return this.skipString();
    if (byte === OPEN_BRACE) return depth > 0 && this.skipMembers(depth - 1);
    if (byte === OPEN_BRACKET) return depth > 0 && this.skipElements(depth - 1);
    if (byte === TRUE[0]) return this.literal(TRUE);
    if (byte === FALSE[0]) return this.literal(FALSE);
    if (byte === NULL[0]) return this.literal(NULL);
    return this.number() && this.wholeDigits + this.fractionDigits <= 300;
  }

  private skipMembers(depth: number): boolean {
    this.passSpaced(OPEN_BRACE);
    if (this.pass(CLOSE_BRACE)) return true;
    do {
      this.space();
      if (!this.skipString() || !this.passSpaced(COLON) || !this.skipValue(depth)) return false;
      this.space();
    } while (this.pass(COMMA));
    return this.pass(CLOSE_BRACE);
  }

  private skipElements(depth: number): boolean {
    this.passSpaced(OPEN_BRACKET);
    if (this.pass(CLOSE_BRACKET)) return true;
    do {
      this.space();
      if (!this.skipValue(depth)) return false;
      this.space();
    } while (this.pass(COMMA));
    return this.pass(CLOSE_BRACKET);
  }

  private skipString(): boolean {
    if (!this.pass(QUOTE)) return false;
    this.stringRun();
    while (this.byte() === BACKSLASH) {
      if (!this.skipEscape()) return false;
      this.stringRun();
    }
    return this.pass(QUOTE);
  }

  private skipEscape(): boolean {
    const letter = this.bytes[this.at + 1] ?? 0;
    if (letter !== LOWER_U) {
      this.at += 2;
      return SHORT_ESCAPES.includes(letter);
    }
    let unit = 0;
    for (let n = 2; n < 6; n++) unit = unit * 16 + hexDigit(this.bytes[this.at + n] ?? 0);
    this.at += 6;
    return unit > 0 && (unit < 0xd800 || unit > 0xdfff);
  }
}

/** The bytes of a word of JSON or of a member's name. */
export function asciiBytes(word: string): Uint8Array {
  return Uint8Array.from(word, (character) => character.charCodeAt(0));
}

export const NULL = asciiBytes("null");
const TRUE = asciiBytes("true");
const FALSE = asciiBytes("false");
const SHORT_ESCAPES = asciiBytes('"\\/bfnrt');
const POWERS_OF_TEN = Array.from({ length: 16 }, (_, exponent) => 10 ** exponent);

export const QUOTE = 34;
export const COMMA = 44;
export const MINUS = 45;
const DOT = 46;
const ZERO = 48;
export const COLON = 58;
const OPEN_BRACKET = 91;
const BACKSLASH = 92;
const CLOSE_BRACKET = 93;
const LOWER_U = 117;
export const OPEN_BRACE = 123;
export const CLOSE_BRACE = 125;

const STOP = 9;
/**
 * Of each byte in a string, how much further behind the bytes it puts the text: a character's later
 * bytes add nothing to the text, a character of four bytes is two units there. `STOP` ends a run.
 */
const STRING_BYTES = Int8Array.from({ length: 256 }, (_, byte) => {
  if (byte < 32 || byte === QUOTE || byte === BACKSLASH) return STOP;
  if (byte < 0x80) return 0;
  return byte < 0xc0 ? 1 : byte < 0xf0 ? 0 : -1;
});

function isSpace(byte: number): boolean {
  return byte === 32 || byte === 10 || byte === 13 || byte === 9;
}

function endsValue(byte: number): boolean {
  return byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET || isSpace(byte);
}

/** Below -65,535 for what is none, which no other digits make up for. */
function hexDigit(byte: number): number {
  if (byte >= ZERO && byte <= 57) return byte - ZERO;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1e6;
}
