/**
 * Cuts the number line into bins whose ends are within e^0.02 of each other, so that one value of a
 * bin stands for all of it within 1 %.
 *
 * This is DDSketch's cubically interpolated mapping (Masson, Rim and Lee 2019, "DDSketch: a fast and
 * fully-mergeable quantile sketch with relative-error guarantees", and its reference code): within
 * an octave [2^e, 2^(e+1)) the logarithm is replaced by a cubic. With exactly 35 bins an octave its
 * coefficients are whole numbers, 6s³ - 21s² + 50s for the significand 1 + s, and the widest bins
 * (at s = 0 and s = 2/3) span a factor e^(1/50), hence an error of at most tanh(0.01) = 0.99997 %.
 * No logarithm means that the bin of a value, which is stored, is the same on every machine forever;
 * `Math.log` gives no such promise.
 *
 * Bins are numbered in the order of their values: 0 holds |v| < 1e-9, positive values have 1 to
 * `LAST_BIN`, and a negative value has minus the bin of its opposite.
 */
export function binOf(value: number): number {
  const size = Math.abs(value);
  if (size < LEAST) return 0;
  view.setFloat64(0, size);
  const octave = (view.getUint32(0) >>> 20) - FIRST_OCTAVE;
  const s = size * (toFirstOctave[octave] as number) - 1;
  // Just below an octave's end the rounded cubic may reach 35.
  const step = Math.min(Math.floor(cubic(s)), BINS_PER_OCTAVE - 1);
  const bin = octave * BINS_PER_OCTAVE + step + 1;
  return value < 0 ? -bin : bin;
}

/** The value that stands for a bin: within 1 % of every value in it. */
export function middleOf(bin: number): number {
  if (bin === 0) return 0;
  const index = Math.abs(bin) - 1;
  const octave = Math.floor(index / BINS_PER_OCTAVE);
  const size = (middles[index % BINS_PER_OCTAVE] as number) * 2 ** (octave + FIRST_OCTAVE - 1023);
  return bin < 0 ? -size : size;
}

/** Values nearer to 0 count as 0: there is no end to the octaves between them and 0. */
const LEAST = 1e-9;

const BINS_PER_OCTAVE = 35;

/** Biased exponent of 2^-30, the octave that holds `LEAST`. */
const FIRST_OCTAVE = 1023 - 30;

/** How many octaves there are from `LEAST` to the greatest double. */
const OCTAVES = 30 + 1024;

/** The bin of the greatest double. */
export const LAST_BIN = OCTAVES * BINS_PER_OCTAVE;

const view = new DataView(new ArrayBuffer(8));

/** For each octave the power of two that brings it to [1, 2). */
const toFirstOctave = Float64Array.from({ length: OCTAVES }, (_, octave) => 2 ** (30 - octave));

function cubic(s: number): number {
  return ((6 * s - 21) * s + 50) * s;
}

/**
 * For each bin of the octave [1, 2) the value with the same relative distance to both ends of it,
 * 2ab / (a + b).
 */
const middles: readonly number[] = Array.from({ length: BINS_PER_OCTAVE }, (_, step) => {
  const [low, high] = [1 + inverseCubic(step), 1 + inverseCubic(step + 1)];
  return (2 * low * high) / (low + high);
});

/** The `s` in [0, 1] at which the rising cubic has reached `step`, by bisection. */
function inverseCubic(step: number): number {
  let [low, high] = [0, 1];
  for (let halvings = 0; halvings < 60; halvings++) {
    const middle = (low + high) / 2;
    if (cubic(middle) < step) low = middle;
    else high = middle;
  }
  return high;
}
