/** Every deal of some days, with its whole life. */
import { type TemplateResult, css, html, nothing } from "lit";
import { query, state } from "lit/decorators.js";

import { ApisCard } from "./base";
import { csv, offer, wanted } from "./deals";
import { formOf } from "./form";
import { begin, dayOf, moment, numbered } from "./locale";
import { shared } from "./styles";
import type { Deal } from "./types";

const STATES = ["created", "started", "completed", "aborted"];
const DAY_MS = 86_400_000;
const SHOWN = 200;

export class DealsCard extends ApisCard {
  static override styles = [
    shared,
    css`
      .table {
        overflow: auto;
        max-height: 460px;
        margin-top: 12px;
      }
      table {
        border-collapse: collapse;
        width: 100%;
        font-size: 0.9rem;
        font-variant-numeric: tabular-nums;
      }
      th,
      td {
        text-align: start;
        padding: 8px 10px 8px 0;
        border-bottom: 1px solid var(--apis-edge);
        white-space: nowrap;
      }
      th {
        position: sticky;
        top: 0;
        background: var(--card-background-color, #fff);
        font-weight: 500;
        color: var(--secondary-text-color);
      }
      .number {
        text-align: end;
      }
      @media (max-width: 480px) {
        th,
        td {
          white-space: normal;
          padding-inline-end: 6px;
          overflow-wrap: anywhere;
        }
        td:last-child {
          overflow-wrap: normal;
        }
      }
      td button {
        border: 0;
        background: none;
        padding: 0 2px;
        color: var(--primary-text-color);
        text-decoration: underline dotted;
      }
      dl {
        display: grid;
        grid-template-columns: auto 1fr;
        gap: 6px 16px;
      }
      dt {
        color: var(--secondary-text-color);
      }
      dd {
        margin: 0;
        overflow-wrap: anywhere;
      }
    `,
  ];

  @state() private from = dayOf(undefined, new Date(Date.now() - DAY_MS));
  @state() private to = dayOf(undefined, new Date());
  @state() private unitId = "";
  @state() private wantedState = "";
  @state() private deals: Deal[] | null = null;
  @state() private opened: Deal | null = null;
  // What ends a deal is asked for once more.
  @state() private sure = false;
  @state() private trouble = "";
  @query("dialog") private dialog?: HTMLDialogElement;
  private asked = "";
  private chosen = false;

  static getConfigForm(): unknown {
    return formOf("entry_id", "title");
  }

  static getStubConfig(): Record<string, unknown> {
    return {};
  }

  getGridOptions(): Record<string, unknown> {
    return { columns: 12, min_columns: 6 };
  }

  protected override updated(): void {
    super.updated();
    void this.look();
  }

  override render(): TemplateResult {
    return this.frame(this.say("deals"), () => this.body());
  }

  private body(): TemplateResult {
    const live = new Map((this.snapshot?.deals ?? []).map((deal) => [deal.deal_id, deal]));
    const known = (this.deals ?? []).map((deal) => live.get(deal.deal_id) ?? deal);
    const found = wanted(known, this.unitId, this.wantedState).toReversed();
    const units = this.snapshot?.units ?? [];
    const change = (set: (value: string) => void) => (event: Event) => set((event.target as HTMLInputElement).value);
    return html`<div class="row note">
        <label>${this.say("from")}<input type="date" .value=${this.from} max=${this.to} @change=${change((value) => this.choose_days(value || this.from, this.to))} /></label>
        <label>${this.say("to")}<input type="date" .value=${this.to} min=${this.from} @change=${change((value) => this.choose_days(this.from, value || this.to))} /></label>
        <label>${this.say("choose_house")}
          <select @change=${change((value) => (this.unitId = value))}>
            <option value="">${this.say("all_houses")}</option>
            ${units.map((unit) => html`<option value=${unit.unit_id}>${unit.name}</option>`)}
          </select>
        </label>
        <label>${this.say("state")}
          <select @change=${change((value) => (this.wantedState = value))}>
            <option value="">${this.say("all_states")}</option>
            ${STATES.map((each) => html`<option value=${each}>${this.named(each)}</option>`)}
          </select>
        </label>
        <button ?disabled=${found.length === 0} @click=${() => offer(`deals-${this.from}-${this.to}.csv`, "text/csv", csv(found))}>${this.say("csv")}</button>
        <button ?disabled=${found.length === 0} @click=${() => offer(`deals-${this.from}-${this.to}.json`, "application/json", JSON.stringify(found, null, 2))}>${this.say("json")}</button>
      </div>
      ${this.trouble === "" ? nothing : html`<p class="note bad" role="alert">${this.trouble}</p>`}
      ${this.deals !== null && found.length === 0 ? html`<p class="note soft">${this.say("no_deals")}</p>` : this.table(found)} ${this.detail()}`;
  }

  private table(deals: Deal[]): TemplateResult {
    return html`<div class="table" tabindex="0" role="region" aria-label=${this.say("deals")}>
      <table>
        <thead>
          <tr><th>${this.say("time")}</th><th>${this.say("giver")}</th><th>${this.say("taker")}</th><th class="number">${this.say("energy")}</th><th>${this.say("state")}</th></tr>
        </thead>
        <tbody>
          ${deals.slice(0, SHOWN).map(
            (deal) => html`<tr>
              <td><button @click=${() => this.show(deal)}>${this.moment(deal.created)}</button></td>
              <td>${this.nameOf(deal.from)}</td>
              <td>${this.nameOf(deal.to)}</td>
              <td class="number">${deal.exchanged_wh.toFixed(0)} / ${deal.amount_wh} Wh</td>
              <td class=${deal.state === "aborted" ? "bad" : ""}>${this.named(deal.state)}</td>
            </tr>`,
          )}
        </tbody>
      </table>
      ${deals.length > SHOWN ? html`<p class="note soft">${this.say("more_deals", { count: deals.length - SHOWN })}</p>` : nothing}
    </div>`;
  }

  private detail(): TemplateResult {
    const deal = this.opened;
    const rows: [string, string][] =
      deal === null
        ? []
        : [
            [this.say("giver"), this.nameOf(deal.from)],
            [this.say("taker"), this.nameOf(deal.to)],
            [this.say("agreed"), `${deal.amount_wh} Wh · ${deal.current_a} A`],
            [this.say("exchanged"), `${numbered(this.hass, deal.exchanged_wh, 1)} Wh`],
            [this.say("price"), deal.point_per_wh === null ? "–" : `${(deal.point_per_wh * deal.exchanged_wh).toFixed(0)} (${deal.point_per_wh} / Wh)`],
            [this.say("created"), this.moment(deal.created)],
            [this.say("start_time"), deal.started === null ? "–" : this.moment(deal.started)],
            [this.say("ended"), deal.ended === null ? "–" : this.moment(deal.ended)],
            [this.say("state"), this.named(deal.state)],
            ...(deal.reason === null ? [] : ([[this.say("reason"), deal.reason]] as [string, string][])),
          ];
    const runs = deal !== null && deal.ended === null && this.isAdmin;
    return html`<dialog aria-label=${this.say("deals")} @close=${() => this.closed()}>
      <dl>${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
      <div class="row">
        <button class="main" autofocus @click=${() => this.dialog?.close()}>${this.say("close")}</button>
        ${runs ? html`<button class=${this.sure ? "bad" : ""} @click=${() => this.stop(deal)}>${this.say(this.sure ? "stop_deal_sure" : "stop_deal")}</button>` : nothing}
      </div>
    </dialog>`;
  }

  private choose_days(from: string, to: string): void {
    this.chosen = true;
    [this.from, this.to] = [from, to];
  }

  private moment(text: string): string {
    return moment(this.hass, text, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
  }

  private show(deal: Deal): void {
    this.opened = deal;
    void this.updateComplete.then(() => this.dialog?.showModal());
  }

  private closed(): void {
    this.opened = null;
    this.sure = false;
  }

  private async stop(deal: Deal): Promise<void> {
    if (!this.sure) {
      this.sure = true;
      return;
    }
    this.dialog?.close();
    try {
      await this.hass?.callService("apis", "stop_deal", { deal_id: deal.deal_id, config_entry_id: this.entryId });
    } catch (error) {
      this.trouble = String((error as { message?: string }).message ?? error);
    }
  }

  /** Ask again when another time is wanted, or a deal has come, gone or gone on. */
  private async look(): Promise<void> {
    if (this.snapshot?.available !== true || this.hass === undefined) return;
    const now = this.snapshot.deals.map((deal) => `${deal.deal_id}${deal.state}`).join();
    // The community's own day, which moves on, until somebody chooses one.
    const today = dayOf(this.hass, this.snapshot.time);
    if (!this.chosen && this.to !== today) [this.from, this.to] = [dayOf(this.hass, new Date(new Date(this.snapshot.time).getTime() - DAY_MS)), today];
    const asked = [this.entryId, this.from, this.to, now].join("|");
    if (asked === this.asked) return;
    this.asked = asked;
    const [since, until] = [begin(this.hass, this.from), begin(this.hass, this.to, 1)];
    try {
      const deals = await this.hass.callWS<Deal[]>({ type: "apis/deals", entry_id: this.entryId, from: since.toISOString(), to: until.toISOString() });
      if (asked !== this.asked) return;
      this.deals = deals;
      this.trouble = "";
    } catch (error) {
      this.asked = "";
      this.trouble = String((error as { message?: string }).message ?? error);
    }
  }
}
