/** Who gives energy to whom, and why: houses on one line, as it happens. */
import { type TemplateResult, css, html, nothing, svg } from "lit";
import { state } from "lit/decorators.js";

import { ApisCard } from "./base";
import { formOf } from "./form";
import { type Plan, type Point, cut, partOf, placed, plan, stream, streamWidth, textWidth } from "./layout";
import { watts } from "./locale";
import { shared } from "./styles";
import type { Deal, Unit } from "./types";

const STEP = 12;
const ARROWS: Record<string, Point> = { ArrowLeft: { x: -STEP, y: 0 }, ArrowRight: { x: STEP, y: 0 }, ArrowUp: { x: 0, y: -STEP }, ArrowDown: { x: 0, y: STEP } };

export class CommunityCard extends ApisCard {
  static override styles = [
    shared,
    css`
      svg.map {
        display: block;
        width: 100%;
        overflow: visible;
      }
      .house {
        cursor: pointer;
        outline: none;
      }
      .house:focus-visible .wall {
        stroke: var(--apis-line);
        stroke-width: 4;
      }
      .arranging .house {
        cursor: grab;
        touch-action: none;
      }
      .wall {
        fill: var(--card-background-color, #fff);
        stroke: var(--secondary-text-color);
        stroke-width: 1.8;
        stroke-linejoin: round;
      }
      .away .wall {
        stroke-dasharray: 4 4;
      }
      .fill {
        fill: var(--apis-charge);
        opacity: 0.85;
      }
      .low .fill {
        fill: var(--apis-give);
      }
      .away .fill {
        opacity: 0.2;
      }
      text {
        fill: var(--primary-text-color);
        font-size: 12px;
        text-anchor: middle;
      }
      .label {
        paint-order: stroke;
        stroke: var(--card-background-color, #fff);
        stroke-width: 4px;
        stroke-linejoin: round;
      }
      .small {
        font-size: 11px;
        fill: var(--secondary-text-color);
      }
      .pct {
        font-weight: 600;
        paint-order: stroke;
        stroke: var(--card-background-color, #fff);
        stroke-width: 3px;
        stroke-linejoin: round;
      }
      .stream {
        fill: none;
        stroke: var(--apis-line);
        stroke-linecap: round;
        opacity: 0.35;
      }
      .moving {
        fill: none;
        stroke: var(--apis-line);
        stroke-linecap: round;
        stroke-dasharray: 2 16;
        animation: flow 1.1s linear infinite;
      }
      .agreed {
        stroke-dasharray: 3 7;
      }
      @keyframes flow {
        to {
          stroke-dashoffset: -18;
        }
      }
      @media (prefers-reduced-motion: reduce) {
        .moving {
          animation: none;
        }
      }
      .badge {
        fill: var(--card-background-color, #fff);
        stroke: var(--apis-line);
        stroke-width: 1.5;
      }
      .sign {
        fill: var(--apis-line);
      }
      .wave {
        fill: none;
        stroke: var(--apis-line);
        stroke-width: 1.8;
        stroke-linecap: round;
      }
      .legend {
        display: flex;
        flex-wrap: wrap;
        gap: 2px 16px;
        align-items: center;
        font-size: 0.85rem;
      }
      .legend svg {
        width: 18px;
        height: 18px;
        vertical-align: -4px;
      }
      ul {
        margin: 8px 0 0;
        padding: 0;
        list-style: none;
      }
    `,
  ];

  @state() private width = 480;
  @state() private chosen: Record<string, Point> = {};
  @state() private arranging = false;
  private watched = "";
  private dragged = "";
  private readonly sizes = new ResizeObserver((entries) => {
    const found = entries[0]?.contentRect.width ?? 0;
    if (found > 0 && Math.abs(found - this.width) > 1) this.width = Math.max(280, found - 32);
  });

  static getConfigForm(): unknown {
    return formOf("entry_id", "title");
  }

  static getStubConfig(): Record<string, unknown> {
    return {};
  }

  getGridOptions(): Record<string, unknown> {
    return { columns: 12, min_columns: 6 };
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.sizes.observe(this);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.sizes.disconnect();
  }

  protected override updated(): void {
    super.updated();
    if (this.snapshot !== null && this.watched !== this.entryId) {
      this.watched = this.entryId;
      void this.hass?.callWS<{ value: Record<string, Point> | null }>({ type: "frontend/get_user_data", key: this.key }).then(({ value }) => (this.chosen = value ?? {}));
    }
  }

  override render(): TemplateResult {
    return this.frame(this.snapshot?.title ?? this.say("community"), () => this.picture(), this.head());
  }

  private get key(): string {
    return `apis_places_${this.entryId}`;
  }

  private head(): TemplateResult {
    const snapshot = this.snapshot;
    const faster = snapshot !== null && snapshot.acceleration !== 1 ? ` · ${this.say("accelerated", { factor: snapshot.acceleration })}` : "";
    return html`<span class="soft">${this.named(snapshot?.mode ?? null)}${faster}</span>`;
  }

  private picture(): TemplateResult {
    const units = this.snapshot?.units ?? [];
    const ids = units.map((unit) => unit.unit_id);
    const base = plan(units.length, this.width);
    const shown = placed(base, ids, this.chosen);
    const deals = this.snapshot?.deals ?? [];
    const seen = new Map<string, number>();
    return html`<svg class="map ${this.arranging ? "arranging" : ""}" viewBox="0 0 ${shown.width} ${shown.height}" role="group" aria-label=${this.summary()}>
        ${deals.map((deal) => {
          const pair = [deal.from, deal.to].sort().join();
          seen.set(pair, (seen.get(pair) ?? -1) + 1);
          return this.flow(deal, shown, ids, seen.get(pair) ?? 0);
        })}
        ${units.map((unit, i) => this.house(unit, shown.points[i] ?? { x: 0, y: 0 }, shown))}
      </svg>
      <p class="visually-hidden" aria-live="polite">${this.summary()}</p>
      ${this.list(deals)} ${this.legend()}`;
  }

  /** The same in words: for screen readers, and below the picture. */
  private summary(): string {
    if (this.snapshot?.available === false) return this.say("not_available");
    const count = this.snapshot?.deals.length ?? 0;
    return count === 0 ? this.say("nobody_shares") : count === 1 ? this.say("one_deal_runs") : this.say("deals_running", { count });
  }

  private list(deals: Deal[]): TemplateResult | typeof nothing {
    if (this.snapshot?.available === false) return nothing;
    if (deals.length === 0) return html`<p class="note soft">${this.say("nobody_shares")}</p>`;
    const shown = deals.slice(0, 5).map((deal) => {
      const power = Math.round(deal.current_a * (this.unit(deal.from)?.grid_voltage_v ?? 0));
      const begun = deal.state === "started" && power > 0;
      return html`<li>${begun ? this.say("shares_now", { from: this.nameOf(deal.from), to: this.nameOf(deal.to), watts: power }) : `${this.nameOf(deal.from)} → ${this.nameOf(deal.to)}: ${this.named(deal.state)}`}</li>`;
    });
    return html`<ul>${shown}${deals.length > 5 ? html`<li class="soft">${this.say("deals_running", { count: deals.length })}</li>` : nothing}</ul>`;
  }

  private flow(deal: Deal, base: Plan, ids: string[], bend: number): unknown {
    const from = base.points[ids.indexOf(deal.from)];
    const to = base.points[ids.indexOf(deal.to)];
    if (from === undefined || to === undefined) return nothing;
    const way = stream(from, to, base, bend);
    const width = streamWidth(deal.current_a, this.unit(deal.from)?.grid_voltage_v ?? null);
    if (deal.state !== "started") return svg`<path class="stream agreed" d=${way} stroke-width="2"></path>`;
    return svg`<path class="stream" d=${way} stroke-width=${width}></path><path class="moving" d=${way} stroke-width=${Math.max(3, width * 0.8)}></path>`;
  }

  private house(unit: Unit, at: Point, base: Plan): unknown {
    const size = base.size;
    const half = size / 2;
    const pct = unit.state_of_charge_pct;
    const level = Math.max(0, Math.min(100, pct ?? 0)) / 100;
    const low = pct !== null && unit.request_below_pct !== null && pct < unit.request_below_pct;
    const roof = `M${-half} ${-half * 0.2} L0 ${-half} L${half} ${-half * 0.2} V${half} H${-half} Z`;
    const clip = `clip-${unit.unit_id}`;
    const full = size * (1 - level);
    const names = size > 36;
    const shown = cut(unit.name, Math.min(base.cell - 4, size * 1.5));
    const below = this.below(unit);
    const kinds = ["house", unit.alive ? "" : "away", low ? "low" : ""].join(" ");
    return svg`<g
      class=${kinds}
      transform="translate(${at.x.toFixed(1)} ${at.y.toFixed(1)})"
      tabindex="0"
      role="button"
      aria-label=${this.inWords(unit)}
      @click=${() => this.open_unit(unit)}
      @keydown=${(event: KeyboardEvent) => this.key_on(event, unit, at, base)}
      @pointerdown=${(event: PointerEvent) => this.begin(event, unit)}
      @pointermove=${(event: PointerEvent) => this.drag(event, base)}
      @pointerup=${() => this.drop()}
      @pointercancel=${() => this.drop()}
    >
      <clipPath id=${clip}><path d=${roof}></path></clipPath>
      <path class="wall" d=${roof}></path>
      <rect class="fill" clip-path="url(#${clip})" x=${-half} y=${-half + full} width=${size} height=${size - full}></rect>
      <path class="wall" style="fill:none" d=${roof}></path>
      <text class="pct" y="${half * 0.45}" style="font-size:${Math.max(11, size * 0.22)}px">${pct === null ? "?" : `${Math.round(pct)}%`}</text>
      ${unit.is_grid_master ? this.crown(-half * 0.95, -half * 0.85) : nothing} ${unit.is_voltage_reference ? this.wave(half * 0.95, -half * 0.85) : nothing}
      ${names ? svg`<text class="label" y=${half + 14}>${shown}</text> ${size > 50 && textWidth(below) <= base.cell ? svg`<text class="label small" y=${half + 28}>${below}</text>` : nothing}` : nothing}
    </g>`;
  }

  private crown(x: number, y: number): unknown {
    return svg`<g transform="translate(${x.toFixed(1)} ${y.toFixed(1)})"><circle class="badge" r="10"></circle><path class="sign" d="M-6 4 L-7 -4 L-3 -0.5 L0 -6 L3 -0.5 L7 -4 L6 4 Z"></path></g>`;
  }

  private wave(x: number, y: number): unknown {
    return svg`<g transform="translate(${x.toFixed(1)} ${y.toFixed(1)})"><circle class="badge" r="10"></circle><path class="wave" d="M-6.5 0 q3.2 -7 6.5 0 t6.5 0"></path></g>`;
  }

  /** The one line that tells most: what it asks for or offers, or else sun and load. */
  private below(unit: Unit): string {
    if (!unit.alive) return this.say("away");
    if (unit.wish !== null && unit.converter_mode === "WAIT") return this.wish(unit);
    const sun = unit.solar_w === null ? "" : `☀ ${watts(this.hass, unit.solar_w)}`;
    const load = unit.load_w === null ? "" : `⌂ ${watts(this.hass, unit.load_w)}`;
    return [sun, load].filter(Boolean).join(" ");
  }

  private wish(unit: Unit): string {
    return unit.wish === null ? "" : this.say(unit.wish.direction === "charge" ? "asks" : "offers", { wh: unit.wish.amountWh });
  }

  private inWords(unit: Unit): string {
    const modes: Record<string, string> = { CHARGE: this.say("charge"), DISCHARGE: this.say("discharge"), VOLTAGE_REFERENCE: this.say("voltage_reference_mode"), WAIT: this.say("wait") };
    const pct = unit.state_of_charge_pct;
    const parts = [
      // What can be read, as it can be read, and then what only can be seen.
      `${pct === null ? "?" : `${Math.round(pct)}%`} ${unit.name} ${this.below(unit)}`,
      pct !== null && unit.request_below_pct !== null && pct < unit.request_below_pct ? this.say("below_target") : "",
      unit.alive ? (modes[unit.converter_mode ?? ""] ?? "") : this.say("away"),
      unit.is_grid_master ? this.say("grid_master") : "",
      unit.is_voltage_reference ? this.say("voltage_reference") : "",
      this.wish(unit),
      unit.solar_w === null ? "" : `${this.say("solar")} ${watts(this.hass, unit.solar_w)}`,
      unit.load_w === null ? "" : `${this.say("load")} ${watts(this.hass, unit.load_w)}`,
    ];
    return parts.filter(Boolean).join(", ");
  }

  private legend(): TemplateResult {
    const sign = (what: unknown): TemplateResult => html`<svg viewBox="-12 -12 24 24" aria-hidden="true">${what}</svg>`;
    return html`<div class="legend note soft">
      <span>${sign(this.crown(0, 0))} ${this.say("grid_master")}</span>
      <span>${sign(this.wave(0, 0))} ${this.say("voltage_reference")}</span>
      <span style="margin-left:auto">
        ${this.arranging
          ? html`<button @click=${() => this.keep({})}>${this.say("arrange_again")}</button> <button class="main turn" @click=${() => this.arrange(false)}>${this.say("arrange_done")}</button>`
          : html`<button class="plain turn" @click=${() => this.arrange(true)}>${this.say("arrange")}</button>`}
      </span>
      ${this.arranging ? html`<span role="status">${this.say("arrange_hint")}</span>` : nothing}
    </div>`;
  }

  /** The button that was pressed goes: whoever uses the keyboard goes on from the one that takes its place. */
  private async arrange(begins: boolean): Promise<void> {
    this.arranging = begins;
    await this.updateComplete;
    this.renderRoot.querySelector<HTMLElement>(".turn")?.focus();
  }

  private open_unit(unit: Unit): void {
    const entityId = this.things?.units[unit.unit_id]?.entities.state_of_charge;
    if (this.arranging || entityId === undefined) return;
    this.dispatchEvent(new CustomEvent("hass-more-info", { bubbles: true, composed: true, detail: { entityId } }));
  }

  private key_on(event: KeyboardEvent, unit: Unit, at: Point, base: Plan): void {
    const step = ARROWS[event.key];
    if (this.arranging && step !== undefined) {
      event.preventDefault();
      void this.keep({ ...this.chosen, [unit.unit_id]: partOf(base, { x: at.x + step.x, y: at.y + step.y }) });
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.open_unit(unit);
    }
  }

  private begin(event: PointerEvent, unit: Unit): void {
    if (!this.arranging) return;
    this.dragged = unit.unit_id;
    (event.currentTarget as Element).setPointerCapture(event.pointerId);
  }

  private drag(event: PointerEvent, base: Plan): void {
    if (this.dragged === "") return;
    const map = this.renderRoot.querySelector("svg.map");
    if (map === null) return;
    const box = map.getBoundingClientRect();
    const point = { x: ((event.clientX - box.left) / box.width) * base.width, y: ((event.clientY - box.top) / box.height) * base.height };
    this.chosen = { ...this.chosen, [this.dragged]: partOf(base, point) };
  }

  private drop(): void {
    if (this.dragged === "") return;
    this.dragged = "";
    void this.keep(this.chosen);
  }

  private async keep(places: Record<string, Point>): Promise<void> {
    this.chosen = places;
    await this.hass?.callWS({ type: "frontend/set_user_data", key: this.key, value: places }).catch(() => undefined);
  }
}
