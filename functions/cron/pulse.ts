/**
 * Every minute, and then for as long: runs the crons that the scheduler is too slow for.
 *
 * The one function that takes in others: each of them keeps its file, its lease and its pace.
 */
import { pulseHandler } from "@headrace/handler";
import { functionsOf } from "../manifest.ts";
import { cron as eraseUsers } from "./erase-users.ts";
import { cron as fillGaps } from "./fill-gaps.ts";
import { cron as findJoins } from "./find-joins.ts";
import { cron as finishSessions } from "./finish-sessions.ts";
import { cron as finishWindows } from "./finish-windows.ts";
import { cron as keepStatistics } from "./keep-statistics.ts";
import { cron as refreshSegments } from "./refresh-segments.ts";
import { cron as watchProgress } from "./watch-progress.ts";

const fast = [
  eraseUsers,
  fillGaps,
  findJoins,
  finishSessions,
  finishWindows,
  keepStatistics,
  refreshSegments,
  watchProgress,
];

export const handler = pulseHandler(
  functionsOf("cron").flatMap(({ file, trigger }) => {
    const cron = fast.find(({ name }) => file === `cron/${name}`);
    return cron === undefined ? [] : [{ ...cron, every: trigger.every }];
  }),
);
