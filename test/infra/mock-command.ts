/** The part of SST's command that its components call while they are evaluated. */
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

export interface Command {
  readonly url: string;
  /** Arguments of each bundling, in order. */
  readonly builds: Readonly<Record<string, never>>[];
}

export async function serveCommand(folder: string): Promise<Command> {
  const out = join(folder, "bundle");
  await mkdir(out, { recursive: true });
  await writeFile(join(out, "index.mjs"), "export const handler = async () => {};\n");
  const builds: Command["builds"] = [];
  const answers: Record<string, (args: Record<string, never>) => unknown> = {
    "Runtime.Build": (args) => {
      builds.push(args);
      return { handler: args.handler, out, errors: [], sourcemaps: [] };
    },
    "Provider.Aws.Bootstrap": () => ({
      asset: "sst-asset-test",
      state: "sst-state-test",
      assetEcrRegistryId: "123456789012",
      assetEcrUrl: "123456789012.dkr.ecr.eu-central-1.amazonaws.com/sst-asset",
      appsyncHttp: "http.test",
      appsyncRealtime: "realtime.test",
    }),
    "Provider.Aws.Appsync": () => ({ http: "http.test", realtime: "realtime.test" }),
  };
  const server = createServer(async (request, response) => {
    const { method, params } = JSON.parse(await text(request)) as Call;
    const result = answers[method]?.(params[0]) ?? {};
    response.end(JSON.stringify({ result }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, builds };
}

interface Call {
  method: string;
  params: [Record<string, never>];
}

async function text(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
