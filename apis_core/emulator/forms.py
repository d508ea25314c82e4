"""What the present API takes and gives: JSON forms of houses, states and lines, checked at the edge."""

from collections.abc import Callable
from dataclasses import asdict, replace
import math
import re
from typing import Any

import numpy as np

from ..model.converter import ConverterMode
from ..model.errors import MessageError
from .engine import MODES, Engine
from .houses import House, Losses, Protection
from .protection import HEAVY, Alarm

UNIT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
type Check = Callable[[Any], str | None]


def between(low: float, high: float) -> Check:
    """A number within a span; what is expected, or None if it is good."""

    def check(value: Any) -> str | None:
        good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and low <= value <= high
        return None if good else f"a number from {low:g} to {high:g}"

    return check


def whole(low: int, high: int) -> Check:
    """A whole number within a span."""

    def check(value: Any) -> str | None:
        good = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if good else f"a whole number from {low} to {high}"

    return check


def one_of(*words: Any) -> Check:
    """One of some values."""
    return lambda value: None if value in words else f"one of {', '.join(str(word) for word in words)}"


def checked(data: Any, where: str, checks: dict[str, Check]) -> dict[str, Any]:
    """The object, if all its keys are known and good.

    Raises:
        MessageError: naming the key, what was found and what was expected.

    """
    if not isinstance(data, dict):
        raise MessageError(f"{where}: found {type(data).__name__}, expected an object")
    for key, value in data.items():
        if key not in checks:
            raise MessageError(f"{where}.{str(key)[:40]}: expected one of {', '.join(checks)}")
        expected = checks[key](value)
        if expected is not None:
            raise MessageError(f"{where}.{key}: found {value!r:.40}, expected {expected}")
    return data


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "true or false"


def _object(value: Any) -> str | None:
    return None if isinstance(value, dict) else "an object"


_HOUSE: dict[str, Check] = {
    "household": whole(0, 1_000_000),
    "state_of_charge_pct": between(0, 100),
    "battery_wh": between(1, 1e7),
    "solar_kw": between(0, 1e4),
    "load_scale": between(0, 1000),
    "battery_voltage_v": between(1, 1000),
    "grid_current_max_a": between(0.01, 1000),
    "permission": one_of(None, 0, 1, 2, 3),
    "losses": _object,
    "protection": _object,
}
_LOSSES: dict[str, Check] = {name: between(0, 1000) for name in asdict(Losses())}
_PROTECTION: dict[str, Check] = {name: between(0, 1000) if name != "active" else _flag for name in asdict(Protection())}
CONVERTER: dict[str, Check] = {
    "mode": one_of(*(mode.name for mode in ConverterMode)),
    "line_voltage_v": between(0, 425),
    "current_a": between(0, 1000),
    "droop_ratio": between(0, 4),
}
LINE: dict[str, Check] = {"leak_a": between(0, 100), "dip_ratio": between(0, 1), "dip_s": between(0.01, 60)}


def house_from(unit_id: str, data: Any, base: House | None = None) -> House:
    """A house from its JSON form; what is not given is as in `base`.

    Raises:
        MessageError: naming the key, what was found and what was expected.

    """
    if not UNIT_ID.fullmatch(unit_id):
        raise MessageError(f"unit id: found {unit_id[:40]!r}, expected letters, digits, _ and -, at most 32")
    known = base or House(unit_id, 0)
    values = dict(checked(data, f"unit {unit_id}", _HOUSE))
    if "losses" in values:
        values["losses"] = replace(known.losses, **checked(values["losses"], f"unit {unit_id}.losses", _LOSSES))
    if "protection" in values:
        values["protection"] = replace(known.protection, **checked(values["protection"], f"unit {unit_id}.protection", _PROTECTION))
    return replace(known, unit_id=unit_id, **values)


def house_json(house: House) -> dict[str, Any]:
    """A house's JSON form."""
    data = asdict(house)
    del data["unit_id"]
    return data


def alarms_of(code: int) -> list[str]:
    """The names of what is wrong with a converter."""
    return [alarm.name.lower() for alarm in Alarm if code & alarm and alarm.name]


def unit_json(engine: Engine, unit: int) -> dict[str, Any]:
    """A unit as it is now: exact values, with their units in their names."""
    grid_w, battery_w = float(engine.grid_power_w[unit]), float(engine.battery_power_w[unit])
    return {
        "id": engine.unit_ids[unit],
        "state_of_charge_pct": float(engine.state_of_charge_pct[unit]),
        "energy_wh": float(engine.energy_wh[unit]),
        "battery_flow_w": float(engine.flow_w[unit]),
        "solar_w": float(engine.solar_w[unit]),
        "load_w": float(engine.load_w[unit]),
        "mains_w": float(engine.mains_w[unit]),
        "ups": "bypass" if engine.bypass[unit] else "battery",
        "mains_charging": bool(engine.ac_charging[unit]),
        "permission": int(engine.permission[unit]),
        "converter": {
            "mode": MODES[engine.mode[unit]].name,
            "line_voltage_v": float(engine.target_voltage_v[unit]),
            "current_a": float(engine.current_limit_a[unit]),
            "droop_ratio": float(engine.droop_ratio[unit]),
            "grid_voltage_v": float(engine.unit_voltage_v[unit]),
            "grid_current_a": float(engine.grid_current_a[unit]),
            "grid_power_w": grid_w,
            "battery_power_w": battery_w,
            "alarms": alarms_of(int(engine.alarm[unit])),
            "heavy_alarm": bool(engine.alarm[unit] & HEAVY),
        },
        "battery_integral_wh": float(engine.battery_integral_wh[unit]),
        "grid_integral_wh": float(engine.grid_integral_wh[unit]),
    }


def snapshot_json(engine: Engine) -> dict[str, Any]:
    """Everything that has to be kept to go on from here."""
    return {
        "format": "apis-emulator-1",
        "elapsed_s": engine.elapsed_s,
        "line_voltage_v": engine.line_voltage_v,
        "units": [
            {
                "id": house.unit_id,
                "house": house_json(house),
                "energy_wh": float(engine.energy_wh[i]),
                "converter": {
                    "mode": MODES[engine.mode[i]].name,
                    "line_voltage_v": float(engine.target_voltage_v[i]),
                    "current_a": float(engine.current_limit_a[i]),
                    "droop_ratio": float(engine.droop_ratio[i]),
                },
            }
            for i, house in enumerate(engine.houses)
        ],
    }


def restore(engine: Engine, data: Any) -> None:
    """Go on from a snapshot instead of from here; either all of it is taken or none.

    Raises:
        MessageError: naming what is wrong with it.

    """
    top: dict[str, Check] = {
        "format": one_of("apis-emulator-1"),
        "elapsed_s": between(0, 1e10),
        "line_voltage_v": between(0, 425),
        "units": lambda value: None if isinstance(value, list) and value else "a list of units",
    }
    checked(data, "snapshot", top)
    missing = sorted(set(top) - set(data))
    if missing:
        raise MessageError(f"snapshot: no {missing[0]}")
    houses, settings = [], []
    for item in data["units"]:
        each: dict[str, Check] = {"id": lambda v: None if isinstance(v, str) else "a text", "house": _object, "converter": _object}
        checked(item, "snapshot.units", each | {"energy_wh": between(0, 1e7)})
        if set(item) != {"id", "house", "converter", "energy_wh"}:
            raise MessageError(f"snapshot.units: found {', '.join(item)}, expected id, house, converter, energy_wh")
        house = house_from(item["id"], item["house"])
        converter = checked(item["converter"], f"unit {house.unit_id}.converter", CONVERTER)
        if set(converter) != set(CONVERTER):
            raise MessageError(f"unit {house.unit_id}.converter: expected {', '.join(CONVERTER)}")
        houses.append(house)
        mode = ConverterMode[converter["mode"]]
        settings.append((mode, float(converter["line_voltage_v"]), float(converter["current_a"]), float(converter["droop_ratio"])))
    if len({house.unit_id for house in houses}) < len(houses):
        raise MessageError("snapshot.units: found a unit twice")
    engine.replace_all(tuple(houses), data["elapsed_s"])
    engine.settle_at(data["line_voltage_v"], np.array([item["energy_wh"] for item in data["units"]], dtype=float), settings)
