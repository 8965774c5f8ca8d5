/**
 * Every permission that names no single resource, with the reason. There are no others:
 * `permissionOnAnything` is the one place that may write `*`.
 */
export const WILDCARDS = {
  mappingNetwork: {
    actions: ["ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"],
    reason:
      "a mapping looks up the network of its cluster; EC2's describing actions have no finer resource",
  },
} as const satisfies Readonly<Record<string, { actions: readonly string[]; reason: string }>>;

/**
 * Managed policies that SST itself gives to functions. They name `*` because what they are for has no
 * name yet when they are written: log streams, and network interfaces that Lambda makes and removes.
 */
export const MANAGED_POLICIES = {
  AWSLambdaBasicExecutionRole: "writes the function's own logs",
  AWSLambdaVPCAccessExecutionRole:
    "makes the function's network interfaces, in stages with a network",
} as const;

export const permissionOnAnything = (name: keyof typeof WILDCARDS) => ({
  actions: [...WILDCARDS[name].actions],
  resources: ["*"],
});

/** In the policy of a key itself, `*` is that key and no other; its name is not known yet. */
export const THIS_KEY = "*";
