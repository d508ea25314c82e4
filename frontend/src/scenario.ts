/** A scenario as an editor sees it: parts of the day, each with statuses of the battery from empty to full. The file is the integration's. */
import type { Band, Condition, ScenarioFile, Wants } from "./types";

export type Direction = "charge" | "discharge";
export type Side = "request" | "accept";

export interface Wish {
  limitWh: number;
  pointPerWh: number | null;
  pairUnitId: string | null;
}

export interface Status {
  name: string;
  /** Where it begins [Wh]; the first one at nothing. */
  fromWh: number;
  request: Partial<Record<Direction, Wish>>;
  accept: Partial<Record<Direction, Wish>>;
}

export interface Part {
  /** Minutes of the day; the end may be 1440. A part whose end is not after its start goes over midnight. */
  startS: number;
  endS: number;
  strategy: string;
  statuses: Status[];
}

export interface Scenario {
  rest: Record<string, unknown>;
  parts: Part[];
}

export const DAY_S = 86_400;

export function clock(seconds: number): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

export function seconds(text: string): number {
  const [hours = 0, minutes = 0, rest = 0] = text.split(":").map(Number);
  return hours * 3600 + minutes * 60 + rest;
}

export function read(file: ScenarioFile): Scenario {
  const rest: Record<string, unknown> = {};
  const parts: Part[] = [];
  const usual = (file.acceptSelection as { strategy?: string } | undefined)?.strategy ?? "amount";
  for (const [key, value] of Object.entries(file)) {
    if (!key.includes("-")) {
      rest[key] = value;
      continue;
    }
    const band = value as Band;
    const [start = "", end = ""] = key.split("-");
    const statuses = Object.entries(band.batteryStatus ?? {})
      .map(([range, name]) => ({ name, fromWh: Number(range.split("-")[0] || 0), request: wishes(band.request, name), accept: wishes(band.accept, name) }))
      .sort((a, b) => a.fromWh - b.fromWh);
    parts.push({ startS: seconds(start), endS: seconds(end), strategy: band.acceptSelection?.strategy ?? usual, statuses });
  }
  parts.sort((a, b) => a.startS - b.startS);
  return { rest, parts };
}

function wishes(wants: Wants | undefined, status: string): Partial<Record<Direction, Wish>> {
  const found: Partial<Record<Direction, Wish>> = {};
  for (const [direction, condition] of Object.entries(wants?.[status] ?? {})) {
    found[direction as Direction] = { limitWh: condition.limitWh, pointPerWh: condition.pointPerWh ?? null, pairUnitId: condition.pairUnitId ?? null };
  }
  return found;
}

export function write(scenario: Scenario): ScenarioFile {
  const file: ScenarioFile = { ...scenario.rest };
  for (const part of scenario.parts) {
    const batteryStatus: Record<string, string> = {};
    part.statuses.forEach((status, i) => {
      const next = part.statuses[i + 1];
      batteryStatus[`${i === 0 ? "" : status.fromWh}-${next === undefined ? "" : next.fromWh}`] = status.name;
    });
    const side = (which: Side): Wants => Object.fromEntries(part.statuses.filter((status) => Object.keys(status[which]).length > 0).map((status) => [status.name, conditions(status[which])]));
    file[`${clock(part.startS)}-${clock(part.endS)}`] = { acceptSelection: { strategy: part.strategy }, batteryStatus, request: side("request"), accept: side("accept") };
  }
  return file;
}

function conditions(side: Partial<Record<Direction, Wish>>): Partial<Record<Direction, Condition>> {
  const found: Partial<Record<Direction, Condition>> = {};
  for (const [direction, wish] of Object.entries(side)) {
    const condition: Condition = { limitWh: Math.round(wish.limitWh) };
    if (wish.pointPerWh !== null) condition.pointPerWh = wish.pointPerWh;
    if (wish.pairUnitId !== null) condition.pairUnitId = wish.pairUnitId;
    found[direction as Direction] = condition;
  }
  return found;
}

/** The same with one part, status or wish changed; what is edited is never changed in place. */
export function withPart(scenario: Scenario, index: number, change: Partial<Part>): Scenario {
  return { ...scenario, parts: scenario.parts.map((part, i) => (i === index ? { ...part, ...change } : part)) };
}

export function withStatus(scenario: Scenario, index: number, status: number, change: Partial<Status>): Scenario {
  const statuses = scenario.parts[index]?.statuses.map((each, i) => (i === status ? { ...each, ...change } : each)) ?? [];
  return withPart(scenario, index, { statuses });
}

export function withWish(scenario: Scenario, index: number, status: number, side: Side, direction: Direction, wish: Wish | null): Scenario {
  const statuses = scenario.parts[index]?.statuses ?? [];
  const before = statuses[status]?.[side] ?? {};
  const after = { ...before };
  if (wish === null) delete after[direction];
  else after[direction] = wish;
  // A file has one wish for a status, however many of its bands have that name.
  const name = statuses[status]?.name;
  return withPart(scenario, index, { statuses: statuses.map((each) => (each.name === name ? { ...each, [side]: after } : each)) });
}

/** A boundary between two statuses moved; it never passes its neighbours. */
export function withBoundary(scenario: Scenario, index: number, status: number, wh: number, capacityWh: number): Scenario {
  const statuses = scenario.parts[index]?.statuses ?? [];
  const low = (statuses[status - 1]?.fromWh ?? 0) + 1;
  const high = (statuses[status + 1]?.fromWh ?? capacityWh) - 1;
  return withStatus(scenario, index, status, { fromWh: Math.round(Math.min(high, Math.max(low, wh))) });
}

/** One more part of the day: the longest one is cut in the middle, and the new part wants the same. */
export function withMore(scenario: Scenario): Scenario {
  const length = (part: Part): number => (part.endS > part.startS ? part.endS - part.startS : DAY_S - part.startS + part.endS);
  const index = scenario.parts.reduce((best, part, i) => (length(part) > length(scenario.parts[best] ?? part) ? i : best), 0);
  const part = scenario.parts[index];
  if (part === undefined) return scenario;
  const middle = (part.startS + Math.round(length(part) / 2 / 900) * 900) % DAY_S;
  const halves = [{ ...part, endS: middle === 0 ? DAY_S : middle }, { ...structuredClone(part), startS: middle }];
  const parts = [...scenario.parts.slice(0, index), ...halves, ...scenario.parts.slice(index + 1)];
  return { ...scenario, parts: parts.sort((a, b) => a.startS - b.startS) };
}

/** One part less: the one before it goes on in its place. */
export function withoutPart(scenario: Scenario, index: number): Scenario {
  if (scenario.parts.length < 2) return scenario;
  const gone = scenario.parts[index];
  const before = (index + scenario.parts.length - 1) % scenario.parts.length;
  const parts = scenario.parts.map((part, i) => (i === before && gone !== undefined ? { ...part, endS: gone.endS } : part)).filter((_, i) => i !== index);
  if (parts.length === 1 && parts[0] !== undefined) parts[0] = { ...parts[0], startS: 0, endS: DAY_S };
  return { ...scenario, parts };
}
