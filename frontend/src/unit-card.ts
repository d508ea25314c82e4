/** One house: its battery, its converter, its deals, its day, and what may be set. */
import { type TemplateResult, css, html, nothing } from "lit";
import { query, state } from "lit/decorators.js";
import { live } from "lit/directives/live.js";

import { ApisCard } from "./base";
import { formOf } from "./form";
import { numbered, watts } from "./locale";
import { progress } from "./deals";
import { shared } from "./styles";
import type { Deal, Unit } from "./types";
import type { Word } from "./words";

const MODES = ["follow", "heteronomous", "stop"];
const PRESETS: Word[] = ["balanced", "reserve", "generous", "self_use", "storm"];
const HAND: [string, Word][] = [
  ["wait", "wait"],
  ["voltage_reference", "voltage_reference_mode"],
  ["charge", "charge"],
  ["discharge", "discharge"],
];
const CONVERTER: Record<string, Word> = { WAIT: "wait", CHARGE: "charge", DISCHARGE: "discharge", VOLTAGE_REFERENCE: "voltage_reference_mode" };

interface Helpers {
  createCardElement(config: Record<string, unknown>): HTMLElement & { hass?: unknown };
}

declare global {
  interface Window {
    loadCardHelpers?: () => Promise<Helpers>;
  }
}

export class UnitCard extends ApisCard {
  static override styles = [
    shared,
    css`
      .figures {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(92px, 1fr));
        gap: 10px;
        margin: 12px 0;
      }
      .figures div {
        display: flex;
        flex-direction: column;
      }
      .figures b {
        font-weight: 500;
        font-size: 1.1rem;
        font-variant-numeric: tabular-nums;
      }
      .low > div {
        background: var(--apis-give);
      }
      .deal {
        margin: 8px 0;
      }
      .day {
        margin-top: 8px;
      }
      dialog .row {
        margin-top: 12px;
      }
    `,
  ];

  @state() private trouble = "";
  @state() private chart: (HTMLElement & { hass?: unknown }) | null = null;
  @query("dialog") private dialog?: HTMLDialogElement;
  private charted = "";

  static getConfigForm(): unknown {
    return formOf("entry_id", "unit_id", "title", "chart");
  }

  static getStubConfig(): Record<string, unknown> {
    return {};
  }

  getGridOptions(): Record<string, unknown> {
    return { columns: 6, min_columns: 4 };
  }

  protected override updated(): void {
    super.updated();
    void this.draw();
  }

  protected override passed(): void {
    if (this.chart !== null) this.chart.hass = this.hass;
  }

  override render(): TemplateResult {
    const unit = this.mine;
    return this.frame(unit?.name ?? this.say("unit"), () => (unit === undefined ? html`<p class="note soft">${this.say("not_known")}</p>` : this.body(unit)), this.roles(unit));
  }

  private get mine(): Unit | undefined {
    return this.config.unit_id === undefined ? this.snapshot?.units[0] : this.unit(this.config.unit_id);
  }

  private roles(unit: Unit | undefined): TemplateResult | typeof nothing {
    if (unit === undefined) return nothing;
    const said = [unit.is_grid_master ? this.say("grid_master") : "", unit.is_voltage_reference ? this.say("voltage_reference") : ""];
    return html`<span class="soft">${said.filter(Boolean).join(" · ")}</span>`;
  }

  private body(unit: Unit): TemplateResult {
    const pct = unit.state_of_charge_pct;
    const low = pct !== null && unit.request_below_pct !== null && pct < unit.request_below_pct;
    const deals = (this.snapshot?.deals ?? []).filter((deal) => deal.from === unit.unit_id || deal.to === unit.unit_id);
    const mode = unit.alive ? CONVERTER[unit.converter_mode ?? ""] : "away";
    const figure = (word: Word, value: string): TemplateResult => html`<div><span class="soft">${this.say(word)}</span><b>${value}</b></div>`;
    return html`<div class="figures">
        ${figure("battery", pct === null ? "–" : `${numbered(this.hass, pct, 1)} %`)} ${unit.solar_w === null ? nothing : figure("solar", watts(this.hass, unit.solar_w))}
        ${unit.load_w === null ? nothing : figure("load", watts(this.hass, unit.load_w))} ${figure("line", watts(this.hass, unit.grid_power_w === null ? null : Math.abs(unit.grid_power_w)))}
      </div>
      <div class="bar ${low ? "low" : ""}" role="progressbar" aria-label=${this.say("battery")} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(pct ?? 0)}>
        <div style="width:${pct ?? 0}%"></div>
      </div>
      <p class="note">${mode === undefined ? this.say("not_known") : this.say(mode)}${this.wishes(unit)}</p>
      ${this.snapshot?.available === false
        ? nothing
        : html`<h3>${this.say("running")}</h3>
            ${deals.length === 0 ? html`<p class="note soft">${this.say("none_running")}</p>` : deals.map((deal) => this.deal(deal, unit))}`}
      ${this.chart === null ? nothing : html`<h3>${this.say("today")}</h3><div class="day">${this.chart}</div>`} ${this.controls(unit)}`;
  }

  private wishes(unit: Unit): string {
    if (unit.wish === null) return "";
    return ` · ${this.say(unit.wish.direction === "charge" ? "asks" : "offers", { wh: unit.wish.amountWh })}`;
  }

  private deal(deal: Deal, unit: Unit): TemplateResult {
    const gives = deal.from === unit.unit_id;
    const { part, minutesLeft } = progress(deal, this.unit(deal.from)?.grid_voltage_v ?? null);
    const name = this.nameOf(gives ? deal.to : deal.from);
    const label = `${gives ? "→" : "←"} ${name}`;
    const left = minutesLeft === null ? this.named(deal.state) : this.say("left", { minutes: Math.ceil(minutesLeft) });
    return html`<div class="deal">
      <div class="head"><span>${label}</span><span class="soft">${deal.exchanged_wh.toFixed(0)} / ${deal.amount_wh} Wh · ${left}</span></div>
      <div class="bar" role="progressbar" aria-label=${label} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(part * 100)}><div style="width:${part * 100}%"></div></div>
    </div>`;
  }

  private controls(unit: Unit): TemplateResult {
    const entities = this.things?.units[unit.unit_id]?.entities ?? {};
    const own = unit.local_mode ?? "follow";
    const options = (list: string[], chosen: string): TemplateResult[] => list.map((each) => html`<option value=${each} ?selected=${each === chosen}>${this.named(each)}</option>`);
    return html`<div class="row note">
        <label>${this.say("own_mode")}
          <select .value=${live(own)} ?disabled=${!unit.alive} @change=${(event: Event) => this.set(entities.unit_mode, event)}>${options(MODES, own)}</select>
        </label>
        <label>${this.say("preset")}
          <select .value=${live(unit.preset ?? "custom")} ?disabled=${!unit.alive} @change=${(event: Event) => this.set(entities.scenario_preset, event)}>
            ${unit.preset === null ? html`<option value="custom" selected disabled>${this.say("custom")}</option>` : nothing} ${options(PRESETS, unit.preset ?? "")}
          </select>
        </label>
        ${this.isAdmin ? html`<button @click=${() => this.dialog?.showModal()}>${this.say("by_hand")}</button>` : nothing}
      </div>
      ${this.trouble === "" ? nothing : html`<p class="note bad" role="alert">${this.trouble}</p>`} ${this.isAdmin ? this.hand(unit) : nothing}`;
  }

  private hand(unit: Unit): TemplateResult {
    const manual = this.snapshot?.mode === "manual";
    return html`<dialog aria-label=${`${this.say("by_hand")}: ${unit.name}`}>
      <h2>${this.say("by_hand")}: ${unit.name}</h2>
      <p class=${manual ? "bad" : "soft"}>${this.say(manual ? "by_hand_warning" : "by_hand_only")}</p>
      <form method="dialog" @submit=${(event: SubmitEvent) => this.command(event, unit)}>
        <div class="row">
          <label>${this.say("action")}
            <select name="mode" ?disabled=${!manual}>${HAND.map(([value, word]) => html`<option value=${value}>${this.say(word)}</option>`)}</select>
          </label>
          <label>${this.say("current")} (A)<input name="current" type="number" min="0" max="10" step="0.1" ?disabled=${!manual} /></label>
          <label>${this.say("voltage")} (V)<input name="voltage" type="number" min="0" max="425" step="1" ?disabled=${!manual} /></label>
          <label>${this.say("minutes")} (min)<input name="minutes" type="number" min="1" max="60" value="5" ?disabled=${!manual} /></label>
        </div>
        <div class="row">
          <button value="send" class="main" ?disabled=${!manual}>${this.say("send")}</button>
          <button value="cancel" formnovalidate>${this.say("close")}</button>
        </div>
      </form>
    </dialog>`;
  }

  private async set(entityId: string | undefined, event: Event): Promise<void> {
    await this.attempt(() => this.choose(entityId, (event.target as HTMLSelectElement).value));
    // What was refused is not shown as if it were so.
    this.requestUpdate("trouble", null);
  }

  private async command(event: SubmitEvent, unit: Unit): Promise<void> {
    if ((event.submitter as HTMLButtonElement).value !== "send") return;
    const form = new FormData(event.target as HTMLFormElement);
    const number = (name: string): number | undefined => (form.get(name) ? Number(form.get(name)) : undefined);
    const data = { device_id: this.things?.units[unit.unit_id]?.device_id, mode: form.get("mode"), current_a: number("current"), voltage_v: number("voltage"), duration: { minutes: number("minutes") ?? 5 } };
    const said = Object.fromEntries(Object.entries(data).filter(([, value]) => value !== undefined));
    await this.attempt(() => this.hass?.callService("apis", "control_converter", said));
  }

  private async attempt(work: () => Promise<unknown> | undefined): Promise<void> {
    try {
      this.trouble = "";
      await work();
    } catch (error) {
      this.trouble = error instanceof Error ? error.message : String((error as { message?: string }).message ?? error);
    }
  }

  /** The day as Home Assistant's own chart. */
  private async draw(): Promise<void> {
    const unit = this.mine;
    const entities = this.things?.units[unit?.unit_id ?? ""]?.entities;
    if (unit === undefined || entities === undefined || this.charted === unit.unit_id || this.config.chart === false || window.loadCardHelpers === undefined) return;
    this.charted = unit.unit_id;
    if (entities.state_of_charge === undefined) return;
    const helpers = await window.loadCardHelpers();
    this.chart = helpers.createCardElement({ type: "history-graph", hours_to_show: 24, entities: [{ entity: entities.state_of_charge, name: this.say("battery") }] });
  }
}
