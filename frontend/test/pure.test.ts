import { describe, expect, it } from "vitest";

import { csv, progress, wanted } from "../src/deals";
import { cut, partOf, placed, plan, stream, streamWidth, textWidth } from "../src/layout";
import { honest } from "../src/honest";
import { begin, dayOf, moment, numbered, watts } from "../src/locale";
import { DAY_S, clock, read, seconds, withBoundary, withMore, withWish, withoutPart, write } from "../src/scenario";
import type { Deal, Snapshot, Unit } from "../src/types";
import { LANGUAGES, say } from "../src/words";

const FILE = {
  refreshingPeriodMsec: 5000,
  acceptSelection: { strategy: "pointAndAmount" },
  "00:00:00-24:00:00": {
    acceptSelection: { strategy: "pointAndAmount" },
    batteryStatus: { "-1920": "short", "1920-3840": "sufficient", "3840-": "excess" },
    request: { excess: { discharge: { limitWh: 3840, pointPerWh: 10 } }, short: { charge: { limitWh: 1920, pointPerWh: 12 } } },
    accept: { short: { charge: { limitWh: 2880, pairUnitId: "E002" } } },
  },
};

function aDeal(change: Partial<Deal> = {}): Deal {
  return {
    deal_id: "d1", from: "E001", to: "E002", amount_wh: 100, exchanged_wh: 25, current_a: 2, point_per_wh: 10, state: "started", reason: null,
    created: "2026-11-20T12:00:00+00:00", started: "2026-11-20T12:00:05+00:00", ended: null, ...change,
  };
}

describe("times and numbers", () => {
  const tokyo = { language: "en", locale: { number_format: "decimal_comma", time_format: "24", time_zone: "server" }, config: { time_zone: "Asia/Tokyo" } };

  it("are the profile's", () => {
    expect(moment(tokyo, "2026-11-22T20:46:00Z", { hour: "2-digit", minute: "2-digit" })).toBe("05:46");
    expect(moment({ ...tokyo, locale: { ...tokyo.locale, time_format: "12" } }, "2026-11-22T20:46:00Z", { hour: "2-digit", minute: "2-digit" })).toMatch(/^05:46\sAM$/);
    expect(dayOf(tokyo, "2026-11-22T20:46:00Z")).toBe("2026-11-23");
    expect(watts(tokyo, -2100.4)).toBe("-2.100 W");
    expect(watts(tokyo, null)).toBe("–");
    expect(numbered({ ...tokyo, locale: { number_format: "none" } }, 2100.44, 1)).toBe("2100.4");
  });

  it("a day begins where Home Assistant is, also when clocks are changed", () => {
    expect(begin(tokyo, "2026-11-23").toISOString()).toBe("2026-11-22T15:00:00.000Z");
    expect(begin(tokyo, "2026-11-30", 1).toISOString()).toBe("2026-11-30T15:00:00.000Z");
    const berlin = { language: "de", locale: { time_zone: "server" }, config: { time_zone: "Europe/Berlin" } };
    expect([0, 1].map((later) => begin(berlin, "2026-10-25", later).toISOString())).toEqual(["2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z"]);
    expect([0, 1].map((later) => begin(berlin, "2026-03-29", later).toISOString())).toEqual(["2026-03-28T23:00:00.000Z", "2026-03-29T22:00:00.000Z"]);
  });
});

describe("names of houses", () => {
  it("are cut where there is no room, Japanese ones too", () => {
    expect(cut("Mill", 90)).toBe("Mill");
    for (const name of ["The Old Water Mill by the River", "金城・島袋・宮城二世帯住宅"]) {
      const shown = cut(name, 90);
      expect(shown.endsWith("…")).toBe(true);
      expect(textWidth(shown)).toBeLessThanOrEqual(90);
      expect(shown.length).toBeGreaterThan(4);
    }
  });

  it("have room below each house on a phone", () => {
    for (const count of [2, 4, 6, 7, 8, 12, 19]) {
      const found = plan(count, 358);
      for (const [i, point] of found.points.entries()) {
        for (const other of found.points.slice(i + 1)) {
          // A name lies below its house, within its cell.
          const beside = Math.abs(point.x - other.x) >= Math.min(found.cell, found.size * 1.5) - 4;
          expect(beside || Math.abs(point.y - other.y) >= found.size * 0.8).toBe(true);
        }
      }
    }
  });
});

describe("places of houses", () => {
  it.each([1, 2, 3, 4, 8, 12, 13, 19, 40, 100])("%i houses lie within the picture and not on each other", (count) => {
    for (const width of [320, 480, 900]) {
      const found = plan(count, width);
      expect(found.points).toHaveLength(count);
      for (const [i, point] of found.points.entries()) {
        expect(point.x - found.size / 2).toBeGreaterThanOrEqual(-1);
        expect(point.x + found.size / 2).toBeLessThanOrEqual(found.width + 1);
        expect(point.y - found.size / 2).toBeGreaterThanOrEqual(-1);
        expect(point.y + found.size / 2).toBeLessThanOrEqual(found.height + 1);
        for (const other of found.points.slice(i + 1)) expect(Math.hypot(point.x - other.x, point.y - other.y)).toBeGreaterThan(found.size * 0.95);
      }
    }
  });

  it("keeps what somebody chose, on any screen", () => {
    const large = plan(3, 900);
    const chosen = { E002: partOf(large, { x: 90, y: 9999 }) };
    const small = placed(plan(3, 320), ["E001", "E002", "E003"], chosen);
    expect(small.points[1]?.x).toBeCloseTo(32, 5);
    expect(small.points[1]!.y).toBeLessThan(small.height);
    expect(small.points[0]).toEqual(plan(3, 320).points[0]);
  });

  it("makes streams as wide as their power, and never hides one below another", () => {
    expect(streamWidth(2, 350)).toBeLessThan(streamWidth(4, 350));
    expect(streamWidth(500, 350)).toBe(10);
    expect(streamWidth(2, null)).toBe(streamWidth(2, 350));
    const base = plan(4, 480);
    const [a, b] = [base.points[0]!, base.points[2]!];
    expect(stream(a, b, base, 0)).not.toBe(stream(a, b, base, 1));
    expect(stream(a, b, base, 0)).not.toBe(stream(b, a, base, 0));
  });
});

describe("deals", () => {
  it("tells how far a deal is", () => {
    expect(progress(aDeal(), 350)).toEqual({ part: 0.25, minutesLeft: (75 / 700) * 60 });
    expect(progress(aDeal({ state: "created", exchanged_wh: 0 }), 350).minutesLeft).toBeNull();
    expect(progress(aDeal({ exchanged_wh: 101 }), 350)).toEqual({ part: 1, minutesLeft: 0 });
  });

  it("finds those of a house in a state", () => {
    const deals = [aDeal(), aDeal({ deal_id: "d2", from: "E003", state: "completed" })];
    expect(wanted(deals, "E003", "").map((deal) => deal.deal_id)).toEqual(["d2"]);
    expect(wanted(deals, "", "started").map((deal) => deal.deal_id)).toEqual(["d1"]);
    expect(wanted(deals, "E002", "")).toHaveLength(2);
  });

  it("writes a table that a spreadsheet takes for text, not for formulas", () => {
    const text = csv([aDeal({ state: "aborted", reason: 'stopped by "Ann", at once' }), aDeal({ reason: "=HYPERLINK(1)" })]);
    expect(text.split("\r\n")).toHaveLength(4);
    expect(text).toContain('"stopped by ""Ann"", at once"');
    expect(text).toContain("'=HYPERLINK(1)");
  });
});

describe("a scenario", () => {
  it("is written as it was read", () => {
    expect(write(read(FILE))).toEqual(FILE);
  });

  it("has boundaries that never pass each other", () => {
    const scenario = read(FILE);
    expect(withBoundary(scenario, 0, 1, 5000, 4800).parts[0]?.statuses[1]?.fromWh).toBe(3839);
    expect(withBoundary(scenario, 0, 2, -5, 4800).parts[0]?.statuses[2]?.fromWh).toBe(1921);
    expect(scenario.parts[0]?.statuses[1]?.fromWh).toBe(1920);
  });

  it("takes wishes and lets them go", () => {
    const more = withWish(read(FILE), 0, 1, "accept", "discharge", { limitWh: 2000.4, pointPerWh: null, pairUnitId: null });
    const band = write(more)["00:00:00-24:00:00"] as { accept: unknown };
    expect(band.accept).toEqual({ short: { charge: { limitWh: 2880, pairUnitId: "E002" } }, sufficient: { discharge: { limitWh: 2000 } } });
    expect(write(withWish(more, 0, 1, "accept", "discharge", null))).toEqual(FILE);
    // A status that comes twice has one wish: what is changed at either is what is written.
    const twice = read({ "00:00:00-24:00:00": { batteryStatus: { "-1000": "low", "1000-3000": "mid", "3000-": "low" }, request: {}, accept: {} } });
    const wish = { limitWh: 500, pointPerWh: null, pairUnitId: null };
    for (const at of [0, 2]) expect(write(withWish(twice, 0, at, "request", "charge", wish))["00:00:00-24:00:00"]).toMatchObject({ request: { low: { charge: { limitWh: 500 } } } });
  });

  it("covers the whole day however often it is cut and joined", () => {
    let scenario = read(FILE);
    for (let cuts = 0; cuts < 5; cuts += 1) {
      scenario = withMore(scenario);
      const ends = scenario.parts.map((part) => part.endS % DAY_S);
      const starts = scenario.parts.map((part) => part.startS);
      expect([...ends].sort()).toEqual([...starts].sort());
    }
    expect(scenario.parts).toHaveLength(6);
    while (scenario.parts.length > 1) scenario = withoutPart(scenario, scenario.parts.length - 1);
    expect(Object.keys(write(scenario))).toContain("00:00:00-24:00:00");
    expect(withoutPart(scenario, 0)).toBe(scenario);
  });

  it("tells times as files do", () => {
    expect(clock(seconds("06:30"))).toBe("06:30:00");
    expect(clock(DAY_S)).toBe("24:00:00");
  });
});

describe("what is shown of who fell silent", () => {
  const unit = { unit_id: "E001", name: "House 1", alive: true, state_of_charge_pct: 62, converter_mode: "CHARGE", grid_power_w: 700, solar_w: 850, is_grid_master: true, wish: { direction: "charge", amountWh: 5 } } as Unit;
  const now = { available: true, units: [unit, { ...unit, unit_id: "E002", alive: false }], deals: [aDeal()] } as unknown as Snapshot;

  it("is no power, no wish and no deal, but how full its battery was", () => {
    const shown = honest(now);
    expect(shown.deals).toHaveLength(1);
    expect(shown.units[0]).toEqual(unit);
    expect(shown.units[1]).toMatchObject({ state_of_charge_pct: 62, grid_power_w: null, solar_w: null, converter_mode: null, wish: null });
    const gone = honest({ ...now, available: false });
    expect(gone.deals).toEqual([]);
    expect(gone.units[0]).toMatchObject({ alive: false, state_of_charge_pct: 62, grid_power_w: null, is_grid_master: false });
  });
});

describe("words", () => {
  it("are the same in every language, with the same places for values", () => {
    const places = (text: string): string[] => (text.match(/\{\w+\}/g) ?? []).sort();
    for (const words of Object.values(LANGUAGES)) {
      expect(Object.keys(words).sort()).toEqual(Object.keys(LANGUAGES.en).sort());
      for (const [key, text] of Object.entries(words)) {
        expect(places(text), key).toEqual(places(LANGUAGES.en[key as keyof typeof LANGUAGES.en]));
        expect(text.trim(), key).toBe(text);
      }
    }
  });

  it("are English where there is no translation", () => {
    expect(say("de", "asks", { wh: 180 })).toBe("asks for 180 Wh");
    expect(say("ja-JP", "wait")).toBe("待機中");
    expect(say("ja", "up_to", { wish: say("ja", "request_charge"), wh: 1920 })).toBe("充電を求める（上限 1920 Wh）");
  });
});
