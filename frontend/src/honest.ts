/** What is known now, of all that was told last. */
import type { Snapshot, Unit } from "./types";

/** What was told before somebody fell silent is not shown as if it were so now; a battery stays about as full as it was. */
export function honest(snapshot: Snapshot): Snapshot {
  if (snapshot.available) return { ...snapshot, units: snapshot.units.map((unit) => (unit.alive ? unit : silent(unit))) };
  const units = snapshot.units.map((unit) => ({ ...silent(unit), is_grid_master: false, is_voltage_reference: false }));
  return { ...snapshot, units, deals: [] };
}

function silent(unit: Unit): Unit {
  return { ...unit, alive: false, converter_mode: null, grid_voltage_v: null, grid_current_a: null, grid_power_w: null, solar_w: null, load_w: null, wish: null };
}
