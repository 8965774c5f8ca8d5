/**
 * Real input, which lies beside the repository and not in it: where it is missing, the tests that read
 * it are skipped and their names say why.
 */
import { existsSync } from "node:fs";

const FOLDER = new URL("../../../shared/data/", import.meta.url);

export interface RealInput {
  readonly path: string;
  readonly isMissing: boolean;
  /** A test's name, with the reason why it is skipped, if it is. */
  named(name: string): string;
}

export function realInput(file: string): RealInput {
  const { pathname: path } = new URL(file, FOLDER);
  const isMissing = !existsSync(path);
  const reason = ` (skipped: ../shared/data/${file} is not beside the repository)`;
  return { path, isMissing, named: (name) => (isMissing ? name + reason : name) };
}
