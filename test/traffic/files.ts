/** Files to replay, in a folder that goes with the test file. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** Writes a file and answers its path. */
export type WriteFile = (name: string, content: string | Uint8Array) => string;

export function testFiles(): WriteFile {
  const folder = mkdtempSync(join(tmpdir(), "headrace-files-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  let count = 0;
  return (name, content) => {
    const path = join(folder, `${++count}-${name}`);
    writeFileSync(path, content);
    return path;
  };
}
