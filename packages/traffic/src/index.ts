export { type GeneratedEvent, type GenerateOptions, generateEvents } from "./generate-events.ts";
export { runLoad } from "./load/run-load.ts";
export { loadShop, type ShopLoad } from "./load-shop.ts";
export { type MapChoices, parseMap } from "./replay/column-map.ts";
export { type InputFile, openInput } from "./replay/input-file.ts";
export { type ReplayOptions, type ReplayTotals, replayFile } from "./replay/replay-file.ts";
export { runReplay, type Surroundings } from "./replay/run-replay.ts";
export { CATALOGUE, type Product } from "./shop/catalogue.ts";
export { BROKEN_SHARE, LATE_SHARE, REPEATED_SHARE } from "./shop/delivery.ts";
export {
  customersFor,
  startTraffic,
  type Traffic,
  type TrafficOptions,
  type TrafficTotals,
} from "./start-traffic.ts";
