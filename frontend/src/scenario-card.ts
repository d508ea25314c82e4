/** What a house wants at each time of the day, to be changed and tried before it is saved. */
import { type TemplateResult, css, html, nothing } from "lit";
import { query, state } from "lit/decorators.js";
import { live } from "lit/directives/live.js";

import { ApisCard } from "./base";
import { offer } from "./deals";
import { formOf } from "./form";
import { moment } from "./locale";
import { type Direction, type Scenario, type Side, type Wish, DAY_S, clock, read, seconds, withBoundary, withMore, withPart, withWish, withoutPart, write } from "./scenario";
import { shared } from "./styles";
import type { CardConfig, Moment, Preview, ScenarioFile, Snapshot, Version } from "./types";
import type { Word } from "./words";

const SIDES: Side[] = ["request", "accept"];
const DIRECTIONS: Direction[] = ["charge", "discharge"];
const WAIT_MS = 350;
const KEPT = 50;
const ANEW_MS = 20_000;

interface Draft {
  draft: Scenario;
  past: Scenario[];
  // What it began from.
  saved: string;
}

// What is not saved yet outlives the card: Home Assistant makes cards anew as it likes.
const drafts = new Map<string, Draft>();

export class ScenarioCard extends ApisCard {
  static override styles = [
    shared,
    css`
      fieldset {
        border: 1px solid var(--apis-edge);
        border-radius: 12px;
        margin: 14px 0 0;
        padding: 12px;
        min-width: 0;
      }
      legend {
        padding: 0 6px;
        font-weight: 500;
      }
      .scale {
        display: flex;
        height: 26px;
        border-radius: 6px;
        overflow: hidden;
        margin: 12px 0 4px;
        font-size: 0.75rem;
      }
      .scale div {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
        padding: 4px 6px;
        border-inline-end: 1px solid var(--card-background-color, #fff);
        background: var(--apis-edge);
        color: var(--primary-text-color);
        box-sizing: border-box;
      }
      input[type="range"] {
        padding: 0;
        width: 100%;
        border: 0;
        background: none;
        appearance: none;
        min-height: 32px;
      }
      input[type="range"]::-webkit-slider-runnable-track {
        height: 6px;
        border-radius: 3px;
        background: var(--apis-edge);
      }
      input[type="range"]::-webkit-slider-thumb {
        appearance: none;
        width: 22px;
        height: 22px;
        margin-top: -8px;
        border-radius: 50%;
        background: var(--apis-line);
      }
      input[type="range"]::-moz-range-track {
        height: 6px;
        border-radius: 3px;
        background: var(--apis-edge);
      }
      input[type="range"]::-moz-range-thumb {
        width: 22px;
        height: 22px;
        border: 0;
        border-radius: 50%;
        background: var(--apis-line);
      }
      .clock {
        display: flex;
        justify-content: space-between;
        font-size: 0.75rem;
        color: var(--secondary-text-color);
      }
      input[type="number"] {
        width: 92px;
      }
      .wish {
        display: grid;
        grid-template-columns: minmax(140px, 1fr) 2fr auto;
        gap: 4px 12px;
        align-items: center;
        padding: 6px 0;
      }
      .wish label.tick {
        flex-direction: row;
        align-items: center;
        gap: 8px;
        color: var(--primary-text-color);
      }
      .tick input {
        min-height: 20px;
        width: 20px;
        height: 20px;
      }
      .hours {
        display: grid;
        grid-template-columns: repeat(24, 1fr);
        height: 22px;
        margin-top: 8px;
        border-radius: 6px;
        overflow: hidden;
        background: var(--apis-edge);
      }
      .hours .charge {
        background: var(--apis-charge);
      }
      .hours .discharge {
        background: var(--apis-give);
      }
      .kinds {
        display: flex;
        gap: 16px;
        font-size: 0.8rem;
        margin-top: 4px;
      }
      .kinds i {
        display: inline-block;
        width: 10px;
        height: 10px;
        border-radius: 3px;
        margin-inline-end: 6px;
      }
      .kinds .charge {
        background: var(--apis-charge);
      }
      .kinds .discharge {
        background: var(--apis-give);
      }
      textarea {
        width: 100%;
        min-height: 220px;
        font-family: ui-monospace, monospace;
        font-size: 0.8rem;
      }
      @media (max-width: 560px) {
        .wish {
          grid-template-columns: 1fr auto;
        }
        .wish input[type="range"] {
          grid-column: 1 / -1;
          grid-row: 2;
        }
      }
    `,
  ];

  @state() private unitId = "";
  @state() private draft: Scenario | null = null;
  @state() private versions: Version[] = [];
  @state() private past: Scenario[] = [];
  @state() private tried: Preview | null = null;
  @state() private trouble = "";
  // What is shown cannot be: it is not saved.
  @state() private wrong = false;
  @state() private said = "";
  @query("dialog") private dialog?: HTMLDialogElement;
  @query("textarea") private text?: HTMLTextAreaElement;
  private loaded = "";
  // What was shown when the scenario could not be fetched: the next news are a reason to try again.
  private failed: Snapshot | null = null;
  private askedMs = 0;
  private saved = "";
  private timer = 0;
  @state() private saving = false;
  @state() private dragged: { slider: string; wh: number } | null = null;

  static getConfigForm(): unknown {
    return formOf("entry_id", "unit_id", "title");
  }

  static getStubConfig(): Record<string, unknown> {
    return {};
  }

  override setConfig(config: CardConfig): void {
    super.setConfig(config);
    this.unitId = "";
    this.loaded = "";
    this.draft = null;
    this.tried = null;
  }

  getGridOptions(): Record<string, unknown> {
    return { columns: 12, min_columns: 6 };
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.timer);
  }

  protected override updated(): void {
    super.updated();
    const first = this.config.unit_id ?? this.snapshot?.units[0]?.unit_id ?? "";
    if (this.unitId === "" && first !== "") this.unitId = first;
    const now = this.snapshot;
    if (this.unitId !== "" && this.loaded !== `${this.entryId}/${this.unitId}`) void this.load();
    else if (this.failed !== null && this.failed !== now && now?.available === true) void this.load();
    // What the house would do now changes with its battery.
    else if (this.draft !== null && this.tried !== null && !this.wrong && Date.now() - this.askedMs > ANEW_MS) this.ask();
  }

  override render(): TemplateResult {
    const units = this.snapshot?.units ?? [];
    const chooser = html`<label>${this.say("choose_house")}
      <select @change=${(event: Event) => (this.unitId = (event.target as HTMLSelectElement).value)}>
        ${units.map((unit) => html`<option value=${unit.unit_id} ?selected=${unit.unit_id === this.unitId}>${unit.name}</option>`)}
      </select>
    </label>`;
    return this.frame(this.config.unit_id === undefined ? this.say("scenario") : `${this.say("scenario")}: ${this.nameOf(this.unitId)}`, () => this.body(), this.config.unit_id === undefined ? chooser : nothing);
  }

  private body(): TemplateResult {
    const draft = this.draft;
    if (draft === null) return html`<p class="note ${this.trouble === "" ? "soft" : "bad"}" role="status">${this.trouble || "…"}</p>`;
    const changed = JSON.stringify(write(draft)) !== this.saved;
    const unit = this.unit(this.unitId);
    return html`<p class="note" role="status">${this.trouble === "" ? this.wouldDo() : html`<span class="bad">${this.trouble}</span>`}</p>
      ${this.day()} ${draft.parts.map((_, i) => this.band(draft, i, unit?.capacity_wh ?? 4800))}
      <div class="row note">
        <button @click=${() => this.change(withMore(draft))}>${this.say("add_band")}</button>
        <button ?disabled=${this.past.length === 0} @click=${() => this.undo()}>${this.say("undo")}</button>
        <button @click=${() => this.exchange()}>${this.say("import")} / ${this.say("export")}</button>
        ${this.versions.length === 0 ? nothing : this.history()}
        <button class="main" style="margin-inline-start:auto" ?disabled=${!changed || this.saving || this.wrong} @click=${() => this.save()}>${this.say("save")}</button>
      </div>
      ${this.trouble === "" ? html`<p class="note soft" role="status">${changed ? `${this.say("unsaved")} ${this.wouldDo()}` : this.said}</p>` : html`<p class="note bad">${this.trouble}</p>`}
      <dialog aria-label=${this.say("scenario")}>
        <textarea aria-label="JSON" spellcheck="false" @input=${(event: Event) => (event.target as HTMLTextAreaElement).setCustomValidity("")}></textarea>
        <div class="row">
          <button class="main" @click=${() => this.take()}>${this.say("apply")}</button>
          <button @click=${() => offer(`scenario-${this.unitId}.json`, "application/json", this.text?.value ?? "")}>${this.say("export")}</button>
          <button @click=${() => this.dialog?.close()}>${this.say("close")}</button>
        </div>
      </dialog>`;
  }

  private band(draft: Scenario, index: number, capacityWh: number): TemplateResult {
    const part = draft.parts[index];
    if (part === undefined) return html``;
    const time = (word: Word, value: number, set: (value: number) => Scenario): TemplateResult =>
      html`<label>${this.say(word)}<input type="time" .value=${clock(value % DAY_S).slice(0, 5)} @change=${(event: Event) => {
        const field = event.target as HTMLInputElement;
        // One that is being typed anew is empty for a moment.
        if (field.value !== "") this.change(set(seconds(field.value)));
      }} /></label>`;
    const width = (i: number): number => ((part.statuses[i + 1]?.fromWh ?? capacityWh) - (part.statuses[i]?.fromWh ?? 0)) / capacityWh;
    return html`<fieldset>
      <legend>${clock(part.startS).slice(0, 5)} – ${clock(part.endS).slice(0, 5)}</legend>
      <div class="row">
        ${time("begins", part.startS, (value) => withPart(draft, index, { startS: value }))} ${time("ends", part.endS, (value) => withPart(draft, index, { endS: value || DAY_S }))}
        ${draft.parts.length > 1 ? html`<button @click=${() => this.change(withoutPart(draft, index))}>${this.say("remove_band")}</button>` : nothing}
      </div>
      <div class="scale" aria-hidden="true">${part.statuses.map((status, i) => html`<div style="width:${Math.max(0, width(i)) * 100}%">${status.name} ${i === 0 ? "" : `${Math.round((status.fromWh / capacityWh) * 100)} %`}</div>`)}</div>
      ${part.statuses.slice(1).map((status, i) => {
        const label = this.say("boundary", { status: status.name });
        const shown = this.moving(`${index}/${i}`, status.fromWh);
        return html`<label>${label}: ${shown} Wh (${Math.round((shown / capacityWh) * 100)} %)
          <input type="range" min="0" max=${capacityWh} step="10" .value=${live(String(shown))} @input=${this.slide(`${index}/${i}`)} @change=${(event: Event) => this.change(withBoundary(draft, index, i + 1, Number((event.target as HTMLInputElement).value), capacityWh))} />
        </label>`;
      })}
      ${part.statuses.map(
        (status, i) => html`<h3>${status.name}</h3>
          ${SIDES.map((side) => DIRECTIONS.map((direction) => this.wish(draft, index, i, side, direction, capacityWh)))}`,
      )}
    </fieldset>`;
  }

  private wish(draft: Scenario, index: number, status: number, side: Side, direction: Direction, capacityWh: number): TemplateResult {
    const name = draft.parts[index]?.statuses[status]?.name ?? "";
    const wish = draft.parts[index]?.statuses[status]?.[side][direction];
    const words = this.say(`${side}_${direction}`);
    const set = (change: Partial<Wish> | null): void => {
      const whole = { limitWh: Math.round(capacityWh / 2), pointPerWh: 10, pairUnitId: null, ...wish, ...change };
      this.change(withWish(draft, index, status, side, direction, change === null ? null : whole));
    };
    const value = (event: Event): string => (event.target as HTMLInputElement).value;
    const limit = direction === "charge" ? "up_to" : "down_to";
    const slider = `${index}/${status}/${side}/${direction}`;
    return html`<div class="wish">
      <label class="tick"><input type="checkbox" .checked=${wish !== undefined} aria-label=${`${name}: ${words}`} @change=${(event: Event) => set((event.target as HTMLInputElement).checked ? {} : null)} />${wish === undefined ? words : this.say(limit, { wish: words, wh: this.moving(slider, wish.limitWh) })}</label>
      ${wish === undefined
        ? nothing
        : html`<input type="range" min="0" max=${capacityWh} step="10" aria-label=${`${name}: ${words} (Wh)`} .value=${live(String(this.moving(slider, wish.limitWh)))} @input=${this.slide(slider)} @change=${(event: Event) => set({ limitWh: Number(value(event)) })} />
            <label>${this.say("points_per_wh")}<input type="number" min="0" step="0.1" .value=${wish.pointPerWh === null ? "" : String(wish.pointPerWh)} @change=${(event: Event) => {
              const field = event.target as HTMLInputElement;
              if (field.validity.rangeUnderflow || field.validity.badInput) field.reportValidity();
              else set({ pointPerWh: field.value === "" ? null : Number(field.value) });
            }} /></label>`}
    </div>`;
  }

  private history(): TemplateResult {
    const back = (event: Event): void => {
      const chosen = event.target as HTMLSelectElement;
      const version = this.versions[Number(chosen.value)];
      chosen.value = "";
      if (version !== undefined) this.change(read(version.scenario));
    };
    const shown = this.versions.map((version, i) => ({ version, i })).toReversed().slice(0, 30);
    return html`<label>${this.say("versions")}
      <select @change=${back}>
        <option value="">–</option>
        ${shown.map(({ version, i }) => html`<option value=${i}>${moment(this.hass, version.time, { dateStyle: "short", timeStyle: "short" })} · ${version.who}</option>`)}
      </select>
    </label>`;
  }

  /** What the house would do now with what is shown, saved or not. */
  private wouldDo(): string {
    const now = this.tried?.now;
    if (now === undefined) return "";
    const told = (prefix: "asks" | "accepts", wish: { direction: Direction; amountWh: number; pointPerWh: number | null }): string =>
      this.say(`preview_${prefix}_${wish.direction}`, { wh: wish.amountWh, points: wish.pointPerWh ?? this.say("any_price") });
    const what = now.request === null ? now.accept.map((wish) => told("accepts", wish)) : [told("asks", now.request)];
    const reason = what.length === 0 && now.reason ? ` (${now.reason})` : "";
    return this.say("preview_now", { what: what.length === 0 ? this.say("preview_nothing") : what.join(", ") }) + reason;
  }

  private day(): TemplateResult | typeof nothing {
    if (this.tried === null) return nothing;
    const kind = (moment: Moment): string => (moment.request ?? moment.accept[0])?.direction ?? "";
    return html`<div class="hours" role="img" aria-label=${this.say("day_plan", { what: this.plan(kind) })}>${this.tried.hours.map((hour) => html`<div class=${kind(hour)} title=${`${hour.hour}:00 ${hour.status ?? ""}`}></div>`)}</div>
      <div class="clock" aria-hidden="true">${[0, 6, 12, 18, 24].map((hour) => html`<span>${hour}:00</span>`)}</div>
      <div class="kinds soft" aria-hidden="true">
        <span><i class="charge"></i>${this.say("charge_wish")}</span><span><i class="discharge"></i>${this.say("discharge_wish")}</span>
      </div>`;
  }

  /** The day's hours with the same wish, together. */
  private plan(kind: (moment: Moment) => string): string {
    const spans: { kind: string; from: number; to: number }[] = [];
    for (const hour of this.tried?.hours ?? []) {
      const last = spans.at(-1);
      if (last?.kind === kind(hour)) last.to = hour.hour + 1;
      else spans.push({ kind: kind(hour), from: hour.hour, to: hour.hour + 1 });
    }
    const word = (each: string): string => this.say(each === "charge" ? "charge_wish" : each === "discharge" ? "discharge_wish" : "preview_nothing");
    return spans.map((span) => `${span.from}:00–${span.to}:00 ${word(span.kind)}`).join(", ");
  }

  /** What a slider shows: where it is being dragged to, or else what it stands for. */
  private moving(slider: string, wh: number): number {
    return this.dragged?.slider === slider ? this.dragged.wh : wh;
  }

  private slide(slider: string): (event: Event) => void {
    return (event) => (this.dragged = { slider, wh: Number((event.target as HTMLInputElement).value) });
  }

  private change(next: Scenario): void {
    this.dragged = null;
    if (this.draft !== null && JSON.stringify(this.draft) === JSON.stringify(next)) return;
    if (this.draft !== null) this.past = [...this.past, this.draft].slice(-KEPT);
    this.draft = next;
    this.said = "";
    this.remember();
    this.ask();
  }

  private undo(): void {
    const before = this.past.at(-1);
    if (before === undefined) return;
    this.past = this.past.slice(0, -1);
    this.draft = before;
    this.remember();
    this.ask();
  }

  private remember(): void {
    if (this.draft !== null) drafts.set(this.loaded, { draft: this.draft, past: this.past, saved: this.saved });
  }

  private exchange(): void {
    this.dialog?.showModal();
    if (this.text === undefined || this.draft === null) return;
    this.text.value = JSON.stringify(write(this.draft), null, 2);
    this.text.setCustomValidity("");
  }

  private take(): void {
    try {
      this.change(read(JSON.parse(this.text?.value ?? "") as ScenarioFile));
      this.dialog?.close();
    } catch (error) {
      this.text?.setCustomValidity(String(error));
      this.text?.reportValidity();
    }
  }

  /** Prove and try what is shown, a moment after the last change. */
  private ask(): void {
    clearTimeout(this.timer);
    this.askedMs = Date.now();
    this.timer = window.setTimeout(() => {
      const draft = this.draft;
      if (draft === null) return;
      const message = { type: "apis/preview", entry_id: this.entryId, unit_id: this.unitId, scenario: write(draft) };
      const key = this.loaded;
      void this.attempt(async () => {
        const found = (await this.hass?.callWS<Preview>(message)) ?? null;
        if (key === this.loaded) this.tried = found;
      });
    }, WAIT_MS);
  }

  private async load(): Promise<void> {
    const key = `${this.entryId}/${this.unitId}`;
    clearTimeout(this.timer);
    this.loaded = key;
    this.draft = null;
    this.tried = null;
    this.past = [];
    this.said = "";
    this.failed = this.snapshot;
    await this.attempt(async () => {
      const found = await this.hass?.callWS<{ scenario: ScenarioFile; versions: Version[] }>({ type: "apis/scenario", entry_id: this.entryId, unit_id: this.unitId });
      // Another house was chosen meanwhile: this is not its scenario.
      if (found === undefined || key !== this.loaded) return;
      this.failed = null;
      this.versions = found.versions;
      this.draft = read(found.scenario);
      this.saved = JSON.stringify(write(this.draft));
      const kept = drafts.get(key);
      // One that began from something else would replace it unseen.
      if (kept?.saved === this.saved) {
        this.draft = kept.draft;
        this.past = kept.past;
      }
      this.ask();
    });
  }

  private async save(): Promise<void> {
    const draft = this.draft;
    if (draft === null || this.saving) return;
    this.saving = true;
    await this.attempt(async () => {
      const now = await this.hass?.callWS<{ scenario: ScenarioFile }>({ type: "apis/scenario", entry_id: this.entryId, unit_id: this.unitId });
      if (now !== undefined && JSON.stringify(write(read(now.scenario))) !== this.saved) {
        this.saved = JSON.stringify(write(read(now.scenario)));
        this.remember();
        throw new Error(this.say("changed_meanwhile"));
      }
      await this.hass?.callWS({ type: "apis/set_scenario", entry_id: this.entryId, unit_id: this.unitId, scenario: write(draft) });
      drafts.delete(this.loaded);
      this.said = this.say("saved");
      await this.reload();
    });
    this.saving = false;
  }

  /** What is saved now, in the place of what was edited: whoever looks at it stays where they are. */
  private async reload(): Promise<void> {
    const key = this.loaded;
    const found = await this.hass?.callWS<{ scenario: ScenarioFile; versions: Version[] }>({ type: "apis/scenario", entry_id: this.entryId, unit_id: this.unitId });
    if (found === undefined || key !== this.loaded) return;
    this.versions = found.versions;
    this.draft = read(found.scenario);
    this.saved = JSON.stringify(write(this.draft));
    this.past = [];
    this.ask();
  }

  private async attempt(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
      this.trouble = "";
      this.wrong = false;
    } catch (error) {
      this.trouble = String((error as { message?: string }).message ?? error);
      this.wrong = (error as { code?: string }).code === "bad_scenario";
    }
  }
}
