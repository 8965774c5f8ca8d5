/** Weeks of raw events: numbered from the one that holds 1970-01-01, each from Monday 00:00 UTC. */
const DAY_MICROS = 86_400_000_000;
const WEEK_MICROS = 7 * DAY_MICROS;
/** 1970-01-01 was a Thursday. */
const DAYS_SINCE_MONDAY = 3;

export function weekOf(timeMicros: number): number {
  return Math.floor((timeMicros + DAYS_SINCE_MONDAY * DAY_MICROS) / WEEK_MICROS);
}

/** The week's Monday as a date (`2026-11-16`). */
export function mondayOf(week: number): string {
  const micros = week * WEEK_MICROS - DAYS_SINCE_MONDAY * DAY_MICROS;
  return new Date(micros / 1000).toISOString().slice(0, 10);
}

/** The inverse of `mondayOf`, also of the name of a partition (`20261116`). */
export function weekOfMonday(digits: string): number {
  const [year, month, day] = [digits.slice(0, 4), digits.slice(4, 6), digits.slice(6, 8)];
  return weekOf(Date.UTC(Number(year), Number(month) - 1, Number(day)) * 1000);
}
