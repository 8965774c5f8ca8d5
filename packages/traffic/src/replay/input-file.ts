/**
 * The file to replay, looked through once before anything is sent: what it is, how long, and the hash
 * of its content that ids are made from. A gzip is what it holds. What is no file (`-`, a pipe) is
 * copied to a temporary one first, because it is read more than once.
 *
 * Only what the file held when it was opened is read, so one that is still written to can be replayed.
 */
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { AppError, type ErrorKind, invalid } from "@headrace/kernel";

export type InputFormat = "csv" | "ndjson";

export interface InputFile {
  /** For messages. */
  readonly name: string;
  readonly format: InputFormat;
  /** SHA-256 of the content, in hexadecimal; of a gzip that of what it holds. */
  readonly contentHash: string;
  /** Bytes of the content. */
  readonly bytes: number;
  /** Whether all of it is valid UTF-8. */
  readonly isUtf8: boolean;
  /** The content from its beginning, each time it is called. Throws `AppError`. */
  content(): AsyncGenerator<Buffer, void, void>;
  close(): Promise<void>;
}

const CHUNK_BYTES = 256 * 1024;

/** `path` may be `-` for `stdin`. Throws `AppError`s (`replay.*`) whose message says what to do. */
export async function openInput(
  path: string,
  stdin: () => NodeJS.ReadableStream,
): Promise<InputFile> {
  const source = await openSource(path, stdin);
  try {
    const content = () => contentOf(source);
    const survey = await look(source, content());
    return { name: source.name, ...survey, content, close: () => source.close() };
  } catch (error) {
    await source.close();
    throw error;
  }
}

interface Source {
  readonly name: string;
  readonly handle: FileHandle;
  readonly size: number;
  readonly isGzip: boolean;
  close(): Promise<void>;
}

async function openSource(path: string, stdin: () => NodeJS.ReadableStream): Promise<Source> {
  if (path === "-") return spool("standard input", stdin());
  const handle = await open(path).catch((error: unknown) => {
    throw cannotOpen(path, error);
  });
  const stats = await handle.stat();
  if (stats.isFile()) return sourceOf(path, handle, () => handle.close());
  try {
    if (stats.isDirectory())
      throw invalid("replay.no_file", `${path} is a folder; name a CSV or NDJSON file`);
    return await spool(path, handle.createReadStream());
  } finally {
    await handle.close(); // once more does no harm: the stream closes it too
  }
}

async function spool(name: string, stream: NodeJS.ReadableStream): Promise<Source> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-replay-"));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    const path = join(folder, "input");
    await pipeline(stream, createWriteStream(path, { mode: 0o600 }));
    const handle = await open(path);
    return await sourceOf(name, handle, async () => {
      await handle.close();
      await remove();
    });
  } catch (error) {
    await remove();
    throw error;
  }
}

async function sourceOf(
  name: string,
  handle: FileHandle,
  close: () => Promise<void>,
): Promise<Source> {
  const { size } = await handle.stat();
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(4), 0, 4, 0);
  const head = buffer.subarray(0, bytesRead);
  const isGzip = head.length >= 2 && head[0] === 0x1f && head[1] === 0x8b;
  return { name, handle, size, isGzip, close };
}

async function* contentOf(source: Source): AsyncGenerator<Buffer, void, void> {
  if (!source.isGzip) {
    yield* storedBytes(source);
    return;
  }
  const unpacked = createGunzip({ chunkSize: CHUNK_BYTES });
  const stored = Readable.from(storedBytes(source));
  stored.once("error", (error) => unpacked.destroy(error));
  try {
    yield* stored.pipe(unpacked) as AsyncIterable<Buffer>;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw invalid(
      "replay.damaged_gzip",
      `${source.name} is a damaged or incomplete gzip (${why}). Get it again, or unpack what can be read of it (zcat) and replay that.`,
      { cause: error },
    );
  } finally {
    stored.destroy();
  }
}

/** Read by position: a stream of the handle would close it, and it is read from its beginning again. */
async function* storedBytes({ handle, size }: Source): AsyncGenerator<Buffer, void, void> {
  for (let at = 0; at < size; ) {
    const length = Math.min(CHUNK_BYTES, size - at);
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

type Survey = Pick<InputFile, "format" | "contentHash" | "bytes" | "isUtf8">;

async function look(source: Source, content: AsyncIterable<Buffer>): Promise<Survey> {
  const hash = createHash("sha256");
  const utf8 = new Utf8Check();
  let head = "";
  let bytes = 0;
  for await (const chunk of content) {
    if (bytes === 0) refuseForeign(source.name, chunk);
    if (head === "")
      head = chunk
        .toString("latin1")
        .replace(/^\u00EF\u00BB\u00BF/, "")
        .trimStart();
    hash.update(chunk);
    utf8.add(chunk);
    bytes += chunk.length;
  }
  if (head === "") throw invalid("replay.empty", `${source.name} is empty`);
  const format = formatOf(source.name, head);
  return { format, contentHash: hash.digest("hex"), bytes, isUtf8: utf8.end() };
}

/** By the name where it tells, else by the first character. `head` is where the content begins. */
function formatOf(name: string, head: string): InputFormat {
  if (head.startsWith("["))
    throw invalid(
      "replay.json_array",
      `${name} is one JSON array; what is wanted is one object a line. Make it so: jq -c '.[]' ${name} > events.ndjson`,
    );
  const ending = /\.(csv|ndjson|jsonl|json)(?:\.gz)?$/i.exec(basename(name))?.[1]?.toLowerCase();
  if (ending !== undefined) return ending === "csv" ? "csv" : "ndjson";
  return head.startsWith("{") ? "ndjson" : "csv";
}

function refuseForeign(name: string, head: Buffer): void {
  const start = head.subarray(0, 4).toString("latin1");
  if (start.startsWith("PK\u0003\u0004"))
    throw invalid("replay.format", `${name} is a zip archive: unpack it and replay the file in it`);
  if (start.startsWith("\u00FF\u00FE") || start.startsWith("\u00FE\u00FF"))
    throw invalid(
      "replay.format",
      `${name} is UTF-16; UTF-8 is wanted. Convert it: iconv -f UTF-16 -t UTF-8 ${name} > ${name}.utf8`,
    );
}

class Utf8Check {
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  #isValid = true;

  add(chunk: Buffer): void {
    if (this.#isValid) this.#isValid = this.#decodes(chunk, true);
  }

  end(): boolean {
    return this.#isValid && this.#decodes(new Uint8Array(), false);
  }

  #decodes(bytes: Uint8Array, stream: boolean): boolean {
    try {
      this.#decoder.decode(bytes, { stream });
      return true;
    } catch {
      return false; // a TypeError, the only thing that a fatal decoder throws
    }
  }
}

function cannotOpen(path: string, error: unknown): AppError {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const [kind, why]: [ErrorKind, string] =
    code === "ENOENT"
      ? ["not_found", `there is no file ${path}`]
      : ["invalid", `${path} cannot be read (${error instanceof Error ? error.message : error})`];
  return new AppError(kind, "replay.no_file", why, { cause: error });
}
