"""The device API as a function: an engine, a path and a query in, an answer out. HTTP and virtual time both use it.

Paths, names, shapes and units are the original's (hardware reference 1.3, 1.4); what the original dies of is refused.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
import math
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from ..model.converter import ConverterMode
from ..model.errors import ApisError
from ..model.times import ORIGINAL_FORM
from .engine import ALL_PERMITTED, MODES, Engine
from .houses import House
from .protection import HEAVY

TEMPERATURE_C = 26.59
LINE_VOLTAGE_MAX_V = 425.0
ACCEPTED_NUMBER_MAX = 1e6
STATUS_TEXTS = {
    ConverterMode.WAIT: ("Waiting", "off"),
    ConverterMode.DISCHARGE: ("Heteronomy CV Discharging", "discharge"),
    ConverterMode.VOLTAGE_REFERENCE: ("Grid Autonomy Mode", "discharge"),
    ConverterMode.CHARGE: ("Heteronomy CV Charging - grid current limited", "charge"),
}
LIGHT, HEAVY_ALARM = ("4010 0080 0000", "Light alarm"), ("4010 0080 0002", "Heavy alarm")
# What a new house says of things that are not simulated.
CONSTANTS = {
    "battery_voltage": 52.1,
    "battery_rsoc": 34,
    "pvc_charge_voltage": 0.28,
    "pvc_charge_current": 0,
    "ups_input_voltage": 102.8,
    "ups_output_voltage": 102.8,
    "ups_output_current": 11.7,
    "ups_output_frequency": 60,
    "ups_operation_schedule": 1,
}
NESTED = ("ups_operation_mode", "dischargeable_time", "system_time")
COMPUTED = ("charge_discharge_power", "battery_current", "pvc_charge_power", "ups_output_power")
# State of charge [%] of the six houses of `/restart`.
CANNED_PCT = (70.0, 92.0, 26.0, 43.0, 68.0, 95.0)
SAVED = "lastSave.json"


class BadRequestError(ApisError):
    """A request the emulator refuses; `status` is the HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        """The message names the parameter."""
        super().__init__(message)
        self.status = status


class Text(str):
    """An answer that is not JSON."""

    __slots__ = ()


@lru_cache
def _parts(target: str) -> tuple[str, Mapping[str, str]]:
    """Path and query: the same few commands come over and over."""
    parts = urlsplit(target)
    return parts.path, MappingProxyType(dict(parse_qsl(parts.query, keep_blank_values=True)))


class DeviceApi:
    """The original's API on an engine. `folder`: where `/save` puts its file; without one it is kept in memory."""

    def __init__(self, engine: Engine, folder: Path | None = None) -> None:
        """Nothing was set by hand yet."""
        self.engine = engine
        self._folder = folder
        self._saved: bytes | None = None
        # By unit: values set by hand. What is computed shows them until time goes on.
        self.shown: dict[str, dict[str, float]] = {}
        self._moment_s = engine.elapsed_s

    def answer(self, target: str) -> Any:
        """The answer to a GET of `target` (path and query) at the engine's present moment.

        Raises:
            BadRequestError: for an unknown path or unit, or a parameter that is missing or impossible. Nothing has changed then.

        """
        path, query = _parts(target)
        whole = _WHOLE.get(path)
        if whole is not None:
            return whole(self)
        family, _, unit_id = path.rpartition("/")
        route = _UNIT_ROUTES.get(family)
        if route is None or not unit_id:
            raise BadRequestError(f"{path[:200]}: no such path", 404)
        return route(self, unit_id, query)

    def unit_object(self, unit: int) -> dict[str, Any]:
        """A unit's complete object."""
        engine, unit_id = self.engine, self.engine.unit_ids[unit]
        return {
            "emu": self.emu(unit),
            "dcdc": {
                "status": _status(engine, unit),
                "meter": _meter(engine, unit),
                "vdis": _vdis(engine, unit),
                "param": {"dig": float(engine.current_limit_a[unit]), **_thresholds(engine.houses[unit])},
                "powermeter": {
                    "p1": self._by_hand(unit_id).get("p1", 0.0),
                    "p2": round(float(engine.mains_w[unit]), 2),
                    "v1": 206.1,
                    "i1": 0,
                    "kwh1": 0,
                    "kwh2": 0,
                },
            },
            "oesunit": {
                "id": unit_id,
                "display": f"Sample_{unit_id}",
                "ip": f"localhost:4390/{unit_id}",
                "sn": "2",
                "budo": "1",
                "on": True,
                "mac": "1c:ba:8c:e1:60:4f",
                "ipv6_ll": "fe80::1eba:8cff:fee1:604f%eth0",
                "ipv6_g": "NA",
            },
            "time": engine.now.strftime(ORIGINAL_FORM),
        }

    def emu(self, unit: int) -> dict[str, Any]:
        """Battery, PV and UPS of a unit."""
        engine = self.engine
        flow_w = float(engine.flow_w[unit])
        power_w = round(abs(flow_w), 2)
        battery_a = round(power_w / float(engine.battery_voltage_v[unit]), 2)
        data: dict[str, Any] = {
            "rsoc": round(float(engine.state_of_charge_pct[unit]), 2),
            "charge_discharge_power": power_w,
            "battery_current": battery_a if flow_w > 0 else -battery_a,
            "pvc_charge_power": round(float(engine.solar_w[unit]), 2),
            "ups_output_power": round(float(engine.load_w[unit]), 2),
            "ups_operation_mode": {"mode": 5 if engine.bypass[unit] else 2, "parameter": 80, "stop_mode": 2},
            **CONSTANTS,
            "dischargeable_time": {"hour": 0, "minute": 0},
            "system_time": {"year": 2014, "month": 12, "day": 20, "hour": 23, "minute": 5},
        }
        if engine.houses[unit].permission is not None or engine.permission[unit] != ALL_PERMITTED:
            data["battery_operation_status"] = int(engine.permission[unit])
        by_hand = self._by_hand(engine.unit_ids[unit])
        return {**data, **{key: value for key, value in by_hand.items() if key in data}}

    def _by_hand(self, unit_id: str) -> Mapping[str, float]:
        if self.engine.elapsed_s != self._moment_s:
            self._moment_s = self.engine.elapsed_s
            self.shown = {unit: {k: v for k, v in values.items() if k not in COMPUTED} for unit, values in self.shown.items()}
        return self.shown.get(unit_id, {})

    def all_units(self) -> dict[str, Any]:
        """Every unit's complete object."""
        return {unit_id: self.unit_object(unit) for unit_id, unit in self.engine.index.items()}

    def get_unit(self, unit_id: str, _query: Mapping[str, str]) -> dict[str, Any]:
        """What a node reads; an unknown unit is an empty object."""
        unit = self.engine.index.get(unit_id)
        if unit is None:
            return {}
        return {**self.unit_object(unit), "dcdc": self.reduced_converter(unit)}

    def reduced_converter(self, unit: int) -> dict[str, Any]:
        """A converter as a node reads it."""
        engine = self.engine
        return {
            "status": _reduced_status(engine, unit),
            "meter": _meter(engine, unit),
            "vdis": _vdis(engine, unit),
            "param": _param(engine, unit),
        }

    def get_status(self, unit_id: str, _query: Mapping[str, str]) -> dict[str, Any]:
        """Mode and meters; an unknown unit is an empty object."""
        unit = self.engine.index.get(unit_id)
        return {} if unit is None else {"status": _reduced_status(self.engine, unit), "meter": _meter(self.engine, unit)}

    def get_dcdc(self, unit_id: str, _query: Mapping[str, str]) -> Any:
        """The complete converter."""
        return self.unit_object(self._unit(unit_id))["dcdc"]

    def get_emu(self, unit_id: str, _query: Mapping[str, str]) -> Any:
        """Battery, PV and UPS."""
        return self.emu(self._unit(unit_id))

    def set_dcdc(self, unit_id: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Mode and all set-points."""
        engine, unit, code = self.engine, self._unit(unit_id), query.get("mode")
        if code not in list(ConverterMode):
            raise BadRequestError(f"mode: found {str(code)[:40]!r}, expected one of {', '.join(ConverterMode)}")
        voltage_v, current_a, droop = _voltage(query), self._current(unit, query), _droop(query)
        if ("p1" in query) != ("p2" in query):
            raise BadRequestError("p1, p2: found one of them, expected both or none")
        meters = {key: _number(query, key) for key in ("p1", "p2") if key in query}
        engine.set_mode(unit, ConverterMode(code), voltage_v, current_a, droop)
        if meters:
            self.shown.setdefault(unit_id, {})["p1"] = meters["p1"]
        return self.reduced_converter(unit)

    def set_voltage(self, unit_id: str, query: Mapping[str, str]) -> dict[str, Any]:
        """The line voltage to aim at."""
        unit = self._unit(unit_id)
        self.engine.set_voltage(unit, _voltage(query), _droop(query))
        return {"meter": _meter(self.engine, unit), "vdis": _vdis(self.engine, unit)}

    def set_current(self, unit_id: str, query: Mapping[str, str]) -> dict[str, Any]:
        """The current limit."""
        unit = self._unit(unit_id)
        self.engine.set_current(unit, self._current(unit, query))
        return {"meter": _meter(self.engine, unit), "param": _param(self.engine, unit)}

    def set_emu(self, unit_id: str, query: Mapping[str, str]) -> Any:
        """Values of battery, PV and UPS; all units are the answer. Either all values are taken or none."""
        if not query:
            return self.all_units()
        unit = self._unit(unit_id)
        known = self.emu(unit) | {"battery_operation_status": 3}
        for key in query:
            if key not in known:
                return Text(f"following key not found: {key[:80]}")
            if key in NESTED:
                raise BadRequestError(f"{key}: expected a value that is a number")
        values = {key: _number(query, key, below=None) for key in query}
        percent, permission = values.get("rsoc", 0.0), values.get("battery_operation_status", 0.0)
        if not 0 <= percent <= 100:
            raise BadRequestError(f"rsoc: found {percent:g}, expected 0 to 100")
        if permission not in (0, 1, 2, 3):
            raise BadRequestError(f"battery_operation_status: found {permission:g}, expected 0, 1, 2 or 3")
        self._set_values(unit, values)
        return self.all_units()

    def _set_values(self, unit: int, values: Mapping[str, float]) -> None:
        self._by_hand("")
        for key, value in values.items():
            if key == "rsoc":
                self.engine.set_state_of_charge(unit, value)
            elif key == "battery_operation_status":
                self.engine.set_permission(unit, int(value))
            else:
                self.shown.setdefault(self.engine.unit_ids[unit], {})[key] = value

    def add_unit(self) -> dict[str, Any]:
        """One more unit, with the next free number."""
        number = len(self.engine.houses) + 1
        while f"E{number:03}" in self.engine.index:
            number += 1
        if number > UNITS_MAX:
            raise BadRequestError(f"add: found {len(self.engine.houses)} units, expected at most {UNITS_MAX}")
        self.engine.add(House(f"E{number:03}", number - 1))
        return self.all_units()

    def remove_unit(self) -> dict[str, Any]:
        """The newest unit goes."""
        if len(self.engine.houses) == 1:
            raise BadRequestError("remove: found one unit, expected more than one: a line needs a house")
        gone = self.engine.unit_ids[-1]
        self.engine.remove(gone)
        self.shown.pop(gone, None)
        return self.all_units()

    def save(self) -> dict[str, Any]:
        """All units as they are, for `/get/last`."""
        units = self.all_units()
        self._saved = orjson.dumps(units)
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            part = self._folder / f".{SAVED}.part"
            part.write_bytes(self._saved)
            part.replace(self._folder / SAVED)
        return units

    def get_last(self) -> dict[str, Any]:
        """The units that were saved last, instead of the present ones."""
        path = self._folder / SAVED if self._folder is not None else None
        data = path.read_bytes() if path is not None and path.is_file() else self._saved
        if data is None:
            raise BadRequestError("last: nothing has been saved yet", 404)
        try:
            saved = [_Saved.read(unit_id, unit) for unit_id, unit in orjson.loads(data).items()]
        except (orjson.JSONDecodeError, AttributeError) as error:
            raise BadRequestError(f"last: {path or 'memory'}: {error}, expected what /save writes") from error
        if not saved:
            raise BadRequestError("last: found no unit, expected at least one")
        self._replace([item.house for item in saved])
        commands = [(item.mode, item.voltage_v, item.current_a, item.droop_ratio) for item in saved]
        self.engine.settle_at(self.engine.line_voltage_v, self.engine.energy_wh, commands)
        return self.all_units()

    def restart(self) -> dict[str, Any]:
        """Six houses of different charge instead of the present ones; time goes on."""
        self._replace([House(f"E{i + 1:03}", i, state_of_charge_pct=percent) for i, percent in enumerate(CANNED_PCT)])
        return self.all_units()

    def _replace(self, houses: list[House]) -> None:
        self.engine.replace_all(tuple(houses))
        self.shown.clear()

    def _unit(self, unit_id: str) -> int:
        if unit_id not in self.engine.index:
            raise BadRequestError(f"unit {unit_id[:40]!r}: expected one of {', '.join(self.engine.unit_ids[:20])}", 404)
        return self.engine.index[unit_id]

    def _current(self, unit: int, query: Mapping[str, str]) -> float:
        value, limit_a = _number(query, "dig"), float(self.engine.current_max_a[unit])
        if value > limit_a:
            raise BadRequestError(f"dig: found {value:g} A, expected 0 to {limit_a:g} A")
        return value


class _Saved:
    """One unit of a saved file: its house and what its converter was set to."""

    def __init__(self, house: House, mode: ConverterMode, voltage_v: float, current_a: float, droop_ratio: float) -> None:
        self.house, self.mode = house, mode
        self.voltage_v, self.current_a, self.droop_ratio = voltage_v, current_a, droop_ratio

    @classmethod
    def read(cls, unit_id: str, unit: Any) -> _Saved:
        """Raises BadRequestError, naming the unit and what is wrong with it."""
        try:
            percent = float(unit["emu"]["rsoc"])
            mode = ConverterMode(unit["dcdc"]["status"]["status"])
            numbers = (unit["dcdc"]["vdis"]["dvg"], unit["dcdc"]["param"]["dig"], unit["dcdc"]["vdis"]["drg"])
            voltage_v, current_a, droop_ratio = (float(value) for value in numbers)
        except (KeyError, TypeError, ValueError) as error:
            raise BadRequestError(f"last: unit {str(unit_id)[:40]}: {error!r}, expected what /save writes") from error
        good = 0 <= percent <= 100 and 0 <= voltage_v <= LINE_VOLTAGE_MAX_V and 0 <= current_a <= House("", 0).grid_current_max_a
        if not good or not 0 <= droop_ratio <= 4 or not unit_id.isalnum():
            raise BadRequestError(f"last: unit {str(unit_id)[:40]}: found a value out of range, expected what /save writes")
        household = int(unit_id[1:]) - 1 if unit_id[1:].isdecimal() and int(unit_id[1:]) > 0 else 0
        return cls(House(unit_id, household, state_of_charge_pct=percent), mode, voltage_v, current_a, droop_ratio)


def _status(engine: Engine, unit: int) -> dict[str, Any]:
    mode = MODES[engine.mode[unit]]
    name, running = STATUS_TEXTS[mode]
    alarm, state = HEAVY_ALARM if engine.alarm[unit] & HEAVY else LIGHT
    return {
        "status": str(mode),
        "statusName": name,
        "operationMode": mode.operation_mode,
        "runningState": running,
        "alarm": alarm,
        "alarmState": state,
    }


def _meter(engine: Engine, unit: int) -> dict[str, float]:
    grid_w, battery_w = float(engine.grid_power_w[unit]), float(engine.battery_power_w[unit])
    battery_v = float(engine.battery_voltage_v[unit])
    return {
        "vg": round(float(engine.unit_voltage_v[unit]), 3),
        "ig": round(float(engine.grid_current_a[unit]), 6),
        "wg": round(grid_w, 3),
        "vb": battery_v,
        "ib": round(battery_w / battery_v, 2),
        "wb": round(battery_w, 3),
        "tmp": TEMPERATURE_C,
    }


def _vdis(engine: Engine, unit: int) -> dict[str, float]:
    return {"dvg": float(engine.target_voltage_v[unit]), "drg": float(engine.droop_ratio[unit])}


def _reduced_status(engine: Engine, unit: int) -> dict[str, Any]:
    status = _status(engine, unit)
    return {key: status[key] for key in ("status", "alarmState", "operationMode")}


def _param(engine: Engine, unit: int) -> dict[str, float]:
    return {"dig": float(engine.current_limit_a[unit])}


def _thresholds(house: House) -> dict[str, float]:
    p = house.protection
    return {
        "ogv": p.line_over_voltage_v,
        "ugv": p.line_under_voltage_v,
        "cib": p.battery_current_a,
        "obv": p.battery_over_voltage_v,
        "ubv": p.battery_under_voltage_v,
    }


def _voltage(query: Mapping[str, str]) -> float:
    value = _number(query, "dvg")
    if value > LINE_VOLTAGE_MAX_V:
        raise BadRequestError(f"dvg: found {value:g} V, expected 0 to {LINE_VOLTAGE_MAX_V:g} V")
    return value


def _droop(query: Mapping[str, str]) -> float | None:
    return _number(query, "drg", below=4.0) if "drg" in query else None


def _number(query: Mapping[str, str], key: str, *, below: float | None = ACCEPTED_NUMBER_MAX) -> float:
    """A number of the query; with `below` None it may be negative."""
    text = query.get(key)
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    low, high = (0.0, below) if below is not None else (-ACCEPTED_NUMBER_MAX, ACCEPTED_NUMBER_MAX)
    if not low <= value < high:
        raise BadRequestError(f"{key}: found {str(text)[:40]!r}, expected a number from {low:g} to {high:g}")
    return value


UNITS_MAX = 100_000
_WHOLE: dict[str, Callable[[DeviceApi], Any]] = {
    "/get/log": DeviceApi.all_units,
    "/add/unit": DeviceApi.add_unit,
    "/remove/unit": DeviceApi.remove_unit,
    "/save": DeviceApi.save,
    "/get/last": DeviceApi.get_last,
    "/restart": DeviceApi.restart,
}
_UNIT_ROUTES: dict[str, Callable[[DeviceApi, str, Mapping[str, str]], Any]] = {
    "/get/unit": DeviceApi.get_unit,
    "/get/dcdc/status": DeviceApi.get_status,
    "/get/dcdc": DeviceApi.get_dcdc,
    "/get/emu": DeviceApi.get_emu,
    "/set/dcdc": DeviceApi.set_dcdc,
    "/set/dcdc/voltage": DeviceApi.set_voltage,
    "/set/dcdc/current": DeviceApi.set_current,
    "/set/emu": DeviceApi.set_emu,
}
