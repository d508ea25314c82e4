"""The device API as a function: an engine, a path and a query in, an answer out. HTTP and virtual time both use it.

Paths, names, shapes and units are the original's (hardware reference 1.3, 1.4); what the original dies of is refused.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ..model.converter import ConverterMode
from ..model.errors import ApisError
from ..model.times import ORIGINAL_FORM
from .engine import BATTERY_VOLTAGE_V, MODES, Engine

TEMPERATURE_C = 26.59
STATUS_TEXTS = {
    ConverterMode.WAIT: ("Waiting", "off"),
    ConverterMode.DISCHARGE: ("Heteronomy CV Discharging", "discharge"),
    ConverterMode.VOLTAGE_REFERENCE: ("Grid Autonomy Mode", "discharge"),
    ConverterMode.CHARGE: ("Heteronomy CV Charging - grid current limited", "charge"),
}
METER_KEYS = ("wg", "tmp", "vb", "wb", "vg", "ib", "ig")


class BadRequestError(ApisError):
    """A request the emulator refuses; `status` is the HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        """The message names the parameter."""
        super().__init__(message)
        self.status = status


def answer(engine: Engine, target: str) -> Any:
    """The answer to a GET of `target` (path and query) at the engine's present moment.

    Raises:
        BadRequestError: for an unknown path or unit, or a parameter that is missing or impossible. Nothing has changed then.

    """
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    path, _, unit_id = parts.path.rpartition("/")
    route = _ROUTES.get(parts.path) or _UNIT_ROUTES.get(path)
    if route is None:
        raise BadRequestError(f"{parts.path}: no such path", 404)
    return route(engine, unit_id, query)


def unit_object(engine: Engine, unit: int) -> dict[str, Any]:
    """A unit's complete object."""
    unit_id = engine.unit_ids[unit]
    flow_w = float(engine.flow_w[unit])
    power_w = round(abs(flow_w), 2)
    battery_a = round(power_w / BATTERY_VOLTAGE_V, 2)
    bypass = bool(engine.bypass[unit])
    return {
        "emu": {
            "rsoc": round(float(engine.state_of_charge_pct[unit]), 2),
            "charge_discharge_power": power_w,
            "battery_current": battery_a if flow_w > 0 else -battery_a,
            "pvc_charge_power": round(float(engine.solar_w[unit]), 2),
            "ups_output_power": round(float(engine.load_w[unit]), 2),
            "ups_operation_mode": {"mode": 5 if bypass else 2, "parameter": 80, "stop_mode": 2},
            "battery_voltage": 52.1,
            "battery_rsoc": 34,
            "pvc_charge_voltage": 0.28,
            "pvc_charge_current": 0,
            "ups_input_voltage": 102.8,
            "ups_output_voltage": 102.8,
            "ups_output_current": 11.7,
            "ups_output_frequency": 60,
            "ups_operation_schedule": 1,
            "dischargeable_time": {"hour": 0, "minute": 0},
            "system_time": {"year": 2014, "month": 12, "day": 20, "hour": 23, "minute": 5},
        },
        "dcdc": {
            "status": _status(engine, unit),
            "meter": _meter(engine, unit),
            "vdis": _vdis(engine, unit),
            "param": {"dig": float(engine.current_limit_a[unit]), "ogv": 400, "ugv": 300, "cib": 25.0, "obv": 59.0, "ubv": 40.0},
            "powermeter": {"p1": 0.0, "p2": round(float(engine.mains_w[unit]), 2), "v1": 206.1, "i1": 0, "kwh1": 0, "kwh2": 0},
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


def _status(engine: Engine, unit: int) -> dict[str, Any]:
    mode = MODES[engine.mode[unit]]
    name, running = STATUS_TEXTS[mode]
    return {
        "status": str(mode),
        "statusName": name,
        "operationMode": mode.operation_mode,
        "runningState": running,
        "alarm": "4010 0080 0000",
        "alarmState": "Light alarm",
    }


def _meter(engine: Engine, unit: int) -> dict[str, float]:
    grid_w, battery_w = float(engine.grid_power_w[unit]), float(engine.battery_power_w[unit])
    return {
        "vg": round(engine.line_voltage_v, 3),
        "ig": round(float(engine.grid_current_a[unit]), 6),
        "wg": round(grid_w, 3),
        "vb": BATTERY_VOLTAGE_V,
        "ib": round(battery_w / BATTERY_VOLTAGE_V, 2),
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


def _get_unit(engine: Engine, unit_id: str, _query: Mapping[str, str]) -> dict[str, Any]:
    unit = engine.index.get(unit_id)
    if unit is None:
        return {}
    data = unit_object(engine, unit)
    data["dcdc"] = {
        "status": _reduced_status(engine, unit),
        "meter": data["dcdc"]["meter"],
        "vdis": data["dcdc"]["vdis"],
        "param": _param(engine, unit),
    }
    return data


def _get_status(engine: Engine, unit_id: str, _query: Mapping[str, str]) -> dict[str, Any]:
    unit = engine.index.get(unit_id)
    return {} if unit is None else {"status": _reduced_status(engine, unit), "meter": _meter(engine, unit)}


def _get_log(engine: Engine, _unit_id: str, _query: Mapping[str, str]) -> dict[str, Any]:
    return {unit_id: unit_object(engine, unit) for unit_id, unit in engine.index.items()}


def _set_dcdc(engine: Engine, unit_id: str, query: Mapping[str, str]) -> dict[str, Any]:
    unit = _unit(engine, unit_id)
    code = query.get("mode")
    if code not in list(ConverterMode):
        raise BadRequestError(f"mode: found {code!r}, expected one of {', '.join(ConverterMode)}")
    voltage_v, current_a = _number(query, "dvg"), _number(query, "dig")
    engine.set_mode(unit, ConverterMode(code), voltage_v, current_a, _number(query, "drg") if "drg" in query else None)
    return {
        "status": _reduced_status(engine, unit),
        "meter": _meter(engine, unit),
        "vdis": _vdis(engine, unit),
        "param": _param(engine, unit),
    }


def _set_voltage(engine: Engine, unit_id: str, query: Mapping[str, str]) -> dict[str, Any]:
    unit = _unit(engine, unit_id)
    voltage_v = _number(query, "dvg")
    engine.set_voltage(unit, voltage_v, _number(query, "drg") if "drg" in query else None)
    return {"meter": _meter(engine, unit), "vdis": _vdis(engine, unit)}


def _set_current(engine: Engine, unit_id: str, query: Mapping[str, str]) -> dict[str, Any]:
    unit = _unit(engine, unit_id)
    engine.set_current(unit, _number(query, "dig"))
    return {"meter": _meter(engine, unit), "param": _param(engine, unit)}


def _set_emu(engine: Engine, unit_id: str, query: Mapping[str, str]) -> dict[str, Any]:
    unit = _unit(engine, unit_id)
    unknown = set(query) - {"rsoc"}
    if unknown or not query:
        raise BadRequestError(f"{', '.join(sorted(unknown)) or 'no parameter'}: expected rsoc")
    percent = _number(query, "rsoc")
    if percent > 100:
        raise BadRequestError(f"rsoc: found {percent}, expected 0 to 100")
    engine.set_state_of_charge(unit, percent)
    return _get_log(engine, "", {})


def _unit(engine: Engine, unit_id: str) -> int:
    if unit_id not in engine.index:
        raise BadRequestError(f"unit {unit_id!r}: expected one of {', '.join(engine.unit_ids[:20])}", 404)
    return engine.index[unit_id]


def _number(query: Mapping[str, str], key: str) -> float:
    text = query.get(key)
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not 0 <= value < 1e6:
        raise BadRequestError(f"{key}: found {text!r}, expected a number >= 0")
    return value


type _Route = Callable[[Engine, str, Mapping[str, str]], Any]
_ROUTES: dict[str, _Route] = {"/get/log": _get_log}
_UNIT_ROUTES: dict[str, _Route] = {
    "/get/unit": _get_unit,
    "/get/dcdc/status": _get_status,
    "/set/dcdc": _set_dcdc,
    "/set/dcdc/voltage": _set_voltage,
    "/set/dcdc/current": _set_current,
    "/set/emu": _set_emu,
}
