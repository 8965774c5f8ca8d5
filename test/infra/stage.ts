/** An evaluated stage, to ask for what it is made of. */
import type { Evaluated, MadeResource } from "./evaluate-child.ts";

export interface Statement {
  readonly effect: string;
  readonly actions: readonly string[];
  readonly resources: readonly string[];
}

export type { MadeResource };

export class Stage {
  readonly resources: readonly MadeResource[];
  readonly builds: Evaluated["builds"];
  readonly outputs: unknown;

  constructor({ resources, builds, outputs }: Evaluated) {
    this.resources = resources;
    this.builds = builds;
    this.outputs = outputs;
  }

  ofType(type: string): readonly MadeResource[] {
    return this.resources.filter((each) => each.type === type);
  }

  /** The one resource of a type, or the one of that name; throws where there is none or are more. */
  the(type: string, name?: string): MadeResource {
    const found = this.ofType(type).filter((each) => name === undefined || each.name === name);
    const [one] = found;
    if (one === undefined || found.length > 1)
      throw new Error(`${found.length} resources ${type} ${name ?? ""} where one was expected`);
    return one;
  }

  /** Lambda functions by component (`KafkaIngestEvents`). */
  get functions(): ReadonlyMap<string, MadeResource> {
    return new Map(
      this.ofType("aws:lambda/function:Function").map((each) => [
        each.name.replace(/Function$/, ""),
        each,
      ]),
    );
  }

  /** What a function's role says itself, beside the managed policies. */
  statementsOf(component: string): readonly Statement[] {
    const { inlinePolicies } = this.the("aws:iam/role:Role", `${component}Role`).inputs;
    const policies = (inlinePolicies ?? []) as readonly { policy: string }[];
    return policies.flatMap(({ policy }) => JSON.parse(policy).Statement as Statement[]);
  }

  /** Names of AWS's own policies that a function's role has. */
  managedPoliciesOf(component: string): readonly string[] {
    const { managedPolicyArns } = this.the("aws:iam/role:Role", `${component}Role`).inputs;
    return ((managedPolicyArns ?? []) as string[]).map((arn) => arn.split("/").at(-1) ?? "");
  }

  /** Links of a function with their values, as it is bundled with them. */
  linksOf(component: string): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
    return this.buildOf(component).links;
  }

  /** What SST's command is told to bundle. */
  buildOf(component: string): Evaluated["builds"][number] {
    const build = this.builds.find((each) => each.functionID === component);
    if (build === undefined) throw new Error(`${component} was not bundled`);
    return build;
  }

  environmentOf(component: string): Readonly<Record<string, string>> {
    const { inputs } = this.the("aws:lambda/function:Function", `${component}Function`);
    return inputs.environment.variables;
  }

  /** Whether `one` waits for `other`, itself or through what it waits for. */
  waitsFor(one: MadeResource, other: MadeResource): boolean {
    const byUrn = new Map(this.resources.map((each) => [each.urn, each]));
    const seen = new Set<string>();
    const open = [...one.dependencies];
    for (let urn = open.pop(); urn !== undefined; urn = open.pop()) {
      if (urn === other.urn) return true;
      if (seen.has(urn)) continue;
      seen.add(urn);
      open.push(...(byUrn.get(urn)?.dependencies ?? []));
    }
    return false;
  }
}
