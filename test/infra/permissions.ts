/** Policies in words: `sqs: SendMessage → queue MissedRuns`. */
import type { MadeResource } from "./stage.ts";

type Document = Readonly<Record<string, unknown>>;

/** Everything that a role's own policies say, a line a statement, sorted. */
export const statementsIn = ({ inputs }: MadeResource): readonly string[] =>
  documentsIn(inputs).flatMap(linesOf).toSorted();

/** Each single action on each single resource: `kafka-cluster:ReadData → topic events`. */
export const permissionsIn = ({ inputs }: MadeResource): ReadonlySet<string> =>
  new Set(
    documentsIn(inputs).flatMap((statement) =>
      listOf(statement, "actions", "Action").flatMap((action) =>
        listOf(statement, "resources", "Resource").map(
          (resource) => `${action} → ${nameOf(resource)}`,
        ),
      ),
    ),
  );

/** Names of AWS's own policies that a role has. */
export const managedIn = ({ inputs }: MadeResource): readonly string[] =>
  (((inputs as Document).managedPolicyArns as string[] | undefined) ?? [])
    .map((arn) => arn.split("/").at(-1) ?? "")
    .toSorted();

/** Who may take the role on: services by name, accounts by ARN. */
export function trustedBy({ inputs }: MadeResource): readonly string[] {
  const policy = (inputs as Document).assumeRolePolicy;
  const { Statement } = (typeof policy === "string" ? JSON.parse(policy) : policy) as {
    Statement: Document[];
  };
  return Statement.flatMap(({ Principal, principals }) =>
    principals === undefined
      ? Object.values(Principal as Record<string, string>)
      : (principals as { identifiers: string[] }[]).flatMap(({ identifiers }) => identifiers),
  );
}

function documentsIn(inputs: Document): readonly Document[] {
  const policies = (inputs.inlinePolicies ?? []) as readonly { policy: string }[];
  return policies.flatMap(({ policy }) => JSON.parse(policy).Statement as Document[]);
}

function linesOf(statement: Document): readonly string[] {
  const resources = listOf(statement, "resources", "Resource").map(nameOf).join(", ");
  const effect = String(statement.effect ?? statement.Effect ?? "Allow");
  const actions = listOf(statement, "actions", "Action").map((action) => action.split(":"));
  const services = Map.groupBy(actions, ([service = ""]) => service);
  return [...services].map(([service, verbs]) => {
    const names = verbs.map(([, verb]) => verb).toSorted();
    return `${effect === "Allow" ? "" : `${effect} `}${service}: ${names.join(", ")} → ${resources}`;
  });
}

function listOf(statement: Document, ...names: readonly string[]): readonly string[] {
  const value = names.map((name) => statement[name]).find((each) => each !== undefined);
  return [value ?? []].flat() as string[];
}

const NAMES: readonly (readonly [RegExp, string])[] = [
  [/^\*$/, "anything"],
  [/:kafka:[^:]*:\d+:cluster\/[^/]+\/[^/]+$/, "the cluster"],
  [/:kafka:[^:]*:\d+:topic\/[^/]+\/[^/]+\/([^/*]+)$/, "topic $1"],
  [/:kafka:[^:]*:\d+:group\/[^/]+\/[^/]+\/([^/*]+)$/, "group $1"],
  [/:lambda:[^:]*:\d+:function:[a-z-]*-?([A-Z]\w+?)(?:Function-[a-z]+)?$/, "function $1"],
  [/:sqs:[^:]*:\d+:(\w+)$/, "queue $1"],
  [/:secretsmanager:[^:]*:\d+:(?:headrace-test-)?(\w+?)(?:-[a-z]{8})?$/, "secret $1"],
];

/** What has no name here is shown as it is. */
function nameOf(resource: string): string {
  for (const [pattern, name] of NAMES) {
    const match = pattern.exec(resource);
    if (match !== null) return name.replace("$1", match[1] ?? "");
  }
  return resource;
}
