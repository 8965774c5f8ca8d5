/**
 * `node evaluate-child.ts BUNDLE RESULT STAGE FOLDER`: evaluates a bundle under Pulumi's mocks and
 * writes what was made to RESULT.
 */
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { answerCall, REGION, stateOf } from "./mock-aws.ts";
import { serveCommand } from "./mock-command.ts";

/** Of any shape, as the inputs of every type of resource and of SST's command are: tests know which. */
// biome-ignore lint/suspicious/noExplicitAny: no type holds them all, and tests reach deep into them
type Untyped = Readonly<Record<string, any>>;

export interface MadeResource {
  readonly type: string;
  readonly name: string;
  readonly inputs: Untyped;
  readonly urn: string;
  readonly parent: string;
  /** Urns of what must be made before it. */
  readonly dependencies: readonly string[];
  readonly retainOnDelete: boolean;
  /** What a component says of itself, such as the command that `sst dev` runs for it. */
  readonly outputs?: Untyped;
}

export interface Evaluated {
  readonly resources: readonly MadeResource[];
  /** What SST's command was asked to bundle, by function. */
  readonly builds: readonly Untyped[];
  readonly outputs: unknown;
  readonly error?: string;
}

/** How Pulumi marks a value that is one of its own kinds. */
const KIND = "4dabf18193072939515e22adb298388d";

const [bundle = "", result = "", stage = "", folder = ""] = process.argv.slice(2);
const require = createRequire(bundle);
const pulumi = require("@pulumi/pulumi");
const { MockMonitor } = require("@pulumi/pulumi/runtime/mocks");
const { getStore } = require("@pulumi/pulumi/runtime/state");
const resources: MadeResource[] = [];
const made = new Map<string, Record<string, unknown>>();

process.on("unhandledRejection", (error) => end(error));
process.on("uncaughtException", (error) => end(error));

const command = await serveCommand(folder);
process.env.SST_SERVER = command.url;
process.env.SST_AWS_REGION = REGION;
recordRegistrations();
recordOutputs();
await pulumi.runtime.setMocks(
  {
    newResource: ({ type, name, inputs, custom }: NewResource) => {
      const plain = withoutSecrets(inputs) as Record<string, unknown>;
      made.set(`${type} ${name}`, plain);
      return { id: `${name}-id`, state: { ...stateOf(type, name, plain, custom), ...inputs } };
    },
    call: ({ token, inputs }: { token: string; inputs: Record<string, unknown> }) =>
      answerCall(token, inputs),
  },
  "headrace",
  stage,
  false,
  "organization",
);

try {
  const { evaluate } = await import(pathToFileURL(bundle).href);
  const raw = await pulumi.runtime.runInPulumiStack(evaluate);
  await settled();
  const outputs = await new Promise((resolve) => pulumi.output(raw).apply(resolve));
  finish({ resources, builds: command.builds, outputs });
} catch (error) {
  end(error);
}

interface NewResource {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
  custom: boolean;
}

/** Resources are made inside of others' answers: until nothing is under way and no more come. */
async function settled(): Promise<void> {
  const underWay = (): number => getStore().leakCandidates.size;
  for (let last = -1, quiet = 0; quiet < 3; ) {
    await pulumi.runtime.disconnect();
    await sleep(10);
    quiet = resources.length === last && underWay() === 0 ? quiet + 1 : 0;
    last = resources.length;
  }
}

/** The mocks' callback is told less than the engine: not what depends on what, nor what is retained. */
function recordRegistrations(): void {
  const register = MockMonitor.prototype.registerResource;
  MockMonitor.prototype.registerResource = function (request: Registration, callback: Callback) {
    return register.call(this, request, (error: unknown, response: { getUrn(): string }) => {
      if (!error) {
        const [type, name] = [request.getType(), request.getName()];
        resources.push({
          type,
          name,
          inputs: (made.get(`${type} ${name}`) ?? {}) as Untyped,
          urn: response.getUrn(),
          parent: request.getParent(),
          dependencies: request.getDependenciesList(),
          retainOnDelete: request.getRetainondelete() ?? false,
        });
      }
      callback(error, response);
    });
  };
}

function recordOutputs(): void {
  const register = MockMonitor.prototype.registerResourceOutputs;
  MockMonitor.prototype.registerResourceOutputs = function (request: Outputs, callback: Callback) {
    const index = resources.findIndex(({ urn }) => urn === request.getUrn());
    const outputs = withoutSecrets(request.getOutputs()?.toJavaScript() ?? {});
    const known = resources[index];
    if (known) resources[index] = { ...known, outputs: outputs as Record<string, never> };
    return register.call(this, request, callback);
  };
}

interface Outputs {
  getUrn(): string;
  getOutputs(): { toJavaScript(): object } | undefined;
}

type Callback = (error: unknown, response: unknown) => void;
interface Registration {
  getType(): string;
  getName(): string;
  getParent(): string;
  getDependenciesList(): string[];
  getRetainondelete(): boolean | undefined;
}

function withoutSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== "object" || value === null) return value;
  if (KIND in value && "value" in value) return withoutSecrets(value.value);
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, withoutSecrets(each)]),
  );
}

function end(error: unknown): never {
  const message = error instanceof Error ? error.message : String(error);
  return finish({ resources, builds: command.builds, outputs: undefined, error: message });
}

function finish(evaluated: Evaluated): never {
  writeFileSync(result, JSON.stringify(evaluated));
  process.exit(0);
}
