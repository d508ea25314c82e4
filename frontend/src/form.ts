/** The forms in which Home Assistant lets somebody edit a card's options. */
import { knownUnits } from "./link";
import { type Word, say } from "./words";

const FIELDS: Record<string, { word: Word; selector: () => unknown; default?: unknown }> = {
  entry_id: { word: "community", selector: () => ({ config_entry: { integration: "apis" } }) },
  unit_id: { word: "unit", selector: () => ({ select: { mode: "dropdown", custom_value: true, options: knownUnits() } }) },
  title: { word: "title", selector: () => ({ text: {} }) },
  chart: { word: "draw_chart", selector: () => ({ boolean: {} }), default: true },
};

/** A form with some of the fields. */
export function formOf(...names: string[]): unknown {
  const labels = new Map(names.map((name) => [name, FIELDS[name]?.word ?? "title"] as const));
  return {
    schema: names.map((name) => ({ name, selector: FIELDS[name]?.selector(), ...(FIELDS[name]?.default === undefined ? {} : { default: FIELDS[name]?.default }) })),
    computeLabel: ({ name }: { name: string }) => say(document.documentElement.lang, labels.get(name) ?? "title"),
  };
}
