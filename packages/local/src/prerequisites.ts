/**
 * What must be installed beforehand: Java 17 or newer to run Kafka, Maven to fetch it once. Each
 * that is missing is an `unavailable` error whose message says what to install.
 */
import { join } from "node:path";
import { unavailable } from "@headrace/kernel";
import { runTool } from "./child.ts";

/** Kafka 4 is compiled for this version; an older Java ends with UnsupportedClassVersionError. */
const LEAST_JAVA = 17;

const INSTALL_JAVA =
  "Install a Java runtime, version 17 or newer (Debian, Ubuntu: `apt-get install openjdk-17-jre-headless`; macOS: `brew install openjdk`), or set JAVA_HOME to one, or set KAFKA_BROKERS to a Kafka that runs already.";

/** The `java` to run: the one of JAVA_HOME if set, else the first of PATH. */
export async function findJava(): Promise<string> {
  const home = process.env.JAVA_HOME;
  const java = home ? join(home, "bin", "java") : "java";
  const found = await runs(java, ["-version"]);
  if (found === undefined)
    throw unavailable(
      "java.missing",
      `Kafka needs Java, and \`${java}\` does not run. ${INSTALL_JAVA}`,
    );
  const version = javaVersion(found);
  if (version !== undefined && version < LEAST_JAVA)
    throw unavailable(
      "java.too_old",
      `Kafka needs Java 17, and \`${java}\` is Java ${version}. ${INSTALL_JAVA}`,
    );
  return java;
}

/** The `mvn` to run. Maven finds Java by itself, so a missing Java is told first. */
export async function findMaven(): Promise<string> {
  await findJava();
  if ((await runs("mvn", ["-v"])) === undefined)
    throw unavailable(
      "maven.missing",
      "Kafka is fetched once from Maven Central, and `mvn` does not run. Install Maven (Debian, Ubuntu: `apt-get install maven`; macOS: `brew install maven`), or set KAFKA_BROKERS to a Kafka that runs already.",
    );
  return "mvn";
}

async function runs(command: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const { code, output } = await runTool(command, args);
    return code === 0 ? output : undefined;
  } catch {
    return undefined;
  }
}

/** `openjdk version "17.0.15"` → 17; `java version "1.8.0_391"` → 8. */
function javaVersion(output: string): number | undefined {
  const match = /version "(?:1\.)?(\d+)/.exec(output);
  return match === null ? undefined : Number(match[1]);
}
