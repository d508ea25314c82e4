"""What faces see of a community: a snapshot of its units and deals, and the events that change it."""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from .deal import Deal
from .times import format_time, parse_time


@dataclass(frozen=True, slots=True)
class UnitView:
    """One unit as shown to people. None is unknown; currents and powers are positive when they charge the battery.

    `status`: the scenario's word for the battery now. `solar_w`, `load_w`, `mains_w`: where the device knows the house.
    `next_change`: when its scenario's next time band begins. `preset`: the one its scenario is, if it is one; `request_below_pct` and `offer_above_pct`: the scenario's two edges, where it
    has them. `availability`: parts of the last 1, 7 and 30 days in percent (rules.outages.shares). `device_url`: where its device is, if that can be reached. `totals`: rules.statement.Totals of all its deals.
    `answers`: whether its device was read within the last minute. `scenario_gap`: the parts of the day for which its scenario says nothing. `driver_health`: see ports.Driver.
    `wish`: what it would ask the others for now (`direction`, `amountWh`, `pointPerWh`), None for nothing.
    """

    unit_id: str
    name: str
    alive: bool
    mode: str
    local_mode: str | None = None
    state_of_charge_pct: float | None = None
    remaining_wh: int | None = None
    converter_mode: str | None = None
    grid_voltage_v: float | None = None
    grid_current_a: float | None = None
    grid_power_w: float | None = None
    battery_power_w: float | None = None
    is_grid_master: bool = False
    is_voltage_reference: bool = False
    reading_age_s: float | None = None
    answers: bool = True
    last_decline: str = ""
    battery_voltage_v: float | None = None
    battery_current_a: float | None = None
    temperature_c: float | None = None
    capacity_wh: float | None = None
    permission: str | None = None
    alarm: str | None = None
    solar_w: float | None = None
    load_w: float | None = None
    mains_w: float | None = None
    active_deals: int = 0
    free_slots: int | None = None
    status: str | None = None
    last_error: str = ""
    serial_number: str = ""
    driver: str = ""
    is_simulated: bool = False
    device_url: str = ""
    next_change: datetime | None = None
    preset: str | None = None
    request_below_pct: float | None = None
    offer_above_pct: float | None = None
    totals: dict[str, float] = field(default_factory=dict)
    availability: dict[str, dict[str, float]] = field(default_factory=dict)
    wish: dict[str, Any] | None = None
    scenario_gap: str = ""
    driver_version: str = ""
    driver_health: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A community at one moment of its time.

    `guard`: what stops its converters when its process does not any more. `dropped`: messages that were none, by kind.
    `acceleration`: seconds of its time per second; anything but 1 is no house of today. `shared_wh`: what all units have ever given, those
    that have gone too.
    """

    time: datetime
    mode: str
    units: tuple[UnitView, ...]
    deals: tuple[Deal, ...]
    grid_master: str | None = None
    epoch: int = 0
    alert: str | None = None
    guard: str = ""
    dropped: dict[str, int] = field(default_factory=dict)
    acceleration: float = 1.0
    version: str = ""
    shared_wh: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "time": format_time(self.time, None),
            "mode": self.mode,
            "gridMaster": self.grid_master,
            "epoch": self.epoch,
            "alert": self.alert,
            "guard": self.guard,
            "dropped": self.dropped,
            "acceleration": self.acceleration,
            "version": self.version,
            "sharedWh": self.shared_wh,
            "units": [{**asdict(unit), "next_change": unit.next_change and unit.next_change.isoformat()} for unit in self.units],
            "deals": [deal.to_json() for deal in self.deals],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Snapshot:
        """Read the JSON form."""
        return cls(
            parse_time(data["time"], None),
            data["mode"],
            tuple(_unit(unit) for unit in data["units"]),
            tuple(Deal.from_json(deal) for deal in data["deals"]),
            data.get("gridMaster"),
            data.get("epoch", 0),
            data.get("alert"),
            data.get("guard", ""),
            data.get("dropped", {}),
            data.get("acceleration", 1.0),
            data.get("version", ""),
            data.get("sharedWh", 0.0),
        )


def _unit(data: dict[str, Any]) -> UnitView:
    """What is known here of a unit: a newer node tells more."""
    known = {key: value for key, value in data.items() if key in UnitView.__dataclass_fields__}
    return UnitView(**{**known, "next_change": _moment(data.get("next_change"))})


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: `kind` is deal, progress, error, mode, grid_master or notice; `sequence` grows with each."""

    kind: str
    time: datetime
    message: str
    unit_id: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    sequence: int = 0

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "kind": self.kind,
            "time": format_time(self.time, None),
            "message": self.message,
            "unitId": self.unit_id,
            "data": self.data,
            "sequence": self.sequence,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Event:
        """Read the JSON form."""
        time, sequence = parse_time(data["time"], None), data.get("sequence", 0)
        return cls(data["kind"], time, data["message"], data.get("unitId"), data.get("data", {}), sequence)
