"""A deal: a fixed amount of energy from exactly one unit to exactly one other, and everything that happens to it."""

from dataclasses import dataclass, field, fields
from datetime import datetime, tzinfo
from enum import StrEnum
import math
from operator import attrgetter
from typing import Any

from .converter import ConverterMode
from .errors import MessageError
from .times import NEVER, format_time, parse_time


class Direction(StrEnum):
    """What a unit wants to do with its battery."""

    CHARGE = "charge"
    DISCHARGE = "discharge"

    @property
    def opposite(self) -> Direction:
        """The direction of the other side."""
        return Direction.DISCHARGE if self is Direction.CHARGE else Direction.CHARGE


class Side(StrEnum):
    """The two sides of a deal, as policies and records name them."""

    CHARGE = "chargeUnit"
    DISCHARGE = "dischargeUnit"

    @property
    def opposite(self) -> Side:
        """The other side."""
        return Side.DISCHARGE if self is Side.CHARGE else Side.CHARGE

    @property
    def current_mode(self) -> ConverterMode:
        """The current mode of a converter on this side."""
        return ConverterMode.CHARGE if self is Side.CHARGE else ConverterMode.DISCHARGE

    @property
    def sign(self) -> int:
        """+1 where current flows into the unit, -1 where it leaves it."""
        return 1 if self is Side.CHARGE else -1


class Stage(StrEnum):
    """The stages of a deal's life that can be made to fail, as the original's records name them."""

    ACTIVATE = "Activate"
    AUTHORISE = "Authorize"
    WARM_UP = "WarmUp"
    COMPENSATE = "Compensate"
    STOP = "Stop"
    DEACTIVATE = "Deactivate"


FAULTS = tuple(f"fail{when}{stage}" for stage in Stage for when in ("Before", "After"))


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that went wrong with a deal, and when."""

    time: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A unit's own word that it has room for the deal; void after `expires` unless the deal was activated by then."""

    unit_id: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class SideEnergy:
    """What one unit exchanged for one deal: absolute counters that never fall, written by that unit alone [Wh].

    `battery_wh` and `grid_wh` are magnitudes at the battery and at the line; `estimated_wh` is the part of `battery_wh`
    that was booked from set-points because nothing was read; `sequence` grows with each count.
    """

    battery_wh: float = 0.0
    grid_wh: float = 0.0
    estimated_wh: float = 0.0
    sequence: int = 0

    @property
    def loss_wh(self) -> float:
        """What the converter kept [Wh]."""
        return abs(self.grid_wh - self.battery_wh)

    def merged(self, other: SideEnergy) -> SideEnergy:
        """The larger of each counter: a late or repeated count changes nothing."""
        return SideEnergy(
            max(self.battery_wh, other.battery_wh),
            max(self.grid_wh, other.grid_wh),
            max(self.estimated_wh, other.estimated_wh),
            max(self.sequence, other.sequence),
        )

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "batteryWh": self.battery_wh,
            "gridWh": self.grid_wh,
            "estimatedWh": self.estimated_wh,
            "lossWh": self.loss_wh,
            "sequence": self.sequence,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SideEnergy:
        """Read the JSON form."""
        return cls(
            float(data.get("batteryWh", 0)),
            float(data.get("gridWh", 0)),
            float(data.get("estimatedWh", 0)),
            int(data.get("sequence", 0)),
        )


NO_ENERGY = SideEnergy()


@dataclass(frozen=True, slots=True)
class Deal:
    """The record of a deal. Its state is derived from the times alone; None is "not yet" or "never".

    Currents [A] of the two sides are signed (discharge negative), amounts in Wh, prices in points per Wh.

    Derived, once for each record because every look at the line asks for them deal by deal: `unit_ids`, giver and taker;
    `is_ended`, nothing more will happen, it holds no slot, direction or energy any more; `is_active`, its master-side
    unit is on for it (the original's master-active); `is_running`, both units are (the original's both-active);
    `is_started`, energy is being exchanged and counted; `is_in_transition`, it is between two resting states (created,
    started, ended).
    """

    deal_id: str
    negotiation_id: str
    direction: Direction
    request_unit_id: str
    accept_unit_id: str
    charge_unit_id: str
    discharge_unit_id: str
    grid_current_a: float
    amount_wh: int
    request_time: datetime
    accept_time: datetime
    create_time: datetime
    request_amount_wh: int
    accept_amount_wh: int
    request_grid_current_a: float
    accept_grid_current_a: float
    request_point_per_wh: float | None = None
    accept_point_per_wh: float | None = None
    point_per_wh: float | None = None
    request_pair_unit_id: str | None = None
    accept_pair_unit_id: str | None = None
    charge_unit_efficient_grid_voltage_v: float | None = None
    discharge_unit_efficient_grid_voltage_v: float | None = None
    activate_time: datetime | None = None
    ramp_up_time: datetime | None = None
    warm_up_time: datetime | None = None
    start_time: datetime | None = None
    cumulate_time: datetime | None = None
    stop_time: datetime | None = None
    deactivate_time: datetime | None = None
    abort_time: datetime | None = None
    scram_time: datetime | None = None
    cumulate_amount_wh: float = 0.0
    compensation_target_a: float | None = None
    charge_compensated_a: float | None = None
    discharge_compensated_a: float | None = None
    is_master: bool = False
    resets: tuple[Mark, ...] = ()
    aborts: tuple[Mark, ...] = ()
    interruptions: tuple[Mark, ...] = ()
    abort_reason: str | None = None
    scram_reason: str | None = None
    grants: tuple[Grant, ...] = ()
    energy: dict[str, SideEnergy] = field(default_factory=dict)
    epoch: int = 0
    # Of FAULTS: what is to fail on purpose, between simulated units only.
    faults: tuple[str, ...] = ()
    unit_ids: tuple[str, str] = field(init=False, repr=False, compare=False)
    is_ended: bool = field(init=False, repr=False, compare=False)
    is_active: bool = field(init=False, repr=False, compare=False)
    is_running: bool = field(init=False, repr=False, compare=False)
    is_started: bool = field(init=False, repr=False, compare=False)
    is_in_transition: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive what the record says."""
        derive = object.__setattr__
        is_ended = (
            self.deactivate_time is not None or self.scram_time is not None or (self.abort_time is not None and self.activate_time is None)
        )
        is_active = self.activate_time is not None and not is_ended
        is_exchanging = self.stop_time is None and not is_ended
        is_started = self.start_time is not None and is_exchanging
        derive(self, "unit_ids", (self.discharge_unit_id, self.charge_unit_id))
        derive(self, "is_ended", is_ended)
        derive(self, "is_active", is_active)
        derive(self, "is_running", self.warm_up_time is not None and is_exchanging)
        derive(self, "is_started", is_started)
        derive(self, "is_in_transition", is_active and not is_started)

    def side_of(self, unit_id: str) -> Side | None:
        """The side the unit is on, or None."""
        if unit_id == self.charge_unit_id:
            return Side.CHARGE
        return Side.DISCHARGE if unit_id == self.discharge_unit_id else None

    def unit_on(self, side: Side) -> str:
        """The unit on that side."""
        return self.charge_unit_id if side is Side.CHARGE else self.discharge_unit_id

    @property
    def is_completed(self) -> bool:
        """Whether it ended with its whole amount exchanged."""
        return self.is_ended and self.abort_time is None and self.scram_time is None

    def unit_sign(self, unit_id: str) -> int:
        """The sign of the unit's current in this deal; 0 for a unit that is no part of it."""
        side = self.side_of(unit_id)
        return 0 if side is None else side.sign

    def compensated_current_a(self, unit_id: str) -> float:
        """The signed current the unit carries for this deal [A]: compensated where measured, else agreed."""
        side = self.side_of(unit_id)
        if side is None:
            return 0.0
        value = self.charge_compensated_a if side is Side.CHARGE else self.discharge_compensated_a
        return side.sign * self.grid_current_a if value is None else value

    def side_energy(self, unit_id: str) -> SideEnergy:
        """The unit's counters for this deal."""
        return self.energy.get(unit_id, NO_ENERGY)

    def points(self) -> float:
        """What the taker owes the giver for what was exchanged so far."""
        return (self.point_per_wh or 0.0) * self.cumulate_amount_wh

    def changed(self, **changes: Any) -> Deal:
        """A copy with other values. Raises KeyError for a name that is none."""
        # In their order and not by name: of so many fields a copy takes a third of the time.
        values = list(_ALL(self))
        for name, value in changes.items():
            values[_PLACE[name]] = value
        return Deal(*values)

    def to_json(self, zone: tzinfo | None = None) -> dict[str, Any]:
        """The original's record (times in `zone`, or ISO in UTC without one) with our additions at the end."""
        record = {key: value for key, value in zip(FIELDS, _VALUES(self), strict=True) if value is not None or key in _NULLABLE}
        record["type"] = str(self.direction)
        for key, moment in zip(TIME_FIELDS, _TIMES(self), strict=True):
            if moment is not None:
                record[key] = format_time(moment, zone)
        if self.is_ended:
            never = ([] if self.activate_time else ["activate", "deactivate"]) + ([] if self.start_time else ["start", "stop"])
            record = {**{f"{name}DateTime": NEVER for name in never}, **record}
        if self.is_master:
            record["isMaster"] = True
        for key, marks in (("reset", self.resets), ("abort", self.aborts), ("interruption", self.interruptions)):
            if marks:
                record[key] = [{"dateTime": format_time(m.time, zone), "reason": m.reason} for m in marks]
        record["grants"] = [{"unitId": g.unit_id, "expires": format_time(g.expires, None)} for g in self.grants]
        record["energy"] = {unit_id: energy.to_json() for unit_id, energy in self.energy.items()}
        record["epoch"] = self.epoch
        if self.faults:
            record["testFeature"] = {"dcdc": dict.fromkeys(self.faults, True)}
        return record

    @classmethod
    def from_json(cls, data: Any, zone: tzinfo | None = None) -> Deal:
        """Read a record.

        Raises:
            MessageError: if it is not one.

        """
        try:
            values: dict[str, Any] = {name: data.get(key) for key, name in FIELDS.items() if key != "unitId"}
            values["direction"] = Direction(values["direction"])
            for key, name in TIME_FIELDS.items():
                text = data.get(key)
                values[name] = None if text in (None, NEVER) else parse_time(str(text), zone)
            for key, name in (("reset", "resets"), ("abort", "aborts"), ("interruption", "interruptions")):
                values[name] = tuple(Mark(parse_time(m["dateTime"], zone), m["reason"]) for m in data.get(key, ()))
            values["grants"] = tuple(Grant(g["unitId"], parse_time(g["expires"], None)) for g in data.get("grants", ()))
            values["energy"] = {unit: SideEnergy.from_json(e) for unit, e in data.get("energy", {}).items()}
            values["is_master"] = bool(data.get("isMaster", False))
            values["cumulate_amount_wh"] = float(values["cumulate_amount_wh"] or 0.0)
            values["epoch"] = int(data.get("epoch", 0))
            wanted = data.get("testFeature", {}).get("dcdc", {})
            values["faults"] = tuple(fault for fault in FAULTS if wanted.get(fault))
            # A record made by hand may leave the two offers out: they were what was agreed then.
            for side in ("request", "accept"):
                for name, agreed in (("amount_wh", "amount_wh"), ("grid_current_a", "grid_current_a")):
                    if values[f"{side}_{name}"] is None:
                        values[f"{side}_{name}"] = values[agreed]
            deal = cls(**values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MessageError(f"deal: {error!r} in {data!r:.200}") from error
        for name in _NEEDED:
            if getattr(deal, name) is None:
                raise MessageError(f"deal {deal.deal_id!r}: no {name}")
        for key, name in FIELDS.items():
            value = getattr(deal, name)
            if value is not None and not (_is_number(value) if name.endswith(_NUMBERS) else isinstance(value, str)):
                raise MessageError(f"deal {deal.deal_id!r}: {key}: found {value!r:.80}")
        return deal


_NAMES = [item.name for item in fields(Deal) if item.init]
_ALL = attrgetter(*_NAMES)
_PLACE = {name: place for place, name in enumerate(_NAMES)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_NUMBERS = ("_a", "_v", "_wh")


FIELDS = {
    "dealId": "deal_id",
    "negotiationId": "negotiation_id",
    "unitId": "request_unit_id",
    "type": "direction",
    "requestUnitId": "request_unit_id",
    "acceptUnitId": "accept_unit_id",
    "dischargeUnitId": "discharge_unit_id",
    "chargeUnitId": "charge_unit_id",
    "requestPairUnitId": "request_pair_unit_id",
    "acceptPairUnitId": "accept_pair_unit_id",
    "requestPointPerWh": "request_point_per_wh",
    "acceptPointPerWh": "accept_point_per_wh",
    "pointPerWh": "point_per_wh",
    "requestDealGridCurrentA": "request_grid_current_a",
    "acceptDealGridCurrentA": "accept_grid_current_a",
    "dealGridCurrentA": "grid_current_a",
    "requestAmountWh": "request_amount_wh",
    "acceptAmountWh": "accept_amount_wh",
    "dealAmountWh": "amount_wh",
    "cumulateAmountWh": "cumulate_amount_wh",
    "chargeUnitEfficientGridVoltageV": "charge_unit_efficient_grid_voltage_v",
    "dischargeUnitEfficientGridVoltageV": "discharge_unit_efficient_grid_voltage_v",
    "compensationTargetVoltageReferenceGridCurrentA": "compensation_target_a",
    "dischargeUnitCompensatedGridCurrentA": "discharge_compensated_a",
    "chargeUnitCompensatedGridCurrentA": "charge_compensated_a",
    "abortReason": "abort_reason",
    "scramReason": "scram_reason",
}
TIME_FIELDS = {
    f"{name}DateTime": attribute
    for name, attribute in (
        ("request", "request_time"),
        ("accept", "accept_time"),
        ("create", "create_time"),
        ("activate", "activate_time"),
        ("rampUp", "ramp_up_time"),
        ("warmUp", "warm_up_time"),
        ("start", "start_time"),
        ("cumulate", "cumulate_time"),
        ("stop", "stop_time"),
        ("deactivate", "deactivate_time"),
        ("abort", "abort_time"),
        ("scram", "scram_time"),
    )
}
_VALUES = attrgetter(*FIELDS.values())
_TIMES = attrgetter(*TIME_FIELDS.values())
_NULLABLE = frozenset({"requestPointPerWh", "acceptPointPerWh", "pointPerWh"})
_NEEDED = (
    "deal_id",
    "negotiation_id",
    "request_unit_id",
    "accept_unit_id",
    "charge_unit_id",
    "discharge_unit_id",
    "grid_current_a",
    "amount_wh",
    "request_time",
    "accept_time",
    "create_time",
)
