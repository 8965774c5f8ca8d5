/** What the system says about a folder of ours that cannot be used, with what to do about it. */
import { AppError, invalid, unavailable } from "@headrace/kernel";

/** Errors that are none of the file system's, or are explained already, come back as they are. */
export function explainFileError(error: unknown, folder: string): unknown {
  if (error instanceof AppError || !(error instanceof Error) || !("code" in error)) return error;
  const cause = { cause: error };
  switch (error.code) {
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return invalid(
        "folder.not_writable",
        `${folder} cannot be used: it or a file in it belongs to another user or is read-only (${error.message}). Start as its owner, or choose another folder: --home DIR.`,
        cause,
      );
    case "ENOTDIR":
    case "EEXIST":
      return invalid("folder.is_none", `${folder} is not a folder. Choose one: --home DIR.`, cause);
    case "ENOSPC":
    case "EDQUOT":
      return unavailable(
        "folder.disk_full",
        `The disk that holds ${folder} is full. Free some space (nothing is lost) and start again.`,
        cause,
      );
    default:
      return error;
  }
}
