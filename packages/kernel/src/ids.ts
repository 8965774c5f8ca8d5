/** Branded ids: a `string` that was checked once and cannot be mistaken for another one. */
declare const brand: unique symbol;
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** A UUID in lower case with hyphens. */
export type EventId = Brand<string, "EventId">;
