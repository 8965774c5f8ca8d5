export * from "./assign.ts";
export * from "./best-attempt.ts";
export * from "./cover-range.ts";
export { Distinct } from "./distinct.ts";
export { Durations } from "./durations.ts";
export { ExactTotal } from "./exact-total.ts";
export { hashUserId } from "./hash.ts";
export type { Mergeable } from "./mergeable.ts";
export { Moments } from "./moments.ts";
export { Quantiles } from "./quantiles.ts";
export { Revenue } from "./revenue.ts";
export {
  MAX_STATE_BYTES,
  type WindowFigures,
  type WindowInput,
  WindowState,
  type WindowUsers,
} from "./state.ts";
