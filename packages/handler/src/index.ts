export { type Authenticate, createAuthenticator, type Principal, requireScope } from "./auth.ts";
export { isScope, type RouteScope, SCOPES, type Scope } from "./auth-scopes.ts";
export { bodyNotJson, bodyTooLarge, DEFAULT_MAX_BODY_BYTES } from "./body.ts";
export {
  type Config,
  config,
  databaseAddress,
  forgetConfig,
  type Purpose,
  readConfig,
} from "./config.ts";
export { type AuthConfig, DEVELOPMENT_ISSUER } from "./config-auth.ts";
export {
  type ReleaseTopic,
  rawRetentionDays,
  releaseTopics,
  rolePasswords,
} from "./config-release.ts";
export type { Cron, CronContext, CronHandler, CronOptions, CronResult } from "./cron-handler.ts";
export { cronHandler } from "./cron-handler.ts";
export { type CursorQuery, decodeCursor, encodeCursor } from "./cursor.ts";
export { deployHandler } from "./deploy-handler.ts";
export { optionsResult, problemResult } from "./http-answer.ts";
export type { HttpEvent, HttpHandler, HttpResult, InvocationContext } from "./http-event.ts";
export { type HttpOptions, httpHandler } from "./http-handler.ts";
export { readItem } from "./http-input.ts";
export {
  durationParam,
  durationText,
  EARLIEST_MICROS,
  eventTypeParam,
  instantParam,
  joinNameParam,
  LATEST_MICROS,
  limitParam,
  type MicrosRange,
  requireRange,
  textParam,
  wholeParam,
} from "./http-query.ts";
export {
  answerWith,
  METHODS,
  type Method,
  type Route,
  type RouteContext,
  type RouteFacts,
  type RouteKey,
  type RouteSpec,
  type Routes,
  route,
  routeFacts,
} from "./http-route.ts";
export { createRouter, type RouteMatch, type RoutePath, type Router } from "./http-router.ts";
export { kafkaConfig } from "./kafka-config.ts";
export * from "./kafka-event.ts";
export * from "./kafka-handler.ts";
export { closeProducers, kafkaProducer } from "./kafka-producers.ts";
export type { DatabaseAddress, Through } from "./links.ts";
export { createLogger, loggable, logger, systemClock, useLogger } from "./log.ts";
export {
  METRIC_NAMESPACE,
  METRIC_UNITS,
  type MetricName,
  type MetricScope,
  type MetricSink,
  type MetricValues,
  metricsAreRead,
  recordMetrics,
  useMetricSink,
} from "./metrics.ts";
export {
  type ConnectionCheck,
  closePools,
  openPool,
  type PoolDriver,
  type PoolLimits,
  pool,
  sqlOf,
} from "./pools.ts";
export { type Connections, type PurposeSql, purposeSql } from "./pools-sql.ts";
export { asAppError, HttpRefusal, type ProblemDocument } from "./problem.ts";
export * from "./pulse-handler.ts";
export { forgetWaking, type WakeOptions, wakePulse } from "./wake-pulse.ts";
