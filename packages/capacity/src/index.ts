export * from "./check-capacity.ts";
export * from "./development.ts";
export * from "./parameter-group.ts";
export * from "./role-limits.ts";
export * from "./server-settings.ts";
export * from "./size.ts";
