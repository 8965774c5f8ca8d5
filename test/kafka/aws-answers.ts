/** AWS's API of MSK as a local server that plays back answers; the SDK asks it over HTTP. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, vi } from "vitest";

export interface AwsQuestion {
  /** As in `GET /v1/clusters/ARN/bootstrap-brokers`, decoded. */
  readonly line: string;
  readonly body: unknown;
  readonly authorization: string;
}

export interface AwsAnswer {
  readonly status?: number;
  readonly error?: string;
  readonly body?: object;
  /** Says nothing for so long. */
  readonly delayMs?: number;
}

/** `error("TooManyRequestsException", 429)` */
export const refusal = (error: string, status: number, message = "as recorded"): AwsAnswer => ({
  error,
  status,
  body: { message },
});

export interface AwsAnswers {
  readonly questions: AwsQuestion[];
  /** What each question is answered, by its line's method and last part; the last one for ever. */
  answer(route: string, ...answers: readonly AwsAnswer[]): void;
}

/** For the tests of a file, with credentials that no AWS knows. */
export function awsAnswers(): AwsAnswers {
  const questions: AwsQuestion[] = [];
  const scripts = new Map<string, AwsAnswer[]>();
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const path = decodeURIComponent(request.url ?? "");
    const line = `${request.method} ${path}`;
    const text = Buffer.concat(chunks).toString();
    questions.push({
      line,
      body: text === "" ? undefined : JSON.parse(text),
      authorization: request.headers.authorization ?? "",
    });
    const script = scripts.get(`${request.method} ${path.split("/").at(-1)}`) ?? [];
    const answer = (script.length > 1 ? script.shift() : script[0]) ?? { status: 500 };
    setTimeout(() => {
      response.writeHead(answer.status ?? 200, {
        "content-type": "application/json",
        ...(answer.error === undefined ? {} : { "x-amzn-errortype": answer.error }),
      });
      response.end(JSON.stringify(answer.body ?? {}));
    }, answer.delayMs ?? 0).unref();
  });
  beforeAll(async () => {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    vi.stubEnv("AWS_ENDPOINT_URL_KAFKA", `http://127.0.0.1:${port}`);
    vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDTHATISNONE");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "a-secret-that-stays-one");
  });
  beforeEach(() => {
    questions.length = 0;
    scripts.clear();
  });
  afterAll(() => {
    vi.unstubAllEnvs();
    server.close();
    server.closeAllConnections();
  });
  return { questions, answer: (route, ...answers) => void scripts.set(route, [...answers]) };
}

/** Another cluster each time: what was found is kept for the process. */
export function clusterArn(): string {
  const id = crypto.randomUUID();
  return `arn:aws:kafka:eu-central-1:123456789012:cluster/shop/${id}-5`;
}
