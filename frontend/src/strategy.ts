/** A whole dashboard for a community: what happens, every house, its history, and what a commissioning needs. */
import { communities, linkOf, meant } from "./link";
import type { AllThings, CardConfig, Hass, Snapshot } from "./types";
import { type Word, say } from "./words";

interface Config {
  entry_id?: string;
}

type View = Record<string, unknown>;

// With more houses on a page their days are not drawn one by one: the history has all of them.
const MANY = 20;

export class ApisStrategy {
  static async generate(config: Config, hass: Hass): Promise<Record<string, unknown>> {
    ApisStrategy.waits = true;
    // One that does not answer now is shown as that: the card says so, and goes on once it does.
    const alone = { views: [{ title: "APIS", cards: [{ type: "custom:apis-community-card", ...(config.entry_id === undefined ? {} : { entry_id: config.entry_id }) }] }] };
    try {
      const entry = meant(await communities(hass, true), config.entry_id);
      if (entry === undefined || !entry.loaded) return alone;
      const snapshot = await first(hass, entry.entry_id);
      const things = await hass.callWS<AllThings>({ type: "apis/entities", entry_id: entry.entry_id });
      ApisStrategy.waits = snapshot === null;
      return { title: entry.title, views: views(hass, entry.entry_id, snapshot, things) };
    } catch {
      return alone;
    }
  }

  // There was nothing to show yet.
  private static waits = false;

  /** Only when other units are there, or the first ones: whoever edits a scenario keeps what is not saved yet. */
  static shouldRegenerate(_config: Config, before: Hass, now: Hass): boolean {
    const ours = (hass: Hass): string[] => Object.entries(hass.entities ?? {}).flatMap(([id, entity]) => (entity.platform === "apis" ? [id] : []));
    const there = (hass: Hass): number => ours(hass).filter((id) => (hass.states[id]?.state ?? "unavailable") !== "unavailable").length;
    return ours(before).length !== ours(now).length || (ApisStrategy.waits && there(now) > there(before));
  }

  static getCreateSuggestions(): unknown {
    return { title: "APIS", icon: "mdi:home-battery" };
  }
}

function first(hass: Hass, entryId: string): Promise<Snapshot | null> {
  return new Promise((done) => {
    const end = linkOf(hass, entryId).listen((snapshot) => {
      if (snapshot !== null) done(snapshot);
    });
    setTimeout(() => done(null), 5000);
    // The page that comes next listens itself; until then the subscription is kept.
    setTimeout(() => end(), 7000);
  });
}

/** A row without the house's name, which stands above it. */
function row(hass: Hass, house: string, entity: string | undefined): unknown[] {
  if (entity === undefined) return [];
  const whole = String(hass.states[entity]?.attributes.friendly_name ?? entity);
  return [{ entity, name: whole.replace(house, "").replace(/^[\s▸]+/, "") || whole }];
}

function views(hass: Hass, entryId: string, snapshot: Snapshot | null, things: AllThings): View[] {
  const word = (key: Word): string => say(hass.language, key);
  const units = snapshot?.units ?? [];
  const card = (kind: string, more: Partial<CardConfig> = {}): CardConfig => ({ type: `custom:apis-${kind}-card`, entry_id: entryId, ...more });
  const grid = (...cards: unknown[]): unknown => ({ type: "grid", cards });
  const wide = (...cards: unknown[]): unknown => ({ type: "grid", column_span: 2, cards });
  const own = things.entities;
  const tile = (entity: string | undefined, name: Word, more: Record<string, unknown> = {}): unknown[] => (entity === undefined ? [] : [{ type: "tile", entity, name: word(name), ...more }]);
  const tiles = [
    ...tile(own.community_mode, "mode", { features: [{ type: "select-options" }], grid_options: { columns: "full" } }),
    ...tile(own.energy_shared_today, "shared_today"),
    ...tile(own.self_sufficiency, "self_sufficiency"),
    ...tile(own.stop_all, "stop_all", { hide_state: true, tap_action: { action: "more-info" }, icon_tap_action: { action: "more-info" }, grid_options: { columns: "full" } }),
  ];
  // By the house's name: with that of a device and of a figure besides, a phone has room for one house only.
  const of = (key: string): unknown[] => units.map((unit) => ({ entity: things.units[unit.unit_id]?.entities[key], name: unit.name })).filter(({ entity }) => entity !== undefined);
  const graph = (title: string, key: string): unknown[] => (of(key).length === 0 ? [] : [{ type: "history-graph", title, hours_to_show: 24, entities: of(key), grid_options: { columns: "full" } }]);
  const found: View[] = [
    {
      title: word("overview"),
      path: "overview",
      icon: "mdi:home-group",
      type: "sections",
      max_columns: 3,
      sections: [wide({ ...card("community"), grid_options: { columns: "full" } }), grid(...tiles), wide({ ...card("deals"), grid_options: { columns: "full" } })],
    },
    { title: word("houses"), path: "houses", icon: "mdi:home-battery", type: "sections", max_columns: 3, sections: units.map((unit) => grid({ ...card("unit", { unit_id: unit.unit_id, ...(units.length > MANY ? { chart: false } : {}) }), grid_options: { columns: "full" } })) },
    { title: word("scenario"), path: "scenario", icon: "mdi:script-text", type: "sections", max_columns: 2, sections: [wide({ ...card("scenario"), grid_options: { columns: "full" } })] },
    {
      title: word("history"),
      path: "history",
      icon: "mdi:chart-line",
      type: "sections",
      max_columns: 1,
      sections: [grid(...graph(word("battery"), "state_of_charge"), ...graph(word("line"), "grid_power"))],
    },
  ];
  if (snapshot?.isAdmin === true) {
    const rows = ["converter_mode", "grid_voltage", "grid_current", "exchange_permitted", "alarm", "connectivity", "last_error"];
    const check = units.map((unit) => ({ type: "entities", title: unit.name, entities: rows.flatMap((key) => row(hass, unit.name, things.units[unit.unit_id]?.entities[key])) }));
    found.push({ title: word("commissioning"), path: "commissioning", icon: "mdi:tools", type: "sections", max_columns: 3, sections: check.map((each) => grid({ ...each, grid_options: { columns: "full" } })) });
  }
  return found;
}
