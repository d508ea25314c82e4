/** One subscription per community, shared by every card that shows it. */
import type { AllThings, Hass, Snapshot } from "./types";

export interface Entry {
  entry_id: string;
  title: string;
  loaded: boolean;
}

type Listener = (snapshot: Snapshot | null) => void;

class Link {
  private readonly listeners = new Set<Listener>();
  private end: Promise<() => Promise<void>> | null = null;
  private last: Snapshot | null = null;
  private things: Promise<AllThings> | null = null;
  private known = "";

  constructor(
    private readonly hass: Hass,
    private readonly entryId: string,
  ) {}

  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    if (this.end === null) this.open();
    else listener(this.last);
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) this.close();
    };
  }

  /** Its devices and entities; asked again once other units are there. */
  async all(): Promise<AllThings> {
    const units = (this.last?.units ?? []).map((unit) => unit.unit_id).join();
    if (this.things === null || units !== this.known) {
      this.known = units;
      this.things = this.hass.callWS<AllThings>({ type: "apis/entities", entry_id: this.entryId });
    }
    return this.things;
  }

  private open(): void {
    const got = (message: { kind: string; snapshot?: Snapshot }): void => {
      if (message.kind === "snapshot" && message.snapshot !== undefined) this.tell(message.snapshot);
    };
    this.end = this.hass.connection.subscribeMessage(got, { type: "apis/subscribe", entry_id: this.entryId });
    this.end.catch(() => {
      this.end = null;
      this.tell(null);
    });
  }

  private tell(snapshot: Snapshot | null): void {
    this.last = snapshot;
    for (const listener of this.listeners) listener(snapshot);
  }

  private close(): void {
    const end = this.end;
    this.end = null;
    this.last = null;
    void end?.then((stop) => stop()).catch(() => undefined);
  }
}

const links = new Map<string, Link>();

export function linkOf(hass: Hass, entryId: string): Link {
  let link = links.get(entryId);
  if (link === undefined) {
    link = new Link(hass, entryId);
    links.set(entryId, link);
  }
  return link;
}

let entries: Promise<Entry[]> | null = null;

/** The communities there are; asked once while a page is shown. */
export function communities(hass: Hass, anew = false): Promise<Entry[]> {
  if (entries === null || anew) {
    entries = hass.callWS<Entry[]>({ type: "apis/communities" });
    entries.catch(() => (entries = null));
  }
  return entries;
}
