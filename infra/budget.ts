/**
 * A mail before a month's costs pass what the stage was meant to cost. AWS counts them by day and
 * about half a day late.
 *
 * It is the whole account's budget: costs by stage would need tags that somebody has to switch on by
 * hand, and until then the budget would say nothing. So a stage wants an account of its own.
 */
import type { Stage } from "./settings.ts";

const NEARLY_PERCENT = 80;

export function createBudget({ alarms }: Stage): void {
  const mail = { thresholdType: "PERCENTAGE", subscriberEmailAddresses: [alarms.email] };
  new aws.budgets.Budget("Budget", {
    budgetType: "COST",
    timeUnit: "MONTHLY",
    limitAmount: String(alarms.budgetDollars),
    limitUnit: "USD",
    notifications: [
      {
        ...mail,
        notificationType: "ACTUAL",
        comparisonOperator: "GREATER_THAN",
        threshold: NEARLY_PERCENT,
      },
      {
        ...mail,
        notificationType: "FORECASTED",
        comparisonOperator: "GREATER_THAN",
        threshold: 100,
      },
    ],
  });
}
