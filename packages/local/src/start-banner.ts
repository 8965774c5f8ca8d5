/** What a person sees of a start. */
import type { Runtime } from "./runtime.ts";

/** Ends with the line that programs wait for. */
export function banner({
  url,
  token,
  databaseUrl,
  kafkaBrokers,
  home,
  postgresPlace,
}: Runtime): string {
  const lines = [
    ["HTTP", url],
    ["PostgreSQL", `${withoutPassword(databaseUrl)}  (with its password in running.json)`],
    ...(postgresPlace === undefined ? [] : [["", `its files are in ${postgresPlace}`]]),
    ["Kafka", kafkaBrokers.join(", ")],
    ["Home", `${home.path}  (logs in logs/)`],
  ];
  return `
${lines.map(([name = "", value]) => `  ${name.padEnd(12)}${value}`).join("\n")}

  A token with every scope, and a first question:

  TOKEN=${token}
  curl -s -H "Authorization: Bearer $TOKEN" ${url}/v1/reports/kpi

  Ctrl-C ends everything; data stays.

ready ${url}
`;
}

function withoutPassword(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  url.password = "";
  return url.href;
}
