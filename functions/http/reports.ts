/**
 * Reports, read only: windows and figures, sliding frames, sessions and active users, funnels, interval
 * joins, segments. One function, so that they share their few connections; a file for each family.
 *
 * Answers are exact at the moment of the request.
 */
import { httpHandler } from "@headrace/handler";
import { routes as funnel } from "./reports/funnel.ts";
import { routes as joins } from "./reports/joins.ts";
import { routes as segments } from "./reports/segments.ts";
import { routes as sessions } from "./reports/sessions.ts";
import { routes as windows } from "./reports/windows.ts";

export const routes = { ...windows, ...sessions, ...funnel, ...joins, ...segments };

export const handler = httpHandler(routes);
