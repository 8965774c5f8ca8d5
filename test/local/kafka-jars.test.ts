/** Maven is played by a shell script here: what it does when the network fails cannot be ordered. */
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fetchKafkaJars } from "@headrace/local";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

let base: string;
let programs: string;
let jars: string;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "headrace-jars-"));
  programs = join(base, "programs");
  jars = join(base, "home", "jars");
  await mkdir(programs);
  vi.stubEnv("JAVA_HOME", undefined);
  vi.stubEnv("PATH", programs);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(base, { recursive: true, force: true });
});

async function program(name: string, body: string): Promise<void> {
  await writeFile(join(programs, name), `#!/bin/sh\n${body}\n`);
  await chmod(join(programs, name), 0o755);
}

const java = (version: string) => program("java", `echo 'openjdk version "${version}"' >&2`);

/** Writes two jars to wherever `-DoutputDirectory=` says. */
const maven = () =>
  program(
    "mvn",
    `for word; do case $word in -DoutputDirectory=*) out=\${word#*=}; /bin/mkdir "$out"; echo kafka > "$out/kafka.jar"; echo log4j > "$out/log4j.jar"; esac; done
    echo run >> ${base}/runs`,
  );

test("a complete folder needs neither Java nor Maven", async () => {
  await java("17.0.15");
  await maven();
  await fetchKafkaJars(jars);
  expect((await readdir(jars)).sort()).toEqual(["contents.json", "kafka.jar", "log4j.jar"]);
  await rm(programs, { recursive: true });
  await fetchKafkaJars(jars);
  expect(await readdir(join(base, "home"))).toEqual(["jars"]);
});

test("a jar that is missing or cut short makes the folder be fetched again", async () => {
  await java("21.0.1");
  await maven();
  await fetchKafkaJars(jars);
  await writeFile(join(jars, "kafka.jar"), "");
  await fetchKafkaJars(jars);
  await rm(join(jars, "log4j.jar"));
  await fetchKafkaJars(jars);
  expect((await readdir(jars)).sort()).toEqual(["contents.json", "kafka.jar", "log4j.jar"]);
  expect(await readdir(join(base, "home"))).toEqual(["jars"]);
});

test("several may fetch into one folder at once", async () => {
  await java("17");
  await maven();
  await Promise.all(Array.from({ length: 5 }, () => fetchKafkaJars(jars)));
  expect((await readdir(jars)).sort()).toEqual(["contents.json", "kafka.jar", "log4j.jar"]);
  expect(await readdir(join(base, "home"))).toEqual(["jars"]);
});

test("missing programs are told, with what to install", async () => {
  await expect(fetchKafkaJars(jars)).rejects.toMatchObject({ code: "java.missing" });
  await java("11.0.2");
  await expect(fetchKafkaJars(jars)).rejects.toMatchObject({
    code: "java.too_old",
    message: expect.stringContaining("is Java 11"),
  });
  await java("1.8.0_391");
  await expect(fetchKafkaJars(jars)).rejects.toMatchObject({
    code: "java.too_old",
    message: expect.stringContaining("is Java 8"),
  });
  await java("17.0.15");
  await expect(fetchKafkaJars(jars)).rejects.toMatchObject({
    kind: "unavailable",
    code: "maven.missing",
    message: expect.stringMatching(/apt-get install maven.*KAFKA_BROKERS/),
  });
});

test("Maven without a network is told in its own words, without colours, and leaves nothing", async () => {
  await java("17.0.15");
  await program(
    "mvn",
    `[ "$1" = -v ] && exit 0
    printf '\\033[1mReactor\\033[m\\n[\\033[1;31mERROR\\033[m] Could not transfer artifact\\n'; exit 1`,
  );
  await expect(fetchKafkaJars(jars)).rejects.toMatchObject({
    code: "kafka.not_fetched",
    message: expect.stringMatching(/Check the network.*\n\[ERROR\] Could not transfer artifact$/),
  });
  expect(await readdir(join(base, "home"))).toEqual([]);
});
