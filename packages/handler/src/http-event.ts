/**
 * What API Gateway's HTTP API sends to a function and takes from it (payload format 2.0), as far as
 * Headrace reads it. The local runtime makes the same.
 */
export interface HttpEvent {
  readonly version: "2.0";
  /** `GET /v1/users/{id}` as declared, or `$default`. */
  readonly routeKey: string;
  /** HTTP APIs may have percent-decoded it; only `$default` requests are read from it. */
  readonly rawPath: string;
  /** As sent, without the question mark. */
  readonly rawQueryString: string;
  /** Names in lower case; a header that was sent twice is joined by commas. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Percent-decoded. */
  readonly pathParameters?: Readonly<Record<string, string | undefined>>;
  readonly requestContext: {
    readonly requestId: string;
    readonly http: { readonly method: string; readonly path: string };
  };
  readonly body?: string;
  readonly isBase64Encoded: boolean;
}

export interface HttpResult {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly isBase64Encoded: false;
}

/** The part of Lambda's context that is used. */
export interface InvocationContext {
  readonly awsRequestId: string;
  getRemainingTimeInMillis(): number;
}

export type HttpHandler = (event: HttpEvent, context?: InvocationContext) => Promise<HttpResult>;
