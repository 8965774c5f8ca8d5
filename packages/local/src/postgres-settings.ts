/**
 * The own server's postgresql.conf. Its values are those of every server (@headrace/capacity), scaled
 * to this machine.
 */
import { availableParallelism, totalmem } from "node:os";
import { type LocalSettings, localSettings } from "@headrace/capacity";

/** Bytes of memory this process may count on: the machine's, or its container's if that is less. */
function machineMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

export function machineSettings(): LocalSettings {
  return localSettings({ memoryBytes: machineMemory(), cores: availableParallelism() });
}

/** The text of a postgresql.conf. */
export function settingsFile(settings: LocalSettings): string {
  const lines = Object.entries(settings).map(
    ([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`,
  );
  return `# Written at every start by Headrace (packages/local): changes here are lost.\n${lines.join("\n")}\n`;
}
