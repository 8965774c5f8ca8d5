import { AppError, conflict, unavailable } from "@headrace/kernel";
import { expect, test } from "vitest";
import { withDevRemedy } from "../../packages/local/src/development-remedy.ts";

const FOLDER = "/home/ada/.headrace/dev/ada";
const SETTLED = {
  ownerPassword: "owner",
  roles: {
    size: "local",
    passwords: { headrace_worker: "", headrace_orders: "", headrace_reports: "" },
  },
  postgresPort: 6000,
  kafkaPort: 6001,
} as const;

const told = (error: unknown) => withDevRemedy(error, SETTLED, FOLDER);

test("what tells to empty npm start's data tells to delete the stage's own, and keeps its code", () => {
  const error = unavailable(
    "postgres.damaged",
    "Put a copy in its place, or begin with empty data: `npm start -- --fresh`.\nThe end of its log:",
  );
  expect(told(error)).toBeInstanceOf(AppError);
  expect(told(error)).toMatchObject({
    kind: "unavailable",
    code: "postgres.damaged",
    message: `Put a copy in its place, or begin with empty data: delete ${FOLDER}.\nThe end of its log:`,
    cause: error,
  });
});

test.each([
  ["home.in_use", "dev.running", `sst dev runs already for this stage (${FOLDER}): stop that one`],
  ["postgres.port_taken", "dev.port_in_use", "Port 6000, where this stage looks for PostgreSQL,"],
  ["kafka.port_taken", "dev.port_in_use", "Port 6001, where this stage looks for Kafka,"],
  ["postgres.other_password", "dev.other_stage", `The data in ${FOLDER} was made for an earlier`],
  ["home.foreign", "home.foreign", "Choose another folder (HEADRACE_HOME=DIR)"],
])("%s is told as %s", (code, expected, text) => {
  const error = conflict(code, "Choose another folder (--home DIR)");
  expect(told(error)).toMatchObject({
    kind: "conflict",
    code: expected,
    message: expect.stringContaining(text),
    cause: error,
  });
});

test("what needs no other remedy comes back as it is", () => {
  const full = unavailable("postgres.disk_full", "Free some space and start again.");
  expect(told(full)).toBe(full);
  const foreign = new Error("`npm start -- --fresh`");
  expect(told(foreign)).toBe(foreign);
});
