/** Times and numbers as the user's profile wants them. */
import type { Hass } from "./types";

type Who = Pick<Hass, "language" | "locale" | "config"> | undefined;

const NUMBERS: Record<string, string | undefined> = { comma_decimal: "en-US", decimal_comma: "de", space_comma: "fr", quote_decimal: "de-CH", none: "en-US", system: undefined };

/** The time zone of what is shown: Home Assistant's own, or the browser's. */
function zone(hass: Who): string | undefined {
  return hass?.locale?.time_zone === "server" ? hass.config?.time_zone : undefined;
}

export function moment(hass: Who, time: string | Date, parts: Intl.DateTimeFormatOptions): string {
  const format = hass?.locale?.time_format;
  const cycle = format === "12" ? "h12" : format === "24" ? "h23" : undefined;
  const language = format === "system" ? undefined : hass?.language;
  return new Intl.DateTimeFormat(language, { ...parts, timeZone: zone(hass), ...(cycle === undefined ? {} : { hourCycle: cycle }) }).format(new Date(time));
}

export function numbered(hass: Who, value: number, digits = 0): string {
  const format = hass?.locale?.number_format ?? "language";
  const language = format in NUMBERS ? NUMBERS[format] : hass?.language;
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: format !== "none" });
}

/** A power in words. */
export function watts(hass: Who, value: number | null): string {
  return value === null ? "–" : `${numbered(hass, Math.round(value))} W`;
}

/** The day that it is then, as a date field has it. */
export function dayOf(hass: Who, time: string | Date): string {
  return dated(new Date(time), zone(hass));
}

/** When a day begins; `later`: so many days after it. */
export function begin(hass: Who, day: string, later = 0): Date {
  const wanted = new Date(`${day}T00:00:00Z`);
  wanted.setUTCDate(wanted.getUTCDate() + later);
  let found = wanted.getTime();
  // Twice: the first guess may lie on the other side of a change to or from daylight-saving time.
  for (let i = 0; i < 2; i++) found += wanted.getTime() - wall(new Date(found), zone(hass));
  return new Date(found);
}

function dated(date: Date, timeZone: string | undefined): string {
  return new Intl.DateTimeFormat("en-CA", { timeZone, year: "numeric", month: "2-digit", day: "2-digit" }).format(date);
}

/** What clocks there show, as if it were UTC [ms]. */
function wall(date: Date, timeZone: string | undefined): number {
  const time = new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(date);
  return Date.parse(`${dated(date, timeZone)}T${time}Z`);
}
