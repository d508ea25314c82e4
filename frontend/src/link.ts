/** One subscription per community, shared by every card that shows it. */
import type { AllThings, Hass, Snapshot, Unit } from "./types";

export interface Entry {
  entry_id: string;
  title: string;
  loaded: boolean;
}

type Listener = (snapshot: Snapshot | null) => void;
type Message = { kind: "snapshot"; snapshot: Snapshot } | { kind: "gone" };

const RETRY_MS = 3000;

class Link {
  private readonly listeners = new Set<Listener>();
  // Counts up with each attempt: what an earlier one is told counts no more.
  private attempt = 0;
  private end: Promise<() => Promise<void>> | null = null;
  private last: Snapshot | null = null;
  private things: Promise<AllThings> | null = null;
  private known = "";
  private timer = 0;

  constructor(
    private readonly hass: Hass,
    private readonly entryId: string,
  ) {
    hass.connection.addEventListener?.("ready", () => this.again());
  }

  /** Every snapshot from now on; null while the community is not there. */
  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    if (this.end === null) this.open();
    else if (this.last !== null) listener(this.last);
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) this.close();
    };
  }

  /** Its devices and entities; asked again once other units are there, or some have none yet. */
  async all(): Promise<AllThings> {
    const units = (this.last?.units ?? []).map((unit) => unit.unit_id).join();
    if (this.things === null || units !== this.known) {
      this.known = units;
      const asked = this.hass.callWS<AllThings>({ type: "apis/entities", entry_id: this.entryId });
      this.things = asked;
      const forget = (): void => {
        if (this.things === asked) this.things = null;
      };
      asked.then((found) => Object.values(found.units).some((unit) => unit.entities.unit_mode === undefined) && setTimeout(forget, RETRY_MS), forget);
    }
    return this.things;
  }

  units(): Unit[] {
    return this.last?.units ?? [];
  }

  private open(): void {
    const number = ++this.attempt;
    const got = (message: Message): void => {
      if (number !== this.attempt) return;
      if (message.kind === "snapshot") this.tell(message.snapshot);
      if (message.kind === "gone") this.lost();
    };
    // Home Assistant's own resubscribing says nothing when it fails.
    this.end = this.hass.connection.subscribeMessage<Message>(got, { type: "apis/subscribe", entry_id: this.entryId }, { resubscribe: false });
    this.end.catch(() => number === this.attempt && this.lost());
  }

  /** Not there any more, or not yet: it is looked for again. */
  private lost(): void {
    this.end = null;
    this.things = null;
    this.tell(null);
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.again(), RETRY_MS);
  }

  private again(): void {
    clearTimeout(this.timer);
    this.end = null;
    this.things = null;
    if (this.listeners.size > 0) this.open();
  }

  private tell(snapshot: Snapshot | null): void {
    this.last = snapshot;
    for (const listener of this.listeners) listener(snapshot);
  }

  private close(): void {
    const end = this.end;
    this.attempt += 1;
    clearTimeout(this.timer);
    this.end = null;
    this.last = null;
    void end?.then((stop) => stop()).catch(() => undefined);
  }
}

const links = new Map<string, Link>();

/** The houses that are known on this page, for whoever chooses one. */
export function knownUnits(): { value: string; label: string }[] {
  return [...links.values()].flatMap((link) => link.units().map((unit) => ({ value: unit.unit_id, label: unit.name })));
}

export function linkOf(hass: Hass, entryId: string): Link {
  let link = links.get(entryId);
  if (link === undefined) {
    link = new Link(hass, entryId);
    links.set(entryId, link);
  }
  return link;
}

const ASKED_MS = 10_000;
let entries: Promise<Entry[]> | null = null;
let asked = 0;

/** The communities there are; asked once in a while, however many cards want to know. */
export function communities(hass: Hass, anew = false): Promise<Entry[]> {
  if (entries === null || anew || Date.now() - asked > ASKED_MS) {
    asked = Date.now();
    entries = hass.callWS<Entry[]>({ type: "apis/communities" });
    entries.catch(() => (entries = null));
  }
  return entries;
}

/** The community that is meant: the one that was chosen, or the first that runs. */
export function meant(known: Entry[], entryId: string | undefined): Entry | undefined {
  if (entryId !== undefined) return known.find((entry) => entry.entry_id === entryId);
  return known.find((entry) => entry.loaded) ?? known[0];
}
