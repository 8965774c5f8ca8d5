/**
 * CloudWatch's embedded metric format as its specification has it, to hold the lines that functions
 * write against: a line that breaks a rule makes no metric, and nobody is told.
 */
import { z } from "zod";

const UNITS =
  "Seconds Microseconds Milliseconds Bytes Kilobytes Megabytes Gigabytes Terabytes Bits Kilobits Megabits Gigabits Terabits Percent Count Bytes/Second Kilobytes/Second Megabytes/Second Gigabytes/Second Terabytes/Second Bits/Second Kilobits/Second Megabits/Second Gigabits/Second Terabits/Second Count/Second None".split(
    " ",
  );
const DAY_MILLIS = 86_400_000;
const MAX_LINE_BYTES = 256 * 1024;

const Directive = z.strictObject({
  Namespace: z
    .string()
    .min(1)
    .max(1024)
    .regex(/^(?!AWS\/)[\w./#:-]+$/),
  Dimensions: z.array(z.array(z.string().min(1).max(250)).max(30)).min(1),
  Metrics: z
    .array(
      z.strictObject({
        Name: z.string().min(1).max(1024),
        Unit: z.enum(UNITS).optional(),
        StorageResolution: z.literal([1, 60]).optional(),
      }),
    )
    .min(1)
    .max(100),
});

const Root = z.looseObject({
  _aws: z.strictObject({
    Timestamp: z
      .int()
      .refine((at) => at > Date.now() - 14 * DAY_MILLIS && at < Date.now() + DAY_MILLIS / 12),
    CloudWatchMetrics: z.array(Directive).min(1),
  }),
});

export interface EmbeddedMetrics {
  readonly namespace: string;
  /** Each metric with its value; a unit other than `Count` follows. */
  readonly values: Readonly<Record<string, string>>;
  /** One text for each set: `stage=blue,topic=events`. */
  readonly dimensions: readonly string[];
  readonly requestId: unknown;
}

/** Throws where the line is no valid document of the format. */
export function readEmbeddedMetrics(line: string): EmbeddedMetrics {
  if (Buffer.byteLength(line) > MAX_LINE_BYTES) throw new Error("the line is too long");
  const root = Root.parse(JSON.parse(line));
  const [directive, ...others] = root._aws.CloudWatchMetrics;
  if (directive === undefined || others.length > 0) throw new Error("not one directive");
  const values = directive.Metrics.map(({ Name, Unit }) => {
    const value = z.number().parse(root[Name], { error: () => `${Name} is no number` });
    return [Name, Unit === "Count" ? String(value) : `${value} ${Unit}`] as const;
  });
  const dimensions = directive.Dimensions.map((names) =>
    names.map((name) => `${name}=${z.string().min(1).max(1024).parse(root[name])}`).join(","),
  );
  return {
    namespace: directive.Namespace,
    values: Object.fromEntries(values),
    dimensions,
    requestId: root.requestId,
  };
}

export const isEmbeddedMetrics = (line: string): boolean => line.startsWith('{"_aws"');
