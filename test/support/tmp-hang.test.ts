import { test } from "vitest";
import { testDatabase } from "./database.ts";
import { kafkaBrokers } from "./kafka.ts";
await Promise.all([testDatabase(), kafkaBrokers()]);
test("hang", () => new Promise(() => {}), 100000);
