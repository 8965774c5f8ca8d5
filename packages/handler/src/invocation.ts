/**
 * Which invocation this process serves, for lines that nobody hands a request's id: a lost
 * connection, a metric. A deployed function serves one at a time; elsewhere many run side by side and
 * none is told.
 */
let serving: string | undefined;

/** Called by each wrapper first; what comes between two invocations counts to the one before. */
export function beginInvocation(requestId: string | undefined): void {
  serving = process.env.AWS_LAMBDA_FUNCTION_NAME ? requestId : undefined;
}

export function servedRequestId(): string | undefined {
  return serving;
}
