/** What AWS would say of a resource that was made, and to a question: as much as components read. */

export const REGION = "eu-central-1";
export const ACCOUNT = "123456789012";
export const CLUSTER_ARN = `arn:aws:kafka:${REGION}:${ACCOUNT}:cluster/headrace-test/0f0e0d0c-0b0a-4009-8807-060504030201-1`;

type Inputs = Readonly<Record<string, unknown>>;

export function stateOf(type: string, name: string, inputs: Inputs, custom: boolean): object {
  if (custom === false) return {};
  const own = String(inputs.name ?? inputs.functionName ?? name);
  return { name: own, arn: arnOf(type, own), ...SPECIAL[type]?.(name, inputs) };
}

const arnOf = (type: string, name: string): string => {
  const service = type.split(":")[1]?.split("/")[0];
  if (type === "aws:lambda/function:Function")
    return `arn:aws:lambda:${REGION}:${ACCOUNT}:function:${name}`;
  return `arn:aws:${service}:${REGION}:${ACCOUNT}:${name}`;
};

const BROKERS = "b-1.headrace.kafka.eu-central-1.amazonaws.com:9098";

const SPECIAL: Readonly<Record<string, (name: string, inputs: Inputs) => object>> = {
  "aws:msk/serverlessCluster:ServerlessCluster": () => ({
    arn: CLUSTER_ARN,
    bootstrapBrokersSaslIam: BROKERS,
  }),
  "aws:msk/cluster:Cluster": () => ({ arn: CLUSTER_ARN, bootstrapBrokersSaslIam: BROKERS }),
  "aws:msk/configuration:Configuration": () => ({ latestRevision: 1 }),
  "aws:lambda/function:Function": (name) => ({ publish: false, invokeArn: `arn:invoke:${name}` }),
  "aws:lambda/eventSourceMapping:EventSourceMapping": (name) => ({ uuid: `uuid-of-${name}` }),
  "aws:rds/instance:Instance": (name) => ({
    identifier: name.toLowerCase(),
    address: "database.rds.test",
    endpoint: "database.rds.test:5432",
    port: 5432,
  }),
  "aws:rds/cluster:Cluster": (name) => ({
    clusterIdentifier: name.toLowerCase(),
    endpoint: "cluster.rds.test",
    readerEndpoint: "reader.rds.test",
    port: 5432,
  }),
  "aws:rds/proxy:Proxy": () => ({ endpoint: "proxy.rds.test" }),
  "aws:apigatewayv2/api:Api": (name) => ({
    apiEndpoint: `https://${name}.execute-api.${REGION}.amazonaws.com`,
    executionArn: `arn:aws:execute-api:${REGION}:${ACCOUNT}:${name}`,
  }),
  "aws:ec2/instance:Instance": () => ({
    publicIp: "203.0.113.1",
    primaryNetworkInterfaceId: "eni-1",
  }),
  "random:index/randomBytes:RandomBytes": () => ({ base64: Buffer.alloc(32).toString("base64") }),
  "random:index/randomPassword:RandomPassword": (name) => ({ result: `password-of-${name}` }),
};

export function answerCall(token: string, inputs: Inputs): object {
  return ANSWERS[token]?.(inputs) ?? inputs;
}

const ANSWERS: Readonly<Record<string, (inputs: Inputs) => object>> = {
  "aws:index/getRegion:getRegion": () => ({ id: REGION, name: REGION, region: REGION }),
  "aws:index/getPartition:getPartition": () => ({ id: "aws", partition: "aws" }),
  "aws:index/getCallerIdentity:getCallerIdentity": () => ({ accountId: ACCOUNT }),
  "aws:index/getAvailabilityZones:getAvailabilityZones": () => ({
    names: ["a", "b", "c"].map((zone) => REGION + zone),
  }),
  "aws:iam/getPolicyDocument:getPolicyDocument": (inputs) => ({
    ...inputs,
    json: JSON.stringify({ Statement: inputs.statements ?? [] }),
  }),
  "aws:ec2/getAmi:getAmi": () => ({ id: "ami-1", architecture: "arm64" }),
};
