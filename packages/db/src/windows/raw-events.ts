/** Raw events as far as a window's state needs them. */
import type { WindowState } from "@headrace/windows";

export interface RawEvent extends Record<string, unknown> {
  readonly user_id: string;
  readonly value: number | null;
  readonly amount_cents: number | null;
  readonly duration: number | null;
  readonly late_class: 0 | 1 | 2 | 3 | 4;
}

/** Of stream_events. */
export const RAW_EVENT_COLUMNS = "user_id, value, amount_cents, duration, late_class";

export function addRawEvent(state: WindowState, row: RawEvent): void {
  state.add({
    userId: row.user_id,
    value: row.value,
    amountCents: row.amount_cents,
    durationSeconds: row.duration,
    lateClass: row.late_class,
  });
}
