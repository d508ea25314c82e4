/** Cards and a dashboard for communities of APIS; the integration loads this file itself. */
import { CommunityCard } from "./community-card";
import { DealsCard } from "./deals-card";
import { ScenarioCard } from "./scenario-card";
import { ApisStrategy } from "./strategy";
import { UnitCard } from "./unit-card";

declare global {
  interface Window {
    customCards?: Record<string, unknown>[];
    customStrategies?: Record<string, unknown>[];
  }
}

const CARDS = [
  { type: "apis-community-card", card: CommunityCard, name: "APIS community", description: "Who gives energy to whom: houses on one line, as it happens" },
  { type: "apis-unit-card", card: UnitCard, name: "APIS house", description: "One house: battery, converter, running deals, its day, and what may be set" },
  { type: "apis-deals-card", card: DealsCard, name: "APIS deals", description: "Every deal of some days, to look through and to take away" },
  { type: "apis-scenario-card", card: ScenarioCard, name: "APIS scenario", description: "What a house wants at each time of the day, tried before it is saved" },
];

window.customCards ??= [];
for (const { type, card, name, description } of CARDS) {
  if (customElements.get(type) === undefined) customElements.define(type, card);
  window.customCards.push({ type, name, description, preview: true });
}
if (customElements.get("ll-strategy-dashboard-apis") === undefined) {
  customElements.define("ll-strategy-dashboard-apis", class extends HTMLElement {
    static generate = ApisStrategy.generate;
    static shouldRegenerate = ApisStrategy.shouldRegenerate;
    static getCreateSuggestions = ApisStrategy.getCreateSuggestions;
  });
}
window.customStrategies ??= [];
window.customStrategies.push({ type: "apis", strategyType: "dashboard", name: "APIS", description: "A community: what happens now, every house, history and commissioning" });
