/** What a token may allow. The one list of scopes; the manifest and the routes take their types here. */
export const SCOPES = [
  "events:write",
  "orders:write",
  "orders:read",
  "reports:read",
  /** Anything about one named user. */
  "users:read",
  "predict",
  /** Dimensions, joins, audit, dead letters, erase, models. */
  "admin",
] as const;
export type Scope = (typeof SCOPES)[number];

/** `public` needs no token and must be written out. */
export type RouteScope = Scope | "public";

export function isScope(text: string): text is Scope {
  return (SCOPES as readonly string[]).includes(text);
}
