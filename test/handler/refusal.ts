import { readConfig } from "@headrace/handler";
import { AppError } from "@headrace/kernel";

/** The error that an environment is refused with; throws where it is not. */
export function refusal(env: Readonly<Record<string, string>>): AppError {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error("not refused");
}
