"""A unit's converter and battery as read: modes, set-points, meters (the original's `dcdc` and `battery` objects)."""

from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from enum import StrEnum
from operator import attrgetter
from typing import Any

from .errors import MessageError
from .times import format_time, parse_time


class ConverterMode(StrEnum):
    """The four modes a converter can be commanded to; the value is the code on the wire."""

    WAIT = "0x0000"
    VOLTAGE_REFERENCE = "0x0014"
    CHARGE = "0x0041"
    DISCHARGE = "0x0002"

    @property
    def operation_mode(self) -> str:
        """The `operationMode` text a device must show in this mode."""
        return _OPERATION_MODE[self]

    @property
    def is_current_mode(self) -> bool:
        """Whether the converter pushes or pulls a set current."""
        return self in (ConverterMode.CHARGE, ConverterMode.DISCHARGE)


_OPERATION_MODE = {
    ConverterMode.WAIT: "Waiting",
    ConverterMode.VOLTAGE_REFERENCE: "Grid Autonomy",
    ConverterMode.CHARGE: "Heteronomy CV",
    ConverterMode.DISCHARGE: "Heteronomy CV",
}
MODE_BY_CODE = {mode.value: mode for mode in ConverterMode}
_MODE_OF: dict[str | None, ConverterMode] = {mode.value: mode for mode in ConverterMode}


class AlarmState(StrEnum):
    """What a converter says of itself."""

    NONE = "No alarm"
    LIGHT = "Light alarm"
    HEAVY = "Heavy alarm"


@dataclass(frozen=True, slots=True)
class Meter:
    """Measured values; positive current and power charge the battery. None where the device did not say."""

    grid_voltage_v: float | None = None
    grid_current_a: float | None = None
    grid_power_w: float | None = None
    battery_voltage_v: float | None = None
    battery_current_a: float | None = None
    battery_power_w: float | None = None
    temperature_c: float | None = None


METER_KEYS = {
    "vg": "grid_voltage_v",
    "ig": "grid_current_a",
    "wg": "grid_power_w",
    "vb": "battery_voltage_v",
    "ib": "battery_current_a",
    "wb": "battery_power_w",
    "tmp": "temperature_c",
}


_METERED = attrgetter(*METER_KEYS.values())


def _number(data: dict[str, Any], key: str, where: str, old: float | None = None) -> float | None:
    value = data.get(key)
    if type(value) is float and value == value:
        return value
    if value is None:
        return old
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise MessageError(f"{where}.{key}: found {value!r}, expected a number")
    return float(value)


def _text(data: dict[str, Any], key: str, old: str | None) -> str | None:
    value = data.get(key)
    return old if value is None else str(value)


def _object(data: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    value = data.get(key, {})
    if not isinstance(value, dict):
        raise MessageError(f"{where}.{key}: found {value!r}, expected an object")
    return value


@dataclass(frozen=True, slots=True)
class Converter:
    """A converter as last seen: mode, alarm, meters and set-points.

    `mode` is None where the code is none of the four. `current_limit_a` (`dig`) is a magnitude; `target_voltage_v` is
    `dvg`, `droop_ratio` is `drg`.
    """

    mode_code: str | None = None
    operation_mode: str | None = None
    alarm_state: str | None = None
    meter: Meter = field(default_factory=Meter)
    target_voltage_v: float | None = None
    droop_ratio: float | None = None
    current_limit_a: float | None = None

    @property
    def mode(self) -> ConverterMode | None:
        """The mode, or None for a code that is none of the four."""
        return _MODE_OF.get(self.mode_code)

    def merged(self, data: dict[str, Any] | Converter) -> Converter:
        """This converter with whatever a device's answer (`status`, `meter`, `vdis`, `param`) says anew; a whole one takes its place.

        Raises:
            MessageError: if a part has the wrong type.

        """
        if isinstance(data, Converter):
            return data
        status = _object(data, "status", "dcdc")
        meter = _object(data, "meter", "dcdc")
        vdis = _object(data, "vdis", "dcdc")
        param = _object(data, "param", "dcdc")
        return Converter(
            _text(status, "status", self.mode_code),
            _text(status, "operationMode", self.operation_mode),
            _text(status, "alarmState", self.alarm_state),
            Meter(*[_number(meter, key, "dcdc.meter", old) for key, old in zip(METER_KEYS, _METERED(self.meter), strict=True)]),
            _number(vdis, "dvg", "dcdc.vdis", self.target_voltage_v),
            _number(vdis, "drg", "dcdc.vdis", self.droop_ratio),
            _number(param, "dig", "dcdc.param", self.current_limit_a),
        )

    @classmethod
    def from_json(cls, data: dict[str, Any] | Converter) -> Converter:
        """Read the original's `dcdc` object, unless it has been read."""
        if isinstance(data, Converter):
            return data
        return cls().merged(data)

    def to_json(self) -> dict[str, Any]:
        """The original's `dcdc` object."""
        return {
            "status": {"status": self.mode_code, "operationMode": self.operation_mode, "alarmState": self.alarm_state},
            "meter": {key: getattr(self.meter, name) for key, name in METER_KEYS.items()},
            "vdis": {"dvg": self.target_voltage_v, "drg": self.droop_ratio},
            "param": {"dig": self.current_limit_a},
        }


class Permission(StrEnum):
    """What the battery allows (`battery_operation_status` 0 to 3)."""

    DENIED = "denied"
    CHARGE_ONLY = "charge_only"
    DISCHARGE_ONLY = "discharge_only"
    ALLOWED = "allowed"

    def allows(self, *, charging: bool) -> bool:
        """Whether energy may flow in that direction."""
        return self in (Permission.ALLOWED, Permission.CHARGE_ONLY if charging else Permission.DISCHARGE_ONLY)


PERMISSIONS = {0: Permission.DENIED, 1: Permission.CHARGE_ONLY, 2: Permission.DISCHARGE_ONLY, 3: Permission.ALLOWED}
_PERMISSION_CODES = {permission: code for code, permission in PERMISSIONS.items()}


@dataclass(frozen=True, slots=True)
class Battery:
    """A battery as read. A device that says nothing of permission allows both directions."""

    state_of_charge_pct: float | None = None
    permission: Permission = Permission.ALLOWED

    @classmethod
    def from_json(cls, data: dict[str, Any] | Battery) -> Battery:
        """Read `rsoc` and `battery_operation_status`, unless they have been read.

        Raises:
            MessageError: for a state of charge outside 0 to 100 or an unknown permission.

        """
        if isinstance(data, Battery):
            return data
        state_of_charge_pct = _number(data, "rsoc", "battery")
        if state_of_charge_pct is not None and not 0 <= state_of_charge_pct <= 100:
            raise MessageError(f"battery.rsoc: found {state_of_charge_pct}, expected 0 to 100")
        code = data.get("battery_operation_status")
        if code is not None and code not in list(PERMISSIONS):
            raise MessageError(f"battery.battery_operation_status: found {code!r}, expected 0, 1, 2 or 3")
        return cls(state_of_charge_pct, Permission.ALLOWED if code is None else PERMISSIONS[code])

    def without_discharging(self) -> Battery:
        """This battery behind a device that only charges it."""
        allowed = self.permission.allows(charging=True)
        return replace(self, permission=Permission.CHARGE_ONLY if allowed else Permission.DENIED)

    def to_json(self) -> dict[str, Any]:
        """The original's `battery` object."""
        return {"rsoc": self.state_of_charge_pct, "battery_operation_status": _PERMISSION_CODES[self.permission]}


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a unit's device.

    `time` is the community's time in UTC; `monotonic_s` is the reader's monotonic clock [s] and means something on that
    machine only; `house` carries what the device knows beside converter and battery (load, PV), as it said it.
    """

    unit_id: str
    time: datetime
    monotonic_s: float
    converter: Converter
    battery: Battery
    house: dict[str, Any] = field(default_factory=dict)

    def remaining_wh(self, nominal_capacity_wh: float) -> int | None:
        """Energy in the battery [Wh], cut to whole watt-hours as the original does."""
        if self.battery.state_of_charge_pct is None:
            return None
        return int(nominal_capacity_wh * self.battery.state_of_charge_pct / 100)

    def to_json(self, zone: tzinfo | None) -> dict[str, Any]:
        """The original's unit data without its `apis` and `oesunit` parts."""
        return {
            "unitId": self.unit_id,
            "time": format_time(self.time, zone),
            "dcdc": self.converter.to_json(),
            "battery": self.battery.to_json(),
            "emu": self.house,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], monotonic_s: float, zone: tzinfo | None = None) -> Reading:
        """Read unit data; `monotonic_s` is the receiver's.

        Raises:
            MessageError: if a part is missing or wrong.

        """
        try:
            unit_id, time, dcdc, battery = data["unitId"], data["time"], data["dcdc"], data["battery"]
        except KeyError as error:
            raise MessageError(f"reading: no {error}, expected unitId, time, dcdc, battery") from None
        house = _object(data, "emu", "reading")
        return cls(unit_id, parse_time(time, zone), monotonic_s, Converter.from_json(dcdc), Battery.from_json(battery), house)
