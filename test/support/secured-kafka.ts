/**
 * A broker that lets nobody in without credentials, but for the listener by which it is set up: one
 * listener for each way of signing in. Sessions end after seconds, so that renewing them shows in a
 * test, and what a user may do is up to ACLs.
 */
import { execFile } from "node:child_process";
import { pbkdf2Sync, randomBytes } from "node:crypto";
import { mkdir, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { type KafkaServer, startKafka } from "@headrace/local";
import {
  AclOperations,
  AclPermissionTypes,
  alterUserScramCredentialsV0,
  Connection,
  createAclsV3,
  ResourcePatternTypes,
  ResourceTypes,
} from "@platformatic/kafka";

/** `host:port` each; all by the name `localhost` but `plain`, which asks for nothing. */
export interface SecuredKafka {
  readonly plain: string;
  /** SASL_PLAINTEXT, OAUTHBEARER with unsigned JWTs; sessions of `SESSION_MS`. */
  readonly tokens: string;
  /** SASL_PLAINTEXT, SCRAM-SHA-512; sessions of `SESSION_MS`. */
  readonly passwords: string;
  /** SASL_SSL, SCRAM-SHA-512. */
  readonly encryptedPasswords: string;
  /** SSL alone. */
  readonly encrypted: string;
  /** PEM of the certificate, made for `localhost` and 127.0.0.1. */
  readonly ca: string;
}

export const SESSION_MS = 2_500;
/** May do everything. */
export const WRITER = { username: "writer", password: "writer's secret, with = and ," };
/** May read topics whose names begin with `readable`, no more. */
export const READER = { username: "reader", password: "reader's secret" };

const STORE_PASSWORD = "secured";
const SCRAM_SHA_512 = 2;
const ITERATIONS = 4_096;

export async function startSecuredKafka(
  folder: string,
  jarsFolder: string,
): Promise<{ readonly answer: SecuredKafka; readonly server: KafkaServer }> {
  const home = join(folder, "secured-kafka");
  await mkdir(home, { recursive: true });
  const [ca, [tokens, passwords, encryptedPasswords, encrypted]] = await Promise.all([
    makeCertificate(home),
    freePorts(4),
  ]);
  const server = await startKafka({
    folder: home,
    jarsFolder,
    listeners: [
      `TOKENS://localhost:${tokens}`,
      `PASSWORDS://localhost:${passwords}`,
      `ENCRYPTEDPASSWORDS://localhost:${encryptedPasswords}`,
      `ENCRYPTED://localhost:${encrypted}`,
    ],
    settings: SETTINGS,
  });
  const plain = server.brokers[0] ?? "";
  await admit(plain);
  const at = (port: number | undefined): string => `localhost:${port}`;
  const answer: SecuredKafka = {
    plain,
    tokens: at(tokens),
    passwords: at(passwords),
    encryptedPasswords: at(encryptedPasswords),
    encrypted: at(encrypted),
    ca,
  };
  return { answer, server };
}

const SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
const SETTINGS: Readonly<Record<string, string>> = {
  "listener.security.protocol.map":
    "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TOKENS:SASL_PLAINTEXT,PASSWORDS:SASL_PLAINTEXT,ENCRYPTEDPASSWORDS:SASL_SSL,ENCRYPTED:SSL",
  "inter.broker.listener.name": "PLAINTEXT",
  "listener.name.tokens.sasl.enabled.mechanisms": "OAUTHBEARER",
  "listener.name.tokens.oauthbearer.sasl.jaas.config":
    'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";',
  "listener.name.tokens.oauthbearer.connections.max.reauth.ms": `${SESSION_MS}`,
  "listener.name.passwords.sasl.enabled.mechanisms": "SCRAM-SHA-512",
  "listener.name.passwords.scram-sha-512.sasl.jaas.config": SCRAM_LOGIN,
  "listener.name.passwords.scram-sha-512.connections.max.reauth.ms": `${SESSION_MS}`,
  "listener.name.encryptedpasswords.sasl.enabled.mechanisms": "SCRAM-SHA-512",
  "listener.name.encryptedpasswords.scram-sha-512.sasl.jaas.config": SCRAM_LOGIN,
  "ssl.keystore.type": "PKCS12",
  "ssl.keystore.location": "broker.p12",
  "ssl.keystore.password": STORE_PASSWORD,
  "ssl.key.password": STORE_PASSWORD,
  "ssl.client.auth": "none",
  "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
  "super.users": `User:ANONYMOUS;User:${WRITER.username}`,
};

/** Java's own tool, as Java is needed anyhow. Answers the certificate's PEM. */
async function makeCertificate(home: string): Promise<string> {
  const java = process.env.JAVA_HOME;
  const keytool = java ? join(java, "bin", "keytool") : "keytool";
  const store = ["-keystore", join(home, "broker.p12"), "-storetype", "PKCS12"];
  const secret = ["-storepass", STORE_PASSWORD, "-alias", "broker"];
  const run = promisify(execFile);
  await rm(join(home, "broker.p12"), { force: true });
  const names = ["-dname", "CN=localhost", "-ext", "SAN=dns:localhost,ip:127.0.0.1"];
  await run(keytool, ["-genkeypair", ...store, ...secret, "-keyalg", "EC", ...names]);
  const pem = join(home, "broker.pem");
  await run(keytool, ["-exportcert", "-rfc", "-file", pem, ...store, ...secret]);
  return await readFile(pem, "utf8");
}

/** Ports that are free at the moment, all different. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const address = server.address();
    if (address !== null && typeof address === "object") ports.push(address.port);
  }
  for (const server of servers) await new Promise((closed) => server.close(closed));
  return ports;
}

/** Users and what they may do; the broker keeps both. */
async function admit(plain: string): Promise<void> {
  const connection = new Connection("test");
  const [host = "", port] = plain.split(":");
  await connection.connect(host, Number(port));
  const users = [WRITER, READER].map(({ username: name, password }) => {
    const salt = randomBytes(16);
    const saltedPassword = pbkdf2Sync(password, salt, ITERATIONS, 64, "sha512");
    return { name, mechanism: SCRAM_SHA_512, iterations: ITERATIONS, salt, saltedPassword };
  });
  await alterUserScramCredentialsV0.api.async(connection, [], users);
  const grant = {
    resourceType: ResourceTypes.TOPIC,
    resourceName: "readable",
    resourcePatternType: ResourcePatternTypes.PREFIXED,
    principal: `User:${READER.username}`,
    host: "*",
    permissionType: AclPermissionTypes.ALLOW,
  };
  await createAclsV3.api.async(connection, [
    { ...grant, operation: AclOperations.READ },
    { ...grant, operation: AclOperations.DESCRIBE },
  ]);
  await connection.close();
}

/** An unsigned JWT, as the broker's own validator of tests takes it. */
export function unsignedToken(
  subject: string,
  lifeMs: number,
): { value: string; expiresAt: number } {
  const now = Date.now();
  const expiresAt = now + lifeMs;
  const part = (content: object): string =>
    Buffer.from(JSON.stringify(content)).toString("base64url");
  const claims = { sub: subject, iat: now / 1000, exp: expiresAt / 1000 };
  return { value: `${part({ alg: "none" })}.${part(claims)}.`, expiresAt };
}
