/** How large a shop is served: one machine with everything on it, or one of three in the cloud. */
export const SIZES = ["local", "starter", "standard", "large"] as const;
export type Size = (typeof SIZES)[number];
