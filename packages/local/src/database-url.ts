/** The form of DATABASE_URL, checked before anything is started with it. */
import { invalid } from "@headrace/kernel";

/** Throws `database.url`: the address is one that roles can be made from. */
export function checkDatabaseUrl(text: string): void {
  const url = URL.parse(text);
  const isComplete =
    url !== null &&
    /^postgres(ql)?:$/.test(url.protocol) &&
    url.pathname.length > 1 &&
    url.hostname !== "" &&
    url.username !== "" &&
    url.password !== "";
  if (!isComplete)
    throw invalid(
      "database.url",
      "DATABASE_URL must be postgresql://OWNER:PASSWORD@HOST:PORT/DATABASE (letters such as @ and / in the password written as %40 and %2F)",
    );
}
