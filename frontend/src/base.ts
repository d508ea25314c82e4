/** What every card is: it finds its community, listens to it while it is shown, and speaks the user's language. */
import { LitElement, type PropertyValues, type TemplateResult, html, nothing } from "lit";
import { property, state } from "lit/decorators.js";

import { honest } from "./honest";
import { communities, linkOf, meant } from "./link";
import { shared } from "./styles";
import type { AllThings, CardConfig, Hass, Snapshot, Unit } from "./types";
import { type Word, named, say } from "./words";

export abstract class ApisCard extends LitElement {
  static override styles = [shared];

  @property({ attribute: false }) hass?: Hass;
  @state() protected config: CardConfig = { type: "" };
  @state() protected snapshot: Snapshot | null = null;
  @state() protected things: AllThings | null = null;
  @state() protected sought = false;
  @state() protected found = false;
  protected entryId = "";
  private release: (() => void) | null = null;
  private opening = false;

  setConfig(config: CardConfig): void {
    if (typeof config !== "object") throw new Error("expected the card's options");
    this.config = config;
    this.let_go();
  }

  getCardSize(): number {
    return 6;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    void this.open();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.let_go();
  }

  /** Home Assistant tells of every state of everything: only what is said here, or how it is to be said, is a reason to draw again. */
  protected override shouldUpdate(changed: PropertyValues): boolean {
    const before = changed.get("hass") as Hass | undefined;
    if (changed.size > 1 || !changed.has("hass") || before === undefined || before.language !== this.hass?.language || before.locale !== this.hass?.locale) return true;
    this.passed();
    void this.open();
    return false;
  }

  /** What a card passes on whenever Home Assistant has something new. */
  protected passed(): void {}

  protected override updated(): void {
    this.passed();
    void this.open();
  }

  protected say(word: Word, values: Record<string, string | number> = {}): string {
    return say(this.hass?.language, word, values);
  }

  protected named(key: string | null): string {
    return named(this.hass?.language, key);
  }

  protected get isAdmin(): boolean {
    return this.snapshot?.isAdmin ?? false;
  }

  protected unit(unitId: string | undefined): Unit | undefined {
    return this.snapshot?.units.find((unit) => unit.unit_id === unitId);
  }

  protected nameOf(unitId: string): string {
    return this.unit(unitId)?.name ?? unitId;
  }

  /** The card's frame, with a sentence in the place of content that is not there. */
  protected frame(title: string, content: () => TemplateResult | typeof nothing, beside: TemplateResult | typeof nothing = nothing): TemplateResult {
    const snapshot = this.snapshot;
    return html`<ha-card>
      <div class="head">
        <h2>${this.config.title ?? title}</h2>
        ${snapshot === null ? nothing : beside}
      </div>
      ${snapshot === null
        ? html`<p class="note soft">${this.sought ? this.say(this.found ? "not_available" : this.config.entry_id === undefined && this.entryId === "" ? "no_community" : "gone") : "…"}</p>`
        : html`${snapshot.available ? nothing : html`<p class="note bad" role="status">${this.say("not_available")}</p>`}
            ${snapshot.alert === null ? nothing : html`<p class="note bad" role="alert">${this.say("stopped", { reason: snapshot.alert })}</p>`} ${content()}`}
    </ha-card>`;
  }

  /** A control of Home Assistant's own, with whoever uses it named by Home Assistant. */
  protected async choose(entityId: string | undefined, option: string): Promise<void> {
    if (entityId === undefined) throw new Error(this.say("not_available"));
    await this.hass?.callService("select", "select_option", { option }, { entity_id: entityId });
  }

  private let_go(): void {
    this.release?.();
    this.release = null;
    this.snapshot = null;
  }

  /** Whether what is gone does not answer, or was removed. */
  private async look_again(): Promise<void> {
    if (this.hass === undefined) return;
    const known = await communities(this.hass, true).catch(() => null);
    if (known !== null) this.found = meant(known, this.config.entry_id ?? this.entryId) !== undefined;
  }

  private async open(): Promise<void> {
    const hass = this.hass;
    if (hass === undefined || this.release !== null || this.opening || !this.isConnected) return;
    this.opening = true;
    try {
      const known = await communities(hass);
      const entry = meant(known, this.config.entry_id);
      this.sought = true;
      this.found = entry !== undefined;
      if (entry === undefined || !this.isConnected) return;
      this.entryId = entry.entry_id;
      const link = linkOf(hass, entry.entry_id);
      this.release = link.listen((snapshot) => {
        this.snapshot = snapshot === null ? null : honest(snapshot);
        if (snapshot === null) void this.look_again();
        if (snapshot !== null) link.all().then((things) => (this.things = things), () => undefined);
      });
    } catch {
      this.sought = true;
    } finally {
      this.opening = false;
    }
  }
}
