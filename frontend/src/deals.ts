/** What deals come to: how far they are, which of them somebody looks for, and as a table to take away. */
import type { Deal } from "./types";

const LINE_V = 350;

/** How far a deal is, 0 to 1, and how many minutes it still takes at its current. */
export function progress(deal: Deal, voltageV: number | null): { part: number; minutesLeft: number | null } {
  const part = deal.amount_wh > 0 ? Math.max(0, Math.min(1, deal.exchanged_wh / deal.amount_wh)) : 0;
  const powerW = deal.current_a * (voltageV !== null && voltageV > 50 ? voltageV : LINE_V);
  if (deal.state !== "started" || powerW <= 0) return { part, minutesLeft: null };
  return { part, minutesLeft: (Math.max(0, deal.amount_wh - deal.exchanged_wh) / powerW) * 60 };
}

export function wanted(deals: Deal[], unitId: string, state: string): Deal[] {
  return deals.filter((deal) => (unitId === "" || deal.from === unitId || deal.to === unitId) && (state === "" || deal.state === state));
}

const COLUMNS: (keyof Deal)[] = ["deal_id", "created", "started", "ended", "from", "to", "state", "amount_wh", "exchanged_wh", "current_a", "point_per_wh", "reason"];

/** A table with a head, as RFC 4180 has it; a text that a spreadsheet would take for a formula is marked as text. */
export function csv(deals: Deal[]): string {
  const cell = (value: unknown): string => {
    let text = value === null || value === undefined ? "" : String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [COLUMNS.join(","), ...deals.map((deal) => COLUMNS.map((column) => cell(deal[column])).join(","))].join("\r\n") + "\r\n";
}

/** Offer a file to whoever looks at the page. */
export function offer(name: string, type: string, content: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
