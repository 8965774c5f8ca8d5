/**
 * The stage at a glance: the state of every alarm, then a panel for each kind of figure with the
 * limits drawn in, and where to look for the costs.
 */
import type { Alarms } from "./alarms.ts";
import { type Figure, PANELS, type Panel } from "./figure.ts";
import type { Parts } from "./parts.ts";

const COLUMNS = 24;
const PANEL_WIDTH = 12;
const PANEL_HEIGHT = 6;
const HEAD_HEIGHT = 4;

export function createDashboard(
  { stage, api }: Parts,
  figures: readonly Figure[],
  alarms: Alarms,
): void {
  const panels = PANELS.map((panel) => ({ panel, of: figures.filter((f) => f.panel === panel) }));
  const widgets = panels
    .filter(({ of }) => of.length > 0)
    .map(({ panel, of }, index) => ({
      type: "metric",
      x: (index % (COLUMNS / PANEL_WIDTH)) * PANEL_WIDTH,
      y: HEAD_HEIGHT + Math.floor(index / (COLUMNS / PANEL_WIDTH)) * PANEL_HEIGHT,
      width: PANEL_WIDTH,
      height: PANEL_HEIGHT,
      properties: panelOf(panel, of, stage.region),
    }));
  new aws.cloudwatch.Dashboard("Dashboard", {
    dashboardName: `${$app.name}-${$app.stage}`,
    dashboardBody: $jsonStringify({
      widgets: [
        {
          type: "alarm",
          x: 0,
          y: 0,
          width: 18,
          height: HEAD_HEIGHT,
          properties: { title: "Alarms", alarms: [...alarms.values()].map(({ arn }) => arn) },
        },
        {
          type: "text",
          x: 18,
          y: 0,
          width: COLUMNS - 18,
          height: HEAD_HEIGHT,
          properties: { markdown: $interpolate`${api.gateway.url}\n\n${pointers(stage)}` },
        },
        ...widgets,
      ],
    }),
  });
}

const pointers = ({ alarms }: Parts["stage"]): string =>
  [
    `[Costs of this month](https://console.aws.amazon.com/costmanagement/home#/cost-explorer) of the whole account; budget $${alarms.budgetDollars}`,
    "What each size costs: README, chapter Deploy",
  ].join("\n\n");

function panelOf(title: Panel, figures: readonly Figure[], region: string): object {
  return {
    title,
    region,
    view: "timeSeries",
    stacked: false,
    metrics: figures.map(({ name, metric, statistic, periodSeconds }) => [
      metric.namespace,
      metric.name,
      ...Object.entries(metric.dimensions).flat(),
      { label: name, stat: statistic, period: periodSeconds },
    ]),
    yAxis: { left: { min: 0 } },
    annotations: { horizontal: limitsOf(figures) },
  };
}

/** One line for each value, named after the first figure that has it. */
function limitsOf(figures: readonly Figure[]): object[] {
  const lines = new Map<number, string>();
  for (const { name, limit } of figures)
    if (limit !== undefined && !lines.has(limit.threshold)) lines.set(limit.threshold, name);
  return [...lines].map(([value, label]) => ({ value, label }));
}
