/** What Home Assistant gives a card, as far as the cards here use it, and what the integration tells. Powers are positive when they charge. */

export interface State {
  entity_id: string;
  state: string;
  attributes: Record<string, unknown>;
}

export interface Hass {
  states: Record<string, State>;
  language: string;
  locale?: { number_format?: string; time_format?: string; time_zone?: string };
  config?: { time_zone?: string };
  entities?: Record<string, { platform?: string }>;
  user?: { is_admin: boolean };
  connection: {
    addEventListener?(type: "ready", listener: () => void): void;
    subscribeMessage<T>(callback: (message: T) => void, message: Record<string, unknown>, options?: { resubscribe?: boolean }): Promise<() => Promise<void>>;
  };
  callWS<T>(message: Record<string, unknown>): Promise<T>;
  callService(domain: string, service: string, data?: Record<string, unknown>, target?: Record<string, unknown>): Promise<unknown>;
}

export interface Unit {
  unit_id: string;
  name: string;
  alive: boolean;
  mode: string;
  local_mode: string | null;
  state_of_charge_pct: number | null;
  converter_mode: string | null;
  grid_voltage_v: number | null;
  grid_current_a: number | null;
  grid_power_w: number | null;
  is_grid_master: boolean;
  is_voltage_reference: boolean;
  capacity_wh: number | null;
  solar_w: number | null;
  load_w: number | null;
  status: string | null;
  preset: string | null;
  request_below_pct: number | null;
  offer_above_pct: number | null;
  wish: Wish | null;
}

export interface Wish {
  direction: "charge" | "discharge";
  amountWh: number;
  pointPerWh: number | null;
}

export interface Deal {
  deal_id: string;
  from: string;
  to: string;
  amount_wh: number;
  exchanged_wh: number;
  current_a: number;
  point_per_wh: number | null;
  state: "created" | "started" | "completed" | "aborted";
  reason: string | null;
  created: string;
  started: string | null;
  ended: string | null;
}

export interface Snapshot {
  title: string;
  isAdmin: boolean;
  available: boolean;
  time: string;
  mode: string;
  gridMaster: string | null;
  alert: string | null;
  acceleration: number;
  units: Unit[];
  deals: Deal[];
}

/** Which device and entities a unit, or the community, has: entity ids by their key. */
export interface Things {
  device_id: string | null;
  entities: Record<string, string>;
}

export interface AllThings extends Things {
  units: Record<string, Things>;
}

export interface CardConfig {
  type: string;
  entry_id?: string;
  unit_id?: string;
  title?: string;
  chart?: boolean;
}

export interface Condition {
  limitWh: number;
  pointPerWh?: number;
  pairUnitId?: string;
}

export type Wants = Record<string, Partial<Record<"charge" | "discharge", Condition>>>;

export interface Band {
  acceptSelection?: { strategy: string };
  batteryStatus: Record<string, string>;
  request: Wants;
  accept: Wants;
}

export type ScenarioFile = Record<string, unknown>;

export interface Preview {
  now: Moment;
  hours: (Moment & { hour: number })[];
}

export interface Moment {
  status: string | null;
  request: Wish | null;
  accept: Wish[];
  reason: string;
}

export interface Version {
  time: string;
  who: string;
  scenario: ScenarioFile;
}
